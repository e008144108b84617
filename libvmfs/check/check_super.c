/* SPDX-License-Identifier: BSD-2-Clause */
/* Superblock copies. */
#include <stdlib.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/check/check_priv.h"
#include "libvmfs/core/ds.h"
#include "libvmfs/core/extents.h"

static int
check_super_copy(struct check *c, unsigned n, uint64_t block, void *buf)
{
	struct super s;
	int rc;

	rc = disk_read(c->conf->disk, block * BLOCK_SIZE, buf, BLOCK_SIZE);
	if (rc == 0)
		rc = super_decode(buf, block, &s);
	if (rc == 0 && uuid_equal(&s.uuid, &c->super.uuid) &&
	    s.generation == c->super.generation)
		return 0;
	if (c->conf->repair) {
		super_encode(buf, block, &c->super);
		rc = disk_write(c->conf->disk, block * BLOCK_SIZE, buf,
		    BLOCK_SIZE, 0);
		if (rc != 0)
			return rc;
	}
	check_report(c, CHECK_SUPER_COPY, CHECK_HARMLESS, block,
	    c->conf->repair, "superblock copy %u at block %llu is damaged or "
	    "out of date; the other copies are good", n,
	    (unsigned long long)block);
	return 0;
}

/* ---- further LUNs ---- */

/* One of its copies; what they should say is in e. */
static int
check_extent_copy(struct check *c, unsigned i, struct disk *lun,
    uint64_t block, const struct extent_info *e, const char *good, void *buf)
{
	struct extent_info now;
	int rc;

	rc = disk_read(lun, block * BLOCK_SIZE, buf, BLOCK_SIZE);
	if (rc == 0)
		rc = extent_decode(buf, block, &now);
	if (rc == 0 && uuid_equal(&now.volume, &e->volume) &&
	    uuid_equal(&now.uuid, &e->uuid) &&
	    now.first_block == e->first_block)
		return 0;
	if (rc < 0 && rc != -VMFS_ENOTVMFS && rc != -VMFS_ECORRUPT)
		return rc;
	if (c->conf->repair) {
		extent_encode(buf, block, e);
		rc = disk_write(lun, block * BLOCK_SIZE, buf, BLOCK_SIZE, 0);
		if (rc != 0)
			return rc;
	}
	check_report(c, CHECK_EXTENT, CHECK_HARMLESS, block, c->conf->repair,
	    "on the LUN of extent %u the block %llu that says so is damaged; "
	    "%s is good", i, (unsigned long long)block, good);
	return 0;
}

static int
check_extent_note(struct check *c, unsigned i, const struct extent_info *e)
{
	struct extent_info note;
	int rc = extent_note_read(c->conf->disk, &c->super, i, &note);

	if (rc != -ENOENT)
		return rc;
	if (c->conf->repair)
		rc = extent_note_write(c->conf->disk, &c->super, e);
	if (rc != 0 && rc != -ENOENT)
		return rc;
	check_report(c, CHECK_EXTENT, CHECK_HARMLESS, EXTENT_NOTE_BLOCK,
	    c->conf->repair, "the first LUN has no note of where extent %u is",
	    i);
	return 0;
}

static int
check_extent(struct check *c, unsigned i, void *buf)
{
	struct disk *lun = c->conf->extents == NULL ? NULL :
	    extents_lun(c->conf->extents, &c->super.extent[i].uuid);
	const char *good = "the other copy";
	struct extent_info e;
	int rc;

	if (lun == NULL)
		return -VMFS_EEXTENT;
	rc = extent_read(lun, &e);
	if (rc == -VMFS_ENOTVMFS || rc == -VMFS_ECORRUPT) {
		good = "the note on the first LUN";
		rc = extent_note_read(c->conf->disk, &c->super, i, &e);
	}
	if (rc == 0)
		rc = check_extent_copy(c, i, lun, EXTENT_COPY_0, &e, good,
		    buf);
	if (rc == 0)
		rc = check_extent_copy(c, i, lun, EXTENT_COPY_1, &e, good,
		    buf);
	return rc == 0 ? check_extent_note(c, i, &e) : rc;
}

int
check_supers(struct check *c)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	uint64_t copy[3];
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	check_progress(c, "superblocks", 0);
	rc = super_read(c->conf->disk, &c->super);
	if (rc != 0)
		return rc;
	copy[0] = SUPER_BLOCK_0;
	copy[1] = SUPER_BLOCK_1;
	copy[2] = c->super.copy2_block;
	for (unsigned i = 0; i < 3 && rc == 0; i++)
		rc = check_super_copy(c, i, copy[i], buf);
	for (unsigned i = 1; i < c->super.extents && rc == 0; i++)
		rc = check_extent(c, i, buf);
	return rc;
}
