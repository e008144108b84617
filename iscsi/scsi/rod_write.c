/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * WRITE USING TOKEN, SBC-4 5.59.
 *
 * Data is read from the unit that the token belongs to, in the name of who
 * made it, and written as any WRITE of the nexus.  After each read the token
 * is looked at again: what came from blocks that changed is not written.
 */
#include <stdlib.h>
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "iscsi/scsi/rod.h"
#include "libvmfs/base/be.h"
#include "libvmfs/base/cleanup.h"

enum {
	HEAD_LEN = 536, DATA_LENGTH_MIN = 0x226, OFFSET_AT = 8, TOKEN_AT = 16,
};
enum { FLAG_IMMED = 0x01, FLAG_DELETE = 0x02 };
enum { SAME_UNMAP_NDOB = 0x09, SAME_NDOB = 0x01 };
#define STEP ((uint64_t)1 << 20)

struct transfer {
	struct scsi_cmd *c;
	struct copy_op *op;
	struct rod *rod;	/* NULL: zeroes */
	unsigned lun;
	uint64_t from;		/* bytes into what the token stands for */
	uint8_t *buf;		/* STEP bytes */
};

/* Number of whole descriptors; 0: sense is set. */
static unsigned
list_check(struct scsi_cmd *c)
{
	if (be16_load(c->task->data_out) >= DATA_LENGTH_MIN)
		return copy_ranges_count(c, HEAD_LEN, ROD_RANGES_MAX);
	scsi_cmd_bad_parameter(c, 0);
	return 0;
}

/* ---- reading ---- */

/* Up to len bytes at `at` of a range, blocks of which begin at lba; as much
 * as one command takes.  0: sense is set. */
static size_t
fetch_blocks(struct transfer *t, uint64_t lba, uint64_t at, uint8_t *to,
    size_t len)
{
	uint32_t bs = t->rod->lu->block_size;
	uint64_t first = at / bs, blocks = (at + len + bs - 1) / bs - first;
	size_t skip = at % bs, got = 0;
	struct copy_inner i = { .fiber = NULL };

	copy_inner_run(t->c, &i, 0x88, 0, 0, t->rod, lba + first,
	    (uint32_t)blocks);
	t->op->counter++;
	if (i.task.status != SCSI_GOOD) {
		copy_inner_failed(t->c, &i);
	} else if (rod_sense(t->rod) != SENSE_NONE) {
		scsi_cmd_fail(t->c, rod_sense(t->rod));
	} else {
		memcpy(to, i.task.data_in + skip, len);
		got = len;
	}
	copy_inner_fini(&i);
	return got;
}

/* What the token stands for, at t->from; zeroes behind its end. */
static bool
fetch(struct transfer *t, uint8_t *to, size_t len)
{
	uint32_t bs = t->rod->lu->block_size;
	uint64_t base = 0, at = t->from;

	for (unsigned i = 0; i < t->rod->range_count && len > 0; i++) {
		const struct copy_range *r = &t->rod->ranges[i];
		uint64_t bytes = (uint64_t)r->blocks * bs;
		size_t part;

		if (at >= base + bytes) {
			base += bytes;
			continue;
		}
		part = base + bytes - at < len ? base + bytes - at : len;
		if (fetch_blocks(t, r->lba, at - base, to, part) == 0)
			return false;
		base += bytes;
		at += part;
		to += part;
		len -= part;
	}
	memset(to, 0, len);
	return true;
}

/* ---- writing ---- */

static bool
put_zeroes(struct transfer *t, uint64_t lba, uint64_t bytes)
{
	const struct scsi_lu *lu = t->c->lu;
	struct copy_inner i = { .fiber = NULL };
	bool ok;

	copy_inner_run(t->c, &i, 0x93, lu->thin ? SAME_UNMAP_NDOB : SAME_NDOB,
	    t->lun, NULL, lba, (uint32_t)(bytes / lu->block_size));
	t->op->counter++;
	ok = i.task.status == SCSI_GOOD;
	if (!ok)
		copy_inner_failed(t->c, &i);
	copy_inner_fini(&i);
	return ok;
}

/* Where t->from is, and how much of that range follows; 0: nowhere. */
static uint64_t
source_find(const struct transfer *t, struct copy_end *ret_end)
{
	uint32_t bs = t->rod->lu->block_size;
	uint64_t at = t->from;

	for (unsigned i = 0; i < t->rod->range_count; i++) {
		const struct copy_range *r = &t->rod->ranges[i];
		uint64_t bytes = (uint64_t)r->blocks * bs;

		if (at >= bytes) {
			at -= bytes;
			continue;
		}
		*ret_end = (struct copy_end){
			.rod = t->rod, .lu = t->rod->lu, .lba = r->lba + at / bs,
		};
		return at % bs == 0 ? bytes - at : 0;
	}
	return 0;
}

/* As copy_share_try, of what the token stands for. */
static bool
share(struct transfer *t, const struct copy_end *to, uint64_t bytes,
    uint64_t *step, uint64_t *ret_shared)
{
	struct copy_end from;
	uint64_t run = source_find(t, &from);

	*ret_shared = 0;
	if (run == 0)
		return true;
	if (!copy_share_try(t->c, &from, to, run < bytes ? run : bytes, step,
	    ret_shared))
		return false;
	if (*ret_shared > 0 && rod_sense(t->rod) != SENSE_NONE)
		return !scsi_cmd_fail(t->c, rod_sense(t->rod));
	return true;
}

/* One step of up to `bytes`; how far it went is in *ret_step. */
static bool
step_write(struct transfer *t, uint64_t lba, uint64_t bytes,
    uint64_t *ret_step)
{
	const struct scsi_lu *lu = t->c->lu;
	const struct copy_end to = { .lun = t->lun, .lu = lu, .lba = lba };
	uint64_t step = t->rod == NULL ?
	    (uint64_t)LU_WRITE_SAME_BLOCKS_MAX * lu->block_size : STEP;
	uint64_t shared;
	bool ok;

	if (step > bytes)
		step = bytes;
	*ret_step = step;
	if (t->rod == NULL)
		return put_zeroes(t, lba, step);
	if (!share(t, &to, bytes, &step, &shared))
		return false;
	*ret_step = shared > 0 ? shared : step;
	ok = shared > 0 || (fetch(t, t->buf, step) && !t->c->aborted &&
	    copy_put(t->c, &to, step, t->buf));
	t->op->counter++;
	t->from += *ret_step;
	return ok;
}

/* As much of the range as there is data for: `left` bytes, rounded up. */
static bool
range_write(struct transfer *t, const struct copy_range *r, uint64_t left)
{
	uint32_t bs = t->c->lu->block_size;
	uint64_t bytes = (uint64_t)r->blocks * bs, done = 0, step;

	if (left < bytes)
		bytes = (left + bs - 1) / bs * bs;
	while (done < bytes) {
		if (t->c->aborted || !step_write(t, r->lba + done / bs,
		    bytes - done, &step))
			return false;
		done += step;
		t->op->bytes += step;
	}
	return true;
}

/* Bytes the token has from the offset on; 0: sense is set. */
static uint64_t
bytes_available(struct transfer *t)
{
	const uint8_t *p = t->c->task->data_out;
	uint64_t offset = be64_load(p + OFFSET_AT);
	uint32_t bs = t->c->lu->block_size;

	if (t->rod == NULL)
		return UINT64_MAX - bs;
	if (offset > t->rod->bytes / bs || offset * bs >= t->rod->bytes) {
		scsi_cmd_bad_parameter(t->c, OFFSET_AT);
		return 0;
	}
	t->from = offset * bs;
	return t->rod->bytes - t->from;
}

static void
transfer_run(struct transfer *t, unsigned count)
{
	cleanup_free struct copy_range *ranges = NULL;
	uint64_t blocks, left = bytes_available(t);
	uint32_t bs = t->c->lu->block_size;

	if (left == 0 ||
	    copy_ranges(t->c, HEAD_LEN, count, &ranges, &blocks) != 0)
		return;
	if (blocks * bs > ROD_BYTES_MAX) {
		scsi_cmd_bad_parameter(t->c, HEAD_LEN);
		return;
	}
	for (unsigned i = 0; i < count && left > 0; i++) {
		uint64_t bytes = (uint64_t)ranges[i].blocks * bs;

		if (!range_write(t, &ranges[i], left))
			return;
		left -= bytes < left ? bytes : left;
	}
	t->op->partial = t->op->bytes < blocks * bs;
}

/* False: sense is set. */
static bool
token_find(struct transfer *t)
{
	struct scsi_cmd *c = t->c;
	const uint8_t *token = c->task->data_out + TOKEN_AT;
	uint32_t sense;

	if (be32_load(token) == ROD_ZERO) {
		if (be16_load(token + 6) == ROD_TOKEN_LEN - 8)
			return true;
		return !scsi_cmd_fail(c, SENSE_TOKEN_LENGTH);
	}
	sense = rod_get(c->lu->rod_store, sched_now(c->sched), token,
	    &t->rod);
	if (sense != SENSE_NONE)
		return !scsi_cmd_fail(c, sense);
	t->buf = disk_buf_alloc(STEP);
	return t->buf != NULL || !scsi_cmd_status(c, SCSI_BUSY);
}

static void
write_using_token(struct scsi_cmd *c, struct copy_op *op, unsigned count)
{
	struct transfer t = {
		.c = c, .op = op,
		.lun = (unsigned)scsi_lun_decode(c->task->lun),
	};
	bool delete = c->task->data_out[2] & FLAG_DELETE;

	if (token_find(&t))
		transfer_run(&t, count);
	if (t.rod != NULL)
		rod_put(c->lu->rod_store, t.rod, sched_now(c->sched), delete);
	free(t.buf);
}

bool
scsi_write_using_token(struct scsi_cmd *c)
{
	uint32_t list_id = be32_load(c->task->cdb + 2);
	struct copy_op *op;
	unsigned count;

	if (c->task->data_out_wanted == 0)
		return true;
	if (c->task->data_out_wanted < HEAD_LEN)
		return scsi_cmd_fail(c, SENSE_PARAMETER_LIST_LENGTH);
	count = list_check(c);
	if (count == 0)
		return true;
	if (c->task->data_out[2] & FLAG_IMMED)
		return copy_background(c, list_id, 2, FLAG_IMMED);
	op = copy_op_begin(c, list_id, true, NULL);
	if (op == NULL)
		return true;
	op->unit = c->lu->block_size;
	write_using_token(c, op, count);
	copy_op_end(op, c);
	return true;
}
