/* SPDX-License-Identifier: BSD-2-Clause */
/* What nothing names: deletions under way, lost inodes; and the counts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/check/check_priv.h"
#include "libvmfs/format/dirent.h"

/* Inodes whose deletion a crash cut short are in a slot's orphan list. */
int
check_orphans(struct check_walk *w, uint8_t *buf)
{
	for (unsigned s = 0; s < SLOTS_MAX; s++) {
		const struct slot_info_disk *d = (const void *)(buf +
		    LOCK_RECORD_SIZE);
		char name[32];
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
				.dir = SLOT_TABLE_BLOCK + s,
				.holder = SLOT_TABLE_BLOCK + s,
			};

			snprintf(name, sizeof(name), "%llu",
			    (unsigned long long)proto.ino);
			rc = check_walk_add(w, "orphans", name, strlen(name),
			    &proto);
			if (rc != 0)
				return rc;
		}
	}
	return 0;
}

int
check_orphan_drop(struct check *c, const struct check_todo *t)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct slot_info_disk *d = (void *)(buf + LOCK_RECORD_SIZE);
	uint32_t n;
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	rc = check_block(c, t->dir, BLOCK_SLOT, buf);
	if (rc != 0)
		return rc == -VMFS_ECORRUPT ? 0 : rc;
	n = le32_get(d->orphans);
	for (uint32_t i = 0; i < n && i < SLOT_ORPHANS_MAX; i++) {
		if (le64_get(d->orphan[i]) != t->ino)
			continue;
		d->orphan[i] = d->orphan[n - 1];
		d->orphan[n - 1] = le64(0);
		d->orphans = le32(n - 1);
		return check_rewrite(c, t->dir, BLOCK_SLOT, buf);
	}
	return 0;
}

/* ---- frees that wait for another host: their space is no leak ---- */

static void
mark_remote_frees(struct check *c, const void *buf)
{
	const struct remote_free_disk *d = buf;

	for (unsigned i = 0; i < le32_get(d->count); i++) {
		struct check_metachunk *m;
		struct remote_free f;

		remote_free_get(buf, i, &f);
		m = check_metachunk_of(c, f.block);
		if (f.meta && m != NULL)
			m->found = (uint16_t)(m->found |
			    1u << (f.block % CHUNK_BLOCKS));
		/* What it frees in vain frees nothing. */
		else if (!f.meta)
			(void)!check_mark_chunks(c, f.block / CHUNK_BLOCKS,
			    f.count / CHUNK_BLOCKS, false);
	}
}

/* 1: the chain is to end before the block. */
static int
check_remote_block(struct check *c, uint64_t block, unsigned slot,
    uint8_t *buf)
{
	char object[48];
	int rc;

	snprintf(object, sizeof(object), "the remote-free log of slot %u",
	    slot);
	rc = check_block(c, block, BLOCK_REMOTE_FREE, buf);
	if (rc == 0)
		rc = remote_free_check(buf);
	if (rc == 0 && check_mark_meta(c, block, BLOCK_REMOTE_FREE, object) ==
	    MARK_NEW) {
		mark_remote_frees(c, buf);
		return 0;
	}
	if (rc != 0 && rc != -VMFS_ECORRUPT)
		return rc;
	check_report(c, CHECK_SLOT, CHECK_HARMLESS, block, c->conf->repair,
	    "block %llu of %s is damaged: what it frees is found as unused",
	    (unsigned long long)block, object);
	return 1;
}

static int
check_remote_chain(struct check *c, unsigned slot, uint8_t *buf)
{
	struct slot_info_disk *s = (void *)(buf + LOCK_RECORD_SIZE);
	struct remote_free_disk *d = (void *)buf;
	uint64_t before = SLOT_TABLE_BLOCK + slot;
	enum block_type type = BLOCK_SLOT;
	uint64_t block;
	int rc;

	rc = check_block(c, before, BLOCK_SLOT, buf);
	if (rc != 0)
		return rc == -VMFS_ECORRUPT ? 0 : rc;
	block = le64_get(s->remote_free);
	while (block != 0 && rc == 0) {
		rc = check_remote_block(c, block, slot, buf);
		if (rc != 0)
			break;
		before = block;
		type = BLOCK_REMOTE_FREE;
		block = le64_get(d->next);
	}
	if (rc != 1 || !c->conf->repair)
		return rc == 1 ? 0 : rc;
	rc = check_block(c, before, type, buf);
	if (rc != 0)
		return rc;
	if (type == BLOCK_SLOT)
		s->remote_free = le64(0);
	else
		d->next = le64(0);
	return check_rewrite(c, before, type, buf);
}

int
check_remote_frees(struct check *c, uint8_t *buf)
{
	int rc = 0;

	for (unsigned s = 0; s < SLOTS_MAX && rc == 0; s++)
		rc = check_remote_chain(c, s, buf);
	return rc;
}

/* ---- names in blocks that a directory has lost ---- */

static int
stray_leaf(struct check *c, const struct dir_leaf_disk *l)
{
	size_t used = le16_get(l->used), pos = 0;
	struct dirent e;

	while (used <= sizeof(l->data) &&
	    dirent_next(l->data, used, &pos, &e) == 0) {
		struct check_name *n = calloc(1, sizeof(*n));

		if (n == NULL)
			return -ENOMEM;
		n->dir = le64_get(l->hdr.owner);
		n->ino = e.ino;
		memcpy(n->name, e.name, e.name_len);
		list_add_tail(&c->memory->names, &n->node);
	}
	return 0;
}

int
check_stray_names(struct check *c, uint8_t *buf)
{
	int rc = 0;

	for (size_t k = 0; k < c->mc_count && rc == 0; k++) {
		for (unsigned i = 1; i < CHUNK_BLOCKS && rc == 0; i++) {
			if (c->mc[k].type[i] != BLOCK_DIR_LEAF ||
			    !(c->mc[k].used >> i & 1) ||
			    (c->mc[k].found >> i & 1))
				continue;
			rc = check_block(c, c->mc[k].chunk * CHUNK_BLOCKS + i,
			    BLOCK_DIR_LEAF, buf);
			if (rc == 0)
				rc = stray_leaf(c, (const void *)buf);
			else if (rc == -VMFS_ECORRUPT)
				rc = 0;
		}
	}
	return rc;
}

/* ---- inodes that exist, and that nothing names ---- */

/*
 * A snapshot whose disk is gone becomes a disk.  All of its space counts as
 * inherited, and is never freed, since other snapshots may share it.
 */
static int
snapshot_promote(struct check *c, uint64_t ino, uint8_t *buf,
    struct inode_info *i)
{
	check_report(c, CHECK_SNAPSHOT, CHECK_DAMAGE, ino, c->conf->repair,
	    "snapshot %llu is of disk %llu, which is lost: it becomes a disk "
	    "of its own", (unsigned long long)ino,
	    (unsigned long long)i->disk);
	if (!check_again(c))
		return 0;
	i->type = INODE_DISK;
	i->mode |= 0200;
	i->disk = 0;
	i->origin_epoch = i->snap_epoch = i->fork_epoch = i->epoch;
	if (i->epoch < EPOCH_MAX)
		i->epoch++;
	i->next_snapshot_id = 1;
	return check_inode_put(c, ino, buf, i);
}

/* 1: it is to be walked, and to be named. */
static int
lost_what(struct check *c, uint64_t ino, uint8_t *buf, struct inode_info *i)
{
	int rc;

	if (i->type == INODE_QUOTA && (i->flags & INODE_DELETING) == 0)
		return check_account_lost(c, ino, buf, i);
	/* Of one that was being deleted only the entry had gone. */
	if (i->type == INODE_SNAPSHOT && (i->flags & INODE_DELETING) == 0) {
		rc = check_snapshot_restore(c, ino, i);
		if (rc == -ENOENT && list_empty(&c->damaged))
			rc = snapshot_promote(c, ino, buf, i);
		/* Walked all the same: its space is not free. */
		return rc == 0 || rc == -ENOENT ? 2 : rc;
	}
	if (i->nlink == 0 || (i->flags & INODE_DELETING) != 0) {
		check_report(c, CHECK_INODE_LOST, CHECK_HARMLESS, ino,
		    c->conf->repair, "inode %llu (type %u, %llu bytes) was "
		    "being deleted, and no slot knows", (unsigned long long)
		    ino, i->type, (unsigned long long)i->size);
		return 0;
	}
	/* A repair tells what it has done about it, see check_adopt. */
	if (!c->conf->repair)
		check_report(c, CHECK_INODE_LOST, CHECK_DAMAGE, ino, false,
		    "inode %llu (type %u, %llu bytes) has no name; its content"
		    " is kept", (unsigned long long)ino, i->type,
		    (unsigned long long)i->size);
	return 1;
}

static unsigned
round_of(const struct inode_info *i)
{
	return i->type == INODE_DIR ? 0 : i->type == INODE_SNAPSHOT ? 2 : 1;
}

static int
lost_one(struct check_walk *w, uint64_t ino, unsigned round, uint8_t *buf)
{
	struct check_todo proto = { .ino = ino };
	struct inode_info info;
	struct check_ino *n;
	char name[32];
	int rc;

	rc = check_block(w->c, ino, BLOCK_INODE, buf);
	if (rc == 0)
		rc = inode_decode(buf, &info);
	if (rc != 0)
		return rc == -VMFS_ECORRUPT ? 0 : rc;
	if (info.type == INODE_FREE || round_of(&info) != round)
		return 0;
	rc = lost_what(w->c, ino, buf, &info);
	if (rc <= 0)
		return rc;
	n = check_ino_get(w->c, ino);
	if (n == NULL)
		return -ENOMEM;
	n->lost = rc == 1;
	w->c->lost |= rc == 1;
	snprintf(name, sizeof(name), "%llu", (unsigned long long)ino);
	rc = check_walk_add(w, "lost", name, strlen(name), &proto);
	return rc != 0 ? rc : check_walk_run(w, buf);
}

static int
lost_round(struct check_walk *w, unsigned round, uint8_t *buf)
{
	struct check *c = w->c;
	int rc = 0;

	for (size_t k = 0; k < c->mc_count && rc == 0; k++) {
		for (unsigned i = 1; i < CHUNK_BLOCKS && rc == 0; i++) {
			if (c->mc[k].type[i] == BLOCK_INODE &&
			    (c->mc[k].used >> i & 1) &&
			    !(c->mc[k].found >> i & 1))
				rc = lost_one(w, c->mc[k].chunk *
				    CHUNK_BLOCKS + i, round, buf);
		}
	}
	return rc;
}

/* First what leads to others: directories, disks with their snapshots. */
int
check_lost(struct check_walk *w, uint8_t *buf)
{
	int rc = 0;

	for (unsigned round = 0; round < 3 && rc == 0; round++)
		rc = lost_round(w, round, buf);
	return rc;
}

/* ---- counts, which are known only when everything was walked ---- */

static bool
clone_is_pinned(struct check *c, const struct inode_info *i)
{
	struct check_ino *n = check_ino_get(c, i->origin_snapshot);

	return n == NULL || n->walked;
}

static int
check_count(struct check *c, const struct check_ino *n, uint8_t *buf)
{
	bool repair = c->conf->repair, changed = false;
	struct inode_info i;
	int rc;

	rc = check_block(c, n->ino, BLOCK_INODE, buf);
	if (rc == 0)
		rc = inode_decode(buf, &i);
	if (rc != 0)
		return rc == -VMFS_ECORRUPT ? 0 : rc;
	if (n->names > 0 && i.type != INODE_DIR &&
	    i.type != INODE_SNAPSHOT && i.nlink != n->names) {
		check_report(c, CHECK_NLINK, CHECK_HARMLESS, n->ino, repair,
		    "inode %llu counts %u names, has %u",
		    (unsigned long long)n->ino, i.nlink, n->names);
		i.nlink = n->names;
		changed = true;
	}
	if (i.type == INODE_SNAPSHOT && i.clones != n->pins) {
		check_report(c, CHECK_PIN,
		    i.clones < n->pins ? CHECK_DAMAGE : CHECK_HARMLESS,
		    n->ino, repair, "snapshot %llu counts %u clones, has %u",
		    (unsigned long long)n->ino, i.clones, n->pins);
		i.clones = n->pins;
		changed = true;
	}
	if ((i.flags & INODE_CLONE) && !clone_is_pinned(c, &i)) {
		check_report(c, CHECK_PIN, CHECK_DAMAGE, n->ino, repair,
		    "inode %llu is a clone of snapshot %llu, which is lost: "
		    "copy it before its disk is changed",
		    (unsigned long long)n->ino,
		    (unsigned long long)i.origin_snapshot);
		i.flags &= ~(uint32_t)INODE_CLONE;
		i.origin_snapshot = 0;
		changed = true;
	}
	check_member(c, n, &i, &changed);
	return changed && repair ? check_inode_put(c, n->ino, buf, &i) : 0;
}

int
check_counts(struct check *c, uint8_t *buf)
{
	int rc = 0;

	for (size_t k = 0; k < c->ino_max && rc == 0; k++)
		if (c->ino[k].ino != 0 && c->ino[k].walked)
			rc = check_count(c, &c->ino[k], buf);
	return rc != 0 ? rc : check_account_sums(c, buf);
}
