/* SPDX-License-Identifier: BSD-2-Clause */
/* Space that one simulated host leases and another one needs. */
#include <atf-c.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/fs.h"
#include "tests/sim/world.h"

#ifndef SEEDS
#define SEEDS 20
#endif
#define LUN_BYTES (80 * MIB)
#define CLUSTERS 5u

static void
run_seeds(void (*play)(struct world *w))
{
	static struct world w;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		const struct world_conf conf = {
			.seed = seed, .hosts = 2, .protocol = LOCK_ATS_PR,
			.faults = { .late_ns = 3600 * NSEC_PER_SEC },
			.lun_bytes = LUN_BYTES,
		};
		uint64_t hash;

		if (world_run(&w, &conf, play, &hash) < 0)
			atf_tc_fail("seed %" PRIu64 ": %s", seed, w.problem);
	}
}

/* Host i gets what of the clusters it can get. */
static unsigned
lease_all(struct world *w, unsigned i)
{
	struct lease *l;
	unsigned n = 0;

	for (unsigned c = 0; c < CLUSTERS; c++)
		n += lease_take(w->host[i].ds, c, &l) == 0;
	return n;
}

/* How many MiB could be written, and how long it took. */
static unsigned
fill(struct world *w, struct fs_file *f, uint64_t *ret_ms)
{
	uint64_t began = w->sim.now_ns;
	uint8_t *buf = disk_buf_alloc(MIB);
	unsigned n = 0;
	int rc = 0;

	while (buf != NULL && rc == 0) {
		rc = fs_file_write(f, n * MIB, buf, MIB);
		n += rc == 0;
	}
	if (rc != -ENOSPC)
		world_fail(w, "write: %s", vmfs_strerror(rc));
	free(buf);
	*ret_ms = (w->sim.now_ns - began) / NSEC_PER_MSEC;
	return n;
}

/* Some use of each cluster all the time: they are not idle. */
struct user {
	struct world *w;
	bool stop, ended;
};

static void
user_main(void *arg)
{
	struct user *u = arg;

	while (!u->stop) {
		struct ds *ds = u->w->host[0].ds;

		list_for_each(node, tmp, &ds->leases)
			list_entry(node, struct lease, link)->idle_ticks = 0;
		fiber_sleep(500 * NSEC_PER_MSEC);
	}
	u->ended = true;
}

static void
play_used(struct world *w)
{
	struct user u = { .w = w };
	struct fs_file *f;
	uint64_t ms;
	unsigned n;

	if (!world_has_mounted(w, 0) || !world_has_mounted(w, 1) ||
	    (f = world_create(w, 1, "vm")) == NULL)
		return;
	WORLD_CHECK(w, lease_all(w, 0) > 2);
	WORLD_CHECK(w, sched_spawn(&w->sim.sched, "user", user_main, &u) ==
	    0);
	n = fill(w, f, &ms);
	u.stop = true;
	while (!u.ended)
		fiber_sleep(NSEC_PER_MSEC);
	/* All but the cluster that the other keeps. */
	if (n <= 45)
		world_fail(w, "%u MiB after %ju ms", n, (uintmax_t)ms);
	WORLD_CHECK(w, fs_file_close(f) == 0);
	WORLD_CHECK(w, world_unmount(w, 1) == 0);
	WORLD_CHECK(w, world_unmount(w, 0) == 0);
}

ATF_TC_WITHOUT_HEAD(hosts_give_back_what_another_one_needs);
ATF_TC_BODY(hosts_give_back_what_another_one_needs, tc)
{
	(void)tc;
	run_seeds(play_used);
}

static void
play_full(struct world *w)
{
	struct fs_file *f;
	uint64_t ms;

	if (!world_has_mounted(w, 0) || !world_has_mounted(w, 1) ||
	    (f = world_create(w, 1, "vm")) == NULL)
		return;
	for (unsigned i = 0; i < 3; i++)
		(void)fill(w, f, &ms);
	/* Nobody has any: that is told at once. */
	WORLD_CHECK(w, ms < 1000);
	WORLD_CHECK(w, fs_file_close(f) == 0);
	WORLD_CHECK(w, world_unmount(w, 1) == 0);
	WORLD_CHECK(w, world_unmount(w, 0) == 0);
}

ATF_TC_WITHOUT_HEAD(a_full_volume_is_told_at_once);
ATF_TC_BODY(a_full_volume_is_told_at_once, tc)
{
	(void)tc;
	run_seeds(play_full);
}

static void
kill_with_leases(struct world *w)
{
	if (!world_has_mounted(w, 0))
		return;
	/* Its journal has one already. */
	WORLD_CHECK(w, lease_all(w, 0) == CLUSTERS);
	world_crash_begin(w, 0);
	world_crash(w, 0);
}

static void
play_mount(struct world *w)
{
	kill_with_leases(w);
	/* A new slot needs a new journal. */
	if (world_failed(w) || !world_has_mounted(w, 1))
		return;
	WORLD_CHECK(w, world_unmount(w, 1) == 0);
}

ATF_TC_WITHOUT_HEAD(a_mount_waits_for_the_leases_of_the_dead);
ATF_TC_BODY(a_mount_waits_for_the_leases_of_the_dead, tc)
{
	(void)tc;
	run_seeds(play_mount);
}

static void
play_write(struct world *w)
{
	struct fs_file *f;
	uint64_t ms;

	if (!world_has_mounted(w, 1) || (f = world_create(w, 1, "vm")) == NULL)
		return;
	WORLD_CHECK(w, lease_trim(w->host[1].ds, true) == 0);
	kill_with_leases(w);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, fill(w, f, &ms) > 60);
	WORLD_CHECK(w, fs_file_close(f) == 0);
	WORLD_CHECK(w, world_unmount(w, 1) == 0);
}

ATF_TC_WITHOUT_HEAD(a_write_waits_for_the_leases_of_the_dead);
ATF_TC_BODY(a_write_waits_for_the_leases_of_the_dead, tc)
{
	(void)tc;
	run_seeds(play_write);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, hosts_give_back_what_another_one_needs);
	ATF_TP_ADD_TC(tp, a_full_volume_is_told_at_once);
	ATF_TP_ADD_TC(tp, a_mount_waits_for_the_leases_of_the_dead);
	ATF_TP_ADD_TC(tp, a_write_waits_for_the_leases_of_the_dead);
	return atf_no_error();
}
