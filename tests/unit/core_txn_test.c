/* SPDX-License-Identifier: BSD-2-Clause */
/* Many fibers in one datastore: group commit, hot blocks, being fenced. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/ds_priv.h"
#include "tests/unit/core_fixture.h"

#define WORKERS 8u
#define ROUNDS 100u

struct crowd {
	struct fixture f;
	struct disk *disk;
	struct lock_grant g;
	uint64_t leaf[WORKERS];
	uint8_t done[WORKERS];		/* last value that is durable */
	unsigned running, next;
	struct fiber_cond ended;
	int stop_at;			/* workers expect this error, or 0 */
	bool shared;			/* all change leaf 0 as well */
};

static void
crowd_begin(struct crowd *c)
{
	struct mblk *b;
	struct txn *t;
	uint64_t ino;

	memset(c, 0, sizeof(*c));
	fiber_cond_init(&c->ended);
	ATF_REQUIRE_EQ(disk_mem_open(64 * MIB, 512, &c->disk), 0);
	fixture_init(&c->f, c->disk, true);
	ATF_REQUIRE_EQ(fixture_mount(&c->f), 0);
	ATF_REQUIRE_EQ(txn_begin(c->f.ds, WORKERS + 4, &t), 0);
	ATF_REQUIRE_EQ(alloc_meta(t, 0, BLOCK_INODE, &ino), 0);
	ATF_REQUIRE_EQ(c->f.locks->vt->create(c->f.locks, ino, &c->g), 0);
	ATF_REQUIRE_EQ(mb_new(t, &c->g, ino, BLOCK_INODE, &b), 0);
	mb_put(b);
	for (unsigned i = 0; i < WORKERS; i++) {
		ATF_REQUIRE_EQ(alloc_meta(t, ino, BLOCK_MAP_LEAF,
		    &c->leaf[i]), 0);
		ATF_REQUIRE_EQ(mb_new(t, &c->g, c->leaf[i], BLOCK_MAP_LEAF,
		    &b), 0);
		mb_put(b);
	}
	txn_end(t);
	ATF_REQUIRE_EQ(ds_commit(c->f.ds), 0);
}

static int
put_value(struct crowd *c, struct txn *t, unsigned i, unsigned at, uint8_t v)
{
	struct mblk *b;
	int r;

	r = mb_read(c->f.ds, &c->g, c->leaf[i], BLOCK_MAP_LEAF, &b);
	if (r < 0)
		return r;
	memset(b->data + at, v, 200);
	mb_dirty(t, b, at, 200);
	mb_put(b);
	return 0;
}

static int
one_round(struct crowd *c, unsigned me, uint8_t v)
{
	struct txn *t;
	int r;

	r = txn_begin(c->f.ds, 3, &t);
	if (r < 0)
		return r;
	r = put_value(c, t, me, 1000, v);
	fiber_yield();
	if (r == 0 && c->shared)
		r = put_value(c, t, 0, 2000 + me * 200, v);
	txn_end(t);
	if (r == 0)
		r = ds_commit(c->f.ds);
	if (r == 0)
		c->done[me] = v;
	return r;
}

static void
worker(void *arg)
{
	struct crowd *c = arg;
	unsigned me = c->next++;
	int r = 0;

	for (unsigned n = 1; r == 0 && n <= ROUNDS; n++)
		r = one_round(c, me, (uint8_t)n);
	ATF_CHECK_EQ(r, c->stop_at);
	c->running--;
	fiber_cond_signal(&c->ended);
}

static void
crowd_start(struct crowd *c)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		ATF_REQUIRE_EQ(sched_spawn(sched_current(), "worker", worker,
		    c), 0);
		c->running++;
	}
}

static void
crowd_wait(struct crowd *c)
{
	while (c->running > 0)
		fiber_cond_wait(&c->ended);
}

/* What replay left in place against what was acknowledged. */
static void
crowd_check(struct crowd *c)
{
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct recover_report rep;
	struct block_hdr h;

	fixture_crash(&c->f);
	ATF_REQUIRE_EQ(fixture_recover(&c->f, c->disk, &rep), 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		ATF_REQUIRE_EQ(disk_read(c->disk, c->leaf[i] << BLOCK_SHIFT,
		    buf, BLOCK_SIZE), 0);
		ATF_REQUIRE_EQ(block_hdr_decode(buf, BLOCK_MAP_LEAF,
		    &c->f.super.uuid, c->leaf[i], &h), 0);
		ATF_CHECK(buf[1000] >= c->done[i]);
		ATF_CHECK_EQ(buf[1000], buf[1199]);
		for (unsigned k = 0; i == 0 && c->shared && k < WORKERS; k++)
			ATF_CHECK(buf[2000 + k * 200] >= c->done[k]);
	}
	free(buf);
	disk_close(c->disk);
}

#define CROWD_TEST(name)						\
static int body_##name(void *arg);					\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	static struct crowd c;						\
	(void)tc;							\
	fixture_run(body_##name, &c);					\
}									\
static int								\
body_##name(void *arg)

CROWD_TEST(commits_are_shared)
{
	struct crowd *c = arg;
	uint64_t first;

	crowd_begin(c);
	first = c->f.ds->durable_id;
	crowd_start(c);
	crowd_wait(c);
	/* Alone, each of WORKERS * ROUNDS would be one. */
	ATF_CHECK(c->f.ds->durable_id - first < 3 * ROUNDS);
	for (unsigned i = 0; i < WORKERS; i++)
		ATF_CHECK_EQ(c->done[i], ROUNDS);
	crowd_check(c);
	return 0;
}

/* Checkpoints never find the shared leaf quiet, and do not wait for it. */
CROWD_TEST(a_hot_block_does_not_hold_up_the_tail)
{
	struct crowd *c = arg;
	uint64_t tail;

	crowd_begin(c);
	c->shared = true;
	crowd_start(c);
	for (unsigned i = 0; i < 20; i++) {
		tail = c->f.ds->journal.tail_sequence;
		ATF_REQUIRE_EQ(ds_checkpoint(c->f.ds, 0), 0);
		ATF_CHECK(c->f.ds->journal.tail_sequence > tail);
	}
	crowd_wait(c);
	crowd_check(c);
	return 0;
}

CROWD_TEST(fencing_ends_every_call)
{
	struct crowd *c = arg;

	crowd_begin(c);
	c->stop_at = -VMFS_EFENCED;
	crowd_start(c);
	for (unsigned i = 0; i < 40; i++)
		fiber_yield();
	ds_abandon(c->f.ds);
	crowd_wait(c);
	ATF_CHECK_EQ(ds_commit(c->f.ds), -VMFS_EFENCED);
	ATF_CHECK_EQ(ds_checkpoint(c->f.ds, 0), -VMFS_EFENCED);
	ATF_CHECK_EQ(ds_unlock(c->f.ds, &c->g), -VMFS_EFENCED);
	ATF_CHECK_EQ(c->g.mode, LOCK_FREE);
	crowd_check(c);
	return 0;
}

/* The journal's disk breaks under load: nobody hangs, all are told. */
static int
break_disk(struct crowd *c, int error)
{
	struct disk_fault *fault;
	uint64_t owner;

	crowd_begin(c);
	owner = c->g.addr;
	ATF_REQUIRE_EQ(ds_unlock(c->f.ds, &c->g), 0);
	ATF_REQUIRE_EQ(fixture_umount(&c->f), 0);
	ATF_REQUIRE_EQ(disk_fault_open(c->disk, &fault), 0);
	c->disk = c->f.disk = &fault->disk;
	ATF_REQUIRE_EQ(fixture_mount(&c->f), 0);
	ATF_REQUIRE_EQ(c->f.locks->vt->acquire(c->f.locks, owner,
	    LOCK_EXCLUSIVE, LOCK_NOWAIT, 0, &c->g, NULL), 0);
	c->stop_at = -EIO;
	fault->op = DISK_WRITE;
	fault->countdown = 50;
	fault->repeat = UINT64_MAX;
	fault->error = error;
	crowd_start(c);
	crowd_wait(c);
	ATF_CHECK_EQ(ds_health(c->f.ds), -EIO);
	ATF_CHECK_EQ(fixture_umount(&c->f), -EIO);
	disk_close(c->disk);
	return 0;
}

CROWD_TEST(a_broken_disk_ends_every_call)
{
	return break_disk(arg, -EIO);
}

/* Who waits for space would wait for ever: the datastore does not go on. */
CROWD_TEST(a_full_lun_is_not_a_full_datastore)
{
	return break_disk(arg, -ENOSPC);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, commits_are_shared);
	ATF_TP_ADD_TC(tp, a_hot_block_does_not_hold_up_the_tail);
	ATF_TP_ADD_TC(tp, fencing_ends_every_call);
	ATF_TP_ADD_TC(tp, a_broken_disk_ends_every_call);
	ATF_TP_ADD_TC(tp, a_full_lun_is_not_a_full_datastore);
	return atf_no_error();
}
