/* SPDX-License-Identifier: BSD-2-Clause */
/* Compare-and-write with read-back. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/format/lockrec.h"
#include "locking/caw.h"

/* Attempts before the outcome is called unknown. */
#define CAW_TRIES 16
/* Reads that time out before the LUN is taken to be out of reach. */
#define READ_TRIES 3

int
caw_init(struct caw *c, struct disk *disk, uint64_t block, uint32_t sector)
{
	uint8_t *buf = disk_buf_alloc(3 * (size_t)BLOCK_SIZE);

	if (buf == NULL)
		return -ENOMEM;
	*c = (struct caw){
		.disk = disk, .block = block, .sector = sector,
		.old = buf, .image = buf + BLOCK_SIZE,
		.found = buf + 2 * (size_t)BLOCK_SIZE,
	};
	return 0;
}

void
caw_fini(struct caw *c)
{
	free(c->old);
	c->old = c->image = c->found = NULL;
}

static int
read_sector(struct caw *c, void *buf)
{
	int rc = 0, unknown = 0;

	for (int i = 0; i < CAW_TRIES && unknown < READ_TRIES; i++) {
		rc = disk_read(c->disk, c->block * BLOCK_SIZE, buf, c->sector);
		if (rc != -VMFS_EATTENTION && rc != -VMFS_EUNKNOWN)
			break;
		unknown += rc == -VMFS_EUNKNOWN;
	}
	return rc;
}

/* 1, 2, 4 and 8 ms: who writes may be interrupted in the middle. */
void
record_pause(unsigned i)
{
	assert(i > 0 && i < RECORD_LOOKS);
	fiber_sleep(NSEC_PER_MSEC << (i - 1));
}

static int
read_record(struct caw *c, void *buf)
{
	int rc = read_sector(c, buf);

	for (unsigned i = 1; i < RECORD_LOOKS && rc == 0 &&
	    !record_is_whole(buf); i++) {
		record_pause(i);
		rc = read_sector(c, buf);
	}
	return rc;
}

static int
loaded(struct caw *c, int rc)
{
	if (rc == 0)
		memcpy(c->image, c->old, c->sector);
	return rc;
}

int
caw_load(struct caw *c)
{
	return loaded(c, read_record(c, c->old));
}

int
caw_load_any(struct caw *c)
{
	return loaded(c, read_sector(c, c->old));
}

enum verdict { WON, AGAIN, LOST };

/* What the record that was read back means. */
static enum verdict
judge(struct caw *c)
{
	if (memcmp(c->found, c->image, LOCK_RECORD_SIZE) == 0) {
		memcpy(c->old, c->found, c->sector);
		return WON;
	}
	if (memcmp(c->found, c->old, LOCK_RECORD_SIZE) == 0) {
		/* What lies behind the record may have moved on. */
		memcpy(c->old, c->found, c->sector);
		memcpy(c->image + LOCK_RECORD_SIZE, c->found +
		    LOCK_RECORD_SIZE, c->sector - LOCK_RECORD_SIZE);
		return AGAIN;
	}
	memcpy(c->old, c->found, c->sector);
	memcpy(c->image, c->found, c->sector);
	return LOST;
}

int
caw_commit(struct caw *c)
{
	int rc = -VMFS_EUNKNOWN;

	for (int i = 0; i < CAW_TRIES; i++) {
		int back;

		rc = disk_caw(c->disk, c->block * BLOCK_SIZE, c->old, c->image,
		    c->sector);
		if (rc == 0) {
			memcpy(c->old, c->image, c->sector);
			return 0;
		}
		if (rc == -VMFS_EATTENTION)
			continue;
		if (rc != -VMFS_EMISCOMPARE && rc != -VMFS_EUNKNOWN)
			return rc;
		back = read_record(c, c->found);
		if (back < 0)
			return back;
		switch (judge(c)) {
		case WON:
			return 0;
		case LOST:
			return -VMFS_EMISCOMPARE;
		case AGAIN:
			break;
		}
	}
	return rc == -VMFS_EMISCOMPARE ? -VMFS_EUNKNOWN : rc;
}
