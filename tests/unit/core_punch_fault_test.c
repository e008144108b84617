/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A MiB is punched of which part is a snapshot's as well, and something fails in
 * the middle of that.
 */
#include <atf-c.h>
#include <limits.h>
#include <stdio.h>

#include "libvmfs/check/check.h"
#include "tests/unit/core_fs_rig.h"

#define SIBLINGS 100u		/* more than the cache has blocks */
#define CACHE_BYTES (8 * BLOCK_SIZE)
#define KIB ((uint64_t)1 << 10)
#define STEP 47u		/* of so many reads one fails */

static struct disk *made;
static uint64_t ino;		/* its second MiB is to be punched */
static uint64_t step;		/* so much of that goes at once */
static unsigned frees;		/* until one fails; UINT_MAX: none does */

int __real_free_chunks(struct txn *t, uint64_t chunk, uint64_t count);
int __wrap_free_chunks(struct txn *t, uint64_t chunk, uint64_t count);

int
__wrap_free_chunks(struct txn *t, uint64_t chunk, uint64_t count)
{
	return frees != UINT_MAX && frees-- == 0 ? -ENOMEM :
	    __real_free_chunks(t, chunk, count);
}

static uint32_t
snapshot(struct rig *r, const char *name)
{
	struct fs_snapshot s;

	ATF_REQUIRE_EQ(0, fs_snapshot_create(r->fs, ino, name, &s, NULL));
	return s.id;
}

static void
punch(struct rig *r, uint64_t off, uint64_t len)
{
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);

	ATF_REQUIRE_EQ(0, fs_file_punch(f, off, len));
	rig_close(f);
}

/* A snapshot beside the head, which is as `first` then. */
static void
branch(struct rig *r, unsigned i, uint32_t first)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "s%u", i);
	(void)snapshot(r, name);
	ATF_REQUIRE_EQ(0, fs_snapshot_revert(r->fs, ino, first, NULL));
}

static void
fill(struct rig *r, uint64_t off, size_t len)
{
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);

	rig_fill(f, off, len, 7);
	rig_close(f);
}

/* In one piece, older than the last snapshot.  One has what the head has but
 * for two pieces, the others nothing. */
static void
in_one_piece(struct rig *r)
{
	uint32_t first;

	step = MIB;
	fill(r, MIB, MIB);
	first = snapshot(r, "first");
	punch(r, MIB + 128 * KIB, 256 * KIB);
	punch(r, MIB + 512 * KIB, 256 * KIB);
	branch(r, 0, first);
	for (unsigned i = 1; i < SIBLINGS; i++) {
		punch(r, MIB, MIB);
		branch(r, i, first);
	}
	ATF_REQUIRE_EQ(0, fs_snapshot_delete(r->fs, ino, first, NULL));
}

/* Two chunks are the head's in part. */
static void
in_chunks(struct rig *r)
{
	step = 64 * KIB;
	fill(r, MIB, MIB);
	(void)snapshot(r, "first");
	fill(r, MIB, BLOCK_SIZE);
	fill(r, MIB + 512 * KIB, BLOCK_SIZE);
}

static void
make(void (*furnish)(struct rig *r))
{
	struct rig r;

	frees = UINT_MAX;
	ATF_REQUIRE_EQ(0, disk_mem_open(128 * MIB, 512, &made));
	fixture_init(&r.f, made, true);
	rig_mount(&r);
	ino = rig_create(&r, "disk", INODE_DISK, 40 * MIB);
	furnish(&r);
	rig_umount(&r);
}

static void
note_finding(void *arg, const struct check_finding *f)
{
	unsigned *leaks = arg;

	if (f->rule == CHECK_SPACE_LEAK)
		(*leaks)++;
	else if (f->severity != CHECK_NOTE)
		atf_tc_fail_nonfatal("%s: %s", check_rule_name(f->rule),
		    f->text);
}

static void
fsck(struct rig *r, struct disk *d, unsigned *ret_leaks)
{
	struct check_result res;
	struct check_conf conf = {
		.env = &r->f.env, .disk = d, .own_slot = -1,
		.finding = note_finding, .arg = ret_leaks,
	};

	*ret_leaks = 0;
	ATF_REQUIRE_EQ(0, check_run(&conf, &res));
}

/*
 * The MiB is punched while its read number `reads` or free number `fails` does
 * not work; if it says so, the first step has `after` in it.  False: there are
 * less.
 */
static bool
trial(uint64_t reads, unsigned fails, uint8_t after, unsigned *ret_leaks)
{
	struct rig r;
	struct disk *over;
	struct disk_fault *fault;
	struct fs_file *f;
	bool failed;
	int rc;

	ATF_REQUIRE_EQ(0, disk_overlay_open(made, &over));
	ATF_REQUIRE_EQ(0, disk_fault_open(over, &fault));
	fault->repeat = 0;
	fixture_init(&r.f, &fault->disk, false);
	r.f.conf.cache_bytes = CACHE_BYTES;
	rig_mount(&r);
	f = rig_open(&r, ino, FS_READ | FS_WRITE);
	fault->op = DISK_READ;
	fault->countdown = reads;
	fault->error = -EIO;
	fault->repeat = reads != UINT64_MAX;
	frees = fails;
	rc = fs_file_punch(f, MIB, MIB);
	failed = fault->repeat == 0 && reads != UINT64_MAX;
	failed |= frees == UINT_MAX && fails != UINT_MAX;
	fault->repeat = 0;
	frees = UINT_MAX;
	ATF_CHECK(rc == 0 || failed);
	rig_expect(f, MIB, rc != 0 ? step : MIB, rc != 0 ? after : 0);
	rig_close(f);
	ATF_REQUIRE_EQ(0, fs_close(r.fs));
	ATF_REQUIRE_EQ(0, fixture_umount(&r.f));
	fsck(&r, over, ret_leaks);
	disk_close(&fault->disk);
	return failed;
}

static int
each_read(void *arg)
{
	unsigned leaks;
	uint64_t n = 0;

	(void)arg;
	make(in_one_piece);
	for (; trial(n, UINT_MAX, 7, &leaks); n += STEP)
		ATF_CHECK_EQ_MSG(0, leaks, "read %llu", (unsigned long long)n);
	ATF_CHECK(n > 0);
	disk_close(made);
	return 0;
}

ATF_TC_WITHOUT_HEAD(a_punch_whose_read_fails_changes_nothing);
ATF_TC_BODY(a_punch_whose_read_fails_changes_nothing, tc)
{
	(void)tc;
	fixture_run(each_read, NULL);
}

static int
each_free(void *arg)
{
	void (*const *furnish)(struct rig *r) = arg;
	unsigned leaks, n = 0;

	make(*furnish);
	for (; trial(UINT64_MAX, n, 0, &leaks); n++)
		ATF_CHECK_EQ(1, leaks);
	ATF_CHECK_EQ(2, n);
	ATF_CHECK_EQ(0, leaks);
	disk_close(made);
	return 0;
}

ATF_TC_WITHOUT_HEAD(what_a_punch_cannot_free_is_named_no_more);
ATF_TC_BODY(what_a_punch_cannot_free_is_named_no_more, tc)
{
	void (*furnish)(struct rig *r) = in_one_piece;

	(void)tc;
	fixture_run(each_free, &furnish);
}

/* Each time one of two, and the punch of chunks ends there. */
ATF_TC_WITHOUT_HEAD(a_chunk_that_cannot_be_freed_is_counted_out);
ATF_TC_BODY(a_chunk_that_cannot_be_freed_is_counted_out, tc)
{
	void (*furnish)(struct rig *r) = in_chunks;

	(void)tc;
	fixture_run(each_free, &furnish);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_punch_whose_read_fails_changes_nothing);
	ATF_TP_ADD_TC(tp, what_a_punch_cannot_free_is_named_no_more);
	ATF_TP_ADD_TC(tp, a_chunk_that_cannot_be_freed_is_counted_out);
	return atf_no_error();
}
