/* SPDX-License-Identifier: BSD-2-Clause */
/* A power cut at every write: what was committed is there after replay. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "tests/unit/core_fixture.h"
#include "tests/unit/crash_disk.h"

#define LEAVES 12u
#define STEPS 200u		/* the journal wraps */

/* What was durable when: leaf values after the commit at a write count. */
struct history {
	size_t writes;
	uint8_t value[LEAVES];
};

struct world {
	struct crash_disk *crash;
	struct fixture f;
	struct lock_grant g;
	uint64_t leaf[LEAVES];
	size_t first;			/* writes before the workload */
	struct history past[STEPS + 1];
	unsigned n_past;
};

static void
make_leaves(struct world *w)
{
	struct fixture *f = &w->f;
	struct mblk *b;
	struct txn *t;
	uint64_t ino;

	ATF_REQUIRE_EQ(alloc_reserve(f->ds, 0, LEAVES + 1), 0);
	ATF_REQUIRE_EQ(txn_begin(f->ds, LEAVES + 4, &t), 0);
	ATF_REQUIRE_EQ(alloc_meta(t, 0, BLOCK_INODE, &ino), 0);
	ATF_REQUIRE_EQ(f->locks->vt->create(f->locks, ino, &w->g), 0);
	ATF_REQUIRE_EQ(mb_new(t, &w->g, ino, BLOCK_INODE, &b), 0);
	mb_put(b);
	for (unsigned i = 0; i < LEAVES; i++) {
		ATF_REQUIRE_EQ(alloc_meta(t, ino, BLOCK_MAP_LEAF,
		    &w->leaf[i]), 0);
		ATF_REQUIRE_EQ(mb_new(t, &w->g, w->leaf[i], BLOCK_MAP_LEAF,
		    &b), 0);
		mb_put(b);
	}
	txn_end(t);
	ATF_REQUIRE_EQ(ds_checkpoint(f->ds, 0), 0);
}

static void
change_leaf(struct world *w, struct txn *t, unsigned i, uint8_t v, bool big)
{
	size_t len = big ? BLOCK_PAYLOAD : 1;
	struct mblk *b;

	ATF_REQUIRE_EQ(mb_read(w->f.ds, &w->g, w->leaf[i], BLOCK_MAP_LEAF,
	    &b), 0);
	/* First and last byte always: a torn block cannot look whole. */
	memset(b->data + 64, v, len);
	b->data[4095] = v;
	mb_dirty(t, b, 64, len);
	mb_dirty(t, b, 4095, 1);
	mb_put(b);
}

static void
remember(struct world *w, const uint8_t *value)
{
	struct history *h = &w->past[w->n_past++];

	h->writes = crash_disk_writes(w->crash);
	memcpy(h->value, value, LEAVES);
}

static void
work(struct world *w, uint64_t seed)
{
	uint8_t value[LEAVES] = { 0 };
	struct prng p;
	struct txn *t;

	prng_seed(&p, seed);
	w->first = crash_disk_writes(w->crash);
	remember(w, value);
	for (unsigned s = 0; s < STEPS; s++) {
		unsigned pair = (unsigned)prng_below(&p, LEAVES / 2);

		value[2 * pair] = value[2 * pair + 1] = (uint8_t)(s + 1);
		ATF_REQUIRE_EQ(txn_begin(w->f.ds, 2, &t), 0);
		change_leaf(w, t, 2 * pair, (uint8_t)(s + 1), s % 3 == 0);
		change_leaf(w, t, 2 * pair + 1, (uint8_t)(s + 1), s % 5 == 0);
		txn_end(t);
		if (s % 7 == 6)
			ATF_REQUIRE_EQ(ds_checkpoint(w->f.ds, 0), 0);
		else
			ATF_REQUIRE_EQ(ds_commit(w->f.ds), 0);
		remember(w, value);
	}
}

/* The newest state durable after n writes, or the next one. */
static unsigned
state_at(const struct world *w, size_t n)
{
	unsigned i = 0;

	while (i + 1 < w->n_past && w->past[i + 1].writes <= n)
		i++;
	return i;
}

static void
read_values(struct world *w, struct disk *image, uint8_t *value)
{
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct block_hdr h;

	for (unsigned i = 0; i < LEAVES; i++) {
		ATF_REQUIRE_EQ(disk_read(image, w->leaf[i] << BLOCK_SHIFT, buf,
		    BLOCK_SIZE), 0);
		ATF_REQUIRE_EQ(block_hdr_decode(buf, BLOCK_MAP_LEAF,
		    &w->f.super.uuid, w->leaf[i], &h), 0);
		value[i] = buf[64];
		ATF_REQUIRE_EQ(buf[4095], buf[64]);
	}
	free(buf);
}

static void
check_image(struct world *w, struct disk *image, size_t n)
{
	uint8_t value[LEAVES];
	unsigned i = state_at(w, n);

	read_values(w, image, value);
	/* A commit in flight may be there or not, but wholly. */
	if (memcmp(value, w->past[i].value, LEAVES) != 0 &&
	    (i + 1 == w->n_past ||
	    memcmp(value, w->past[i + 1].value, LEAVES) != 0))
		atf_tc_fail("after write %zu: state is neither %u nor %u", n,
		    i, i + 1);
}

static void
recover_image(struct world *w, struct disk *image, size_t n)
{
	struct recover_report rep;

	ATF_REQUIRE_EQ_MSG(fixture_recover(&w->f, image, &rep), 0,
	    "replay after write %zu", n);
}

static void
crash_everywhere(struct world *w, enum crash_kind kind)
{
	struct disk *image;

	/* The torn write is the n + 1st: n are whole. */
	size_t torn = kind == CRASH_TORN;

	for (size_t n = w->first; n + torn <= crash_disk_writes(w->crash);
	    n++) {
		ATF_REQUIRE_EQ(crash_disk_image(w->crash, n + torn, kind, n,
		    &image), 0);
		recover_image(w, image, n);
		check_image(w, image, n);
		disk_close(image);
	}
}

static void
world_begin(struct world *w, uint32_t sector, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	ATF_REQUIRE_EQ(crash_disk_open(64 * MIB, sector, &w->crash), 0);
	fixture_init(&w->f, crash_disk_disk(w->crash), true);
	ATF_REQUIRE_EQ(fixture_mount(&w->f), 0);
	make_leaves(w);
	work(w, seed);
}

static void
world_end(struct world *w)
{
	fixture_crash(&w->f);
	crash_disk_close(w->crash);
}

struct variant {
	enum crash_kind kind;
	uint32_t sector;
};

static int
enumerate(void *arg)
{
	const struct variant *v = arg;
	struct world *w = malloc(sizeof(*w));

	ATF_REQUIRE(w != NULL);
	world_begin(w, v->sector, 11);
	crash_everywhere(w, v->kind);
	world_end(w);
	free(w);
	return 0;
}

#define CRASH_TEST(name, kind, sector)					\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	struct variant v = { kind, sector };				\
	(void)tc;							\
	fixture_run(enumerate, &v);					\
}

CRASH_TEST(cut_between_writes, CRASH_CLEAN, 512)
CRASH_TEST(cut_between_writes_4kn, CRASH_CLEAN, 4096)
CRASH_TEST(cut_within_a_write, CRASH_TORN, 512)
CRASH_TEST(cut_within_a_write_4kn, CRASH_TORN, 4096)
CRASH_TEST(cut_with_unflushed_writes_lost, CRASH_LOST, 512)
CRASH_TEST(cut_with_unflushed_writes_lost_4kn, CRASH_LOST, 4096)

/* Replay on a disk that stops taking writes after `n` of them. */
static bool
recover_cut_short(struct world *w, struct disk *image, uint64_t n)
{
	struct recover_report rep;
	struct disk_fault *fault;
	int r;

	ATF_REQUIRE_EQ(disk_fault_open(image, &fault), 0);
	fault->op = DISK_WRITE;
	fault->countdown = n;
	fault->repeat = UINT64_MAX;
	fault->error = -EIO;
	r = fixture_recover(&w->f, &fault->disk, &rep);
	ATF_REQUIRE(r == 0 || r == -EIO);
	fault->repeat = 0;
	ATF_REQUIRE_EQ(fixture_recover(&w->f, &fault->disk, &rep), 0);
	check_image(w, image, crash_disk_writes(w->crash));
	disk_close(&fault->disk);
	return r == 0;
}

static int
replay_twice(void *arg)
{
	struct world *w = malloc(sizeof(*w));
	struct disk *image;
	bool whole = false;

	(void)arg;
	ATF_REQUIRE(w != NULL);
	world_begin(w, 512, 5);
	for (uint64_t n = 0; !whole; n++) {
		ATF_REQUIRE_EQ(crash_disk_image(w->crash,
		    crash_disk_writes(w->crash), CRASH_CLEAN, 0, &image), 0);
		whole = recover_cut_short(w, image, n);
	}
	world_end(w);
	free(w);
	return 0;
}

ATF_TC_WITHOUT_HEAD(replay_cut_short_starts_over);
ATF_TC_BODY(replay_cut_short_starts_over, tc)
{
	(void)tc;
	fixture_run(replay_twice, NULL);
}

/* ---- making a datastore, cut at every write ---- */

static int
mkds_cut(void *arg)
{
	struct crash_disk *c;
	struct fixture f;
	struct super s;
	struct disk *image;
	size_t n;
	int r;

	(void)arg;
	ATF_REQUIRE_EQ(crash_disk_open(64 * MIB, 512, &c), 0);
	fixture_init(&f, crash_disk_disk(c), true);
	for (n = 0; n < crash_disk_writes(c); n++) {
		ATF_REQUIRE_EQ(crash_disk_image(c, n, CRASH_CLEAN, 0, &image),
		    0);
		r = super_read(image, &s);
		/* A superblock is only there once all else is. */
		ATF_CHECK(r == -VMFS_ENOTVMFS ||
		    n + 3 > crash_disk_writes(c));
		disk_close(image);
	}
	crash_disk_close(c);
	return 0;
}

ATF_TC_WITHOUT_HEAD(interrupted_mkds_leaves_no_datastore);
ATF_TC_BODY(interrupted_mkds_leaves_no_datastore, tc)
{
	(void)tc;
	fixture_run(mkds_cut, NULL);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, cut_between_writes);
	ATF_TP_ADD_TC(tp, cut_between_writes_4kn);
	ATF_TP_ADD_TC(tp, cut_within_a_write);
	ATF_TP_ADD_TC(tp, cut_within_a_write_4kn);
	ATF_TP_ADD_TC(tp, cut_with_unflushed_writes_lost);
	ATF_TP_ADD_TC(tp, cut_with_unflushed_writes_lost_4kn);
	ATF_TP_ADD_TC(tp, replay_cut_short_starts_over);
	ATF_TP_ADD_TC(tp, interrupted_mkds_leaves_no_datastore);
	return atf_no_error();
}
