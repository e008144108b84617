/* SPDX-License-Identifier: BSD-2-Clause */
/* POPULATE TOKEN (SBC-4 5.12) and REPORT ALL ROD TOKENS (SPC-4 6.31). */
#include <stdlib.h>
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "iscsi/scsi/rod.h"
#include "libvmfs/base/be.h"

enum { HEAD_LEN = 16, DATA_LENGTH_MIN = 0x1e };
enum { FLAG_IMMED = 0x01, FLAG_RTV = 0x02 };

static bool
type_known(uint32_t type)
{
	return type == ROD_PIT_DEFAULT || type == ROD_PIT_VULNERABLE ||
	    type == ROD_PIT_ANY;
}

/* Number of whole descriptors; 0: sense is set. */
static unsigned
list_check(struct scsi_cmd *c)
{
	const uint8_t *p = c->task->data_out;

	if (be16_load(p) < DATA_LENGTH_MIN)
		scsi_cmd_bad_parameter(c, 0);
	else if (be32_load(p + 4) > ROD_TIMEOUT_MAX_S)
		scsi_cmd_bad_parameter(c, 4);
	else if ((p[2] & FLAG_RTV) && !type_known(be32_load(p + 8)))
		scsi_cmd_bad_parameter(c, 8);
	else
		return copy_ranges_count(c, HEAD_LEN, ROD_RANGES_MAX);
	return 0;
}

/*
 * Writes that began before the token was made end before it is told: what it
 * stands for is then what the blocks hold, and later writes cancel it.
 */
static int
wait_for_writes(struct scsi_cmd *c, const struct copy_range *r,
    unsigned count)
{
	int rc = 0;

	for (unsigned i = 0; i < count && rc == 0; i++) {
		if (r[i].blocks == 0)
			continue;
		rc = scsi_cmd_lock(c, r[i].lba, r[i].blocks, true);
		scsi_cmd_unlock(c);
	}
	return rc;
}

static void
populate(struct scsi_cmd *c, struct copy_op *op, unsigned count)
{
	const uint8_t *p = c->task->data_out;
	uint32_t timeout = be32_load(p + 4);
	struct copy_range *ranges, barrier[ROD_RANGES_MAX];
	uint64_t blocks, bytes;
	int rc;

	if (copy_ranges(c, HEAD_LEN, count, &ranges, &blocks) != 0)
		return;
	memcpy(barrier, ranges, count * sizeof(*ranges));
	bytes = blocks * c->lu->block_size;
	if (bytes > ROD_BYTES_MAX) {
		free(ranges);
		scsi_cmd_bad_parameter(c, HEAD_LEN);
		return;
	}
	rc = rod_create(c, ROD_PIT_VULNERABLE, ranges, count, bytes,
	    timeout != 0 ? timeout : ROD_TIMEOUT_S, &op->rod);
	if (rc == -ENOSPC)
		scsi_cmd_fail(c, SENSE_NO_ROD_TOKEN_RESOURCES);
	else if (rc != 0)
		scsi_cmd_status(c, SCSI_BUSY);
	else if (wait_for_writes(c, barrier, count) == 0)
		op->bytes = bytes;
}

bool
scsi_populate_token(struct scsi_cmd *c)
{
	const uint8_t *p = c->task->data_out;
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
	if (p[2] & FLAG_IMMED)
		return copy_background(c, list_id, 2, FLAG_IMMED);
	op = copy_op_begin(c, list_id, true, NULL);
	if (op == NULL)
		return true;
	op->unit = c->lu->block_size;
	populate(c, op, count);
	copy_op_end(op, c);
	return true;
}

bool
scsi_report_all_tokens(struct scsi_cmd *c)
{
	uint8_t *p = scsi_cmd_reply(c, 8 +
	    (size_t)ROD_TOKENS_MAX * ROD_MANAGEMENT_LEN);
	size_t len;

	if (p == NULL)
		return true;
	len = rods_report(c->lu->rod_store, c->lu, sched_now(c->sched),
	    p + 8);
	be32_store(p, (uint32_t)(4 + len));
	return scsi_cmd_replied(c, 8 + len, be32_load(c->task->cdb + 10));
}
