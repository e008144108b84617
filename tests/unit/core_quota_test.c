/* SPDX-License-Identifier: BSD-2-Clause */
/* Limits of directories; fsck counts everything again after each case. */
#include <atf-c.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "tests/unit/core_fs_rig.h"

#define LUN (256 * MIB)
#define LIMIT (8 * MIB)

static uint64_t
make_in(struct rig *r, uint64_t dir, const char *name, enum inode_type type,
    uint64_t size)
{
	struct fs_attr a;

	ATF_REQUIRE_EQ(fs_create(r->fs, dir, name, type, 0755, 0, 0, size,
	    &a), 0);
	return a.ino;
}

static void
set(struct rig *r, uint64_t dir, uint64_t limit)
{
	struct fs_quota_left left;

	ATF_REQUIRE_EQ(fs_quota_set(r->fs, dir, limit, 0, &left), 0);
	ATF_REQUIRE_EQ(left.count, 0);
}

static uint64_t
used(struct rig *r, uint64_t ino)
{
	struct fs_quota q;

	ATF_REQUIRE_EQ(fs_quota_get(r->fs, ino, &q), 0);
	return q.used;
}

/* Bytes that could be written in steps, and the error that ended it. */
static uint64_t
fill_up(struct fs_file *f, size_t step, int *ret_error)
{
	cleanup_free void *buf = calloc(1, step);
	uint64_t off = 0;
	int r;

	ATF_REQUIRE(buf != NULL);
	while ((r = fs_file_write(f, off, buf, step)) == 0)
		off += step;
	*ret_error = r;
	return off;
}

static void
run_limit(struct rig *r)
{
	uint64_t dir = rig_create(r, "dir", INODE_DIR, 0);
	struct fs_file *a, *b;
	int error;

	set(r, dir, LIMIT);
	a = rig_open(r, make_in(r, dir, "a", INODE_FILE, 0), FS_WRITE);
	b = rig_open(r, make_in(r, dir, "b", INODE_FILE, 0), FS_WRITE);
	ATF_CHECK_EQ(fill_up(a, CHUNK_SIZE, &error), LIMIT);
	ATF_CHECK_EQ(error, -EDQUOT);
	/* One byte too many is a chunk too many; small files are free. */
	rig_fill(b, 0, 1000, 1);
	ATF_CHECK_EQ(fs_file_write(b, 4000, "", 1), -EDQUOT);
	ATF_CHECK_EQ(fs_file_truncate(a, LIMIT - CHUNK_SIZE), 0);
	rig_fill(b, 4000, 1, 1);
	ATF_CHECK_EQ(used(r, dir), LIMIT);
	rig_close(a);
	rig_close(b);
}

ATF_TC_WITHOUT_HEAD(a_directory_holds_its_limit_to_the_chunk);
ATF_TC_BODY(a_directory_holds_its_limit_to_the_chunk, tc)
{
	(void)tc;
	rig_run(LUN, run_limit);
}

static void
run_disk(struct rig *r)
{
	uint64_t dir = rig_create(r, "dir", INODE_DIR, 0);
	uint64_t below = make_in(r, dir, "below", INODE_DIR, 0), got;
	struct fs_file *f;
	int error;

	set(r, dir, LIMIT);
	f = rig_open(r, make_in(r, below, "d", INODE_DISK, GIB),
	    FS_READ | FS_WRITE);
	got = fill_up(f, 4 * KIB, &error);
	ATF_CHECK_EQ(got, LIMIT);
	ATF_CHECK_EQ(error, -ENOSPC);
	/* What is there can be written, and more once there may be more. */
	rig_fill(f, 0, MIB, 7);
	set(r, dir, LIMIT + CHUNK_SIZE);
	rig_fill(f, got, CHUNK_SIZE, 8);
	ATF_CHECK_EQ(fs_file_write(f, GIB - 512, "", 1), -ENOSPC);
	ATF_CHECK_EQ(fs_file_punch(f, 0, MIB), 0);
	rig_fill(f, GIB - CHUNK_SIZE, CHUNK_SIZE, 9);
	rig_expect(f, 0, MIB, 0);
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(a_disk_at_the_limit_goes_on_when_there_is_room);
ATF_TC_BODY(a_disk_at_the_limit_goes_on_when_there_is_room, tc)
{
	(void)tc;
	rig_run(LUN, run_disk);
}

static void
run_snapshots(struct rig *r)
{
	uint64_t dir = rig_create(r, "dir", INODE_DIR, 0);
	uint64_t ino = make_in(r, dir, "d", INODE_DISK, GIB), held;
	struct fs_snapshot s, s2;
	struct fs_file *f;

	set(r, dir, LIMIT);
	f = rig_open(r, ino, FS_READ | FS_WRITE);
	rig_fill(f, 0, 2 * MIB, 1);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, "s", &s, NULL), 0);
	rig_fill(f, 0, 2 * MIB, 2);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, "s2", &s2, NULL), 0);
	rig_fill(f, 0, 2 * MIB, 3);
	rig_close(f);
	ATF_CHECK_EQ(used(r, dir), 6 * MIB);
	ATF_REQUIRE_EQ(fs_held(r->fs, ino, &held), 0);
	ATF_CHECK_EQ(held, 6 * MIB);
	rig_remount(r);
	ATF_REQUIRE_EQ(fs_snapshot_delete(r->fs, ino, s.id, NULL), 0);
	ATF_CHECK_EQ(used(r, dir), 4 * MIB);
	ATF_REQUIRE_EQ(fs_snapshot_revert(r->fs, ino, s2.id, NULL), 0);
	ATF_CHECK_EQ(used(r, dir), 2 * MIB);
	ATF_REQUIRE_EQ(fs_unlink(r->fs, dir, "d", NULL), 0);
	ATF_CHECK_EQ(used(r, dir), 0);
}

ATF_TC_WITHOUT_HEAD(snapshots_count_for_the_directory_of_their_disk);
ATF_TC_BODY(snapshots_count_for_the_directory_of_their_disk, tc)
{
	(void)tc;
	rig_run(LUN, run_snapshots);
}

/* A disk with a tree of snapshots, some of it shared, and a clone of it. */
static void
make_family(struct rig *r, uint64_t dir)
{
	uint64_t ino = make_in(r, dir, "d", INODE_DISK, GIB);
	struct fs_snapshot s[4];
	struct fs_file *f;
	struct fs_attr a;

	f = rig_open(r, ino, FS_WRITE);
	rig_fill(f, 0, 4 * MIB, 1);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, "0", &s[0], NULL), 0);
	rig_fill(f, MIB, MIB, 2);
	rig_fill(f, 300 * MIB, 4 * KIB, 2);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, "1", &s[1], NULL), 0);
	rig_fill(f, 2 * MIB, 12 * KIB, 3);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, "2", &s[2], NULL), 0);
	rig_close(f);
	ATF_REQUIRE_EQ(fs_snapshot_revert(r->fs, ino, s[1].id, NULL), 0);
	f = rig_open(r, ino, FS_WRITE);
	rig_fill(f, 2 * MIB, 20 * KIB, 4);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, "3", &s[3], NULL), 0);
	rig_fill(f, 0, 64 * KIB, 5);
	rig_close(f);
	/* Its two children were one with it. */
	ATF_REQUIRE_EQ(fs_snapshot_delete(r->fs, ino, s[1].id, NULL), 0);
	ATF_REQUIRE_EQ(fs_clone(r->fs, s[2].ino, dir, "clone", 0600, 0, 0, &a,
	    NULL), 0);
	f = rig_open(r, a.ino, FS_WRITE);
	rig_fill(f, 0, 4 * KIB, 6);
	rig_fill(f, 300 * MIB + 4 * KIB, 4 * KIB, 6);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, a.ino, "c", &s[0], NULL), 0);
	rig_fill(f, 0, 4 * KIB, 7);
	rig_close(f);
}

static void
run_join(struct rig *r)
{
	uint64_t dir = rig_create(r, "dir", INODE_DIR, 0), was;
	uint64_t free_before = rig_free_bytes(r), before, sub;
	struct fs_quota_left left;
	struct fs_quota q;

	sub = make_in(r, dir, "sub", INODE_DIR, 0);
	make_family(r, sub);
	/* fsck says when a count is wrong. */
	set(r, dir, 0);
	was = used(r, sub);
	ATF_CHECK(was > 4 * MIB && was <= free_before);
	rig_remount(r);
	ATF_REQUIRE_EQ(fs_quota_clear(r->fs, dir, &left), 0);
	ATF_CHECK_EQ(left.count, 0);
	ATF_CHECK_EQ(fs_quota_get(r->fs, sub, &q), -ENOENT);
	ATF_CHECK_EQ(fs_quota_clear(r->fs, dir, &left), -ENOENT);
	rig_remount(r);
	/* The same when it was counted from the start. */
	before = rig_create(r, "dir2", INODE_DIR, 0);
	set(r, before, 0);
	make_family(r, before);
	ATF_CHECK_EQ(used(r, before), was);
	ATF_REQUIRE_EQ(fs_unlink(r->fs, before, "clone", NULL), 0);
	ATF_REQUIRE_EQ(fs_unlink(r->fs, before, "d", NULL), 0);
	ATF_CHECK_EQ(used(r, before), 0);
}

ATF_TC_WITHOUT_HEAD(what_is_there_already_is_counted);
ATF_TC_BODY(what_is_there_already_is_counted, tc)
{
	(void)tc;
	rig_run(LUN, run_join);
}

static void
run_names(struct rig *r)
{
	uint64_t dir = rig_create(r, "dir", INODE_DIR, 0);
	uint64_t in = make_in(r, dir, "in", INODE_DIR, 0);
	uint64_t out = rig_create(r, "out", INODE_DIR, 0);
	struct fs *fs = r->fs;
	struct fs_quota_left left;
	struct fs_attr a;

	set(r, dir, LIMIT);
	(void)make_in(r, dir, "f", INODE_FILE, 0);
	(void)make_in(r, out, "g", INODE_FILE, 0);
	ATF_CHECK_EQ(fs_rename(fs, dir, "f", out, "f", 0, NULL), -EXDEV);
	ATF_CHECK_EQ(fs_rename(fs, out, "g", in, "g", 0, NULL), -EXDEV);
	ATF_CHECK_EQ(fs_rename(fs, dir, "in", out, "in", 0, NULL), -EXDEV);
	ATF_CHECK_EQ(fs_rename(fs, r->root, "out", dir, "out", 0, NULL),
	    -EXDEV);
	ATF_CHECK_EQ(fs_rename(fs, dir, "f", out, "g", FS_RENAME_EXCHANGE,
	    NULL), -EXDEV);
	ATF_REQUIRE_EQ(fs_lookup(fs, dir, "f", &a), 0);
	ATF_CHECK_EQ(fs_link(fs, a.ino, 0, out, "l", &a, NULL), -EXDEV);
	ATF_CHECK_EQ(fs_rename(fs, dir, "f", in, "f", 0, NULL), 0);
	ATF_CHECK_EQ(fs_rename(fs, in, "f", dir, "h", 0, NULL), 0);
	/* The directory itself goes where it likes, but into another one. */
	ATF_CHECK_EQ(fs_rename(fs, r->root, "dir", out, "dir", 0, NULL), 0);
	ATF_CHECK_EQ(fs_quota_set(fs, in, LIMIT, 0, &left), -EBUSY);
	ATF_CHECK_EQ(fs_quota_set(fs, out, LIMIT, 0, &left), -EBUSY);
	ATF_CHECK_EQ(fs_quota_set(fs, r->root, LIMIT, 0, &left), -EINVAL);
	ATF_CHECK_EQ(fs_unlink(fs, dir, "h", NULL), 0);
	ATF_CHECK_EQ(fs_rmdir(fs, dir, "in"), 0);
	ATF_CHECK_EQ(fs_rmdir(fs, out, "dir"), -EBUSY);
	ATF_CHECK_EQ(fs_quota_clear(fs, dir, &left), 0);
	ATF_CHECK_EQ(fs_rmdir(fs, out, "dir"), 0);
	ATF_CHECK_EQ(fs_create(fs, out, "new", INODE_DIR, 0755, 0, 0, 0, &a),
	    0);
	ATF_CHECK_EQ(a.account, 0);
}

ATF_TC_WITHOUT_HEAD(what_a_quota_counts_does_not_leave_by_its_name);
ATF_TC_BODY(what_a_quota_counts_does_not_leave_by_its_name, tc)
{
	(void)tc;
	rig_run(LUN, run_names);
}

static void
run_statfs(struct rig *r)
{
	uint64_t dir = rig_create(r, "dir", INODE_DIR, 0);
	uint64_t ino = make_in(r, dir, "f", INODE_FILE, 0);
	struct fs_file *f = rig_open(r, ino, FS_WRITE);
	struct fs_statfs s;

	set(r, dir, LIMIT);
	rig_fill(f, 0, 3 * MIB, 1);
	rig_close(f);
	ATF_REQUIRE_EQ(fs_statfs(r->fs, ino, &s), 0);
	ATF_CHECK_EQ(s.total_bytes, LIMIT);
	ATF_CHECK_EQ(s.free_bytes, 5 * MIB);
	ATF_REQUIRE_EQ(fs_statfs(r->fs, r->root, &s), 0);
	ATF_CHECK_EQ(s.total_bytes, LUN);
}

ATF_TC_WITHOUT_HEAD(df_in_the_directory_shows_its_limit);
ATF_TC_BODY(df_in_the_directory_shows_its_limit, tc)
{
	(void)tc;
	rig_run(LUN, run_statfs);
}

static void
run_open(struct rig *r)
{
	uint64_t dir = rig_create(r, "dir", INODE_DIR, 0);
	struct fs_quota_left left;
	struct fs_file *a, *b;

	set(r, dir, LIMIT);
	a = rig_open(r, make_in(r, dir, "a", INODE_DISK, GIB), FS_WRITE);
	b = rig_open(r, make_in(r, dir, "b", INODE_DISK, GIB), FS_WRITE);
	/* What a has in store and does not need, b gets. */
	rig_fill(a, 0, 4 * MIB, 1);
	rig_fill(b, 0, 4 * MIB, 1);
	ATF_CHECK_EQ(fs_unlink(r->fs, dir, "a", NULL), 0);
	/* It holds its space until it is closed. */
	ATF_CHECK_EQ(fs_file_write(b, 4 * MIB, "", 1), -ENOSPC);
	ATF_CHECK_EQ(fs_quota_clear(r->fs, dir, &left), 0);
	ATF_CHECK_EQ(left.count, 1);
	rig_close(a);
	rig_fill(b, 4 * MIB, MIB, 1);
	ATF_CHECK_EQ(fs_quota_clear(r->fs, dir, &left), 0);
	ATF_CHECK_EQ(left.count, 0);
	rig_fill(b, 8 * MIB, MIB, 1);
	rig_close(b);
}

ATF_TC_WITHOUT_HEAD(open_files_count_until_they_are_closed);
ATF_TC_BODY(open_files_count_until_they_are_closed, tc)
{
	(void)tc;
	rig_run(LUN, run_open);
}

static void
run_reserve(struct rig *r)
{
	uint64_t in = rig_create(r, "in", INODE_DIR, 0);
	uint64_t out = rig_create(r, "out", INODE_FILE, 0), free_bytes;
	struct fs_quota_left left;
	struct fs_file *f;
	struct fs_statfs s;
	int error;

	free_bytes = rig_free_bytes(r);
	ATF_CHECK_EQ(fs_quota_set(r->fs, in, 0, free_bytes + MIB, &left),
	    -ENOSPC);
	ATF_REQUIRE_EQ(fs_quota_set(r->fs, in, 0, 100 * MIB, &left), 0);
	ATF_CHECK(rig_free_bytes(r) <= free_bytes - 100 * MIB);
	f = rig_open(r, out, FS_WRITE);
	ATF_CHECK(fill_up(f, MIB, &error) < free_bytes - 100 * MIB);
	ATF_CHECK_EQ(error, -ENOSPC);
	rig_close(f);
	f = rig_open(r, make_in(r, in, "f", INODE_FILE, 0), FS_WRITE);
	ATF_CHECK(fill_up(f, MIB, &error) >= 99 * MIB);
	ATF_CHECK_EQ(error, -ENOSPC);
	rig_close(f);
	/* It has all of it now: nothing is kept any more. */
	ATF_REQUIRE_EQ(fs_statfs(r->fs, 0, &s), 0);
	ATF_CHECK(s.reserved_bytes <= MIB);
}

ATF_TC_WITHOUT_HEAD(what_is_reserved_others_do_not_get);
ATF_TC_BODY(what_is_reserved_others_do_not_get, tc)
{
	(void)tc;
	rig_run(LUN, run_reserve);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, what_is_reserved_others_do_not_get);
	ATF_TP_ADD_TC(tp, a_directory_holds_its_limit_to_the_chunk);
	ATF_TP_ADD_TC(tp, a_disk_at_the_limit_goes_on_when_there_is_room);
	ATF_TP_ADD_TC(tp, snapshots_count_for_the_directory_of_their_disk);
	ATF_TP_ADD_TC(tp, what_is_there_already_is_counted);
	ATF_TP_ADD_TC(tp, what_a_quota_counts_does_not_leave_by_its_name);
	ATF_TP_ADD_TC(tp, df_in_the_directory_shows_its_limit);
	ATF_TP_ADD_TC(tp, open_files_count_until_they_are_closed);
	return atf_no_error();
}
