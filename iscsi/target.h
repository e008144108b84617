/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The iSCSI target as vmfsd wires it: portals, targets, who may log in.
 * Calls come from the scheduler that made the server; connections are spread
 * over its workers.
 */
#ifndef VMFS_ISCSI_TARGET_H
#define VMFS_ISCSI_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "iscsi/scsi/scsi.h"
#include "libvmfs/base/err.h"
#include "libvmfs/env/env.h"

struct iscsi_server;

/* One name and secret; both copied by whoever takes it. */
struct iscsi_chap {
	const char *user;
	const char *secret;	/* 12 to 255 bytes */
};

#define ISCSI_PORT 3260			/* of a portal without one */
#define ISCSI_ADDRESS_MAX 256U	/* with the NUL */
#define ISCSI_ALIAS_MAX 256U	/* likewise */
#define ISCSI_SESSIONS_MAX 4096
#define ISCSI_COMMANDS_MAX 1024
#define ISCSI_SECONDS_MAX 3600
#define ISCSI_LOGOUT_MAX 30	/* seconds; a stop waits for it */

/* What is above the maxima counts as the maximum. */
struct iscsi_limits {
	unsigned sessions_max;		/* 0: 256 */
	unsigned commands_max;		/* queued per session; 0: 128 */
	unsigned login_timeout_s;	/* 0: 15 */
	unsigned nop_interval_s;	/* keep-alive; 0: 15 */
	/* Bytes of data-out that all connections may hold; 0: 1 GiB.  Each
	 * has CONN_DATA_FREE besides. */
	uint64_t data_max;
};

int iscsi_server_new(struct env *env, const struct iscsi_limits *limits,
    struct iscsi_server **ret_s) MUST_CHECK;
/*
 * Sessions that are there stay, with the command window that they have; they
 * keep the new keep-alive from their next look on.
 */
void iscsi_server_set_limits(struct iscsi_server *s,
    const struct iscsi_limits *limits);
/* Those in force, without zeroes. */
void iscsi_server_limits(const struct iscsi_server *s,
    struct iscsi_limits *ret_l);
/*
 * Connections are served on the schedulers of `worker` (copied) and those
 * added before, one after the other; without any on the server's own.  Before
 * the first portal.  -ENOSPC above 64.
 */
int iscsi_server_add_worker(struct iscsi_server *s, const struct env *worker)
    MUST_CHECK;
/* Ends every session, closes portals, frees targets; LUs stay the caller's.
 * Suspends. */
void iscsi_server_free(struct iscsi_server *s);

/*
 * "addr[:port][,group]", default port 3260, target portal group 1 to
 * SCSI_GROUPS_MAX, default 1; ret_addr (NET_ADDR_TEXT) gets the real address.
 * Suspends.
 */
int iscsi_server_listen(struct iscsi_server *s, const char *portal,
    char *ret_addr) MUST_CHECK;

/* CHAP for discovery sessions to come; NULL user: none asked. */
int iscsi_server_discovery_auth(struct iscsi_server *s,
    const struct iscsi_chap *in, const struct iscsi_chap *out) MUST_CHECK;

/* A target without access entries can be logged in by nobody (default deny). */
int iscsi_server_add_target(struct iscsi_server *s, const char *iqn,
    struct scsi_target **ret_t) MUST_CHECK;
/*
 * Lets initiators whose name matches (exact, or a pattern with '*') log in.
 * in: CHAP the initiator must pass, NULL for none; out: what we prove to it.
 */
int iscsi_server_allow(struct iscsi_server *s, const char *iqn,
    const char *initiator, const struct iscsi_chap *in,
    const struct iscsi_chap *out) MUST_CHECK;

/*
 * Sends initiators that want to log in to another address, "host[:port]" as
 * they reach it, which they ask for the same target; NULL ends that.  Sessions
 * stay.  -ENOENT, -EINVAL for no such address.
 */
int iscsi_server_redirect(struct iscsi_server *s, const char *iqn,
    const char *address) MUST_CHECK;

/* What people call the target, told to initiators (TargetAlias); NULL: nothing.
 * -ENOENT, -EINVAL for a text that is too long. */
int iscsi_server_alias(struct iscsi_server *s, const char *iqn,
    const char *alias) MUST_CHECK;

/* Who may log in, by which proof, and what is seen then. */
struct iscsi_access {
	const char *initiator;		/* name, or pattern with '*' */
	struct iscsi_chap in, out;	/* user NULL: none */
	const struct scsi_view *view;	/* copied; NULL: all */
};
/*
 * Replaces all access of a target.  Sessions of initiators that may no longer
 * log in are being ended, others see at once what they may see now.  -ENOENT,
 * -EINVAL for secrets as iscsi_server_allow.
 */
int iscsi_server_set_access(struct iscsi_server *s, const char *iqn,
    const struct iscsi_access *access, size_t count) MUST_CHECK;
/* NULL: there is none. */
struct scsi_target *iscsi_server_target(struct iscsi_server *s,
    const char *iqn);
/* Ends its sessions and forgets the target.  -ENOENT.  Suspends. */
int iscsi_server_remove_target(struct iscsi_server *s, const char *iqn)
    MUST_CHECK;
/* Closes the portal at the real address; sessions that came through it stay.
 * -ENOENT.  Suspends. */
int iscsi_server_unlisten(struct iscsi_server *s, const char *addr) MUST_CHECK;

struct iscsi_session_info {
	const char *target;	/* "" for discovery */
	const char *initiator;
	const char *alias;	/* what it calls itself; "": nothing */
	const uint8_t *isid;	/* 6 bytes */
	const char *peer;	/* address:port */
	const char *portal;	/* ours that it came by, likewise */
	unsigned group;		/* of that */
	uint16_t tsih;
	uint64_t since_us;	/* wall clock */
	const char *chap;	/* algorithm by which it has proved who it
				 * is; NULL: it has not */
	bool mutual;		/* so have we */
	bool header_digest, data_digest;
	bool initial_r2t, immediate_data;
	uint32_t max_burst, first_burst, max_r2t;	/* as agreed on */
	uint32_t window;	/* commands */
	unsigned commands;	/* in flight */
	uint64_t commands_done, bytes_in, bytes_out;
	struct scsi_nexus_stats scsi;
};
/* fn must not suspend nor call back. */
void iscsi_server_sessions(struct iscsi_server *s,
    void (*fn)(void *arg, const struct iscsi_session_info *info), void *arg);
/* Ends sessions by tsih (0: all of `initiator`, a name or a pattern with '*').
 * -ENOENT when none matched.  Suspends. */
int iscsi_server_drop_session(struct iscsi_server *s, const char *initiator,
    uint16_t tsih) MUST_CHECK;
/*
 * The same, but asks the initiators to log out within 1 to ISCSI_LOGOUT_MAX
 * seconds, in which commands go on, and ends those sessions that are still
 * there then.
 */
int iscsi_server_logout_session(struct iscsi_server *s, const char *initiator,
    uint16_t tsih, unsigned seconds) MUST_CHECK;
/* The same without telling the initiator first: the connection breaks. */
int iscsi_server_kill_session(struct iscsi_server *s, const char *initiator,
    uint16_t tsih) MUST_CHECK;

#endif
