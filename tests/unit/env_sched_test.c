/* SPDX-License-Identifier: BSD-2-Clause */
/* Fibers, timers and locks under a scheduler with a virtual clock. */
#include <atf-c.h>
#include <string.h>

#include "libvmfs/base/prng.h"
#include "libvmfs/env/sched_impl.h"

/* A driver as the simulator has one. */
struct vsched {
	struct sched s;
	uint64_t now;
	struct prng prng;
	char trace[256];
};

static uint64_t
vsched_now(struct sched *s)
{
	struct vsched *v = s->arg;

	return v->now;
}

static size_t
vsched_choose(struct sched *s, size_t n)
{
	struct vsched *v = s->arg;

	return (size_t)prng_below(&v->prng, n);
}

static const struct sched_ops fifo_ops = { .now = vsched_now };
static const struct sched_ops seeded_ops = {
	.now = vsched_now,
	.choose = vsched_choose,
};

static void
vsched_init(struct vsched *v, const struct sched_ops *ops, uint64_t seed)
{
	memset(v, 0, sizeof(*v));
	prng_seed(&v->prng, seed);
	v->now = 1000;
	sched_init(&v->s, ops, v);
}

/* Until nothing can happen any more. */
static void
vsched_run(struct vsched *v)
{
	for (;;) {
		bool any = sched_run_posted(&v->s);

		any |= sched_run_timers(&v->s);
		any |= sched_run_fiber(&v->s);
		if (any)
			continue;
		if (sched_next_deadline(&v->s) == UINT64_MAX)
			return;
		v->now = sched_next_deadline(&v->s);
	}
}

static struct vsched V;

static void
note(const char *text)
{
	strncat(V.trace, text, sizeof(V.trace) - strlen(V.trace) - 1);
}

static void
spawn(const char *name, void (*fn)(void *arg))
{
	ATF_REQUIRE_EQ(0, sched_spawn(&V.s, name, fn, NULL));
}

static void
note_name_thrice(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++) {
		note(fiber_name(fiber_self()));
		fiber_yield();
	}
}

ATF_TC_WITHOUT_HEAD(fibers_take_turns);
ATF_TC_BODY(fibers_take_turns, tc)
{
	vsched_init(&V, &fifo_ops, 0);
	spawn("a", note_name_thrice);
	spawn("b", note_name_thrice);
	vsched_run(&V);
	ATF_CHECK_STREQ("ababab", V.trace);
	ATF_CHECK_EQ(0, sched_fibers(&V.s));
	sched_fini(&V.s);
}

ATF_TC_WITHOUT_HEAD(same_seed_gives_same_order);
ATF_TC_BODY(same_seed_gives_same_order, tc)
{
	char first[sizeof(V.trace)];
	bool differs = false;

	for (uint64_t seed = 0; seed < 20; seed++) {
		for (int round = 0; round < 2; round++) {
			vsched_init(&V, &seeded_ops, seed);
			spawn("a", note_name_thrice);
			spawn("b", note_name_thrice);
			spawn("c", note_name_thrice);
			vsched_run(&V);
			sched_fini(&V.s);
			if (round == 0)
				strcpy(first, V.trace);
		}
		ATF_CHECK_STREQ(first, V.trace);
		differs |= strcmp(first, "abcabcabc") != 0;
	}
	ATF_CHECK(differs);
}

static struct fiber *sleeper;

static void
park_and_note(void *arg)
{
	(void)arg;
	sleeper = fiber_self();
	fiber_park();
	note("p");
}

static void
unpark_sleeper(void *arg)
{
	(void)arg;
	note("u");
	fiber_unpark(sleeper);
	fiber_yield();
	note("U");
}

ATF_TC_WITHOUT_HEAD(unpark_wakes_a_parked_fiber);
ATF_TC_BODY(unpark_wakes_a_parked_fiber, tc)
{
	vsched_init(&V, &fifo_ops, 0);
	spawn("p", park_and_note);
	spawn("u", unpark_sleeper);
	vsched_run(&V);
	ATF_CHECK_STREQ("upU", V.trace);
	sched_fini(&V.s);
}

static void
unpark_self_then_park(void *arg)
{
	(void)arg;
	fiber_unpark(fiber_self());
	fiber_park();
	note("on");
}

ATF_TC_WITHOUT_HEAD(unpark_before_park_is_kept);
ATF_TC_BODY(unpark_before_park_is_kept, tc)
{
	vsched_init(&V, &fifo_ops, 0);
	spawn("f", unpark_self_then_park);
	vsched_run(&V);
	ATF_CHECK_STREQ("on", V.trace);
	sched_fini(&V.s);
}

static void
sleep_by_name(void *arg)
{
	uint64_t start = sched_now(&V.s);
	uint64_t ns = (uint64_t)(fiber_name(fiber_self())[0] - '0') * 100;

	(void)arg;
	fiber_sleep(ns);
	ATF_CHECK_EQ(start + ns, sched_now(&V.s));
	note(fiber_name(fiber_self()));
}

ATF_TC_WITHOUT_HEAD(sleepers_wake_in_order_of_deadline);
ATF_TC_BODY(sleepers_wake_in_order_of_deadline, tc)
{
	vsched_init(&V, &fifo_ops, 0);
	spawn("5", sleep_by_name);
	spawn("1", sleep_by_name);
	spawn("9", sleep_by_name);
	spawn("3", sleep_by_name);
	spawn("1b", sleep_by_name);
	vsched_run(&V);
	ATF_CHECK_STREQ("11b359", V.trace);
	sched_fini(&V.s);
}

struct probe {
	struct sched_timer t;
	unsigned fired;
};
static uint64_t last_fired;

static void
probe_fire(void *arg)
{
	struct probe *p = arg;

	ATF_CHECK(p->t.deadline_ns >= last_fired);
	ATF_CHECK(p->t.deadline_ns <= V.now);
	last_fired = p->t.deadline_ns;
	p->fired++;
}

ATF_TC_WITHOUT_HEAD(random_timers_fire_once_in_order);
ATF_TC_BODY(random_timers_fire_once_in_order, tc)
{
	enum { N = 500 };
	static struct probe probes[N];
	struct prng r;

	prng_seed(&r, 7);
	vsched_init(&V, &fifo_ops, 0);
	for (int i = 0; i < N; i++) {
		probes[i].t.fn = probe_fire;
		probes[i].t.arg = &probes[i];
		ATF_REQUIRE_EQ(0, sched_timer_arm(&V.s, &probes[i].t,
		    2000 + prng_below(&r, 1000)));
	}
	for (int i = 0; i < N; i += 3)
		sched_timer_cancel(&V.s, &probes[i].t);
	for (int i = 1; i < N; i += 3)
		ATF_REQUIRE_EQ(0, sched_timer_arm(&V.s, &probes[i].t,
		    1500 + prng_below(&r, 3000)));
	vsched_run(&V);
	for (int i = 0; i < N; i++)
		ATF_CHECK_EQ(i % 3 == 0 ? 0U : 1U, probes[i].fired);
	sched_fini(&V.s);
}

static struct sched_timer again;

static void
fire_again(void *arg)
{
	(void)arg;
	note("t");
	if (strlen(V.trace) < 6)
		ATF_REQUIRE_EQ(0, sched_timer_arm(&V.s, &again, V.now));
}

ATF_TC_WITHOUT_HEAD(rearmed_timer_lets_fibers_run);
ATF_TC_BODY(rearmed_timer_lets_fibers_run, tc)
{
	vsched_init(&V, &fifo_ops, 0);
	again = (struct sched_timer){ .fn = fire_again };
	ATF_REQUIRE_EQ(0, sched_timer_arm(&V.s, &again, V.now));
	spawn("f", note_name_thrice);
	vsched_run(&V);
	ATF_CHECK_STREQ("tftftft", V.trace);
	sched_fini(&V.s);
}

static struct fiber_mutex mutex;
static struct fiber_rwlock rwlock;
static struct fiber_cond cond;

static void
lock_twice(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2; i++) {
		fiber_mutex_lock(&mutex);
		note(fiber_name(fiber_self()));
		fiber_sleep(10);
		note(fiber_name(fiber_self()));
		fiber_mutex_unlock(&mutex);
	}
}

ATF_TC_WITHOUT_HEAD(mutex_serves_in_order_of_arrival);
ATF_TC_BODY(mutex_serves_in_order_of_arrival, tc)
{
	vsched_init(&V, &fifo_ops, 0);
	fiber_mutex_init(&mutex);
	spawn("a", lock_twice);
	spawn("b", lock_twice);
	spawn("c", lock_twice);
	vsched_run(&V);
	/* Each relock goes behind those who wait. */
	ATF_CHECK_STREQ("aabbccaabbcc", V.trace);
	ATF_CHECK(mutex.owner == NULL);
	sched_fini(&V.s);
}

ATF_TC_WITHOUT_HEAD(mutex_excludes_under_any_order);
ATF_TC_BODY(mutex_excludes_under_any_order, tc)
{
	for (uint64_t seed = 0; seed < 100; seed++) {
		vsched_init(&V, &seeded_ops, seed);
		fiber_mutex_init(&mutex);
		spawn("a", lock_twice);
		spawn("b", lock_twice);
		spawn("c", lock_twice);
		vsched_run(&V);
		sched_fini(&V.s);
		ATF_REQUIRE_EQ(12, strlen(V.trace));
		for (size_t i = 0; i < 12; i += 2)
			ATF_CHECK_EQ(V.trace[i], V.trace[i + 1]);
	}
}

static void
reader(void *arg)
{
	(void)arg;
	fiber_rwlock_rdlock(&rwlock);
	note("(");
	fiber_sleep(10);
	note(")");
	fiber_rwlock_unlock(&rwlock);
}

static void
writer(void *arg)
{
	(void)arg;
	fiber_rwlock_wrlock(&rwlock);
	note("<");
	fiber_sleep(10);
	note(">");
	fiber_rwlock_unlock(&rwlock);
}

ATF_TC_WITHOUT_HEAD(waiting_writer_is_not_overtaken);
ATF_TC_BODY(waiting_writer_is_not_overtaken, tc)
{
	vsched_init(&V, &fifo_ops, 0);
	fiber_rwlock_init(&rwlock);
	spawn("r1", reader);
	spawn("r2", reader);
	spawn("w", writer);
	spawn("r3", reader);
	spawn("r4", reader);
	vsched_run(&V);
	ATF_CHECK_STREQ("(())<>(())", V.trace);
	sched_fini(&V.s);
}

static void
wait_cond(void *arg)
{
	(void)arg;
	fiber_cond_wait(&cond);
	note(fiber_name(fiber_self()));
}

static void
signal_then_broadcast(void *arg)
{
	(void)arg;
	fiber_cond_signal(&cond);
	fiber_sleep(10);
	note("-");
	fiber_cond_broadcast(&cond);
}

ATF_TC_WITHOUT_HEAD(signal_wakes_one_broadcast_all);
ATF_TC_BODY(signal_wakes_one_broadcast_all, tc)
{
	vsched_init(&V, &fifo_ops, 0);
	fiber_cond_init(&cond);
	spawn("a", wait_cond);
	spawn("b", wait_cond);
	spawn("c", wait_cond);
	spawn("s", signal_then_broadcast);
	vsched_run(&V);
	ATF_CHECK_STREQ("a-bc", V.trace);
	sched_fini(&V.s);
}

static void
wait_cond_100(void *arg)
{
	(void)arg;
	note(fiber_cond_wait_until(&cond, V.now + 100) ? "signal" : "timeout");
	note(" ");
}

static void
signal_at_150(void *arg)
{
	(void)arg;
	fiber_sleep(150);
	fiber_cond_signal(&cond);
	wait_cond_100(NULL);
}

static void
signal_at_200(void *arg)
{
	(void)arg;
	fiber_sleep(200);
	fiber_cond_signal(&cond);
}

ATF_TC_WITHOUT_HEAD(cond_tells_signal_from_timeout);
ATF_TC_BODY(cond_tells_signal_from_timeout, tc)
{
	vsched_init(&V, &fifo_ops, 0);
	fiber_cond_init(&cond);
	spawn("w", wait_cond_100);
	spawn("s", signal_at_150);
	spawn("t", signal_at_200);
	vsched_run(&V);
	ATF_CHECK_STREQ("timeout signal ", V.trace);
	ATF_CHECK_EQ(1200, V.now);
	sched_fini(&V.s);
}

static void
note_arg(void *arg)
{
	ATF_CHECK(fiber_self() == NULL);
	ATF_CHECK_EQ(&V.s, sched_current());
	note(arg);
}

ATF_TC_WITHOUT_HEAD(posted_work_runs_in_order);
ATF_TC_BODY(posted_work_runs_in_order, tc)
{
	struct sched_work w[] = {
		{ .fn = note_arg, .arg = (char[]){ "1" } },
		{ .fn = note_arg, .arg = (char[]){ "2" } },
		{ .fn = note_arg, .arg = (char[]){ "3" } },
	};

	vsched_init(&V, &fifo_ops, 0);
	for (size_t i = 0; i < 3; i++)
		sched_post(&V.s, &w[i]);
	vsched_run(&V);
	ATF_CHECK_STREQ("123", V.trace);
	ATF_CHECK(sched_current() == NULL);
	sched_fini(&V.s);
}

static void
use_much_stack(void *arg)
{
	volatile char deep[64 * 1024];

	(void)arg;
	for (size_t i = 0; i < sizeof(deep); i += 512)
		deep[i] = 1;
	fiber_yield();
	note(deep[512] == 1 ? "ok" : "lost");
}

ATF_TC_WITHOUT_HEAD(stacks_are_reused_and_apart);
ATF_TC_BODY(stacks_are_reused_and_apart, tc)
{
	vsched_init(&V, &fifo_ops, 0);
	for (int i = 0; i < 8; i++) {
		V.trace[0] = '\0';
		spawn("x", use_much_stack);
		spawn("y", use_much_stack);
		vsched_run(&V);
		ATF_CHECK_STREQ("okok", V.trace);
	}
	sched_fini(&V.s);
}

ATF_TC_WITHOUT_HEAD(dropped_fibers_never_run_again);
ATF_TC_BODY(dropped_fibers_never_run_again, tc)
{
	for (int i = 0; i < 3; i++) {
		vsched_init(&V, &fifo_ops, 0);
		spawn("p", park_and_note);
		spawn("m", use_much_stack);
		sched_run_fiber(&V.s);
		sched_run_fiber(&V.s);
		sched_fini(&V.s);
		ATF_CHECK_STREQ("", V.trace);
	}
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, fibers_take_turns);
	ATF_TP_ADD_TC(tp, same_seed_gives_same_order);
	ATF_TP_ADD_TC(tp, unpark_wakes_a_parked_fiber);
	ATF_TP_ADD_TC(tp, unpark_before_park_is_kept);
	ATF_TP_ADD_TC(tp, sleepers_wake_in_order_of_deadline);
	ATF_TP_ADD_TC(tp, random_timers_fire_once_in_order);
	ATF_TP_ADD_TC(tp, rearmed_timer_lets_fibers_run);
	ATF_TP_ADD_TC(tp, mutex_serves_in_order_of_arrival);
	ATF_TP_ADD_TC(tp, mutex_excludes_under_any_order);
	ATF_TP_ADD_TC(tp, waiting_writer_is_not_overtaken);
	ATF_TP_ADD_TC(tp, signal_wakes_one_broadcast_all);
	ATF_TP_ADD_TC(tp, cond_tells_signal_from_timeout);
	ATF_TP_ADD_TC(tp, posted_work_runs_in_order);
	ATF_TP_ADD_TC(tp, stacks_are_reused_and_apart);
	ATF_TP_ADD_TC(tp, dropped_fibers_never_run_again);
	return atf_no_error();
}
