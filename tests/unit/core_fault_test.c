/* SPDX-License-Identifier: BSD-2-Clause */
/* Every disk request fails once: nothing is claimed that is not so. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "tests/unit/core_fixture.h"

#define LEAVES 6u

struct trial {
	struct fixture f;
	struct disk *mem;
	struct disk_fault *fault;
	uint64_t leaf[LEAVES];
	struct lock_grant g;
	bool made;		/* the leaves were committed */
	unsigned durable;	/* last round that ds_commit said is durable */
};

static int
make_leaves(struct trial *x)
{
	struct ds *ds = x->f.ds;
	struct mblk *b;
	struct txn *t;
	uint64_t ino;
	int r;

	r = alloc_reserve(ds, 1, LEAVES + 1);
	if (r < 0)
		return r;
	r = txn_begin(ds, LEAVES + 4, &t);
	if (r < 0)
		return r;
	r = alloc_meta(t, 0, BLOCK_INODE, &ino);
	if (r == 0)
		r = x->f.locks->vt->create(x->f.locks, ino, &x->g);
	if (r == 0)
		r = mb_new(t, &x->g, ino, BLOCK_INODE, &b);
	if (r == 0)
		mb_put(b);
	for (unsigned i = 0; r == 0 && i < LEAVES; i++) {
		r = alloc_meta(t, ino, BLOCK_MAP_LEAF, &x->leaf[i]);
		if (r == 0)
			r = mb_new(t, &x->g, x->leaf[i], BLOCK_MAP_LEAF, &b);
		if (r == 0)
			mb_put(b);
	}
	txn_end(t);
	if (r == 0)
		r = ds_commit(ds);
	x->made = r == 0;
	return r;
}

/* All leaves get the round's number in one transaction. */
static int
change(struct trial *x, unsigned round)
{
	struct mblk *b;
	struct txn *t;
	int r;

	r = txn_begin(x->f.ds, LEAVES, &t);
	if (r < 0)
		return r;
	for (unsigned i = 0; r == 0 && i < LEAVES; i++) {
		r = mb_read(x->f.ds, &x->g, x->leaf[i], BLOCK_MAP_LEAF, &b);
		if (r < 0)
			break;
		b->data[100] = (uint8_t)round;
		mb_dirty(t, b, 100, 1);
		mb_put(b);
	}
	txn_end(t);
	if (r == 0)
		r = round % 3 == 2 ? ds_checkpoint(x->f.ds, 0) :
		    ds_commit(x->f.ds);
	if (r == 0)
		x->durable = round;
	return r;
}

static int
workload(struct trial *x)
{
	int r;

	r = fixture_mount(&x->f);
	if (r == 0)
		r = make_leaves(x);
	for (unsigned round = 1; r == 0 && round <= 6; round++)
		r = change(x, round);
	if (r == 0)
		r = ds_unlock(x->f.ds, &x->g);
	return r;
}

static uint8_t
leaf_value(struct trial *x, unsigned i)
{
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE), v;
	struct block_hdr h;

	ATF_REQUIRE_EQ(disk_read(x->mem, x->leaf[i] << BLOCK_SHIFT, buf,
	    BLOCK_SIZE), 0);
	ATF_REQUIRE_EQ(block_hdr_decode(buf, BLOCK_MAP_LEAF,
	    &x->f.super.uuid, x->leaf[i], &h), 0);
	v = buf[100];
	free(buf);
	return v;
}

static void
check_after(struct trial *x)
{
	struct recover_report rep;

	x->fault->repeat = 0;
	ATF_REQUIRE_EQ(fixture_recover(&x->f, x->mem, &rep), 0);
	(void)fixture_check_space(&x->f, x->mem);
	for (unsigned i = 0; x->made && i < LEAVES; i++) {
		uint8_t v = leaf_value(x, i);

		/* The round that failed may be there, but not half. */
		ATF_CHECK_EQ(v, leaf_value(x, 0));
		ATF_CHECK(v == x->durable || v == x->durable + 1);
	}
	ATF_REQUIRE_EQ(fixture_mount(&x->f), 0);
	ATF_REQUIRE_EQ(fixture_umount(&x->f), 0);
}

/* True when the fault was not reached. */
static bool
trial(int op, uint64_t n, uint64_t repeat)
{
	struct trial x = { 0 };
	bool untouched;
	int r;

	ATF_REQUIRE_EQ(disk_mem_open(64 * MIB, 512, &x.mem), 0);
	ATF_REQUIRE_EQ(disk_fault_open(x.mem, &x.fault), 0);
	x.fault->repeat = 0;
	fixture_init(&x.f, &x.fault->disk, true);
	x.fault->op = op;
	x.fault->countdown = n;
	x.fault->repeat = repeat;
	x.fault->error = -EIO;
	r = workload(&x);
	untouched = x.fault->repeat == repeat;
	if (untouched)
		ATF_CHECK_EQ(r, 0);
	if (x.f.ds != NULL) {
		/* It may succeed, the fault being over; if not, it says so. */
		r = fixture_umount(&x.f);
		ATF_CHECK(r == 0 || r == -EIO);
	}
	check_after(&x);
	disk_close(&x.fault->disk);
	return untouched;
}

struct kind {
	int op;
	uint64_t repeat;
};

static int
every_request(void *arg)
{
	const struct kind *k = arg;
	uint64_t n = 0;

	while (!trial(k->op, n, k->repeat))
		n++;
	ATF_CHECK(n > 3);
	return 0;
}

#define FAULT_TEST(name, op, repeat)					\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	struct kind k = { op, repeat };					\
	(void)tc;							\
	fixture_run(every_request, &k);					\
}

FAULT_TEST(one_write_fails, DISK_WRITE, 1)
FAULT_TEST(writes_fail_for_good, DISK_WRITE, UINT64_MAX)
FAULT_TEST(one_flush_fails, DISK_FLUSH, 1)
FAULT_TEST(flushes_fail_for_good, DISK_FLUSH, UINT64_MAX)
FAULT_TEST(one_read_fails, DISK_READ, 1)
FAULT_TEST(all_requests_fail_for_good, -1, UINT64_MAX)

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, one_write_fails);
	ATF_TP_ADD_TC(tp, writes_fail_for_good);
	ATF_TP_ADD_TC(tp, one_flush_fails);
	ATF_TP_ADD_TC(tp, flushes_fail_for_good);
	ATF_TP_ADD_TC(tp, one_read_fails);
	ATF_TP_ADD_TC(tp, all_requests_fail_for_good);
	return atf_no_error();
}
