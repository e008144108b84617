/* SPDX-License-Identifier: BSD-2-Clause */
/* From the root directory to every inode, snapshot and map. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/check/check_priv.h"

#define WALK_AHEAD 32u

int
check_walk_add(struct check_walk *w, const char *dir, const char *name,
    size_t name_len, const struct check_todo *proto)
{
	size_t dir_len = strcmp(dir, "/") == 0 ? 0 : strlen(dir);
	struct check_todo *t = malloc(sizeof(*t) + dir_len + name_len + 2);

	if (t == NULL)
		return -ENOMEM;
	*t = *proto;
	memcpy(t->path, dir, dir_len);
	t->path[dir_len] = '/';
	memcpy(t->path + dir_len + 1, name, name_len);
	t->path[dir_len + 1 + name_len] = '\0';
	list_add_tail(&w->todo, &t->node);
	w->queued++;
	return 0;
}

int
check_inode_put(struct check *c, uint64_t ino, void *block,
    const struct inode_info *i)
{
	inode_encode(block, i);
	return check_rewrite(c, ino, BLOCK_INODE, block);
}

bool
check_inode_exists(struct check *c, uint64_t ino)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct inode_info i;

	return buf != NULL && check_metachunk_of(c, ino) != NULL &&
	    check_block(c, ino, BLOCK_INODE, buf) == 0 &&
	    inode_decode(buf, &i) == 0 && i.type != INODE_FREE;
}

int
check_drop(struct check *c, const struct check_todo *t)
{
	if (!c->conf->repair || t->dir == 0)
		return 0;
	if (t->dir < SLOT_TABLE_BLOCK + SLOTS_MAX)
		return check_orphan_drop(c, t);
	return t->disk != 0 ? check_snapshot_drop(c, t) :
	    check_entry_drop(c, t);
}

static int
check_tree_of(struct check_walk *w, uint8_t *block, struct inode_info *i,
    const struct check_todo *t, uint32_t alone_after)
{
	struct check *c = w->c;
	struct check_ino *n = check_ino_get(c, i->type == INODE_SNAPSHOT ?
	    i->disk : t->ino);
	uint64_t before = c->fresh;
	bool changed = false;
	int rc;

	if (n == NULL)
		return -ENOMEM;
	rc = check_map(c, t, i, alone_after, &changed);
	n->held += c->fresh - before;
	if (rc == 0 && changed && c->conf->repair)
		rc = check_inode_put(c, t->ino, block, i);
	return rc != 0 ? rc : check_snaptab(w, block, i, t);
}

/* What an inode holds, by its type. */
static int
check_inode_content(struct check_walk *w, uint8_t *block,
    struct inode_info *i, const struct check_todo *t)
{
	struct check_result *res = w->c->res;
	struct check_ino *origin;
	uint32_t alone_after = i->snap_epoch;
	int rc = check_xattrs(w->c, block, i, t);

	if (rc != 0)
		return rc;
	switch (i->type) {
	case INODE_DIR:
		res->dirs++;
		return check_dir(w, block, i, t);
	case INODE_SYMLINK:
		res->files++;
		return 0;
	case INODE_SNAPSHOT:
		res->snapshots++;
		alone_after = EPOCH_MAX;
		break;
	default:
		res->disks += i->type == INODE_DISK;
		res->files += i->type == INODE_FILE;
		break;
	}
	if ((i->flags & INODE_CLONE) && i->origin_snapshot != 0) {
		origin = check_ino_get(w->c, i->origin_snapshot);
		if (origin == NULL)
			return -ENOMEM;
		origin->pins++;
	}
	return check_tree_of(w, block, i, t, alone_after);
}

static bool
check_inode_matches(struct check *c, const struct inode_info *i,
    const struct check_todo *t)
{
	bool repair = c->conf->repair && t->dir != 0;

	if (t->disk != 0 && i->type == INODE_SNAPSHOT && i->disk != t->disk) {
		check_report(c, CHECK_SNAPSHOT, CHECK_DAMAGE, t->ino, repair,
		    "%s says that it belongs to disk %llu", t->path,
		    (unsigned long long)i->disk);
		return false;
	}
	if ((t->type == INODE_FREE || t->type == i->type) &&
	    i->type != INODE_FREE &&
	    (t->generation == 0 || t->generation == i->generation))
		return true;
	check_report(c, CHECK_DIR_ENTRY, CHECK_DAMAGE, t->ino, repair,
	    "%s names inode %llu, which is of another object (type %u, "
	    "generation %u instead of type %u, generation %u)", t->path,
	    (unsigned long long)t->ino, i->type, i->generation, t->type,
	    t->generation);
	return false;
}

/* An empty one; what it named gets names in lost+found. */
static int
check_root_rebuild(struct check *c, uint8_t *buf, struct inode_info *ret_i)
{
	uint64_t now_ns = c->conf->env->wall_us(c->conf->env) * 1000;
	struct inode_info i = {
		.generation = (uint32_t)env_random_u64(c->conf->env) | 1,
		.type = INODE_DIR, .mode = 0755, .nlink = 2,
		.flags = INODE_INLINE, .atime_ns = now_ns, .mtime_ns = now_ns,
		.ctime_ns = now_ns, .btime_ns = now_ns,
		.parent = c->super.root_ino, .epoch = 1,
		.next_snapshot_id = 1,
		.dir_seed = (uint32_t)env_random_u64(c->conf->env),
	};

	memset(buf + LOCK_RECORD_SIZE, 0, BLOCK_SIZE - LOCK_RECORD_SIZE);
	inode_encode(buf, &i);
	*ret_i = i;
	return check_write_new(c, c->super.root_ino, BLOCK_INODE,
	    c->super.root_ino, buf);
}

/*
 * A clone comes behind what it is a clone of: then what is reached through it
 * for the first time is its own.
 */
static bool
comes_later(struct check_walk *w, const struct inode_info *i)
{
	struct check_ino *o;

	if ((i->flags & INODE_CLONE) == 0 || w->put_off >= w->queued)
		return false;
	o = check_ino_get(w->c, i->origin_snapshot);
	return o != NULL && !o->walked;
}

/* 1: *t is kept for check_salvage. */
static int
check_inode_damaged(struct check_walk *w, struct check_todo *t)
{
	struct check *c = w->c;
	struct check_damaged *d;

	check_report(c, CHECK_INODE, CHECK_DAMAGE, t->ino, c->conf->repair,
	    "the inode of %s (block %llu) is damaged", t->path,
	    (unsigned long long)t->ino);
	if (t->dir < SLOT_TABLE_BLOCK + SLOTS_MAX ||
	    check_metachunk_of(c, t->ino) == NULL)
		return check_drop(c, t);
	d = malloc(sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	d->todo = t;
	list_add_tail(&c->damaged, &d->node);
	return 1;
}

/* A name too many, or one of nothing. */
static int
check_again_named(struct check_walk *w, const struct inode_info *i,
    const struct check_todo *t)
{
	if (i->type != INODE_DIR && i->type != INODE_SNAPSHOT)
		return 0;
	check_report(w->c, CHECK_DIR_ENTRY, CHECK_DAMAGE, t->ino,
	    w->c->conf->repair && t->dir != 0, "%s names inode %llu, which "
	    "has another name", t->path, (unsigned long long)t->ino);
	return check_drop(w->c, t);
}

/* Names and pins are counted by now only for what cannot get more of them.
 * 1: *t is kept; 2: its turn comes later. */
static int
check_inode(struct check_walk *w, struct check_todo *t, uint8_t *buf)
{
	struct check_ino *n = check_ino_get(w->c, t->ino);
	struct inode_info i;
	int rc;

	if (n == NULL)
		return -ENOMEM;
	rc = check_block(w->c, t->ino, BLOCK_INODE, buf);
	if (rc == 0)
		rc = inode_decode(buf, &i);
	if (rc == -VMFS_ECORRUPT && t->ino == w->c->super.root_ino &&
	    t->dir == 0 && w->c->conf->repair) {
		check_report(w->c, CHECK_INODE, CHECK_DAMAGE, t->ino, true,
		    "the inode of the root directory is damaged: it starts "
		    "empty");
		rc = check_root_rebuild(w->c, buf, &i);
	}
	if (rc == -VMFS_ECORRUPT)
		return check_inode_damaged(w, t);
	if (rc != 0)
		return rc;
	if (!check_inode_matches(w->c, &i, t))
		return check_drop(w->c, t);
	if (n->walked)
		return check_again_named(w, &i, t);
	if (comes_later(w, &i))
		return 2;
	if (check_mark_meta(w->c, t->ino, BLOCK_INODE, t->path) ==
	    MARK_NOWHERE) {
		check_report(w->c, CHECK_DIR_ENTRY, CHECK_DAMAGE, t->ino,
		    w->c->conf->repair && t->dir != 0, "%s names block %llu, "
		    "which is in no metachunk", t->path,
		    (unsigned long long)t->ino);
		return check_drop(w->c, t);
	}
	n->walked = true;
	rc = check_lock(w->c, t->ino, buf, t->path);
	return rc != 0 ? rc : check_inode_content(w, buf, &i, t);
}

static void
walk_ahead(struct check_walk *w)
{
	uint64_t blocks[WALK_AHEAD];
	unsigned k = 0;

	list_for_each(node, tmp, &w->todo) {
		if (k == WALK_AHEAD)
			break;
		blocks[k++] = list_entry(node, struct check_todo, node)->ino;
	}
	check_read_ahead(w->c, blocks, k);
}

int
check_walk_run(struct check_walk *w, uint8_t *buf)
{
	struct list *node;
	unsigned n = 0;
	int rc = 0;

	while (!list_empty(&w->todo)) {
		struct check_todo *t;

		if (rc == 0 && n++ % WALK_AHEAD == 0)
			walk_ahead(w);
		node = list_pop(&w->todo);
		t = list_entry(node, struct check_todo, node);
		w->queued--;
		if (rc == 0)
			rc = check_inode(w, t, buf);
		if (rc == 2) {
			list_add_tail(&w->todo, &t->node);
			w->put_off++;
			w->queued++;
			rc = 0;
			continue;
		}
		w->put_off = 0;
		if (rc != 1)
			free(t);
		else
			rc = 0;
	}
	return rc;
}

int
check_tree(struct check *c)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct check_walk w = { .c = c };
	struct check_todo root = {
		.ino = c->super.root_ino, .type = INODE_DIR,
	};
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	list_init(&w.todo);
	check_progress(c, "files", 300);
	rc = check_walk_add(&w, "/", "", 0, &root);
	if (rc == 0)
		rc = check_orphans(&w, buf);
	if (rc == 0)
		rc = check_remote_frees(c, buf);
	if (rc == 0)
		rc = check_walk_run(&w, buf);
	if (rc == 0)
		rc = check_accounts(c, buf);
	check_progress(c, "lost", 850);
	if (rc == 0)
		rc = check_stray_names(c, buf);
	if (rc == 0)
		rc = check_lost(&w, buf);
	if (rc == 0)
		rc = check_salvage(c);
	if (rc == 0 && !c->again)
		rc = check_counts(c, buf);
	while (!list_empty(&w.todo))
		free(list_entry(list_pop(&w.todo), struct check_todo, node));
	return rc;
}
