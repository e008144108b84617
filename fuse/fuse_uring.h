/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FUSE over io_uring as Linux 6.14 has it (include/uapi/linux/fuse.h, version
 * 7.42): what the headers of Debian 12 do not know yet.  Memory has the
 * processor's byte order, as all of FUSE.
 */
#ifndef VMFS_FUSE_FUSE_URING_H
#define VMFS_FUSE_FUSE_URING_H

#include <assert.h>
#include <linux/fuse.h>
#include <stddef.h>
#include <stdint.h>

#ifndef FUSE_OVER_IO_URING

/* Of INIT: bit 41 of all flags, of which flags2 has those from 32 on. */
#define FUSE_OVER_IO_URING (1ULL << 41)

struct fuse_uring_ent_in_out {
	uint64_t flags;
	uint64_t commit_id;	/* the request's, for its answer */
	uint32_t payload_sz;	/* bytes in the second buffer, either way */
	uint32_t padding;
	uint64_t reserved;
};

/* The first buffer of an entry. */
struct fuse_uring_req_header {
	char in_out[128];	/* struct fuse_in_header, fuse_out_header */
	char op_in[128];	/* first argument of the request */
	struct fuse_uring_ent_in_out ring_ent_in_out;
};

/* Of the SQE; both take the next request when there is one. */
enum {
	FUSE_IO_URING_CMD_REGISTER = 1,
	FUSE_IO_URING_CMD_COMMIT_AND_FETCH = 2,
};

/* In the SQE, which has 128 bytes. */
struct fuse_uring_cmd_req {
	uint64_t flags;
	uint64_t commit_id;
	uint16_t qid;		/* a queue is a processor's */
	uint8_t padding[6];
};

#endif

static_assert(FUSE_OVER_IO_URING >> 32 == 1 << 9, "a bit of flags2");
static_assert(FUSE_IO_URING_CMD_REGISTER == 1, "uapi/linux/fuse.h 7.42");
static_assert(FUSE_IO_URING_CMD_COMMIT_AND_FETCH == 2, "the same");
static_assert(sizeof(struct fuse_uring_ent_in_out) == 32, "the same");
static_assert(offsetof(struct fuse_uring_ent_in_out, payload_sz) == 16,
    "the same");
static_assert(sizeof(struct fuse_uring_req_header) == 288, "the same");
static_assert(sizeof(struct fuse_uring_cmd_req) == 24, "the same");
static_assert(offsetof(struct fuse_uring_cmd_req, qid) == 16, "the same");

#endif
