/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks and encoding of iSCSI PDU headers, see pdu.h. */
#include <string.h>

#include "iscsi/pdu.h"
#include "libvmfs/base/crc32c.h"
#include "libvmfs/base/le.h"

enum { AHS_EXTENDED_CDB = 1, AHS_BIDI_LENGTH = 2 };

/* What an operation code of an initiator may carry. */
static const struct opcode_row {
	const char *name;
	bool request;		/* an initiator sends it */
	bool data;		/* a data segment is allowed */
	bool ahs;
} opcodes[ISCSI_OPCODE_MASK + 1] = {
	[ISCSI_NOP_OUT] = { "NOP-Out", true, true, false },
	[ISCSI_SCSI_CMD] = { "SCSI Command", true, true, true },
	[ISCSI_TMF_REQ] = { "Task Management Request", true, false, false },
	[ISCSI_LOGIN_REQ] = { "Login Request", true, true, false },
	[ISCSI_TEXT_REQ] = { "Text Request", true, true, false },
	[ISCSI_DATA_OUT] = { "Data-Out", true, true, false },
	[ISCSI_LOGOUT_REQ] = { "Logout Request", true, false, false },
	[ISCSI_SNACK_REQ] = { "SNACK Request", true, false, false },
	[ISCSI_NOP_IN] = { "NOP-In", false, false, false },
	[ISCSI_SCSI_RSP] = { "SCSI Response", false, false, false },
	[ISCSI_TMF_RSP] = { "Task Management Response", false, false, false },
	[ISCSI_LOGIN_RSP] = { "Login Response", false, false, false },
	[ISCSI_TEXT_RSP] = { "Text Response", false, false, false },
	[ISCSI_DATA_IN] = { "Data-In", false, false, false },
	[ISCSI_LOGOUT_RSP] = { "Logout Response", false, false, false },
	[ISCSI_R2T] = { "Ready To Transfer", false, false, false },
	[ISCSI_ASYNC] = { "Asynchronous Message", false, false, false },
	[ISCSI_REJECT] = { "Reject", false, false, false },
};

const char *
iscsi_opcode_name(unsigned opcode)
{
	const char *name = opcodes[opcode & ISCSI_OPCODE_MASK].name;

	return name ? name : "unknown";
}

int
iscsi_bhs_check(const union iscsi_bhs *bhs, uint32_t max_data_len,
    enum iscsi_reject *ret_reason)
{
	const struct opcode_row *row = &opcodes[iscsi_opcode(bhs)];

	if (!row->request) {
		*ret_reason = row->name ? ISCSI_REJECT_PROTOCOL :
		    ISCSI_REJECT_NOT_SUPPORTED;
		return -VMFS_EPROTO;
	}
	if ((iscsi_ahs_len(bhs) && !row->ahs) ||
	    (iscsi_data_len(bhs) && !row->data)) {
		*ret_reason = ISCSI_REJECT_INVALID_FIELD;
		return -VMFS_EPROTO;
	}
	if (iscsi_data_len(bhs) > max_data_len) {
		*ret_reason = ISCSI_REJECT_PROTOCOL;
		return -VMFS_EPROTO;
	}
	return 0;
}

/* One segment: length (2) type (1), then length - 1 bytes of type's own. */
static int
ahs_segment(const uint8_t *seg, size_t seg_len, uint8_t *cdb, size_t cdb_max,
    size_t *cdb_len)
{
	size_t more;

	switch (seg[2]) {
	case AHS_EXTENDED_CDB:
		/* AHSLength counts the reserved byte (11.2.2.3). */
		more = seg_len - 1;
		if (*cdb_len != 16 || more == 0 || more > cdb_max - 16)
			return -VMFS_EPROTO;
		memcpy(cdb + 16, seg + 4, more);
		*cdb_len = 16 + more;
		return 0;
	case AHS_BIDI_LENGTH:
		return seg_len == 5 ? 0 : -VMFS_EPROTO;
	default:
		return -VMFS_EPROTO;
	}
}

int
iscsi_ahs_cdb(const uint8_t *ahs, size_t len, uint8_t *cdb, size_t cdb_max,
    size_t *ret_cdb_len)
{
	size_t cdb_len = 16;
	int r;

	while (len > 0) {
		size_t seg_len, whole;

		if (len < 4)
			return -VMFS_EPROTO;
		seg_len = be16_load(ahs);
		whole = 3 + seg_len + iscsi_pad(3 + seg_len);
		if (seg_len == 0 || whole > len)
			return -VMFS_EPROTO;
		r = ahs_segment(ahs, seg_len, cdb, cdb_max, &cdb_len);
		if (r < 0)
			return r;
		ahs += whole;
		len -= whole;
	}
	*ret_cdb_len = cdb_len;
	return 0;
}

void
iscsi_digest(const struct iovec *iov, int iovcnt,
    uint8_t ret_digest[ISCSI_DIGEST_SIZE])
{
	uint32_t crc = 0;
	le32_t wire;

	for (int i = 0; i < iovcnt; i++)
		crc = crc32c(crc, iov[i].iov_base, iov[i].iov_len);
	/* Least significant byte first, RFC 7143 A.4. */
	wire = le32(crc);
	memcpy(ret_digest, &wire, sizeof(wire));
}

void
iscsi_bhs_init(union iscsi_bhs *bhs, enum iscsi_opcode opcode, uint32_t itt)
{
	memset(bhs, 0, sizeof(*bhs));
	bhs->any.opcode = (uint8_t)opcode;
	bhs->any.flags = ISCSI_FLAG_FINAL;
	bhs->any.itt = be32(itt);
}
