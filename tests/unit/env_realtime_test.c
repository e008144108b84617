/* SPDX-License-Identifier: BSD-2-Clause */
/* A thread that shall not starve: what it says it was granted is in force. */
#include <atf-c.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvmfs/env/reactor.h"

struct visit {
	struct reactor *r;
	struct realtime granted;
	int policy, nice;		/* of the reactor's thread */
	int helper_policy;
	bool done;
};

static int
policy_of_this_thread(void)
{
	return sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
}

static int
look_at_helper(void *arg)
{
	struct visit *v = arg;

	v->helper_policy = policy_of_this_thread();
	return 0;
}

static void
visit_main(void *arg)
{
	struct visit *v = arg;

	v->granted = reactor_realtime(v->r);
	v->policy = policy_of_this_thread();
	v->nice = getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid));
	realtime_stack();
	v->done = offload_call(look_at_helper, v) == 0;
	reactor_stop(v->r);
}

static int
visit(struct visit *v, bool realtime)
{
	int rc = reactor_new("visit", &v->r);

	if (rc == 0 && realtime)
		rc = reactor_want_realtime(v->r);
	if (rc == 0)
		rc = sched_spawn(reactor_sched(v->r), "visit", visit_main, v);
	if (rc == 0)
		rc = reactor_start(v->r);
	if (rc < 0)
		return rc;
	reactor_join(v->r);
	reactor_free(v->r);
	return v->done ? 0 : -EIO;
}

/* kB of locked memory of this process. */
static long
locked_kb(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kb = -1;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmLck:", 6) == 0)
			kb = strtol(line + 6, NULL, 10);
	if (f != NULL)
		(void)fclose(f);
	return kb;
}

ATF_TC_WITHOUT_HEAD(what_is_granted_is_in_force);
ATF_TC_BODY(what_is_granted_is_in_force, tc)
{
	struct visit v = { 0 };
	int policy;

	(void)tc;
	ATF_REQUIRE_EQ(0, visit(&v, true));
	printf("priority %s, memory %s\n", realtime_cpu_name(v.granted.cpu),
	    realtime_memory_name(v.granted.memory));
	policy = v.granted.cpu == REALTIME_CPU_FIRST ? SCHED_RR : SCHED_OTHER;
	ATF_CHECK_EQ(policy, v.policy);
	ATF_CHECK_EQ(policy, v.helper_policy);
	if (v.granted.cpu == REALTIME_CPU_NICE)
		ATF_CHECK(v.nice < 0);
#ifndef __SANITIZE_ADDRESS__	/* it swallows mlock */
	if (v.granted.memory != REALTIME_MEMORY_NONE)
		ATF_CHECK(locked_kb() > 0);
#endif
	/* The threads of others stay what they were. */
	ATF_CHECK_EQ(SCHED_OTHER, policy_of_this_thread());
}

ATF_TC_WITHOUT_HEAD(nothing_is_raised_unasked);
ATF_TC_BODY(nothing_is_raised_unasked, tc)
{
	struct visit v = { 0 };

	(void)tc;
	ATF_REQUIRE_EQ(0, visit(&v, false));
	ATF_CHECK_EQ(REALTIME_CPU_NONE, v.granted.cpu);
	ATF_CHECK_EQ(REALTIME_MEMORY_NONE, v.granted.memory);
	ATF_CHECK_EQ(SCHED_OTHER, v.policy);
	ATF_CHECK_EQ(SCHED_OTHER, v.helper_policy);
	ATF_CHECK_EQ(0, locked_kb());
}

static int
run_without_rights(void)
{
	static const struct rlimit none = { 0, 0 };
	/* The rings of io_uring count, too. */
	static const struct rlimit some = { 8 << 20, 8 << 20 };
	struct visit v = { 0 };

	if (setrlimit(RLIMIT_RTPRIO, &none) < 0 ||
	    setrlimit(RLIMIT_NICE, &none) < 0 ||
	    setrlimit(RLIMIT_MEMLOCK, &some) < 0)
		return 1;
	if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
		return 2;
	if (visit(&v, true) < 0)
		return 3;
	if (v.granted.cpu != REALTIME_CPU_NONE || v.policy != SCHED_OTHER)
		return 4;
	return v.granted.memory == REALTIME_MEMORY_STACK ? 0 : 5;
}

ATF_TC_WITHOUT_HEAD(without_rights_it_runs_and_locks_its_stack);
ATF_TC_BODY(without_rights_it_runs_and_locks_its_stack, tc)
{
	int status;
	pid_t pid = fork();

	(void)tc;
	ATF_REQUIRE(pid >= 0);
	if (pid == 0)
		_exit(run_without_rights());
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	ATF_REQUIRE(WIFEXITED(status));
	ATF_CHECK_EQ(0, WEXITSTATUS(status));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, what_is_granted_is_in_force);
	ATF_TP_ADD_TC(tp, nothing_is_raised_unasked);
	ATF_TP_ADD_TC(tp, without_rights_it_runs_and_locks_its_stack);
	return atf_no_error();
}
