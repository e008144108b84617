/* SPDX-License-Identifier: BSD-2-Clause */
/* Who reads a file whose lock this host loses, and what is known of it then. */
#include <atf-c.h>

#include "tests/unit/core_fast_rig.h"

static enum lock_mode lost_on_the_way_to;

/* The lock is lost, as if its record could not be written. */
static int
change_fails(struct lockops *l, uint64_t addr, enum lock_mode mode,
    unsigned flags, uint64_t deadline_ns, struct lock_grant *ret_g,
    struct lock_holder *ret_holder)
{
	struct lock_grant g;
	int r;

	if ((flags & LOCK_CHANGE) == 0 || mode != lost_on_the_way_to)
		return acquire_really(l, addr, mode, flags, deadline_ns,
		    ret_g, ret_holder);
	r = acquire_really(l, addr, mode, flags, deadline_ns, &g,
	    ret_holder);
	if (r == 0)
		r = l->vt->release(l, &g);
	return r != 0 ? r : -EIO;
}

/* Until acquire_as_before. */
static void
break_locks(struct rig *r, enum lock_mode to)
{
	lost_on_the_way_to = to;
	acquire_by(&r->f, change_fails);
}

static struct fs_file *
known_snapshot(struct rig *r, uint64_t ino, struct fs_file *f,
    struct fs_snapshot *ret_s)
{
	struct fs_file *g;

	rig_fill(f, 0, FAST_SIZE, 1);
	ATF_REQUIRE_EQ(0, fs_snapshot_create(r->fs, ino, "s", ret_s, NULL));
	g = rig_open(r, ret_s->ino, FS_READ);
	rig_expect(g, 0, BLOCK_SIZE, 1);
	ATF_REQUIRE(rig_fast_read(g, 0, BLOCK_SIZE));
	return g;
}

static void
lock_is_lost(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, FAST_SIZE);
	struct fs_snapshot snap;
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE), *g;

	g = known_snapshot(r, ino, f, &snap);
	break_locks(r, LOCK_EXCLUSIVE);
	ATF_REQUIRE_EQ(-EIO, fs_snapshot_delete(r->fs, ino, snap.id, NULL));
	acquire_as_before(&r->f);
	ATF_CHECK(!rig_fast_read(g, 0, BLOCK_SIZE));
	/* As who reads without a lock: it may be deleted. */
	rig_expect(g, 0, BLOCK_SIZE, 1);
	rig_close(g);
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(nothing_is_known_when_the_lock_is_lost);
ATF_TC_BODY(nothing_is_known_when_the_lock_is_lost, tc)
{
	rig_run(256 * MIB, lock_is_lost);
}

/* The clone is there; that the lock is lost is its maker's error, and nobody
 * else's who reads the snapshot. */
static void
lost_by_a_clone(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, FAST_SIZE);
	struct fs_snapshot snap;
	struct fs_attr a;
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE), *g;

	g = known_snapshot(r, ino, f, &snap);
	break_locks(r, LOCK_SHARED);
	ATF_CHECK_EQ(-EIO, fs_clone(r->fs, snap.ino, r->root, "c", 0600, 0, 0,
	    &a, NULL));
	acquire_as_before(&r->f);
	ATF_CHECK(!rig_fast_read(g, 0, BLOCK_SIZE));
	rig_expect(g, 0, BLOCK_SIZE, 1);
	rig_close(g);
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(a_clone_may_lose_the_lock_of_its_snapshot);
ATF_TC_BODY(a_clone_may_lose_the_lock_of_its_snapshot, tc)
{
	rig_run(256 * MIB, lost_by_a_clone);
}

/* Who asked that nobody writes meanwhile is told that somebody may. */
static void
shared_is_lost(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, FAST_SIZE);
	struct fs_attr a = { .mode = 0640 };
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	uint8_t byte;
	size_t n;

	rig_fill(f, 0, FAST_SIZE, 1);
	rig_close(f);
	f = rig_open(r, ino, FS_READ | FS_SHARED);
	rig_expect(f, 0, BLOCK_SIZE, 1);
	break_locks(r, LOCK_EXCLUSIVE);
	ATF_REQUIRE_EQ(-EIO, fs_setattr(r->fs, ino, 0, FS_SET_MODE, &a, &a,
	    NULL));
	acquire_as_before(&r->f);
	ATF_CHECK(!rig_fast_read(f, 0, BLOCK_SIZE));
	ATF_CHECK_EQ(-VMFS_EFENCED, fs_file_read(f, 0, &byte, 1, &n));
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(a_shared_lock_that_is_lost_ends_the_reading);
ATF_TC_BODY(a_shared_lock_that_is_lost_ends_the_reading, tc)
{
	rig_run(256 * MIB, shared_is_lost);
}

/* ---- a host that slept ---- */

static struct leased {
	struct disk disk;
	struct disk *below;
	bool over;
} leased;

static void
leased_submit(struct disk *d, struct disk_req *req)
{
	struct leased *l = container_of(d, struct leased, disk);

	if (l->over && req->op == DISK_READ)
		disk_complete(req, -VMFS_EFENCED);
	else
		disk_submit(l->below, req);
}

static bool
leased_current(struct disk *d)
{
	return !container_of(d, struct leased, disk)->over;
}

static void
lease_is_over(struct rig *r)
{
	static const struct disk_ops ops = {
		.submit = leased_submit, .current = leased_current,
	};
	struct fs_file *f;
	uint8_t byte;
	size_t n;

	rig_umount(r);
	leased = (struct leased){ { &ops, r->f.disk->info }, r->f.disk, false };
	r->f.disk = r->f.conf.disk = &leased.disk;
	rig_mount(r);
	f = rig_open(r, rig_create(r, "d", INODE_DISK, FAST_SIZE),
	    FS_READ | FS_WRITE);
	rig_fill(f, MIB, BLOCK_SIZE, 1);
	rig_expect(f, 0, BLOCK_SIZE, 0);
	ATF_REQUIRE(rig_fast_read(f, 0, BLOCK_SIZE));
	leased.over = true;
	ATF_CHECK(!rig_fast_read(f, 0, BLOCK_SIZE));
	ATF_CHECK_EQ(-VMFS_EFENCED, fs_file_read(f, 0, &byte, 1, &n));
	leased.over = false;
	ATF_CHECK(rig_fast_read(f, 0, BLOCK_SIZE));
	rig_expect(f, 0, BLOCK_SIZE, 0);
	rig_close(f);
	rig_umount(r);
	r->f.disk = r->f.conf.disk = leased.below;
	rig_mount(r);
}

ATF_TC_WITHOUT_HEAD(a_hole_is_known_while_the_lease_is_good);
ATF_TC_BODY(a_hole_is_known_while_the_lease_is_good, tc)
{
	rig_run(256 * MIB, lease_is_over);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, nothing_is_known_when_the_lock_is_lost);
	ATF_TP_ADD_TC(tp, a_clone_may_lose_the_lock_of_its_snapshot);
	ATF_TP_ADD_TC(tp, a_shared_lock_that_is_lost_ends_the_reading);
	ATF_TP_ADD_TC(tp, a_hole_is_known_while_the_lease_is_good);
	return atf_no_error();
}
