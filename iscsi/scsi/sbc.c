/* SPDX-License-Identifier: BSD-2-Clause */
/* Capacity, cache and medium commands of SBC-3. */
#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"

/* ---- capacity ---- */

bool
scsi_read_capacity10(struct scsi_cmd *c)
{
	const uint8_t *cdb = c->task->cdb;
	uint64_t last = c->lu->blocks - 1;
	uint8_t *p;

	/* PMI is obsolete; without it the address must be zero. */
	if (!(cdb[8] & 0x01) && be32_load(cdb + 2) != 0)
		return scsi_cmd_bad_cdb(c, 2);
	p = scsi_cmd_reply(c, 8);
	if (p == NULL)
		return true;
	be32_store(p, last > UINT32_MAX ? UINT32_MAX : (uint32_t)last);
	be32_store(p + 4, c->lu->block_size);
	return scsi_cmd_replied(c, 8, 8);
}

bool
scsi_read_capacity16(struct scsi_cmd *c)
{
	const uint8_t *cdb = c->task->cdb;
	uint8_t *p;

	if (!(cdb[14] & 0x01) && be64_load(cdb + 2) != 0)
		return scsi_cmd_bad_cdb(c, 2);
	p = scsi_cmd_reply(c, 32);
	if (p == NULL)
		return true;
	be64_store(p, c->lu->blocks - 1);
	be32_store(p + 8, c->lu->block_size);
	p[13] = (uint8_t)lu_physical_exponent(c->lu);
	if (c->lu->thin)
		p[14] = 0x80 | 0x40;		/* LBPME, LBPRZ */
	return scsi_cmd_replied(c, 32, be32_load(cdb + 10));
}

/* Neither list has entries; the format asked for is echoed (SBC-3 5.18). */
bool
scsi_read_defects(struct scsi_cmd *c)
{
	const uint8_t *cdb = c->task->cdb;
	bool ten = c->op->len == 10;
	size_t len = ten ? 4 : 8;
	uint8_t *p = scsi_cmd_reply(c, len);

	if (p == NULL)
		return true;
	p[1] = cdb[ten ? 2 : 1] & 0x1f;
	return scsi_cmd_replied(c, len,
	    ten ? be16_load(cdb + 7) : be32_load(cdb + 6));
}

/* ---- cache ---- */

/* Reads are as good without: the blocks only have to exist. */
bool
scsi_prefetch(struct scsi_cmd *c)
{
	uint64_t lba;
	uint32_t blocks;

	cdb_extent(c->task->cdb, &lba, &blocks);
	if (!scsi_cmd_in_range(c, lba, blocks))
		return true;
	return scsi_cmd_status(c, SCSI_GOOD);
}

static void
flush_done(struct disk_req *req)
{
	struct scsi_cmd *c = req->arg;

	if (req->result != 0)
		scsi_cmd_disk_failed(c, req);
	scsi_cmd_finish(c);
}

/* Flushes everything, and answers when that is done even if IMMED is set. */
bool
scsi_synchronize_cache(struct scsi_cmd *c)
{
	uint64_t lba;
	uint32_t blocks;

	cdb_extent(c->task->cdb, &lba, &blocks);
	if (!scsi_cmd_in_range(c, lba, blocks))
		return true;
	c->req = (struct disk_req){
		.op = DISK_FLUSH, .done = flush_done, .arg = c,
	};
	disk_submit(c->lu->disk, &c->req);
	return false;
}

/* ---- medium ---- */

static void
medium_set(struct scsi_cmd *c, bool ejected)
{
	struct scsi_lu *lu = c->lu;

	shared_enter(&lu->lock);
	if (lu->ejected && !ejected)
		ua_add_all(lu, SENSE_MEDIUM_CHANGED, c->nexus);
	lu->ejected = ejected;
	shared_leave(&lu->lock);
}

static bool
removal_prevented(struct scsi_lu *lu)
{
	bool prevented;

	shared_enter(&lu->lock);
	prevented = lu_removal_prevented(lu);
	shared_leave(&lu->lock);
	return prevented;
}

static bool
medium_eject(struct scsi_cmd *c)
{
	struct disk_req req = { .op = DISK_FLUSH };

	if (!c->lu->readonly && scsi_cmd_disk(c, &req) != 0)
		return true;
	medium_set(c, true);
	return scsi_cmd_status(c, SCSI_GOOD);
}

/*
 * There is no motor: starting and stopping succeed, only loading and ejecting
 * the medium has an effect (SBC-3 5.25).
 */
bool
scsi_start_stop(struct scsi_cmd *c)
{
	uint8_t how = c->task->cdb[4];

	if ((how & 0xf0) != 0)		/* POWER CONDITION: LOEJ is ignored */
		return scsi_cmd_status(c, SCSI_GOOD);
	if (!(how & 0x02))
		return scsi_cmd_status(c, SCSI_GOOD);
	if (!c->lu->removable)
		return scsi_cmd_bad_cdb(c, 4);
	if (removal_prevented(c->lu))
		return scsi_cmd_fail(c, SENSE_REMOVAL_PREVENTED);
	if (!(how & 0x01))
		return medium_eject(c);
	medium_set(c, false);
	return scsi_cmd_status(c, SCSI_GOOD);
}

bool
scsi_prevent_allow(struct scsi_cmd *c)
{
	if (c->task->cdb[4] & 0x02)
		return scsi_cmd_bad_cdb(c, 4);
	c->itl->prevents_removal = c->task->cdb[4] & 0x01;
	return scsi_cmd_status(c, SCSI_GOOD);
}
