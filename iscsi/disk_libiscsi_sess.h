/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One iSCSI session on libiscsi, kept up: logs in, carries SCSI commands with
 * time-outs, notices a dead peer, logs in again with back-off.
 *
 * Everything runs on the reactor that called lsess_open.  A manager fiber walks
 * the states below; while there is a socket, one fiber waits for it to become
 * readable and one for it to become writable.  Nobody else calls
 * iscsi_service for input, so libiscsi's callbacks come from the reader alone;
 * they only move the command to a list, which is worked off when libiscsi has
 * returned.
 *
 * The library's own reconnect is off: it sends commands again whose outcome
 * nobody knows.  A command that timed out also ends the session: only when
 * its socket is gone can the target no longer touch the command's buffers.
 */
#ifndef VMFS_ISCSI_DISK_LIBISCSI_SESS_H
#define VMFS_ISCSI_DISK_LIBISCSI_SESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "iscsi/disk_libiscsi_cmd.h"
#include "iscsi/disk_libiscsi_url.h"
#include "libvmfs/env/env.h"

/* In step with the names in lsess_state_name. */
enum lsess_state {
	LSESS_CONNECTING,	/* no session; the first attempt or another */
	LSESS_VERIFYING,	/* logged in; only commands marked `internal` */
	LSESS_READY,
	LSESS_WAITING,		/* lost; pause before the next attempt */
	LSESS_CLOSED,
};

struct scsi_task;

/*
 * One command.  The caller fills the first part and keeps it, its iov and its
 * data alive until done.  done runs on the session's reactor, outside of
 * libiscsi, never from within lsess_submit, and may submit again.
 */
struct lcmd {
	struct lcdb cdb;
	struct iovec *iov;	/* cdb.xfer bytes */
	int iovcnt;
	bool internal;		/* also sent while VERIFYING */
	bool retry_attention;	/* a unit attention is retried once, unless it
				 * tells of reservations (2A/03-05) */
	uint64_t nexus;		/* lsess_nexus: sent in no other one, but ended
				 * with -VMFS_EATTENTION; 0: in any */
	void (*done)(struct lcmd *c);
	void *arg;

	int result;		/* as disk_req.result */
	struct disk_sense sense;
	uint32_t received;	/* bytes read */

	/* private */
	struct list node;
	struct lsess *sess;
	struct scsi_task *task;
	uint64_t deadline_ns;
	uint64_t not_before_ns;	/* the target was busy: not sent earlier */
	uint64_t retried;	/* in that session, by number from 1 */
	bool answered;
};

struct lsess_conf {
	const char *initiator;	/* iqn, copied */
	uint32_t isid_random;	/* 24 bits */
	uint16_t isid_qualifier;
	uint32_t timeout_ms;	/* of one command and of one log-in */
	bool fail_fast;		/* there are other paths: see lsess_submit */
	/*
	 * Called in a fiber after each log-in but the first, before other
	 * commands are let through: is this still the same LUN?
	 */
	int (*verify)(void *arg);
	void *arg;
};

struct lsess;

/*
 * Logs in; one attempt.  Suspends.  -VMFS_EAUTH, -VMFS_EINITIATOR,
 * -VMFS_ENOTARGET, -VMFS_EPROTO (not an iSCSI server), -ETIMEDOUT, errno of
 * connect(2).
 */
int lsess_open(struct env *env, const struct lurl *url,
    const struct lsess_conf *conf, struct lsess **ret_s) MUST_CHECK;
/* Logs out.  No command may be in flight.  Suspends; NULL is fine. */
void lsess_close(struct lsess *s);

/*
 * Commands wait while there is no session, until timeout_ms after their
 * submission; then, and when the session breaks while they are on their way,
 * they end with -VMFS_EUNKNOWN.  With fail_fast those that were never sent do
 * not wait: they end soon with -ENOTCONN.
 */
void lsess_submit(struct lsess *s, struct lcmd *c);
/* Suspends until done; returns c->result.  c->done and c->arg are taken. */
int lsess_run(struct lsess *s, struct lcmd *c) MUST_CHECK;

enum lsess_state lsess_state(const struct lsess *s);
/* Log-ins so far.  False: no session now. */
bool lsess_alive(const struct lsess *s, uint64_t *ret_logins);

/*
 * Changes, never to 0, whenever what the LUN keeps for a nexus, such as a
 * reservation of SPC-2, may be gone: at a log-in and after a reset.
 */
uint64_t lsess_nexus(const struct lsess *s);
/*
 * From a RESERVE of SPC-2 on: until it is let go nothing is sent but commands
 * with a nexus.  The target tells a session once that a reset has ended its
 * reservation: that must not be told to a command that is just ahead of the
 * write which relies on it.  After half of timeout_ms it is let go, and the
 * nexus counts as another one.
 */
void lsess_hold(struct lsess *s);
void lsess_let_go(struct lsess *s);
/* Ends the session there is, if any: the next log-in comes soon, and what the
 * LUN kept for the nexus is gone.  Commands on their way: as by a loss. */
void lsess_drop(struct lsess *s);

/*
 * LOGICAL UNIT RESET (RFC 7143 11.5): ends the commands of every session of
 * every initiator on the LUN.  No command of this session may be in flight.
 * Suspends.  -EOPNOTSUPP: the target refuses.
 */
int lsess_reset(struct lsess *s) MUST_CHECK;
/* We know why the next unit attention of a reset comes: it is not told. */
void lsess_expect_reset(struct lsess *s);
/*
 * Session reinstatement (RFC 7143 6.3.5) through another portal of the same
 * target port: logs in with the name of `dead`, whose session and tasks the
 * target ends before it answers, and out again.  Suspends.
 */
int lsess_reinstate(struct lsess *via, const struct lsess *dead) MUST_CHECK;

const char *lsess_state_name(enum lsess_state state);

#endif
