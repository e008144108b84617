/* SPDX-License-Identifier: BSD-2-Clause */
/* Snapshot tables of disks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/check/check_priv.h"
#include "libvmfs/core/volume.h"

static int
check_snaptab_block(struct check_walk *w, uint64_t block,
    const struct snaptab_disk *d, const struct check_todo *t, uint32_t *count)
{
	for (unsigned i = 0; i < SNAPTAB_ENTRIES; i++) {
		const struct snaptab_entry_disk *e = &d->entry[i];
		struct check_todo proto = {
			.ino = le64_get(e->ino), .type = INODE_SNAPSHOT,
			.disk = t->ino, .dir = t->ino, .holder = block,
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

/* Entries that make no sense go; what they may have named is found again. */
static bool
snaptab_entries_clean(struct check *c, uint64_t block, struct snaptab_disk *d,
    const char *path)
{
	struct snaptab_entry e;
	unsigned used = 0;
	bool changed = false;

	for (unsigned i = 0; i < SNAPTAB_ENTRIES; i++) {
		if (snaptab_entry_get(&d->entry[i], &e) != 0) {
			check_report(c, CHECK_SNAPSHOT, CHECK_DAMAGE, block,
			    c->conf->repair, "entry %u of the snapshot table "
			    "of %s makes no sense", i, path);
			memset(&d->entry[i], 0, sizeof(d->entry[i]));
			changed = true;
		} else {
			used += e.ino != 0;
		}
	}
	if (le32_get(d->used) != used) {
		check_report(c, CHECK_SNAPSHOT, CHECK_HARMLESS, block,
		    c->conf->repair, "a block of the snapshot table of %s "
		    "counts %u entries, has %u", path, le32_get(d->used),
		    used);
		d->used = le32(used);
		changed = true;
	}
	return changed;
}

/* An empty block in place of a damaged one: its snapshots get new entries. */
static int
snaptab_reset(struct check *c, uint64_t block, const struct check_todo *t,
    struct snaptab_disk *d)
{
	memset(d, 0, sizeof(*d));
	check_again(c);
	return check_write_new(c, block, BLOCK_SNAPTAB, t->ino, d);
}

/* A block of a table says that it is of another disk; its snapshots know. */
static int
snaptab_owner(struct check *c, uint64_t block, const struct check_todo *t,
    struct snaptab_disk *d)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct inode_info i;
	bool ours = false;

	if (buf == NULL)
		return -ENOMEM;
	for (unsigned k = 0; k < SNAPTAB_ENTRIES && !ours; k++)
		ours = check_block(c, le64_get(d->entry[k].ino), BLOCK_INODE,
		    buf) == 0 && inode_decode(buf, &i) == 0 &&
		    i.type == INODE_SNAPSHOT && i.disk == t->ino;
	if (!ours)
		return 1;
	check_report(c, CHECK_SNAPSHOT, CHECK_HARMLESS, block, c->conf->repair,
	    "block %llu of the snapshot table of %s says that it is of inode "
	    "%llu", (unsigned long long)block, t->path,
	    (unsigned long long)le64_get(d->hdr.owner));
	if (!c->conf->repair)
		return 0;
	d->hdr.owner = le64(t->ino);
	return check_rewrite(c, block, BLOCK_SNAPTAB, d);
}

/* 0: *d is the block; 1: there is nothing that could be used. */
static int
snaptab_read(struct check *c, uint64_t block, const struct check_todo *t,
    struct snaptab_disk *d, bool *ret_lost)
{
	bool repair = c->conf->repair;
	enum check_mark mark;
	int rc;

	rc = check_block(c, block, BLOCK_SNAPTAB, d);
	if (rc != 0 && rc != -VMFS_ECORRUPT)
		return rc;
	if (rc == 0 && le64_get(d->hdr.owner) != t->ino)
		rc = snaptab_owner(c, block, t, d);
	mark = rc == 1 || block == 0 ||
	    !volume_has_block(&c->super, block) ? MARK_NOWHERE :
	    check_mark_meta(c, block, BLOCK_SNAPTAB, t->path);
	if (rc == 0 && mark == MARK_NEW)
		return 0;
	*ret_lost = true;
	check_report(c, CHECK_SNAPSHOT, CHECK_DAMAGE, block, repair,
	    "the snapshot table of %s (block %llu) is %s", t->path,
	    (unsigned long long)block, rc == -VMFS_ECORRUPT ? "damaged" :
	    rc == 1 ? "of another disk" : "used twice, or in no metachunk");
	if (mark != MARK_NEW || !repair)
		return 1;
	return snaptab_reset(c, block, t, d);
}

/* ---- what grew from what ---- */

struct family {
	struct snaptab_entry *kin;
	size_t count;
};

static int
family_note(struct family *f, const struct snaptab_disk *d)
{
	struct snaptab_entry *kin = reallocarray(f->kin, f->count +
	    SNAPTAB_ENTRIES, sizeof(*kin));

	if (kin == NULL)
		return -ENOMEM;
	f->kin = kin;
	for (unsigned i = 0; i < SNAPTAB_ENTRIES; i++)
		if (snaptab_entry_get(&d->entry[i], &kin[f->count]) == 0)
			f->count += kin[f->count].ino != 0;
	return 0;
}

static int
kin_order(const void *a, const void *b)
{
	const struct snaptab_entry *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* Space is freed by who is next of kin: parents that are none, or a circle of
 * them, would let what is shared go. */
static bool
family_lies(struct check *c, struct family *f, const char *path)
{
	bool lies = false;

	if (f->count > 1)
		qsort(f->kin, f->count, sizeof(*f->kin), kin_order);
	for (size_t i = 0; i < f->count; i++) {
		const struct snaptab_entry *e = &f->kin[i], *parent;
		const struct snaptab_entry key = { .ino = e->parent };

		if (e->parent == 0)
			continue;
		parent = bsearch(&key, f->kin, f->count, sizeof(key),
		    kin_order);
		if (parent != NULL && parent->id < e->id)
			continue;
		check_report(c, CHECK_SNAPSHOT, CHECK_DAMAGE, e->ino,
		    c->conf->repair, "%s/snapshot #%u is said to have grown "
		    "from inode %llu, which is no older snapshot of it: what "
		    "grew from what is forgotten", path, e->id,
		    (unsigned long long)e->parent);
		lies = true;
	}
	return lies;
}

int
check_snaptab(struct check_walk *w, uint8_t *block, struct inode_info *i,
    const struct check_todo *t)
{
	cleanup_free struct snaptab_disk *d = disk_buf_alloc(BLOCK_SIZE);
	struct check *c = w->c;
	uint64_t at = i->snaptab, before = 0;
	struct family family = { 0 };
	uint32_t count = 0;
	bool changed = false, lost = false;
	int rc = 0;

	if (d == NULL)
		return -ENOMEM;
	while (at != 0 && rc == 0) {
		rc = snaptab_read(c, at, t, d, &lost);
		if (rc != 0)
			break;
		if (snaptab_entries_clean(c, at, d, t->path) &&
		    c->conf->repair)
			rc = check_rewrite(c, at, BLOCK_SNAPTAB, d);
		if (rc == 0)
			rc = check_snaptab_block(w, at, d, t, &count);
		if (rc == 0)
			rc = family_note(&family, d);
		before = at;
		at = le64_get(d->next);
	}
	/* The chain ends before the block that is none of it. */
	if (rc == 1 && c->conf->repair && before != 0) {
		d->next = le64(0);
		rc = check_rewrite(c, before, BLOCK_SNAPTAB, d);
	} else if (rc == 1) {
		i->snaptab = 0;
		changed = true;
		rc = 0;
	}
	if (rc == 0 && family_lies(c, &family, t->path)) {
		i->base_snapshot = 0;
		changed = true;
		if (c->conf->repair)
			rc = check_snaptab_flatten(c, i->snaptab);
	}
	free(family.kin);
	if (rc != 0)
		return rc;
	if (count != i->snapshots) {
		if (!lost)
			check_report(c, CHECK_SNAPSHOT, CHECK_HARMLESS,
			    t->ino, c->conf->repair, "%s counts %u snapshots, "
			    "has %u", t->path, i->snapshots, count);
		i->snapshots = count;
		changed = true;
	}
	return changed && c->conf->repair ?
	    check_inode_put(c, t->ino, block, i) : 0;
}

/*
 * What grew from what is no longer known: all grow from nothing, so that each
 * is compared with all others before anything is freed.
 */
int
check_snaptab_flatten(struct check *c, uint64_t first)
{
	cleanup_free struct snaptab_disk *d = disk_buf_alloc(BLOCK_SIZE);
	uint64_t block = first;
	int rc = 0;

	if (d == NULL)
		return -ENOMEM;
	for (size_t n = 0; block != 0 && rc == 0 &&
	    n <= c->mc_count * CHUNK_BLOCKS; n++) {
		rc = check_block(c, block, BLOCK_SNAPTAB, d);
		if (rc != 0)
			return rc == -VMFS_ECORRUPT ? 0 : rc;
		for (unsigned i = 0; i < SNAPTAB_ENTRIES; i++)
			d->entry[i].parent = le64(0);
		rc = check_rewrite(c, block, BLOCK_SNAPTAB, d);
		block = le64_get(d->next);
	}
	return rc;
}

/* One snapshot less. */
static int
disk_edit(struct check *c, uint64_t ino)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct inode_info i;
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	rc = check_block(c, ino, BLOCK_INODE, buf);
	if (rc == 0)
		rc = inode_decode(buf, &i);
	if (rc != 0)
		return rc == -VMFS_ECORRUPT ? 0 : rc;
	if (i.snapshots > 0)
		i.snapshots--;
	i.base_snapshot = 0;
	rc = check_snaptab_flatten(c, i.snaptab);
	return rc != 0 ? rc : check_inode_put(c, ino, buf, &i);
}

int
check_snapshot_drop(struct check *c, const struct check_todo *t)
{
	cleanup_free struct snaptab_disk *d = disk_buf_alloc(BLOCK_SIZE);
	struct check_ino *n = check_ino_get(c, t->ino);
	bool done = false;
	int rc;

	if (d == NULL || n == NULL)
		return -ENOMEM;
	rc = check_block(c, t->holder, BLOCK_SNAPTAB, d);
	if (rc != 0)
		return rc == -VMFS_ECORRUPT ? 0 : rc;
	for (unsigned i = 0; i < SNAPTAB_ENTRIES && !done; i++) {
		if (le64_get(d->entry[i].ino) != t->ino)
			continue;
		memset(&d->entry[i], 0, sizeof(d->entry[i]));
		d->used = le32(le32_get(d->used) - 1);
		done = true;
	}
	if (!done)
		return 0;
	if (n->names > 0)
		n->names--;
	rc = check_rewrite(c, t->holder, BLOCK_SNAPTAB, d);
	return rc != 0 ? rc : disk_edit(c, t->dir);
}

/* ---- a snapshot without an entry ---- */

/* The first block of the table with room. */
static int
snaptab_room(struct check *c, uint64_t first, struct snaptab_disk *d,
    uint64_t *ret_block, unsigned *ret_i)
{
	uint64_t block = first;

	/* A table longer than the metadata there is goes in a circle. */
	for (size_t n = 0; block != 0 && n <= c->mc_count * CHUNK_BLOCKS;
	    n++) {
		int rc = check_block(c, block, BLOCK_SNAPTAB, d);

		if (rc != 0)
			return rc == -VMFS_ECORRUPT ? -ENOENT : rc;
		for (unsigned i = 0; i < SNAPTAB_ENTRIES; i++) {
			if (le64_get(d->entry[i].ino) != 0)
				continue;
			*ret_block = block;
			*ret_i = i;
			return 0;
		}
		block = le64_get(d->next);
	}
	return -ENOENT;
}

int
check_snapshot_restore(struct check *c, uint64_t ino,
    const struct inode_info *i)
{
	cleanup_free struct snaptab_disk *d = disk_buf_alloc(BLOCK_SIZE);
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct snaptab_entry e = {
		.ino = ino, .epoch = i->epoch, .created_us = i->btime_ns / 1000,
	};
	struct inode_info disk;
	uint64_t block;
	unsigned k;
	int rc;

	if (d == NULL || buf == NULL)
		return -ENOMEM;
	rc = check_block(c, i->disk, BLOCK_INODE, buf);
	if (rc == 0)
		rc = inode_decode(buf, &disk);
	if (rc != 0)
		return rc == -VMFS_ECORRUPT ? -ENOENT : rc;
	if ((disk.type != INODE_DISK && disk.type != INODE_FILE) ||
	    i->epoch > disk.snap_epoch || disk.nlink == 0)
		return -ENOENT;
	rc = snaptab_room(c, disk.snaptab, d, &block, &k);
	if (rc != 0)
		return rc;
	e.id = disk.next_snapshot_id++;
	snprintf(e.name, sizeof(e.name), "lost-%llu", (unsigned long long)ino);
	check_report(c, CHECK_SNAPSHOT, CHECK_DAMAGE, ino, c->conf->repair,
	    "snapshot %llu of disk %llu is in no table: it gets the name %s",
	    (unsigned long long)ino, (unsigned long long)i->disk, e.name);
	if (!check_again(c))
		return 0;
	snaptab_entry_put(&d->entry[k], &e);
	d->used = le32(le32_get(d->used) + 1);
	rc = check_rewrite(c, block, BLOCK_SNAPTAB, d);
	if (rc == 0)
		rc = check_snaptab_flatten(c, disk.snaptab);
	disk.base_snapshot = 0;
	disk.snapshots++;
	return rc != 0 ? rc : check_inode_put(c, i->disk, buf, &disk);
}
