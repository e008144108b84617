/* SPDX-License-Identifier: BSD-2-Clause */
/* WRITE SAME(10) and (16), SBC-3 5.44, 5.45. */
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/cleanup.h"

enum { SAME_NDOB = 0x01, SAME_UNMAP = 0x08 };
#define SAME_STEP ((uint64_t)1 << 20)
/* One request, which cannot be aborted. */
#define ZEROES_STEP ((uint64_t)1 << 30)

static bool
is_zero(const uint8_t *p, size_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* False: not done, write a pattern of zeroes instead. */
static bool
same_zeroes(struct scsi_cmd *c, uint64_t lba, uint64_t blocks, bool unmap)
{
	uint32_t bs = c->lu->block_size;
	struct disk_req req = {
		.op = DISK_WRITE_ZEROES, .offset = lba * bs,
		.flags = unmap ? DISK_MAY_UNMAP : 0,
	};

	for (uint64_t left = blocks * bs; left > 0; left -= req.length) {
		req.offset += req.length;
		req.length = left < ZEROES_STEP ? left : ZEROES_STEP;
		if (scsi_cmd_disk(c, &req) == 0)
			continue;
		if (req.result != -EOPNOTSUPP)
			break;
		scsi_cmd_status(c, SCSI_GOOD);
		return false;
	}
	return true;
}

/* One buffer full of the block, written again and again. */
static bool
same_pattern(struct scsi_cmd *c, uint64_t lba, uint64_t blocks,
    const uint8_t *block)
{
	uint32_t bs = c->lu->block_size;
	uint64_t left = blocks * bs, offset = lba * bs;
	size_t step = left < SAME_STEP ? left : SAME_STEP;
	cleanup_free uint8_t *buf = disk_buf_alloc(step);

	if (buf == NULL)
		return scsi_cmd_status(c, SCSI_BUSY);
	for (size_t at = 0; block != NULL && at < step; at += bs)
		memcpy(buf + at, block, bs);
	for (; left > 0; left -= step, offset += step) {
		if (left < step)
			step = left;
		if (scsi_cmd_write(c, offset, buf, step, 0) != 0)
			return true;
	}
	return true;
}

static bool
same_flags_ok(struct scsi_cmd *c)
{
	uint8_t flags = c->task->cdb[1];
	uint8_t known = SAME_UNMAP | (c->op->len == 16 ? SAME_NDOB : 0);

	/* Protection, ANCHOR without resources, PBDATA, LBDATA. */
	if ((flags & ~known) || ((flags & SAME_UNMAP) && !c->lu->thin)) {
		scsi_cmd_bad_cdb(c, 1);
		return false;
	}
	return true;
}

/* False: sense is set. */
static bool
same_extent(struct scsi_cmd *c, uint64_t *ret_lba, uint64_t *ret_blocks)
{
	const struct scsi_lu *lu = c->lu;
	uint64_t lba, count;
	uint32_t blocks;

	cdb_extent(c->task->cdb, &lba, &blocks);
	if (!scsi_cmd_in_range(c, lba, blocks))
		return false;
	count = blocks;
	if (blocks == 0 && lu->same_to_end)
		count = lu->blocks - lba;
	if ((blocks == 0 && !lu->same_to_end) ||
	    blocks > lu_write_same_max(lu)) {
		scsi_cmd_bad_cdb(c, c->op->len == 10 ? 7 : 10);
		return false;
	}
	if (count == 0) {
		scsi_cmd_fail(c, SENSE_LBA_OUT_OF_RANGE);
		return false;
	}
	*ret_lba = lba;
	*ret_blocks = count;
	return true;
}

bool
scsi_write_same(struct scsi_cmd *c)
{
	const struct scsi_task *t = c->task;
	const uint8_t *block = NULL;
	uint64_t lba, blocks;

	if (!same_flags_ok(c) || !same_extent(c, &lba, &blocks))
		return true;
	if (t->data_out_wanted > 0 && !is_zero(t->data_out, c->lu->block_size))
		block = t->data_out;
	if (scsi_cmd_lock(c, lba, blocks, false) != 0)
		return true;
	if (block == NULL &&
	    same_zeroes(c, lba, blocks, t->cdb[1] & SAME_UNMAP))
		return true;
	return same_pattern(c, lba, blocks, block);
}
