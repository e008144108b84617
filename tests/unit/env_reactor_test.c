/* SPDX-License-Identifier: BSD-2-Clause */
/* The io_uring reactor: posts across threads, timers, ring and offload. */
#include <atf-c.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "libvmfs/base/units.h"
#include "libvmfs/env/env.h"
#include "libvmfs/env/local.h"
#include "libvmfs/env/reactor.h"

static int
return_arg(void *arg)
{
	ATF_CHECK(fiber_self() != NULL);
	ATF_CHECK(reactor_current() != NULL);
	return *(int *)arg;
}

ATF_TC_WITHOUT_HEAD(run_main_returns_the_result);
ATF_TC_BODY(run_main_returns_the_result, tc)
{
	int v = -42;

	ATF_CHECK_EQ(-42, reactor_run_main(return_arg, &v));
	ATF_CHECK(reactor_current() == NULL);
}

static int
sleep_main(void *arg)
{
	uint64_t start = sched_now(sched_current());

	(void)arg;
	fiber_sleep(2 * NSEC_PER_MSEC);
	ATF_CHECK(sched_now(sched_current()) - start >= 2 * NSEC_PER_MSEC);
	return 0;
}

ATF_TC_WITHOUT_HEAD(sleep_lasts_at_least_its_time);
ATF_TC_BODY(sleep_lasts_at_least_its_time, tc)
{
	ATF_CHECK_EQ(0, reactor_run_main(sleep_main, NULL));
}

static int
short_nap(void *arg)
{
	(void)arg;
	return usleep(2000);
}

static void
set_true(void *arg)
{
	*(bool *)arg = true;
}

/* Waits with only the late timer armed, then with a sooner one. */
static int
sooner_main(void *arg)
{
	struct sched *s = sched_current();
	bool late = false, soon = false;
	struct sched_timer far = { .fn = set_true, .arg = &late };
	struct sched_timer near = { .fn = set_true, .arg = &soon };

	(void)arg;
	ATF_REQUIRE_EQ(0, sched_timer_arm(s, &far,
	    sched_now(s) + 3600 * NSEC_PER_SEC));
	ATF_REQUIRE_EQ(0, offload_call(short_nap, NULL));
	fiber_sleep(2 * NSEC_PER_MSEC);
	/* And with a reactor that never waits. */
	ATF_REQUIRE_EQ(0, sched_timer_arm(s, &near,
	    sched_now(s) + 2 * NSEC_PER_MSEC));
	while (!soon)
		fiber_yield();
	ATF_CHECK(!late);
	sched_timer_cancel(s, &far);
	/* The ring's time-out for it is still there. */
	fiber_sleep(NSEC_PER_MSEC);
	return 0;
}

ATF_TC_WITHOUT_HEAD(sooner_timer_overtakes_a_later_one);
ATF_TC_BODY(sooner_timer_overtakes_a_later_one, tc)
{
	ATF_CHECK_EQ(0, reactor_run_main(sooner_main, NULL));
}

/* N posts from each of several threads; the last one stops the reactor. */
enum { POSTERS = 3, POSTS = 2000 };

struct poster {
	pthread_t thread;
	struct sched *to;
	struct sched_work work[POSTS];
};
static struct poster posters[POSTERS];
static struct reactor *counting;
static unsigned counted;	/* only on the reactor's thread */
static struct sched_work *last_seen[POSTERS];

static void
count_post(void *arg)
{
	struct sched_work *w = arg;

	for (int i = 0; i < POSTERS; i++) {
		if (w < posters[i].work || w >= posters[i].work + POSTS)
			continue;
		ATF_CHECK(last_seen[i] < w);
		last_seen[i] = w;
	}
	if (++counted == POSTERS * POSTS)
		reactor_stop(counting);
}

static void *
poster_main(void *arg)
{
	struct poster *p = arg;

	for (int i = 0; i < POSTS; i++) {
		p->work[i].fn = count_post;
		p->work[i].arg = &p->work[i];
		sched_post(p->to, &p->work[i]);
	}
	return NULL;
}

ATF_TC_WITHOUT_HEAD(posts_of_many_threads_all_run_in_their_order);
ATF_TC_BODY(posts_of_many_threads_all_run_in_their_order, tc)
{
	ATF_REQUIRE_EQ(0, reactor_new("count", &counting));
	ATF_REQUIRE_EQ(0, reactor_start(counting));
	for (int i = 0; i < POSTERS; i++) {
		posters[i].to = reactor_sched(counting);
		ATF_REQUIRE_EQ(0, pthread_create(&posters[i].thread, NULL,
		    poster_main, &posters[i]));
	}
	for (int i = 0; i < POSTERS; i++)
		pthread_join(posters[i].thread, NULL);
	reactor_join(counting);
	ATF_CHECK_EQ(POSTERS * POSTS, counted);
	reactor_free(counting);
}

/* Two reactors play ping-pong: each wakes the other from its sleep. */
enum { ROUNDS = 2000 };
static struct {
	struct reactor *r[2];
	struct sched_work work;
	int rounds;
} pong;

static void
pong_hit(void *arg)
{
	(void)arg;
	if (++pong.rounds == ROUNDS) {
		reactor_stop(pong.r[0]);
		reactor_stop(pong.r[1]);
		return;
	}
	sched_post(reactor_sched(pong.r[pong.rounds % 2]), &pong.work);
}

static void
pong_play(bool spins)
{
	for (int i = 0; i < 2; i++) {
		ATF_REQUIRE_EQ(0, reactor_new("pong", &pong.r[i]));
		if (spins)
			reactor_want_spin(pong.r[i]);
		ATF_REQUIRE_EQ(0, reactor_start(pong.r[i]));
	}
	pong.work.fn = pong_hit;
	sched_post(reactor_sched(pong.r[0]), &pong.work);
	for (int i = 0; i < 2; i++)
		reactor_join(pong.r[i]);
	for (int i = 0; i < 2; i++)
		reactor_free(pong.r[i]);
	ATF_CHECK_EQ(ROUNDS, pong.rounds);
}

ATF_TC_WITHOUT_HEAD(reactors_wake_each_other);
ATF_TC_BODY(reactors_wake_each_other, tc)
{
	pong_play(false);
}

ATF_TC_WITHOUT_HEAD(reactors_that_look_out_hear_each_other);
ATF_TC_BODY(reactors_that_look_out_hear_each_other, tc)
{
	pong_play(true);
}

/* One echoes what the test writes: the kernel has its news. */
static struct {
	struct reactor *r;
	int in[2], out[2];
} echo;

static void
echo_main(void *arg)
{
	char byte;

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		ATF_CHECK_EQ(POLLIN, reactor_poll_fd(echo.in[0], POLLIN));
		ATF_CHECK_EQ(1, read(echo.in[0], &byte, 1));
		ATF_CHECK_EQ(1, write(echo.out[1], &byte, 1));
	}
	reactor_stop(echo.r);
}

ATF_TC_WITHOUT_HEAD(who_looks_out_sees_the_ring);
ATF_TC_BODY(who_looks_out_sees_the_ring, tc)
{
	char byte = 'x';

	ATF_REQUIRE_EQ(0, pipe(echo.in));
	ATF_REQUIRE_EQ(0, pipe(echo.out));
	ATF_REQUIRE_EQ(0, reactor_new("echo", &echo.r));
	reactor_want_spin(echo.r);
	ATF_REQUIRE_EQ(0, sched_spawn(reactor_sched(echo.r), "e", echo_main,
	    NULL));
	ATF_REQUIRE_EQ(0, reactor_start(echo.r));
	for (int i = 0; i < ROUNDS; i++) {
		ATF_CHECK_EQ(1, write(echo.in[1], &byte, 1));
		ATF_CHECK_EQ(1, read(echo.out[0], &byte, 1));
	}
	reactor_join(echo.r);
	reactor_free(echo.r);
}

static int pipe_fds[2];

static void
pipe_writer(void *arg)
{
	(void)arg;
	ATF_CHECK_EQ(1, write(pipe_fds[1], "x", 1));
}

static int
poll_main(void *arg)
{
	(void)arg;
	ATF_REQUIRE_EQ(0, pipe(pipe_fds));
	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "w", pipe_writer,
	    NULL));
	return reactor_poll_fd(pipe_fds[0], POLLIN);
}

ATF_TC_WITHOUT_HEAD(poll_fd_waits_for_readiness);
ATF_TC_BODY(poll_fd_waits_for_readiness, tc)
{
	ATF_CHECK_EQ(POLLIN, reactor_run_main(poll_main, NULL));
}

static pthread_t reactor_thread_id;
static atomic_int calls;

static int
blocking_call(void *arg)
{
	ATF_CHECK(!pthread_equal(pthread_self(), reactor_thread_id));
	atomic_fetch_add(&calls, 1);
	return *(int *)arg;
}

static struct fiber *offload_main_fiber;
static int offloads_left;

static void
offload_user(void *arg)
{
	int v = 7;

	(void)arg;
	for (int i = 0; i < 10; i++)
		ATF_CHECK_EQ(7, offload_call(blocking_call, &v));
	if (--offloads_left == 0)
		fiber_unpark(offload_main_fiber);
}

static int
offload_main(void *arg)
{
	(void)arg;
	reactor_thread_id = pthread_self();
	offload_main_fiber = fiber_self();
	offloads_left = 50;
	for (int i = 0; i < 50; i++)
		ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "o",
		    offload_user, NULL));
	while (offloads_left > 0)
		fiber_park();
	return 0;
}

ATF_TC_WITHOUT_HEAD(offloaded_calls_all_return);
ATF_TC_BODY(offloaded_calls_all_return, tc)
{
	ATF_CHECK_EQ(0, reactor_run_main(offload_main, NULL));
	ATF_CHECK_EQ(500, atomic_load(&calls));
}

/* Calls of a group of two, while another call goes past them. */
static struct offload_group pair = { .limit = 2 };
static atomic_int at_work, most_at_work;
static int group_done;

static int
group_call(void *arg)
{
	int now = atomic_fetch_add(&at_work, 1) + 1;

	(void)arg;
	if (now > atomic_load(&most_at_work))
		atomic_store(&most_at_work, now);
	sched_yield();
	atomic_fetch_sub(&at_work, 1);
	return 0;
}

static void
group_call_done(struct offload *o, int result)
{
	(void)o;
	ATF_CHECK_EQ(0, result);
	group_done++;
	fiber_unpark(offload_main_fiber);
}

static int
group_main(void *arg)
{
	static struct offload o[200];
	int v = 7;

	(void)arg;
	reactor_thread_id = pthread_self();
	offload_main_fiber = fiber_self();
	for (int i = 0; i < 200; i++) {
		o[i] = (struct offload){
			.fn = group_call, .done = group_call_done,
			.group = &pair,
		};
		offload_submit(&o[i]);
	}
	ATF_CHECK_EQ(7, offload_call(blocking_call, &v));
	while (group_done < 200)
		fiber_park();
	return 0;
}

ATF_TC_WITHOUT_HEAD(group_bounds_the_calls_at_work);
ATF_TC_BODY(group_bounds_the_calls_at_work, tc)
{
	ATF_CHECK_EQ(0, reactor_run_main(group_main, NULL));
	ATF_CHECK(atomic_load(&most_at_work) >= 1);
	ATF_CHECK(atomic_load(&most_at_work) <= 2);
	ATF_CHECK_EQ(0, pair.running);
}

/* More operations at once than submission queue and completion queue hold. */
enum { OPS = 20000 };
static struct reactor_op ops[OPS];
static int ops_done;
static struct fiber *ops_fiber;

static void
op_done(struct reactor_op *op, int res)
{
	ATF_CHECK(op >= ops && op < ops + OPS);
	ATF_CHECK_EQ(0, res);
	if (++ops_done == OPS)
		fiber_unpark(ops_fiber);
}

static int
many_ops_main(void *arg)
{
	(void)arg;
	ops_fiber = fiber_self();
	for (int i = 0; i < OPS; i++) {
		struct io_uring_sqe *sqe = reactor_sqe(reactor_current());

		io_uring_prep_nop(sqe);
		ops[i].done = op_done;
		reactor_sqe_set_op(sqe, &ops[i]);
	}
	ATF_CHECK_EQ(0, ops_done);
	while (ops_done < OPS)
		fiber_park();
	return 0;
}

ATF_TC_WITHOUT_HEAD(operations_beyond_the_ring_size_complete);
ATF_TC_BODY(operations_beyond_the_ring_size_complete, tc)
{
	ATF_CHECK_EQ(0, reactor_run_main(many_ops_main, NULL));
	ATF_CHECK_EQ(OPS, ops_done);
}

/* What is submitted is in the pipe at once. */
enum { BURST = 8 };
static unsigned burst_done;

static void
burst_op_done(struct reactor_op *op, int res)
{
	(void)op;
	ATF_CHECK_EQ(1, res);
	burst_done++;
}

/* In the pipe after each of a burst. */
static void
burst(int ret_there[BURST])
{
	struct reactor_op op[BURST] = { 0 };
	char in[BURST];

	burst_done = 0;
	for (unsigned i = 0; i < BURST; i++) {
		struct io_uring_sqe *sqe = reactor_sqe(reactor_current());

		op[i].done = burst_op_done;
		io_uring_prep_write(sqe, pipe_fds[1], "x", 1, 0);
		reactor_sqe_set_disk(sqe, &op[i]);
		ATF_REQUIRE_EQ(0, ioctl(pipe_fds[0], FIONREAD, &ret_there[i]));
	}
	while (burst_done < BURST)
		fiber_yield();
	ATF_CHECK_EQ(BURST, read(pipe_fds[0], in, BURST));
}

static int
burst_main(void *arg)
{
	static const int by_half[BURST] = { 0, 0, 0, 4, 4, 4, 4, 8 };
	int there[BURST];

	(void)arg;
	ATF_REQUIRE_EQ(0, pipe(pipe_fds));
	fiber_sleep(NSEC_PER_MSEC);	/* what the loop waits for is queued */
	burst(there);
	ATF_CHECK_EQ(0, memcmp(by_half, there, sizeof(there)));
	/* Those are no longer under way. */
	burst(there);
	ATF_CHECK_EQ(0, memcmp(by_half, there, sizeof(there)));
	return 0;
}

ATF_TC_WITHOUT_HEAD(a_disk_begins_with_a_burst_that_goes_on);
ATF_TC_BODY(a_disk_begins_with_a_burst_that_goes_on, tc)
{
	ATF_CHECK_EQ(0, reactor_run_main(burst_main, NULL));
}

static char never_read[64];

static void
never_done(struct reactor_op *op, int res)
{
	(void)op;
	(void)res;
	atf_tc_fail("callback of a reactor that has ended");
}

static struct reactor_op never_op = { .done = never_done };

static int
leave_op_main(void *arg)
{
	struct io_uring_sqe *sqe = reactor_sqe(reactor_current());

	(void)arg;
	ATF_REQUIRE_EQ(0, pipe(pipe_fds));
	io_uring_prep_read(sqe, pipe_fds[0], never_read, sizeof(never_read),
	    0);
	reactor_sqe_set_op(sqe, &never_op);
	return 5;
}

ATF_TC_WITHOUT_HEAD(operations_in_flight_are_cancelled_at_the_end);
ATF_TC_BODY(operations_in_flight_are_cancelled_at_the_end, tc)
{
	ATF_CHECK_EQ(5, reactor_run_main(leave_op_main, NULL));
	ATF_CHECK_EQ(1, write(pipe_fds[1], "x", 1));
	ATF_CHECK_EQ(0, never_read[0]);
}

/* A peer that offers, and signals only while it is told to. */
enum { OFFERS = 5000 };
static struct {
	atomic_int offered, listening, taken;
	int fd, signals;
	struct reactor *r;
	pthread_t thread;
} peer;

static void *
peer_main(void *arg)
{
	(void)arg;
	for (int i = 1; i <= OFFERS; i++) {
		atomic_store(&peer.offered, i);
		if (atomic_load(&peer.listening)) {
			(void)!eventfd_write(peer.fd, 1);
			peer.signals++;
		}
		/* Some come before the last one is taken. */
		while (i % 4 != 0 && atomic_load(&peer.taken) < i)
			sched_yield();
	}
	return NULL;
}

static bool
peer_has(void *arg)
{
	(void)arg;
	return atomic_load(&peer.offered) > atomic_load(&peer.taken);
}

static bool
peer_listen(void *arg, bool on)
{
	atomic_store(&peer.listening, on);
	return peer_has(arg);
}

static void
watch_fiber(void *arg)
{
	struct event_watch w = {
		.fd = peer.fd, .look = peer_has, .listen = peer_listen,
	};

	(void)arg;
	while (atomic_load(&peer.taken) < OFFERS) {
		ATF_CHECK_EQ(0, event_watch_wait(&w));
		atomic_store(&peer.taken, atomic_load(&peer.offered));
	}
	event_watch_end(&w);
	reactor_stop(peer.r);
}

static void
watch_start(void *arg)
{
	(void)arg;
	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "watch", watch_fiber,
	    NULL));
}

static void
watch_peer(bool spins)
{
	struct sched_work start = { .fn = watch_start };

	peer.fd = eventfd(0, EFD_CLOEXEC);
	ATF_REQUIRE_EQ(0, reactor_new("watch", &peer.r));
	if (spins)
		reactor_want_spin(peer.r);
	ATF_REQUIRE_EQ(0, reactor_start(peer.r));
	sched_post(reactor_sched(peer.r), &start);
	ATF_REQUIRE_EQ(0, pthread_create(&peer.thread, NULL, peer_main,
	    NULL));
	(void)pthread_join(peer.thread, NULL);
	reactor_join(peer.r);
	reactor_free(peer.r);
	close(peer.fd);
	ATF_CHECK_EQ(OFFERS, atomic_load(&peer.taken));
}

ATF_TC_WITHOUT_HEAD(who_watches_a_peer_misses_nothing);
ATF_TC_BODY(who_watches_a_peer_misses_nothing, tc)
{
	watch_peer(false);
	/* One that waits for its answer found the other asleep. */
	ATF_CHECK(peer.signals > 0);
}

ATF_TC_WITHOUT_HEAD(who_looks_out_misses_nothing_of_a_peer);
ATF_TC_BODY(who_looks_out_misses_nothing_of_a_peer, tc)
{
	watch_peer(true);
}

/* /dev/null takes every command since Linux 6.0. */
static struct reactor_op null_op;

static void
command_begin(void *arg)
{
	static const char data[REACTOR_COMMAND_MAX] = "data";
	const struct reactor_command c = {
		.fd = *(int *)arg, .code = 7, .data = data,
		.size = sizeof(data),
	};

	reactor_command(&null_op, &c);
}

static void
null_done(struct reactor_op *op, int res)
{
	(void)op;
	ATF_CHECK_EQ(0, res);
	reactor_stop(reactor_current());
}

ATF_TC_WITHOUT_HEAD(a_wide_reactor_gives_commands_to_drivers);
ATF_TC_BODY(a_wide_reactor_gives_commands_to_drivers, tc)
{
	struct reactor *r;
	int fd = open("/dev/null", O_RDWR);
	struct sched_work work = { .fn = command_begin, .arg = &fd };

	ATF_REQUIRE(fd >= 0);
	null_op.done = null_done;
	ATF_REQUIRE_EQ(0, reactor_new_wide("wide", &r));
	sched_post(reactor_sched(r), &work);
	reactor_run(r);
	reactor_free(r);
	(void)close(fd);
}

static void
leave_lasting(void *arg)
{
	struct io_uring_sqe *sqe = reactor_sqe(reactor_current());

	(void)arg;
	ATF_REQUIRE_EQ(0, pipe(pipe_fds));
	never_op.lasting = true;
	io_uring_prep_read(sqe, pipe_fds[0], never_read, sizeof(never_read),
	    0);
	reactor_sqe_set_op(sqe, &never_op);
	reactor_stop(reactor_current());
}

ATF_TC_WITHOUT_HEAD(the_end_does_not_wait_for_lasting_operations);
ATF_TC_BODY(the_end_does_not_wait_for_lasting_operations, tc)
{
	struct reactor *r;
	struct sched_work work = { .fn = leave_lasting };

	ATF_REQUIRE_EQ(0, reactor_new("lasting", &r));
	sched_post(reactor_sched(r), &work);
	reactor_run(r);
	reactor_free(r);
	never_op.lasting = false;
}

static int
env_main(void *arg)
{
	struct env env;
	struct uuid a, b;
	uint8_t bytes[1000] = { 0 };
	size_t zeroes = 0;

	(void)arg;
	env_posix_init(&env, sched_current(), NULL);
	env_uuid(&env, &a);
	env_uuid(&env, &b);
	ATF_CHECK(!uuid_equal(&a, &b));
	ATF_CHECK_EQ(0x40, a.b[6] & 0xf0);
	ATF_CHECK_EQ(0x80, a.b[8] & 0xc0);
	env.random(&env, bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		zeroes += bytes[i] == 0;
	ATF_CHECK(zeroes < 100);
	/* After 2020. */
	ATF_CHECK(env.wall_us(&env) > UINT64_C(1577836800000000));
	return 0;
}

ATF_TC_WITHOUT_HEAD(posix_env_gives_random_and_time);
ATF_TC_BODY(posix_env_gives_random_and_time, tc)
{
	ATF_CHECK_EQ(0, reactor_run_main(env_main, NULL));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, run_main_returns_the_result);
	ATF_TP_ADD_TC(tp, sleep_lasts_at_least_its_time);
	ATF_TP_ADD_TC(tp, sooner_timer_overtakes_a_later_one);
	ATF_TP_ADD_TC(tp, posts_of_many_threads_all_run_in_their_order);
	ATF_TP_ADD_TC(tp, reactors_wake_each_other);
	ATF_TP_ADD_TC(tp, reactors_that_look_out_hear_each_other);
	ATF_TP_ADD_TC(tp, who_looks_out_sees_the_ring);
	ATF_TP_ADD_TC(tp, poll_fd_waits_for_readiness);
	ATF_TP_ADD_TC(tp, offloaded_calls_all_return);
	ATF_TP_ADD_TC(tp, group_bounds_the_calls_at_work);
	ATF_TP_ADD_TC(tp, operations_beyond_the_ring_size_complete);
	ATF_TP_ADD_TC(tp, a_disk_begins_with_a_burst_that_goes_on);
	ATF_TP_ADD_TC(tp, operations_in_flight_are_cancelled_at_the_end);
	ATF_TP_ADD_TC(tp, who_watches_a_peer_misses_nothing);
	ATF_TP_ADD_TC(tp, who_looks_out_misses_nothing_of_a_peer);
	ATF_TP_ADD_TC(tp, a_wide_reactor_gives_commands_to_drivers);
	ATF_TP_ADD_TC(tp, the_end_does_not_wait_for_lasting_operations);
	ATF_TP_ADD_TC(tp, posix_env_gives_random_and_time);
	return atf_no_error();
}
