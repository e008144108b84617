/* SPDX-License-Identifier: BSD-2-Clause */
/* One disk that three simulated hosts write at once; one of them dies. */
#include <atf-c.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/fs.h"
#include "tests/sim/world.h"

#define SEEDS 30
#define HOSTS 3u
#define BLOCKS 96u
#define SECTOR 512u
#define SIZE (BLOCKS * SECTOR)
#define TAKEOVER_MS 60000u

static const struct sim_faults calm = { .late_ns = 3600 * NSEC_PER_SEC };
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

/* ---- writers: each host has every third sector of each block ---- */

struct writer {
	struct world *w;
	unsigned host;
	struct fs_file *file;
	uint64_t stamp;			/* newest */
	uint64_t issued[BLOCKS], flushed[BLOCKS];
	bool stop, ended;
};

static int
write_some(struct writer *wr, uint64_t *buf)
{
	unsigned turn = (unsigned)sim_below(&wr->w->sim, BLOCKS / HOSTS);
	unsigned b = turn * HOSTS + wr->host;
	int rc;

	wr->stamp++;
	for (unsigned k = 0; k < SECTOR / sizeof(*buf); k++)
		buf[k] = wr->stamp * HOSTS + wr->host;
	wr->issued[b] = wr->stamp;
	rc = fs_file_write(wr->file, (uint64_t)b * SECTOR, buf, SECTOR);
	if (rc == 0 && sim_chance(&wr->w->sim, 300000)) {
		rc = fs_file_flush(wr->file);
		if (rc == 0)
			memcpy(wr->flushed, wr->issued, sizeof(wr->flushed));
	}
	return rc;
}

static void
writer_main(void *arg)
{
	struct writer *wr = arg;
	uint64_t *buf = disk_buf_alloc(SECTOR);

	while (buf != NULL && !wr->stop && write_some(wr, buf) == 0)
		;
	free(buf);
	wr->ended = true;
}

static void
check_sectors(struct world *w, const struct writer wr[HOSTS],
    struct fs_file *f)
{
	uint64_t *buf = disk_buf_alloc(SECTOR);

	for (unsigned b = 0; b < BLOCKS && buf != NULL; b++) {
		const struct writer *of = &wr[b % HOSTS];
		uint64_t stamp;
		size_t got = 0;

		WORLD_CHECK(w, fs_file_read(f, (uint64_t)b * SECTOR, buf,
		    SECTOR, &got) == 0 && got == SECTOR);
		stamp = buf[0] / HOSTS;
		if (stamp < of->flushed[b] || stamp > of->issued[b] ||
		    (buf[0] != 0 && buf[0] % HOSTS != b % HOSTS))
			world_fail(w, "sector %u: stamp %" PRIu64 ", flushed "
			    "%" PRIu64 ", issued %" PRIu64, b, stamp,
			    of->flushed[b], of->issued[b]);
		for (unsigned k = 0; k < SECTOR / sizeof(*buf); k++)
			WORLD_CHECK(w, buf[k] == buf[0]);
	}
	free(buf);
}

/* ---- the disk ---- */

static uint64_t
make_disk(struct world *w)
{
	struct fs *fs = w->host[0].fs;
	struct lock_holder h;
	struct fs_file *f;
	struct fs_attr a = { 0 };
	int rc = fs_create(fs, fs_root(fs), "disk", INODE_DISK, 0600, 0, 0,
	    SIZE, &a);

	if (rc == 0)
		rc = fs_file_open(fs, a.ino, 0, FS_WRITE, &f, &h);
	if (rc == 0) {
		rc = fs_file_inflate(f, NULL);
		WORLD_CHECK(w, fs_file_close(f) == 0);
	}
	if (rc == 0)
		rc = fs_set_multi_writer(fs, a.ino, true, &h);
	if (rc < 0)
		world_fail(w, "disk: %s", vmfs_strerror(rc));
	return a.ino;
}

static void
open_writer(struct world *w, unsigned i, uint64_t ino, struct writer *wr)
{
	struct lock_holder h = { 0 };
	int rc = fs_file_open(w->host[i].fs, ino, 0, FS_READ | FS_WRITE,
	    &wr->file, &h);

	wr->w = w;
	wr->host = i;
	if (rc == 0)
		rc = sched_spawn(&w->sim.sched, "writer", writer_main, wr);
	if (rc < 0)
		world_fail(w, "host%u: %s", i, vmfs_strerror(rc));
}

static void
start_all(struct world *w, struct writer wr[HOSTS], uint64_t *ret_ino)
{
	for (unsigned i = 0; i < w->hosts; i++) {
		int rc = world_mount(w, i);

		if (rc < 0)
			world_fail(w, "host%u: %s", i, w->host[i].why);
	}
	if (world_failed(w))
		return;
	*ret_ino = make_disk(w);
	for (unsigned i = 0; i < w->hosts && !world_failed(w); i++)
		open_writer(w, i, *ret_ino, &wr[i]);
}

static void
stop_writer(struct world *w, struct writer *wr)
{
	wr->stop = true;
	while (!wr->ended)
		fiber_sleep(NSEC_PER_MSEC);
	WORLD_CHECK(w, fs_file_close(wr->file) == 0);
	memcpy(wr->flushed, wr->issued, sizeof(wr->flushed));
}

static int
exclusive_in_time(struct world *w, unsigned i, uint64_t ino)
{
	uint64_t end = w->sim.now_ns + TAKEOVER_MS * NSEC_PER_MSEC;
	struct lock_holder h;
	int rc;

	do {
		rc = fs_set_multi_writer(w->host[i].fs, ino, true, &h);
		if (rc == -VMFS_ELOCKED)
			fiber_sleep(100 * NSEC_PER_MSEC);
	} while (rc == -VMFS_ELOCKED && w->sim.now_ns < end);
	return rc;
}

/* ---- plays ---- */

static void
play_death(struct world *w)
{
	struct writer wr[HOSTS] = { 0 };
	uint64_t ino = 0, before[HOSTS];
	struct lock_holder h = { 0 };
	struct fs_snapshot s;

	start_all(w, wr, &ino);
	if (world_failed(w))
		return;
	fiber_sleep(sim_below(&w->sim, 2000) * NSEC_PER_MSEC);
	WORLD_CHECK(w, fs_snapshot_create(w->host[1].fs, ino, "s", &s, &h) ==
	    -VMFS_ELOCKED);
	WORLD_CHECK(w, h.mode == LOCK_MULTI_WRITER && h.count == HOSTS);
	world_crash_begin(w, 2);
	while (!wr[2].ended)
		fiber_sleep(NSEC_PER_MSEC);
	world_crash(w, 2);
	/* Nobody waits for the dead one. */
	for (unsigned i = 0; i < 2; i++)
		before[i] = wr[i].stamp;
	fiber_sleep(8 * NSEC_PER_SEC);
	for (unsigned i = 0; i < 2; i++)
		WORLD_CHECK(w, wr[i].stamp > before[i] + 10);
	stop_writer(w, &wr[0]);
	stop_writer(w, &wr[1]);
	/* Its mark goes when its incarnation is over and somebody wants. */
	WORLD_CHECK(w, exclusive_in_time(w, 0, ino) == 0);
	world_boot(w, 2);
	WORLD_CHECK(w, world_mount(w, 2) == 0);
	WORLD_CHECK(w, fs_file_open(w->host[2].fs, ino, 0, FS_READ | FS_WRITE,
	    &wr[2].file, &h) == 0);
	if (world_failed(w))
		return;
	check_sectors(w, wr, wr[2].file);
	WORLD_CHECK(w, fs_file_close(wr[2].file) == 0);
	for (unsigned i = 0; i < HOSTS; i++)
		WORLD_CHECK(w, world_unmount(w, i) == 0);
}

ATF_TC_WITHOUT_HEAD(two_writers_go_on_when_the_third_dies);
ATF_TC_BODY(two_writers_go_on_when_the_third_dies, tc)
{
	(void)tc;
	run_seeds(calm, play_death);
}

static void
play_faults(struct world *w)
{
	struct writer wr[HOSTS] = { 0 };
	struct lock_holder h;
	struct fs_file *f = NULL;
	uint64_t ino = 0;

	start_all(w, wr, &ino);
	if (world_failed(w))
		return;
	fiber_sleep(20 * NSEC_PER_SEC);
	for (unsigned i = 0; i < HOSTS; i++)
		stop_writer(w, &wr[i]);
	/* A reader needs no lock and sees what the writers wrote. */
	WORLD_CHECK(w, fs_file_open(w->host[1].fs, ino, 0, FS_READ, &f,
	    &h) == 0);
	if (world_failed(w))
		return;
	check_sectors(w, wr, f);
	WORLD_CHECK(w, fs_file_close(f) == 0);
	WORLD_CHECK(w, fs_set_multi_writer(w->host[2].fs, ino, false, &h) ==
	    0);
	for (unsigned i = 0; i < HOSTS; i++)
		WORLD_CHECK(w, world_unmount(w, i) == 0);
}

ATF_TC_WITHOUT_HEAD(sectors_of_three_writers_stay_apart_among_faults);
ATF_TC_BODY(sectors_of_three_writers_stay_apart_among_faults, tc)
{
	(void)tc;
	run_seeds(rough, play_faults);
}

static int
set_mode(struct world *w, unsigned i, uint64_t ino)
{
	struct fs_attr a = { .mode = 0640 };
	struct lock_holder h;

	return fs_setattr(w->host[i].fs, ino, 0, FS_SET_MODE, &a, &a, &h);
}

/* On host 0, where somebody reads who wants the lock all the time. */
static void
play_change(struct world *w)
{
	struct fs_file *reader = NULL, *here = NULL, *there = NULL;
	struct fs *fs[2];
	struct lock_holder h;
	uint8_t byte = 1;
	uint64_t ino;
	size_t n;

	for (unsigned i = 0; i < 2; i++) {
		WORLD_CHECK(w, world_mount(w, i) == 0);
		fs[i] = w->host[i].fs;
	}
	if (world_failed(w))
		return;
	ino = make_disk(w);
	WORLD_CHECK(w, fs_file_open(fs[0], ino, 0, FS_WRITE, &here, &h) == 0);
	WORLD_CHECK(w, fs_file_open(fs[0], ino, 0, FS_READ | FS_SHARED,
	    &reader, &h) == 0);
	WORLD_CHECK(w, fs_file_open(fs[1], ino, 0, FS_WRITE, &there, &h) == 0);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, fs_file_close(here) == 0);
	WORLD_CHECK(w, set_mode(w, 0, ino) == -VMFS_ELOCKED);
	WORLD_CHECK(w, fs_file_read(reader, 0, &byte, 1, &n) == 0);
	WORLD_CHECK(w, fs_file_close(there) == 0);
	WORLD_CHECK(w, set_mode(w, 0, ino) == 0);
	WORLD_CHECK(w, set_mode(w, 1, ino) == -VMFS_ELOCKED);
	WORLD_CHECK(w, fs_file_open(fs[0], ino, 0, FS_WRITE, &here, &h) == 0);
	WORLD_CHECK(w, fs_file_open(fs[1], ino, 0, FS_WRITE, &there, &h) == 0);
	if (world_failed(w))
		return;
	WORLD_CHECK(w, fs_file_read(reader, 0, &byte, 1, &n) == 0);
	WORLD_CHECK(w, fs_file_close(here) == 0);
	WORLD_CHECK(w, fs_file_close(reader) == 0);
	WORLD_CHECK(w, fs_file_close(there) == 0);
	for (unsigned i = 0; i < 2; i++)
		WORLD_CHECK(w, world_unmount(w, i) == 0);
}

ATF_TC_WITHOUT_HEAD(the_lock_changes_under_a_reader_by_one_step);
ATF_TC_BODY(the_lock_changes_under_a_reader_by_one_step, tc)
{
	(void)tc;
	run_seeds(calm, play_change);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, two_writers_go_on_when_the_third_dies);
	ATF_TP_ADD_TC(tp, sectors_of_three_writers_stay_apart_among_faults);
	ATF_TP_ADD_TC(tp, the_lock_changes_under_a_reader_by_one_step);
	return atf_no_error();
}
