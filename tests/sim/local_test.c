/* SPDX-License-Identifier: BSD-2-Clause */
/* Users of locks on one host, and what errors leave behind there. */
#include <stdlib.h>

#include "tests/sim/play.h"

#define SEEDS 10

static void
run(unsigned hosts, void (*play)(struct world *w))
{
	play_seeds((struct world_conf){ .hosts = hosts,
	    .protocol = LOCK_ATS_PR }, SEEDS, play);
}

static struct lockmgr *
manager(struct world *w, unsigned i)
{
	return &w->host[i].host->lm;
}

/* A fiber of host 0 that wants the lock. */
struct user {
	struct world *w;
	enum lock_mode mode;
	uint64_t ms;
	struct lock_grant g;
	int rc;
	bool done;
};

static void
user_main(void *arg)
{
	struct user *u = arg;

	u->rc = play_lock(u->w, 0, u->mode, u->ms, &u->g);
	u->done = true;
}

static void
start(struct user *u, struct world *w, enum lock_mode mode, uint64_t ms)
{
	*u = (struct user){ .w = w, .mode = mode, .ms = ms };
	WORLD_CHECK(w, sched_spawn(&w->sim.sched, "user", user_main, u) == 0);
}

static void
wait_for(const struct user *u)
{
	while (!u->done)
		fiber_sleep(NSEC_PER_MSEC);
}

/* ---- shared by several users ---- */

static enum lock_mode shared_mode;

static void
play_shared(struct world *w)
{
	struct lock_grant a, b, c, again;
	struct user u;
	uint64_t tries;

	if (!play_join_all(w))
		return;
	/* The second comes while the first is not through yet. */
	start(&u, w, shared_mode, 10000);
	fiber_yield();
	WORLD_CHECK(w, !u.done);
	WORLD_CHECK(w, play_lock(w, 0, shared_mode, 10000, &a) == 0);
	wait_for(&u);
	WORLD_CHECK(w, u.rc == 0 && u.g.version == a.version);
	tries = manager(w, 0)->tries;
	WORLD_CHECK(w, tries == 1);
	WORLD_CHECK(w, play_lock(w, 0, shared_mode, 0, &b) == 0);
	again = b;
	WORLD_CHECK(w, play_unlock(w, 0, &a) == 0);
	WORLD_CHECK(w, play_unlock(w, 0, &u.g) == 0);
	WORLD_CHECK(w, manager(w, 0)->tries == tries);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, 0, &c) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, play_unlock(w, 0, &b) == 0);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, 0, &c) == 0);
	/* What was given back cannot be given back again. */
	WORLD_CHECK(w, play_unlock(w, 0, &b) == 0 && b.mode == LOCK_FREE);
	WORLD_CHECK(w, play_unlock(w, 0, &again) == -EINVAL);
	WORLD_CHECK(w, play_unlock(w, 1, &c) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(users_of_a_shared_lock_take_it_once);
ATF_TC_BODY(users_of_a_shared_lock_take_it_once, tc)
{
	(void)tc;
	shared_mode = LOCK_SHARED;
	run(2, play_shared);
	shared_mode = LOCK_MULTI_WRITER;
	run(2, play_shared);
}

/* ---- one after the other ---- */

static void
play_turns(struct world *w)
{
	struct lockops *l;
	struct lock_holder who;
	struct lock_grant a, b;
	struct user u, v;
	uint64_t began;

	if (!play_join_all(w))
		return;
	l = host_locks(w->host[0].host);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	WORLD_CHECK(w, l->vt->acquire(l, LOCK_BLOCK, LOCK_SHARED, LOCK_NOWAIT,
	    0, &b, &who) == -VMFS_ELOCKED);
	WORLD_CHECK(w, who.state == HOLDER_SELF && who.slot == l->slot &&
	    strcmp(who.name, "host0") == 0 && who.version == a.version);
	began = w->sim.now_ns;
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 500, &b) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, w->sim.now_ns - began >= 500 * NSEC_PER_MSEC);
	start(&u, w, LOCK_EXCLUSIVE, 60000);
	start(&v, w, LOCK_EXCLUSIVE, 60000);
	fiber_sleep(NSEC_PER_SEC);
	WORLD_CHECK(w, !u.done && !v.done);
	WORLD_CHECK(w, play_unlock(w, 0, &a) == 0);
	while (!u.done && !v.done)
		fiber_sleep(NSEC_PER_MSEC);
	fiber_sleep(NSEC_PER_SEC);
	WORLD_CHECK(w, u.done != v.done);
	WORLD_CHECK(w, play_unlock(w, 0, u.done ? &u.g : &v.g) == 0);
	wait_for(&u);
	wait_for(&v);
	WORLD_CHECK(w, u.rc == 0 && v.rc == 0);
	WORLD_CHECK(w, play_unlock(w, 0, u.g.mode != LOCK_FREE ? &u.g :
	    &v.g) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(users_of_an_exclusive_lock_take_turns);
ATF_TC_BODY(users_of_an_exclusive_lock_take_turns, tc)
{
	(void)tc;
	run(1, play_turns);
}

/* Given back by two, taken meanwhile by a third. */
static void
play_busy(struct world *w)
{
	struct lock_grant a, again;
	struct user u;

	if (!play_join_all(w))
		return;
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	again = a;
	WORLD_CHECK(w, play_unlock(w, 0, &a) == 0);
	start(&u, w, LOCK_EXCLUSIVE, 60000);
	fiber_yield();
	WORLD_CHECK(w, !u.done);
	WORLD_CHECK(w, play_unlock(w, 0, &again) == -EINVAL);
	wait_for(&u);
	WORLD_CHECK(w, u.rc == 0 && play_unlock(w, 0, &u.g) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_grant_that_is_over_gives_nothing_back);
ATF_TC_BODY(a_grant_that_is_over_gives_nothing_back, tc)
{
	(void)tc;
	run(1, play_busy);
}

/* ---- what cannot be asked for, and new locks ---- */

static void
play_create(struct world *w)
{
	struct lock_grant a, b;
	struct lock_holder who;
	struct lockops *l;

	if (!play_join_all(w))
		return;
	l = host_locks(w->host[0].host);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_FREE, 0, &a) == -EINVAL);
	WORLD_CHECK(w, play_lock(w, 0, (enum lock_mode)9, 0, &a) == -EINVAL);
	/* What lay in the block does not matter, only that nothing comes
	 * that is older. */
	l->lsn = 4711;
	play_damage(w, LOCK_BLOCK * (uint64_t)BLOCK_SIZE + 100);
	WORLD_CHECK(w, l->vt->create(l, LOCK_BLOCK, &a) == 0);
	WORLD_CHECK(w, a.version >= 4711 && a.mode == LOCK_EXCLUSIVE);
	WORLD_CHECK(w, l->vt->create(l, LOCK_BLOCK, &b) == -VMFS_ELOCKED);
	WORLD_CHECK(w, l->vt->query(l, LOCK_BLOCK, &who) == 0 &&
	    who.state == HOLDER_SELF && who.mode == LOCK_EXCLUSIVE);
	WORLD_CHECK(w, play_unlock(w, 0, &a) == 0);
	WORLD_CHECK(w, l->vt->query(l, LOCK_BLOCK, &who) == 0 &&
	    who.mode == LOCK_FREE);
	w->lun.strike = (struct sim_strike){
		.result = -EIO, .ops = 1u << DISK_READ, .times = 1,
	};
	WORLD_CHECK(w, l->vt->create(l, LOCK_BLOCK, &b) == -EIO);
	WORLD_CHECK(w, l->vt->create(l, LOCK_BLOCK, &b) == 0);
	WORLD_CHECK(w, b.version > a.version);
	WORLD_CHECK(w, play_unlock(w, 0, &b) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_new_lock_is_newer_than_all_before);
ATF_TC_BODY(a_new_lock_is_newer_than_all_before, tc)
{
	(void)tc;
	run(1, play_create);
}

/* ---- holders as others see them ---- */

struct seen_holders {
	unsigned n, live, self;
};

static void
see(void *arg, const struct lock_holder *one)
{
	struct seen_holders *s = arg;

	s->n++;
	s->live += one->state == HOLDER_LIVE;
	s->self += one->state == HOLDER_SELF;
}

static struct seen_holders
holders(struct world *w, unsigned i)
{
	struct seen_holders s = { 0 };

	WORLD_CHECK(w, host_lock_holders(w->host[i].host, LOCK_BLOCK, see,
	    &s) == 0);
	return s;
}

static void
play_holders(struct world *w)
{
	struct lock_grant a, b;
	struct seen_holders s;

	if (!play_join_all(w))
		return;
	WORLD_CHECK(w, holders(w, 0).n == 0);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	s = holders(w, 0);
	WORLD_CHECK(w, s.n == 1 && s.self == 1);
	s = holders(w, 1);
	WORLD_CHECK(w, s.n == 1 && s.live == 1);
	WORLD_CHECK(w, play_unlock(w, 0, &a) == 0);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_SHARED, 0, &a) == 0);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_SHARED, 0, &b) == 0);
	s = holders(w, 1);
	WORLD_CHECK(w, s.n == 2 && s.self == 1 && s.live == 1);
	WORLD_CHECK(w, play_unlock(w, 0, &a) == 0);
	WORLD_CHECK(w, play_unlock(w, 1, &b) == 0);
	WORLD_CHECK(w, holders(w, 1).n == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(the_holders_of_a_lock_are_listed);
ATF_TC_BODY(the_holders_of_a_lock_are_listed, tc)
{
	(void)tc;
	run(2, play_holders);
}

/* ---- locks that an error has left with us, or not ---- */

static bool
has_taken_over(struct world *w, unsigned i)
{
	return w->host[i].takeovers > 0;
}

/* Its compare-and-write fails and was not done: the record is another's. */
static void
fail_to_take(struct world *w, unsigned i, enum lock_mode mode)
{
	struct lock_grant g;

	w->lun.strike = (struct sim_strike){
		.result = -EIO, .ops = 1u << DISK_CAW, .first = 2 * i,
		.last = 2 * i, .times = 1,
	};
	WORLD_CHECK(w, play_lock(w, i, mode, 0, &g) == -EIO);
	w->lun.strike = (struct sim_strike){ 0 };
	WORLD_CHECK(w, !list_empty(&manager(w, i)->strays));
}

/* Of the own slot's last owner, dead long ago. */
static void
play_stray_of_before(struct world *w)
{
	struct lock_grant a;
	uint64_t version;

	if (!play_join_all(w))
		return;
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	version = a.version;
	world_crash(w, 0);
	world_boot(w, 0);
	/* It ends its past, and its next life has the same slot. */
	WORLD_CHECK(w, world_join(w, 0) == 0);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, world_leave(w, 0) == 0 && world_join(w, 0) == 0);
	fail_to_take(w, 0, LOCK_EXCLUSIVE);
	play_let_pulse(w);
	WORLD_CHECK(w, list_empty(&manager(w, 0)->strays));
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, 0, &a) == 0);
	WORLD_CHECK(w, a.version == version + 1);
	WORLD_CHECK(w, play_unlock(w, 1, &a) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_stray_that_is_not_ours_is_left_alone);
ATF_TC_BODY(a_stray_that_is_not_ours_is_left_alone, tc)
{
	(void)tc;
	run(2, play_stray_of_before);
}

/* Its mark in a shared record is of the life before. */
static void
play_mark_of_before(struct world *w)
{
	struct lock_grant a, b;
	struct seen_holders s;
	unsigned slot;

	if (!play_join_all(w))
		return;
	WORLD_CHECK(w, play_lock(w, 0, LOCK_SHARED, 0, &a) == 0);
	WORLD_CHECK(w, play_lock(w, 1, LOCK_SHARED, 0, &b) == 0);
	slot = play_slot_of(w, 0);
	world_crash(w, 0);
	WORLD_CHECK(w, world_wait(w, has_taken_over, 1, 60000));
	world_boot(w, 0);
	WORLD_CHECK(w, world_join(w, 0) == 0);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, play_slot_of(w, 0) == slot);
	s = holders(w, 0);
	WORLD_CHECK(w, s.n == 2 && s.live == 1 && s.self == 0);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, play_unlock(w, 1, &b) == 0);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &a) == 0);
	WORLD_CHECK(w, play_unlock(w, 0, &a) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_mark_of_the_life_before_is_not_ours);
ATF_TC_BODY(a_mark_of_the_life_before_is_not_ours, tc)
{
	(void)tc;
	run(2, play_mark_of_before);
}

static void
play_stray_of_others(struct world *w)
{
	struct lock_grant a, b;

	if (!play_join_all(w))
		return;
	WORLD_CHECK(w, play_lock(w, 1, LOCK_SHARED, 0, &a) == 0);
	fail_to_take(w, 0, LOCK_SHARED);
	play_let_pulse(w);
	WORLD_CHECK(w, list_empty(&manager(w, 0)->strays));
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &b) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, play_unlock(w, 1, &a) == 0);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &b) == 0);
	WORLD_CHECK(w, play_unlock(w, 0, &b) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_stray_takes_nobody_elses_mark);
ATF_TC_BODY(a_stray_takes_nobody_elses_mark, tc)
{
	(void)tc;
	run(2, play_stray_of_others);
}

static unsigned
strays(struct world *w)
{
	unsigned n = 0;

	list_for_each(node, next, &manager(w, 0)->strays)
		n++;
	return n;
}

/* The host leaves while it gives back what it has left. */
static void
play_stray_at_leave(struct world *w)
{
	struct lockops *l;
	struct lock_grant g[4];

	if (!play_join_all(w))
		return;
	l = host_locks(w->host[0].host);
	for (unsigned i = 0; i < 4; i++) {
		WORLD_CHECK(w, l->vt->acquire(l, LOCK_BLOCK + i,
		    LOCK_EXCLUSIVE, LOCK_NOWAIT, 0, &g[i], NULL) == 0);
		w->lun.strike = (struct sim_strike){
			.result = -EIO, .ops = 1u << DISK_READ, .times = 1,
		};
		WORLD_CHECK(w, l->vt->release(l, &g[i]) == -EIO);
	}
	/* The look at the others that gives them back has begun. */
	while (strays(w) == 4)
		fiber_sleep(10000);
	fiber_sleep(sim_below(&w->sim, NSEC_PER_MSEC));
	WORLD_CHECK(w, world_leave(w, 0) == 0);
	l = host_locks(w->host[1].host);
	for (unsigned i = 0; i < 4; i++) {
		WORLD_CHECK(w, l->vt->acquire(l, LOCK_BLOCK + i,
		    LOCK_EXCLUSIVE, LOCK_NOWAIT, 0, &g[i], NULL) == 0);
		WORLD_CHECK(w, l->vt->release(l, &g[i]) == 0);
	}
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(who_leaves_leaves_no_stray_in_the_way);
ATF_TC_BODY(who_leaves_leaves_no_stray_in_the_way, tc)
{
	(void)tc;
	play_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR },
	    50, play_stray_at_leave);
}

/* Two strays; the second is taken again while the first is given back. */
static void
play_stray_taken(struct world *w)
{
	struct lock_grant g[2], b;
	struct lockops *l;

	if (!play_join_all(w))
		return;
	l = host_locks(w->host[0].host);
	for (unsigned i = 0; i < 2; i++) {
		WORLD_CHECK(w, l->vt->acquire(l, LOCK_BLOCK + 1 - i,
		    LOCK_EXCLUSIVE, LOCK_NOWAIT, 0, &g[i], NULL) == 0);
		w->lun.strike = (struct sim_strike){
			.result = -EIO, .ops = 1u << DISK_READ, .times = 1,
		};
		WORLD_CHECK(w, l->vt->release(l, &g[i]) == -EIO);
	}
	while (strays(w) == 2)
		fiber_sleep(10000);
	WORLD_CHECK(w, play_lock(w, 0, LOCK_EXCLUSIVE, 0, &b) == 0);
	play_let_pulse(w);
	WORLD_CHECK(w, list_empty(&manager(w, 0)->strays));
	WORLD_CHECK(w, play_lock(w, 1, LOCK_EXCLUSIVE, 0, &g[0]) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, play_unlock(w, 0, &b) == 0);
	play_leave_all(w);
}

ATF_TC_WITHOUT_HEAD(a_stray_in_use_again_is_forgotten);
ATF_TC_BODY(a_stray_in_use_again_is_forgotten, tc)
{
	(void)tc;
	run(2, play_stray_taken);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, users_of_a_shared_lock_take_it_once);
	ATF_TP_ADD_TC(tp, users_of_an_exclusive_lock_take_turns);
	ATF_TP_ADD_TC(tp, a_grant_that_is_over_gives_nothing_back);
	ATF_TP_ADD_TC(tp, a_new_lock_is_newer_than_all_before);
	ATF_TP_ADD_TC(tp, the_holders_of_a_lock_are_listed);
	ATF_TP_ADD_TC(tp, a_stray_that_is_not_ours_is_left_alone);
	ATF_TP_ADD_TC(tp, a_mark_of_the_life_before_is_not_ours);
	ATF_TP_ADD_TC(tp, a_stray_takes_nobody_elses_mark);
	ATF_TP_ADD_TC(tp, who_leaves_leaves_no_stray_in_the_way);
	ATF_TP_ADD_TC(tp, a_stray_in_use_again_is_forgotten);
	return atf_no_error();
}
