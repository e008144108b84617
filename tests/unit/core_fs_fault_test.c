/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each read of the LUN fails once, in the middle of whatever is done to names,
 * files and snapshots: it may fail, but it is done or not done, not in part.
 */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/check/check.h"
#include "tests/unit/core_fs_rig.h"

#define NAMES 90u
#define NAME_PAD 180
#define CACHE_BYTES (8 * BLOCK_SIZE)	/* so that most has to be read again */
#define DISK_BYTES (40 * MIB)

struct trial {
	struct rig r;
	uint64_t dir, other, file, disk, gone, clone, snap;
	uint32_t snap_id, middle_id;
	unsigned leaks;
};

/* Long enough for many directory blocks. */
static const char *
long_name(unsigned n)
{
	static char name[NAME_PAD + 16];

	snprintf(name, sizeof(name), "%0*u", NAME_PAD, n);
	return name;
}

static uint64_t
make(struct rig *r, uint64_t dir, const char *name, enum inode_type type,
    uint64_t size)
{
	struct fs_attr a;

	ATF_REQUIRE_EQ(fs_create(r->fs, dir, name, type, 0644, 0, 0, size, &a),
	    0);
	return a.ino;
}

static uint32_t
snapshot(struct rig *r, uint64_t ino, const char *name, uint64_t *ret_ino)
{
	struct fs_snapshot s;

	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, name, &s, NULL), 0);
	*ret_ino = s.ino;
	return s.id;
}

/* 4 KiB here and there: leaves, shared and not. */
static void
scatter(struct rig *r, uint64_t ino, unsigned from, uint8_t v)
{
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);

	for (unsigned i = from; i < 40; i += 3)
		rig_fill(f, i * MIB + (i % 16) * 65536, BLOCK_SIZE, v);
	rig_close(f);
}

static uint64_t
branching(struct rig *r, const char *name, struct trial *x)
{
	uint64_t ino = rig_create(r, name, INODE_DISK, DISK_BYTES), s;

	scatter(r, ino, 0, 1);
	x->snap_id = snapshot(r, ino, "a", &x->snap);
	scatter(r, ino, 0, 2);
	x->middle_id = snapshot(r, ino, "b", &s);
	scatter(r, ino, 1, 3);
	(void)snapshot(r, ino, "c", &s);
	scatter(r, ino, 2, 4);
	return ino;
}

static void
furnish(struct trial *x)
{
	struct rig *r = &x->r;
	struct fs_attr a;

	x->dir = make(r, r->root, "dir", INODE_DIR, 0);
	x->other = make(r, r->root, "other", INODE_DIR, 0);
	(void)make(r, r->root, "empty", INODE_DIR, 0);
	for (unsigned i = 0; i < NAMES; i++)
		(void)make(r, x->dir, long_name(i), INODE_FILE, 0);
	x->file = make(r, x->dir, "file", INODE_FILE, 0);
	scatter(r, x->file, 0, 5);
	ATF_REQUIRE_EQ(fs_xattr_set(r->fs, x->file, 0, "user.a", "b", 1, 0,
	    NULL), 0);
	x->gone = branching(r, "gone", x);
	x->disk = branching(r, "disk", x);
	ATF_REQUIRE_EQ(fs_clone(r->fs, x->snap, r->root, "clone", 0644, 0, 0,
	    &a, NULL), 0);
	x->clone = a.ino;
	scatter(r, x->clone, 1, 6);
}

/* ---- what is done ---- */

static int
do_unlink(struct trial *x)
{
	return fs_unlink(x->r.fs, x->dir, long_name(7), NULL);
}

static int
do_unlink_file(struct trial *x)
{
	return fs_unlink(x->r.fs, x->dir, "file", NULL);
}

static int
do_unlink_tree(struct trial *x)
{
	return fs_unlink(x->r.fs, x->r.root, "gone", NULL);
}

static int
do_unlink_clone(struct trial *x)
{
	return fs_unlink(x->r.fs, x->r.root, "clone", NULL);
}

static int
do_unlink_many(struct trial *x)
{
	int r = 0;

	for (unsigned i = 0; i < NAMES && r == 0; i++)
		r = fs_unlink(x->r.fs, x->dir, long_name(i), NULL);
	return r;
}

static int
do_rmdir(struct trial *x)
{
	return fs_rmdir(x->r.fs, x->r.root, "empty");
}

static int
do_rename(struct trial *x)
{
	return fs_rename(x->r.fs, x->dir, "file", x->other, "elsewhere", 0,
	    NULL);
}

static int
do_rename_over(struct trial *x)
{
	return fs_rename(x->r.fs, x->dir, "file", x->r.root, "gone", 0, NULL);
}

static int
do_rename_dir(struct trial *x)
{
	return fs_rename(x->r.fs, x->r.root, "other", x->dir, "inside", 0,
	    NULL);
}

static int
do_exchange(struct trial *x)
{
	return fs_rename(x->r.fs, x->dir, "file", x->r.root, "empty",
	    FS_RENAME_EXCHANGE, NULL);
}

static int
do_link(struct trial *x)
{
	struct fs_attr a;

	return fs_link(x->r.fs, x->file, 0, x->dir, long_name(1000), &a, NULL);
}

static int
do_create(struct trial *x)
{
	struct fs_attr a;
	int r = 0;

	for (unsigned i = 0; i < 20 && r == 0; i++)
		r = fs_create(x->r.fs, x->dir, long_name(2000 + i),
		    INODE_FILE, 0644, 0, 0, 0, &a);
	return r;
}

static int
do_clone(struct trial *x)
{
	struct fs_attr a;

	return fs_clone(x->r.fs, x->snap, x->dir, long_name(3000), 0644, 0, 0,
	    &a, NULL);
}

static int
do_snapshot(struct trial *x)
{
	struct fs_snapshot s;

	return fs_snapshot_create(x->r.fs, x->disk, "d", &s, NULL);
}

static int
do_drop(struct trial *x)
{
	return fs_snapshot_delete(x->r.fs, x->disk, x->middle_id, NULL);
}

static int
do_revert(struct trial *x)
{
	return fs_snapshot_revert(x->r.fs, x->disk, x->snap_id, NULL);
}

static int
do_xattr(struct trial *x)
{
	return fs_xattr_set(x->r.fs, x->file, 0, "user.c", "d", 1, 0, NULL);
}

/* On an open file. */
static int
on_file(struct trial *x, uint64_t ino, int (*fn)(struct fs_file *f))
{
	struct fs_file *f;
	int r, e;

	r = fs_file_open(x->r.fs, ino, 0, FS_READ | FS_WRITE, &f, NULL);
	if (r != 0)
		return r;
	r = fn(f);
	e = fs_file_close(f);
	return r != 0 ? r : e;
}

static int
cut_short(struct fs_file *f)
{
	return fs_file_truncate(f, 3 * MIB);
}

static int
do_truncate(struct trial *x)
{
	return on_file(x, x->disk, cut_short);
}

static int
punch(struct fs_file *f)
{
	return fs_file_punch(f, MIB + 4096, 20 * MIB);
}

static int
do_punch(struct trial *x)
{
	return on_file(x, x->disk, punch);
}

static int
allocate(struct fs_file *f)
{
	return fs_file_allocate(f, 0, 4 * MIB);
}

static int
do_allocate(struct trial *x)
{
	return on_file(x, x->disk, allocate);
}

static int
write_some(struct fs_file *f)
{
	static uint8_t buf[BLOCK_SIZE];
	int r = 0;

	for (unsigned i = 0; i < 40 && r == 0; i++)
		r = fs_file_write(f, i * MIB + (i % 16) * 65536 + 512, buf,
		    1024);
	return r;
}

static int
do_write(struct trial *x)
{
	return on_file(x, x->disk, write_some);
}

static int
promote(struct fs_file *f)
{
	return fs_file_promote(f, NULL);
}

static int
do_promote(struct trial *x)
{
	return on_file(x, x->clone, promote);
}

/* ---- the trials ---- */

static void
note_finding(void *arg, const struct check_finding *f)
{
	struct trial *x = arg;

	if (f->severity == CHECK_NOTE)
		return;
	/* What could not be given back is told, and fsck finds it. */
	if (f->rule == CHECK_SPACE_LEAK)
		x->leaks++;
	else
		atf_tc_fail_nonfatal("%s: %s", check_rule_name(f->rule),
		    f->text);
}

/* True when the op has fewer reads than n + 1. */
static bool
trial(const struct trial *made, int (*op)(struct trial *x), uint64_t n)
{
	struct trial x = *made;
	struct disk *over;
	struct disk_fault *fault;
	struct check_result res;
	struct check_conf conf = {
		.own_slot = -1, .finding = note_finding, .arg = &x,
	};
	bool through;
	int r;

	ATF_REQUIRE_EQ(disk_overlay_open(made->r.f.disk, &over), 0);
	ATF_REQUIRE_EQ(disk_fault_open(over, &fault), 0);
	fault->repeat = 0;
	fixture_init(&x.r.f, &fault->disk, false);
	x.r.f.conf.cache_bytes = CACHE_BYTES;
	rig_mount(&x.r);
	fault->op = DISK_READ;
	fault->countdown = n;
	fault->error = -EIO;
	fault->repeat = 1;
	r = op(&x);
	through = fault->repeat == 1;
	if (through)
		ATF_CHECK_EQ_MSG(r, 0, "%s", vmfs_strerror(r));
	fault->repeat = 0;
	/* What was left in part would be written now. */
	(void)!fs_close(x.r.fs);
	(void)!fixture_umount(&x.r.f);
	conf.env = &x.r.f.env;
	conf.disk = over;
	ATF_REQUIRE_EQ(check_run(&conf, &res), 0);
	disk_close(&fault->disk);
	return through;
}

static int
each_read(void *arg)
{
	int (**op)(struct trial *x) = arg;
	static struct trial made;
	struct disk *d;
	uint64_t n = 0;

	ATF_REQUIRE_EQ(disk_mem_open(128 * MIB, 512, &d), 0);
	fixture_init(&made.r.f, d, true);
	rig_mount(&made.r);
	furnish(&made);
	rig_umount(&made.r);
	while (!trial(&made, *op, n))
		n++;
	ATF_CHECK(n > 3);
	disk_close(d);
	return 0;
}

#define FAULT_TEST(name, op)						\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	int (*fn)(struct trial *x) = op;				\
	(void)tc;							\
	fixture_run(each_read, &fn);					\
}

FAULT_TEST(unlink_is_done_or_not, do_unlink)
FAULT_TEST(unlink_of_content_is_done_or_not, do_unlink_file)
FAULT_TEST(unlink_with_snapshots_is_done_or_not, do_unlink_tree)
FAULT_TEST(unlink_of_a_clone_is_done_or_not, do_unlink_clone)
FAULT_TEST(unlink_that_empties_a_directory_is_done_or_not, do_unlink_many)
FAULT_TEST(rmdir_is_done_or_not, do_rmdir)
FAULT_TEST(rename_is_done_or_not, do_rename)
FAULT_TEST(rename_over_another_is_done_or_not, do_rename_over)
FAULT_TEST(rename_of_a_directory_is_done_or_not, do_rename_dir)
FAULT_TEST(exchange_is_done_or_not, do_exchange)
FAULT_TEST(link_is_done_or_not, do_link)
FAULT_TEST(create_is_done_or_not, do_create)
FAULT_TEST(clone_is_done_or_not, do_clone)
FAULT_TEST(snapshot_is_done_or_not, do_snapshot)
FAULT_TEST(drop_is_done_or_not, do_drop)
FAULT_TEST(revert_is_done_or_not, do_revert)
FAULT_TEST(xattr_is_done_or_not, do_xattr)
FAULT_TEST(truncate_is_done_or_not, do_truncate)
FAULT_TEST(punch_is_done_or_not, do_punch)
FAULT_TEST(allocation_is_done_or_not, do_allocate)
FAULT_TEST(write_is_done_or_not, do_write)
FAULT_TEST(promotion_is_done_or_not, do_promote)

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, unlink_is_done_or_not);
	ATF_TP_ADD_TC(tp, unlink_of_content_is_done_or_not);
	ATF_TP_ADD_TC(tp, unlink_with_snapshots_is_done_or_not);
	ATF_TP_ADD_TC(tp, unlink_of_a_clone_is_done_or_not);
	ATF_TP_ADD_TC(tp, unlink_that_empties_a_directory_is_done_or_not);
	ATF_TP_ADD_TC(tp, rmdir_is_done_or_not);
	ATF_TP_ADD_TC(tp, rename_is_done_or_not);
	ATF_TP_ADD_TC(tp, rename_over_another_is_done_or_not);
	ATF_TP_ADD_TC(tp, rename_of_a_directory_is_done_or_not);
	ATF_TP_ADD_TC(tp, exchange_is_done_or_not);
	ATF_TP_ADD_TC(tp, link_is_done_or_not);
	ATF_TP_ADD_TC(tp, create_is_done_or_not);
	ATF_TP_ADD_TC(tp, clone_is_done_or_not);
	ATF_TP_ADD_TC(tp, snapshot_is_done_or_not);
	ATF_TP_ADD_TC(tp, drop_is_done_or_not);
	ATF_TP_ADD_TC(tp, revert_is_done_or_not);
	ATF_TP_ADD_TC(tp, xattr_is_done_or_not);
	ATF_TP_ADD_TC(tp, truncate_is_done_or_not);
	ATF_TP_ADD_TC(tp, punch_is_done_or_not);
	ATF_TP_ADD_TC(tp, allocation_is_done_or_not);
	ATF_TP_ADD_TC(tp, write_is_done_or_not);
	ATF_TP_ADD_TC(tp, promotion_is_done_or_not);
	return atf_no_error();
}
