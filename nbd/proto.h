/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network Block Device protocol, as of doc/proto.md of the NBD project:
 * fixed newstyle handshake, simple and structured replies.
 */
#ifndef VMFS_NBD_PROTO_H
#define VMFS_NBD_PROTO_H

#include <stdint.h>

#include "libvmfs/base/be.h"

#define NBD_PORT 10809u
#define NBD_NAME_MAX 4096u
#define NBD_PAYLOAD_MAX ((uint32_t)32 << 20)

/* ---- handshake ---- */

#define NBD_MAGIC UINT64_C(0x4e42444d41474943)		/* "NBDMAGIC" */
#define NBD_OPTS_MAGIC UINT64_C(0x49484156454f5054)	/* "IHAVEOPT" */
#define NBD_REP_MAGIC UINT64_C(0x3e889045565a9)

struct nbd_greeting {
	be64_t magic, opts_magic;
	be16_t flags;
};

/* Flags of the server; those of the client have the same bits. */
enum {
	NBD_FLAG_FIXED_NEWSTYLE = 1 << 0,
	NBD_FLAG_NO_ZEROES = 1 << 1,
};

struct nbd_option {
	be64_t magic;
	be32_t option, length;
};

enum nbd_opt {
	NBD_OPT_EXPORT_NAME = 1,
	NBD_OPT_ABORT = 2,
	NBD_OPT_LIST = 3,
	NBD_OPT_STARTTLS = 5,
	NBD_OPT_INFO = 6,
	NBD_OPT_GO = 7,
	NBD_OPT_STRUCTURED_REPLY = 8,
	NBD_OPT_LIST_META_CONTEXT = 9,
	NBD_OPT_SET_META_CONTEXT = 10,
};

struct nbd_option_reply {
	be64_t magic;
	be32_t option, type, length;
};

#define NBD_REP_ERR(n) (UINT32_C(0x80000000) | (n))
enum nbd_rep {
	NBD_REP_ACK = 1,
	NBD_REP_SERVER = 2,
	NBD_REP_INFO = 3,
	NBD_REP_META_CONTEXT = 4,
	NBD_REP_ERR_UNSUP = NBD_REP_ERR(1),
	NBD_REP_ERR_POLICY = NBD_REP_ERR(2),
	NBD_REP_ERR_INVALID = NBD_REP_ERR(3),
	NBD_REP_ERR_TLS_REQD = NBD_REP_ERR(5),
	NBD_REP_ERR_UNKNOWN = NBD_REP_ERR(6),
	NBD_REP_ERR_TOO_BIG = NBD_REP_ERR(9),
};

enum nbd_info {
	NBD_INFO_EXPORT = 0,
	NBD_INFO_NAME = 1,
	NBD_INFO_DESCRIPTION = 2,
	NBD_INFO_BLOCK_SIZE = 3,
};

struct nbd_info_export {
	be16_t type;
	be64_t size;
	be16_t flags;
};

struct nbd_info_block_size {
	be16_t type;
	be32_t minimum, preferred, maximum;
};

/* What the old option without an answer is answered with. */
struct nbd_export_reply {
	be64_t size;
	be16_t flags;
	uint8_t zeroes[124];	/* left out with NBD_FLAG_NO_ZEROES */
};

/* Of an export. */
enum {
	NBD_EXPORT_HAS_FLAGS = 1 << 0,
	NBD_EXPORT_READ_ONLY = 1 << 1,
	NBD_EXPORT_SEND_FLUSH = 1 << 2,
	NBD_EXPORT_SEND_FUA = 1 << 3,
	NBD_EXPORT_SEND_TRIM = 1 << 5,
	NBD_EXPORT_SEND_WRITE_ZEROES = 1 << 6,
	NBD_EXPORT_SEND_DF = 1 << 7,
	NBD_EXPORT_CAN_MULTI_CONN = 1 << 8,
	NBD_EXPORT_SEND_CACHE = 1 << 10,
	NBD_EXPORT_SEND_FAST_ZERO = 1 << 11,
};

/* ---- transmission ---- */

#define NBD_REQUEST_MAGIC UINT32_C(0x25609513)
#define NBD_SIMPLE_MAGIC UINT32_C(0x67446698)
#define NBD_CHUNK_MAGIC UINT32_C(0x668e33ef)

struct nbd_request {
	be32_t magic;
	be16_t flags, type;
	be64_t cookie, offset;
	be32_t length;
};

enum nbd_cmd {
	NBD_CMD_READ = 0,
	NBD_CMD_WRITE = 1,
	NBD_CMD_DISC = 2,
	NBD_CMD_FLUSH = 3,
	NBD_CMD_TRIM = 4,
	NBD_CMD_CACHE = 5,
	NBD_CMD_WRITE_ZEROES = 6,
	NBD_CMD_BLOCK_STATUS = 7,
	NBD_CMDS,
};

enum {
	NBD_CMD_FUA = 1 << 0,
	NBD_CMD_NO_HOLE = 1 << 1,
	NBD_CMD_DF = 1 << 2,
	NBD_CMD_REQ_ONE = 1 << 3,
	NBD_CMD_FAST_ZERO = 1 << 4,
};

struct nbd_simple_reply {
	be32_t magic, error;
	be64_t cookie;
};

struct nbd_chunk {
	be32_t magic;
	be16_t flags, type;
	be64_t cookie;
	be32_t length;
};

#define NBD_CHUNK_DONE 1u
enum nbd_chunk_type {
	NBD_CHUNK_NONE = 0,
	NBD_CHUNK_OFFSET_DATA = 1,
	NBD_CHUNK_OFFSET_HOLE = 2,
	NBD_CHUNK_BLOCK_STATUS = 5,
	NBD_CHUNK_ERROR = 1 << 15 | 1,
};

struct nbd_chunk_hole {
	be64_t offset;
	be32_t length;
};

struct nbd_chunk_error {
	be32_t error;
	be16_t length;		/* of the text behind it */
};

struct nbd_extent {
	be32_t length, flags;
};

/* Flags of an extent in base:allocation. */
enum {
	NBD_STATE_HOLE = 1 << 0,
	NBD_STATE_ZERO = 1 << 1,
};

/* Values of the protocol, whatever errno.h has. */
enum nbd_error {
	NBD_OK = 0,
	NBD_EPERM = 1,
	NBD_EIO = 5,
	NBD_ENOMEM = 12,
	NBD_EINVAL = 22,
	NBD_ENOSPC = 28,
	NBD_ENOTSUP = 95,
	NBD_ESHUTDOWN = 108,
};

_Static_assert(sizeof(struct nbd_greeting) == 18, "wire");
_Static_assert(sizeof(struct nbd_option) == 16, "wire");
_Static_assert(sizeof(struct nbd_option_reply) == 20, "wire");
_Static_assert(sizeof(struct nbd_info_export) == 12, "wire");
_Static_assert(sizeof(struct nbd_info_block_size) == 14, "wire");
_Static_assert(sizeof(struct nbd_export_reply) == 134, "wire");
_Static_assert(sizeof(struct nbd_request) == 28, "wire");
_Static_assert(sizeof(struct nbd_simple_reply) == 16, "wire");
_Static_assert(sizeof(struct nbd_chunk) == 20, "wire");
_Static_assert(sizeof(struct nbd_chunk_hole) == 12, "wire");
_Static_assert(sizeof(struct nbd_chunk_error) == 6, "wire");
_Static_assert(sizeof(struct nbd_extent) == 8, "wire");

#endif
