/* SPDX-License-Identifier: BSD-2-Clause */
/* A datastore of several LUNs: what a flush says, and when a LUN may go. */
#include <atf-c.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/extents.h"
#include "tests/unit/core_extents_rig.h"
#include "tests/unit/gate_disk.h"

/* Between the datastore and each of its LUNs. */
static struct tap {
	struct disk disk;
	struct disk *below;
	bool hold;		/* the next of these */
	enum disk_op op;
	struct disk_req *held;
	unsigned flushes;
	bool closed, closed_too_soon;
	int error;		/* of all requests */
	/* Its cache takes blocks of metadata and is lost at the first flush
	 * behind that: who asked is told that the LUN is gone. */
	bool dying;
	unsigned lost;
} tap[2];

static bool
dies(struct tap *t, struct disk_req *req)
{
	bool caught = t->dying && req->op == DISK_WRITE &&
	    req->length <= BLOCK_SIZE && (req->flags & DISK_FUA) == 0;
	bool gone = t->dying && req->op == DISK_FLUSH && t->lost > 0;

	t->lost += caught;
	t->dying = t->dying && !gone;
	if (caught || gone)
		disk_complete(req, gone ? -VMFS_EGONE : 0);
	return caught || gone;
}

static void
tap_submit(struct disk *d, struct disk_req *req)
{
	struct tap *t = container_of(d, struct tap, disk);

	t->flushes += req->op == DISK_FLUSH;
	if (dies(t, req))
		return;
	if (t->error != 0) {
		disk_complete(req, t->error);
	} else if (t->hold && req->op == t->op) {
		t->hold = false;
		t->held = req;
	} else {
		disk_submit(t->below, req);
	}
}

static void
tap_close(struct disk *d)
{
	struct tap *t = container_of(d, struct tap, disk);

	t->closed = true;
	t->closed_too_soon |= t->held != NULL;
}

static const struct disk_ops tap_ops = {
	.submit = tap_submit, .close = tap_close,
};

static void
tap_init(struct box *b, unsigned i)
{
	tap[i] = (struct tap){
		.disk = { .ops = &tap_ops, .info = b->way[i] != NULL ?
		    b->way[i]->disk.info : b->lun[i]->info },
		.below = b->lun[i],
		.op = DISK_FLUSH,
	};
}

static void
tap_on(struct box *b)
{
	for (unsigned i = 0; i < 2; i++) {
		tap_init(b, i);
		b->way[i]->below = &tap[i].disk;
	}
}

static void
tap_release(struct tap *t)
{
	struct disk_req *req = t->held;

	t->held = NULL;
	disk_submit(t->below, req);
}

/* Beside the test's own fiber. */
struct job {
	struct box *b;
	struct ds *ds;
	struct fs_file *f;
	int result;
	bool ended;
};

static void
start(struct box *b, void (*fn)(void *arg), struct job *j)
{
	j->b = b;
	j->ds = b->r.f.ds;
	ATF_REQUIRE_EQ(0, sched_spawn(b->r.f.env.sched, "job", fn, j));
}

static void
checkpoint_main(void *arg)
{
	struct job *j = arg;

	j->result = ds_checkpoint(j->ds, 0);
	j->ended = true;
}

static void
flush_main(void *arg)
{
	struct job *j = arg;

	j->result = fs_file_flush(j->f);
	j->ended = true;
}

static struct fs_file *
open_there(struct box *b)
{
	uint64_t here, there;
	struct fs_file *f;

	two_files(b, &here, &there);
	f = rig_open(&b->r, there, FS_READ | FS_WRITE);
	ATF_REQUIRE_EQ(0, fs_file_flush(f));
	ATF_REQUIRE_EQ(0, ds_checkpoint(b->r.f.ds, 0));
	tap_on(b);
	return f;
}

/*
 * A checkpoint's flush is under way at a LUN when a guest asks for one of what
 * it wrote there before: whether that will be durable nobody knows yet.
 */
EXTENT_TEST(a_flush_reaches_a_lun_that_another_one_is_flushing)
{
	struct fs_file *f = open_there(b);
	struct job checkpoint = { 0 }, flush = { .f = f };
	struct ds *ds = b->r.f.ds;
	struct gate_disk gate;

	gate_disk_init(&gate, &tap[0].disk);
	b->way[0]->below = &gate.disk;
	/* Something to commit and to write. */
	(void)rig_create(&b->r, "new", INODE_FILE, 0);
	rig_fill(f, 90 * MIB, MIB, 5);
	gate_disk_close(&gate, ds->journal.base + 2, ds->journal.blocks - 2,
	    1);
	start(b, checkpoint_main, &checkpoint);
	while (gate.count == 0)
		fiber_yield();
	/* Behind its commit's flush, before its own. */
	rig_fill(f, 79 * MIB, 4096, 6);
	tap[1].hold = true;
	gate_disk_open(&gate);
	while (tap[1].held == NULL && !checkpoint.ended)
		fiber_yield();
	ATF_REQUIRE(tap[1].held != NULL);
	tap[1].flushes = 0;
	start(b, flush_main, &flush);
	while (!flush.ended && tap[1].flushes == 0)
		fiber_yield();
	ATF_CHECK_MSG(tap[1].flushes > 0, "the guest's flush ended with %d, and "
	    "the LUN has not been asked for one", flush.result);
	tap_release(&tap[1]);
	while (!flush.ended || !checkpoint.ended)
		fiber_yield();
	ATF_CHECK_EQ(0, flush.result);
	ATF_CHECK_EQ(0, checkpoint.result);
	b->way[0]->below = &tap[0].disk;
	rig_close(f);
	umount(b);
}

static void
comes_back(struct box *b)
{
	extents_back(b->r.f.disk, &ds_super(b->r.f.ds)->extent[1].uuid);
}

/*
 * LUN 1 loses what a checkpoint has put in its place there before that is
 * flushed.  It was committed and acknowledged before, so that the journal has
 * to have it.
 */
static void
lose_what_a_checkpoint_wrote(struct box *b, bool back_at_once)
{
	struct fs_file *f = open_there(b);
	struct job checkpoint = { 0 };

	rig_fill(f, 90 * MIB, 4 * MIB, 4);
	ATF_REQUIRE_EQ(0, fs_file_flush(f));
	tap[1].dying = true;
	start(b, checkpoint_main, &checkpoint);
	while (tap[1].lost == 0)
		fiber_yield();
	/* The flush goes to both and ends with the last one. */
	tap[0].hold = true;
	while (tap[0].held == NULL || !extents_lost(b->r.f.disk))
		fiber_yield();
	if (back_at_once)
		comes_back(b);
	tap_release(&tap[0]);
	while (!checkpoint.ended)
		fiber_yield();
	ATF_CHECK_EQ(0, checkpoint.result);
	ds_abandon(b->r.f.ds);
	ATF_CHECK(fs_file_close(f) < 0);
	box_kill(b);
	mount_replayed(b);
	umount(b);
}

EXTENT_TEST(what_a_lost_lun_had_not_flushed_stays_in_the_journal)
{
	lose_what_a_checkpoint_wrote(b, false);
}

EXTENT_TEST(and_when_the_lun_is_back_before_the_checkpoint_ends)
{
	lose_what_a_checkpoint_wrote(b, true);
}

/* The same at a replay, which can be done again when the LUN is back. */
EXTENT_TEST(a_replay_that_a_lun_has_not_flushed_does_not_count)
{
	struct fs_file *f = open_there(b);
	struct recover_report report;

	rig_fill(f, 90 * MIB, 4 * MIB, 4);
	ATF_REQUIRE_EQ(0, fs_file_flush(f));
	ds_abandon(b->r.f.ds);
	ATF_CHECK(fs_file_close(f) < 0);
	box_kill(b);
	open_found(b);
	tap_on(b);
	tap[1].dying = true;
	ATF_CHECK_EQ(-VMFS_EEXTENT, fixture_recover(&b->r.f, b->r.f.disk,
	    &report));
	ATF_CHECK(tap[1].lost > 0 && !tap[1].dying);
	disk_close(b->r.f.disk);
	mount_replayed(b);
	umount(b);
}

/* A guest's flush leaves out the LUN, which is back before it has ended. */
EXTENT_TEST(a_guest_is_told_of_a_lun_that_was_lost_during_its_flush)
{
	struct fs_file *f = open_there(b);
	struct job flush = { .f = f };

	rig_fill(f, 79 * MIB, 4096, 6);
	tap[1].dying = true;
	tap[1].lost = 1;
	tap[0].hold = true;
	start(b, flush_main, &flush);
	while (tap[0].held == NULL || !extents_lost(b->r.f.disk))
		fiber_yield();
	comes_back(b);
	tap_release(&tap[0]);
	while (!flush.ended)
		fiber_yield();
	ATF_CHECK_EQ(-VMFS_EEXTENT, flush.result);
	ATF_CHECK_EQ(0, fs_file_flush(f));
	rig_close(f);
	umount(b);
}

/* ---- a LUN that leaves ---- */

/* The datastore gets the LUN itself, so that it closes it. */
static int
add_tapped(struct box *b)
{
	char why[LOCKOPS_WHY] = "";
	struct lock_holder holder;

	return fs_extent_add(b->r.fs, &tap[1].disk, "x", why, &holder);
}

static void
add_main(void *arg)
{
	struct job *j = arg;

	j->result = add_tapped(j->b);
	j->ended = true;
}

static void
rm_main(void *arg)
{
	struct job *j = arg;

	j->result = ds_extent_rm(j->ds, 1);
	j->ended = true;
}

/* As if another host had taken it out. */
static void
follow_main(void *arg)
{
	struct job *j = arg;
	struct super s = *ds_super(j->ds);

	s.extents = 1;
	j->result = ds_extents_follow(j->ds, &s, true);
	j->ended = true;
}

static void
space_main(void *arg)
{
	struct job *j = arg;
	struct ds_space s;

	j->result = ds_space(j->ds, &s);
	j->ended = true;
}

static void
wait_for_held(struct tap *t)
{
	while (t->held == NULL)
		fiber_yield();
}

/* It is used no more, but not closed while something of it is under way. */
static void
leaves_and_is_closed_then(struct box *b, const struct uuid *uuid,
    const struct job *j)
{
	while (extents_lun(b->r.f.disk, uuid) != NULL)
		fiber_yield();
	ATF_CHECK_MSG(!tap[1].closed, "closed with a request in flight");
	tap_release(&tap[1]);
	while (!j->ended || !tap[1].closed)
		fiber_yield();
	ATF_CHECK(!tap[1].closed_too_soon);
}

EXTENT_TEST(a_lun_that_leaves_is_closed_when_its_requests_have_ended)
{
	struct job rm = { 0 }, space = { 0 };
	struct uuid uuid;

	tap_init(b, 1);
	ATF_REQUIRE_EQ(0, add_tapped(b));
	uuid = ds_super(b->r.f.ds)->extent[1].uuid;
	ATF_REQUIRE_EQ(0, ds_extent_leave(b->r.f.ds, 1, true));
	ATF_REQUIRE_EQ(0, ds_checkpoint(b->r.f.ds, 0));
	tap[1].op = DISK_READ;
	tap[1].hold = true;
	start(b, space_main, &space);
	wait_for_held(&tap[1]);
	start(b, rm_main, &rm);
	leaves_and_is_closed_then(b, &uuid, &rm);
	ATF_CHECK_EQ(0, rm.result);
	while (!space.ended)
		fiber_yield();
	umount(b);
}

EXTENT_TEST(a_lun_that_leaves_is_closed_when_it_is_not_asked_any_more)
{
	struct ds *ds = b->r.f.ds;
	struct job follow = { 0 };
	uint8_t buf[BLOCK_SIZE] = { 0 };
	struct uuid uuid;
	uint64_t last;

	tap_init(b, 1);
	ATF_REQUIRE_EQ(0, add_tapped(b));
	uuid = ds_super(ds)->extent[1].uuid;
	last = ds_super(ds)->extent[1].first_block +
	    ds_super(ds)->extent[1].blocks - 1;
	ATF_REQUIRE_EQ(0, disk_write(b->r.f.disk, last << BLOCK_SHIFT, buf,
	    sizeof(buf), 0));
	tap[1].error = -VMFS_EGONE;
	ATF_REQUIRE_EQ(-VMFS_EEXTENT, disk_read(b->r.f.disk,
	    last << BLOCK_SHIFT, buf, sizeof(buf)));
	tap[1].error = 0;
	tap[1].op = DISK_READ;
	tap[1].hold = true;
	/* Is it there again? */
	ds->extents_again_ns = 0;
	ds_extents_keep(ds);
	wait_for_held(&tap[1]);
	start(b, follow_main, &follow);
	leaves_and_is_closed_then(b, &uuid, &follow);
	ATF_CHECK_EQ(0, follow.result);
	while (ds->probing)
		fiber_yield();
	ATF_CHECK(extents_lun(b->r.f.disk, &uuid) == NULL);
	/* What it had not flushed concerns nobody any more. */
	ATF_CHECK_EQ(0, disk_run(b->r.f.disk, &(struct disk_req){
	    .op = DISK_FLUSH, .flags = DISK_ALL_LUNS }));
	/* By another way than the one that is closed. */
	ATF_CHECK_EQ(0, ds_extents_follow(ds, ds_super(ds), true));
	umount(b);
}

/* A guest flushes what is written to a LUN that is about to be one. */
EXTENT_TEST(a_lun_that_was_not_added_is_closed_when_it_is_flushed)
{
	uint64_t ino = rig_create(&b->r, "vm", INODE_DISK, GIB);
	struct fs_file *f = rig_open(&b->r, ino, FS_READ | FS_WRITE);
	struct job adding = { 0 }, flush = { .f = f };
	struct disk *luns[EXTENTS_SEEN_MAX];
	struct disk_req *first;

	rig_fill(f, 0, MIB, 1);
	tap_init(b, 1);
	tap[1].hold = true;
	start(b, add_main, &adding);
	wait_for_held(&tap[1]);
	first = take_ptr(tap[1].held);
	tap[1].hold = true;
	start(b, flush_main, &flush);
	wait_for_held(&tap[1]);
	disk_complete(first, -EIO);
	/* It is not used from here on. */
	while (extents_luns(b->r.f.disk, luns) > 1)
		fiber_yield();
	ATF_CHECK_MSG(!tap[1].closed, "closed with a request in flight");
	tap_release(&tap[1]);
	while (!adding.ended || !flush.ended)
		fiber_yield();
	ATF_CHECK_EQ(-EIO, adding.result);
	ATF_CHECK_EQ(0, flush.result);
	ATF_CHECK(tap[1].closed && !tap[1].closed_too_soon);
	rig_close(f);
	umount(b);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp,
	    a_lun_that_leaves_is_closed_when_its_requests_have_ended);
	ATF_TP_ADD_TC(tp,
	    a_lun_that_leaves_is_closed_when_it_is_not_asked_any_more);
	ATF_TP_ADD_TC(tp, a_lun_that_was_not_added_is_closed_when_it_is_flushed);
	ATF_TP_ADD_TC(tp,
	    what_a_lost_lun_had_not_flushed_stays_in_the_journal);
	ATF_TP_ADD_TC(tp,
	    and_when_the_lun_is_back_before_the_checkpoint_ends);
	ATF_TP_ADD_TC(tp, a_replay_that_a_lun_has_not_flushed_does_not_count);
	ATF_TP_ADD_TC(tp,
	    a_guest_is_told_of_a_lun_that_was_lost_during_its_flush);
	ATF_TP_ADD_TC(tp, a_flush_reaches_a_lun_that_another_one_is_flushing);
	return atf_no_error();
}
