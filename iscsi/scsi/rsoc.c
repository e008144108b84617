/* SPDX-License-Identifier: BSD-2-Clause */
/* REPORT SUPPORTED OPERATION CODES and TASK MANAGEMENT FUNCTIONS. */
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"

enum { TIMEOUTS_LEN = 12 };
/* Seconds that the slowest disk may need, by what a command does. */
enum { TIMEOUT_STATUS_S = 30, TIMEOUT_MEDIUM_S = 60, TIMEOUT_FIBER_S = 120 };
enum { SUPPORT_NO = 1, SUPPORT_YES = 3 };
/* REPORTING OPTIONS, SPC-4 table 249. */
enum {
	REPORT_ALL = 0, REPORT_OPCODE = 1, REPORT_SERVICE = 2,
	REPORT_EITHER = 3,
};

/*
 * Seconds after which an initiator may give a command up: what the slowest
 * disk behind a unit may need for its longest extent.  0: none is told.
 */
static uint32_t
recommended_timeout(const struct cdb_op *op)
{
	if (op->flags & OP_SANITIZE)
		return 0;		/* as long as the unit is large */
	if (op->flags & OP_FIBER)
		return TIMEOUT_FIBER_S;
	return op->flags & OP_MEDIUM ? TIMEOUT_MEDIUM_S : TIMEOUT_STATUS_S;
}

/* Command timeouts descriptor, SPC-4 6.35.4; no nominal time. */
static size_t
timeouts_encode(const struct cdb_op *op, uint8_t *p)
{
	be16_store(p, TIMEOUTS_LEN - 2);
	be32_store(p + 8, recommended_timeout(op));
	return TIMEOUTS_LEN;
}

static bool
report_all(struct scsi_cmd *c, bool timeouts, size_t allocation)
{
	size_t count, len = 4;
	const struct cdb_op *ops = cdb_table(&count);
	uint8_t *p = scsi_cmd_reply(c, 4 + count * (8 + TIMEOUTS_LEN));

	if (p == NULL)
		return true;
	for (size_t i = 0; i < count; i++) {
		uint8_t *d = p + len;

		if (!cdb_op_present(&ops[i], c->lu))
			continue;
		d[0] = ops[i].opcode;
		be16_store(d + 2, ops[i].service);
		d[5] = (uint8_t)((timeouts ? 0x02 : 0) |
		    (ops[i].flags & OP_SERVICE ? 0x01 : 0));
		be16_store(d + 6, ops[i].len);
		len += 8;
		if (timeouts)
			len += timeouts_encode(&ops[i], p + len);
	}
	be32_store(p, (uint32_t)(len - 4));
	return scsi_cmd_replied(c, len, allocation);
}

static bool
report_one(struct scsi_cmd *c, const struct cdb_op *op, bool timeouts,
    size_t allocation)
{
	uint8_t *p = scsi_cmd_reply(c, 4 + sizeof(op->usage) + TIMEOUTS_LEN);
	size_t len = 4;

	if (p == NULL)
		return true;
	p[1] = op != NULL ? SUPPORT_YES : SUPPORT_NO;
	if (op != NULL) {
		be16_store(p + 2, op->len);
		memcpy(p + 4, op->usage, op->len);
		/* The service action's value, as the format asks for. */
		if (op->flags & OP_SERVICE)
			p[5] = (uint8_t)((op->usage[1] & 0xe0) | op->service);
		len += op->len;
		if (timeouts) {
			p[1] |= 0x80;
			len += timeouts_encode(op, p + len);
		}
	}
	return scsi_cmd_replied(c, len, allocation);
}

bool
scsi_report_opcodes(struct scsi_cmd *c)
{
	const uint8_t *cdb = c->task->cdb;
	uint8_t wanted[2] = { cdb[3], cdb[5] & 0x1f };
	uint8_t option = cdb[2] & 0x07;
	size_t allocation = be32_load(cdb + 6);
	bool timeouts = cdb[2] & 0x80, known, service;
	const struct cdb_op *op;

	if (option == REPORT_ALL)
		return report_all(c, timeouts, allocation);
	if (option > REPORT_EITHER)
		return scsi_cmd_bad_cdb(c, 2);
	op = cdb_lookup(c->lu, wanted, sizeof(wanted), &known);
	service = op != NULL ? op->flags & OP_SERVICE : known;
	/* SPC-4 table 249: asking in the wrong way is an error. */
	if (option == REPORT_OPCODE && service)
		return scsi_cmd_bad_cdb(c, 2);
	if (option == REPORT_SERVICE && known && !service)
		return scsi_cmd_bad_cdb(c, 2);
	if (option != REPORT_OPCODE &&
	    (be16_load(cdb + 4) > 0x1f ||
	    (!service && option == REPORT_EITHER && be16_load(cdb + 4) != 0)))
		op = NULL;
	return report_one(c, op, timeouts, allocation);
}

bool
scsi_report_tmfs(struct scsi_cmd *c)
{
	const uint8_t *cdb = c->task->cdb;
	bool extended = cdb[2] & 0x80;
	uint8_t *p;

	if (be32_load(cdb + 6) < 4)
		return scsi_cmd_bad_cdb(c, 6);
	p = scsi_cmd_reply(c, 16);
	if (p == NULL)
		return true;
	/* ABORT TASK, ABORT TASK SET, CLEAR TASK SET, LU RESET, TARGET RESET */
	p[0] = 0x80 | 0x40 | 0x10 | 0x08 | 0x02;
	if (extended) {
		/* Each waits for its tasks: TMFTMOV, no selector says short. */
		p[3] = 0x0c;
		p[4] = 0x01;
		be32_store(p + 8, TIMEOUT_FIBER_S * 10);
		be32_store(p + 12, TIMEOUT_STATUS_S * 10);
	}
	return scsi_cmd_replied(c, extended ? 16 : 4, be32_load(cdb + 6));
}
