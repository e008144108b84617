/* SPDX-License-Identifier: BSD-2-Clause */
/* Tells who keeps books of them about commands that could change a unit. */
#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"

#define PR_OUT_OPCODE 0x5f
#define CAW_OPCODE 0x89
#define UNMAP_OPCODE 0x42
#define SANITIZE_OPCODE 0x48
enum { UNMAP_HEAD = 8, UNMAP_DESCRIPTOR = 16, PR_OUT_KEYS = 16 };

static bool
changes_unit(const struct cdb_op *op)
{
	return (op->flags & OP_WRITES) || op->opcode == PR_OUT_OPCODE;
}

static void
unmap_extent(const struct scsi_task *t, struct scsi_change *ch)
{
	size_t len = t->data_out_len;

	if (len < UNMAP_HEAD + UNMAP_DESCRIPTOR)
		return;
	ch->lba = be64_load(t->data_out + UNMAP_HEAD);
	for (size_t at = UNMAP_HEAD; at + UNMAP_DESCRIPTOR <= len;
	    at += UNMAP_DESCRIPTOR)
		ch->blocks += be32_load(t->data_out + at + 8);
}

static void
change_extent(const struct scsi_cmd *c, struct scsi_change *ch)
{
	uint32_t blocks;

	if (c->op->opcode == SANITIZE_OPCODE) {
		ch->blocks = c->lu->blocks;
		return;
	}
	if (c->op->opcode == UNMAP_OPCODE) {
		unmap_extent(c->task, ch);
		return;
	}
	cdb_extent(c->task->cdb, &ch->lba, &blocks);
	ch->blocks = c->op->opcode == CAW_OPCODE ? c->task->cdb[13] : blocks;
}

static enum scsi_change_fate
change_fate(const struct scsi_cmd *c)
{
	if (!c->admitted)
		return SCSI_CHANGE_REFUSED;
	return c->aborted ? SCSI_CHANGE_ABORTED : SCSI_CHANGE_ACCEPTED;
}

void
scsi_observe(const struct scsi_cmd *c)
{
	const struct scsi_task *t = c->task;
	struct scsi_change ch = {
		.initiator_port = c->nexus->port,
		.target = c->target->iqn,
		.lun = (unsigned)scsi_lun_decode(t->lun),
		.status = (uint8_t)t->status, .fate = change_fate(c),
	};

	if (c->op == NULL || !changes_unit(c->op))
		return;
	ch.command = c->op->name;
	if (c->op->opcode != PR_OUT_OPCODE)
		change_extent(c, &ch);
	else if (t->data_out_len >= PR_OUT_KEYS) {
		ch.key = be64_load(t->data_out);
		ch.sa_key = be64_load(t->data_out + 8);
	}
	c->lu->on_change(c->lu->on_change_arg, &ch);
}
