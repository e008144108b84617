/* SPDX-License-Identifier: BSD-2-Clause */
/* Inodes that were unlinked but not yet freed, in our slot's block. */
#include "libvmfs/core/ds_priv.h"

static struct slot_info_disk *
slot_info(struct ds *ds)
{
	return (void *)(ds->slot_block->data + LOCK_RECORD_SIZE);
}

static void
set_entry(struct txn *t, uint32_t i, uint64_t ino)
{
	slot_info(t->ds)->orphan[i] = le64(ino);
	mb_dirty(t, t->ds->slot_block, LOCK_RECORD_SIZE +
	    offsetof(struct slot_info_disk, orphan) + 8 * (size_t)i, 8);
}

static void
set_count(struct txn *t, uint32_t n)
{
	slot_info(t->ds)->orphans = le32(n);
	mb_dirty(t, t->ds->slot_block, LOCK_RECORD_SIZE +
	    offsetof(struct slot_info_disk, orphans), 4);
}

int
orphan_add(struct txn *t, uint64_t ino)
{
	uint32_t n = le32_get(slot_info(t->ds)->orphans);

	if (n >= SLOT_ORPHANS_MAX)
		return -VMFS_ELIMIT;
	set_entry(t, n, ino);
	set_count(t, n + 1);
	return 0;
}

unsigned
orphan_room(struct ds *ds)
{
	uint32_t n = le32_get(slot_info(ds)->orphans);

	return n < SLOT_ORPHANS_MAX ? SLOT_ORPHANS_MAX - n : 0;
}

int
orphan_remove(struct txn *t, uint64_t ino)
{
	struct slot_info_disk *d = slot_info(t->ds);
	uint32_t n = le32_get(d->orphans);

	for (uint32_t i = 0; i < n; i++) {
		if (le64_get(d->orphan[i]) != ino)
			continue;
		set_entry(t, i, le64_get(d->orphan[n - 1]));
		set_entry(t, n - 1, 0);
		set_count(t, n - 1);
		return 0;
	}
	return -ENOENT;
}

unsigned
orphan_list(struct ds *ds, uint64_t *inos, unsigned max)
{
	const struct slot_info_disk *d;
	uint32_t n;

	if (ds->slot_block == NULL)	/* read-only */
		return 0;
	d = slot_info(ds);
	n = le32_get(d->orphans);
	for (uint32_t i = 0; i < n && i < max; i++)
		inos[i] = le64_get(d->orphan[i]);
	return n < max ? n : max;
}
