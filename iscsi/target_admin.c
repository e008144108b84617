/* SPDX-License-Identifier: BSD-2-Clause */
/* Changes to a running server: access, targets and portals that go away. */
#include <stdlib.h>
#include <string.h>

#include "iscsi/conn.h"
#include "iscsi/portal.h"
#include "iscsi/server.h"

struct scsi_target *
iscsi_server_target(struct iscsi_server *s, const char *iqn)
{
	struct iscsi_target *t;

	shared_enter(&s->lock);
	t = server_target(s, iqn);
	shared_leave(&s->lock);
	return t ? t->scsi : NULL;
}

/* ---- access ---- */

static int
access_list(struct list *acl, const struct iscsi_access *access, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct iscsi_access *a = &access[i];

		r = acl_add(acl, a->initiator, &a->in, &a->out);
		if (r == 0)
			r = acl_show(acl, a->initiator, a->view);
	}
	return r;
}

/* Those that are logged in see what they may see now, or leave. */
static int
access_apply(struct iscsi_server *s, struct iscsi_target *t)
{
	int r = 0;

	list_for_each(node, tmp, &s->sessions) {
		struct iscsi_session *ss =
		    list_entry(node, struct iscsi_session, node);
		const struct acl_entry *e;

		if (ss->target != t || !ss->nexus)
			continue;
		e = acl_find(&t->acl, ss->initiator);
		if (!e)
			conn_order(ss->conn, CONN_SHUTDOWN);
		else if (scsi_nexus_set_view(ss->nexus, e->view) < 0)
			r = -ENOMEM;
	}
	return r;
}

int
iscsi_server_set_access(struct iscsi_server *s, const char *iqn,
    const struct iscsi_access *access, size_t count)
{
	struct iscsi_target *t;
	struct list acl;
	int r;

	list_init(&acl);
	r = access_list(&acl, access, count);
	shared_enter(&s->lock);
	t = server_target(s, iqn);
	if (r == 0 && !t)
		r = -ENOENT;
	if (r == 0) {
		acl_swap(&t->acl, &acl);
		s->access_changes++;
		r = access_apply(s, t);
	}
	shared_leave(&s->lock);
	acl_fini(&acl);
	return r;
}

/* ---- removal ---- */

static bool
target_in_use(const struct iscsi_server *s, const struct iscsi_target *t,
    enum conn_orders order)
{
	bool used = false;

	list_for_each(node, tmp, &s->sessions) {
		struct iscsi_session *ss =
		    list_entry(node, struct iscsi_session, node);

		if (ss->target != t)
			continue;
		used = true;
		if (order)
			conn_order(ss->conn, order);
	}
	return used;
}

int
iscsi_server_remove_target(struct iscsi_server *s, const char *iqn)
{
	struct iscsi_target *t;

	shared_enter(&s->lock);
	t = server_target(s, iqn);
	if (t) {
		/* From here on nobody logs in. */
		list_del(&t->node);
		s->access_changes++;
		(void)target_in_use(s, t, CONN_SHUTDOWN);
		while (target_in_use(s, t, 0))
			shared_wait(&s->changed, &s->lock);
	}
	shared_leave(&s->lock);
	if (!t)
		return -ENOENT;
	server_target_free(t);
	return 0;
}

static struct iscsi_portal *
portal_at(const struct iscsi_server *s, const char *addr)
{
	list_for_each(node, tmp, &s->portals) {
		struct iscsi_portal *p =
		    list_entry(node, struct iscsi_portal, node);

		if (!p->closed &&
		    strcmp(net_listener_addr(p->listener), addr) == 0)
			return p;
	}
	return NULL;
}

static bool
portal_listed(const struct iscsi_server *s, const struct iscsi_portal *p)
{
	list_for_each(node, tmp, &s->portals) {
		if (list_entry(node, struct iscsi_portal, node) == p)
			return true;
	}
	return false;
}

int
iscsi_server_unlisten(struct iscsi_server *s, const char *addr)
{
	struct iscsi_portal *p;

	shared_enter(&s->lock);
	p = portal_at(s, addr);
	if (p) {
		p->closed = true;
		portal_groups_tell(s);
		net_listener_close(p->listener);
		while (portal_listed(s, p))
			shared_wait(&s->changed, &s->lock);
	}
	shared_leave(&s->lock);
	return p ? 0 : -ENOENT;
}

/* ---- sessions ---- */

static bool
session_matches(const struct iscsi_session *ss, const char *initiator,
    uint16_t tsih)
{
	return tsih ? ss->tsih == tsih : acl_match(initiator, ss->initiator);
}

static unsigned
order_matching(struct iscsi_server *s, const char *initiator, uint16_t tsih,
    enum conn_orders order, unsigned seconds)
{
	unsigned count = 0;

	list_for_each(node, tmp, &s->sessions) {
		struct iscsi_session *ss =
		    list_entry(node, struct iscsi_session, node);

		if (!session_matches(ss, initiator, tsih))
			continue;
		ss->told_to_leave = true;
		ss->logout_s = seconds;
		conn_order(ss->conn, order);
		count++;
	}
	return count;
}

/* Not of those that have come back meanwhile: some do at once. */
static bool
any_leaves(const struct iscsi_server *s, const char *initiator, uint16_t tsih)
{
	list_for_each(node, tmp, &s->sessions) {
		const struct iscsi_session *ss =
		    list_entry(node, struct iscsi_session, node);

		if (ss->told_to_leave && session_matches(ss, initiator, tsih))
			return true;
	}
	return false;
}

static int
end_sessions(struct iscsi_server *s, const char *initiator, uint16_t tsih,
    enum conn_orders order, unsigned seconds)
{
	int r = 0;

	if (!tsih && !initiator)
		return -EINVAL;
	shared_enter(&s->lock);
	if (order_matching(s, initiator, tsih, order, seconds) == 0)
		r = -ENOENT;
	while (r == 0 && any_leaves(s, initiator, tsih))
		shared_wait(&s->changed, &s->lock);
	shared_leave(&s->lock);
	return r;
}

int
iscsi_server_drop_session(struct iscsi_server *s, const char *initiator,
    uint16_t tsih)
{
	return end_sessions(s, initiator, tsih, CONN_SHUTDOWN, 0);
}

int
iscsi_server_logout_session(struct iscsi_server *s, const char *initiator,
    uint16_t tsih, unsigned seconds)
{
	return end_sessions(s, initiator, tsih, CONN_ASK_LOGOUT, seconds);
}

int
iscsi_server_kill_session(struct iscsi_server *s, const char *initiator,
    uint16_t tsih)
{
	return end_sessions(s, initiator, tsih, CONN_KILL, 0);
}
