/* SPDX-License-Identifier: BSD-2-Clause */
/* A datastore of several LUNs: what a flush says, and when a LUN may go. */
#include <atf-c.h>
#include <string.h>

#include "libvmfs/core/ds_priv.h"
#include "tests/unit/core_extents_rig.h"
#include "tests/unit/gate_disk.h"

/* Between the datastore and LUN 1. */
static struct {
	struct disk disk;
	struct disk *below;
	bool hold;		/* the next flush */
	struct disk_req *held;
	unsigned flushes;
} lun;

static void
lun_submit(struct disk *d, struct disk_req *req)
{
	(void)d;
	lun.flushes += req->op == DISK_FLUSH;
	if (req->op == DISK_FLUSH && lun.hold) {
		lun.hold = false;
		lun.held = req;
	} else {
		disk_submit(lun.below, req);
	}
}

static const struct disk_ops lun_ops = { .submit = lun_submit };

static void
lun_put(struct box *b)
{
	memset(&lun, 0, sizeof(lun));
	lun.below = b->lun[1];
	lun.disk.ops = &lun_ops;
	lun.disk.info = b->lun[1]->info;
	b->way[1]->below = &lun.disk;
}

/* Beside the test's own fiber. */
struct job {
	struct ds *ds;
	struct fs_file *f;
	int result;
	bool ended;
};

static void
start(struct box *b, void (*fn)(void *arg), struct job *j)
{
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
	lun_put(b);
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

	gate_disk_init(&gate, b->lun[0]);
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
	lun.hold = true;
	gate_disk_open(&gate);
	while (lun.held == NULL && !checkpoint.ended)
		fiber_yield();
	ATF_REQUIRE(lun.held != NULL);
	lun.flushes = 0;
	start(b, flush_main, &flush);
	while (!flush.ended && lun.flushes == 0)
		fiber_yield();
	ATF_CHECK_MSG(lun.flushes > 0, "the guest's flush ended with %d, and "
	    "the LUN has not been asked for one", flush.result);
	disk_submit(lun.below, lun.held);
	while (!flush.ended || !checkpoint.ended)
		fiber_yield();
	ATF_CHECK_EQ(0, flush.result);
	ATF_CHECK_EQ(0, checkpoint.result);
	b->way[0]->below = b->lun[0];
	rig_close(f);
	umount(b);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_flush_reaches_a_lun_that_another_one_is_flushing);
	return atf_no_error();
}
