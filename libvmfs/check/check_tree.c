/* SPDX-License-Identifier: BSD-2-Clause */
/* From the root directory to every inode, snapshot and map. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/check/check_priv.h"
#include "libvmfs/format/lockrec.h"

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
	return 0;
}

static int
check_snaptab_block(struct check_walk *w, const struct snaptab_disk *d,
    const struct check_todo *t, uint32_t *count)
{
	for (unsigned i = 0; i < SNAPTAB_ENTRIES; i++) {
		const struct snaptab_entry_disk *e = &d->entry[i];
		struct check_todo proto = {
			.ino = le64_get(e->ino), .type = INODE_SNAPSHOT,
			.disk = t->ino,
		};
		struct check_ino *n;
		char name[40];
		int rc;

		if (proto.ino == 0)
			continue;
		n = check_ino_get(w->c, proto.ino);
		if (n == NULL)
			return -ENOMEM;
		n->names++;
		(*count)++;
		snprintf(name, sizeof(name), "snapshot #%u", le32_get(e->id));
		rc = check_walk_add(w, t->path, name, strlen(name), &proto);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int
check_snaptab(struct check_walk *w, const struct inode_info *i,
    const struct check_todo *t)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	uint64_t block = i->snaptab;
	uint32_t count = 0;
	int rc = 0;

	if (buf == NULL)
		return -ENOMEM;
	while (block != 0 && rc == 0) {
		rc = check_block(w->c, block, BLOCK_SNAPTAB, buf);
		if (rc == -VMFS_ECORRUPT || (rc == 0 && !check_mark_meta(w->c,
		    block, BLOCK_SNAPTAB, t->path))) {
			check_report(w->c, CHECK_SNAPSHOT, CHECK_DAMAGE, block,
			    false, "the snapshot table of %s (block %llu) is "
			    "damaged", t->path, (unsigned long long)block);
			return 0;
		}
		if (rc == 0)
			rc = check_snaptab_block(w, (const void *)buf, t,
			    &count);
		block = le64_get(((const struct snaptab_disk *)(const void *)
		    buf)->next);
	}
	if (rc == 0 && count != i->snapshots)
		check_report(w->c, CHECK_SNAPSHOT, CHECK_HARMLESS, t->ino,
		    false, "%s counts %u snapshots, has %u", t->path,
		    i->snapshots, count);
	return rc;
}

/* What an inode holds, by its type. */
static int
check_inode_content(struct check_walk *w, const uint8_t *block,
    const struct inode_info *i, const struct check_todo *t)
{
	struct check_result *res = w->c->res;
	struct check_ino *origin;
	uint32_t alone_after = i->snap_epoch;
	int rc;

	switch (i->type) {
	case INODE_DIR:
		res->dirs++;
		return check_dir(w, block, i, t);
	case INODE_SYMLINK:
		res->files++;
		return 0;
	case INODE_SNAPSHOT:
		res->snapshots++;
		if (t->disk != 0 && i->disk != t->disk)
			check_report(w->c, CHECK_SNAPSHOT, CHECK_DAMAGE,
			    t->ino, false, "%s says that it belongs to disk "
			    "%llu", t->path, (unsigned long long)i->disk);
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
	rc = check_map(w->c, i, alone_after, t->path);
	return rc != 0 ? rc : check_snaptab(w, i, t);
}

static bool
check_inode_matches(struct check *c, const struct inode_info *i,
    const struct check_todo *t)
{
	if ((t->type == INODE_FREE || t->type == i->type) &&
	    i->type != INODE_FREE &&
	    (t->generation == 0 || t->generation == i->generation))
		return true;
	check_report(c, CHECK_DIR_ENTRY, CHECK_DAMAGE, t->ino, false,
	    "%s names inode %llu, which is of another object (type %u, "
	    "generation %u instead of type %u, generation %u)", t->path,
	    (unsigned long long)t->ino, i->type, i->generation, t->type,
	    t->generation);
	return false;
}

/* Names and pins are counted by now only for what cannot get more of them. */
static int
check_inode(struct check_walk *w, const struct check_todo *t, uint8_t *buf)
{
	struct check_ino *n = check_ino_get(w->c, t->ino);
	struct inode_info i;
	struct lockrec l;
	int rc;

	if (n == NULL)
		return -ENOMEM;
	rc = check_block(w->c, t->ino, BLOCK_INODE, buf);
	if (rc == 0)
		rc = inode_decode(buf, &i);
	if (rc == -VMFS_ECORRUPT) {
		check_report(w->c, CHECK_INODE, CHECK_DAMAGE, t->ino, false,
		    "the inode of %s (block %llu) is damaged", t->path,
		    (unsigned long long)t->ino);
		return 0;
	}
	if (rc != 0 || !check_inode_matches(w->c, &i, t) || n->walked)
		return rc;
	n->walked = true;
	if (lockrec_decode(buf, &w->c->super.uuid, t->ino, &l) != 0)
		check_report(w->c, CHECK_INODE, CHECK_DAMAGE, t->ino, false,
		    "the lock of %s (block %llu) is damaged: no host can open "
		    "it", t->path, (unsigned long long)t->ino);
	check_mark_meta(w->c, t->ino, BLOCK_INODE, t->path);
	return check_inode_content(w, buf, &i, t);
}

static int
check_walk_run(struct check_walk *w, uint8_t *buf)
{
	struct list *node;
	int rc = 0;

	while ((node = list_pop(&w->todo)) != NULL) {
		struct check_todo *t = list_entry(node, struct check_todo,
		    node);

		if (rc == 0)
			rc = check_inode(w, t, buf);
		free(t);
	}
	return rc;
}

/* Inodes whose deletion a crash cut short are in a slot's orphan list. */
static int
check_orphans(struct check_walk *w, uint8_t *buf)
{
	for (unsigned s = 0; s < SLOTS_MAX; s++) {
		const struct slot_info_disk *d = (const void *)(buf +
		    LOCK_RECORD_SIZE);
		int rc = check_block(w->c, SLOT_TABLE_BLOCK + s, BLOCK_SLOT,
		    buf);

		if (rc == -VMFS_ECORRUPT)
			continue;
		if (rc != 0)
			return rc;
		for (unsigned i = 0; i < le32_get(d->orphans) &&
		    i < SLOT_ORPHANS_MAX; i++) {
			struct check_todo proto = {
				.ino = le64_get(d->orphan[i]),
			};

			rc = check_walk_add(w, "being deleted", "", 0, &proto);
			if (rc != 0)
				return rc;
		}
	}
	return 0;
}

/* Chains of frees that wait for another host: their space is no leak. */
static int
check_remote_frees(struct check *c, uint64_t block, uint8_t *buf)
{
	const struct remote_free_disk *d = (const void *)buf;
	int rc = 0;

	while (block != 0 && (rc = check_block(c, block, BLOCK_REMOTE_FREE,
	    buf)) == 0 && check_mark_meta(c, block, BLOCK_REMOTE_FREE,
	    "a remote-free log")) {
		for (unsigned i = 0; i < le32_get(d->count) &&
		    i < REMOTE_FREE_ENTRIES; i++) {
			uint64_t b = le64_get(d->entry[i].block);
			struct check_metachunk *m = check_metachunk_of(c, b);

			if (le32_get(d->entry[i].flags) & 1) {
				if (m != NULL)
					m->found = (uint16_t)(m->found |
					    1u << (b % CHUNK_BLOCKS));
				continue;
			}
			check_mark_chunks(c, b / CHUNK_BLOCKS,
			    le32_get(d->entry[i].count) / CHUNK_BLOCKS, false,
			    block, "a remote-free log");
		}
		block = le64_get(d->next);
	}
	return rc == -VMFS_ECORRUPT ? 0 : rc;
}

static int
check_all_remote_frees(struct check *c, uint8_t *buf)
{
	for (unsigned s = 0; s < SLOTS_MAX; s++) {
		const struct slot_info_disk *d = (const void *)(buf +
		    LOCK_RECORD_SIZE);
		int rc = check_block(c, SLOT_TABLE_BLOCK + s, BLOCK_SLOT, buf);

		if (rc == 0)
			rc = check_remote_frees(c, le64_get(d->remote_free),
			    buf);
		if (rc != 0 && rc != -VMFS_ECORRUPT)
			return rc;
	}
	return 0;
}

/* Inodes that exist, and that nothing names: their space is kept. */
static int
check_lost(struct check_walk *w, uint8_t *buf)
{
	struct check *c = w->c;
	int rc = 0;

	for (size_t k = 0; k < c->mc_count && rc == 0; k++) {
		for (unsigned i = 1; i < CHUNK_BLOCKS && rc == 0; i++) {
			struct check_todo proto = {
				.ino = c->mc[k].chunk * CHUNK_BLOCKS + i,
			};
			struct inode_info info;

			if (c->mc[k].type[i] != BLOCK_INODE ||
			    !(c->mc[k].used >> i & 1) ||
			    (c->mc[k].found >> i & 1) ||
			    check_block(c, proto.ino, BLOCK_INODE, buf) != 0 ||
			    inode_decode(buf, &info) != 0 ||
			    info.type == INODE_FREE)
				continue;
			check_report(c, CHECK_INODE_LOST, CHECK_HARMLESS,
			    proto.ino, false, "inode %llu (type %u, %llu "
			    "bytes) has no name; its content is kept",
			    (unsigned long long)proto.ino, info.type,
			    (unsigned long long)info.size);
			rc = check_walk_add(w, "lost", "", 0, &proto);
			if (rc == 0)
				rc = check_walk_run(w, buf);
		}
	}
	return rc;
}

/* Counts that are known only when everything was walked. */
static int
check_counts(struct check *c, uint8_t *buf)
{
	for (size_t k = 0; k < c->ino_max; k++) {
		const struct check_ino *n = &c->ino[k];
		struct inode_info i;

		if (n->ino == 0 || !n->walked ||
		    check_block(c, n->ino, BLOCK_INODE, buf) != 0 ||
		    inode_decode(buf, &i) != 0)
			continue;
		if (n->names > 0 && i.type != INODE_DIR &&
		    i.type != INODE_SNAPSHOT && i.nlink != n->names)
			check_report(c, CHECK_NLINK, CHECK_HARMLESS, n->ino,
			    false, "inode %llu counts %u names, has %u",
			    (unsigned long long)n->ino, i.nlink, n->names);
		if (i.type == INODE_SNAPSHOT && i.clones != n->pins)
			check_report(c, CHECK_PIN,
			    i.clones < n->pins ? CHECK_DAMAGE : CHECK_HARMLESS,
			    n->ino, false, "snapshot %llu counts %u clones, "
			    "has %u", (unsigned long long)n->ino, i.clones,
			    n->pins);
	}
	return 0;
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
		rc = check_all_remote_frees(c, buf);
	if (rc == 0)
		rc = check_walk_run(&w, buf);
	if (rc == 0)
		rc = check_lost(&w, buf);
	if (rc == 0)
		rc = check_counts(c, buf);
	while (!list_empty(&w.todo))
		free(list_entry(list_pop(&w.todo), struct check_todo, node));
	return rc;
}
