/* SPDX-License-Identifier: BSD-2-Clause */
/* Life of a connection, see conn.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/conn.h"
#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/units.h"

void
conn_kill(struct conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	net_conn_shutdown(c->net);
	conn_tx_wake(c);
	fiber_cond_broadcast(&c->room);
}

/* Sends an asynchronous message first, then ends. */
static void
conn_shutdown(struct conn *c)
{
	if (!c->session || !c->writing)
		conn_kill(c);
	else if (!c->draining)
		conn_async(c, ISCSI_ASYNC_DROP_ALL, 0);
}

static void
leave_late(void *arg)
{
	struct conn *c = arg;

	log_warn(c->env->log, "iscsi: did not log out when asked to, session "
	    "dropped initiator=%s peer=%s", c->session->initiator,
	    net_conn_peer(c->net));
	conn_shutdown(c);
}

/* Asks the initiator to log out; after the session's logout_s as
 * conn_shutdown. */
static void
conn_ask_logout(struct conn *c)
{
	struct sched *sched = c->env->sched;
	unsigned seconds;

	if (!c->session || !c->writing || c->draining) {
		conn_shutdown(c);
		return;
	}
	seconds = c->session->logout_s;
	if (sched_timer_arm(sched, &c->leave, sched_now(sched) +
	    seconds * NSEC_PER_SEC) < 0)
		conn_shutdown(c);
	else
		conn_async(c, ISCSI_ASYNC_LOGOUT, seconds);
}

/* ---- keep-alive ---- */

static void
alive_arm(struct conn *c)
{
	struct sched *sched = c->env->sched;
	uint64_t interval = c->server->limits.nop_interval_s * NSEC_PER_SEC;

	if (sched_timer_arm(sched, &c->alive, sched_now(sched) + interval) < 0)
		log_warn(c->env->log,
		    "iscsi: no keep-alive peer=%s: out of memory",
		    net_conn_peer(c->net));
}

static void
alive_tick(void *arg)
{
	struct conn *c = arg;

	c->silent = c->heard ? 0 : c->silent + 1;
	c->heard = false;
	if (c->silent >= CONN_NOP_MISSED) {
		log_warn(c->env->log,
		    "iscsi: peer silent, connection dropped peer=%s",
		    net_conn_peer(c->net));
		conn_kill(c);
		return;
	}
	if (c->silent > 0)
		conn_nop_in(c);
	alive_arm(c);
}

/* ---- login ---- */

static void
login_random(void *arg, void *buf, size_t len)
{
	struct conn *c = arg;

	c->env->random(c->env, buf, len);
}

/* The entry may change during the login: the proof is of what it was. */
static enum iscsi_login_status
auth_keep(struct conn *c, const struct acl_chap *in,
    const struct acl_chap *out, struct login_auth *ret_auth)
{
	struct iscsi_chap i = { in->user, in->secret };
	struct iscsi_chap o = { out->user, out->secret };

	if (acl_chap_set(&c->auth_in, &c->auth_out, &i, &o) < 0)
		return ISCSI_LOGIN_RESOURCES;
	*ret_auth = acl_auth(&c->auth_in, &c->auth_out);
	return ISCSI_LOGIN_OK;
}

static enum iscsi_login_status
access_check(struct conn *c, const struct login_claim *claim,
    struct login_auth *ret_auth)
{
	struct iscsi_server *s = c->server;
	enum iscsi_login_status status;
	const struct acl_entry *e;
	struct iscsi_target *t;

	if (s->stopping)
		return ISCSI_LOGIN_RESOURCES;
	if (claim->tsih != 0) {
		list_for_each(node, tmp, &s->sessions)
			if (list_entry(node, struct iscsi_session,
			    node)->tsih == claim->tsih)
				return ISCSI_LOGIN_TOO_MANY;
		return ISCSI_LOGIN_NO_SESSION;
	}
	if (claim->discovery)
		return auth_keep(c, &s->discovery_in, &s->discovery_out,
		    ret_auth);
	t = server_target(s, claim->target);
	if (!t)
		return ISCSI_LOGIN_NOT_FOUND;
	e = acl_find(&t->acl, claim->initiator);
	if (!e)
		return ISCSI_LOGIN_FORBIDDEN;
	if (t->redirect[0] != '\0') {
		strcpy(c->redirect, t->redirect);
		ret_auth->redirect = c->redirect;
		return ISCSI_LOGIN_MOVED;
	}
	c->access_changes = s->access_changes;
	strcpy(c->alias, t->alias);
	status = auth_keep(c, &e->in, &e->out, ret_auth);
	if (status == ISCSI_LOGIN_OK && c->alias[0] != '\0')
		ret_auth->alias = c->alias;
	return status;
}

static enum iscsi_login_status
login_access(void *arg, const struct login_claim *claim,
    struct login_auth *ret_auth)
{
	struct conn *c = arg;
	struct iscsi_server *s = c->server;
	enum iscsi_login_status status;

	shared_enter(&s->lock);
	status = access_check(c, claim, ret_auth);
	shared_leave(&s->lock);
	return status;
}

static void
login_log_refused(const struct conn *c)
{
	const struct login *l = &c->login;

	log_warn(c->env->log, "iscsi: login refused initiator=%s "
	    "target=%s peer=%s status=0x%04x: %s", l->claim.initiator,
	    l->claim.target, net_conn_peer(c->net), (unsigned)l->status,
	    l->why);
}

/* Opens the session when the login is over, before its last response. */
static void
login_finish(struct conn *c, const union iscsi_bhs *req,
    struct login_reply *reply)
{
	enum iscsi_login_status status;

	status = session_open(c->server, &c->login, c, &c->session);
	if (status == ISCSI_LOGIN_OK) {
		reply->bhs.login.tsih = be16(c->session->tsih);
		return;
	}
	c->login.statsn--;
	login_refuse(&c->login, req, status, "no session to be had", reply);
}

static int
login_round(struct conn *c, uint64_t deadline, bool *ret_done)
{
	struct sched *sched = c->env->sched;
	const union iscsi_bhs *req = (const union iscsi_bhs *)c->header;
	cleanup_free uint8_t *data = NULL;
	struct login_reply reply;
	uint64_t now = sched_now(sched);
	uint32_t len;
	int r;

	if (now >= deadline)
		return -ETIMEDOUT;
	r = conn_rx_header(c, deadline - now);
	if (r < 0)
		return r;
	len = iscsi_data_len(req);
	if (len > LOGIN_DATA_MAX)
		return -VMFS_EPROTO;
	data = malloc(len + 1);
	if (!data)
		return -ENOMEM;
	now = sched_now(sched);
	r = now >= deadline ? -ETIMEDOUT :
	    conn_rx_data(c, data, len, deadline - now);
	if (r < 0)
		return r;
	login_step(&c->login, req, data, len, &reply);
	if (reply.done)
		login_finish(c, req, &reply);
	if (reply.close)
		login_log_refused(c);
	r = conn_tx_now(c, &reply.bhs, reply.text, reply.text_len,
	    SERVER_SEND_TIMEOUT_S * NSEC_PER_SEC);
	if (r == 0 && reply.close)
		r = -VMFS_EAUTH;
	*ret_done = reply.done && !reply.close;
	return r;
}

/* Full feature phase may begin: what was agreed holds from here. */
static void
login_apply(struct conn *c)
{
	struct iscsi_session *ss = c->session;

	memcpy(c->param, c->login.params.active, sizeof(c->param));
	c->max_recv = c->login.params.mine[PARAM_MAX_RECV_DATA];
	c->statsn = c->login.statsn;
	log_info(c->env->log, "iscsi: session opened tsih=%" PRIu16
	    " initiator=%s target=%s peer=%s", ss->tsih, ss->initiator,
	    c->login.claim.discovery ? "(discovery)" : c->login.claim.target,
	    net_conn_peer(c->net));
}

static int
conn_login(struct conn *c)
{
	uint64_t deadline = sched_now(c->env->sched) +
	    c->server->limits.login_timeout_s * NSEC_PER_SEC;
	bool done = false;
	int r = 0;

	c->policy = (struct login_policy){
		.arg = c, .access = login_access, .random = login_random,
		.window = c->server->limits.commands_max, .group = c->group,
	};
	login_init(&c->login, &c->policy);
	while (r == 0 && !done && !c->dead)
		r = login_round(c, deadline, &done);
	if (r == 0 && done)
		login_apply(c);
	login_fini(&c->login);
	acl_chap_fini(&c->auth_in);
	acl_chap_fini(&c->auth_out);
	return r;
}

/* ---- full feature phase and the end ---- */

static void
conn_serve(struct conn *c)
{
	int r = 0;

	if (sched_spawn(c->env->sched, "iscsi-tx", conn_tx_writer,
	    c) < 0)
		return;
	c->writing = true;
	alive_arm(c);
	while (r == 0 && !c->draining && !c->dead)
		r = conn_rx_pdu(c);
	if (r < 0)
		log_debug(c->env->log, "iscsi: connection over "
		    "peer=%s: %s", net_conn_peer(c->net), vmfs_strerror(r));
	if (!c->draining)
		conn_kill(c);
	while (c->writing)
		fiber_cond_wait(&c->changed);
	sched_timer_cancel(c->env->sched, &c->alive);
	sched_timer_cancel(c->env->sched, &c->leave);
}

static void
conn_end_session(struct conn *c)
{
	struct iscsi_session *ss = c->session;

	if (!ss)
		return;
	session_abandon(ss);
	while (c->tmf_count > 0)
		fiber_cond_wait(&c->changed);
	/* Its tasks are freed by their done; the rest are only ours. */
	session_end_nexus(ss);
	conn_task_cancel_all(c, NULL);
	conn_tx_drop(c);
	log_info(c->env->log, "iscsi: session closed tsih=%" PRIu16
	    " initiator=%s peer=%s", ss->tsih, ss->initiator,
	    net_conn_peer(c->net));
	c->session = NULL;
	session_close(ss);
}

/* ---- orders of others ---- */

static void
conn_obey(void *arg)
{
	struct conn *c = arg;

	unsigned orders = atomic_exchange(&c->orders, 0);

	if (orders & CONN_KILL)
		conn_kill(c);
	else if (orders & CONN_SHUTDOWN)
		conn_shutdown(c);
	else
		conn_ask_logout(c);
}

void
conn_order(struct conn *c, enum conn_orders order)
{
	if (atomic_fetch_or(&c->orders, (unsigned)order) == 0)
		sched_post(c->env->sched, &c->order_work);
}

/* ---- begin and end ---- */

/* The last part, when no order can be on its way any more. */
static void
conn_free(struct conn *c)
{
	struct iscsi_server *s = c->server;

	net_conn_close(c->net);
	text_buf_fini(&c->text_in);
	text_buf_fini(&c->text_out);
	free(c->scratch);
	free(c);
	shared_enter(&s->lock);
	s->conn_count--;
	shared_broadcast(&s->changed);
	shared_leave(&s->lock);
}

static void
conn_unlist(struct conn *c)
{
	shared_enter(&c->server->lock);
	list_del(&c->node);
	shared_leave(&c->server->lock);
}

static void
conn_main(void *arg)
{
	struct conn *c = arg;
	int r = conn_login(c);

	if (r == 0 && c->session && !c->dead)
		conn_serve(c);
	else if (r < 0 && r != -VMFS_EAUTH)
		log_debug(c->env->log, "iscsi: login not finished "
		    "peer=%s: %s", net_conn_peer(c->net), vmfs_strerror(r));
	c->dead = true;
	conn_end_session(c);
	conn_unlist(c);
	while (atomic_load(&c->orders) != 0)
		fiber_yield();
	conn_free(c);
}

/* There is no memory for its fiber. */
static void
conn_abandon(void *arg)
{
	struct conn *c = arg;

	if (atomic_load(&c->orders) == 0) {
		conn_free(c);
		return;
	}
	c->start.fn = conn_abandon;
	sched_post(c->env->sched, &c->start);
}

static void
conn_start_work(void *arg)
{
	struct conn *c = arg;

	if (sched_spawn(c->env->sched, "iscsi-rx", conn_main, c) == 0)
		return;
	conn_unlist(c);
	conn_abandon(c);
}

static struct conn *
conn_new(struct iscsi_server *s, struct net_conn *net, unsigned group)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->server = s;
	c->env = s->worker_count == 0 ? s->env :
	    &s->workers[s->worker_next++ % s->worker_count];
	c->start = (struct sched_work){ .fn = conn_start_work, .arg = c };
	c->order_work = (struct sched_work){ .fn = conn_obey, .arg = c };
	c->net = net;
	c->group = group;
	c->max_recv = LOGIN_DATA_MAX;
	c->text_ttt = ISCSI_NO_TAG;
	c->alive.fn = alive_tick;
	c->alive.arg = c;
	c->leave.fn = leave_late;
	c->leave.arg = c;
	for (unsigned i = 0; i < CONN_BUCKETS; i++)
		list_init(&c->buckets[i]);
	list_init(&c->waiting);
	list_init(&c->tx);
	fiber_cond_init(&c->room);
	fiber_cond_init(&c->changed);
	text_buf_init(&c->text_in, TEXT_IN_MAX);
	text_buf_init(&c->text_out, CONN_SENDTARGETS_MAX);
	s->conn_count++;
	list_add_tail(&s->conns, &c->node);
	return c;
}

/*
 * The connection that has been in login for the longest time gives way to a
 * new one, so that peers who connect and say nothing do not keep others out.
 * The lock is held.
 */
static bool
login_gives_way(struct iscsi_server *s)
{
	list_for_each(node, tmp, &s->conns) {
		struct conn *c = list_entry(node, struct conn, node);

		if (c->logged_in || c->gave_way)
			continue;
		c->gave_way = true;
		conn_order(c, CONN_KILL);
		return true;
	}
	return false;
}

/* Those that give way may still be there: room for as many once more. */
static bool
room_for_another(struct iscsi_server *s)
{
	unsigned max = s->limits.sessions_max + SERVER_LOGINS_MAX;

	return s->conn_count < max ||
	    (s->conn_count < max + SERVER_LOGINS_MAX && login_gives_way(s));
}

void
conn_start(struct iscsi_server *s, struct net_conn *net, unsigned group)
{
	struct conn *c = NULL;

	shared_enter(&s->lock);
	if (room_for_another(s))
		c = conn_new(s, net, group);
	if (c)
		sched_post(c->env->sched, &c->start);
	shared_leave(&s->lock);
	if (!c) {
		log_warn(s->env->log, "iscsi: connection refused peer=%s: "
		    "too many connections or no memory", net_conn_peer(net));
		net_conn_close(net);
	}
}
