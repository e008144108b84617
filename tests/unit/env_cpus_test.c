/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of processors as the kernel writes them, and threads that stay. */
#include <sched.h>
#include <unistd.h>

#include <atf-c.h>
#include <pthread.h>
#include <stdatomic.h>

#include "libvmfs/env/cpus.h"
#include "libvmfs/env/reactor.h"

ATF_TC_WITHOUT_HEAD(ranges_and_single_ones_are_counted);
ATF_TC_BODY(ranges_and_single_ones_are_counted, tc)
{
	static const struct {
		const char *list;
		unsigned n;
	} lists[] = {
		{ "0\n", 1 }, { "0-3\n", 4 }, { "0-3,8-11\n", 8 },
		{ "0,2,4-5", 4 }, { "0-239\n", 240 },
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		unsigned n = 0;

		ATF_CHECK_EQ(0, cpus_count(lists[i].list, &n));
		ATF_CHECK_EQ_MSG(lists[i].n, n, "%s", lists[i].list);
	}
}

ATF_TC_WITHOUT_HEAD(what_is_no_list_is_refused);
ATF_TC_BODY(what_is_no_list_is_refused, tc)
{
	static const char *const lists[] = {
		"", "\n", "x", "0-", "3-1", "0,", "0-3 4", "0-99999999",
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		unsigned n = 77;

		ATF_CHECK_EQ_MSG(-EINVAL, cpus_count(lists[i], &n), "%s",
		    lists[i]);
		ATF_CHECK_EQ(77, n);
	}
}

ATF_TC_WITHOUT_HEAD(this_machine_has_some);
ATF_TC_BODY(this_machine_has_some, tc)
{
	unsigned n = 0;

	ATF_REQUIRE_EQ(0, cpus_possible(&n));
	ATF_CHECK(n > 0);
}

static cpu_set_t
allowed(pid_t tid)
{
	cpu_set_t set;

	ATF_REQUIRE_EQ(0, sched_getaffinity(tid, sizeof(set), &set));
	return set;
}

static unsigned
first_of(const cpu_set_t *set)
{
	unsigned i = 0;

	while (!CPU_ISSET(i, set))
		i++;
	return i;
}

/* Not by the first one, which is what the others go by. */
static void
by_thread(void *(*fn)(void *arg), void *arg)
{
	pthread_t thread;

	ATF_REQUIRE_EQ(0, pthread_create(&thread, NULL, fn, arg));
	ATF_REQUIRE_EQ(0, pthread_join(thread, NULL));
}

static void *
stay_and_roam(void *arg)
{
	cpu_set_t all = allowed(getpid()), set, one;

	(void)arg;
	CPU_ZERO(&one);
	CPU_SET(first_of(&all), &one);
	cpus_stay(0, first_of(&all) + 1);
	set = allowed(0);
	ATF_CHECK(CPU_EQUAL(&one, &set));
	cpus_roam();
	set = allowed(0);
	ATF_CHECK(CPU_EQUAL(&all, &set));
	return NULL;
}

ATF_TC_WITHOUT_HEAD(a_thread_stays_until_it_roams);
ATF_TC_BODY(a_thread_stays_until_it_roams, tc)
{
	by_thread(stay_and_roam, NULL);
}

static void *
stay_elsewhere(void *arg)
{
	cpu_set_t one = allowed(getpid()), set;

	(void)arg;
	cpus_stay(first_of(&one) + 1, 1024);
	set = allowed(0);
	ATF_CHECK(CPU_EQUAL(&one, &set));
	return NULL;
}

ATF_TC_WITHOUT_HEAD(none_that_the_process_was_denied_is_taken);
ATF_TC_BODY(none_that_the_process_was_denied_is_taken, tc)
{
	cpu_set_t all = allowed(0), one;

	CPU_ZERO(&one);
	CPU_SET(first_of(&all), &one);
	ATF_REQUIRE_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	by_thread(stay_elsewhere, NULL);
}

/* Calls that all wait until each has a helper, which so was made for one. */
enum { HELPERS = 4 };
static atomic_uint helpers_at_work;
static cpu_set_t helper_set[HELPERS];
static unsigned helped;
static struct fiber *helped_fiber;

static int
helper_look(void *arg)
{
	*(cpu_set_t *)arg = allowed(0);
	atomic_fetch_add(&helpers_at_work, 1);
	while (atomic_load(&helpers_at_work) < HELPERS)
		sched_yield();
	return 0;
}

static void
helper_done(struct offload *o, int result)
{
	(void)o;
	(void)result;
	helped++;
	fiber_unpark(helped_fiber);
}

static int
ask_helpers(void *arg)
{
	cpu_set_t all = allowed(getpid());
	struct offload o[HELPERS];

	(void)arg;
	helped_fiber = fiber_self();
	cpus_stay(0, first_of(&all) + 1);
	for (unsigned i = 0; i < HELPERS; i++) {
		o[i] = (struct offload){ .fn = helper_look,
			.arg = &helper_set[i], .done = helper_done };
		offload_submit(&o[i]);
	}
	while (helped < HELPERS)
		fiber_park();
	for (unsigned i = 0; i < HELPERS; i++)
		ATF_CHECK(CPU_EQUAL(&all, &helper_set[i]));
	return 0;
}

static void *
ask_helpers_here(void *arg)
{
	ATF_CHECK_EQ(0, reactor_run_main(ask_helpers, arg));
	return NULL;
}

ATF_TC_WITHOUT_HEAD(helpers_roam_where_who_asks_them_stays);
ATF_TC_BODY(helpers_roam_where_who_asks_them_stays, tc)
{
	by_thread(ask_helpers_here, NULL);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, ranges_and_single_ones_are_counted);
	ATF_TP_ADD_TC(tp, what_is_no_list_is_refused);
	ATF_TP_ADD_TC(tp, this_machine_has_some);
	ATF_TP_ADD_TC(tp, a_thread_stays_until_it_roams);
	ATF_TP_ADD_TC(tp, none_that_the_process_was_denied_is_taken);
	ATF_TP_ADD_TC(tp, helpers_roam_where_who_asks_them_stays);
	return atf_no_error();
}
