/* SPDX-License-Identifier: BSD-2-Clause */
/* What goes on while a checkpoint is still being written. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/check/check.h"
#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/fs.h"
#include "tests/unit/core_fixture.h"
#include "tests/unit/gate_disk.h"

#define LEAVES 8u
#define ROUNDS 60u
#define POLLS 300u

struct rig {
	struct fixture f;
	struct disk *mem;
	struct gate_disk gate;
	struct lock_grant g;
	uint64_t leaf[LEAVES];
	uint8_t done;		/* last value that is durable in every leaf */
	bool checkpointed, committed;
};

static void
rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	ATF_REQUIRE_EQ(0, disk_mem_open(64 * MIB, 512, &r->mem));
	gate_disk_init(&r->gate, r->mem);
	fixture_init(&r->f, &r->gate.disk, true);
	r->f.conf.checkpoint_ms = 3600000;
	ATF_REQUIRE_EQ(0, fixture_mount(&r->f));
}

static void
checkpoint_fiber(void *arg)
{
	struct rig *r = arg;

	ATF_CHECK_EQ(0, ds_checkpoint(r->f.ds, 0));
	r->checkpointed = true;
}

static void
start(void (*fn)(void *arg), struct rig *r)
{
	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "side", fn, r));
}

static void
wait_held(struct rig *r)
{
	while (r->gate.count == 0)
		fiber_yield();
}

/* ---- a freed block becomes an inode ---- */

static void
opener_fiber(void *arg)
{
	struct rig *r = arg;

	/* Long after the lock record would have been written. */
	for (unsigned i = 0; i < 1000; i++)
		fiber_yield();
	gate_disk_open(&r->gate);
}

static void
on_finding(void *arg, const struct check_finding *f)
{
	(void)arg;
	if (f->severity != CHECK_NOTE)
		atf_tc_fail_nonfatal("%s", f->text);
}

static void
expect_clean(struct rig *r)
{
	struct check_conf conf = {
		.env = &r->f.env, .disk = r->mem, .own_slot = -1,
		.finding = on_finding,
	};
	struct check_result res;

	ATF_REQUIRE_EQ(0, check_run(&conf, &res));
}

/* The metadata block of a type that is highest on the LUN's image. */
static uint64_t
last_block(struct rig *r, enum block_type type)
{
	uint8_t buf[BLOCK_SIZE];
	struct block_hdr h;
	uint64_t found = 0;

	for (uint64_t b = 0; b < r->f.super.blocks; b++) {
		ATF_REQUIRE_EQ(0, disk_read(r->mem, b * BLOCK_SIZE, buf,
		    BLOCK_SIZE));
		if (block_hdr_decode(buf, type, &r->f.super.uuid, b, &h) == 0)
			found = b;
	}
	ATF_REQUIRE(found != 0);
	return found;
}

/* A leaf of an open file that is punched away under the checkpoint. */
static uint64_t
free_leaf(struct rig *r, struct fs_file *f)
{
	uint8_t page[4096] = { 1 };
	uint64_t leaf;

	ATF_REQUIRE_EQ(0, fs_file_write(f, 8 * MIB, page, sizeof(page)));
	ATF_REQUIRE_EQ(0, ds_checkpoint(r->f.ds, 0));
	leaf = last_block(r, BLOCK_MAP_LEAF);
	ATF_REQUIRE_EQ(0, fs_file_write(f, 8 * MIB + 65536, page,
	    sizeof(page)));
	ATF_REQUIRE_EQ(0, fs_file_flush(f));
	gate_disk_close(&r->gate, leaf, 1, 1);
	start(checkpoint_fiber, r);
	wait_held(r);
	ATF_REQUIRE_EQ(0, fs_file_punch(f, 0, 64 * MIB));
	ATF_REQUIRE_EQ(0, fs_file_flush(f));
	return leaf;
}

static int
body_reuse(void *arg)
{
	struct rig *r = arg;
	struct fs_attr a = { 0 };
	struct fs_file *f;
	struct fs *fs;
	uint64_t leaf;
	char name[16];

	rig_init(r);
	ATF_REQUIRE_EQ(0, fs_open(r->f.ds, &fs));
	ATF_REQUIRE_EQ(0, fs_create(fs, fs_root(fs), "disk", INODE_DISK, 0600,
	    0, 0, 256 * MIB, &a));
	ATF_REQUIRE_EQ(0, fs_file_open(fs, a.ino, 0, FS_WRITE, &f, NULL));
	leaf = free_leaf(r, f);
	start(opener_fiber, r);
	for (unsigned i = 0; i < 60 && a.ino != leaf; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		ATF_REQUIRE_EQ(0, fs_create(fs, fs_root(fs), name, INODE_FILE,
		    0644, 0, 0, 0, &a));
	}
	ATF_CHECK_EQ_MSG(leaf, a.ino, "the block was not used again");
	while (!r->checkpointed)
		fiber_yield();
	ATF_REQUIRE_EQ(0, fs_file_close(f));
	ATF_REQUIRE_EQ(0, fs_file_open(fs, a.ino, 0, FS_WRITE, &f, NULL));
	ATF_REQUIRE_EQ(0, fs_file_close(f));
	ATF_REQUIRE_EQ(0, fs_close(fs));
	ATF_REQUIRE_EQ(0, fixture_umount(&r->f));
	expect_clean(r);
	disk_close(r->mem);
	return 0;
}

ATF_TC_WITHOUT_HEAD(a_new_lock_record_waits_for_the_checkpoint_of_its_block);
ATF_TC_BODY(a_new_lock_record_waits_for_the_checkpoint_of_its_block, tc)
{
	static struct rig r;

	fixture_run(body_reuse, &r);
}

/* ---- the journal's tail ---- */

static void
make_leaves(struct rig *r)
{
	struct mblk *b;
	struct txn *t;
	uint64_t ino;

	ATF_REQUIRE_EQ(0, txn_begin(r->f.ds, LEAVES + 4, &t));
	ATF_REQUIRE_EQ(0, alloc_meta(t, 0, BLOCK_INODE, &ino));
	ATF_REQUIRE_EQ(0, r->f.locks->vt->create(r->f.locks, ino, &r->g));
	ATF_REQUIRE_EQ(0, mb_new(t, &r->g, ino, BLOCK_INODE, &b));
	mb_put(b);
	for (unsigned i = 0; i < LEAVES; i++) {
		ATF_REQUIRE_EQ(0, alloc_meta(t, ino, BLOCK_MAP_LEAF,
		    &r->leaf[i]));
		ATF_REQUIRE_EQ(0, mb_new(t, &r->g, r->leaf[i], BLOCK_MAP_LEAF,
		    &b));
		mb_put(b);
	}
	txn_end(t);
	ATF_REQUIRE_EQ(0, ds_commit(r->f.ds));
}

/* The whole of every leaf, so that a commit is as large as it can be. */
static int
put_all(struct rig *r, uint8_t v)
{
	struct mblk *b;
	struct txn *t;
	int rc = txn_begin(r->f.ds, LEAVES, &t);

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < LEAVES && rc == 0; i++) {
		rc = mb_read(r->f.ds, &r->g, r->leaf[i], BLOCK_MAP_LEAF, &b);
		if (rc < 0)
			break;
		memset(b->data + 256, v, BLOCK_SIZE - 256);
		mb_dirty(t, b, 256, BLOCK_SIZE - 256);
		mb_put(b);
	}
	txn_end(t);
	return rc < 0 ? rc : ds_commit(r->f.ds);
}

static void
commit_fiber(void *arg)
{
	struct rig *r = arg;

	for (uint8_t v = r->done; v < ROUNDS; v++) {
		ATF_REQUIRE_EQ(0, put_all(r, (uint8_t)(v + 1)));
		r->done = (uint8_t)(v + 1);
	}
	r->committed = true;
}

/* The LUN as a power cut would leave it now. */
static struct disk *
copy_of(struct disk *d)
{
	uint8_t *buf = disk_buf_alloc(MIB);
	struct disk *copy;

	ATF_REQUIRE(buf != NULL);
	ATF_REQUIRE_EQ(0, disk_mem_open(d->info.size_bytes, 512, &copy));
	for (uint64_t at = 0; at < d->info.size_bytes; at += MIB) {
		ATF_REQUIRE_EQ(0, disk_read(d, at, buf, MIB));
		ATF_REQUIRE_EQ(0, disk_write(copy, at, buf, MIB, 0));
	}
	free(buf);
	return copy;
}

static void
expect_leaves(struct rig *r, struct disk *d, uint8_t least)
{
	uint8_t buf[BLOCK_SIZE];

	for (unsigned i = 0; i < LEAVES; i++) {
		ATF_REQUIRE_EQ(0, disk_read(d, r->leaf[i] * BLOCK_SIZE, buf,
		    BLOCK_SIZE));
		ATF_CHECK_MSG(buf[256] >= least, "leaf %u has %u, %u was "
		    "durable", i, buf[256], least);
	}
}

static int
body_tail(void *arg)
{
	struct rig *r = arg;
	struct recover_report report;
	struct disk *copy;
	uint8_t durable;

	rig_init(r);
	make_leaves(r);
	ATF_REQUIRE_EQ(0, put_all(r, r->done = 1));
	gate_disk_close(&r->gate, r->f.ds->journal.base, JOURNAL_FIRST_BLOCK,
	    GATE_HELD_MAX);
	/* More than half, so that the room before and behind overlap; but no
	 * commit may have to make the checkpoint itself. */
	while (r->gate.count == 0 &&
	    r->f.ds->journal.pos < r->f.ds->journal.blocks * 6 / 10)
		ATF_REQUIRE_EQ(0, put_all(r, ++r->done));
	start(checkpoint_fiber, r);
	wait_held(r);
	start(commit_fiber, r);
	for (unsigned i = 0; i < POLLS && !r->committed; i++)
		fiber_sleep(NSEC_PER_MSEC);
	durable = r->done;
	copy = copy_of(r->mem);
	ATF_REQUIRE_EQ(0, fixture_recover(&r->f, copy, &report));
	expect_leaves(r, copy, durable);
	disk_close(copy);
	gate_disk_open(&r->gate);
	while (!r->committed || !r->checkpointed)
		fiber_yield();
	ATF_REQUIRE_EQ(0, ds_unlock(r->f.ds, &r->g));
	ATF_REQUIRE_EQ(0, fixture_umount(&r->f));
	disk_close(r->mem);
	return 0;
}

ATF_TC_WITHOUT_HEAD(journal_room_is_free_only_when_the_head_says_so);
ATF_TC_BODY(journal_room_is_free_only_when_the_head_says_so, tc)
{
	static struct rig r;

	fixture_run(body_tail, &r);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp,
	    a_new_lock_record_waits_for_the_checkpoint_of_its_block);
	ATF_TP_ADD_TC(tp, journal_room_is_free_only_when_the_head_says_so);
	return atf_no_error();
}
