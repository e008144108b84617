/* SPDX-License-Identifier: BSD-2-Clause */
/* The iSCSI server: targets, access, sessions for administration. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/conn.h"
#include "iscsi/portal.h"
#include "iscsi/server.h"

#define SESSIONS_DEFAULT 256
#define COMMANDS_DEFAULT 128
#define LOGIN_TIMEOUT_S 15
#define NOP_INTERVAL_S 15
#define DATA_DEFAULT ((uint64_t)1 << 30)

static unsigned
limit(unsigned value, unsigned def, unsigned max)
{
	if (value == 0)
		return def;
	return value < max ? value : max;
}

int
iscsi_server_new(struct env *env, const struct iscsi_limits *limits,
    struct iscsi_server **ret_s)
{
	static const struct iscsi_limits none;
	struct iscsi_server *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	if (!limits)
		limits = &none;
	s->env = env;
	s->limits = (struct iscsi_limits){
		.sessions_max = limit(limits->sessions_max, SESSIONS_DEFAULT,
		    ISCSI_SESSIONS_MAX),
		.commands_max = limit(limits->commands_max, COMMANDS_DEFAULT,
		    ISCSI_COMMANDS_MAX),
		.login_timeout_s = limit(limits->login_timeout_s,
		    LOGIN_TIMEOUT_S, ISCSI_SECONDS_MAX),
		.nop_interval_s = limit(limits->nop_interval_s,
		    NOP_INTERVAL_S, ISCSI_SECONDS_MAX),
		.data_max = limits->data_max ? limits->data_max :
		    DATA_DEFAULT,
	};
	list_init(&s->targets);
	list_init(&s->portals);
	list_init(&s->conns);
	list_init(&s->sessions);
	shared_lock_init(&s->lock);
	shared_cond_init(&s->changed);
	*ret_s = s;
	return 0;
}

int
iscsi_server_add_worker(struct iscsi_server *s, const struct env *worker)
{
	if (s->worker_count == SERVER_WORKERS_MAX)
		return -ENOSPC;
	s->workers[s->worker_count++] = *worker;
	return 0;
}

void
server_target_free(struct iscsi_target *t)
{
	acl_fini(&t->acl);
	scsi_target_free(t->scsi);
	free(t);
}

void
iscsi_server_free(struct iscsi_server *s)
{
	struct list *node;

	if (!s)
		return;
	shared_enter(&s->lock);
	s->stopping = true;
	portals_close(s);
	list_for_each(conn, tmp, &s->conns)
		conn_order(list_entry(conn, struct conn, node), CONN_SHUTDOWN);
	while (s->conn_count > 0 || !list_empty(&s->portals))
		shared_wait(&s->changed, &s->lock);
	shared_leave(&s->lock);
	while ((node = list_pop(&s->targets)))
		server_target_free(list_entry(node, struct iscsi_target, node));
	acl_chap_fini(&s->discovery_in);
	acl_chap_fini(&s->discovery_out);
	shared_lock_fini(&s->lock);
	free(s);
}

int
iscsi_server_discovery_auth(struct iscsi_server *s,
    const struct iscsi_chap *in, const struct iscsi_chap *out)
{
	return acl_chap_set(&s->discovery_in, &s->discovery_out, in, out);
}

struct iscsi_target *
server_target(const struct iscsi_server *s, const char *iqn)
{
	list_for_each(node, tmp, &s->targets) {
		struct iscsi_target *t =
		    list_entry(node, struct iscsi_target, node);

		if (strcmp(scsi_target_iqn(t->scsi), iqn) == 0)
			return t;
	}
	return NULL;
}

int
iscsi_server_add_target(struct iscsi_server *s, const char *iqn,
    struct scsi_target **ret_t)
{
	struct iscsi_target *t;
	int r;

	if (strlen(iqn) == 0 || strlen(iqn) >= SCSI_NAME_MAX)
		return -EINVAL;
	if (server_target(s, iqn))
		return -EEXIST;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	r = scsi_target_new(s->env, iqn, &t->scsi);
	if (r < 0) {
		free(t);
		return r;
	}
	list_init(&t->acl);
	if (!list_empty(&s->targets))
		scsi_target_share(t->scsi, list_entry(s->targets.next,
		    struct iscsi_target, node)->scsi);
	shared_enter(&s->lock);
	scsi_target_set_groups(t->scsi, portal_groups(s));
	list_add_tail(&s->targets, &t->node);
	shared_leave(&s->lock);
	*ret_t = t->scsi;
	return 0;
}

int
iscsi_server_allow(struct iscsi_server *s, const char *iqn,
    const char *initiator, const struct iscsi_chap *in,
    const struct iscsi_chap *out)
{
	struct iscsi_target *t;
	int r;

	shared_enter(&s->lock);
	t = server_target(s, iqn);
	r = t ? acl_add(&t->acl, initiator, in, out) : -ENOENT;
	s->access_changes += r == 0;
	shared_leave(&s->lock);
	return r;
}

/* Printable, and no text that would be a portal group tag. */
static bool
address_ok(const char *address)
{
	size_t len = strlen(address);

	for (size_t i = 0; i < len; i++)
		if (!isgraph((unsigned char)address[i]) || address[i] == ',')
			return false;
	return len > 0 && len < ISCSI_ADDRESS_MAX;
}

int
iscsi_server_redirect(struct iscsi_server *s, const char *iqn,
    const char *address)
{
	struct iscsi_target *t;

	if (address != NULL && !address_ok(address))
		return -EINVAL;
	shared_enter(&s->lock);
	t = server_target(s, iqn);
	if (t)
		strcpy(t->redirect, address != NULL ? address : "");
	shared_leave(&s->lock);
	return t ? 0 : -ENOENT;
}

/* ---- sessions, for people ---- */

static void
session_info(const struct iscsi_session *ss, struct iscsi_session_info *info)
{
	*info = (struct iscsi_session_info){
		.target = ss->target ? scsi_target_iqn(ss->target->scsi) : "",
		.initiator = ss->initiator,
		.peer = net_conn_peer(ss->conn->net),
		.tsih = ss->tsih, .since_us = ss->since_us,
		.header_digest = ss->header_digest,
		.data_digest = ss->data_digest,
		.commands = ss->conn->task_count,
		.commands_done = ss->commands_done,
		.bytes_in = ss->bytes_in, .bytes_out = ss->bytes_out,
	};
	if (ss->nexus)
		scsi_nexus_stats(ss->nexus, &info->scsi);
}

void
iscsi_server_sessions(struct iscsi_server *s,
    void (*fn)(void *arg, const struct iscsi_session_info *info), void *arg)
{
	shared_enter(&s->lock);
	list_for_each(node, tmp, &s->sessions) {
		struct iscsi_session_info info;

		session_info(list_entry(node, struct iscsi_session, node),
		    &info);
		fn(arg, &info);
	}
	shared_leave(&s->lock);
}
