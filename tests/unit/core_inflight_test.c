/* SPDX-License-Identifier: BSD-2-Clause */
/* What goes on while something else is still being written. */
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
on_finding(void *arg, const struct check_finding *f)
{
	(void)arg;
	if (f->severity != CHECK_NOTE)
		atf_tc_fail_nonfatal("%s", f->text);
}

static void
opener_fiber(void *arg)
{
	struct rig *r = arg;

	/* Long after the lock record would have been written. */
	for (unsigned i = 0; i < 1000; i++)
		fiber_yield();
	gate_disk_open(&r->gate);
}

/* Unmounted: and fsck finds nothing. */
static void
end_clean(struct rig *r, struct fs *fs)
{
	struct check_conf conf = {
		.env = &r->f.env, .disk = r->mem, .own_slot = -1,
		.finding = on_finding,
	};
	struct check_result res;

	ATF_REQUIRE_EQ(0, fs_close(fs));
	ATF_REQUIRE_EQ(0, fixture_umount(&r->f));
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

/* Creates files until one gets that block; whether one did. */
static bool
comes_back(struct fs *fs, char prefix, uint64_t block)
{
	struct fs_attr a = { 0 };
	char name[16];

	for (unsigned i = 0; i < 60 && a.ino != block; i++) {
		(void)snprintf(name, sizeof(name), "%c%u", prefix, i);
		ATF_REQUIRE_EQ(0, fs_create(fs, fs_root(fs), name, INODE_FILE,
		    0644, 0, 0, 0, &a));
	}
	return a.ino == block;
}

static int
body_reuse(void *arg)
{
	struct rig *r = arg;
	struct fs_attr a = { 0 };
	struct fs_file *f;
	struct fs *fs;
	uint64_t leaf;

	rig_init(r);
	ATF_REQUIRE_EQ(0, fs_open(r->f.ds, &fs));
	ATF_REQUIRE_EQ(0, fs_create(fs, fs_root(fs), "disk", INODE_DISK, 0600,
	    0, 0, 256 * MIB, &a));
	ATF_REQUIRE_EQ(0, fs_file_open(fs, a.ino, 0, FS_WRITE, &f, NULL));
	leaf = free_leaf(r, f);
	start(opener_fiber, r);
	if (comes_back(fs, 'a', leaf)) {
		ATF_CHECK(r->checkpointed);
	} else {
		while (!r->checkpointed)
			fiber_yield();
		ATF_REQUIRE_EQ(0, ds_checkpoint(r->f.ds, 0));
		ATF_CHECK(comes_back(fs, 'b', leaf));
	}
	ATF_REQUIRE_EQ(0, fs_file_close(f));
	ATF_REQUIRE_EQ(0, fs_file_open(fs, leaf, 0, FS_WRITE, &f, NULL));
	ATF_REQUIRE_EQ(0, fs_file_close(f));
	end_clean(r, fs);
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

/* ---- chunks that are copied for their writers ---- */

#define WRITERS 8u

struct writer {
	struct fs_file *f;
	unsigned i;
	bool done;
};

static void
put_page(struct fs_file *f, uint64_t offset, uint8_t v)
{
	uint8_t page[4096];

	memset(page, v, sizeof(page));
	ATF_REQUIRE_EQ(0, fs_file_write(f, offset, page, sizeof(page)));
}

static void
expect_page(struct fs_file *f, uint64_t offset, uint8_t v)
{
	uint8_t page[4096];
	size_t n;

	ATF_REQUIRE_EQ(0, fs_file_read(f, offset, page, sizeof(page), &n));
	ATF_REQUIRE_EQ(sizeof(page), n);
	ATF_CHECK_EQ_MSG(v, page[0], "%c at %llu", page[0],
	    (unsigned long long)offset);
	ATF_CHECK_EQ(v, page[4095]);
}

static void
writer_fiber(void *arg)
{
	struct writer *w = arg;

	put_page(w->f, w->i * CHUNK_SIZE + 3 * BLOCK_SIZE, 'c');
	w->done = true;
}

/* Blocks 3 and 9 of each chunk are newer than the first snapshot, and the
 * second one has them. */
static void
make_shared(struct fs *fs, struct fs_attr *ret_a, struct fs_file **ret_f,
    struct fs_snapshot *ret_s)
{
	struct fs_file *f;

	ATF_REQUIRE_EQ(0, fs_create(fs, fs_root(fs), "disk", INODE_DISK, 0600,
	    0, 0, 4 * MIB, ret_a));
	ATF_REQUIRE_EQ(0, fs_file_open(fs, ret_a->ino, 0, FS_READ | FS_WRITE,
	    &f, NULL));
	for (uint64_t at = 0; at < MIB; at += BLOCK_SIZE)
		put_page(f, at, 'a');
	ATF_REQUIRE_EQ(0, fs_snapshot_create(fs, ret_a->ino, "one", ret_s,
	    NULL));
	for (unsigned i = 0; i < WRITERS; i++) {
		put_page(f, i * CHUNK_SIZE + 3 * BLOCK_SIZE, 'b');
		put_page(f, i * CHUNK_SIZE + 9 * BLOCK_SIZE, 'b');
	}
	ATF_REQUIRE_EQ(0, fs_snapshot_create(fs, ret_a->ino, "two", ret_s,
	    NULL));
	*ret_f = f;
}

static int
body_copies(void *arg)
{
	struct rig *r = arg;
	struct writer w[WRITERS];
	struct fs_snapshot two;
	struct fs_file *f, *sf;
	struct fs_attr a;
	struct fs *fs;

	rig_init(r);
	ATF_REQUIRE_EQ(0, fs_open(r->f.ds, &fs));
	make_shared(fs, &a, &f, &two);
	ATF_REQUIRE_EQ(0, fs_file_flush(f));
	gate_disk_close(&r->gate, 0, r->f.super.blocks, WRITERS);
	for (unsigned i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){ .f = f, .i = i };
		ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "writer",
		    writer_fiber, &w[i]));
	}
	for (unsigned i = 0; i < 1000 && r->gate.count < WRITERS; i++)
		fiber_yield();
	ATF_CHECK_EQ_MSG(WRITERS, r->gate.count, "they wait for each other");
	for (unsigned i = 0; i < WRITERS; i++)
		ATF_CHECK(!w[i].done);
	/* Nor does a commit wait for them, or know of what they copy to. */
	ATF_CHECK_EQ(0, ds_commit(r->f.ds));
	gate_disk_open(&r->gate);
	for (unsigned i = 0; i < WRITERS; i++)
		while (!w[i].done)
			fiber_yield();
	ATF_REQUIRE_EQ(0, fs_file_open(fs, two.ino, 0, FS_READ, &sf, NULL));
	for (unsigned i = 0; i < WRITERS; i++) {
		expect_page(f, i * CHUNK_SIZE, 'a');
		expect_page(f, i * CHUNK_SIZE + 3 * BLOCK_SIZE, 'c');
		expect_page(f, i * CHUNK_SIZE + 6 * BLOCK_SIZE, 'a');
		expect_page(f, i * CHUNK_SIZE + 9 * BLOCK_SIZE, 'b');
		expect_page(sf, i * CHUNK_SIZE + 3 * BLOCK_SIZE, 'b');
		expect_page(sf, i * CHUNK_SIZE + 9 * BLOCK_SIZE, 'b');
	}
	ATF_REQUIRE_EQ(0, fs_file_close(sf));
	ATF_REQUIRE_EQ(0, fs_file_close(f));
	end_clean(r, fs);
	disk_close(r->mem);
	return 0;
}

ATF_TC_WITHOUT_HEAD(shared_chunks_are_copied_side_by_side);
ATF_TC_BODY(shared_chunks_are_copied_side_by_side, tc)
{
	static struct rig r;

	fixture_run(body_copies, &r);
}

/* A write that fails gives back what it held. */
static int
body_copy_fails(void *arg)
{
	struct disk_fault *fault;
	struct rig *r = arg;
	struct fs_snapshot two;
	struct fs_file *f;
	struct fs_attr a;
	uint8_t page[4096] = { 'c' };
	struct fs *fs;

	memset(r, 0, sizeof(*r));
	ATF_REQUIRE_EQ(0, disk_mem_open(64 * MIB, 512, &r->mem));
	gate_disk_init(&r->gate, r->mem);
	ATF_REQUIRE_EQ(0, disk_fault_open(&r->gate.disk, &fault));
	fault->countdown = UINT64_MAX;
	fixture_init(&r->f, &fault->disk, true);
	ATF_REQUIRE_EQ(0, fixture_mount(&r->f));
	ATF_REQUIRE_EQ(0, fs_open(r->f.ds, &fs));
	make_shared(fs, &a, &f, &two);
	ATF_REQUIRE_EQ(0, fs_file_flush(f));
	fault->op = DISK_WRITE;
	fault->error = -EIO;
	fault->countdown = 0;
	fault->repeat = 1;
	ATF_CHECK_EQ(-EIO, fs_file_write(f, 3 * BLOCK_SIZE, page,
	    sizeof(page)));
	expect_page(f, 3 * BLOCK_SIZE, 'b');
	put_page(f, 3 * BLOCK_SIZE, 'c');
	expect_page(f, 3 * BLOCK_SIZE, 'c');
	expect_page(f, 9 * BLOCK_SIZE, 'b');
	ATF_REQUIRE_EQ(0, fs_file_close(f));
	/* Clusters that something is held of are not given back. */
	end_clean(r, fs);
	disk_close(&fault->disk);
	disk_close(r->mem);
	return 0;
}

ATF_TC_WITHOUT_HEAD(copy_that_fails_leaves_nothing);
ATF_TC_BODY(copy_that_fails_leaves_nothing, tc)
{
	static struct rig r;

	fixture_run(body_copy_fails, &r);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, shared_chunks_are_copied_side_by_side);
	ATF_TP_ADD_TC(tp, copy_that_fails_leaves_nothing);
	ATF_TP_ADD_TC(tp,
	    a_new_lock_record_waits_for_the_checkpoint_of_its_block);
	ATF_TP_ADD_TC(tp, journal_room_is_free_only_when_the_head_says_so);
	return atf_no_error();
}
