/* SPDX-License-Identifier: BSD-2-Clause */
/* A directory with a limit that simulated hosts fill, one of which dies. */
#include <atf-c.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/check/check.h"
#include "libvmfs/core/fs.h"
#include "tests/sim/world.h"

#ifndef SEEDS
#define SEEDS 12
#endif
#define HOSTS 3u
#define LIMIT (48 * MIB)

static void
run_seeds(void (*play)(struct world *w))
{
	static struct world w;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		const struct world_conf conf = {
			.seed = seed, .hosts = HOSTS, .protocol = LOCK_ATS_PR,
			.faults = { .late_ns = 3600 * NSEC_PER_SEC },
		};
		uint64_t hash;

		if (world_run(&w, &conf, play, &hash) < 0)
			atf_tc_fail("seed %" PRIu64 ": %s", seed, w.problem);
	}
}

#define LANES 3u
#define STEP (192 * KIB)

/* A host that makes a disk in the directory and fills it in several places. */
struct filler {
	struct world *w;
	unsigned host;
	uint64_t dir, written;
	struct fs_file *f;
	int error;
	unsigned lanes;		/* that were begun ... */
	unsigned ended;		/* ... and that have ended */
};

static void
lane_main(void *arg)
{
	struct filler *x = arg;
	uint8_t *buf = disk_buf_alloc(STEP);
	uint64_t at = x->lanes++ * (300 * MIB);
	int rc = buf == NULL ? -ENOMEM : 0;

	while (rc == 0) {
		rc = fs_file_write(x->f, at, buf, STEP);
		at += STEP;
		x->written += rc == 0 ? STEP : 0;
		fiber_sleep(NSEC_PER_MSEC);
	}
	free(buf);
	x->error = rc;
	x->ended++;
}

static void
fill_main(void *arg)
{
	struct filler *x = arg;
	struct fs *fs = x->w->host[x->host].fs;
	struct fs_attr a;
	char name[16];

	(void)snprintf(name, sizeof(name), "d%u", x->host);
	x->error = fs_create(fs, x->dir, name, INODE_DISK, 0600, 0, 0, GIB,
	    &a);
	if (x->error == 0)
		x->error = fs_file_open(fs, a.ino, 0, FS_READ | FS_WRITE,
		    &x->f, NULL);
	if (x->error != 0) {
		x->ended = LANES;
		return;
	}
	for (unsigned i = 1; i < LANES; i++)
		WORLD_CHECK(x->w, sched_spawn(x->w->host[x->host].env.sched,
		    "lane", lane_main, x) == 0);
	lane_main(x);
}

static void
start(struct world *w, struct filler *x, unsigned host, uint64_t dir)
{
	*x = (struct filler){ .w = w, .host = host, .dir = dir };
	WORLD_CHECK(w, sched_spawn(w->host[host].env.sched, "filler",
	    fill_main, x) == 0);
}

static void
wait_for(const struct filler *x)
{
	while (x->ended < LANES)
		fiber_sleep(10 * NSEC_PER_MSEC);
}

/* What host 0 does, on its own scheduler. */
static struct {
	uint64_t dir, used;
	struct fs_quota_left left;
	struct filler x[HOSTS];
} g;

static int
make_dir(struct world *w, unsigned i)
{
	struct fs *fs = w->host[i].fs;
	struct fs_attr a;
	int rc = fs_create(fs, fs_root(fs), "dir", INODE_DIR, 0755, 0, 0, 0,
	    &a);

	g.dir = a.ino;
	for (int n = 0; rc == 0 && n < 30; n++) {
		rc = fs_quota_set(fs, g.dir, LIMIT, 0, &g.left);
		if (rc != -VMFS_EINUSE)
			break;
		/* Not all have seen the last change of the superblock. */
		fiber_sleep(NSEC_PER_SEC);
		rc = n < 29 ? 0 : rc;
	}
	return rc;
}

static int
look(struct world *w, unsigned i)
{
	struct fs_quota q;
	int rc = fs_quota_get(w->host[i].fs, g.dir, &q);

	g.used = rc == 0 ? q.used : UINT64_MAX;
	return rc;
}

static int
close_file(struct world *w, unsigned i)
{
	(void)w;
	return fs_file_close(g.x[i].f);
}

/* The other hosts' disks, also the dead one's. */
static int
unlink_all(struct world *w, unsigned i)
{
	struct fs *fs = w->host[i].fs;
	struct lock_holder h;
	int rc = 0;

	for (unsigned k = 0; k < HOSTS && rc == 0; k++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "d%u", k);
		rc = fs_unlink(fs, g.dir, name, &h);
		for (int n = 0; rc == -VMFS_ELOCKED && n < 60; n++) {
			fiber_sleep(NSEC_PER_SEC);
			rc = fs_unlink(fs, g.dir, name, &h);
		}
		/* It died before it told anybody. */
		if (rc == -ENOENT && k == 2)
			rc = 0;
		if (rc != 0)
			world_fail(w, "%s: %s", name, vmfs_strerror(rc));
	}
	return rc;
}

static void
show_finding(void *arg, const struct check_finding *f)
{
	struct world *w = arg;

	if (f->severity != CHECK_NOTE)
		world_fail(w, "%s: %s", check_rule_name(f->rule), f->text);
}

/* Nobody has it mounted: what does fsck count? */
static void
check(struct world *w)
{
	struct check_conf conf = {
		.env = &w->env, .own_slot = -1, .finding = show_finding,
		.arg = w,
	};
	struct check_result res;
	struct disk *d;

	WORLD_CHECK(w, sim_disk_open(&w->lun, SIM_NEXUS_MAX - 1, &d) == 0);
	/* The LUN may be reserved against the host that died. */
	WORLD_CHECK(w, disk_overlay_open(d, &conf.disk) == 0);
	WORLD_CHECK(w, check_run(&conf, &res) == 0);
	disk_close(conf.disk);
	disk_close(d);
}

static bool
begin(struct world *w)
{
	for (unsigned i = 0; i < HOSTS; i++)
		if (world_mount(w, i) != 0) {
			world_fail(w, "host%u: %s", i, w->host[i].why);
			return false;
		}
	WORLD_CHECK(w, world_call(w, 0, make_dir) == 0);
	return !world_failed(w);
}

static void
play_full(struct world *w)
{
	uint64_t sum = 0;

	if (!begin(w))
		return;
	for (unsigned i = 0; i < HOSTS; i++)
		start(w, &g.x[i], i, g.dir);
	for (unsigned i = 0; i < HOSTS; i++) {
		wait_for(&g.x[i]);
		WORLD_CHECK(w, g.x[i].error == -ENOSPC);
		sum += g.x[i].written;
	}
	/* Never more, and less only by what others have in store. */
	if (sum > LIMIT || sum < LIMIT - LIMIT / 8)
		world_fail(w, "%" PRIu64 " KiB written", sum / KIB);
	for (unsigned i = 0; i < HOSTS; i++)
		WORLD_CHECK(w, world_call(w, i, close_file) == 0);
	WORLD_CHECK(w, world_call(w, 1, look) == 0);
	/* A MiB that was begun has all its space. */
	if (g.used < sum || g.used > LIMIT)
		world_fail(w, "%" PRIu64 " KiB used, %" PRIu64 " written",
		    g.used / KIB, sum / KIB);
	for (unsigned i = 0; i < HOSTS; i++)
		WORLD_CHECK(w, world_unmount(w, i) == 0);
	check(w);
}

ATF_TC_WITHOUT_HEAD(hosts_together_keep_to_the_limit);
ATF_TC_BODY(hosts_together_keep_to_the_limit, tc)
{
	(void)tc;
	run_seeds(play_full);
}

static void
play_death(struct world *w)
{
	if (!begin(w))
		return;
	for (unsigned i = 0; i < HOSTS; i++)
		start(w, &g.x[i], i, g.dir);
	/* Somewhere in between, with credit taken and writes in flight. */
	fiber_sleep((5 + w->seed * 7) * NSEC_PER_MSEC);
	world_crash_begin(w, 2);
	wait_for(&g.x[2]);
	world_crash(w, 2);
	for (unsigned i = 0; i < 2; i++) {
		wait_for(&g.x[i]);
		WORLD_CHECK(w, g.x[i].error == -ENOSPC);
		WORLD_CHECK(w, world_call(w, i, close_file) == 0);
	}
	/* All comes back, the dead host's with its file. */
	WORLD_CHECK(w, world_call(w, 0, unlink_all) == 0);
	WORLD_CHECK(w, world_call(w, 1, look) == 0);
	if (g.used != 0)
		world_fail(w, "%" PRIu64 " KiB are still used", g.used / KIB);
	for (unsigned i = 0; i < 2; i++)
		WORLD_CHECK(w, world_unmount(w, i) == 0);
	check(w);
}

ATF_TC_WITHOUT_HEAD(the_credit_of_a_dead_host_is_in_its_files);
ATF_TC_BODY(the_credit_of_a_dead_host_is_in_its_files, tc)
{
	(void)tc;
	run_seeds(play_death);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, hosts_together_keep_to_the_limit);
	ATF_TP_ADD_TC(tp, the_credit_of_a_dead_host_is_in_its_files);
	return atf_no_error();
}
