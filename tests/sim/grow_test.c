/* SPDX-License-Identifier: BSD-2-Clause */
/* The LUN grows under three simulated hosts, one of which may die. */
#include <atf-c.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/check/check.h"
#include "libvmfs/core/extents.h"
#include "libvmfs/core/fs.h"
#include "locking/host_int.h"
#include "tests/sim/world.h"

#ifndef SEEDS
#define SEEDS 40
#endif
#define LUN_BYTES (160 * MIB)
#define FIRST_BYTES (72 * MIB)
#define FURTHER_BYTES (96 * MIB)
#define TAKEOVER_MS 60000u

static const struct sim_faults rough = {
	.status_lost_ppm = 2000, .miscompare_ppm = 10000,
	.slow_ppm = 1000, .slow_ns = 2 * NSEC_PER_SEC,
	.late_ns = 3600 * NSEC_PER_SEC,
};

/* By its LUN, or by another LUN. */
static bool another;

static void
run_seeds(void (*play)(struct world *w))
{
	static struct world w;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		const struct world_conf conf = {
			.seed = seed, .hosts = 3, .protocol = LOCK_ATS_PR,
			.faults = rough, .lun_bytes = LUN_BYTES,
			.first_bytes = FIRST_BYTES,
			.further_bytes = another ? FURTHER_BYTES : 0,
		};
		uint64_t hash;

		if (world_run(&w, &conf, play, &hash) < 0)
			atf_tc_fail("seed %" PRIu64 ": %s", seed, w.problem);
	}
}

static void
mount_all(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++)
		(void)world_has_mounted(w, i);
}

static const struct super *
super_of(struct world *w, unsigned i)
{
	return ds_super(w->host[i].ds);
}

static bool
has_grown(struct world *w, unsigned i)
{
	return another ? super_of(w, i)->extents == 2 :
	    super_of(w, i)->blocks == LUN_BYTES / BLOCK_SIZE;
}

static int
try_grow(struct world *w, unsigned i, struct lock_holder *holder)
{
	char why[LOCKOPS_WHY] = "";
	struct disk *d;
	int rc;

	/* Done before, it may still lack a copy of the superblock. */
	if (!another || has_grown(w, i))
		return fs_grow(w->host[i].fs, holder);
	rc = world_open_further(w, i, &d);
	return rc < 0 ? rc : fs_extent_add(w->host[i].fs, d, "further", why,
	    holder);
}

/* Until it is done, or the host is dead. */
static int
grow(struct world *w, unsigned i)
{
	uint64_t end = w->sim.now_ns + TAKEOVER_MS * NSEC_PER_MSEC;
	struct lock_holder holder;
	int rc;

	if (!another)
		w->lun.info.size_bytes = LUN_BYTES;
	for (;;) {
		rc = try_grow(w, i, &holder);
		if ((rc != -VMFS_EINUSE && rc != -VMFS_ELOCKED) ||
		    w->sim.now_ns > end)
			return rc == -ENODATA || rc == -EEXIST ? 0 : rc;
		fiber_sleep(NSEC_PER_SEC);
	}
}

/* Writes MiBs, each with a stamp of its own, until there is no space; then
 * again, until the limit; flushed ones are counted. */
struct writer {
	struct world *w;
	struct fs_file *file;
	unsigned want, flushed;
	bool ended;
};

static void
writer_main(void *arg)
{
	struct writer *wr = arg;
	uint8_t *buf = disk_buf_alloc(MIB);
	int rc = 0;

	while (buf != NULL && wr->flushed < wr->want) {
		memset(buf, (int)wr->flushed + 1, MIB);
		rc = fs_file_write(wr->file, wr->flushed * MIB, buf, MIB);
		if (rc == 0)
			rc = fs_file_flush(wr->file);
		if (rc == -ENOSPC)
			fiber_sleep(NSEC_PER_SEC);
		else if (rc < 0)
			break;
		wr->flushed += rc == 0;
	}
	free(buf);
	wr->ended = true;
}

static void
check_file(struct world *w, const struct writer *wr, struct fs_file *f)
{
	uint8_t *buf = disk_buf_alloc(MIB);

	for (unsigned i = 0; i < wr->flushed && buf != NULL; i++) {
		size_t got = 0;

		WORLD_CHECK(w, fs_file_read(f, i * MIB, buf, MIB, &got) == 0);
		WORLD_CHECK(w, got == MIB && buf[0] == (uint8_t)(i + 1) &&
		    memcmp(buf, buf + 1, MIB - 1) == 0);
	}
	free(buf);
}

static struct fs_file *
open_by_name(struct world *w, unsigned i, const char *name)
{
	uint64_t end = w->sim.now_ns + TAKEOVER_MS * NSEC_PER_MSEC;
	struct fs *fs = w->host[i].fs;
	struct lock_holder holder;
	struct fs_file *f = NULL;
	struct fs_attr a;
	int rc;

	do {
		rc = fs_lookup(fs, fs_root(fs), name, &a);
		if (rc == 0)
			rc = fs_file_open(fs, a.ino, 0, FS_READ | FS_WRITE, &f,
			    &holder);
		if (rc == -VMFS_ELOCKED)
			fiber_sleep(100 * NSEC_PER_MSEC);
	} while (rc == -VMFS_ELOCKED && w->sim.now_ns < end);
	if (rc < 0)
		world_fail(w, "open %s on host%u: %s", name, i,
		    vmfs_strerror(rc));
	return f;
}

static void
note(void *arg, const struct check_finding *f)
{
	if (f->severity != CHECK_NOTE)
		world_fail(arg, "fsck: %s: %s", check_rule_name(f->rule),
		    f->text);
}

static void
check_lun(struct world *w)
{
	struct check_conf conf = {
		.env = &w->env, .own_slot = -1, .finding = note, .arg = w,
	};
	struct check_result res;
	struct disk *d, *all, *further;

	w->lun.faults = (struct sim_faults){ .late_ns = 0 };
	w->further.faults = w->lun.faults;
	WORLD_CHECK(w, sim_disk_open(&w->lun, SIM_NEXUS_MAX - 1, &d) == 0);
	if (another) {
		WORLD_CHECK(w, extents_open(d, &all) == 0 &&
		    sim_disk_open(&w->further, SIM_NEXUS_MAX - 1,
		    &further) == 0 && super_read(all, &w->super) == 0 &&
		    extents_attach(all, &w->super.extent[1].uuid,
		    further) == 0 && extents_follow(all, &w->super) == 0);
		conf.extents = d = all;
	}
	/* The LUN may be reserved against a host that died. */
	WORLD_CHECK(w, disk_overlay_open(d, &conf.disk) == 0);
	WORLD_CHECK(w, check_run(&conf, &res) == 0);
	disk_close(conf.disk);
	disk_close(d);
}

static void
end(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++)
		if (w->host[i].host != NULL)
			WORLD_CHECK(w, world_unmount(w, i) == 0);
	if (!world_failed(w))
		check_lun(w);
}

/* One host grows the volume, another is short of space, a third looks on. */
static void
play_load(struct world *w)
{
	struct writer wr = { .w = w, .want = 110 };
	struct fs_file *f;

	mount_all(w);
	if (world_failed(w) || (wr.file = world_create(w, 1, "vm")) == NULL)
		return;
	WORLD_CHECK(w, sched_spawn(&w->sim.sched, "writer", writer_main,
	    &wr) == 0);
	fiber_sleep(sim_below(&w->sim, 20000) * NSEC_PER_MSEC);
	WORLD_CHECK(w, grow(w, 0) == 0);
	while (!wr.ended)
		fiber_sleep(100 * NSEC_PER_MSEC);
	WORLD_CHECK(w, wr.flushed == wr.want);
	WORLD_CHECK(w, fs_file_close(wr.file) == 0);
	WORLD_CHECK(w, has_grown(w, 1) && has_grown(w, 2));
	f = open_by_name(w, 2, "vm");
	if (f != NULL) {
		check_file(w, &wr, f);
		WORLD_CHECK(w, fs_file_close(f) == 0);
	}
	end(w);
}

ATF_TC_WITHOUT_HEAD(a_host_without_space_goes_on_when_another_grows_it);
ATF_TC_BODY(a_host_without_space_goes_on_when_another_grows_it, tc)
{
	(void)tc;
	run_seeds(play_load);
}

struct grower {
	struct world *w;
	bool ended;
};

static void
grower_main(void *arg)
{
	struct grower *g = arg;

	(void)!grow(g->w, 0);
	g->ended = true;
}

/* Who grows it dies anywhere in it; another does it again. */
static void
play_grower_dies(struct world *w)
{
	struct writer wr = { .w = w, .want = 110 };
	struct grower g = { .w = w };

	mount_all(w);
	if (world_failed(w) || (wr.file = world_create(w, 1, "vm")) == NULL)
		return;
	WORLD_CHECK(w, sched_spawn(&w->sim.sched, "writer", writer_main,
	    &wr) == 0);
	fiber_sleep(sim_below(&w->sim, 5000) * NSEC_PER_MSEC);
	WORLD_CHECK(w, sched_spawn(&w->sim.sched, "grower", grower_main,
	    &g) == 0);
	fiber_sleep(sim_below(&w->sim, 100) * NSEC_PER_MSEC);
	world_crash_begin(w, 0);
	while (!g.ended)
		fiber_sleep(NSEC_PER_MSEC);
	world_crash(w, 0);
	WORLD_CHECK(w, grow(w, 2) == 0);
	while (!wr.ended)
		fiber_sleep(100 * NSEC_PER_MSEC);
	WORLD_CHECK(w, wr.flushed == wr.want);
	check_file(w, &wr, wr.file);
	WORLD_CHECK(w, fs_file_close(wr.file) == 0);
	end(w);
}

ATF_TC_WITHOUT_HEAD(a_death_while_growing_is_got_over);
ATF_TC_BODY(a_death_while_growing_is_got_over, tc)
{
	(void)tc;
	run_seeds(play_grower_dies);
}

/* The journal of the dead has blocks of space that its heir must learn of. */
static void
play_writer_dies(struct world *w)
{
	struct writer wr = { .w = w, .want = 140 };
	struct fs_file *f;

	mount_all(w);
	if (world_failed(w) || (wr.file = world_create(w, 1, "vm")) == NULL)
		return;
	WORLD_CHECK(w, grow(w, 0) == 0);
	WORLD_CHECK(w, sched_spawn(&w->sim.sched, "writer", writer_main,
	    &wr) == 0);
	while (!wr.ended && wr.flushed < 70)
		fiber_sleep(20 * NSEC_PER_MSEC);
	fiber_sleep(sim_below(&w->sim, 2000) * NSEC_PER_MSEC);
	world_crash_begin(w, 1);
	while (!wr.ended)
		fiber_sleep(NSEC_PER_MSEC);
	world_crash(w, 1);
	f = open_by_name(w, 0, "vm");
	if (f != NULL) {
		check_file(w, &wr, f);
		WORLD_CHECK(w, fs_file_close(f) == 0);
	}
	end(w);
}

ATF_TC_WITHOUT_HEAD(what_was_flushed_into_new_space_outlives_its_writer);
ATF_TC_BODY(what_was_flushed_into_new_space_outlives_its_writer, tc)
{
	(void)tc;
	run_seeds(play_writer_dies);
}

/* The heir is a member without a file system, such as fsck. */
static void
play_heir_is_a_tool(struct world *w)
{
	const struct host *heir;

	(void)world_has_mounted(w, 0);
	w->host[1].tool = true;
	WORLD_CHECK(w, world_join(w, 1) == 0);
	if (world_failed(w))
		return;
	heir = w->host[1].host;
	WORLD_CHECK(w, grow(w, 0) == 0 && has_grown(w, 0));
	/* It does not follow by itself. */
	WORLD_CHECK(w, heir->super.blocks == FIRST_BYTES / BLOCK_SIZE);
	world_crash(w, 0);
	while (!host_last_takeover(heir, &(struct takeover_report){ 0 }) &&
	    !world_failed(w))
		fiber_sleep(NSEC_PER_SEC);
	WORLD_CHECK(w, heir->super.blocks == LUN_BYTES / BLOCK_SIZE);
	WORLD_CHECK(w, world_leave(w, 1) == 0);
	w->host[1].tool = false;
	(void)world_has_mounted(w, 1);
	end(w);
}

ATF_TC_WITHOUT_HEAD(an_heir_follows_before_it_replays);
ATF_TC_BODY(an_heir_follows_before_it_replays, tc)
{
	(void)tc;
	run_seeds(play_heir_is_a_tool);
}

#define BY_ANOTHER_LUN(name, play)					\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	(void)tc;							\
	another = true;							\
	run_seeds(play);						\
}
BY_ANOTHER_LUN(a_host_without_space_goes_on_when_another_adds_a_lun,
    play_load)
BY_ANOTHER_LUN(a_death_while_adding_a_lun_is_got_over, play_grower_dies)
BY_ANOTHER_LUN(what_was_flushed_to_another_lun_outlives_its_writer,
    play_writer_dies)

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp,
	    a_host_without_space_goes_on_when_another_adds_a_lun);
	ATF_TP_ADD_TC(tp, a_death_while_adding_a_lun_is_got_over);
	ATF_TP_ADD_TC(tp, what_was_flushed_to_another_lun_outlives_its_writer);
	ATF_TP_ADD_TC(tp, an_heir_follows_before_it_replays);
	ATF_TP_ADD_TC(tp, a_host_without_space_goes_on_when_another_grows_it);
	ATF_TP_ADD_TC(tp, a_death_while_growing_is_got_over);
	ATF_TP_ADD_TC(tp, what_was_flushed_into_new_space_outlives_its_writer);
	return atf_no_error();
}
