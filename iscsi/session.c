/* SPDX-License-Identifier: BSD-2-Clause */
/* Life of sessions, see session.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/conn.h"
#include "iscsi/session.h"

static bool
session_is(const struct iscsi_session *ss, const struct login_claim *c,
    const struct iscsi_target *t, unsigned group)
{
	return ss->target == t && ss->group == group &&
	    strcmp(ss->initiator, c->initiator) == 0 &&
	    memcmp(ss->isid, c->isid, sizeof(ss->isid)) == 0;
}

static bool
tsih_used(const struct iscsi_server *s, uint16_t tsih)
{
	list_for_each(node, tmp, &s->sessions)
		if (list_entry(node, struct iscsi_session, node)->tsih == tsih)
			return true;
	return false;
}

/* sessions_max is below 65536, so a free number exists. */
static uint16_t
tsih_new(struct iscsi_server *s)
{
	do {
		s->last_tsih++;
	} while (s->last_tsih == 0 || tsih_used(s, s->last_tsih));
	return s->last_tsih;
}

static enum iscsi_login_status
nexus_open(struct iscsi_session *ss, const struct acl_entry *e)
{
	char port[LOGIN_NAME_MAX + 20];
	const uint8_t *i = ss->isid;

	snprintf(port, sizeof(port), "%s,i,0x%02x%02x%02x%02x%02x%02x",
	    ss->initiator, i[0], i[1], i[2], i[3], i[4], i[5]);
	if (scsi_nexus_open_view(ss->target->scsi, ss->initiator, port,
	    e->view, &ss->nexus) < 0)
		return ISCSI_LOGIN_RESOURCES;
	scsi_nexus_set_group(ss->nexus, ss->group);
	return ISCSI_LOGIN_OK;
}

/* True: one is to be waited for. */
static bool
end_old(struct iscsi_server *s, const struct login_claim *c,
    const struct iscsi_target *t, unsigned group)
{
	bool wait = false;

	list_for_each(node, tmp, &s->sessions) {
		struct iscsi_session *old =
		    list_entry(node, struct iscsi_session, node);

		if (!session_is(old, c, t, group))
			continue;
		log_info(s->env->log,
		    "iscsi: session reinstated tsih=%" PRIu16 " initiator=%s",
		    old->tsih, old->initiator);
		conn_order(old->conn, CONN_KILL);
		wait |= !old->abandoned;
	}
	return wait;
}

/* Ends the session that this login replaces; false: the server stops. */
static bool
reinstate(struct iscsi_server *s, const struct login_claim *c,
    const struct iscsi_target *t, unsigned group)
{
	while (end_old(s, c, t, group))
		shared_wait(&s->changed, &s->lock);
	return !s->stopping;
}

/* Access as the login found it; anything else begins anew. */
static const struct acl_entry *
access_still(const struct iscsi_server *s, const struct conn *conn,
    const struct login_claim *c)
{
	const struct iscsi_target *t = server_target(s, c->target);

	if (!t || s->access_changes != conn->access_changes)
		return NULL;
	return acl_find(&t->acl, c->initiator);
}

/* Whoever may discover must not take the place of all who work. */
static unsigned
discovery_max(const struct iscsi_server *s)
{
	return (s->limits.sessions_max + 3) / 4;
}

static enum iscsi_login_status
session_make(struct iscsi_server *s, const struct login *login,
    struct conn *conn, struct iscsi_session **ret_ss)
{
	const struct login_claim *c = &login->claim;
	struct iscsi_target *t = NULL;
	const struct acl_entry *access = NULL;
	struct iscsi_session *ss;
	enum iscsi_login_status status = ISCSI_LOGIN_OK;

	if (!c->discovery && !(t = server_target(s, c->target)))
		return ISCSI_LOGIN_NOT_FOUND;
	if (t && !reinstate(s, c, t, conn->group))
		return ISCSI_LOGIN_RESOURCES;
	if (t && !(access = access_still(s, conn, c)))
		return ISCSI_LOGIN_RESOURCES;
	if (s->session_count >= s->limits.sessions_max ||
	    (!t && s->discovery_count >= discovery_max(s)))
		return ISCSI_LOGIN_RESOURCES;
	ss = calloc(1, sizeof(*ss));
	if (!ss)
		return ISCSI_LOGIN_RESOURCES;
	ss->server = s;
	ss->target = t;
	ss->conn = conn;
	ss->group = conn->group;
	memcpy(ss->initiator, c->initiator, sizeof(ss->initiator));
	memcpy(ss->isid, c->isid, sizeof(ss->isid));
	ss->window = (struct cmd_window){
		.exp = login->cmdsn, .max = conn->policy.window,
	};
	if (t)
		status = nexus_open(ss, access);
	if (status != ISCSI_LOGIN_OK) {
		free(ss);
		return status;
	}
	memcpy(ss->alias, c->alias, sizeof(ss->alias));
	memcpy(ss->param, login->params.active, sizeof(ss->param));
	ss->chap = login->proved ? chap_name(login->algorithm) : NULL;
	ss->mutual = login->mutual;
	ss->tsih = tsih_new(s);
	ss->since_us = s->env->wall_us(s->env);
	s->session_count++;
	s->discovery_count += !t;
	conn->logged_in = true;
	list_add_tail(&s->sessions, &ss->node);
	*ret_ss = ss;
	return ISCSI_LOGIN_OK;
}

enum iscsi_login_status
session_open(struct iscsi_server *s, const struct login *login,
    struct conn *conn, struct iscsi_session **ret_ss)
{
	enum iscsi_login_status status;

	shared_enter(&s->lock);
	status = session_make(s, login, conn, ret_ss);
	shared_leave(&s->lock);
	return status;
}

void
session_abandon(struct iscsi_session *ss)
{
	if (ss->nexus)
		scsi_nexus_abort(ss->nexus);
	shared_enter(&ss->server->lock);
	ss->abandoned = true;
	shared_broadcast(&ss->server->changed);
	shared_leave(&ss->server->lock);
}

void
session_end_nexus(struct iscsi_session *ss)
{
	struct scsi_nexus *nexus;

	session_abandon(ss);
	shared_enter(&ss->server->lock);
	nexus = ss->nexus;
	ss->nexus = NULL;
	shared_leave(&ss->server->lock);
	if (nexus)
		scsi_nexus_close(nexus);
}

void
session_close(struct iscsi_session *ss)
{
	if (!ss)
		return;
	session_end_nexus(ss);
	shared_enter(&ss->server->lock);
	list_del(&ss->node);
	ss->server->session_count--;
	ss->server->discovery_count -= !ss->target;
	shared_broadcast(&ss->server->changed);
	shared_leave(&ss->server->lock);
	free(ss);
}
