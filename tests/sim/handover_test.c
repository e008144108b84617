/* SPDX-License-Identifier: BSD-2-Clause */
/* How the lock of a file changes hands between simulated hosts. */
#include <atf-c.h>
#include <inttypes.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/fs.h"
#include "tests/sim/world.h"

#define SEEDS 30
#define HOSTS 3u
#define ROUNDS 20

static const struct sim_faults rough = {
	.status_lost_ppm = 2000, .miscompare_ppm = 10000,
	.slow_ppm = 1000, .slow_ns = 2 * NSEC_PER_SEC,
	.late_ns = 3600 * NSEC_PER_SEC,
};

static void
run_seeds(struct sim_faults faults, void (*play)(struct world *w))
{
	static struct world w;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world_conf conf = {
			.seed = seed, .hosts = HOSTS,
			.protocol = LOCK_ATS_PR, .faults = faults,
		};
		uint64_t hash;

		if (world_run(&w, &conf, play, &hash) < 0)
			atf_tc_fail("seed %" PRIu64 ": %s", seed, w.problem);
	}
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
play_counting(struct world *w)
{
	struct counter c[HOSTS] = { 0 };
	uint64_t ino = start_all(w), n = 0;
	struct fs_file *f = NULL;
	size_t got;

	for (unsigned i = 0; i < HOSTS && !world_failed(w); i++) {
		c[i] = (struct counter){ .w = w, .host = i, .ino = ino };
		WORLD_CHECK(w, sched_spawn(&w->sim.sched, "counter",
		    counter_main, &c[i]) == 0);
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
	struct sim_faults calm = { .late_ns = 3600 * NSEC_PER_SEC };

	(void)tc;
	run_seeds(calm, play_refused);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_shared_lock_becomes_exclusive_without_a_gap);
	ATF_TP_ADD_TC(tp, it_stays_shared_while_another_host_reads);
	return atf_no_error();
}
