/* SPDX-License-Identifier: BSD-2-Clause */
/* Disks that several hosts write at once: who may, and what they may not. */
#include <atf-c.h>
#include <string.h>

#include "tests/unit/core_fs_rig.h"

#define SIZE (5 * MIB + 512)

static uint64_t
whole_disk(struct rig *r, const char *name)
{
	uint64_t ino = rig_create(r, name, INODE_DISK, SIZE);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);

	ATF_REQUIRE_EQ(fs_file_inflate(f, NULL), 0);
	rig_close(f);
	return ino;
}

static uint64_t
shared_disk(struct rig *r, const char *name)
{
	uint64_t ino = whole_disk(r, name);

	ATF_REQUIRE_EQ(fs_set_multi_writer(r->fs, ino, true, NULL), 0);
	return ino;
}

static void
inflate(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, SIZE), at;
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	struct fs_attr a;

	rig_fill(f, 3 * MIB + 8192, 65536, 'x');
	ATF_REQUIRE_EQ(fs_file_inflate(f, NULL), 0);
	ATF_CHECK_EQ(fs_file_seek(f, 0, false, &at), 0);
	ATF_CHECK_EQ(at, SIZE);
	rig_expect(f, 0, 3 * MIB + 8192, 0);
	rig_expect(f, 3 * MIB + 8192, 65536, 'x');
	rig_expect(f, 3 * MIB + 8192 + 65536, MIB, 0);
	ATF_REQUIRE_EQ(fs_file_attr(f, &a), 0);
	ATF_CHECK_EQ(a.size, SIZE);
	ATF_CHECK(a.allocated >= SIZE);
	rig_close(f);
	rig_remount(r);
	f = rig_open(r, ino, FS_READ);
	rig_expect(f, 3 * MIB + 8192, 65536, 'x');
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(inflate_keeps_data_and_fills_holes);
ATF_TC_BODY(inflate_keeps_data_and_fills_holes, tc)
{
	rig_run(64 * MIB, inflate);
}

static void
too_big(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, 128 * MIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);

	ATF_CHECK_EQ(fs_file_inflate(f, NULL), -ENOSPC);
	rig_expect(f, 0, MIB, 0);
	rig_close(f);
	ATF_CHECK_EQ(fs_set_multi_writer(r->fs, ino, true, NULL), -ENODATA);
	rig_unlink(r, "d");
}

ATF_TC_WITHOUT_HEAD(inflate_beyond_the_space_leaves_a_thin_disk);
ATF_TC_BODY(inflate_beyond_the_space_leaves_a_thin_disk, tc)
{
	rig_run(64 * MIB, too_big);
}

static void
refused(struct rig *r)
{
	uint64_t thin = rig_create(r, "thin", INODE_DISK, SIZE);
	uint64_t file = rig_create(r, "file", INODE_FILE, 0);
	uint64_t ino = whole_disk(r, "d");
	struct lock_holder h = { .mode = LOCK_FREE };
	struct fs_snapshot s;
	struct fs_file *f;
	struct fs_attr a;

	ATF_CHECK_EQ(fs_set_multi_writer(r->fs, thin, true, NULL), -ENODATA);
	ATF_CHECK_EQ(fs_set_multi_writer(r->fs, file, true, NULL), -EINVAL);
	f = rig_open(r, ino, FS_READ | FS_WRITE);
	ATF_CHECK_EQ(fs_set_multi_writer(r->fs, ino, true, &h),
	    -VMFS_ELOCKED);
	ATF_CHECK_EQ(h.state, HOLDER_SELF);
	/* Allocated is not enough: the first write would set valid bits. */
	ATF_REQUIRE_EQ(fs_file_punch(f, MIB, MIB), 0);
	ATF_REQUIRE_EQ(fs_file_allocate(f, MIB, MIB), 0);
	rig_close(f);
	ATF_CHECK_EQ(fs_set_multi_writer(r->fs, ino, true, NULL), -ENODATA);
	f = rig_open(r, ino, FS_READ | FS_WRITE);
	ATF_REQUIRE_EQ(fs_file_inflate(f, NULL), 0);
	rig_close(f);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, "s", &s, NULL), 0);
	ATF_CHECK_EQ(fs_set_multi_writer(r->fs, ino, true, NULL), -EBUSY);
	ATF_REQUIRE_EQ(fs_snapshot_delete(r->fs, ino, s.id, NULL), 0);
	ATF_CHECK_EQ(fs_set_multi_writer(r->fs, ino, true, NULL), 0);
	ATF_REQUIRE_EQ(fs_getattr(r->fs, ino, &a), 0);
	ATF_CHECK(a.multi_writer);
}

ATF_TC_WITHOUT_HEAD(only_a_whole_disk_without_snapshots_is_shared);
ATF_TC_BODY(only_a_whole_disk_without_snapshots_is_shared, tc)
{
	rig_run(64 * MIB, refused);
}

static void
writes(struct rig *r)
{
	uint64_t ino = shared_disk(r, "d");
	struct fs_attr before, after;
	uint8_t buf[1024] = { 1 };
	struct fs_file *f, *g;

	f = rig_open(r, ino, FS_READ | FS_WRITE);
	g = rig_open(r, ino, FS_READ | FS_WRITE);
	ATF_REQUIRE_EQ(fs_file_attr(f, &before), 0);
	rig_fill(f, 512, MIB, 'a');
	rig_fill(g, 2 * MIB, 512, 'b');
	rig_fill(g, SIZE - 512, 512, 'c');
	rig_expect(f, 2 * MIB, 512, 'b');
	rig_expect(f, 0, 512, 0);
	ATF_CHECK_EQ(fs_file_flush(g), 0);
	ATF_CHECK_EQ(fs_file_write(f, 100, buf, 512), -EINVAL);
	ATF_CHECK_EQ(fs_file_write(f, 512, buf, 100), -EINVAL);
	ATF_CHECK_EQ(fs_file_write(f, SIZE - 512, buf, 1024), -ENOSPC);
	ATF_CHECK_EQ(fs_file_allocate(f, 0, SIZE), 0);
	ATF_CHECK_EQ(fs_file_truncate(f, SIZE), 0);
	ATF_REQUIRE_EQ(fs_file_attr(f, &after), 0);
	ATF_CHECK_EQ(after.size, before.size);
	ATF_CHECK_EQ(after.allocated, before.allocated);
	ATF_CHECK_EQ(after.mtime_ns, before.mtime_ns);
	ATF_CHECK_EQ(after.ctime_ns, before.ctime_ns);
	rig_close(f);
	rig_close(g);
	rig_remount(r);
	f = rig_open(r, ino, FS_READ);
	rig_expect(f, 512, MIB, 'a');
	rig_expect(f, SIZE - 512, 512, 'c');
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(writes_change_nothing_but_data);
ATF_TC_BODY(writes_change_nothing_but_data, tc)
{
	rig_run(64 * MIB, writes);
}

static void
forbidden(struct rig *r)
{
	uint64_t ino = shared_disk(r, "d");
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE), *g;
	struct lock_holder h = { .mode = LOCK_FREE };
	struct fs_attr a = { .size = SIZE - 512, .mode = 0600 };
	struct fs_snapshot s;

	ATF_CHECK_EQ(fs_snapshot_create(r->fs, ino, "s", &s, &h),
	    -VMFS_ELOCKED);
	ATF_CHECK_EQ(h.mode, LOCK_MULTI_WRITER);
	ATF_CHECK_EQ(fs_file_punch(f, 0, MIB), -EOPNOTSUPP);
	ATF_CHECK_EQ(fs_file_truncate(f, SIZE - 512), -EPERM);
	ATF_CHECK_EQ(fs_file_truncate(f, SIZE + 512), -EPERM);
	ATF_CHECK_EQ(fs_file_open(r->fs, ino, 0, FS_WRITE | FS_TRUNC, &g,
	    NULL), -EPERM);
	ATF_CHECK_EQ(fs_setattr(r->fs, ino, 0, FS_SET_SIZE, &a, &a, NULL),
	    -EPERM);
	ATF_CHECK_EQ(fs_setattr(r->fs, ino, 0, FS_SET_MODE, &a, &a, &h),
	    -VMFS_ELOCKED);
	ATF_CHECK_EQ(fs_unlink(r->fs, r->root, "d", &h), -VMFS_ELOCKED);
	h.mode = LOCK_FREE;
	ATF_CHECK_EQ(fs_rename(r->fs, r->root, "d", r->root, "e", 0, &h),
	    -VMFS_ELOCKED);
	ATF_CHECK_EQ(h.mode, LOCK_MULTI_WRITER);
	ATF_CHECK_EQ(fs_set_multi_writer(r->fs, ino, false, &h),
	    -VMFS_ELOCKED);
	rig_fill(f, 0, MIB, 'a');
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(what_changes_metadata_is_refused_while_it_is_open);
ATF_TC_BODY(what_changes_metadata_is_refused_while_it_is_open, tc)
{
	rig_run(64 * MIB, forbidden);
}

static void
closed(struct rig *r)
{
	uint64_t ino = shared_disk(r, "d");
	const struct fs_attr like = { .mode = 0600 };
	struct fs_file *f, *to;
	struct fs_snapshot s;
	struct fs_attr a;
	uint64_t end;

	/* Whoever has it next writes in place. */
	ATF_CHECK_EQ(fs_snapshot_create(r->fs, ino, "s", &s, NULL), -EBUSY);
	ATF_CHECK_EQ(fs_clone_now(r->fs, ino, "s", r->root, "c", &like, &s, &a,
	    NULL), -EBUSY);
	f = rig_open(r, ino, FS_READ);
	to = rig_open(r, rig_create(r, "copy", INODE_DISK, SIZE),
	    FS_READ | FS_WRITE);
	ATF_CHECK_EQ(fs_file_share(f, to, 0, 4 * MIB, &end), -EOPNOTSUPP);
	rig_close(to);
	rig_close(f);
	ATF_REQUIRE_EQ(fs_getattr(r->fs, ino, &a), 0);
	ATF_CHECK_EQ(a.snapshots, 0);
	f = rig_open(r, ino, FS_READ | FS_WRITE);
	rig_fill(f, 0, 2 * MIB, 'a');
	rig_close(f);
	ATF_REQUIRE_EQ(fs_rename(r->fs, r->root, "d", r->root, "e", 0, NULL),
	    0);
	ATF_REQUIRE_EQ(fs_set_multi_writer(r->fs, ino, false, NULL), 0);
	f = rig_open(r, ino, FS_READ | FS_WRITE);
	ATF_CHECK_EQ(fs_file_punch(f, 0, MIB), 0);
	ATF_CHECK_EQ(fs_file_truncate(f, SIZE + 512), 0);
	rig_close(f);
	rig_unlink(r, "e");
}

ATF_TC_WITHOUT_HEAD(a_closed_one_is_a_disk_like_others);
ATF_TC_BODY(a_closed_one_is_a_disk_like_others, tc)
{
	rig_run(64 * MIB, closed);
}

static void
as_disk(struct rig *r)
{
	uint64_t ino = shared_disk(r, "d");
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE), *g;
	uint8_t old[512] = { 0 }, image[512] = { 7 }, got[512];
	struct disk *d;

	ATF_REQUIRE_EQ(fs_file_disk(f, "d", &d), 0);
	g = rig_open(r, ino, FS_READ | FS_WRITE);
	ATF_CHECK_EQ(d->info.caps & DISK_CAP_UNMAP, 0);
	ATF_CHECK_EQ(disk_caw(d, MIB, old, image, 512), 0);
	ATF_CHECK_EQ(disk_caw(d, MIB, old, image, 512), -VMFS_EMISCOMPARE);
	ATF_REQUIRE_EQ(disk_read(d, MIB, got, 512), 0);
	ATF_CHECK_EQ(memcmp(got, image, 512), 0);
	rig_fill(g, 0, 3 * MIB, 'z');
	ATF_CHECK_EQ(disk_write_zeroes(d, 512, 2 * MIB, 0), 0);
	rig_expect(g, 512, 2 * MIB, 0);
	rig_expect(g, 2 * MIB + 512, 512, 'z');
	ATF_CHECK_EQ(disk_flush(d), 0);
	rig_close(g);
	disk_close(d);
}

ATF_TC_WITHOUT_HEAD(as_a_disk_it_compares_on_the_lun);
ATF_TC_BODY(as_a_disk_it_compares_on_the_lun, tc)
{
	rig_run(64 * MIB, as_disk);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, inflate_keeps_data_and_fills_holes);
	ATF_TP_ADD_TC(tp, inflate_beyond_the_space_leaves_a_thin_disk);
	ATF_TP_ADD_TC(tp, only_a_whole_disk_without_snapshots_is_shared);
	ATF_TP_ADD_TC(tp, writes_change_nothing_but_data);
	ATF_TP_ADD_TC(tp, what_changes_metadata_is_refused_while_it_is_open);
	ATF_TP_ADD_TC(tp, a_closed_one_is_a_disk_like_others);
	ATF_TP_ADD_TC(tp, as_a_disk_it_compares_on_the_lun);
	return atf_no_error();
}
