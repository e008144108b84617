/* SPDX-License-Identifier: BSD-2-Clause */
/* How the lock of a file changes hands between simulated hosts. */
#include <atf-c.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/fs.h"
#include "tests/sim/world.h"

#define SEEDS 30
#define HOSTS 3u
#define ROUNDS 20

static const struct sim_faults calm = { .late_ns = 3600 * NSEC_PER_SEC };
static const struct sim_faults rough = {
	.status_lost_ppm = 2000, .miscompare_ppm = 10000,
	.slow_ppm = 1000, .slow_ns = 2 * NSEC_PER_SEC,
	.late_ns = 3600 * NSEC_PER_SEC,
};

static void
run_many(struct sim_faults faults, void (*play)(struct world *w),
    uint64_t seeds)
{
	static struct world w;

	for (uint64_t seed = 1; seed <= seeds; seed++) {
		struct world_conf conf = {
			.seed = seed, .hosts = HOSTS,
			.protocol = LOCK_ATS_PR, .faults = faults,
		};
		uint64_t hash;

		if (world_run(&w, &conf, play, &hash) < 0)
			atf_tc_fail("seed %" PRIu64 ": %s", seed, w.problem);
	}
}

static void
run_seeds(struct sim_faults faults, void (*play)(struct world *w))
{
	run_many(faults, play, SEEDS);
}

static uint64_t
start_all(struct world *w)
{
	struct fs_attr a = { 0 };

	for (unsigned i = 0; i < w->hosts; i++)
		if (world_mount(w, i) < 0)
			world_fail(w, "host%u: %s", i, w->host[i].why);
	if (world_failed(w))
		return 0;
	WORLD_CHECK(w, fs_create(w->host[0].fs, fs_root(w->host[0].fs),
	    "file", INODE_FILE, 0600, 0, 0, 0, &a) == 0);
	return a.ino;
}

static int
open_as(struct world *w, unsigned i, uint64_t ino, unsigned how,
    struct fs_file **ret_f)
{
	struct lock_holder h;

	return fs_file_open(w->host[i].fs, ino, 0, (unsigned)FS_READ | how,
	    ret_f, &h);
}

/* ---- from shared to exclusive ---- */

struct counter {
	struct world *w;
	unsigned host;
	uint64_t ino;
	uint64_t done;
	bool ended;
};

/* What it has read under the shared lock is still true when it writes. */
static int
count_once(struct counter *c)
{
	struct fs_file *sh, *ex;
	uint64_t n = 0;
	size_t got;
	int rc = open_as(c->w, c->host, c->ino, FS_SHARED, &sh);

	if (rc < 0)
		return rc;
	rc = fs_file_read(sh, 0, &n, sizeof(n), &got);
	fiber_sleep(sim_below(&c->w->sim, 50) * NSEC_PER_MSEC);
	if (rc == 0)
		rc = open_as(c->w, c->host, c->ino, FS_WRITE, &ex);
	if (rc == 0) {
		n++;
		rc = fs_file_write(ex, 0, &n, sizeof(n));
		WORLD_CHECK(c->w, fs_file_close(ex) == 0);
		c->done += rc == 0;
	}
	WORLD_CHECK(c->w, fs_file_close(sh) == 0);
	return rc;
}

static void
counter_main(void *arg)
{
	struct counter *c = arg;

	while (c->done < ROUNDS && !world_failed(c->w)) {
		int rc = count_once(c);

		if (rc < 0 && rc != -VMFS_ELOCKED)
			world_fail(c->w, "host%u: %s", c->host,
			    vmfs_strerror(rc));
		fiber_sleep(sim_below(&c->w->sim, 100) * NSEC_PER_MSEC);
	}
	c->ended = true;
}

static void
play_by(struct world *w, void (*run)(void *arg))
{
	struct counter c[HOSTS] = { 0 };
	uint64_t ino = start_all(w), n = 0;
	struct fs_file *f = NULL;
	size_t got;

	for (unsigned i = 0; i < HOSTS && !world_failed(w); i++) {
		c[i] = (struct counter){ .w = w, .host = i, .ino = ino };
		WORLD_CHECK(w, sched_spawn(&w->sim.sched, "counter",
		    run, &c[i]) == 0);
	}
	for (unsigned i = 0; i < HOSTS && !world_failed(w); i++)
		while (!c[i].ended)
			fiber_sleep(NSEC_PER_MSEC);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, open_as(w, 0, ino, 0, &f) == 0);
	WORLD_CHECK(w, fs_file_read(f, 0, &n, sizeof(n), &got) == 0);
	if (n != (uint64_t)HOSTS * ROUNDS)
		world_fail(w, "%" PRIu64 " were counted", n);
	WORLD_CHECK(w, fs_file_close(f) == 0);
	for (unsigned i = 0; i < HOSTS; i++)
		WORLD_CHECK(w, world_unmount(w, i) == 0);
}

static void
play_counting(struct world *w)
{
	play_by(w, counter_main);
}

ATF_TC_WITHOUT_HEAD(a_shared_lock_becomes_exclusive_without_a_gap);
ATF_TC_BODY(a_shared_lock_becomes_exclusive_without_a_gap, tc)
{
	(void)tc;
	run_seeds(rough, play_counting);
}

static void
play_refused(struct world *w)
{
	struct fs_file *one = NULL, *two = NULL, *ex = NULL;
	uint64_t ino = start_all(w);
	struct lock_holder h;
	struct lockops *l;

	if (world_failed(w))
		return;
	WORLD_CHECK(w, open_as(w, 0, ino, FS_SHARED, &one) == 0);
	WORLD_CHECK(w, open_as(w, 1, ino, FS_SHARED, &two) == 0);
	WORLD_CHECK(w, open_as(w, 0, ino, FS_WRITE, &ex) == -VMFS_ELOCKED);
	WORLD_CHECK(w, open_as(w, 2, ino, FS_WRITE, &ex) == -VMFS_ELOCKED);
	l = ds_locks(fs_ds(w->host[2].fs));
	WORLD_CHECK(w, l->vt->query(l, ino, &h) == 0);
	WORLD_CHECK(w, h.mode == LOCK_SHARED && h.count == 2);
	WORLD_CHECK(w, fs_file_close(two) == 0);
	WORLD_CHECK(w, open_as(w, 0, ino, FS_WRITE, &ex) == 0);
	WORLD_CHECK(w, open_as(w, 1, ino, FS_SHARED, &two) == -VMFS_ELOCKED);
	WORLD_CHECK(w, fs_file_close(ex) == 0);
	WORLD_CHECK(w, fs_file_close(one) == 0);
	WORLD_CHECK(w, l->vt->query(l, ino, &h) == 0);
	WORLD_CHECK(w, h.mode == LOCK_FREE);
	for (unsigned i = 0; i < HOSTS; i++)
		WORLD_CHECK(w, world_unmount(w, i) == 0);
}

ATF_TC_WITHOUT_HEAD(it_stays_shared_while_another_host_reads);
ATF_TC_BODY(it_stays_shared_while_another_host_reads, tc)
{
	(void)tc;
	run_seeds(calm, play_refused);
}

/* ---- handed over to one host ---- */

#define LIMIT_S 5u

static int
hand(struct world *w, unsigned from, unsigned to, uint64_t ino,
    uint64_t limit_ns)
{
	char why[256];

	return host_hand_over(w->host[from].host, ino, w->host[to].name,
	    limit_ns, why);
}

static void
end_all(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++)
		if (w->host[i].host != NULL)
			WORLD_CHECK(w, world_unmount(w, i) == 0);
}

/* Host 0 has written and offers it to host 1. */
static uint64_t
offer(struct world *w)
{
	uint64_t ino = start_all(w), n = 7;
	struct fs_file *f = NULL, *g = NULL;

	if (world_failed(w))
		return 0;
	WORLD_CHECK(w, open_as(w, 0, ino, FS_WRITE, &f) == 0);
	WORLD_CHECK(w, fs_file_write(f, 0, &n, sizeof(n)) == 0);
	WORLD_CHECK(w, hand(w, 0, 1, ino, LIMIT_S * NSEC_PER_SEC) == 0);
	WORLD_CHECK(w, hand(w, 0, 2, ino, NSEC_PER_SEC) == -EBUSY);
	WORLD_CHECK(w, open_as(w, 1, ino, FS_WRITE, &g) == -VMFS_ELOCKED);
	WORLD_CHECK(w, !host_hand_over_offered(w->host[0].host, ino));
	WORLD_CHECK(w, fs_file_close(f) == 0);
	WORLD_CHECK(w, host_hand_over_offered(w->host[0].host, ino));
	WORLD_CHECK(w, open_as(w, 2, ino, FS_WRITE, &g) == -VMFS_ELOCKED);
	return ino;
}

static void
take(struct world *w, unsigned i, uint64_t ino)
{
	struct fs_file *f = NULL;
	uint64_t n = 0;
	size_t got;

	WORLD_CHECK(w, open_as(w, i, ino, FS_WRITE, &f) == 0);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, fs_file_read(f, 0, &n, sizeof(n), &got) == 0 && n == 7);
	for (unsigned k = 0; k < w->hosts; k++) {
		struct fs_file *g;

		if (k != i && w->host[k].host != NULL)
			WORLD_CHECK(w, open_as(w, k, ino, FS_WRITE, &g) ==
			    -VMFS_ELOCKED);
	}
	WORLD_CHECK(w, fs_file_close(f) == 0);
}

static void
play_heir(struct world *w)
{
	uint64_t ino = offer(w);
	struct lock_holder h;
	struct lockops *l;

	if (world_failed(w))
		return;
	l = ds_locks(fs_ds(w->host[2].fs));
	WORLD_CHECK(w, l->vt->query(l, ino, &h) == 0);
	WORLD_CHECK(w, h.mode == LOCK_EXCLUSIVE && h.state == HOLDER_LIVE);
	WORLD_CHECK(w, strcmp(h.name, w->host[1].name) == 0);
	WORLD_CHECK(w, strcmp(h.from, w->host[0].name) == 0);
	take(w, 1, ino);
	take(w, 2, ino);
	WORLD_CHECK(w, hand(w, 0, 0, ino, NSEC_PER_SEC) == -ENOENT);
	end_all(w);
}

static void
play_unused(struct world *w)
{
	uint64_t ino = offer(w);

	if (world_failed(w))
		return;
	fiber_sleep((LIMIT_S + 10) * NSEC_PER_SEC);
	take(w, 2, ino);
	end_all(w);
}

/* The record of one of two offers cannot be read for a while. */
static void
play_unused_beside_trouble(struct world *w)
{
	uint64_t ino = offer(w), bad;
	struct fs_file *f = NULL;
	struct fs_attr a = { 0 };

	if (world_failed(w) || (f = world_create(w, 0, "two")) == NULL)
		return;
	WORLD_CHECK(w, fs_file_attr(f, &a) == 0);
	WORLD_CHECK(w, hand(w, 0, 1, a.ino, LIMIT_S * NSEC_PER_SEC) == 0);
	WORLD_CHECK(w, fs_file_close(f) == 0);
	bad = sim_below(&w->sim, 2) == 0 ? ino : a.ino;
	w->lun.strike = (struct sim_strike){ .result = -EIO,
		.last = SIM_NEXUS_MAX - 1, .ops = 1u << DISK_READ,
		.at = bad * BLOCK_SIZE, .times = UINT64_MAX };
	fiber_sleep((LIMIT_S + 30) * NSEC_PER_SEC);
	WORLD_CHECK(w, host_hand_over_offered(w->host[0].host, bad));
	WORLD_CHECK(w, !host_hand_over_offered(w->host[0].host,
	    ino + a.ino - bad));
	w->lun.strike = (struct sim_strike){ 0 };
	fiber_sleep(30 * NSEC_PER_SEC);
	WORLD_CHECK(w, !host_hand_over_offered(w->host[0].host, bad));
	take(w, 2, ino);
	end_all(w);
}

/* The last clone of what is offered goes, on the giver or on the heir. */
static void
play_tidied(struct world *w)
{
	unsigned by = (unsigned)sim_below(&w->sim, 2);
	struct fs_file *d = NULL, *c = NULL;
	uint64_t ino = start_all(w), n = 7;
	struct fs *fs = w->host[by].fs;
	struct fs_attr a = { 0 };

	if (ino == 0 || open_as(w, 0, ino, FS_WRITE, &d) != 0)
		return;
	WORLD_CHECK(w, fs_create(fs, fs_root(fs), "c", INODE_DISK, 0600, 0, 0,
	    MIB, &a) == 0 && open_as(w, 0, a.ino, FS_WRITE, &c) == 0);
	WORLD_CHECK(w, fs_file_write(d, 0, &n, sizeof(n)) == 0);
	WORLD_CHECK(w, fs_file_write(d, MIB - 8, &n, sizeof(n)) == 0);
	WORLD_CHECK(w, fs_file_share(d, c, 0, MIB, &n) == 0 && n == MIB);
	WORLD_CHECK(w, hand(w, 0, 1, ino, LIMIT_S * NSEC_PER_SEC) == 0);
	WORLD_CHECK(w, fs_file_close(c) == 0 && fs_file_close(d) == 0);
	WORLD_CHECK(w, fs_unlink(fs, fs_root(fs), "c", NULL) == 0);
	WORLD_CHECK(w, host_hand_over_offered(w->host[0].host, ino));
	WORLD_CHECK(w, open_as(w, 2, ino, FS_WRITE, &c) == -VMFS_ELOCKED);
	take(w, 1, ino);
	end_all(w);
}

static void
play_taken_back(struct world *w)
{
	uint64_t ino = offer(w);

	if (world_failed(w))
		return;
	take(w, 0, ino);
	take(w, 2, ino);
	WORLD_CHECK(w, hand(w, 0, 1, ino, NSEC_PER_SEC) == 0);
	WORLD_CHECK(w, host_hand_over_end(w->host[0].host, ino) == 0);
	take(w, 0, ino);
	take(w, 2, ino);
	end_all(w);
}

static uint64_t the_ino;

static bool
third_gets_it(struct world *w, unsigned i)
{
	struct fs_file *f;

	(void)i;
	if (open_as(w, 2, the_ino, FS_WRITE, &f) != 0)
		return false;
	WORLD_CHECK(w, fs_file_close(f) == 0);
	return true;
}

static void
play_death_of(struct world *w, unsigned who)
{
	uint64_t ino = offer(w);

	if (world_failed(w))
		return;
	world_crash(w, who);
	if (who == 0 && sim_chance(&w->sim, 500000))
		take(w, 1, ino);
	the_ino = ino;
	WORLD_CHECK(w, world_wait(w, third_gets_it, 2, 60000));
	take(w, 2, ino);
	end_all(w);
}

static void
play_giver_dies(struct world *w)
{
	play_death_of(w, 0);
}

static void
play_heir_dies(struct world *w)
{
	play_death_of(w, 1);
}

ATF_TC_WITHOUT_HEAD(only_the_heir_gets_it);
ATF_TC_BODY(only_the_heir_gets_it, tc)
{
	(void)tc;
	run_seeds(calm, play_heir);
}

ATF_TC_WITHOUT_HEAD(what_the_heir_does_not_take_is_free_after_a_while);
ATF_TC_BODY(what_the_heir_does_not_take_is_free_after_a_while, tc)
{
	(void)tc;
	run_seeds(calm, play_unused);
}

ATF_TC_WITHOUT_HEAD(the_giver_may_have_it_back);
ATF_TC_BODY(the_giver_may_have_it_back, tc)
{
	(void)tc;
	run_seeds(calm, play_taken_back);
}

ATF_TC_WITHOUT_HEAD(an_offer_ends_with_the_giver);
ATF_TC_BODY(an_offer_ends_with_the_giver, tc)
{
	(void)tc;
	run_seeds(calm, play_giver_dies);
}

ATF_TC_WITHOUT_HEAD(an_offer_ends_with_the_heir);
ATF_TC_BODY(an_offer_ends_with_the_heir, tc)
{
	(void)tc;
	run_seeds(calm, play_heir_dies);
}

/* ---- an offer ends while others are at its lock ---- */

#define RACE_SEEDS (20 * SEEDS)
/* As long as their requests to the LUN. */
#define TAKING_NS NSEC_PER_MSEC
#define CLOSING_NS (4 * NSEC_PER_MSEC)

struct ending {
	struct world *w;
	uint64_t ino, within_ns;
	int rc;
	bool ended;
};

static void
end_offer(void *arg)
{
	struct ending *e = arg;

	fiber_sleep(sim_below(&e->w->sim, e->within_ns));
	e->rc = host_hand_over_end(e->w->host[0].host, e->ino);
	e->ended = true;
}

static bool
begin_end(struct ending *e)
{
	WORLD_CHECK(e->w, sched_spawn(&e->w->sim.sched, "end", end_offer,
	    e) == 0);
	return !world_failed(e->w);
}

static void
wait_end(struct ending *e)
{
	while (!e->ended)
		fiber_sleep(NSEC_PER_MSEC);
}

/* What the giver has then is its own on the LUN, too. */
static void
play_end_and_take(struct world *w)
{
	struct ending e = {
		.w = w, .ino = offer(w), .within_ns = TAKING_NS,
	};
	struct lock_grant g = { 0 };
	struct fs_file *f = NULL;
	struct lockops *l;

	if (world_failed(w) || !begin_end(&e))
		return;
	fiber_sleep(sim_below(&w->sim, TAKING_NS));
	l = ds_locks(fs_ds(w->host[0].fs));
	WORLD_CHECK(w, l->vt->acquire(l, e.ino, LOCK_EXCLUSIVE, 0,
	    w->sim.now_ns + NSEC_PER_SEC, &g, NULL) == 0);
	wait_end(&e);
	WORLD_CHECK(w, e.rc == 0 || e.rc == -ESRCH);
	WORLD_CHECK(w, open_as(w, 2, e.ino, FS_WRITE, &f) == -VMFS_ELOCKED);
	WORLD_CHECK(w, l->vt->release(l, &g) == 0);
	if (world_failed(w))
		return;
	take(w, 2, e.ino);
	end_all(w);
}

ATF_TC_WITHOUT_HEAD(who_takes_it_while_the_offer_ends_has_it);
ATF_TC_BODY(who_takes_it_while_the_offer_ends_has_it, tc)
{
	(void)tc;
	run_many(calm, play_end_and_take, RACE_SEEDS);
}

/* The close may be about to offer it. */
static void
play_end_and_close(struct world *w)
{
	struct ending e = {
		.w = w, .ino = start_all(w), .within_ns = CLOSING_NS,
	};
	struct fs_file *f = NULL;
	uint64_t n = 7;

	if (world_failed(w))
		return;
	WORLD_CHECK(w, open_as(w, 0, e.ino, FS_WRITE, &f) == 0);
	WORLD_CHECK(w, fs_file_write(f, 0, &n, sizeof(n)) == 0);
	WORLD_CHECK(w, hand(w, 0, 1, e.ino, LIMIT_S * NSEC_PER_SEC) == 0);
	if (world_failed(w) || !begin_end(&e))
		return;
	WORLD_CHECK(w, fs_file_close(f) == 0);
	wait_end(&e);
	WORLD_CHECK(w, e.rc == 0);
	take(w, 2, e.ino);
	WORLD_CHECK(w, hand(w, 0, 2, e.ino, NSEC_PER_SEC) == 0);
	end_all(w);
}

ATF_TC_WITHOUT_HEAD(what_is_closed_while_the_offer_ends_is_free);
ATF_TC_BODY(what_is_closed_while_the_offer_ends_is_free, tc)
{
	(void)tc;
	run_many(calm, play_end_and_close, RACE_SEEDS);
}

/* ---- many offers ---- */

/* Offers of a moment, so that the heir and the end of it meet. */
static int
pass_once(struct counter *c)
{
	struct fs_file *f;
	uint64_t n = 0;
	size_t got;
	int rc = open_as(c->w, c->host, c->ino, FS_WRITE, &f);

	if (rc < 0)
		return rc;
	rc = fs_file_read(f, 0, &n, sizeof(n), &got);
	fiber_sleep(sim_below(&c->w->sim, 50) * NSEC_PER_MSEC);
	n++;
	if (rc == 0)
		rc = fs_file_write(f, 0, &n, sizeof(n));
	c->done += rc == 0;
	if (sim_chance(&c->w->sim, 700000)) {
		unsigned to = (c->host + 1 +
		    (unsigned)sim_below(&c->w->sim, HOSTS - 1)) % HOSTS;
		int e = hand(c->w, c->host, to, c->ino,
		    sim_below(&c->w->sim, 4000) * NSEC_PER_MSEC);

		WORLD_CHECK(c->w, e == 0 || e == -EBUSY);
	}
	WORLD_CHECK(c->w, fs_file_close(f) == 0);
	return rc;
}

static void
passer_main(void *arg)
{
	struct counter *c = arg;

	while (c->done < ROUNDS && !world_failed(c->w)) {
		int rc = pass_once(c);

		if (rc < 0 && rc != -VMFS_ELOCKED)
			world_fail(c->w, "host%u: %s", c->host,
			    vmfs_strerror(rc));
		fiber_sleep(sim_below(&c->w->sim, 1000) * NSEC_PER_MSEC);
	}
	c->ended = true;
}

static void
play_passing(struct world *w)
{
	play_by(w, passer_main);
}

ATF_TC_WITHOUT_HEAD(nothing_is_lost_among_offers);
ATF_TC_BODY(nothing_is_lost_among_offers, tc)
{
	(void)tc;
	run_seeds(rough, play_passing);
}

/* ---- from shared to exclusive and back ---- */

#define CLONES 6u

/* Host 0 reads a snapshot, nobody else may have it. */
struct watch {
	struct world *w;
	struct fs_file *f;
	struct fs_snapshot s;
	bool stop;
	unsigned running;
};

static void
reader_main(void *arg)
{
	struct watch *x = arg;

	while (!x->stop && !world_failed(x->w)) {
		uint64_t n = 0;
		size_t got;
		int rc = fs_file_read(x->f, 0, &n, sizeof(n), &got);

		if (rc < 0 || n != 7)
			world_fail(x->w, "read: %s, %" PRIu64,
			    vmfs_strerror(rc), n);
		fiber_sleep(sim_below(&x->w->sim, NSEC_PER_MSEC));
	}
	x->running--;
}

static void
taker_main(void *arg)
{
	struct watch *x = arg;
	struct lockops *l = ds_locks(fs_ds(x->w->host[1].fs));

	while (!x->stop && !world_failed(x->w)) {
		struct lock_grant g = { 0 };
		int rc = l->vt->acquire(l, x->s.ino, LOCK_EXCLUSIVE,
		    LOCK_NOWAIT, 0, &g, NULL);

		if (rc != -VMFS_ELOCKED)
			world_fail(x->w, "host1: an open snapshot: %s",
			    vmfs_strerror(rc));
	}
	x->running--;
}

static void
make_snapshot(struct world *w, struct watch *x)
{
	uint64_t ino = start_all(w), n = 7;
	struct fs_file *f = NULL;

	*x = (struct watch){ .w = w, .running = 2 };
	if (world_failed(w))
		return;
	WORLD_CHECK(w, open_as(w, 0, ino, FS_WRITE, &f) == 0);
	WORLD_CHECK(w, fs_file_write(f, 0, &n, sizeof(n)) == 0);
	/* Else it has its place in the inode. */
	if (sim_chance(&w->sim, 500000))
		WORLD_CHECK(w, fs_file_write(f, MIB, &n, sizeof(n)) == 0);
	WORLD_CHECK(w, fs_file_close(f) == 0);
	WORLD_CHECK(w, fs_snapshot_create(w->host[0].fs, ino, "s", &x->s,
	    NULL) == 0);
	WORLD_CHECK(w, open_as(w, 0, x->s.ino, 0, &x->f) == 0);
}

static int
clone_as(struct world *w, unsigned i, const struct watch *x, const char *name,
    struct lock_holder *holder)
{
	struct fs *fs = w->host[i].fs;
	struct fs_attr a;

	return fs_clone(fs, x->s.ino, fs_root(fs), name, 0600, 0, 0, &a,
	    holder);
}

static void
play_never_free(struct world *w)
{
	struct watch x;

	make_snapshot(w, &x);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, sched_spawn(&w->sim.sched, "reader", reader_main,
	    &x) == 0);
	WORLD_CHECK(w, sched_spawn(&w->sim.sched, "taker", taker_main,
	    &x) == 0);
	for (unsigned i = 0; i < CLONES && !world_failed(w); i++) {
		char name[2] = { (char)('a' + i), 0 };

		WORLD_CHECK(w, clone_as(w, 0, &x, name, NULL) == 0);
		fiber_sleep(sim_below(&w->sim, 20) * NSEC_PER_MSEC);
	}
	x.stop = true;
	while (x.running > 0)
		fiber_sleep(NSEC_PER_MSEC);
	WORLD_CHECK(w, fs_file_close(x.f) == 0);
	end_all(w);
}

ATF_TC_WITHOUT_HEAD(an_open_snapshot_is_never_free);
ATF_TC_BODY(an_open_snapshot_is_never_free, tc)
{
	(void)tc;
	run_seeds(rough, play_never_free);
}

static struct lockrec
record_of(struct world *w, uint64_t ino)
{
	uint8_t *sector = disk_buf_alloc(BLOCK_SIZE);
	struct lockrec rec = { 0 };

	WORLD_CHECK(w, disk_read(w->host[2].lun, ino << BLOCK_SHIFT, sector,
	    LOCK_RECORD_SIZE) == 0);
	WORLD_CHECK(w, lockrec_decode(sector, &w->super.uuid, ino, &rec) == 0);
	free(sector);
	return rec;
}

/* Each keeps what the other one would have to wait for. */
static void
play_both_read(struct world *w)
{
	struct lock_holder h = { 0 };
	struct fs_file *f = NULL;
	uint64_t begun, lsn;
	struct watch x;

	make_snapshot(w, &x);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, open_as(w, 1, x.s.ino, 0, &f) == 0);
	begun = sched_now(&w->sim.sched);
	WORLD_CHECK(w, clone_as(w, 0, &x, "a", &h) == -VMFS_ELOCKED);
	WORLD_CHECK(w, strcmp(h.name, w->host[1].name) == 0);
	WORLD_CHECK(w, clone_as(w, 1, &x, "b", &h) == -VMFS_ELOCKED);
	WORLD_CHECK(w, strcmp(h.name, w->host[0].name) == 0);
	WORLD_CHECK(w, sched_now(&w->sim.sched) - begun < 5 * NSEC_PER_SEC);
	WORLD_CHECK(w, fs_file_close(f) == 0);
	lsn = record_of(w, x.s.ino).lsn;
	WORLD_CHECK(w, clone_as(w, 0, &x, "a", NULL) == 0);
	/* It is shared again, and tells what the clone was written with. */
	WORLD_CHECK(w, record_of(w, x.s.ino).lsn > lsn);
	WORLD_CHECK(w, open_as(w, 1, x.s.ino, 0, &f) == 0);
	WORLD_CHECK(w, fs_file_close(f) == 0);
	WORLD_CHECK(w, fs_file_close(x.f) == 0);
	WORLD_CHECK(w, clone_as(w, 1, &x, "b", NULL) == 0);
	end_all(w);
}

ATF_TC_WITHOUT_HEAD(who_reads_a_snapshot_elsewhere_is_not_waited_for);
ATF_TC_BODY(who_reads_a_snapshot_elsewhere_is_not_waited_for, tc)
{
	(void)tc;
	run_seeds(calm, play_both_read);
}

ATF_TC_WITHOUT_HEAD(an_offer_ends_beside_one_that_cannot);
ATF_TC_BODY(an_offer_ends_beside_one_that_cannot, tc)
{
	(void)tc;
	run_seeds(calm, play_unused_beside_trouble);
}

ATF_TC_WITHOUT_HEAD(housekeeping_does_not_use_an_offer_up);
ATF_TC_BODY(housekeeping_does_not_use_an_offer_up, tc)
{
	(void)tc;
	run_seeds(calm, play_tidied);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, housekeeping_does_not_use_an_offer_up);
	ATF_TP_ADD_TC(tp, an_offer_ends_beside_one_that_cannot);
	ATF_TP_ADD_TC(tp, only_the_heir_gets_it);
	ATF_TP_ADD_TC(tp, what_the_heir_does_not_take_is_free_after_a_while);
	ATF_TP_ADD_TC(tp, the_giver_may_have_it_back);
	ATF_TP_ADD_TC(tp, an_offer_ends_with_the_giver);
	ATF_TP_ADD_TC(tp, an_offer_ends_with_the_heir);
	ATF_TP_ADD_TC(tp, who_takes_it_while_the_offer_ends_has_it);
	ATF_TP_ADD_TC(tp, what_is_closed_while_the_offer_ends_is_free);
	ATF_TP_ADD_TC(tp, nothing_is_lost_among_offers);
	ATF_TP_ADD_TC(tp, a_shared_lock_becomes_exclusive_without_a_gap);
	ATF_TP_ADD_TC(tp, it_stays_shared_while_another_host_reads);
	ATF_TP_ADD_TC(tp, an_open_snapshot_is_never_free);
	ATF_TP_ADD_TC(tp, who_reads_a_snapshot_elsewhere_is_not_waited_for);
	return atf_no_error();
}
