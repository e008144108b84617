/* SPDX-License-Identifier: BSD-2-Clause */
/* Superblock copies. */
#include <stdlib.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/check/check_priv.h"
#include "libvmfs/core/ds.h"

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
	return rc;
}
