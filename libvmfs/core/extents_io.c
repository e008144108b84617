/* SPDX-License-Identifier: BSD-2-Clause */
/* By what a further LUN of a datastore is known, and found again. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/core/extents.h"

#define TRIES 8

/*
 * There is no lease check below here that would send again what the LUN has
 * not done, or may have: the same bytes, by the only one who writes them.
 */
static bool
once_more(int r, int *tries)
{
	return (r == -VMFS_EATTENTION || r == -VMFS_EUNKNOWN) &&
	    ++*tries < TRIES;
}

static int
read_lun(struct disk *d, uint64_t offset, void *buf, size_t len)
{
	int tries = 0, r;

	do
		r = disk_read(d, offset, buf, len);
	while (once_more(r, &tries));
	return r;
}

static int
write_lun(struct disk *d, uint64_t offset, const void *buf, size_t len)
{
	int tries = 0, r;

	do
		r = disk_write(d, offset, buf, len, DISK_FUA);
	while (once_more(r, &tries));
	return r;
}

static int
read_block(struct disk *d, uint64_t block, void *buf,
    struct extent_info *ret_e)
{
	int r = read_lun(d, block << BLOCK_SHIFT, buf, BLOCK_SIZE);

	return r < 0 ? r : extent_decode(buf, block, ret_e);
}

int
extent_read(struct disk *lun, struct extent_info *ret_e)
{
	cleanup_free void *buf = disk_buf_alloc(BLOCK_SIZE);
	int r, r2;

	if (buf == NULL)
		return -ENOMEM;
	if (lun->info.size_bytes >> BLOCK_SHIFT <= EXTENT_FRONT_BLOCKS)
		return -VMFS_ENOTVMFS;
	r = read_block(lun, EXTENT_COPY_0, buf, ret_e);
	if (r == 0)
		return 0;
	r2 = read_block(lun, EXTENT_COPY_1, buf, ret_e);
	return r2 == 0 || r == -VMFS_ENOTVMFS ? r2 : r;
}

static int
write_block(struct disk *d, uint64_t block, const struct extent_info *e)
{
	cleanup_free void *buf = disk_buf_alloc(BLOCK_SIZE);

	if (buf == NULL)
		return -ENOMEM;
	extent_encode(buf, block, e);
	return write_lun(d, block << BLOCK_SHIFT, buf, BLOCK_SIZE);
}

/* In writes that every LUN takes. */
static int
zero_front(struct disk *lun)
{
	cleanup_free void *buf = disk_buf_alloc(CHUNK_SIZE);
	size_t step = CHUNK_SIZE;
	int r = 0;

	if (buf == NULL)
		return -ENOMEM;
	if (lun->info.max_transfer >= BLOCK_SIZE &&
	    lun->info.max_transfer < step)
		step = BLOCK_SIZE;
	for (uint64_t at = 0; r == 0 && at < (uint64_t)EXTENT_FRONT_BLOCKS *
	    BLOCK_SIZE; at += step)
		r = write_lun(lun, at, buf, step);
	return r;
}

int
extent_write(struct disk *lun, const struct extent_info *e)
{
	int r = zero_front(lun);

	if (r == 0)
		r = write_block(lun, EXTENT_COPY_0, e);
	if (r == 0)
		r = write_block(lun, EXTENT_COPY_1, e);
	return r;
}

int
extent_erase(struct disk *lun)
{
	return zero_front(lun);
}

/* Of a copy, like the LUN's own superblock says of the first. */
static bool
is_copy(const struct extent_info *e, const struct disk_info *lun)
{
	if (e->lun_serial[0] == '\0' || lun->serial[0] == '\0' ||
	    (strncmp(e->lun_serial, "file.", 5) == 0) !=
	    (strncmp(lun->serial, "file.", 5) == 0))
		return false;
	return strncmp(e->lun_serial, lun->serial,
	    sizeof(e->lun_serial) - 1) != 0;
}

int
extent_check(struct disk *lun, const struct super *s, unsigned i)
{
	const struct super_extent *x = &s->extent[i];
	struct extent_info e;
	int r = extent_read(lun, &e);

	if (r < 0)
		return r;
	if (!uuid_equal(&e.volume, &s->uuid) ||
	    !uuid_equal(&e.uuid, &x->uuid) || e.first_block != x->first_block)
		return -ENXIO;
	if (is_copy(&e, &lun->info))
		return -VMFS_ESTALE_VOLUME;
	if (lun->info.size_bytes >> BLOCK_SHIFT < x->lun_block + x->blocks)
		return -ERANGE;
	return 0;
}

/* ---- notes on the first LUN ---- */

int
extent_note_read(struct disk *first, const struct super *s, unsigned i,
    struct extent_info *ret_e)
{
	cleanup_free void *buf = disk_buf_alloc(BLOCK_SIZE);
	struct extent_info e;
	int r;

	if (buf == NULL)
		return -ENOMEM;
	for (unsigned n = 0; n < EXTENT_NOTES; n++) {
		r = read_block(first, EXTENT_NOTE_BLOCK + n, buf, &e);
		if (r == -VMFS_ENOTVMFS || r == -VMFS_ECORRUPT)
			continue;
		if (r < 0)
			return r;
		if (uuid_equal(&e.volume, &s->uuid) &&
		    uuid_equal(&e.uuid, &s->extent[i].uuid)) {
			*ret_e = e;
			return 0;
		}
	}
	return -ENOENT;
}

static bool
in_table(const struct super *s, const struct uuid *uuid)
{
	for (unsigned i = 1; i < s->extents; i++)
		if (uuid_equal(&s->extent[i].uuid, uuid))
			return true;
	return false;
}

int
extent_note_write(struct disk *first, const struct super *s,
    const struct extent_info *e)
{
	cleanup_free void *buf = disk_buf_alloc(BLOCK_SIZE);
	struct extent_info old;
	int r;

	if (buf == NULL)
		return -ENOMEM;
	for (unsigned n = 0; n < EXTENT_NOTES; n++) {
		r = read_block(first, EXTENT_NOTE_BLOCK + n, buf, &old);
		if (r < 0 && r != -VMFS_ENOTVMFS && r != -VMFS_ECORRUPT)
			return r;
		if (r == 0 && in_table(s, &old.uuid) &&
		    !uuid_equal(&old.uuid, &e->uuid))
			continue;
		return write_block(first, EXTENT_NOTE_BLOCK + n, e);
	}
	return -VMFS_ELIMIT;
}
