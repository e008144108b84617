/* SPDX-License-Identifier: BSD-2-Clause */
/* Files of three simulated hosts: one writer, its death, what is found. */
#include <atf-c.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/fs.h"
#include "tests/sim/world.h"

#ifndef SEEDS
#define SEEDS 50
#endif
#define BLOCKS 64u
#define TAKEOVER_MS 60000u

static const struct sim_faults calm = { .late_ns = 3600 * NSEC_PER_SEC };
static const struct sim_faults rough = {
	.status_lost_ppm = 2000, .miscompare_ppm = 10000,
	.slow_ppm = 1000, .slow_ns = 2 * NSEC_PER_SEC,
	.late_ns = 3600 * NSEC_PER_SEC,
};

static uint64_t
run_one(const struct world_conf *conf, void (*play)(struct world *w))
{
	static struct world w;
	uint64_t hash = 0;

	if (world_run(&w, conf, play, &hash) < 0)
		atf_tc_fail("seed %" PRIu64 ": %s", conf->seed, w.problem);
	return hash;
}

static void
run_seeds(struct world_conf conf, void (*play)(struct world *w))
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		conf.seed = seed;
		(void)run_one(&conf, play);
	}
}

static void
mount_all(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++) {
		int rc = world_mount(w, i);

		if (rc < 0)
			world_fail(w, "host%u: %s: %s", i, vmfs_strerror(rc),
			    w->host[i].why);
	}
}

static void
unmount_all(struct world *w)
{
	for (unsigned i = 0; i < w->hosts; i++)
		if (w->host[i].host != NULL)
			WORLD_CHECK(w, world_unmount(w, i) == 0);
}

/* ---- a writer that stamps blocks, and what it was promised ---- */

struct writer {
	struct world *w;
	unsigned host;
	struct fs_file *file;
	uint64_t issued[BLOCKS];	/* newest stamp written, or tried */
	uint64_t flushed[BLOCKS];	/* newest stamp a flush covered */
	bool stop, ended;
};

static int
write_round(struct writer *wr, uint64_t stamp, uint64_t *buf)
{
	uint64_t done[BLOCKS];
	int rc = 0;

	memcpy(done, wr->issued, sizeof(done));
	for (unsigned n = 0; n < 4 && rc == 0; n++) {
		unsigned b = (unsigned)sim_below(&wr->w->sim, BLOCKS);

		for (unsigned k = 0; k < BLOCK_SIZE / sizeof(*buf); k++)
			buf[k] = stamp;
		wr->issued[b] = stamp;
		rc = fs_file_write(wr->file, (uint64_t)b * BLOCK_SIZE, buf,
		    BLOCK_SIZE);
		done[b] = stamp;
	}
	if (rc == 0 && sim_chance(&wr->w->sim, 500000)) {
		rc = fs_file_flush(wr->file);
		if (rc == 0)
			memcpy(wr->flushed, done, sizeof(done));
	}
	return rc;
}

static void
writer_main(void *arg)
{
	struct writer *wr = arg;
	uint64_t *buf = disk_buf_alloc(BLOCK_SIZE);

	for (uint64_t stamp = 1; buf != NULL && !wr->stop; stamp++)
		if (write_round(wr, stamp, buf) < 0)
			break;
	free(buf);
	wr->ended = true;
}

/* Each block holds one stamp: flushed or newer, and one that was written. */
static void
check_file(struct world *w, const struct writer *wr, struct fs_file *f)
{
	uint64_t *buf = disk_buf_alloc(BLOCK_SIZE);

	for (unsigned b = 0; b < BLOCKS && buf != NULL; b++) {
		size_t got = 0;

		memset(buf, 0, BLOCK_SIZE);
		WORLD_CHECK(w, fs_file_read(f, (uint64_t)b * BLOCK_SIZE, buf,
		    BLOCK_SIZE, &got) == 0);
		if (buf[0] < wr->flushed[b] || buf[0] > wr->issued[b])
			world_fail(w, "block %u: stamp %" PRIu64 ", flushed "
			    "%" PRIu64 ", issued %" PRIu64, b, buf[0],
			    wr->flushed[b], wr->issued[b]);
		for (unsigned k = 0; k < BLOCK_SIZE / sizeof(*buf); k++)
			WORLD_CHECK(w, buf[k] == buf[0]);
	}
	free(buf);
}

static int
open_write(struct world *w, unsigned i, const char *name, struct fs_file **f,
    struct lock_holder *holder)
{
	struct fs *fs = w->host[i].fs;
	struct fs_attr a;
	int rc = fs_lookup(fs, fs_root(fs), name, &a);

	return rc < 0 ? rc : fs_file_open(fs, a.ino, 0, FS_READ | FS_WRITE, f,
	    holder);
}

static struct fs_file *
open_after_death(struct world *w, unsigned i, const char *name)
{
	uint64_t end = w->sim.now_ns + TAKEOVER_MS * NSEC_PER_MSEC;
	struct lock_holder holder;
	struct fs_file *f = NULL;
	int rc;

	do {
		rc = open_write(w, i, name, &f, &holder);
		if (rc == -VMFS_ELOCKED)
			fiber_sleep(100 * NSEC_PER_MSEC);
	} while (rc == -VMFS_ELOCKED && w->sim.now_ns < end);
	if (rc < 0)
		world_fail(w, "open %s on host%u: %s", name, i,
		    vmfs_strerror(rc));
	return f;
}

/* ---- plays ---- */

static void
play_death(struct world *w)
{
	struct writer wr = { .w = w, .host = 0 };
	struct lock_holder holder = { 0 };
	struct fs_file *f = NULL;

	mount_all(w);
	if (world_failed(w))
		return;
	wr.file = world_create(w, 0, "vm");
	if (wr.file == NULL)
		return;
	WORLD_CHECK(w, sched_spawn(&w->sim.sched, "writer", writer_main,
	    &wr) == 0);
	fiber_sleep(sim_below(&w->sim, 2000) * NSEC_PER_MSEC);
	WORLD_CHECK(w, open_write(w, 1, "vm", &f, &holder) == -VMFS_ELOCKED);
	WORLD_CHECK(w, strcmp(holder.name, "host0") == 0);
	fiber_sleep(sim_below(&w->sim, 2000000000));
	world_crash_begin(w, 0);
	while (!wr.ended)
		fiber_sleep(NSEC_PER_MSEC);
	world_crash(w, 0);
	f = open_after_death(w, 1, "vm");
	if (f != NULL) {
		check_file(w, &wr, f);
		WORLD_CHECK(w, fs_file_close(f) == 0);
	}
	unmount_all(w);
}

ATF_TC_WITHOUT_HEAD(what_a_dead_host_flushed_is_found_by_the_next_writer);
ATF_TC_BODY(what_a_dead_host_flushed_is_found_by_the_next_writer, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_death);
}

ATF_TC_WITHOUT_HEAD(flushed_data_survives_a_death_on_4_KiB_sectors);
ATF_TC_BODY(flushed_data_survives_a_death_on_4_KiB_sectors, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_ATS_PR,
	    .block_size = 4096, .faults = calm }, play_death);
}

ATF_TC_WITHOUT_HEAD(flushed_data_survives_a_death_among_faults);
ATF_TC_BODY(flushed_data_survives_a_death_among_faults, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 3, .protocol = LOCK_ATS_PR,
	    .faults = rough }, play_death);
}

static void
play_handover(struct world *w)
{
	struct writer wr = { .w = w, .host = 0 };
	struct lock_holder holder;
	struct fs_file *f = NULL;

	mount_all(w);
	if (world_failed(w))
		return;
	wr.file = world_create(w, 0, "vm");
	if (wr.file == NULL)
		return;
	WORLD_CHECK(w, sched_spawn(&w->sim.sched, "writer", writer_main,
	    &wr) == 0);
	fiber_sleep(sim_below(&w->sim, 2000) * NSEC_PER_MSEC);
	wr.stop = true;
	while (!wr.ended)
		fiber_sleep(NSEC_PER_MSEC);
	/* A close promises as much as a flush. */
	memcpy(wr.flushed, wr.issued, sizeof(wr.flushed));
	WORLD_CHECK(w, fs_file_close(wr.file) == 0);
	WORLD_CHECK(w, open_write(w, 1, "vm", &f, &holder) == 0);
	if (f != NULL) {
		check_file(w, &wr, f);
		WORLD_CHECK(w, fs_file_close(f) == 0);
	}
	unmount_all(w);
}

ATF_TC_WITHOUT_HEAD(a_closed_file_goes_to_the_next_host_at_once);
ATF_TC_BODY(a_closed_file_goes_to_the_next_host_at_once, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR,
	    .faults = rough }, play_handover);
}

/* ---- numbers that are used again ---- */

#define FILES_MAX 200u

static struct fs_file *
create_as(struct world *w, unsigned i, uint64_t ino)
{
	char name[16];
	struct fs_file *f;
	struct fs_attr a;

	for (unsigned n = 0; n < FILES_MAX && !world_failed(w); n++) {
		(void)snprintf(name, sizeof(name), "new%u", n);
		f = world_create(w, i, name);
		if (f == NULL)
			break;
		WORLD_CHECK(w, fs_file_attr(f, &a) == 0);
		if (a.ino == ino)
			return f;
		WORLD_CHECK(w, fs_file_close(f) == 0);
	}
	world_fail(w, "number %" PRIu64 " is not used again", ino);
	return NULL;
}

static void
no_other_way(struct disk_req *req)
{
	req->result = -EIO;
}

/* By its other handle of that number it has learned where all is. */
static void
check_past_owner(struct world *w, struct fs_file *old, void *buf)
{
	struct iovec v = { buf, BLOCK_SIZE };
	struct disk_req req = { .op = DISK_READ, .length = BLOCK_SIZE,
		.iov = &v, .iovcnt = 1, .done = no_other_way };

	WORLD_CHECK(w, !fs_file_fast(old, &req, no_other_way));
}

static void
play_number_used_again(struct world *w)
{
	struct fs_file *f, *old = NULL;
	struct lock_holder holder;
	size_t size = 2 * MIB, got;
	struct fs_attr a;
	uint64_t at;
	void *buf = disk_buf_alloc(size);

	mount_all(w);
	f = world_failed(w) || buf == NULL ? NULL : world_create(w, 0, "vm");
	if (f == NULL)
		goto out;
	memset(buf, 1, size);
	WORLD_CHECK(w, fs_file_write(f, 0, buf, size) == 0);
	WORLD_CHECK(w, fs_file_attr(f, &a) == 0);
	WORLD_CHECK(w, fs_file_close(f) == 0);
	WORLD_CHECK(w, fs_file_open(w->host[1].fs, a.ino, 0, FS_READ, &old,
	    &holder) == 0);
	WORLD_CHECK(w, fs_file_read(old, 0, buf, BLOCK_SIZE, &got) == 0);
	WORLD_CHECK(w, fs_unlink(w->host[0].fs, fs_root(w->host[0].fs), "vm",
	    &holder) == 0);
	f = create_as(w, 0, a.ino);
	if (f == NULL || old == NULL)
		goto out;
	WORLD_CHECK(w, fs_file_write(f, 0, buf, size) == 0);
	WORLD_CHECK(w, fs_file_close(f) == 0);
	WORLD_CHECK(w, fs_file_read(old, 0, buf, 512, &got) == -ESTALE);
	WORLD_CHECK(w, fs_file_attr(old, &a) == -ESTALE);
	WORLD_CHECK(w, fs_file_seek(old, 0, true, &at) == -ESTALE);
	WORLD_CHECK(w, fs_file_open(w->host[1].fs, a.ino, 0,
	    FS_READ | FS_WRITE, &f, &holder) == 0);
	WORLD_CHECK(w, fs_file_read(f, 0, buf, size, &got) == 0);
	WORLD_CHECK(w, fs_file_read(old, 0, buf, 512, &got) == -ESTALE);
	WORLD_CHECK(w, fs_file_seek(old, 0, true, &at) == -ESTALE);
	check_past_owner(w, old, buf);
	WORLD_CHECK(w, fs_file_close(f) == 0);
	WORLD_CHECK(w, fs_file_close(old) == 0);
out:
	free(buf);
	unmount_all(w);
}

ATF_TC_WITHOUT_HEAD(a_number_that_is_used_again_is_another_file);
ATF_TC_BODY(a_number_that_is_used_again_is_another_file, tc)
{
	struct world_conf conf = { .seed = 1, .hosts = 2,
		.protocol = LOCK_ATS_PR, .faults = calm };

	(void)tc;
	(void)run_one(&conf, play_number_used_again);
}

/* ---- what a reader without a lock is told ---- */

#define OLD_MIB 4u

/* A file of 'a', which a reader on another host has open; the volume is full. */
struct readers {
	struct world *w;
	struct fs_file *f, *rest, *other, *old;
	uint8_t *buf;
	unsigned foreign;
	bool hold, held, done;
};

static struct readers readers;

static void
readers_fill(struct fs_file *f, int c, unsigned mibs)
{
	struct readers *r = &readers;

	memset(r->buf, c, MIB);
	for (unsigned i = 0; i < mibs && !world_failed(r->w); i++)
		WORLD_CHECK(r->w, fs_file_write(f, i * MIB, r->buf, MIB) == 0);
}

static bool
readers_begin(struct world *w)
{
	struct readers *r = &readers;
	struct lock_holder holder;
	struct fs_attr a;
	uint64_t at = 0;
	int rc = 0;

	*r = (struct readers){ .w = w, .buf = disk_buf_alloc(MIB) };
	mount_all(w);
	if (world_failed(w) || r->buf == NULL)
		return false;
	r->f = world_create(w, 0, "old");
	r->rest = world_create(w, 0, "rest");
	r->other = world_create(w, 0, "other");
	if (r->f == NULL || r->rest == NULL || r->other == NULL)
		return false;
	readers_fill(r->f, 'a', OLD_MIB);
	for (; rc == 0 && !world_failed(w); at += MIB)
		rc = fs_file_write(r->rest, at, r->buf, MIB);
	WORLD_CHECK(w, rc == -ENOSPC);
	WORLD_CHECK(w, fs_file_publish(r->f) == 0);
	WORLD_CHECK(w, fs_file_attr(r->f, &a) == 0);
	WORLD_CHECK(w, fs_file_open(w->host[1].fs, a.ino, 0, FS_READ, &r->old,
	    &holder) == 0);
	return !world_failed(w);
}

static void
readers_end(void)
{
	struct readers *r = &readers;

	WORLD_CHECK(r->w, fs_file_close(r->old) == 0);
	WORLD_CHECK(r->w, fs_file_close(r->f) == 0);
	WORLD_CHECK(r->w, fs_file_close(r->rest) == 0);
	WORLD_CHECK(r->w, fs_file_close(r->other) == 0);
	free(r->buf);
	unmount_all(r->w);
}

/* What the file had, or what was made of it. */
static void
readers_look(unsigned mib)
{
	struct readers *r = &readers;
	uint8_t *buf = disk_buf_alloc(MIB);
	size_t got = 0;

	WORLD_CHECK(r->w, buf != NULL && fs_file_read(r->old, mib * MIB, buf,
	    MIB, &got) == 0);
	for (size_t k = 0; k < got; k += BLOCK_SIZE)
		r->foreign += buf[k] != 'a' && buf[k] != 0;
	free(buf);
}

/* Its space goes to another file. */
static void
readers_give(void)
{
	struct readers *r = &readers;

	WORLD_CHECK(r->w, fs_file_punch(r->f, 0, OLD_MIB * MIB) == 0);
	WORLD_CHECK(r->w, fs_file_flush(r->f) == 0);
	readers_fill(r->other, 'b', OLD_MIB);
}

static void
play_space_used_again(struct world *w)
{
	if (!readers_begin(w))
		return;
	readers_give();
	for (unsigned i = 0; i < OLD_MIB; i++)
		readers_look(i);
	if (readers.foreign > 0)
		world_fail(w, "%u blocks of another file were read",
		    readers.foreign);
	readers_end();
}

ATF_TC_WITHOUT_HEAD(a_reader_of_another_host_sees_no_other_file);
ATF_TC_BODY(a_reader_of_another_host_sees_no_other_file, tc)
{
	struct world_conf conf = { .seed = 1, .hosts = 2,
		.protocol = LOCK_ATS_PR, .faults = calm };

	(void)tc;
	(void)run_one(&conf, play_space_used_again);
}

/* The reader's own request for data leaves its host late. */
static void
data_is_late(void *arg, unsigned nexus, const struct disk_req *req)
{
	struct readers *r = &readers;

	(void)arg;
	if (nexus / 2 != 1 || req->op != DISK_READ ||
	    req->length <= BLOCK_SIZE)
		return;
	r->held = true;
	while (r->hold)
		fiber_sleep(NSEC_PER_MSEC);
}

static void
look_late(void *arg)
{
	(void)arg;
	readers_look(0);
	readers.done = true;
}

static void
play_late_reader(struct world *w)
{
	struct readers *r = &readers;

	if (!readers_begin(w))
		return;
	w->lun.sent = data_is_late;
	r->hold = true;
	WORLD_CHECK(w, sched_spawn(w->host[1].env.sched, "reader", look_late,
	    NULL) == 0);
	while (!r->held && !world_failed(w))
		fiber_sleep(NSEC_PER_MSEC);
	readers_give();
	r->hold = false;
	while (!r->done && !world_failed(w))
		fiber_sleep(NSEC_PER_MSEC);
	w->lun.sent = NULL;
	if (r->foreign > 0)
		world_fail(w, "%u blocks of another file were read",
		    r->foreign);
	readers_end();
}

ATF_TC_WITHOUT_HEAD(a_reader_that_is_slow_sees_no_other_file);
ATF_TC_BODY(a_reader_that_is_slow_sees_no_other_file, tc)
{
	struct world_conf conf = { .seed = 1, .hosts = 2,
		.protocol = LOCK_ATS_PR, .faults = calm };

	(void)tc;
	(void)run_one(&conf, play_late_reader);
}

/* ---- a name goes while its disk is at long work ---- */

static struct {
	struct world *w;
	uint64_t ino;
	bool reaping, reaped, gone;
	int rc;
} slow;

static bool
slow_step(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	(void)done;
	(void)total;
	slow.reaping = true;
	fiber_sleep(60 * NSEC_PER_SEC);
	return true;
}

static void
slow_reap(void *arg)
{
	struct fs_progress p = { slow_step, NULL };
	struct lock_holder holder;

	(void)arg;
	WORLD_CHECK(slow.w, fs_snapshot_reap(slow.w->host[0].fs, slow.ino, &p,
	    &holder) == 0);
	slow.reaped = true;
}

static void
slow_unlink(void *arg)
{
	struct lock_holder holder;
	struct fs *fs = slow.w->host[0].fs;

	(void)arg;
	slow.rc = fs_unlink(fs, fs_root(fs), "vm", &holder);
	slow.gone = true;
}

static void
slow_rename(void *arg)
{
	struct lock_holder holder;
	struct fs *fs = slow.w->host[0].fs;

	(void)arg;
	slow.rc = fs_rename(fs, fs_root(fs), "other", fs_root(fs), "vm", 0,
	    &holder);
	slow.gone = true;
}

/* A disk, one of whose snapshots is about to be freed. */
static void
slow_make(struct world *w)
{
	struct fs *fs = w->host[0].fs;
	struct lock_holder holder;
	struct fs_snapshot snap;
	struct fs_attr a;
	struct fs_file *f;
	uint8_t byte = 1;

	WORLD_CHECK(w, fs_create(fs, fs_root(fs), "vm", INODE_DISK, 0600, 0, 0,
	    64 * MIB, &a) == 0);
	slow.ino = a.ino;
	WORLD_CHECK(w, fs_file_open(fs, a.ino, 0, FS_READ | FS_WRITE, &f,
	    &holder) == 0);
	WORLD_CHECK(w, fs_file_write(f, 0, &byte, 1) == 0);
	WORLD_CHECK(w, fs_snapshot_create(fs, a.ino, "s", &snap,
	    &holder) == 0);
	WORLD_CHECK(w, fs_file_write(f, 0, &byte, 1) == 0);
	WORLD_CHECK(w, fs_file_close(f) == 0);
	WORLD_CHECK(w, fs_snapshot_forget(fs, a.ino, snap.id, &holder) == 0);
	WORLD_CHECK(w, fs_create(fs, fs_root(fs), "other", INODE_DISK, 0600, 0,
	    0, MIB, &a) == 0);
}

static void
name_goes(struct world *w, void (*fn)(void *arg))
{
	struct fs_attr a;
	uint64_t before;
	int rc;

	mount_all(w);
	if (world_failed(w))
		return;
	memset(&slow, 0, sizeof(slow));
	slow.w = w;
	slow_make(w);
	WORLD_CHECK(w, sched_spawn(w->host[0].env.sched, "reap", slow_reap,
	    NULL) == 0);
	while (!slow.reaping && !world_failed(w))
		fiber_sleep(NSEC_PER_MSEC);
	WORLD_CHECK(w, sched_spawn(w->host[0].env.sched, "name", fn,
	    NULL) == 0);
	fiber_sleep(NSEC_PER_SEC);
	WORLD_CHECK(w, !slow.gone && !slow.reaped);
	before = env_now(&w->env);
	rc = fs_create(w->host[1].fs, fs_root(w->host[1].fs), "new",
	    INODE_FILE, 0600, 0, 0, 0, &a);
	if (rc != 0 || slow.reaped)
		world_fail(w, "create in the directory, on another host: %s "
		    "after %" PRIu64 " s", vmfs_strerror(rc),
		    (env_now(&w->env) - before) / NSEC_PER_SEC);
	while ((!slow.gone || !slow.reaped) && !world_failed(w))
		fiber_sleep(NSEC_PER_SEC);
	WORLD_CHECK(w, slow.rc == 0);
	unmount_all(w);
}

static void
play_unlink_waits(struct world *w)
{
	name_goes(w, slow_unlink);
}

static void
play_rename_waits(struct world *w)
{
	name_goes(w, slow_rename);
}

ATF_TC_WITHOUT_HEAD(an_unlink_that_waits_for_a_disk_keeps_no_directory);
ATF_TC_BODY(an_unlink_that_waits_for_a_disk_keeps_no_directory, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_unlink_waits);
}

ATF_TC_WITHOUT_HEAD(a_rename_over_a_disk_keeps_no_directory);
ATF_TC_BODY(a_rename_over_a_disk_keeps_no_directory, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_rename_waits);
}

/* ---- read while it is written ---- */

#define TEAR_MS 8

static void
tear_ends(void *arg)
{
	struct world *w = arg;

	fiber_sleep(TEAR_MS * NSEC_PER_MSEC);
	w->lun.strike = (struct sim_strike){ 0 };
}

/* Meanwhile another host is in the middle of writing the block. */
static void
tear_for_a_while(struct world *w, unsigned host, uint64_t block)
{
	w->lun.strike = (struct sim_strike){
		.torn = block * BLOCK_SIZE + 1000, .ops = 1u << DISK_READ,
		.first = 2 * host, .last = 2 * host + 1, .times = UINT64_MAX,
	};
	WORLD_CHECK(w, sched_spawn(&w->sim.sched, "writer", tear_ends,
	    w) == 0);
}

static void
play_torn_inode(struct world *w)
{
	struct fs_file *f;
	struct fs_attr a;

	mount_all(w);
	f = world_failed(w) ? NULL : world_create(w, 0, "vm");
	if (f == NULL)
		return;
	WORLD_CHECK(w, fs_file_attr(f, &a) == 0);
	WORLD_CHECK(w, fs_file_close(f) == 0);
	tear_for_a_while(w, 1, a.ino);
	WORLD_CHECK(w, fs_getattr(w->host[1].fs, a.ino, &a) == 0);
	WORLD_CHECK(w, w->lun.strike.ops == 0);
	unmount_all(w);
}

ATF_TC_WITHOUT_HEAD(who_looks_up_waits_for_a_writer_in_the_middle);
ATF_TC_BODY(who_looks_up_waits_for_a_writer_in_the_middle, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 2, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_torn_inode);
}

/* Another host makes a clone of the snapshot, whose inode counts them. */
static void
play_torn_snapshot(struct world *w)
{
	struct fs_snapshot s, found = { 0 };
	struct fs_attr a;
	struct fs *fs;

	mount_all(w);
	if (world_failed(w))
		return;
	fs = w->host[0].fs;
	WORLD_CHECK(w, fs_create(fs, fs_root(fs), "vm", INODE_DISK, 0600, 0, 0,
	    MIB, &a) == 0);
	WORLD_CHECK(w, fs_snapshot_create(fs, a.ino, "s", &s, NULL) == 0);
	tear_for_a_while(w, 0, s.ino);
	WORLD_CHECK(w, fs_snapshot_find(fs, a.ino, "s", &found) == 0);
	WORLD_CHECK(w, found.ino == s.ino);
	WORLD_CHECK(w, w->lun.strike.ops == 0);
	unmount_all(w);
}

ATF_TC_WITHOUT_HEAD(a_snapshot_is_found_while_another_host_clones_it);
ATF_TC_BODY(a_snapshot_is_found_while_another_host_clones_it, tc)
{
	(void)tc;
	run_seeds((struct world_conf){ .hosts = 1, .protocol = LOCK_ATS_PR,
	    .faults = calm }, play_torn_snapshot);
}

ATF_TC_WITHOUT_HEAD(the_same_seed_gives_the_same_trace);
ATF_TC_BODY(the_same_seed_gives_the_same_trace, tc)
{
	(void)tc;
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct world_conf conf = {
			.seed = seed, .hosts = 3, .protocol = LOCK_ATS_PR,
			.faults = rough,
		};
		uint64_t hash = run_one(&conf, play_death);

		ATF_CHECK_EQ(hash, run_one(&conf, play_death));
	}
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, what_a_dead_host_flushed_is_found_by_the_next_writer);
	ATF_TP_ADD_TC(tp, flushed_data_survives_a_death_on_4_KiB_sectors);
	ATF_TP_ADD_TC(tp, flushed_data_survives_a_death_among_faults);
	ATF_TP_ADD_TC(tp, a_closed_file_goes_to_the_next_host_at_once);
	ATF_TP_ADD_TC(tp, a_number_that_is_used_again_is_another_file);
	ATF_TP_ADD_TC(tp, a_reader_of_another_host_sees_no_other_file);
	ATF_TP_ADD_TC(tp, a_reader_that_is_slow_sees_no_other_file);
	ATF_TP_ADD_TC(tp, an_unlink_that_waits_for_a_disk_keeps_no_directory);
	ATF_TP_ADD_TC(tp, a_rename_over_a_disk_keeps_no_directory);
	ATF_TP_ADD_TC(tp, who_looks_up_waits_for_a_writer_in_the_middle);
	ATF_TP_ADD_TC(tp,
	    a_snapshot_is_found_while_another_host_clones_it);
	ATF_TP_ADD_TC(tp, the_same_seed_gives_the_same_trace);
	return atf_no_error();
}
