/* SPDX-License-Identifier: BSD-2-Clause */
/* What command handlers use: results, checks, disk I/O from a fiber. */
#include "iscsi/scsi/cmd.h"

#include <stdlib.h>

#include "iscsi/scsi/rod.h"

bool
scsi_cmd_status(struct scsi_cmd *c, enum scsi_status status)
{
	c->task->status = status;
	return true;
}

bool
scsi_cmd_fail(struct scsi_cmd *c, uint32_t code)
{
	c->sense = (struct scsi_sense){ .code = code };
	return scsi_cmd_status(c, SCSI_CHECK_CONDITION);
}

bool
scsi_cmd_bad_cdb(struct scsi_cmd *c, uint16_t byte)
{
	scsi_cmd_fail(c, SENSE_INVALID_CDB_FIELD);
	c->sense.field_valid = true;
	c->sense.field_in_cdb = true;
	c->sense.field = byte;
	return true;
}

bool
scsi_cmd_bad_parameter(struct scsi_cmd *c, uint16_t byte)
{
	scsi_cmd_fail(c, SENSE_INVALID_PARAMETER_FIELD);
	c->sense.field_valid = true;
	c->sense.field = byte;
	return true;
}

static uint32_t
disk_error_sense(int error, enum disk_op op)
{
	switch (-error) {
	case VMFS_EMISCOMPARE:
		return SENSE_MISCOMPARE;
	case VMFS_EUNKNOWN:
	case ETIMEDOUT:
		return SENSE_OUTCOME_UNKNOWN;
	case VMFS_EGONE:
	case ENODEV:
		return SENSE_LUN_NOT_SUPPORTED;
	case VMFS_EFENCED:
	case EAGAIN:
		return SENSE_LU_COMMUNICATION;
	case ENOSPC:
		return SENSE_SPACE_FAILED;
	case EROFS:
		return SENSE_WRITE_PROTECTED;
	case EIO:
	case VMFS_ECORRUPT:
		return op == DISK_READ ? SENSE_READ_ERROR : SENSE_WRITE_ERROR;
	default:
		return SENSE_TARGET_FAILURE;
	}
}

bool
scsi_cmd_disk_failed(struct scsi_cmd *c, const struct disk_req *req)
{
	/* Retried by the initiator, as the source did not execute it. */
	if (req->result == -VMFS_EATTENTION || req->result == -ENOMEM)
		return scsi_cmd_status(c, SCSI_BUSY);
	if (req->result == -VMFS_ECONFLICT)
		return scsi_cmd_status(c, SCSI_RESERVATION_CONFLICT);
	scsi_cmd_fail(c, disk_error_sense(req->result, req->op));
	if (req->result == -VMFS_EMISCOMPARE) {
		c->sense.info_valid = true;
		c->sense.info = req->sense.info;
	}
	return true;
}

uint8_t *
scsi_cmd_reply(struct scsi_cmd *c, size_t size)
{
	c->task->data_in = calloc(1, size);
	if (c->task->data_in == NULL)
		scsi_cmd_status(c, SCSI_BUSY);
	return c->task->data_in;
}

bool
scsi_cmd_replied(struct scsi_cmd *c, size_t len, size_t allocation)
{
	c->task->data_in_len = len < allocation ? len : allocation;
	return true;
}

bool
scsi_cmd_in_range(struct scsi_cmd *c, uint64_t lba, uint64_t blocks)
{
	if (lba > c->lu->blocks || blocks > c->lu->blocks - lba) {
		scsi_cmd_fail(c, SENSE_LBA_OUT_OF_RANGE);
		return false;
	}
	return true;
}

bool
scsi_cmd_extent(struct scsi_cmd *c, uint64_t *ret_lba, uint32_t *ret_blocks)
{
	const uint8_t *cdb = c->task->cdb;
	uint64_t lba;
	uint32_t blocks;

	/* RDPROTECT, WRPROTECT, VRPROTECT: there is no such information. */
	if (c->op->len > 6 && (cdb[1] & 0xe0)) {
		scsi_cmd_bad_cdb(c, 1);
		return false;
	}
	cdb_extent(cdb, &lba, &blocks);
	if (!scsi_cmd_in_range(c, lba, blocks))
		return false;
	if ((uint64_t)blocks * c->lu->block_size > SCSI_TRANSFER_MAX) {
		scsi_cmd_bad_cdb(c, c->op->len == 10 ? 7 : 10);
		return false;
	}
	*ret_lba = lba;
	*ret_blocks = blocks;
	return true;
}

/* ---- ranges ---- */

/* Whoever releases or cancels may be on another thread, with the lock. */
static void
cmd_range_told(struct range_lock *r, bool granted)
{
	struct scsi_cmd *c = container_of(r, struct scsi_cmd, range);

	(void)granted;
	sched_post(c->sched, &c->kick);
}

int
scsi_cmd_range(struct scsi_cmd *c, void (*decided)(void *arg))
{
	int rc;

	c->range.fn = cmd_range_told;
	c->kick = (struct sched_work){ .fn = decided, .arg = c };
	shared_enter(&c->lu->lock);
	if (c->aborted)
		rc = -ECANCELED;
	else
		rc = range_acquire(&c->lu->ranges, &c->range) ? 0 : -EAGAIN;
	if ((c->op->flags & OP_WRITES) && !list_empty(&c->lu->rods))
		rods_written(c->lu, c->range.start, c->range.count);
	shared_leave(&c->lu->lock);
	return rc;
}

/* ---- for fibers ---- */

static void
cmd_range_decided(void *arg)
{
	struct scsi_cmd *c = arg;

	c->range_decided = true;
	fiber_unpark(c->fiber);
}

int
scsi_cmd_lock(struct scsi_cmd *c, uint64_t lba, uint64_t blocks, bool exclusive)
{
	int rc;

	c->range.start = lba;
	c->range.count = blocks;
	c->range.exclusive = exclusive;
	c->fiber = fiber_self();
	c->range_decided = false;
	rc = scsi_cmd_range(c, cmd_range_decided);
	if (rc != -EAGAIN)
		return rc;
	while (!c->range_decided)
		fiber_park();
	return c->aborted ? -ECANCELED : 0;
}

void
scsi_cmd_unlock(struct scsi_cmd *c)
{
	shared_enter(&c->lu->lock);
	range_release(&c->range);
	shared_leave(&c->lu->lock);
}

int
scsi_cmd_disk(struct scsi_cmd *c, struct disk_req *req)
{
	int rc;

	if (c->aborted)
		return -ECANCELED;
	rc = disk_run(c->lu->disk, req);
	if (rc != 0)
		scsi_cmd_disk_failed(c, req);
	return rc;
}

static size_t
cmd_step(const struct scsi_cmd *c, size_t len)
{
	uint32_t max = c->lu->disk->info.max_transfer;

	return max != 0 && len > max ? max : len;
}

static int
cmd_transfer(struct scsi_cmd *c, enum disk_op op, uint64_t offset,
    uint8_t *buf, size_t len, unsigned flags)
{
	while (len > 0) {
		size_t step = cmd_step(c, len);
		struct iovec iov = { .iov_base = buf, .iov_len = step };
		struct disk_req req = {
			.op = op, .flags = flags, .offset = offset,
			.length = step, .iov = &iov, .iovcnt = 1,
		};
		int rc = scsi_cmd_disk(c, &req);

		if (rc != 0)
			return rc;
		buf += step;
		offset += step;
		len -= step;
	}
	return 0;
}

int
scsi_cmd_read(struct scsi_cmd *c, uint64_t offset, void *buf, size_t len)
{
	return cmd_transfer(c, DISK_READ, offset, buf, len, 0);
}

int
scsi_cmd_write(struct scsi_cmd *c, uint64_t offset, const void *buf,
    size_t len, unsigned flags)
{
	/* An iovec has no const; a DISK_WRITE only reads. */
	return cmd_transfer(c, DISK_WRITE, offset,
	    (uint8_t *)(uintptr_t)buf, len, flags);
}
