/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two fibers, one for each of corosync's services; each connects, serves what
 * comes, and after a failure connects again.  Every call of the libraries runs
 * on a helper thread: cpg_dispatch alone takes a MiB of stack.
 */
#include "locking/member_corosync.h"

#include <assert.h>
#include <corosync/cpg.h>
#include <corosync/votequorum.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/env/reactor.h"
#include "libvmfs/env/shared.h"
#include "locking/member_table.h"

#define AGAIN_NS NSEC_PER_SEC
#define BUSY_NS (20 * NSEC_PER_MSEC)

/* What each member multicasts.  Bytes only: no swap is needed. */
struct announcement {
	char magic[8];
	struct uuid host;
};
static_assert(sizeof(struct announcement) == 24, "on the wire");
static const char magic[8] = "VMFSDM01";

struct net {
	struct member member;
	struct env *env;
	struct uuid host;
	cpg_handle_t cpg;
	votequorum_handle_t quorum;
	bool cpg_open, quorum_open;
	int cpg_fd, quorum_fd;
	bool announce;			/* somebody joined: say who we are */
	cs_error_t cpg_told, quorum_told;	/* the last failure logged */

	struct shared_lock lock;	/* guards the table */
	struct member_table table;
};

static enum member_word
net_word(struct member *m, const struct uuid *host)
{
	struct net *n = container_of(m, struct net, member);
	enum member_word word;

	shared_enter(&n->lock);
	word = member_table_word(&n->table, host);
	shared_leave(&n->lock);
	return word;
}

static const struct member_ops ops = { .word = net_word };

/* Once for each reason, not for each attempt. */
static void
tell(struct net *n, const char *what, cs_error_t *told, cs_error_t error)
{
	if (error == *told)
		return;
	*told = error;
	if (error == CS_OK)
		log_info(n->env->log, "member: corosync %s: connected", what);
	else
		log_warn(n->env->log, "member: corosync %s: %s; the network "
		    "says nothing about hosts, take-over goes by the LUN alone",
		    what, cs_strerror(error));
}

/* ---- calls of the libraries, away from the fiber's stack ---- */

struct call {
	struct net *net;
	cs_error_t (*fn)(struct net *n);
	cs_error_t result;
};

static int
call_run(void *arg)
{
	struct call *c = arg;

	c->result = c->fn(c->net);
	return 0;
}

static cs_error_t
call(struct net *n, cs_error_t (*fn)(struct net *n))
{
	struct call c = { .net = n, .fn = fn };

	return offload_call(call_run, &c) < 0 ? CS_ERR_NO_MEMORY : c.result;
}

/* ---- the process group ---- */

static void
delivered(cpg_handle_t handle, const struct cpg_name *group, uint32_t node,
    uint32_t pid, void *msg, size_t len)
{
	const struct announcement *a = msg;
	void *context = NULL;
	struct net *n;

	(void)group;
	if (cpg_context_get(handle, &context) != CS_OK ||
	    len != sizeof(*a) || memcmp(a->magic, magic, sizeof(magic)) != 0)
		return;
	n = context;
	shared_enter(&n->lock);
	member_table_announced(&n->table, (struct member_proc){ node, pid },
	    &a->host);
	shared_leave(&n->lock);
}

static void
changed(cpg_handle_t handle, const struct cpg_name *group,
    const struct cpg_address *members, size_t member_count,
    const struct cpg_address *left, size_t left_count,
    const struct cpg_address *joined, size_t joined_count)
{
	void *context = NULL;
	struct net *n;

	(void)group;
	(void)joined;
	if (cpg_context_get(handle, &context) != CS_OK)
		return;
	n = context;
	shared_enter(&n->lock);
	for (size_t i = 0; i < left_count; i++)
		member_table_left(&n->table, (struct member_proc){
		    left[i].nodeid, left[i].pid },
		    left[i].reason == CPG_REASON_NODEDOWN);
	for (size_t i = 0; i < member_count; i++)
		member_table_present(&n->table, (struct member_proc){
		    members[i].nodeid, members[i].pid });
	shared_leave(&n->lock);
	if (joined_count > 0)
		n->announce = true;
	for (size_t i = 0; i < left_count; i++)
		log_info(n->env->log, "member: left node=%u pid=%u reason=%s",
		    left[i].nodeid, left[i].pid,
		    left[i].reason == CPG_REASON_NODEDOWN ? "node" :
		    left[i].reason == CPG_REASON_PROCDOWN ? "process" :
		    "leave");
}

static cs_error_t
call_announce(struct net *n)
{
	struct announcement a = { .host = n->host };
	struct iovec iov = { &a, sizeof(a) };

	memcpy(a.magic, magic, sizeof(magic));
	return cpg_mcast_joined(n->cpg, CPG_TYPE_AGREED, &iov, 1);
}

/* Waits while corosync forms its membership. */
static cs_error_t
announce(struct net *n)
{
	cs_error_t rc = CS_OK;

	while (n->announce) {
		rc = call(n, call_announce);
		if (rc == CS_ERR_TRY_AGAIN) {
			fiber_sleep(BUSY_NS);
			continue;
		}
		n->announce = false;
	}
	return rc;
}

static cs_error_t
call_group_open(struct net *n)
{
	cpg_model_v1_data_t model = {
		.cpg_deliver_fn = delivered, .cpg_confchg_fn = changed,
	};
	cs_error_t rc = cpg_model_initialize(&n->cpg, CPG_MODEL_V1,
	    (cpg_model_data_t *)&model, n);

	n->cpg_open = rc == CS_OK;
	return rc == CS_OK ? cpg_fd_get(n->cpg, &n->cpg_fd) : rc;
}

static cs_error_t
call_join(struct net *n)
{
	struct cpg_name group = { .length = 5, .value = "vmfsd" };

	return cpg_join(n->cpg, &group);
}

static cs_error_t
call_group_dispatch(struct net *n)
{
	return cpg_dispatch(n->cpg, CS_DISPATCH_ALL);
}

static cs_error_t
call_group_close(struct net *n)
{
	return n->cpg_open ? cpg_finalize(n->cpg) : CS_OK;
}

static cs_error_t
group_open(struct net *n)
{
	cs_error_t rc = call(n, call_group_open);

	if (rc != CS_OK)
		return rc;
	while ((rc = call(n, call_join)) == CS_ERR_TRY_AGAIN)
		fiber_sleep(BUSY_NS);
	return rc;
}

static void
group_close(struct net *n)
{
	(void)call(n, call_group_close);
	n->cpg_open = false;
	shared_enter(&n->lock);
	member_table_reset(&n->table);
	shared_leave(&n->lock);
}

static cs_error_t
group_serve(struct net *n)
{
	cs_error_t rc = CS_OK;

	while (rc == CS_OK) {
		rc = call(n, call_group_dispatch);
		if (rc == CS_OK)
			rc = announce(n);
		if (rc == CS_OK && reactor_poll_fd(n->cpg_fd, POLLIN) < 0)
			rc = CS_ERR_LIBRARY;
	}
	return rc;
}

static void
group_main(void *arg)
{
	struct net *n = arg;
	cs_error_t rc;

	for (;;) {
		rc = group_open(n);
		tell(n, "process group", &n->cpg_told, rc);
		if (rc == CS_OK) {
			rc = group_serve(n);
			tell(n, "process group", &n->cpg_told, rc);
		}
		group_close(n);
		fiber_sleep(AGAIN_NS);
	}
}

/* ---- quorum ---- */

static void
quorum_set(struct net *n, bool quorate)
{
	shared_enter(&n->lock);
	if (n->table.quorate != quorate)
		log_info(n->env->log, "member: quorum %s",
		    quorate ? "gained" : "lost");
	n->table.quorate = quorate;
	shared_leave(&n->lock);
}

static void
quorum_changed(votequorum_handle_t handle, uint64_t context, uint32_t quorate,
    uint32_t count, votequorum_node_t list[])
{
	void *arg = NULL;

	(void)context;
	(void)count;
	(void)list;
	if (votequorum_context_get(handle, &arg) == CS_OK)
		quorum_set(arg, quorate != 0);
}

static cs_error_t
call_quorum_open(struct net *n)
{
	votequorum_callbacks_t callbacks = {
		.votequorum_quorum_notify_fn = quorum_changed,
	};
	cs_error_t rc = votequorum_initialize(&n->quorum, &callbacks);

	if (rc != CS_OK)
		return rc;
	n->quorum_open = true;
	rc = votequorum_context_set(n->quorum, n);
	if (rc == CS_OK)
		rc = votequorum_trackstart(n->quorum, 0,
		    CS_TRACK_CURRENT | CS_TRACK_CHANGES);
	return rc == CS_OK ? votequorum_fd_get(n->quorum, &n->quorum_fd) : rc;
}

static cs_error_t
call_quorum_dispatch(struct net *n)
{
	return votequorum_dispatch(n->quorum, CS_DISPATCH_ALL);
}

static cs_error_t
call_quorum_close(struct net *n)
{
	return n->quorum_open ? votequorum_finalize(n->quorum) : CS_OK;
}

static cs_error_t
quorum_serve(struct net *n)
{
	cs_error_t rc = CS_OK;

	while (rc == CS_OK) {
		rc = call(n, call_quorum_dispatch);
		if (rc == CS_OK && reactor_poll_fd(n->quorum_fd, POLLIN) < 0)
			rc = CS_ERR_LIBRARY;
	}
	return rc;
}

static void
quorum_main(void *arg)
{
	struct net *n = arg;
	cs_error_t rc;

	for (;;) {
		rc = call(n, call_quorum_open);
		tell(n, "quorum", &n->quorum_told, rc);
		if (rc == CS_OK) {
			rc = quorum_serve(n);
			tell(n, "quorum", &n->quorum_told, rc);
		}
		quorum_set(n, false);
		(void)call(n, call_quorum_close);
		n->quorum_open = false;
		fiber_sleep(AGAIN_NS);
	}
}

/* ---- life ---- */

int
member_corosync_new(struct env *env, const struct uuid *host,
    struct member **ret_m)
{
	struct net *n = calloc(1, sizeof(*n));
	int rc;

	if (n == NULL)
		return -ENOMEM;
	n->member.ops = &ops;
	n->env = env;
	n->host = *host;
	n->cpg_told = n->quorum_told = CS_OK + 1000;
	shared_lock_init(&n->lock);
	rc = sched_spawn(env->sched, "cpg", group_main, n);
	if (rc == 0)
		rc = sched_spawn(env->sched, "quorum", quorum_main, n);
	/* A first fiber that runs without the second still needs n. */
	*ret_m = &n->member;
	return rc;
}

void
member_corosync_free(struct member *m)
{
	struct net *n = container_of(m, struct net, member);

	if (m == NULL)
		return;
	if (n->cpg_open)
		(void)cpg_finalize(n->cpg);
	if (n->quorum_open)
		(void)votequorum_finalize(n->quorum);
	shared_lock_fini(&n->lock);
	free(n);
}
