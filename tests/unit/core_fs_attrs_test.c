/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extended attributes and further names, where tests/posix does not reach:
 * clones, snapshots, deletions, volumes of before.
 */
#include <atf-c.h>
#include <string.h>

#include "tests/unit/core_fs_rig.h"

static void
set(struct rig *r, uint64_t ino, const char *name, const char *value)
{
	ATF_REQUIRE_EQ(fs_xattr_set(r->fs, ino, 0, name, value, strlen(value),
	    0, NULL), 0);
}

/* NULL: there is none. */
static void
expect(struct rig *r, uint64_t ino, const char *name, const char *want)
{
	char value[64];
	size_t len;
	int rc = fs_xattr_get(r->fs, ino, name, value, sizeof(value), &len);

	ATF_REQUIRE_EQ(rc, want == NULL ? -ENODATA : 0);
	ATF_CHECK(want == NULL || (len == strlen(want) &&
	    memcmp(value, want, len) == 0));
}

static void
clone_body(struct rig *r)
{
	uint64_t disk = rig_create(r, "disk", INODE_DISK, MIB);
	struct fs_snapshot s;
	struct fs_attr a;

	set(r, disk, "user.a", "one");
	set(r, disk, "trusted.b", "two");
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, disk, "s", &s, NULL), 0);
	expect(r, s.ino, "user.a", NULL);
	ATF_CHECK_EQ(fs_xattr_set(r->fs, s.ino, 0, "user.a", "x", 1, 0, NULL),
	    -EROFS);
	ATF_REQUIRE_EQ(fs_clone(r->fs, s.ino, r->root, "clone", 0600, 0, 0, &a,
	    NULL), 0);
	expect(r, a.ino, "user.a", "one");
	expect(r, a.ino, "trusted.b", "two");
	set(r, disk, "user.a", "three");
	ATF_REQUIRE_EQ(fs_xattr_remove(r->fs, a.ino, 0, "trusted.b", NULL), 0);
	rig_remount(r);
	expect(r, a.ino, "user.a", "one");
	expect(r, a.ino, "trusted.b", NULL);
	expect(r, disk, "user.a", "three");
	expect(r, disk, "trusted.b", "two");
	ATF_REQUIRE_EQ(fs_snapshot_revert(r->fs, disk, s.id, NULL), 0);
	expect(r, disk, "user.a", "three");
	rig_unlink(r, "clone");
	rig_unlink(r, "disk");
}

ATF_TC_WITHOUT_HEAD(clones_have_the_attributes_of_their_disk);
ATF_TC_BODY(clones_have_the_attributes_of_their_disk, tc)
{
	rig_run(64 * MIB, clone_body);
}

/* More than the volume has room for, were they not freed; rig_run's fsck sees
 * each block that is lost. */
static void
free_body(struct rig *r)
{
	struct fs_attr a;

	for (unsigned i = 0; i < 40; i++) {
		uint64_t ino = rig_create(r, "f", INODE_FILE, 0);

		set(r, ino, "user.a", "gone with the file");
		rig_unlink(r, "f");
		ino = rig_create(r, "d", INODE_DIR, 0);
		set(r, ino, "user.a", "gone with the directory");
		ATF_REQUIRE_EQ(fs_rmdir(r->fs, r->root, "d"), 0);
		ATF_REQUIRE_EQ(fs_symlink(r->fs, r->root, "s", "x", 0, 0, &a),
		    0);
		set(r, a.ino, "trusted.a", "gone with the link");
		rig_unlink(r, "s");
	}
	set(r, r->root, "user.a", "stays");
}

ATF_TC_WITHOUT_HEAD(attributes_go_with_their_inode);
ATF_TC_BODY(attributes_go_with_their_inode, tc)
{
	rig_run(64 * MIB, free_body);
}

static void
strip_body(struct rig *r)
{
	uint64_t ino = rig_create(r, "f", INODE_FILE, 0);
	const struct fs_attr mode = { .mode = 06755 };
	struct fs_file *f;
	struct fs_attr a;

	set(r, ino, "security.capability", "cap");
	set(r, ino, "user.a", "stays");
	ATF_REQUIRE_EQ(fs_setattr(r->fs, ino, 0, FS_SET_MODE, &mode, &a, NULL),
	    0);
	f = rig_open(r, ino, FS_WRITE);
	ATF_REQUIRE_EQ(fs_file_strip_ids(f), 0);
	rig_close(f);
	expect(r, ino, "security.capability", NULL);
	expect(r, ino, "user.a", "stays");
	ATF_REQUIRE_EQ(fs_getattr(r->fs, ino, &a), 0);
	ATF_CHECK_EQ(a.mode, 0755);
}

ATF_TC_WITHOUT_HEAD(capabilities_do_not_outlive_a_strangers_write);
ATF_TC_BODY(capabilities_do_not_outlive_a_strangers_write, tc)
{
	rig_run(64 * MIB, strip_body);
}

static void
fast_body(struct rig *r)
{
	uint64_t ino = rig_create(r, "program", INODE_FILE, 0);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);

	rig_fill(f, 0, 2 * MIB, 1);
	rig_expect(f, 0, BLOCK_SIZE, 1);
	ATF_CHECK(rig_fast_write(f, 0, BLOCK_SIZE, 2));
	set(r, ino, "security.capability", "cap");
	ATF_CHECK(!rig_fast_write(f, 0, BLOCK_SIZE, 3));
	/* Nor when it is looked up again. */
	rig_expect(f, 0, BLOCK_SIZE, 2);
	ATF_CHECK(!rig_fast_write(f, 0, BLOCK_SIZE, 3));
	ATF_REQUIRE_EQ(fs_file_strip_ids(f), 0);
	rig_expect(f, 0, BLOCK_SIZE, 2);
	ATF_CHECK(rig_fast_write(f, 0, BLOCK_SIZE, 3));
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(capabilities_are_not_written_past);
ATF_TC_BODY(capabilities_are_not_written_past, tc)
{
	rig_run(256 * MIB, fast_body);
}

static void
before_body(struct rig *r)
{
	uint64_t ino = rig_create(r, "f", INODE_FILE, 0);
	struct super s;
	struct fs_attr a;

	rig_umount(r);
	ATF_REQUIRE_EQ(super_read(r->f.disk, &s), 0);
	s.ro_compat &= ~FEATURE_RO_COMPAT_ATTRS;
	ATF_REQUIRE_EQ(super_write(r->f.disk, &s), 0);
	rig_mount(r);
	ATF_CHECK_EQ(fs_xattr_set(r->fs, ino, 0, "user.a", "x", 1, 0, NULL),
	    -EOPNOTSUPP);
	ATF_CHECK_EQ(fs_link(r->fs, ino, 0, r->root, "g", &a, NULL), -EPERM);
}

ATF_TC_WITHOUT_HEAD(volumes_of_before_have_neither);
ATF_TC_BODY(volumes_of_before_have_neither, tc)
{
	rig_run(64 * MIB, before_body);
}

static void
disk_body(struct rig *r)
{
	uint64_t disk = rig_create(r, "disk", INODE_DISK, MIB);
	struct fs_attr a;

	ATF_CHECK_EQ(fs_link(r->fs, disk, 0, r->root, "other", &a, NULL),
	    -EPERM);
}

ATF_TC_WITHOUT_HEAD(disks_have_one_name);
ATF_TC_BODY(disks_have_one_name, tc)
{
	rig_run(64 * MIB, disk_body);
}

static void
quota_body(struct rig *r)
{
	struct fs_quota_left left;
	struct fs_attr dir, f, a;
	struct fs_file *o;

	ATF_REQUIRE_EQ(fs_create(r->fs, r->root, "d", INODE_DIR, 0755, 0, 0, 0,
	    &dir), 0);
	ATF_REQUIRE_EQ(fs_create(r->fs, dir.ino, "f", INODE_FILE, 0644, 0, 0,
	    0, &f), 0);
	ATF_REQUIRE_EQ(fs_link(r->fs, f.ino, 0, dir.ino, "g", &a, NULL), 0);
	ATF_REQUIRE_EQ(fs_quota_set(r->fs, dir.ino, MIB, 0, &left), 0);
	o = rig_open(r, f.ino, FS_WRITE);
	rig_fill(o, 0, 64 * KIB, 1);
	rig_close(o);
	ATF_CHECK_EQ(fs_link(r->fs, f.ino, 0, r->root, "h", &a, NULL), -EXDEV);
	ATF_CHECK_EQ(fs_link(r->fs, f.ino, 0, dir.ino, "h", &a, NULL), 0);
	ATF_CHECK_EQ(fs_unlink(r->fs, dir.ino, "f", NULL), 0);
	ATF_CHECK_EQ(fs_unlink(r->fs, dir.ino, "g", NULL), 0);
	f.ino = rig_create(r, "out", INODE_FILE, 0);
	ATF_CHECK_EQ(fs_link(r->fs, f.ino, 0, dir.ino, "in", &a, NULL), -EXDEV);
}

ATF_TC_WITHOUT_HEAD(names_of_one_file_are_in_one_quota);
ATF_TC_BODY(names_of_one_file_are_in_one_quota, tc)
{
	rig_run(64 * MIB, quota_body);
}

/* ---- one name comes while the only other one goes ---- */

struct going {
	struct rig *r;
	bool done;
	struct fiber_cond cond;
};

static void
go(void *arg)
{
	struct going *g = arg;

	rig_unlink(g->r, "f");
	g->done = true;
	fiber_cond_broadcast(&g->cond);
}

static void
race(struct rig *r, unsigned yields)
{
	uint64_t ino = rig_create(r, "f", INODE_FILE, 0);
	struct going g = { .r = r };
	struct fs_attr dir, a;
	int rc;

	ATF_REQUIRE_EQ(fs_create(r->fs, r->root, "d", INODE_DIR, 0755, 0, 0, 0,
	    &dir), 0);
	fiber_cond_init(&g.cond);
	ATF_REQUIRE_EQ(sched_spawn(sched_current(), "go", go, &g), 0);
	while (yields-- > 0)
		fiber_yield();
	rc = fs_link(r->fs, ino, 0, dir.ino, "g", &a, NULL);
	while (!g.done)
		fiber_cond_wait(&g.cond);
	ATF_REQUIRE(rc == 0 || rc == -ENOENT || rc == -ESTALE);
	if (rc == 0) {
		ATF_REQUIRE_EQ(fs_getattr(r->fs, ino, &a), 0);
		ATF_CHECK_EQ(a.nlink, 1);
		ATF_REQUIRE_EQ(fs_unlink(r->fs, dir.ino, "g", NULL), 0);
	}
	ATF_REQUIRE_EQ(fs_rmdir(r->fs, r->root, "d"), 0);
}

static void
race_body(struct rig *r)
{
	for (unsigned yields = 0; yields < 12; yields++)
		race(r, yields);
}

ATF_TC_WITHOUT_HEAD(a_name_comes_while_the_last_one_goes);
ATF_TC_BODY(a_name_comes_while_the_last_one_goes, tc)
{
	rig_run(64 * MIB, race_body);
}

/* What had the number before is meant. */
static void
meant_body(struct rig *r)
{
	uint64_t ino = rig_create(r, "f", INODE_FILE, 0);
	const struct fs_attr none = { .mode = 0 };
	struct fs_attr is, a;
	uint32_t was;

	set(r, ino, "user.a", "x");
	ATF_REQUIRE_EQ(fs_getattr(r->fs, ino, &is), 0);
	was = is.generation ^ 1;
	ATF_CHECK_EQ(fs_setattr(r->fs, ino, was, FS_SET_MODE, &none, &a, NULL),
	    -ESTALE);
	ATF_CHECK_EQ(fs_setattr(r->fs, ino, was, FS_SET_SIZE, &none, &a, NULL),
	    -ESTALE);
	ATF_CHECK_EQ(fs_xattr_set(r->fs, ino, was, "user.b", "y", 1, 0, NULL),
	    -ESTALE);
	ATF_CHECK_EQ(fs_xattr_remove(r->fs, ino, was, "user.a", NULL),
	    -ESTALE);
	ATF_CHECK_EQ(fs_link(r->fs, ino, was, r->root, "g", &a, NULL),
	    -ESTALE);
	expect(r, ino, "user.a", "x");
	expect(r, ino, "user.b", NULL);
	ATF_REQUIRE_EQ(fs_getattr(r->fs, ino, &a), 0);
	ATF_CHECK_EQ(a.mode, is.mode);
	ATF_CHECK_EQ(a.nlink, 1);
	ATF_CHECK_EQ(fs_setattr(r->fs, ino, is.generation, FS_SET_MODE, &none,
	    &a, NULL), 0);
	ATF_CHECK_EQ(fs_link(r->fs, ino, is.generation, r->root, "g", &a,
	    NULL), 0);
}

ATF_TC_WITHOUT_HEAD(another_use_of_a_number_is_left_alone);
ATF_TC_BODY(another_use_of_a_number_is_left_alone, tc)
{
	rig_run(64 * MIB, meant_body);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, clones_have_the_attributes_of_their_disk);
	ATF_TP_ADD_TC(tp, attributes_go_with_their_inode);
	ATF_TP_ADD_TC(tp, capabilities_do_not_outlive_a_strangers_write);
	ATF_TP_ADD_TC(tp, capabilities_are_not_written_past);
	ATF_TP_ADD_TC(tp, volumes_of_before_have_neither);
	ATF_TP_ADD_TC(tp, disks_have_one_name);
	ATF_TP_ADD_TC(tp, names_of_one_file_are_in_one_quota);
	ATF_TP_ADD_TC(tp, a_name_comes_while_the_last_one_goes);
	ATF_TP_ADD_TC(tp, another_use_of_a_number_is_left_alone);
	return atf_no_error();
}
