/* SPDX-License-Identifier: BSD-2-Clause */
/* INQUIRY, SPC-4 6.6: standard data; vpd.c has the pages. */
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"

enum {
	STANDARD_LEN = 96,
	PERIPHERAL_NONE = 0x7f,	/* no device here, nor could one be */
	VERSION_SPC4 = 0x06,
};

/* Version descriptors, SPC-4 table 145. */
static const uint16_t versions[] = {
	0x00a0,		/* SAM-5 */
	0x0960,		/* iSCSI */
	0x0460,		/* SPC-4 */
	0x04c0,		/* SBC-3 */
};

static void
text_field(uint8_t *p, size_t size, const char *text)
{
	size_t len = strlen(text);

	memset(p, ' ', size);
	memcpy(p, text, len < size ? len : size);
}

static bool
inquiry_standard(struct scsi_cmd *c, size_t allocation)
{
	const struct scsi_lu *lu = c->lu;
	uint8_t *p = scsi_cmd_reply(c, STANDARD_LEN);

	if (p == NULL)
		return true;
	p[0] = lu != NULL ? 0x00 : PERIPHERAL_NONE;
	p[1] = lu != NULL && lu->removable ? 0x80 : 0x00;
	p[2] = VERSION_SPC4;
	p[3] = 0x10 | 0x02;		/* HISUP, response data format */
	p[4] = STANDARD_LEN - 5;
	p[5] = 0x30 | 0x08;		/* TPGS: both ways; 3PC */
	p[7] = 0x02;			/* CMDQUE */
	text_field(p + 8, 8, lu != NULL ? lu->vendor : "VMFSD");
	text_field(p + 16, 16, lu != NULL ? lu->product : "");
	text_field(p + 32, 4, VMFS_VERSION);
	/* Vendor specific, bytes 36 to 55: see doc/PROTOCOL.md. */
	if (lu != NULL && lu->cache_id != 0) {
		memcpy(p + 36, "VMFSDB1", 8);
		be64_store(p + 44, lu->cache_id);
	}
	for (unsigned i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
		be16_store(p + 58 + 2 * i, versions[i]);
	return scsi_cmd_replied(c, STANDARD_LEN, allocation);
}

bool
scsi_inquiry(struct scsi_cmd *c)
{
	const uint8_t *cdb = c->task->cdb;
	size_t allocation = be16_load(cdb + 3);

	if (cdb[1] & ~0x01)
		return scsi_cmd_bad_cdb(c, 1);
	if (cdb[1] & 0x01) {
		if (c->lu == NULL)
			return scsi_cmd_fail(c, SENSE_LUN_NOT_SUPPORTED);
		return scsi_vpd(c, cdb[2], allocation);
	}
	if (cdb[2] != 0)
		return scsi_cmd_bad_cdb(c, 2);
	return inquiry_standard(c, allocation);
}
