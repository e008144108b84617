/* SPDX-License-Identifier: BSD-2-Clause */
/* A dead host had writes on their way to a further LUN of the datastore. */
#include <atf-c.h>
#include <inttypes.h>
#include <stdlib.h>

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

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_lun_that_is_silent_takes_only_what_lies_on_it);
	ATF_TP_ADD_TC(tp, nothing_lands_on_another_lun_after_the_fence);
	ATF_TP_ADD_TC(tp, nothing_lands_in_another_file_after_the_fence);
	ATF_TP_ADD_TC(tp, who_lacks_a_lun_takes_nobody_over);
	ATF_TP_ADD_TC(tp, a_fenced_host_is_refused_on_another_lun);
	return atf_no_error();
}
