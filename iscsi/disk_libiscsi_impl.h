/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the files that make up a session: disk_libiscsi_{sess,login,io}. */
#ifndef VMFS_ISCSI_DISK_LIBISCSI_IMPL_H
#define VMFS_ISCSI_DISK_LIBISCSI_IMPL_H

#include <stdbool.h>
#include <stdint.h>

#include "iscsi/disk_libiscsi_sess.h"

#define LSESS_DEPTH 128		/* commands given to libiscsi at once */
#define LSESS_NOP_IDLE_NS (5 * NSEC_PER_SEC)
#define LSESS_BUSY_NS (20 * NSEC_PER_MSEC)
#define LSESS_BACKOFF_MIN_NS (200 * NSEC_PER_MSEC)
#define LSESS_BACKOFF_MAX_NS (3 * NSEC_PER_SEC)
#define LSESS_REDIRECTS 4

struct iscsi_context;

/* What the callbacks of log-in and log-out left behind. */
enum lsess_step {
	LSESS_STEP_PENDING,
	LSESS_STEP_DONE,
	LSESS_STEP_REDIRECT,
	LSESS_STEP_FAILED,
};

struct lsess {
	struct env *env;
	struct sched *home;
	struct lurl url;
	struct lsess_conf conf;
	char initiator[LURL_NAME_MAX + 1];
	enum lsess_state state;

	/* Of the present connection. */
	struct iscsi_context *ctx;
	bool connected;		/* TCP is up */
	bool broken;		/* socket shut; fibers are to let go */
	int error;		/* why */
	bool in_service;	/* libiscsi is on the stack */
	bool progress;		/* a callback came during iscsi_service */
	unsigned pumps;		/* fibers that use the socket */
	enum lsess_step step;
	bool reset_expected;	/* our own doing explains one 29/xx */
	uint8_t tmf_response;
	bool nop_sent;
	uint64_t nop_deadline_ns;
	uint64_t heard_ns;	/* last answer of any kind */
	uint64_t step_deadline_ns; /* of log-in or log-out; 0: none */

	/* Commands; a command is on one of them. */
	struct list waiting;
	struct list inflight;
	struct list answered;
	unsigned inflight_count;

	bool logged_in_before;
	uint64_t logins;
	uint64_t resets;	/* our own, unit attentions that told of one */
	uint64_t held_until_ns;	/* see lsess_hold; 0: it is not */
	bool closing;
	bool ended;		/* the manager fiber is gone */
	struct fiber_cond changed;
	struct fiber_cond want_write;
	struct sched_timer tick;
	bool tick_on;
};

/* ---- disk_libiscsi_login.c ---- */

/* Socket, context, connect, login, following redirections.  Suspends. */
int lsess_login(struct lsess *s) MUST_CHECK;
void lsess_logout(struct lsess *s);
/* Frees the connection once its fibers have let go.  Suspends. */
void lsess_disconnect(struct lsess *s);

/* ---- disk_libiscsi_io.c ---- */

/* Marks the connection dead and wakes whoever waits on it.  Any context. */
void lsess_break(struct lsess *s, int error);
/* Starts the fibers that serve the socket of s->ctx. */
int lsess_pump_start(struct lsess *s) MUST_CHECK;
/* Hands waiting commands to libiscsi and writes what the socket takes. */
void lsess_issue(struct lsess *s);
/* Ends every command of the list with `result`. */
void lsess_fail_all(struct lsess *s, struct list *cmds, int result);
/* With fail_fast and without a session: those that wait, with -ENOTCONN. */
void lsess_fail_unsent(struct lsess *s);
/* Those that were to go out in a nexus that is no more. */
void lsess_fail_orphans(struct lsess *s);
int lsess_tick_start(struct lsess *s) MUST_CHECK;

#endif
