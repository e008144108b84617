/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a simulated host tells the LUN to forget while it dies, loses its path,
 * or needs the space again: a late UNMAP is as bad as a late write.
 */
#include <atf-c.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/fs.h"
#include "tests/sim/world.h"

#define SEEDS 6u
#define LUN_BYTES (80 * MIB)
#define SLOW_NS (8 * NSEC_PER_SEC)
#define LATE_S 600u
#define LATE_BY_TIME_S 15u	/* half of what time proves to be over */
#define WAIT_MS 60000u
#define TAKEOVER_MS (2 * LATE_S * 1000)
#define WORDS (MIB / sizeof(uint64_t))

static void
stamp(uint64_t *buf, unsigned mib)
{
	for (unsigned i = 0; i < WORDS; i++)
		buf[i] = (uint64_t)(mib + 1) << 32 | i;
}

/* How many MiB there was room for; all of it is durable. */
static unsigned
fill(struct world *w, struct fs_file *f)
{
	uint64_t *buf = disk_buf_alloc(MIB);
	unsigned n = 0;
	int rc = 0;

	while (buf != NULL && rc == 0) {
		stamp(buf, n);
		rc = fs_file_write(f, n * MIB, buf, MIB);
		n += rc == 0;
	}
	if (rc == -ENOSPC)
		rc = fs_file_flush(f);
	if (rc < 0)
		world_fail(w, "write: %s", vmfs_strerror(rc));
	free(buf);
	return n;
}

static void
look(struct world *w, struct fs_file *f, unsigned mibs)
{
	uint64_t *buf = disk_buf_alloc(MIB), *want = disk_buf_alloc(MIB);
	size_t len;

	for (unsigned n = 0; n < mibs && buf != NULL && want != NULL; n++) {
		stamp(want, n);
		if (fs_file_read(f, n * MIB, buf, MIB, &len) < 0 ||
		    len != MIB || memcmp(buf, want, MIB) != 0) {
			world_fail(w, "MiB %u is not what was written", n);
			break;
		}
	}
	free(buf);
	free(want);
}

/* The volume is full, then all of it is free and the LUN is being told. */
static unsigned
begin_to_forget(struct world *w, unsigned i)
{
	struct fs *fs = w->host[i].fs;
	struct fs_file *f = world_create(w, i, "old");
	unsigned n;

	if (f == NULL)
		return 0;
	n = fill(w, f);
	WORLD_CHECK(w, fs_file_close(f) == 0);
	w->lun.faults.unmap_ns = SLOW_NS;
	/* Whole clusters at once, or a part of them. */
	if (w->seed % 2 == 0 && w->host[i].ds->conf.discard_rate == 0)
		w->host[i].ds->conf.discard_rate = 2 * MIB;
	WORLD_CHECK(w, fs_unlink(fs, fs_root(fs), "old", NULL) == 0);
	for (unsigned ms = 0; w->host[i].ds->discarding == 0 && ms < WAIT_MS;
	    ms++)
		fiber_sleep(NSEC_PER_MSEC);
	WORLD_CHECK(w, w->host[i].ds->discarding > 0);
	return n;
}

/* Writes all that fits, and it stays. */
static void
use_again(struct world *w, unsigned i, unsigned before)
{
	struct fs_file *f = world_create(w, i, "new");
	unsigned n;

	if (f == NULL)
		return;
	n = fill(w, f);
	if (n + 1 < before)
		world_fail(w, "%u MiB, %u before", n, before);
	fiber_sleep(w->lun.faults.late_ns + SLOW_NS);
	look(w, f, n);
	WORLD_CHECK(w, fs_file_close(f) == 0);
}

/* ---- its host dies ---- */

static bool
is_taken_over(struct world *w, unsigned i)
{
	return w->host[i].takeovers > 0;
}

static void
play_death(struct world *w)
{
	unsigned n;

	if (!world_has_mounted(w, 0) || !world_has_mounted(w, 1))
		return;
	n = begin_to_forget(w, 0);
	world_crash_begin(w, 0);
	world_crash(w, 0);
	WORLD_CHECK(w, world_wait(w, is_taken_over, 1, TAKEOVER_MS));
	/* The dead host has taken a journal's space and a cluster's rest. */
	if (!world_failed(w))
		use_again(w, 1, n - 5);
	WORLD_CHECK(w, world_unmount(w, 1) == 0);
}

/* ---- its path is away for a while ---- */

static void
play_lost_path(struct world *w)
{
	unsigned n;

	if (!world_has_mounted(w, 0))
		return;
	n = begin_to_forget(w, 0);
	sim_path_lose(&w->lun, 0);
	fiber_sleep(NSEC_PER_SEC);
	sim_path_heal(&w->lun, 0);
	if (!world_failed(w))
		use_again(w, 0, n);
	WORLD_CHECK(w, world_unmount(w, 0) == 0);
}

/* ---- the space is needed at once ---- */

static void
play_full(struct world *w)
{
	unsigned n;

	if (!world_has_mounted(w, 0))
		return;
	n = begin_to_forget(w, 0);
	if (!world_failed(w))
		use_again(w, 0, n);
	WORLD_CHECK(w, world_unmount(w, 0) == 0);
}

/* ---- it was given back before the LUN was told ---- */

static void
play_given_back(struct world *w)
{
	struct ds *ds;
	uint64_t unmaps;

	if (!world_has_mounted(w, 0))
		return;
	ds = w->host[0].ds;
	ds->conf.discard_rate = 1;
	(void)begin_to_forget(w, 0);
	w->lun.faults.unmap_ns = 0;
	/* As if another host had asked for space. */
	ds->conf.locks->space_asked++;
	for (unsigned s = 0; ds->n_untold == 0 && s < 60; s++)
		fiber_sleep(NSEC_PER_SEC);
	WORLD_CHECK(w, ds->n_untold > 0);
	unmaps = w->lun.unmaps;
	ds->conf.discard_rate = 0;
	for (unsigned s = 0; ds_discards(ds).clusters > 0 && s < 60; s++)
		fiber_sleep(NSEC_PER_SEC);
	WORLD_CHECK(w, ds_discards(ds).clusters == 0 && w->lun.unmaps > unmaps + 3);
	WORLD_CHECK(w, world_unmount(w, 0) == 0);
}

/* UNMAPs that were ended by something, or landed late. */
static uint64_t
run(enum lock_protocol protocol, unsigned late_s, unsigned hosts,
    void (*play)(struct world *w))
{
	static struct world w;
	uint64_t ghosts = 0, hash;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		const struct world_conf conf = {
			.seed = seed, .hosts = hosts, .protocol = protocol,
			.lun_bytes = LUN_BYTES,
			.faults = { .late_ns = late_s * NSEC_PER_SEC },
		};

		if (world_run(&w, &conf, play, &hash) < 0)
			atf_tc_fail("seed %" PRIu64 ": %s", seed, w.problem);
		ghosts += w.lun.aborted + w.lun.late;
	}
	return ghosts;
}

ATF_TC_WITHOUT_HEAD(an_unmap_of_a_dead_host_spares_the_next_ones_data);
ATF_TC_BODY(an_unmap_of_a_dead_host_spares_the_next_ones_data, tc)
{
	(void)tc;
	ATF_CHECK(run(LOCK_ATS_PR, LATE_S, 2, play_death) > 0);
}

ATF_TC_WITHOUT_HEAD(an_unmap_of_a_dead_process_spares_the_next_ones_data);
ATF_TC_BODY(an_unmap_of_a_dead_process_spares_the_next_ones_data, tc)
{
	(void)tc;
	ATF_CHECK(run(LOCK_FILE, LATE_S, 2, play_death) > 0);
}

ATF_TC_WITHOUT_HEAD(an_unmap_is_over_when_time_is_the_proof);
ATF_TC_BODY(an_unmap_is_over_when_time_is_the_proof, tc)
{
	(void)tc;
	ATF_CHECK(run(LOCK_ATS_WATCHDOG, LATE_BY_TIME_S, 2, play_death) > 0);
}

ATF_TC_WITHOUT_HEAD(an_unmap_of_a_lost_path_spares_new_data);
ATF_TC_BODY(an_unmap_of_a_lost_path_spares_new_data, tc)
{
	(void)tc;
	(void)run(LOCK_ATS_PR, LATE_S, 1, play_lost_path);
}

ATF_TC_WITHOUT_HEAD(who_needs_the_space_waits_for_its_unmap);
ATF_TC_BODY(who_needs_the_space_waits_for_its_unmap, tc)
{
	(void)tc;
	(void)run(LOCK_ATS_PR, LATE_S, 1, play_full);
}

ATF_TC_WITHOUT_HEAD(what_was_given_back_untold_is_told_later);
ATF_TC_BODY(what_was_given_back_untold_is_told_later, tc)
{
	(void)tc;
	(void)run(LOCK_ATS_PR, LATE_S, 1, play_given_back);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, an_unmap_of_a_dead_host_spares_the_next_ones_data);
	ATF_TP_ADD_TC(tp, an_unmap_of_a_dead_process_spares_the_next_ones_data);
	ATF_TP_ADD_TC(tp, an_unmap_is_over_when_time_is_the_proof);
	ATF_TP_ADD_TC(tp, an_unmap_of_a_lost_path_spares_new_data);
	ATF_TP_ADD_TC(tp, who_needs_the_space_waits_for_its_unmap);
	ATF_TP_ADD_TC(tp, what_was_given_back_untold_is_told_later);
	return atf_no_error();
}
