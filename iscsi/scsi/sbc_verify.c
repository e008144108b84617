/* SPDX-License-Identifier: BSD-2-Clause */
/* VERIFY and WRITE AND VERIFY, all CDB sizes. */
#include <stdlib.h>
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/cleanup.h"

/* BYTCHK, SBC-3 table 108. */
enum {
	CHECK_READABLE = 0,
	CHECK_ALL = 1,		/* data-out is the blocks */
	CHECK_SAME = 3,		/* data-out is one block, that of each */
};

static bool
miscompare(struct scsi_cmd *c, size_t offset)
{
	scsi_cmd_fail(c, SENSE_MISCOMPARE);
	c->sense.info_valid = true;
	c->sense.info = offset;
	return true;
}

/* Compares len bytes, expect repeating after period bytes. */
static bool
compare(struct scsi_cmd *c, const uint8_t *found, const uint8_t *expect,
    size_t len, size_t period)
{
	for (size_t at = 0; at < len; at += period) {
		size_t n = len - at < period ? len - at : period;

		if (memcmp(found + at, expect, n) == 0)
			continue;
		for (size_t i = 0; i < n; i++) {
			if (found[at + i] != expect[i])
				return miscompare(c, at + i);
		}
	}
	return true;
}

static bool
verify_blocks(struct scsi_cmd *c, uint64_t lba, uint64_t len, uint8_t check)
{
	const struct scsi_task *t = c->task;
	uint32_t bs = c->lu->block_size;
	cleanup_free uint8_t *found = NULL;

	/* Short data-out: what came is compared. */
	if (check == CHECK_ALL && t->data_out_len < len)
		len = t->data_out_len / bs * bs;
	if (check == CHECK_SAME && t->data_out_len < bs)
		return true;
	if (len == 0)
		return true;
	found = disk_buf_alloc(len);
	if (found == NULL)
		return scsi_cmd_status(c, SCSI_BUSY);
	if (scsi_cmd_read(c, lba * bs, found, len) != 0)
		return true;
	if (check == CHECK_READABLE)
		return true;
	return compare(c, found, t->data_out, len,
	    check == CHECK_SAME ? bs : len);
}

bool
scsi_verify(struct scsi_cmd *c)
{
	uint8_t check = (c->task->cdb[1] >> 1) & 3;
	uint64_t lba;
	uint32_t blocks;

	if (!scsi_cmd_extent(c, &lba, &blocks))
		return true;
	if (check == 2)
		return scsi_cmd_bad_cdb(c, 1);
	if (scsi_cmd_lock(c, lba, blocks, false) != 0)
		return true;
	return verify_blocks(c, lba, (uint64_t)blocks * c->lu->block_size,
	    check);
}

/* The blocks are durable and read back, compared with BYTCHK = 1. */
bool
scsi_write_and_verify(struct scsi_cmd *c)
{
	const struct scsi_task *t = c->task;
	uint8_t check = (t->cdb[1] >> 1) & 3;
	uint32_t bs = c->lu->block_size;
	uint64_t lba, len;
	uint32_t blocks;

	if (!scsi_cmd_extent(c, &lba, &blocks))
		return true;
	if (check > CHECK_ALL)
		return scsi_cmd_bad_cdb(c, 1);
	if (t->data_out_len / bs < blocks)
		blocks = (uint32_t)(t->data_out_len / bs);
	len = (uint64_t)blocks * bs;
	if (len == 0 || scsi_cmd_lock(c, lba, blocks, false) != 0)
		return true;
	c->written_bytes = len;
	if (scsi_cmd_write(c, lba * bs, t->data_out, len, DISK_FUA) != 0)
		return true;
	return verify_blocks(c, lba, len, check);
}
