/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * READ and WRITE, all CDB sizes, without a fiber: a chain of disk requests
 * under a shared range, one after the other where the disk limits transfers.
 */
#include "iscsi/scsi/cmd.h"
#include "iscsi/scsi/copy.h"
#include "libvmfs/base/be.h"
#include "libvmfs/env/iobuf.h"

static void rw_next(struct scsi_cmd *c);

static void
rw_done(struct disk_req *req)
{
	struct scsi_cmd *c = req->arg;

	if (req->result != 0) {
		scsi_cmd_disk_failed(c, req);
		scsi_cmd_finish(c);
		return;
	}
	c->offset += req->length;
	c->data += req->length;
	c->left -= req->length;
	if (c->left == 0 || c->aborted)
		scsi_cmd_finish(c);
	else
		rw_next(c);
}

static void
rw_next(struct scsi_cmd *c)
{
	uint32_t max = c->lu->disk->info.max_transfer;

	c->iov.iov_base = c->data;
	c->iov.iov_len = max != 0 && c->left > max ? max : c->left;
	c->req.offset = c->offset;
	c->req.length = c->iov.iov_len;
	c->req.iov = &c->iov;
	c->req.iovcnt = 1;
	disk_submit(c->lu->disk, &c->req);
}

static void
rw_range_decided(void *arg)
{
	struct scsi_cmd *c = arg;

	if (c->aborted)
		scsi_cmd_finish(c);
	else
		rw_next(c);
}

static bool
rw_start(struct scsi_cmd *c, uint64_t lba, uint64_t blocks)
{
	c->offset = lba * c->lu->block_size;
	c->req.done = rw_done;
	c->req.arg = c;
	c->range.start = lba;
	c->range.count = blocks;
	switch (scsi_cmd_range(c, rw_range_decided)) {
	case 0:
		rw_next(c);
		return false;
	case -EAGAIN:
		return false;
	default:
		return true;
	}
}

/* False: too much data is held already. */
static bool
buffer_take(struct scsi_cmd *c, uint64_t bytes)
{
	if (!nexus_data_take(c->nexus->data, bytes))
		return false;
	c->held = c->nexus->data;
	c->buffered = bytes;
	return true;
}

bool
scsi_read(struct scsi_cmd *c)
{
	uint64_t lba;
	uint32_t blocks;

	if (!scsi_cmd_extent(c, &lba, &blocks) || blocks == 0)
		return true;
	if (c->task->share != NULL)
		return copy_share_read(c);
	c->left = (uint64_t)blocks * c->lu->block_size;
	if (!buffer_take(c, c->left))
		return scsi_cmd_status(c, SCSI_TASK_SET_FULL);
	/* Not zeroed: a read that does not fill it returns no data. */
	c->data = iobuf_get(c->left, &c->task->data_in_room);
	if (c->data == NULL)
		return scsi_cmd_status(c, SCSI_BUSY);
	c->task->data_in = c->data;
	c->task->data_in_len = c->left;
	c->read_bytes = c->left;
	c->req.op = DISK_READ;
	return rw_start(c, lba, blocks);
}

static bool
write_start(struct scsi_cmd *c, uint64_t lba, uint32_t blocks)
{
	const struct scsi_task *t = c->task;

	c->left = (uint64_t)blocks * c->lu->block_size;
	/* An iovec has no const; a DISK_WRITE only reads. */
	c->data = (uint8_t *)(uintptr_t)t->data_out;
	c->written_bytes = c->left;
	c->req.op = DISK_WRITE;
	if (c->op->len > 6 && (t->cdb[1] & 0x08))
		c->req.flags = DISK_FUA;
	return rw_start(c, lba, blocks);
}

/* Writes the whole blocks that came, if they are fewer than the CDB says:
 * RFC 7143 11.4.5.1 leaves the rest to the residual count. */
bool
scsi_write(struct scsi_cmd *c)
{
	struct scsi_task *t = c->task;
	uint32_t bs = c->lu->block_size;
	uint64_t lba;
	uint32_t blocks;

	if (!scsi_cmd_extent(c, &lba, &blocks))
		return true;
	if (t->share != NULL)
		return copy_share_write(c, lba, blocks);
	if (t->data_out_len / bs < blocks)
		blocks = (uint32_t)(t->data_out_len / bs);
	if (blocks == 0)
		return true;
	return write_start(c, lba, blocks);
}

/* MAXIMUM ATOMIC TRANSFER LENGTH, ATOMIC ALIGNMENT and GRANULARITY, VPD B0h. */
static bool
atomic_extent_ok(struct scsi_cmd *c, uint64_t lba, uint32_t blocks)
{
	uint32_t unit = 1U << lu_physical_exponent(c->lu);

	if (lba % unit != 0)
		scsi_cmd_bad_cdb(c, 2);
	else if (blocks % unit != 0 || blocks > c->lu->atomic_blocks_max)
		scsi_cmd_bad_cdb(c, 12);
	else
		return true;
	return false;
}

/*
 * WRITE ATOMIC(16), SBC-4 5.48: no read or write of the unit sees a part of
 * it, nor does who reads after a crash.  Half of the data is not written.
 */
bool
scsi_write_atomic(struct scsi_cmd *c)
{
	const struct scsi_task *t = c->task;
	uint64_t lba;
	uint32_t blocks;

	if (be16_load(t->cdb + 10) != 0)	/* ATOMIC BOUNDARY */
		return scsi_cmd_bad_cdb(c, 10);
	if (!scsi_cmd_extent(c, &lba, &blocks) ||
	    !atomic_extent_ok(c, lba, blocks) || blocks == 0)
		return true;
	if (t->data_out_len < (uint64_t)blocks * c->lu->block_size)
		return scsi_cmd_fail(c, SENSE_DATA_OUT_LENGTH);
	c->range.exclusive = true;
	return write_start(c, lba, blocks);
}
