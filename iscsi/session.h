/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sessions: one connection each (MaxConnections=1), known by initiator name,
 * ISID and target, numbered by TSIH.
 */
#ifndef VMFS_ISCSI_SESSION_H
#define VMFS_ISCSI_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "iscsi/login_fsm.h"
#include "iscsi/server.h"
#include "iscsi/window.h"

struct conn;

struct iscsi_session {
	struct list node;
	struct iscsi_server *server;
	struct iscsi_target *target;	/* NULL: discovery */
	struct conn *conn;
	struct scsi_nexus *nexus;	/* NULL: discovery */
	char initiator[LOGIN_NAME_MAX];
	uint8_t isid[6];
	uint16_t tsih;
	unsigned group;			/* portal group tag */
	bool told_to_leave;		/* under the server's lock */
	unsigned logout_s;		/* set before CONN_ASK_LOGOUT */
	bool abandoned;			/* likewise; another may take its place */
	uint64_t since_us;
	struct cmd_window window;
	char alias[LOGIN_ALIAS_MAX];
	const char *chap;		/* name of the algorithm; NULL: none */
	bool mutual;
	uint32_t param[PARAM_COUNT];	/* as the login has agreed on them */
	/* Counted by the connection, read by anybody. */
	_Atomic uint64_t commands_done, bytes_in, bytes_out;
};

/* One writer: no need for an atomic read-modify-write. */
static inline void
session_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter,
	    memory_order_relaxed) + n, memory_order_relaxed);
}

/*
 * Opens the session that a login asked for.  One of the same initiator, ISID,
 * target and portal group is ended first (session reinstatement, 6.3.5); what
 * of its commands is still at work holds up no unit but their own.  ISCSI_LOGIN_OK
 * or the status to refuse with.  Suspends, on the connection's scheduler.
 */
enum iscsi_login_status session_open(struct iscsi_server *s,
    const struct login *login, struct conn *conn,
    struct iscsi_session **ret_ss) MUST_CHECK;
/* I_T nexus loss: commands are aborted, which a disk that hangs may delay; who
 * logs in anew does not wait for that. */
void session_abandon(struct iscsi_session *ss);
/* The same, and waits for them.  Suspends. */
void session_end_nexus(struct iscsi_session *ss);
/* NULL is fine.  Suspends. */
void session_close(struct iscsi_session *ss);

#endif
