/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * COMPARE AND WRITE (SBC-3 5.2) and ORWRITE(16) (SBC-3 5.10).
 *
 * Both hold their blocks exclusively, so that no other command of this unit
 * comes between reading and writing them.  Where the disk compares and writes
 * by itself that is used, as others may share it.
 */
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/cleanup.h"

static unsigned
fua_flag(const struct scsi_cmd *c)
{
	return c->task->cdb[1] & 0x08 ? DISK_FUA : 0;
}

static bool
caw_by_disk(struct scsi_cmd *c, uint64_t offset, size_t len)
{
	const uint8_t *data = c->task->data_out;
	struct iovec iov = {
		.iov_base = (uint8_t *)(uintptr_t)(data + len), .iov_len = len,
	};
	struct disk_req req = {
		.op = DISK_CAW, .flags = fua_flag(c), .offset = offset,
		.length = len, .iov = &iov, .iovcnt = 1, .expect = data,
	};

	/* scsi_cmd_disk sets the sense. */
	(void)!scsi_cmd_disk(c, &req);
	return true;
}

static bool
caw_by_hand(struct scsi_cmd *c, uint64_t offset, size_t len)
{
	const uint8_t *data = c->task->data_out;
	cleanup_free uint8_t *found = disk_buf_alloc(len);
	size_t same = 0;

	if (found == NULL)
		return scsi_cmd_status(c, SCSI_BUSY);
	if (scsi_cmd_read(c, offset, found, len) != 0)
		return true;
	while (same < len && found[same] == data[same])
		same++;
	if (same < len) {
		scsi_cmd_fail(c, SENSE_MISCOMPARE);
		c->sense.info_valid = true;
		c->sense.info = same;
		return true;
	}
	(void)!scsi_cmd_write(c, offset, data + len, len, fua_flag(c));
	return true;
}

bool
scsi_compare_and_write(struct scsi_cmd *c)
{
	const uint8_t *cdb = c->task->cdb;
	uint32_t bs = c->lu->block_size;
	uint32_t blocks = cdb[13];
	uint64_t lba, offset;
	uint32_t reserved;

	cdb_extent(cdb, &lba, &reserved);
	if (cdb[1] & 0xe0)
		return scsi_cmd_bad_cdb(c, 1);
	if (blocks > c->lu->caw_blocks_max)
		return scsi_cmd_bad_cdb(c, 13);
	if (!scsi_cmd_in_range(c, lba, blocks) || blocks == 0)
		return true;
	c->written_bytes = blocks * bs;
	if (scsi_cmd_lock(c, lba, blocks, true) != 0)
		return true;
	offset = lba * bs;
	if (c->lu->caps & DISK_CAP_CAW)
		return caw_by_disk(c, offset, blocks * bs);
	return caw_by_hand(c, offset, blocks * bs);
}

bool
scsi_orwrite(struct scsi_cmd *c)
{
	const struct scsi_task *t = c->task;
	uint32_t bs = c->lu->block_size;
	cleanup_free uint8_t *found = NULL;
	uint64_t lba;
	uint32_t blocks;
	size_t len;

	if (!scsi_cmd_extent(c, &lba, &blocks))
		return true;
	if (t->data_out_len / bs < blocks)
		blocks = (uint32_t)(t->data_out_len / bs);
	if (blocks == 0 || scsi_cmd_lock(c, lba, blocks, true) != 0)
		return true;
	len = (size_t)blocks * bs;
	found = disk_buf_alloc(len);
	if (found == NULL)
		return scsi_cmd_status(c, SCSI_BUSY);
	if (scsi_cmd_read(c, lba * bs, found, len) != 0)
		return true;
	for (size_t i = 0; i < len; i++)
		found[i] |= t->data_out[i];
	c->written_bytes = len;
	(void)!scsi_cmd_write(c, lba * bs, found, len, fua_flag(c));
	return true;
}
