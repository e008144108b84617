/* SPDX-License-Identifier: BSD-2-Clause */
/* What limits and shares give each disk, by a virtual clock. */
#include <atf-c.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/meter.h"
#include "tests/sim/sim_sched.h"

#define SECONDS 10u
#define SERVICE_NS NSEC_PER_MSEC	/* the LUN's, of each request */
#define DEPTH 4u

static struct {
	struct sim sim;
	struct pacer *p;
	unsigned users;		/* that still run */
	bool stop;
	uint64_t one_by_one_ns;	/* the LUN needs for each; 0: many at once */
	struct fiber_mutex lun;
} box;

/* A disk, and how its guest loads it. */
struct load {
	struct meter *m;
	struct inode_limits limits;
	unsigned depth;
	size_t len;
	bool silent;		/* its LUN does not answer */
	uint64_t done, worst_ns;
};

static void
serve(const struct load *l)
{
	if (box.one_by_one_ns > 0) {
		fiber_mutex_lock(&box.lun);
		fiber_sleep(box.one_by_one_ns);
		fiber_mutex_unlock(&box.lun);
		return;
	}
	do {
		fiber_sleep(SERVICE_NS);
	} while (l->silent);
}

static void
user(void *arg)
{
	struct load *l = arg;
	struct sched *s = sched_current();
	struct meter_io io;

	while (!box.stop) {
		uint64_t took = sched_now(s);

		meter_begin(l->m, &io, l->len);
		serve(l);
		meter_end(l->m, &io, true, l->len, 0);
		took = sched_now(s) - took;
		l->worst_ns = took > l->worst_ns ? took : l->worst_ns;
		l->done += !box.stop;
	}
	box.users--;
}

static void
begin(struct load *l, unsigned n)
{
	struct sched *s = sched_current();

	box.stop = false;
	box.users = 0;
	box.p = pacer_new(s, DEPTH);
	ATF_REQUIRE(box.p != NULL);
	for (unsigned i = 0; i < n; i++) {
		l[i].m = meter_new(box.p);
		ATF_REQUIRE(l[i].m != NULL);
		meter_limit(l[i].m, &l[i].limits);
		for (unsigned k = 0; k < l[i].depth; k++) {
			ATF_REQUIRE_EQ(0, sched_spawn(s, "user", user, &l[i]));
			box.users++;
		}
	}
}

static void
end(struct load *l, unsigned n)
{
	box.stop = true;
	while (box.users > 0)
		fiber_sleep(NSEC_PER_MSEC);
	for (unsigned i = 0; i < n; i++)
		meter_free(l[i].m);
	pacer_free(box.p);
}

static void
run(struct load *l, unsigned n)
{
	begin(l, n);
	fiber_sleep(SECONDS * NSEC_PER_SEC);
	end(l, n);
}

static void
in_sim(void (*fn)(void *arg))
{
	sim_init(&box.sim, 1);
	ATF_CHECK_EQ(SIM_DONE, sim_run(&box.sim, 1000 * NSEC_PER_SEC, fn,
	    NULL));
	sim_fini(&box.sim);
}

#define METER_TC(name)							\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	in_sim(play_##name);						\
}

static void
about(uint64_t want, uint64_t is)
{
	ATF_CHECK_MSG(is >= want - want / 20 && is <= want + want / 20,
	    "%llu, not about %llu", (unsigned long long)is,
	    (unsigned long long)want);
}

static void
play_requests_a_second_are_limited(void *arg)
{
	struct load l = { .limits.iops = 100, .depth = 8, .len = 4096 };

	(void)arg;
	run(&l, 1);
	about(100 * SECONDS, l.done);
}
METER_TC(requests_a_second_are_limited)

static void
play_bytes_a_second_are_limited(void *arg)
{
	struct load l = { .limits.kibps = 2048, .depth = 8, .len = 65536 };

	(void)arg;
	run(&l, 1);
	about(2048 / 64 * SECONDS, l.done);
}
METER_TC(bytes_a_second_are_limited)

static void
play_a_disk_alone_has_the_lun(void *arg)
{
	struct load l = { .depth = 4 * DEPTH, .len = 4096 };

	(void)arg;
	run(&l, 1);
	about(4 * DEPTH * 1000 * SECONDS, l.done);
}
METER_TC(a_disk_alone_has_the_lun)

static void
play_shares_divide_a_busy_lun(void *arg)
{
	struct load l[2] = {
		{ .limits.shares = 1000, .depth = 16, .len = 4096 },
		{ .limits.shares = 3000, .depth = 16, .len = 4096 },
	};

	(void)arg;
	run(l, 2);
	about(DEPTH * 1000 * SECONDS / 4, l[0].done);
	about(DEPTH * 1000 * SECONDS * 3 / 4, l[1].done);
}
METER_TC(shares_divide_a_busy_lun)

/* By number of requests it would be one of 65. */
static void
play_a_quiet_disk_gets_its_turn_beside_a_loud_one(void *arg)
{
	struct load l[2] = {
		{ .depth = 64, .len = 1 << 20 },
		{ .depth = 1, .len = 4096 },
	};

	(void)arg;
	run(l, 2);
	ATF_CHECK_MSG(l[1].worst_ns <= 3 * SERVICE_NS, "%llu ns",
	    (unsigned long long)l[1].worst_ns);
}
METER_TC(a_quiet_disk_gets_its_turn_beside_a_loud_one)

static void
play_who_waits_for_a_limit_goes_by_the_new_one(void *arg)
{
	struct load l = { .limits.iops = METER_IOPS_MIN, .depth = 256,
	    .len = 4096 };
	const struct inode_limits none = { 0 };

	(void)arg;
	begin(&l, 1);
	fiber_sleep(NSEC_PER_SEC);
	ATF_CHECK(l.done < 32);
	meter_limit(l.m, &none);
	fiber_sleep(NSEC_PER_SEC / 5);
	ATF_CHECK(l.done > 256);
	end(&l, 1);
}
METER_TC(who_waits_for_a_limit_goes_by_the_new_one)

/* ---- requests that do not end ---- */

static void
play_a_silent_lun_does_not_hold_up_disks_of_another(void *arg)
{
	struct load l[3] = {
		{ .depth = 64, .len = 4096, .silent = true },
		{ .depth = 64, .len = 4096, .silent = true },
		{ .depth = 2, .len = 4096 },
	};

	(void)arg;
	begin(l, 3);
	fiber_sleep(3 * NSEC_PER_SEC);
	l[2].done = 0;
	fiber_sleep(SECONDS * NSEC_PER_SEC);
	about(2 * 1000 * SECONDS, l[2].done);
	l[0].silent = l[1].silent = false;
	end(l, 3);
}
METER_TC(a_silent_lun_does_not_hold_up_disks_of_another)

/* Their requests take longer than it takes to find out that some are stuck. */
static void
play_shares_divide_a_slow_lun(void *arg)
{
	struct load l[2] = {
		{ .limits.shares = 1000, .depth = 16, .len = 4096 },
		{ .limits.shares = 3000, .depth = 16, .len = 4096 },
	};

	(void)arg;
	box.one_by_one_ns = 400 * NSEC_PER_MSEC;
	fiber_mutex_init(&box.lun);
	begin(l, 2);
	fiber_sleep(800 * box.one_by_one_ns);
	about(200, l[0].done);
	about(600, l[1].done);
	end(l, 2);
}
METER_TC(shares_divide_a_slow_lun)

static void
play_a_lun_that_answers_again_is_shared_again(void *arg)
{
	struct load l[2] = {
		{ .limits.shares = 1000, .depth = 16, .len = 4096,
		    .silent = true },
		{ .limits.shares = 3000, .depth = 16, .len = 4096 },
	};

	(void)arg;
	begin(l, 2);
	fiber_sleep(5 * NSEC_PER_SEC);
	l[0].silent = false;
	fiber_sleep(NSEC_PER_SEC / 10);
	l[0].done = l[1].done = 0;
	fiber_sleep(SECONDS * NSEC_PER_SEC);
	about(DEPTH * 1000 * SECONDS / 4, l[0].done);
	about(DEPTH * 1000 * SECONDS * 3 / 4, l[1].done);
	end(l, 2);
}
METER_TC(a_lun_that_answers_again_is_shared_again)

/* ---- requests of other threads, which do not wait ---- */

static struct meter_io held[DEPTH];

static void
take_all(struct meter *m)
{
	for (unsigned i = 0; i < DEPTH; i++)
		ATF_REQUIRE(meter_try(m, &held[i]));
}

static void
one(void *arg)
{
	struct load *l = arg;
	struct meter_io io;

	meter_begin(l->m, &io, l->len);
	l->done++;
	meter_end(l->m, &io, true, l->len, 0);
	box.users--;
}

static void
give_one(void *arg)
{
	struct load *l = arg;

	meter_end(l->m, &held[0], false, 4096, 0);
}

static void
play_the_end_of_a_request_elsewhere_wakes_who_waits(void *arg)
{
	struct load l[2] = { { .len = 4096 }, { .len = 4096 } };
	static struct sim_clock other;
	struct meter_io io;

	(void)arg;
	sim_clock_init(&box.sim, &other, 5, 0);
	begin(l, 2);
	take_all(l[0].m);
	box.users = 1;
	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "one", one, &l[1]));
	fiber_sleep(NSEC_PER_SEC);
	ATF_CHECK_EQ(0, l[1].done);
	/* Nobody overtakes who waits. */
	ATF_CHECK(!meter_try(l[0].m, &io));
	ATF_REQUIRE_EQ(0, sched_spawn(&other.sched, "give", give_one, &l[0]));
	fiber_sleep(NSEC_PER_SEC);
	ATF_CHECK_EQ(1, l[1].done);
	for (unsigned i = 1; i < DEPTH; i++)
		meter_end(l[0].m, &held[i], false, 4096, 0);
	end(l, 2);
}
METER_TC(the_end_of_a_request_elsewhere_wakes_who_waits)

static void
play_a_limited_disk_has_no_short_cut(void *arg)
{
	struct load l = { .limits.iops = 100, .len = 4096 };
	struct meter_io io;

	(void)arg;
	begin(&l, 1);
	ATF_CHECK(!meter_try(l.m, &io));
	end(&l, 1);
}
METER_TC(a_limited_disk_has_no_short_cut)

static void
play_counters_tell_what_was_done(void *arg)
{
	struct load l = { .depth = 1, .len = 4096 };
	struct meter_io io;
	struct io_stats st;

	(void)arg;
	begin(&l, 0);
	l.m = meter_new(box.p);
	meter_begin(l.m, &io, 4096);
	fiber_sleep(5 * NSEC_PER_MSEC);
	meter_end(l.m, &io, true, 4096, 0);
	meter_begin(l.m, &io, 512);
	meter_end(l.m, &io, false, 512, 0);
	meter_begin(l.m, &io, 512);
	meter_end(l.m, &io, false, 512, -5);
	meter_stats(l.m, &st);
	ATF_CHECK_EQ(1, st.writes);
	ATF_CHECK_EQ(4096, st.write_bytes);
	ATF_CHECK_EQ(5 * NSEC_PER_MSEC, st.write_ns);
	ATF_CHECK_EQ(1, st.write_latency[13]);	/* 4096 to 8191 us */
	ATF_CHECK_EQ(1, st.reads);
	ATF_CHECK_EQ(512, st.read_bytes);
	ATF_CHECK_EQ(1, st.read_latency[0]);
	ATF_CHECK_EQ(1, st.errors);
	end(&l, 1);
}
METER_TC(counters_tell_what_was_done)

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, requests_a_second_are_limited);
	ATF_TP_ADD_TC(tp, bytes_a_second_are_limited);
	ATF_TP_ADD_TC(tp, a_disk_alone_has_the_lun);
	ATF_TP_ADD_TC(tp, shares_divide_a_busy_lun);
	ATF_TP_ADD_TC(tp, a_quiet_disk_gets_its_turn_beside_a_loud_one);
	ATF_TP_ADD_TC(tp, who_waits_for_a_limit_goes_by_the_new_one);
	ATF_TP_ADD_TC(tp, a_silent_lun_does_not_hold_up_disks_of_another);
	ATF_TP_ADD_TC(tp, shares_divide_a_slow_lun);
	ATF_TP_ADD_TC(tp, a_lun_that_answers_again_is_shared_again);
	ATF_TP_ADD_TC(tp, the_end_of_a_request_elsewhere_wakes_who_waits);
	ATF_TP_ADD_TC(tp, a_limited_disk_has_no_short_cut);
	ATF_TP_ADD_TC(tp, counters_tell_what_was_done);
	return atf_no_error();
}
