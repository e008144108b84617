/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages of the vhost-user protocol (QEMU, docs/interop/vhost-user.rst).
 * Integers are in the machine's own order: both ends run on it.
 */
#ifndef VMFS_VHOST_PROTO_H
#define VMFS_VHOST_PROTO_H

#include <assert.h>
#include <stdint.h>

enum vhost_request {
	VHOST_GET_FEATURES = 1,
	VHOST_SET_FEATURES = 2,
	VHOST_SET_OWNER = 3,
	VHOST_RESET_OWNER = 4,
	VHOST_SET_MEM_TABLE = 5,
	VHOST_SET_LOG_BASE = 6,
	VHOST_SET_LOG_FD = 7,
	VHOST_SET_VRING_NUM = 8,
	VHOST_SET_VRING_ADDR = 9,
	VHOST_SET_VRING_BASE = 10,
	VHOST_GET_VRING_BASE = 11,
	VHOST_SET_VRING_KICK = 12,
	VHOST_SET_VRING_CALL = 13,
	VHOST_SET_VRING_ERR = 14,
	VHOST_GET_PROTOCOL_FEATURES = 15,
	VHOST_SET_PROTOCOL_FEATURES = 16,
	VHOST_GET_QUEUE_NUM = 17,
	VHOST_SET_VRING_ENABLE = 18,
	VHOST_SET_BACKEND_REQ_FD = 21,
	VHOST_GET_CONFIG = 24,
	VHOST_SET_CONFIG = 25,
	VHOST_GET_INFLIGHT_FD = 31,
	VHOST_SET_INFLIGHT_FD = 32,
	VHOST_RESET_DEVICE = 34,
	VHOST_GET_MAX_MEM_SLOTS = 36,
	VHOST_ADD_MEM_REG = 37,
	VHOST_REM_MEM_REG = 38,
	VHOST_REQUESTS,
};

/* From us to the front end. */
enum { VHOST_BACKEND_CONFIG_CHANGE = 2 };

/* Feature bits beside those of the device. */
#define VHOST_F_LOG_ALL 26
#define VHOST_USER_F_PROTOCOL_FEATURES 30

enum vhost_protocol_feature {
	VHOST_PF_MQ = 0,
	VHOST_PF_LOG_SHMFD = 1,
	VHOST_PF_REPLY_ACK = 3,
	VHOST_PF_BACKEND_REQ = 5,
	VHOST_PF_CONFIG = 9,
	VHOST_PF_INFLIGHT_SHMFD = 12,
	VHOST_PF_RESET_DEVICE = 13,
	VHOST_PF_CONFIGURE_MEM_SLOTS = 15,
};

enum {
	VHOST_VERSION = 1,		/* bits 0 and 1 of the flags */
	VHOST_VERSION_MASK = 3,
	VHOST_REPLY = 1 << 2,
	VHOST_NEED_REPLY = 1 << 3,
};

struct vhost_header {
	uint32_t request, flags, size;
};
static_assert(sizeof(struct vhost_header) == 12, "header");

struct vhost_state {
	uint32_t index, num;
};
struct vhost_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};
#define VHOST_VRING_F_LOG 1u

struct vhost_region {
	uint64_t guest, size, user, offset;
};
#define VHOST_REGIONS_MAX 8	/* of SET_MEM_TABLE */
struct vhost_table {
	uint32_t count, padding;
	struct vhost_region region[VHOST_REGIONS_MAX];
};
struct vhost_one_region {
	uint64_t padding;
	struct vhost_region region;
};
struct vhost_log {
	uint64_t size, offset;
};
struct vhost_inflight {
	uint64_t size, offset;
	uint16_t queues, queue_size;
};
#define VHOST_CONFIG_MAX 256u
struct vhost_config {
	uint32_t offset, size, flags;
	uint8_t bytes[VHOST_CONFIG_MAX];
};
/* In the integer of KICK, CALL and ERR. */
#define VHOST_VRING_INDEX 0xffu
#define VHOST_VRING_NO_FD 0x100u

union vhost_payload {
	uint64_t u64;
	struct vhost_state state;
	struct vhost_addr addr;
	struct vhost_table table;
	struct vhost_one_region one;
	struct vhost_log log;
	struct vhost_inflight inflight;
	struct vhost_config config;
};

/* The region that outlives us, one part for each queue. */
struct vhost_inflight_desc {
	uint8_t inflight, padding[5];
	uint16_t next;
	uint64_t counter;
};
/*
 * Our own mark, in the part of queue 0: writes were acknowledged since the last
 * flush.  It outlives us, they may not.
 */
#define VHOST_INFLIGHT_UNFLUSHED (1ull << 63)
/* Some of them are lost: no flush may succeed until the guest begins anew. */
#define VHOST_INFLIGHT_LOST (1ull << 62)
struct vhost_inflight_queue {
	uint64_t features;
	uint16_t version, desc_num, last_batch_head, used_idx;
	struct vhost_inflight_desc desc[];
};
static_assert(sizeof(struct vhost_inflight_queue) == 16, "inflight");
static_assert(sizeof(struct vhost_inflight_desc) == 16, "inflight");

#endif
