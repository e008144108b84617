/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmfsd/membership.h"

#include "locking/member_corosync.h"
#include "vmfsd/call.h"

static int
connect_fiber(void *arg)
{
	struct membership *m = arg;

	return member_corosync_new(&m->env, m->host, &m->member);
}

int
membership_start(struct membership *m, const struct uuid *host,
    struct log *log)
{
	struct reactor *r;
	int rc = reactor_new("membership", &r);

	if (rc < 0)
		return rc;
	rc = reactor_start(r);
	if (rc < 0) {
		reactor_free(r);
		return rc;
	}
	m->reactor = r;
	m->host = host;
	env_posix_init(&m->env, reactor_sched(r), log);
	return call_on(m->env.sched, connect_fiber, m);
}

void
membership_stop(struct membership *m)
{
	if (m->reactor == NULL)
		return;
	reactor_stop(m->reactor);
	reactor_join(m->reactor);
	reactor_free(m->reactor);
	m->reactor = NULL;
	member_corosync_free(m->member);
	m->member = NULL;
}
