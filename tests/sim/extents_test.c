/* SPDX-License-Identifier: BSD-2-Clause */
/* A dead host had writes on their way to a further LUN of the datastore. */
#include <atf-c.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/extents.h"
#include "libvmfs/core/fs.h"
#include "tests/sim/world.h"

#define SEEDS 40
#define HOSTS 3u
#define WRITES 8u
#define VICTIM 1u
#define FURTHER_BYTES (96 * MIB)
#define WAIT_MS 200000u

static unsigned ended;

/* ---- all hosts, two LUNs ---- */

static int
add_once(struct world *w, struct lock_holder *holder)
{
	char why[LOCKOPS_WHY] = "";
	struct disk *d;
	int rc = world_open_further(w, 0, &d);

	return rc < 0 ? rc : fs_extent_add(w->host[0].fs, d, "further", why,
	    holder);
}

/* Its space is used by this host. */
static bool
is_open(struct world *w, unsigned i)
{
	const struct ds *ds = w->host[i].ds;

	return ds->super.extents == 2 && ds->open_blocks == ds->super.blocks;
}

static bool
begin(struct world *w)
{
	struct lock_holder holder;
	int rc;

	for (unsigned i = 0; i < HOSTS; i++)
		WORLD_CHECK(w, world_mount(w, i) == 0);
	if (world_failed(w))
		return false;
	while ((rc = add_once(w, &holder)) == -VMFS_EINUSE)
		fiber_sleep(NSEC_PER_SEC);
	WORLD_CHECK(w, rc == 0);
	for (unsigned i = 0; i < HOSTS; i++)
		WORLD_CHECK(w, world_wait(w, is_open, i, WAIT_MS));
	return !world_failed(w);
}

static void
end(struct world *w)
{
	for (unsigned i = 0; i < HOSTS; i++)
		if (w->host[i].host != NULL)
			WORLD_CHECK(w, world_unmount(w, i) == 0);
}

static void
write_main(void *arg)
{
	struct world *w = arg;
	uint64_t at = w->host[VICTIM].ds->super.extent[1].first_block + 1024;
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);

	WORLD_CHECK(w, buf != NULL &&
	    disk_write(host_disk(w->host[VICTIM].host), at << BLOCK_SHIFT, buf,
	    BLOCK_SIZE, 0) < 0);
	free(buf);
	ended++;
}

/* The further LUN has accepted writes, and is slow; their host is gone. */
static void
die_with_writes(struct world *w)
{
	ended = 0;
	w->further.faults.slow_ppm = 1000000;
	for (unsigned i = 0; i < WRITES; i++)
		WORLD_CHECK(w, sched_spawn(&w->sim.sched, "write", write_main,
		    w) == 0);
	fiber_sleep(NSEC_PER_MSEC);
	w->further.faults.slow_ppm = 0;
	world_crash_begin(w, VICTIM);
	while (ended < WRITES)
		fiber_sleep(NSEC_PER_MSEC);
	world_crash(w, VICTIM);
}

static bool
is_taken_over(struct world *w, unsigned i)
{
	(void)i;
	return w->host[0].takeovers + w->host[2].takeovers > 0;
}

static void
nothing_lands_late(struct world *w)
{
	uint64_t late = w->further.late;

	fiber_sleep(w->further.faults.late_ns);
	WORLD_CHECK(w, w->further.late == late);
}

static void
run(enum lock_protocol protocol, void (*play)(struct world *w))
{
	static struct world w;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		const struct world_conf conf = {
			.seed = seed, .hosts = HOSTS, .protocol = protocol,
			.lun_bytes = 72 * MIB, .further_bytes = FURTHER_BYTES,
			.faults = { .slow_ns = 3 * NSEC_PER_SEC,
			    .late_ns = 40 * NSEC_PER_SEC },
		};
		uint64_t hash;

		if (world_run(&w, &conf, play, &hash) < 0)
			atf_tc_fail("seed %" PRIu64 ": %s", seed, w.problem);
	}
}

/* ---- tests ---- */

static void
play_fence(struct world *w)
{
	if (!begin(w))
		return;
	die_with_writes(w);
	WORLD_CHECK(w, world_wait(w, is_taken_over, 0, WAIT_MS));
	nothing_lands_late(w);
	end(w);
}

ATF_TC_WITHOUT_HEAD(nothing_lands_on_another_lun_after_the_fence);
ATF_TC_BODY(nothing_lands_on_another_lun_after_the_fence, tc)
{
	(void)tc;
	run(LOCK_ATS_PR, play_fence);
}

ATF_TC_WITHOUT_HEAD(nothing_lands_in_another_file_after_the_fence);
ATF_TC_BODY(nothing_lands_in_another_file_after_the_fence, tc)
{
	(void)tc;
	run(LOCK_FILE, play_fence);
}

/* The only survivor does not have the LUN, until it comes back. */
static void
play_blind(struct world *w)
{
	if (!begin(w))
		return;
	WORLD_CHECK(w, world_unmount(w, 0) == 0);
	WORLD_CHECK(w, world_unmount(w, 2) == 0);
	w->host[2].lacks_further = true;
	WORLD_CHECK(w, world_mount(w, 2) == 0);
	if (world_failed(w))
		return;
	die_with_writes(w);
	WORLD_CHECK(w, !world_wait(w, is_taken_over, 0, WAIT_MS));
	WORLD_CHECK(w, w->host[2].takeover_troubles > 0);
	w->host[2].lacks_further = false;
	WORLD_CHECK(w, world_wait(w, is_taken_over, 0, WAIT_MS));
	end(w);
}

ATF_TC_WITHOUT_HEAD(who_lacks_a_lun_takes_nobody_over);
ATF_TC_BODY(who_lacks_a_lun_takes_nobody_over, tc)
{
	(void)tc;
	run(LOCK_ATS_PR, play_blind);
}

/* A host that was stopped in the middle, and is fenced, writes no more. */
static void
play_sleeper(struct world *w)
{
	uint64_t at;
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	int rc;

	if (!begin(w) || buf == NULL)
		return;
	at = (w->host[0].ds->super.extent[1].first_block + 1024) <<
	    BLOCK_SHIFT;
	world_pause(w, VICTIM);
	WORLD_CHECK(w, world_wait(w, is_taken_over, 0, WAIT_MS));
	world_resume(w, VICTIM);
	/* Past its own lease check: only the LUN itself refuses. */
	do
		rc = disk_write(w->host[VICTIM].lun, at, buf, BLOCK_SIZE, 0);
	while (rc == -VMFS_EATTENTION || rc == -VMFS_EUNKNOWN);
	WORLD_CHECK(w, rc == -VMFS_ECONFLICT);
	free(buf);
	world_crash(w, VICTIM);
	end(w);
}

ATF_TC_WITHOUT_HEAD(a_fenced_host_is_refused_on_another_lun);
ATF_TC_BODY(a_fenced_host_is_refused_on_another_lun, tc)
{
	(void)tc;
	run(LOCK_ATS_PR, play_sleeper);
}

/* A disk on the further LUN, its first MiB dirty; and one that is not. */
static struct fs_file *
file_with(struct world *w, const char *name, uint64_t bytes)
{
	struct fs *fs = w->host[0].fs;
	struct lock_holder holder;
	struct fs_file *f = NULL;
	struct fs_attr a;
	uint8_t *buf = disk_buf_alloc(MIB);
	int rc = fs_create(fs, fs_root(fs), name, INODE_DISK, 0600, 0, 0,
	    256 * MIB, &a);

	if (rc == 0)
		rc = fs_file_open(fs, a.ino, 0, FS_READ | FS_WRITE, &f,
		    &holder);
	for (uint64_t at = 0; rc == 0 && at < bytes; at += MIB)
		rc = fs_file_write(f, at, buf, MIB);
	if (rc == 0)
		rc = fs_file_flush(f);
	WORLD_CHECK(w, rc == 0 && buf != NULL);
	free(buf);
	return f;
}

static void
each_way(struct world *w, void (*fn)(struct sim_lun *l, unsigned nexus))
{
	for (unsigned i = 0; i < 2 * HOSTS; i++)
		fn(&w->further, i);
}

static bool
is_back(struct world *w, unsigned i)
{
	struct ds *ds = w->host[i].ds;

	return extents_has(ds->conf.extents, &ds->super.extent[1].uuid) &&
	    !ds->lacks_extents;
}

struct reader {
	struct fs_file *f;
	int result;
	bool ended;
};

static void
read_main(void *arg)
{
	struct reader *r = arg;
	uint8_t *buf = disk_buf_alloc(MIB);
	size_t n;

	r->result = 0;
	for (uint64_t at = 0; r->result == 0 && at < 80 * MIB; at += MIB)
		r->result = fs_file_read(r->f, at, buf, MIB, &n);
	free(buf);
	r->ended = true;
}

/* No answer from one LUN for ten minutes: the other one goes on. */
static void
play_silence(struct world *w)
{
	struct reader r = { .ended = false };
	struct fs_file *here;
	uint8_t buf[4096] = { 7 };
	uint64_t began;

	if (!begin(w))
		return;
	here = file_with(w, "here", MIB);
	r.f = file_with(w, "there", 80 * MIB);
	if (world_failed(w))
		return;
	each_way(w, sim_path_lose);
	WORLD_CHECK(w, sched_spawn(w->host[0].env.sched, "read", read_main,
	    &r) == 0);
	began = w->sim.now_ns;
	while (w->sim.now_ns < began + 600 * NSEC_PER_SEC) {
		WORLD_CHECK(w, fs_file_write(here, 0, buf, sizeof(buf)) == 0);
		WORLD_CHECK(w, fs_file_flush(here) == 0);
		fiber_sleep(NSEC_PER_SEC);
	}
	WORLD_CHECK(w, r.ended && r.result == -VMFS_EEXTENT);
	WORLD_CHECK(w, !is_back(w, 0));
	each_way(w, sim_path_heal);
	for (unsigned i = 0; i < HOSTS; i++) {
		WORLD_CHECK(w, world_wait(w, is_back, i, WAIT_MS));
		WORLD_CHECK(w, w->host[i].fenced_times == 0);
	}
	r.ended = false;
	read_main(&r);
	WORLD_CHECK(w, r.result == 0);
	WORLD_CHECK(w, fs_file_close(here) == 0 && fs_file_close(r.f) == 0);
	end(w);
}

ATF_TC_WITHOUT_HEAD(a_lun_that_is_silent_takes_only_what_lies_on_it);
ATF_TC_BODY(a_lun_that_is_silent_takes_only_what_lies_on_it, tc)
{
	(void)tc;
	run(LOCK_ATS_PR, play_silence);
}

/* ---- one host dies while it empties a LUN, another one goes on ---- */

#define VM_MIB 24u

struct emptying {
	struct world *w;
	struct fs_file *f;
	bool ended;
};

static void
empty_main(void *arg)
{
	struct emptying *e = arg;
	struct fs_evacuation v;
	struct lock_holder holder;
	int rc = -VMFS_EINUSE;

	while (rc == -VMFS_EINUSE) {
		rc = fs_extent_leave(e->w->host[VICTIM].fs, 1, true, &holder);
		if (rc == -VMFS_EINUSE)
			fiber_sleep(NSEC_PER_SEC);
	}
	/* Space that another host has freed comes late.  In the end it dies. */
	for (unsigned i = 0; rc == 0 || (rc == -ENOSPC && i < 60); i++) {
		if (rc == -ENOSPC)
			fiber_sleep(NSEC_PER_SEC);
		rc = fs_evacuate(&e->f, 1, NULL, &v);
		if (rc == 0)
			break;
	}
	e->ended = true;
}

/* Each MiB its own number, then a snapshot, and some of it again. */
static uint64_t
make_vm(struct world *w, struct fs_file *f, uint64_t ino)
{
	uint8_t *buf = disk_buf_alloc(MIB);
	struct lock_holder holder;
	struct fs_snapshot s = { .ino = 0 };
	int rc = 0;

	for (unsigned i = 0; i < VM_MIB && rc == 0; i++) {
		memset(buf, (int)i + 1, MIB);
		rc = fs_file_write(f, i * MIB, buf, MIB);
	}
	if (rc == 0)
		rc = fs_snapshot_create(w->host[VICTIM].fs, ino, "s", &s,
		    &holder);
	memset(buf, 99, MIB);
	for (unsigned i = 0; i < VM_MIB && rc == 0; i += 3)
		rc = fs_file_write(f, i * MIB + 8192, buf, 12288);
	if (rc == 0)
		rc = fs_file_flush(f);
	WORLD_CHECK(w, rc == 0);
	free(buf);
	return s.ino;
}

static void
vm_is(struct world *w, struct fs_file *f, bool snapshot)
{
	uint8_t *buf = disk_buf_alloc(MIB);
	size_t n;

	for (unsigned i = 0; i < VM_MIB; i++) {
		bool changed = !snapshot && i % 3 == 0;

		WORLD_CHECK(w, fs_file_read(f, i * MIB, buf, MIB, &n) == 0);
		WORLD_CHECK(w, buf[0] == i + 1 && buf[MIB - 1] == i + 1);
		WORLD_CHECK(w, buf[8192] == (changed ? 99 : i + 1) &&
		    buf[8192 + 12287] == (changed ? 99 : i + 1));
	}
	free(buf);
}

static struct fs_file *
open_on(struct world *w, unsigned host, uint64_t ino, unsigned flags)
{
	struct lock_holder holder;
	struct fs_file *f = NULL;

	WORLD_CHECK(w, fs_file_open(w->host[host].fs, ino, 0, flags, &f,
	    &holder) == 0);
	return f;
}

static int
settle_and_take_out(struct world *w)
{
	struct ds *ds = w->host[0].ds;
	struct lock_holder holder;
	int rc = -EBUSY;

	for (unsigned i = 0; i < 120 && rc != 0; i++) {
		fiber_sleep(NSEC_PER_SEC);
		rc = ds_checkpoint(ds, 0);
		if (rc == 0)
			rc = ds_extent_settled(ds, 1);
		if (rc == 0)
			rc = fs_extent_rm(w->host[0].fs, 1, &holder);
	}
	return rc;
}

static void
go_on(struct world *w, uint64_t ino, uint64_t snapshot)
{
	struct fs_file *f = open_on(w, 0, ino, FS_READ | FS_WRITE), *s;
	struct fs_evacuation v;

	if (f == NULL)
		return;
	vm_is(w, f, false);
	WORLD_CHECK(w, fs_evacuate(&f, 1, NULL, &v) == 0);
	WORLD_CHECK(w, settle_and_take_out(w) == 0);
	vm_is(w, f, false);
	WORLD_CHECK(w, fs_file_close(f) == 0);
	s = open_on(w, 2, snapshot, FS_READ);
	if (s == NULL)
		return;
	vm_is(w, s, true);
	WORLD_CHECK(w, fs_file_close(s) == 0);
}

static uint64_t
in_use(struct world *w)
{
	uint64_t bytes = 0;

	WORLD_CHECK(w, ds_extent_used(w->host[VICTIM].ds, 1, &bytes) == 0);
	return bytes;
}

static unsigned cut;			/* plays in which there was something left */

static void
play_emptying(struct world *w)
{
	struct emptying e = { .w = w };
	struct lock_holder holder;
	struct fs_file *ballast;
	uint64_t snapshot, used;
	struct fs_attr a;

	if (!begin(w))
		return;
	/* It has the first LUN's space while the other one is written. */
	ballast = file_with(w, "ballast", 56 * MIB);
	WORLD_CHECK(w, fs_create(w->host[VICTIM].fs,
	    fs_root(w->host[VICTIM].fs), "vm", INODE_DISK, 0600, 0, 0,
	    VM_MIB * MIB, &a) == 0);
	e.f = open_on(w, VICTIM, a.ino, FS_READ | FS_WRITE);
	if (world_failed(w))
		return;
	snapshot = make_vm(w, e.f, a.ino);
	WORLD_CHECK(w, fs_file_close(ballast) == 0);
	WORLD_CHECK(w, fs_unlink(w->host[0].fs, fs_root(w->host[0].fs),
	    "ballast", &holder) == 0);
	WORLD_CHECK(w, ds_checkpoint(w->host[0].ds, 0) == 0);
	WORLD_CHECK(w, sched_spawn(w->host[VICTIM].env.sched, "empty",
	    empty_main, &e) == 0);
	used = in_use(w);
	while (!e.ended && in_use(w) >= used && !world_failed(w))
		fiber_sleep(NSEC_PER_MSEC);
	fiber_sleep(w->seed * 7 % 200 * NSEC_PER_MSEC);
	cut += !e.ended;
	world_crash_begin(w, VICTIM);
	while (!e.ended)
		fiber_sleep(NSEC_PER_MSEC);
	(void)!fs_file_close(e.f);
	world_crash(w, VICTIM);
	WORLD_CHECK(w, world_wait(w, is_taken_over, 0, WAIT_MS));
	if (!world_failed(w))
		go_on(w, a.ino, snapshot);
	end(w);
}

ATF_TC_WITHOUT_HEAD(who_dies_while_he_empties_a_lun_is_succeeded);
ATF_TC_BODY(who_dies_while_he_empties_a_lun_is_succeeded, tc)
{
	(void)tc;
	run(LOCK_ATS_PR, play_emptying);
	ATF_CHECK_MSG(cut >= SEEDS / 4, "only %u were cut short", cut);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_lun_that_is_silent_takes_only_what_lies_on_it);
	ATF_TP_ADD_TC(tp, who_dies_while_he_empties_a_lun_is_succeeded);
	ATF_TP_ADD_TC(tp, nothing_lands_on_another_lun_after_the_fence);
	ATF_TP_ADD_TC(tp, nothing_lands_in_another_file_after_the_fence);
	ATF_TP_ADD_TC(tp, who_lacks_a_lun_takes_nobody_over);
	ATF_TP_ADD_TC(tp, a_fenced_host_is_refused_on_another_lun);
	return atf_no_error();
}
