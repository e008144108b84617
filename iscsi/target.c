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

void
iscsi_server_set_limits(struct iscsi_server *s, const struct iscsi_limits *l)
{
	struct server_limits *to = &s->limits;

	to->sessions_max = limit(l->sessions_max, SESSIONS_DEFAULT,
	    ISCSI_SESSIONS_MAX);
	to->commands_max = limit(l->commands_max, COMMANDS_DEFAULT,
	    ISCSI_COMMANDS_MAX);
	to->login_timeout_s = limit(l->login_timeout_s, LOGIN_TIMEOUT_S,
	    ISCSI_SECONDS_MAX);
	to->nop_interval_s = limit(l->nop_interval_s, NOP_INTERVAL_S,
	    ISCSI_SECONDS_MAX);
	to->data_max = l->data_max ? l->data_max : DATA_DEFAULT;
}

void
iscsi_server_limits(const struct iscsi_server *s, struct iscsi_limits *ret_l)
{
	const struct server_limits *l = &s->limits;

	*ret_l = (struct iscsi_limits){
		.sessions_max = l->sessions_max,
		.commands_max = l->commands_max,
		.login_timeout_s = l->login_timeout_s,
		.nop_interval_s = l->nop_interval_s,
		.data_max = l->data_max,
	};
}

int
iscsi_server_new(struct env *env, const struct iscsi_limits *limits,
    struct iscsi_server **ret_s)
{
	static const struct iscsi_limits none;
	struct iscsi_server *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->env = env;
	iscsi_server_set_limits(s, limits ? limits : &none);
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
	int r;

	shared_enter(&s->lock);
	r = acl_chap_set(&s->discovery_in, &s->discovery_out, in, out);
	shared_leave(&s->lock);
	return r;
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

int
iscsi_server_alias(struct iscsi_server *s, const char *iqn, const char *alias)
{
	struct iscsi_target *t;

	if (alias != NULL && strlen(alias) >= ISCSI_ALIAS_MAX)
		return -EINVAL;
	shared_enter(&s->lock);
	t = server_target(s, iqn);
	if (t)
		strcpy(t->alias, alias != NULL ? alias : "");
	shared_leave(&s->lock);
	return t ? 0 : -ENOENT;
}

/* ---- sessions, for people ---- */

static void
session_info(const struct iscsi_session *ss, struct iscsi_session_info *info)
{
	*info = (struct iscsi_session_info){
		.target = ss->target ? scsi_target_iqn(ss->target->scsi) : "",
		.initiator = ss->initiator, .alias = ss->alias,
		.isid = ss->isid, .group = ss->group,
		.peer = net_conn_peer(ss->conn->net),
		.portal = net_conn_local(ss->conn->net),
		.tsih = ss->tsih, .since_us = ss->since_us,
		.chap = ss->chap, .mutual = ss->mutual,
		.header_digest = ss->param[PARAM_HEADER_DIGEST],
		.data_digest = ss->param[PARAM_DATA_DIGEST],
		.initial_r2t = ss->param[PARAM_INITIAL_R2T],
		.immediate_data = ss->param[PARAM_IMMEDIATE_DATA],
		.max_burst = ss->param[PARAM_MAX_BURST],
		.first_burst = ss->param[PARAM_FIRST_BURST],
		.max_r2t = ss->param[PARAM_MAX_R2T],
		.window = ss->window.max,
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
