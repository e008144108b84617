/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * iSCSI PDUs as they lie on the wire (RFC 7143 clause 11): layouts, checks of
 * what a header claims, additional header segments, digests.  Pure bytes.
 */
#ifndef VMFS_ISCSI_PDU_H
#define VMFS_ISCSI_PDU_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "libvmfs/base/be.h"
#include "libvmfs/base/err.h"

#define ISCSI_BHS_SIZE 48
#define ISCSI_AHS_MAX (255 * 4)		/* TotalAHSLength is a byte of words */
#define ISCSI_DIGEST_SIZE 4
#define ISCSI_NO_TAG 0xffffffffU
#define ISCSI_VERSION 0			/* RFC 7143 11.12.4 */

enum iscsi_opcode {
	ISCSI_NOP_OUT = 0x00,
	ISCSI_SCSI_CMD = 0x01,
	ISCSI_TMF_REQ = 0x02,
	ISCSI_LOGIN_REQ = 0x03,
	ISCSI_TEXT_REQ = 0x04,
	ISCSI_DATA_OUT = 0x05,
	ISCSI_LOGOUT_REQ = 0x06,
	ISCSI_SNACK_REQ = 0x10,
	ISCSI_NOP_IN = 0x20,
	ISCSI_SCSI_RSP = 0x21,
	ISCSI_TMF_RSP = 0x22,
	ISCSI_LOGIN_RSP = 0x23,
	ISCSI_TEXT_RSP = 0x24,
	ISCSI_DATA_IN = 0x25,
	ISCSI_LOGOUT_RSP = 0x26,
	ISCSI_R2T = 0x31,
	ISCSI_ASYNC = 0x32,
	ISCSI_REJECT = 0x3f,
};

enum {
	ISCSI_IMMEDIATE = 0x40,		/* in the opcode byte */
	ISCSI_OPCODE_MASK = 0x3f,
	ISCSI_FLAG_FINAL = 0x80,	/* in the flags byte */
	ISCSI_FLAG_CONTINUE = 0x40,	/* text and login */
	ISCSI_CMD_READ = 0x40,
	ISCSI_CMD_WRITE = 0x20,
	ISCSI_CMD_ATTR = 0x07,
	ISCSI_RSP_OVERFLOW = 0x04,
	ISCSI_RSP_UNDERFLOW = 0x02,
	ISCSI_DATA_STATUS = 0x01,	/* Data-In carries the status */
	ISCSI_LOGIN_CSG_SHIFT = 2,
	ISCSI_LOGIN_STAGE = 0x03,
};

/* Reject reasons, 11.17.1. */
enum iscsi_reject {
	ISCSI_REJECT_DATA_DIGEST = 0x02,
	ISCSI_REJECT_PROTOCOL = 0x04,
	ISCSI_REJECT_NOT_SUPPORTED = 0x05,
	ISCSI_REJECT_IMMEDIATE = 0x06,
	ISCSI_REJECT_INVALID_FIELD = 0x09,
};

/* Login status, class in the high byte, 11.13.5. */
enum iscsi_login_status {
	ISCSI_LOGIN_OK = 0x0000,
	ISCSI_LOGIN_MOVED = 0x0101,	/* temporarily */
	ISCSI_LOGIN_INITIATOR_ERROR = 0x0200,
	ISCSI_LOGIN_AUTH_FAILED = 0x0201,
	ISCSI_LOGIN_FORBIDDEN = 0x0202,
	ISCSI_LOGIN_NOT_FOUND = 0x0203,
	ISCSI_LOGIN_VERSION = 0x0205,
	ISCSI_LOGIN_TOO_MANY = 0x0206,
	ISCSI_LOGIN_MISSING = 0x0207,
	ISCSI_LOGIN_SESSION_TYPE = 0x0209,
	ISCSI_LOGIN_NO_SESSION = 0x020a,
	ISCSI_LOGIN_INVALID = 0x020b,
	ISCSI_LOGIN_TARGET_ERROR = 0x0300,
	ISCSI_LOGIN_RESOURCES = 0x0302,
};

/* Asynchronous events, 11.9.1. */
enum { ISCSI_ASYNC_LOGOUT = 1, ISCSI_ASYNC_DROP_ALL = 3 };

/* What every header has; the answer's numbers sit alike in all answers. */
struct iscsi_bhs_any {
	uint8_t opcode, flags, b2, b3;
	uint8_t ahs_words;
	be24_t data_len;
	uint8_t lun[8];
	be32_t itt;
	be32_t ttt;
	be32_t statsn;		/* CmdSN in requests */
	be32_t exp_cmdsn;	/* ExpStatSN in requests */
	be32_t max_cmdsn;
	uint8_t rest[12];
};

struct iscsi_bhs_cmd {		/* 11.3; NOP-Out, Text up to exp_statsn */
	uint8_t opcode, flags, b2, b3;
	uint8_t ahs_words;
	be24_t data_len;
	uint8_t lun[8];
	be32_t itt;
	be32_t edtl;
	be32_t cmdsn;
	be32_t exp_statsn;
	uint8_t cdb[16];
};

struct iscsi_bhs_rsp {		/* 11.4 */
	uint8_t opcode, flags, response, status;
	uint8_t ahs_words;
	be24_t data_len;
	uint8_t b8[8];
	be32_t itt;
	be32_t snack_tag;
	be32_t statsn, exp_cmdsn, max_cmdsn;
	be32_t exp_datasn;
	be32_t bidi_residual;
	be32_t residual;
};

struct iscsi_bhs_tmf {		/* 11.5 */
	uint8_t opcode, function, b2, b3;
	uint8_t ahs_words;
	be24_t data_len;
	uint8_t lun[8];
	be32_t itt;
	be32_t ref_tag;
	be32_t cmdsn;
	be32_t exp_statsn;
	be32_t ref_cmdsn;
	be32_t exp_datasn;
	uint8_t b40[8];
};

struct iscsi_bhs_data {		/* 11.7, both directions */
	uint8_t opcode, flags, b2, status;
	uint8_t ahs_words;
	be24_t data_len;
	uint8_t lun[8];
	be32_t itt;
	be32_t ttt;
	be32_t statsn, exp_cmdsn, max_cmdsn;
	be32_t datasn;
	be32_t offset;
	be32_t residual;
};

struct iscsi_bhs_r2t {		/* 11.8 */
	uint8_t opcode, flags, b2, b3;
	uint8_t ahs_words;
	be24_t data_len;
	uint8_t lun[8];
	be32_t itt;
	be32_t ttt;
	be32_t statsn, exp_cmdsn, max_cmdsn;
	be32_t r2tsn;
	be32_t offset;
	be32_t desired;
};

struct iscsi_bhs_async {	/* 11.9 */
	uint8_t opcode, flags, b2, b3;
	uint8_t ahs_words;
	be24_t data_len;
	uint8_t lun[8];
	be32_t itt;
	be32_t b20;
	be32_t statsn, exp_cmdsn, max_cmdsn;
	uint8_t event, vcode;
	be16_t p1, p2, p3;
	uint8_t b44[4];
};

struct iscsi_bhs_login {	/* 11.12, 11.13 */
	uint8_t opcode, flags, version_max;
	uint8_t version;	/* request: minimum; response: active */
	uint8_t ahs_words;
	be24_t data_len;
	uint8_t isid[6];
	be16_t tsih;
	be32_t itt;
	be16_t cid;		/* request only */
	be16_t b22;
	be32_t cmdsn;		/* response: StatSN */
	be32_t exp_cmdsn;	/* request: ExpStatSN */
	be32_t max_cmdsn;
	be16_t status;		/* response: class and detail */
	uint8_t b38[10];
};

struct iscsi_bhs_logout {	/* 11.14, 11.15 */
	uint8_t opcode, reason, response, b3;
	uint8_t ahs_words;
	be24_t data_len;
	uint8_t b8[8];
	be32_t itt;
	be16_t cid;
	be16_t b22;
	be32_t cmdsn;		/* response: StatSN */
	be32_t exp_cmdsn, max_cmdsn;
	be32_t b36;
	be16_t time2wait, time2retain;
	be32_t b44;
};

union iscsi_bhs {
	uint8_t raw[ISCSI_BHS_SIZE];
	struct iscsi_bhs_any any;
	struct iscsi_bhs_cmd cmd;
	struct iscsi_bhs_rsp rsp;
	struct iscsi_bhs_tmf tmf;
	struct iscsi_bhs_data data;
	struct iscsi_bhs_r2t r2t;
	struct iscsi_bhs_async async;
	struct iscsi_bhs_login login;
	struct iscsi_bhs_logout logout;
};

#define ISCSI_AT(type, field, at)					\
	static_assert(offsetof(struct iscsi_bhs_##type, field) == (at),	\
	    #type "." #field)
static_assert(sizeof(union iscsi_bhs) == ISCSI_BHS_SIZE, "BHS size");
ISCSI_AT(any, itt, 16);
ISCSI_AT(any, statsn, 24);
ISCSI_AT(any, rest, 36);
ISCSI_AT(cmd, edtl, 20);
ISCSI_AT(cmd, cmdsn, 24);
ISCSI_AT(cmd, cdb, 32);
ISCSI_AT(rsp, statsn, 24);
ISCSI_AT(rsp, exp_datasn, 36);
ISCSI_AT(rsp, residual, 44);
ISCSI_AT(tmf, ref_tag, 20);
ISCSI_AT(tmf, ref_cmdsn, 32);
ISCSI_AT(data, ttt, 20);
ISCSI_AT(data, datasn, 36);
ISCSI_AT(data, residual, 44);
ISCSI_AT(r2t, r2tsn, 36);
ISCSI_AT(r2t, desired, 44);
ISCSI_AT(async, event, 36);
ISCSI_AT(async, p3, 42);
ISCSI_AT(login, isid, 8);
ISCSI_AT(login, tsih, 14);
ISCSI_AT(login, cid, 20);
ISCSI_AT(login, cmdsn, 24);
ISCSI_AT(login, status, 36);
ISCSI_AT(logout, cid, 20);
ISCSI_AT(logout, time2wait, 40);

static inline enum iscsi_opcode
iscsi_opcode(const union iscsi_bhs *bhs)
{
	return (enum iscsi_opcode)(bhs->any.opcode & ISCSI_OPCODE_MASK);
}

static inline bool
iscsi_immediate(const union iscsi_bhs *bhs)
{
	return bhs->any.opcode & ISCSI_IMMEDIATE;
}

static inline uint32_t
iscsi_data_len(const union iscsi_bhs *bhs)
{
	return be24_get(bhs->any.data_len);
}

static inline size_t
iscsi_ahs_len(const union iscsi_bhs *bhs)
{
	return bhs->any.ahs_words * (size_t)4;
}

/* Bytes that follow `len` up to the next multiple of 4 (11.1). */
static inline size_t
iscsi_pad(size_t len)
{
	return -len & 3;
}

/* Serial number arithmetic, RFC 1982 with 32 bits (4.2.2.1). */
static inline bool
iscsi_sn_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* "SCSI Command", for the log; "unknown" for others. */
const char *iscsi_opcode_name(unsigned opcode);

/*
 * May an initiator send this header?  Checks the operation code, the data
 * segment against what we declared, the AHS against the operation code.
 * 0, or -VMFS_EPROTO with the reason for a Reject PDU.
 */
int iscsi_bhs_check(const union iscsi_bhs *bhs, uint32_t max_data_len,
    enum iscsi_reject *ret_reason) MUST_CHECK;

/*
 * Reads additional header segments (11.2.2).  An extended CDB is appended to
 * cdb, which holds 16 bytes of the header and has room for cdb_max.
 * -VMFS_EPROTO for a malformed or unknown segment.
 */
int iscsi_ahs_cdb(const uint8_t *ahs, size_t len, uint8_t *cdb,
    size_t cdb_max, size_t *ret_cdb_len) MUST_CHECK;

/* Digest bytes of header (BHS and AHS) or data (padding included), 11.2.3. */
void iscsi_digest(const struct iovec *iov, int iovcnt,
    uint8_t ret_digest[ISCSI_DIGEST_SIZE]);

/* An answer's header: opcode, F bit, ITT; the rest zero. */
void iscsi_bhs_init(union iscsi_bhs *bhs, enum iscsi_opcode opcode,
    uint32_t itt);

#endif
