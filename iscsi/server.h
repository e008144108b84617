/* SPDX-License-Identifier: BSD-2-Clause */
/* The server as its own files see it; see target.h for its callers. */
#ifndef VMFS_ISCSI_SERVER_H
#define VMFS_ISCSI_SERVER_H

#include <stdatomic.h>

#include "iscsi/acl.h"
#include "iscsi/target.h"
#include "libvmfs/env/net.h"
#include "libvmfs/env/shared.h"

/* Connections that may be in login beyond the sessions allowed; above that
 * the oldest gives way, and above twice that the new one is hung up on. */
#define SERVER_LOGINS_MAX 64
#define SERVER_WORKERS_MAX 64
#define SERVER_SEND_TIMEOUT_S 30	/* a peer that reads nothing */

struct iscsi_target {
	struct list node;
	struct scsi_target *scsi;
	struct list acl;
	char redirect[ISCSI_ADDRESS_MAX];	/* "": none */
	char alias[ISCSI_ALIAS_MAX];		/* likewise */
};

struct iscsi_portal {
	struct list node;
	struct iscsi_server *server;
	struct net_listener *listener;	/* gone when closed */
	unsigned group;			/* target portal group tag */
	bool closed;
};

/* struct iscsi_limits with the defaults filled in, read by all threads. */
struct server_limits {
	_Atomic unsigned sessions_max, commands_max;
	_Atomic unsigned login_timeout_s, nop_interval_s;
	_Atomic uint64_t data_max;
};

struct iscsi_server {
	struct env *env;		/* portals, administration */
	struct server_limits limits;
	/* Connections live on these in turn; set before the first portal. */
	struct env workers[SERVER_WORKERS_MAX];
	unsigned worker_count, worker_next;
	_Atomic uint64_t data_bytes;	/* of limits.data_max, in use */

	struct shared_lock lock;	/* guards all below */
	struct list targets, portals, conns, sessions;
	unsigned conn_count, session_count, discovery_count;
	struct acl_chap discovery_in, discovery_out;
	unsigned access_changes;	/* of any target, so far */
	uint16_t last_tsih;
	bool stopping;
	struct shared_cond changed;	/* a session, connection, portal left */
};

/* The lock is held. */
struct iscsi_target *server_target(const struct iscsi_server *s,
    const char *iqn);

/* Nobody is logged in to it, and it is on no list. */
void server_target_free(struct iscsi_target *t);

/* Serves a connection that came by a portal of the group on a fiber of a
 * worker's; takes net in any case. */
void conn_start(struct iscsi_server *s, struct net_conn *net, unsigned group);

#endif
