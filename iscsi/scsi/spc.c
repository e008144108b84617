/* SPDX-License-Identifier: BSD-2-Clause */
/* Small commands of SPC-4 that every device type has. */
#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"

bool
scsi_test_unit_ready(struct scsi_cmd *c)
{
	return scsi_cmd_status(c, SCSI_GOOD);
}

/*
 * A pending unit attention is reported and cleared, then what a sanitize
 * operation has to say (SPC-4 6.39).
 */
bool
scsi_request_sense(struct scsi_cmd *c)
{
	const uint8_t *cdb = c->task->cdb;
	bool descriptor = cdb[1] & 0x01;
	struct scsi_sense sense = { .code = SENSE_NONE };
	uint8_t *p = scsi_cmd_reply(c, SCSI_SENSE_MAX);

	if (p == NULL)
		return true;
	if (c->lu == NULL)
		sense.code = SENSE_LUN_NOT_SUPPORTED;
	else
		sense.code = ua_take(&c->itl->ua);
	if (c->lu != NULL && sense.code == SENSE_NONE)
		sanitize_sense(c->lu, &sense);
	return scsi_cmd_replied(c, scsi_sense_encode(&sense, descriptor, p),
	    cdb[4]);
}

/* SELECT REPORT, SPC-4 table 244. */
enum {
	LUNS_ALL_BUT_WELL_KNOWN = 0,
	LUNS_WELL_KNOWN = 1,
	LUNS_ALL = 2,
};

static size_t
luns_encode(struct scsi_nexus *n, uint8_t *p)
{
	size_t len = 0;

	for (unsigned lun = 0; lun < SCSI_LUNS_MAX; lun++) {
		if (n->itls[lun] == NULL && !nexus_awaits(n, lun))
			continue;
		p[len + 1] = (uint8_t)lun;
		len += 8;
	}
	return len;
}

bool
scsi_report_luns(struct scsi_cmd *c)
{
	const uint8_t *cdb = c->task->cdb;
	uint8_t *p;
	size_t len = 0;

	if (c->lu == NULL && scsi_lun_decode(c->task->lun) != 0)
		return scsi_cmd_fail(c, SENSE_LUN_NOT_SUPPORTED);
	if (cdb[2] > LUNS_ALL)
		return scsi_cmd_bad_cdb(c, 2);
	p = scsi_cmd_reply(c, 8 + 8 * SCSI_LUNS_MAX);
	if (p == NULL)
		return true;
	if (cdb[2] != LUNS_WELL_KNOWN)
		len = luns_encode(c->nexus, p + 8);
	be32_store(p, (uint32_t)len);
	for (unsigned lun = 0; lun < SCSI_LUNS_MAX; lun++) {
		struct scsi_itl *itl = c->nexus->itls[lun];

		if (itl == NULL)
			continue;
		shared_enter(&itl->lu->lock);
		ua_clear(&itl->ua, SENSE_LUNS_CHANGED);
		shared_leave(&itl->lu->lock);
	}
	return scsi_cmd_replied(c, 8 + len, be32_load(cdb + 6));
}

/* The default self-test passes; there are no others, SPC-4 6.42. */
bool
scsi_send_diagnostic(struct scsi_cmd *c)
{
	const uint8_t *cdb = c->task->cdb;

	if (cdb[1] & 0xf0)
		return scsi_cmd_bad_cdb(c, 1);
	if (be16_load(cdb + 3) != 0)
		return scsi_cmd_bad_cdb(c, 3);
	return scsi_cmd_status(c, SCSI_GOOD);
}
