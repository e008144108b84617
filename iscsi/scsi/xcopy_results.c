/* SPDX-License-Identifier: BSD-2-Clause */
/* RECEIVE COPY STATUS, RECEIVE ROD TOKEN INFORMATION, operating parameters. */
#include "iscsi/scsi/cmd.h"
#include "iscsi/scsi/rod.h"
#include "iscsi/scsi/xcopy.h"
#include "libvmfs/base/be.h"

enum {
	STATUS_LID1 = 0x00, OPERATING_PARAMETERS = 0x03, STATUS_LID4 = 0x05,
	TOKEN_INFORMATION = 0x07,
};
/* COPY COMMAND STATUS of LID1, SPC-4 table 254. */
enum { LID1_RUNNING = 0, LID1_DONE = 1, LID1_FAILED = 2 };
enum { LID1_LEN = 12, PARAMETERS_LEN = 46 };
/* COPY OPERATION STATUS, SPC-4 table 249. */
enum {
	OP_DONE = 0x01, OP_FAILED = 0x02, OP_PARTIAL = 0x03,
	OP_FOREGROUND = 0x11, OP_BACKGROUND = 0x12, OP_TERMINATED = 0x60,
};
enum { UNIT_BYTES = 0x00, UNIT_KIB = 0x01, UNIT_BLOCKS = 0xf1 };
enum { STATUS_LEN = 32, TOKENS_HEAD_LEN = 4, TOKEN_ID_LEN = 2 };
#define UPDATE_DELAY_MS 100U
#define UPDATE_NONE 0xfffffffeU

static bool
op_failed(const struct copy_op *op)
{
	return op->status != SCSI_GOOD;
}

/* SPC-4 6.25, the count in bytes as long as that fits. */
static bool
status_lid1(struct scsi_cmd *c, const struct copy_op *op, size_t allocation)
{
	uint8_t *p = scsi_cmd_reply(c, LID1_LEN);

	if (p == NULL)
		return true;
	be32_store(p, LID1_LEN - 4);
	p[4] = op->running ? LID1_RUNNING :
	    op_failed(op) ? LID1_FAILED : LID1_DONE;
	be16_store(p + 5, op->segments);
	p[7] = op->bytes > UINT32_MAX ? UNIT_KIB : UNIT_BYTES;
	be32_store(p + 8, (uint32_t)(op->bytes > UINT32_MAX ?
	    op->bytes >> 10 : op->bytes));
	return scsi_cmd_replied(c, LID1_LEN, allocation);
}

static uint8_t
op_state(const struct copy_op *op)
{
	if (op->running)
		return op->background ? OP_BACKGROUND : OP_FOREGROUND;
	if (op->terminated)
		return OP_TERMINATED;
	if (op_failed(op))
		return OP_FAILED;
	return op->partial ? OP_PARTIAL : OP_DONE;
}

/* The shared head, SPC-4 table 248; returns its length. */
static size_t
status_encode(const struct copy_op *op, uint8_t *p)
{
	size_t sense_len = 0;

	p[4] = op->action;
	p[5] = op_state(op);
	be16_store(p + 6, op->counter);
	be32_store(p + 8, op->running ? UPDATE_DELAY_MS : UPDATE_NONE);
	if (!op->running)
		p[12] = (uint8_t)op->status;
	if (p[5] == OP_FAILED && op->status == SCSI_CHECK_CONDITION)
		sense_len = scsi_sense_encode(&op->sense, false,
		    p + STATUS_LEN);
	p[13] = (uint8_t)((sense_len + 3) & ~(size_t)3);
	p[14] = (uint8_t)sense_len;
	p[15] = op->unit != 0 ? UNIT_BLOCKS : UNIT_BYTES;
	be64_store(p + 16, op->unit != 0 ? op->bytes / op->unit : op->bytes);
	be16_store(p + 24, op->segments);
	return STATUS_LEN + p[13];
}

static bool
status_lid4(struct scsi_cmd *c, const struct copy_op *op, size_t allocation)
{
	uint8_t *p = scsi_cmd_reply(c, STATUS_LEN + SCSI_SENSE_MAX);
	size_t len;

	if (p == NULL)
		return true;
	len = status_encode(op, p);
	be32_store(p, (uint32_t)(len - 4));
	return scsi_cmd_replied(c, len, allocation);
}

/* SPC-4 6.26; a token that has been told in full is not told again. */
static bool
token_information(struct scsi_cmd *c, struct copy_op *op, size_t allocation)
{
	uint8_t *p = scsi_cmd_reply(c, STATUS_LEN + SCSI_SENSE_MAX +
	    TOKENS_HEAD_LEN + TOKEN_ID_LEN + ROD_TOKEN_LEN);
	size_t len, head;
	bool done;

	if (p == NULL)
		return true;
	head = status_encode(op, p);
	done = p[5] == OP_DONE || p[5] == OP_PARTIAL;
	len = head + TOKENS_HEAD_LEN;
	if (done && op->rod != 0 && rod_token(c->lu->rod_store, op->rod,
	    p + len + TOKEN_ID_LEN) == 0) {
		len += TOKEN_ID_LEN + ROD_TOKEN_LEN;
		be32_store(p + head, TOKEN_ID_LEN + ROD_TOKEN_LEN);
	}
	be32_store(p, (uint32_t)(len - 4));
	if (!op->running && (allocation == 0 || allocation >= len))
		op->rod = 0;
	return scsi_cmd_replied(c, len, allocation);
}

/* SPC-4 6.22. */
static bool
operating_parameters(struct scsi_cmd *c, size_t allocation)
{
	uint8_t *p = scsi_cmd_reply(c, PARAMETERS_LEN);

	if (p == NULL)
		return true;
	be32_store(p, PARAMETERS_LEN - 4);
	p[4] = 0x01;			/* SNLID: a list without id is fine */
	be16_store(p + 8, COPY_TARGETS_MAX);
	be16_store(p + 10, COPY_SEGMENTS_MAX);
	be32_store(p + 12, COPY_LIST_MAX);
	be32_store(p + 16, 65535 * c->lu->block_size);
	be16_store(p + 34, COPY_CONCURRENT_MAX);
	p[36] = COPY_CONCURRENT_MAX;
	p[37] = 9;			/* granularity, log 2 */
	p[43] = 2;
	p[44] = COPY_SEGMENT_BLOCK;
	p[45] = COPY_TARGET_IDENT;
	return scsi_cmd_replied(c, PARAMETERS_LEN, allocation);
}

bool
scsi_receive_copy_results(struct scsi_cmd *c)
{
	const uint8_t *cdb = c->task->cdb;
	size_t allocation = be32_load(cdb + 10);
	bool lid1 = c->op->service == STATUS_LID1;
	struct copy_op *op;

	if (c->op->service == OPERATING_PARAMETERS)
		return operating_parameters(c, allocation);
	op = copy_op_find(c->itl, lid1 ? cdb[2] : be32_load(cdb + 2));
	if (op == NULL)
		return scsi_cmd_bad_cdb(c, 2);
	if (lid1)
		return status_lid1(c, op, allocation);
	if (c->op->service == STATUS_LID4)
		return status_lid4(c, op, allocation);
	return token_information(c, op, allocation);
}
