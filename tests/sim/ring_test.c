/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ring of a journal as a host fills it: full, at its end, around it, and
 * what a mount makes of one that it finds.
 */
#include <atf-c.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/ds.h"
#include "libvmfs/core/fs.h"
#include "tests/sim/sim_log.h"

#define WAIT_MS 120000u

static void
mounts(struct world *w, unsigned i)
{
	int rc = world_mount(w, i);

	if (rc < 0)
		world_fail(w, "host%u does not mount: %s: %s", i,
		    vmfs_strerror(rc), w->host[i].why);
}

static void
leaves(struct world *w, unsigned i)
{
	int rc = world_unmount(w, i);

	if (rc < 0)
		world_fail(w, "host%u: unmount: %s", i, vmfs_strerror(rc));
}

static bool
has_taken_over(struct world *w, unsigned i)
{
	return w->host[i].takeovers > 0;
}

/* The host is dead; host 1 takes it over. */
static void
dies(struct world *w, unsigned i)
{
	w->lun.strike = (struct sim_strike){ 0 };
	world_crash(w, i);
	WORLD_CHECK(w, world_wait(w, has_taken_over, 1, WAIT_MS));
}

static void
run_one(uint64_t seed, void (*play)(struct world *w))
{
	static struct world w;
	struct world_conf conf = {
		.seed = seed, .hosts = 2, .protocol = LOCK_ATS_PR,
	};
	uint64_t hash;

	if (world_run(&w, &conf, play, &hash) < 0)
		atf_tc_fail("seed %" PRIu64 ": %s", seed, w.problem);
}

/* ---- bursts of large commits ---- */

#define ROUNDS 16u
#define BURST 70u		/* files; a commit has a block for each */

static struct {
	unsigned made, kept;	/* files, those that a commit has promised */
	unsigned sent_wraps;
	int wrap_result;	/* of the write of a wrap; 0: as it comes */
	bool wrap_done;
} storm;

static void
file_name(char name[24], unsigned i)
{
	(void)snprintf(name, 24, "file%u", i);
}

static int
burst(struct world *w)
{
	struct fs *fs = w->host[0].fs;
	uint64_t n = sim_below(&w->sim, 3) == 0 ?
	    1 + sim_below(&w->sim, BURST) : BURST;
	struct fs_attr a;
	char name[24];
	int rc = 0;

	while (rc == 0 && n-- > 0) {
		file_name(name, storm.made);
		rc = fs_create(fs, fs_root(fs), name, INODE_FILE, 0600, 0, 0,
		    0, &a);
		storm.made += rc == 0;
	}
	if (rc == 0)
		rc = ds_commit(w->host[0].ds);
	if (rc == 0)
		storm.kept = storm.made;
	return rc;
}

static void
check_kept(struct world *w)
{
	struct fs *fs = w->host[1].fs;
	struct fs_attr a;
	char name[24];
	int rc;

	for (unsigned i = 0; i < storm.kept && !world_failed(w); i++) {
		file_name(name, i);
		rc = fs_lookup(fs, fs_root(fs), name, &a);
		if (rc < 0)
			world_fail(w, "%s of %u: %s", name, storm.kept,
			    vmfs_strerror(rc));
	}
}

/* The host ends at some command, wherever it was in its ring. */
static void
play_storm(struct world *w)
{
	int rc = 0;

	memset(&storm, 0, sizeof(storm));
	mounts(w, 0);
	mounts(w, 1);
	if (world_failed(w))
		return;
	w->lun.strike = (struct sim_strike){
		.result = -VMFS_EGONE, .last = 1, .ops = UINT32_MAX,
		.skip = sim_below(&w->sim, 4000), .times = UINT64_MAX / 2,
	};
	for (unsigned i = 0; rc == 0 && i < ROUNDS; i++)
		rc = burst(w);
	dies(w, 0);
	check_kept(w);
	leaves(w, 1);
}

ATF_TC_WITHOUT_HEAD(what_a_full_ring_has_promised_is_there);
ATF_TC_BODY(what_a_full_ring_has_promised_is_there, tc)
{
	(void)tc;
	for (uint64_t seed = 1; seed <= 40; seed++)
		run_one(seed, play_storm);
}

/* The header that says that the log goes on at the start of the ring. */
static void
watch_wraps(void *arg, unsigned nexus, const struct disk_req *req)
{
	struct world *w = arg;
	struct journal_commit c;

	if (nexus != 0 || req->op != DISK_WRITE || req->length != BLOCK_SIZE ||
	    journal_commit_decode(req->iov[0].iov_base, &w->super.uuid,
	    BLOCK_SIZE, &c) < 0 || (c.flags & JOURNAL_WRAP) == 0)
		return;
	if (storm.sent_wraps++ > 0 || storm.wrap_result == 0)
		return;
	w->lun.strike = (struct sim_strike){
		.result = storm.wrap_result, .done = storm.wrap_done,
		.ops = 1u << DISK_WRITE, .at = req->offset, .times = 1,
	};
}

static void
play_wrap(struct world *w)
{
	int rc = 0;

	storm.made = storm.kept = storm.sent_wraps = 0;
	mounts(w, 0);
	mounts(w, 1);
	if (world_failed(w))
		return;
	w->lun.sent = watch_wraps;
	w->lun.landed_arg = w;
	for (unsigned i = 0; rc == 0 && i < ROUNDS; i++)
		rc = burst(w);
	WORLD_CHECK(w, storm.sent_wraps > 0);
	/* After an error nothing more is promised. */
	WORLD_CHECK(w, (rc == -EIO) == (storm.wrap_result == -EIO));
	dies(w, 0);
	check_kept(w);
	leaves(w, 1);
}

ATF_TC_WITHOUT_HEAD(a_ring_goes_around_even_when_that_fails);
ATF_TC_BODY(a_ring_goes_around_even_when_that_fails, tc)
{
	static const struct {
		int result;
		bool done;
	} ends[] = {
		{ 0, false }, { -EIO, false }, { -EIO, true },
		{ -VMFS_EUNKNOWN, false }, { -VMFS_EUNKNOWN, true },
	};

	(void)tc;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		storm.wrap_result = ends[i].result;
		storm.wrap_done = ends[i].done;
		for (uint64_t seed = 1; seed <= 3; seed++)
			run_one(seed, play_wrap);
	}
}

/* ---- the last block of the ring ---- */

static unsigned commits;	/* of one block each */
static bool in_order;		/* the host leaves, and does not die */

static void
play_end(struct world *w)
{
	struct fs *fs;
	struct fs_attr a, set = { 0 };
	struct lock_holder holder;
	unsigned done;

	mounts(w, 0);
	mounts(w, 1);
	if (world_failed(w))
		return;
	fs = w->host[0].fs;
	WORLD_CHECK(w, fs_create(fs, fs_root(fs), "vm", INODE_FILE, 0600, 0, 0,
	    0, &a) == 0);
	for (done = 0; done < commits && !world_failed(w); done++) {
		set.mtime_ns = done + 1;
		WORLD_CHECK(w, fs_setattr(fs, a.ino, 0, FS_SET_MTIME, &set,
		    &a, &holder) == 0);
		WORLD_CHECK(w, ds_commit(w->host[0].ds) == 0);
	}
	if (world_failed(w))
		return;
	if (in_order)
		leaves(w, 0);
	else
		dies(w, 0);
	fs = w->host[1].fs;
	WORLD_CHECK(w, fs_lookup(fs, fs_root(fs), "vm", &a) == 0);
	WORLD_CHECK(w, a.mtime_ns == commits);
	/* The same slot and journal: it goes on where that ended. */
	if (!in_order)
		world_boot(w, 0);
	mounts(w, 0);
	for (unsigned i = 0; i < w->hosts && !world_failed(w); i++)
		leaves(w, i);
}

static void
run_ends(void)
{
	for (commits = JOURNAL_BLOCKS_MIN - 12; commits < JOURNAL_BLOCKS_MIN +
	    4; commits++)
		run_one(1, play_end);
}

ATF_TC_WITHOUT_HEAD(a_log_that_ends_with_the_ring_is_replayed);
ATF_TC_BODY(a_log_that_ends_with_the_ring_is_replayed, tc)
{
	(void)tc;
	in_order = false;
	run_ends();
}

ATF_TC_WITHOUT_HEAD(a_log_that_ends_with_the_ring_is_left_in_order);
ATF_TC_BODY(a_log_that_ends_with_the_ring_is_left_in_order, tc)
{
	(void)tc;
	in_order = true;
	run_ends();
}

/* ---- what a mount finds ---- */

static struct sim_log the_log;
static void (*find)(struct world *w);

/* Was its slot freed without a replay? */
static void
put_commit(void)
{
	struct sim_commit k;

	sim_commit_init(&k);
	sim_log_append(&the_log, &k, 1);
}

static void
find_commit(struct world *w)
{
	put_commit();
	WORLD_CHECK(w, world_mount(w, 0) == -EUCLEAN);
	memset(sim_log_at(&the_log, 0), 0, BLOCK_SIZE);
}

static void
find_other_sequence(struct world *w)
{
	(void)w;
	the_log.head.tail_sequence++;
	put_commit();
}

static void
find_other_chain(struct world *w)
{
	(void)w;
	the_log.head.tail_prev_crc++;
	put_commit();
}

static void
find_other_incarnation(struct world *w)
{
	(void)w;
	the_log.head.incarnation--;
	put_commit();
}

static void
find_no_head(struct world *w)
{
	uint8_t *head[] = {
		sim_block(w, the_log.hb.journal_block),
		sim_block(w, the_log.hb.journal_block + 1),
	};

	head[0][300] ^= 1;
	head[1][300] ^= 1;
	WORLD_CHECK(w, world_mount(w, 0) == -VMFS_ECORRUPT);
	head[0][300] ^= 1;
	head[1][300] ^= 1;
}

static void
find_nothing_readable(struct world *w)
{
	for (uint64_t i = 0; i <= JOURNAL_FIRST_BLOCK; i++) {
		uint64_t at = i < JOURNAL_FIRST_BLOCK ? i :
		    the_log.head.tail_block;

		w->lun.strike = (struct sim_strike){
			.result = -EIO, .last = 1, .ops = 1u << DISK_READ,
			.at = (the_log.hb.journal_block + at) * BLOCK_SIZE,
			.times = 1,
		};
		WORLD_CHECK(w, world_mount(w, 0) == -EIO);
		WORLD_CHECK(w, w->lun.strike.seen == 1);
	}
}

static void
play_find(struct world *w)
{
	mounts(w, 0);
	if (!world_failed(w))
		leaves(w, 0);
	if (!world_failed(w))
		sim_log_read(w, "host0", &the_log);
	WORLD_CHECK(w, the_log.count == 0);
	if (!world_failed(w))
		find(w);
	if (!world_failed(w))
		mounts(w, 0);
	if (!world_failed(w))
		leaves(w, 0);
}

#define FIND_TEST(name, what) \
	ATF_TC_WITHOUT_HEAD(name); \
	ATF_TC_BODY(name, tc) \
	{ \
		(void)tc; \
		find = what; \
		run_one(1, play_find); \
	}

FIND_TEST(a_mount_refuses_a_log_that_nobody_replayed, find_commit)
FIND_TEST(a_mount_goes_over_another_sequence, find_other_sequence)
FIND_TEST(a_mount_goes_over_another_chain, find_other_chain)
FIND_TEST(a_mount_goes_over_another_incarnation, find_other_incarnation)
FIND_TEST(a_mount_refuses_a_journal_without_a_head, find_no_head)
FIND_TEST(a_mount_tells_that_a_journal_cannot_be_read, find_nothing_readable)

/* ---- no room for a journal ---- */

#define PIECE MIB

/* Host 0 fills the LUN and gives back every other chunk. */
static void
fragment(struct world *w, uint64_t *ret_ino)
{
	struct fs *fs = w->host[0].fs;
	uint8_t *buf = disk_buf_alloc(PIECE);
	struct lock_holder holder;
	struct fs_file *f = NULL;
	uint64_t end = 0;
	struct fs_attr a;
	int rc = 0;

	if (buf == NULL)
		abort();
	memset(buf, 1, PIECE);
	WORLD_CHECK(w, fs_create(fs, fs_root(fs), "vm", INODE_DISK, 0600, 0, 0,
	    GIB, &a) == 0);
	WORLD_CHECK(w, fs_file_open(fs, a.ino, 0, FS_READ | FS_WRITE, &f,
	    &holder) == 0);
	for (; rc == 0 && !world_failed(w); end += PIECE)
		rc = fs_file_write(f, end, buf, PIECE);
	WORLD_CHECK(w, rc == -ENOSPC);
	for (uint64_t at = 0; at < end && !world_failed(w);
	    at += 2 * CHUNK_SIZE)
		WORLD_CHECK(w, fs_file_punch(f, at, CHUNK_SIZE) == 0);
	WORLD_CHECK(w, f == NULL || fs_file_close(f) == 0);
	*ret_ino = a.ino;
	free(buf);
}

static void
play_no_room(struct world *w)
{
	uint64_t ino, end;
	struct fs *fs;
	int rc;

	mounts(w, 0);
	if (world_failed(w))
		return;
	fragment(w, &ino);
	/* Leases that are full or idle are given back. */
	fiber_sleep(60 * NSEC_PER_SEC);
	rc = world_mount(w, 1);
	if (rc != -ENOSPC)
		world_fail(w, "mount: %s", vmfs_strerror(rc));
	if (rc == 0)
		leaves(w, 1);
	fs = w->host[0].fs;
	WORLD_CHECK(w, fs_unlink(fs, fs_root(fs), "vm", NULL) == 0);
	end = w->sim.now_ns + WAIT_MS * NSEC_PER_MSEC;
	do {
		fiber_sleep(NSEC_PER_SEC);
		rc = world_mount(w, 1);
	} while (rc == -ENOSPC && w->sim.now_ns < end);
	WORLD_CHECK(w, rc == 0);
	for (unsigned i = 0; i < w->hosts && !world_failed(w); i++)
		leaves(w, i);
}

ATF_TC_WITHOUT_HEAD(a_host_without_room_for_a_journal_is_told);
ATF_TC_BODY(a_host_without_room_for_a_journal_is_told, tc)
{
	(void)tc;
	run_one(1, play_no_room);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, what_a_full_ring_has_promised_is_there);
	ATF_TP_ADD_TC(tp, a_ring_goes_around_even_when_that_fails);
	ATF_TP_ADD_TC(tp, a_log_that_ends_with_the_ring_is_replayed);
	ATF_TP_ADD_TC(tp, a_log_that_ends_with_the_ring_is_left_in_order);
	ATF_TP_ADD_TC(tp, a_mount_refuses_a_log_that_nobody_replayed);
	ATF_TP_ADD_TC(tp, a_mount_goes_over_another_sequence);
	ATF_TP_ADD_TC(tp, a_mount_goes_over_another_chain);
	ATF_TP_ADD_TC(tp, a_mount_goes_over_another_incarnation);
	ATF_TP_ADD_TC(tp, a_mount_refuses_a_journal_without_a_head);
	ATF_TP_ADD_TC(tp, a_mount_tells_that_a_journal_cannot_be_read);
	ATF_TP_ADD_TC(tp, a_host_without_room_for_a_journal_is_told);
	return atf_no_error();
}
