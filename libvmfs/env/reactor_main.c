/* SPDX-License-Identifier: BSD-2-Clause */
/* A reactor for as long as one function runs. */
#include "libvmfs/env/reactor.h"

struct main_call {
	struct reactor *r;
	int (*fn)(void *arg);
	void *arg;
	int result;
};

static void
main_fiber(void *arg)
{
	struct main_call *call = arg;

	call->result = call->fn(call->arg);
	reactor_stop(call->r);
}

int
reactor_run_main(int (*main_fn)(void *arg), void *arg)
{
	struct main_call call = { .fn = main_fn, .arg = arg };
	int rc;

	rc = reactor_new("main", &call.r);
	if (rc < 0)
		return rc;
	rc = sched_spawn(reactor_sched(call.r), "main", main_fiber, &call);
	if (rc == 0) {
		reactor_run(call.r);
		rc = call.result;
	}
	reactor_free(call.r);
	return rc;
}
