/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Trees of snapshots: random histories of a disk against a model of every
 * tree, and a family of ten thousand.  Space that is freed too early or never
 * is found by the check when the datastore is unmounted.
 */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/prng.h"
#include "libvmfs/base/units.h"
#include "tests/unit/core_fs_rig.h"

/* Three MiB of it are used, each in a map node of its own. */
#define PARTS 3u
#define PART_BLOCKS 256u
#define PART_SPAN (272 * MIB)
#define DISK_SIZE (PARTS * PART_SPAN)
#define BLOCKS (PARTS * PART_BLOCKS)
#define TREES 24
#define STEPS 250

/* What each block holds: all its bytes alike, 0 nothing. */
struct tree {
	uint32_t id;		/* 0: unused */
	uint64_t ino;
	uint8_t block[BLOCKS];
};

struct family {
	struct rig *r;
	struct prng prng;
	uint64_t ino;
	struct fs_file *f;
	struct tree head;
	struct tree snap[TREES];
};

static unsigned
below(struct family *m, unsigned n)
{
	return (unsigned)prng_below(&m->prng, n);
}

static uint64_t
place(unsigned block)
{
	return block / PART_BLOCKS * PART_SPAN +
	    block % PART_BLOCKS * BLOCK_SIZE;
}

static void
family_open(struct family *m)
{
	m->f = rig_open(m->r, m->ino, FS_READ | FS_WRITE);
}

static void
tree_check(struct family *m, uint64_t ino, const struct tree *t)
{
	struct fs_file *f = rig_open(m->r, ino, FS_READ);
	static uint8_t buf[BLOCKS * BLOCK_SIZE];
	size_t n;

	for (unsigned p = 0; p < PARTS; p++) {
		ATF_REQUIRE_EQ(fs_file_read(f, p * PART_SPAN, buf + p * MIB,
		    MIB, &n), 0);
		ATF_REQUIRE_EQ(n, MIB);
	}
	for (size_t i = 0; i < BLOCKS; i++)
		ATF_REQUIRE_MSG(buf[i * BLOCK_SIZE] == t->block[i] &&
		    buf[(i + 1) * BLOCK_SIZE - 1] == t->block[i],
		    "block %zu of #%u is %u, not %u", i, t->id,
		    buf[i * BLOCK_SIZE], t->block[i]);
	rig_close(f);
}

static void
all_check(struct family *m)
{
	tree_check(m, m->ino, &m->head);
	for (unsigned i = 0; i < TREES; i++)
		if (m->snap[i].id != 0)
			tree_check(m, m->snap[i].ino, &m->snap[i]);
}

struct changed {
	bool block[BLOCKS];
	uint64_t last;
};

static bool
mark_changed(void *arg, uint64_t off, uint64_t len, bool data)
{
	struct changed *c = arg;

	(void)data;
	ATF_REQUIRE(off >= c->last && len > 0 && off + len <= DISK_SIZE);
	c->last = off + len;
	for (; off < c->last; off += BLOCK_SIZE) {
		ATF_REQUIRE(off % PART_SPAN < MIB);
		c->block[off / PART_SPAN * PART_BLOCKS +
		    off % PART_SPAN / BLOCK_SIZE] = true;
	}
	return true;
}

/* A range tells the same about its blocks, and nothing about others. */
static void
range_check(struct family *m, uint64_t from, uint64_t to,
    const struct changed *all)
{
	uint64_t off = place(below(m, BLOCKS)) + below(m, 8) * 512ull;
	uint64_t len = 512 + below(m, 2 * MIB / 512) * 512ull;
	struct changed c = { 0 };

	ATF_REQUIRE_EQ(fs_diff_range(m->r->fs, from, to, off, len,
	    mark_changed, &c), 0);
	for (unsigned i = 0; i < BLOCKS; i++) {
		bool in = place(i) + BLOCK_SIZE > off && place(i) < off + len;

		ATF_REQUIRE_EQ_MSG(c.block[i], in && all->block[i],
		    "block %u of %ju+%ju", i, (uintmax_t)off, (uintmax_t)len);
	}
}

/* What the difference leaves out is alike. */
static void
diff_check(struct family *m)
{
	const struct tree *a = &m->snap[below(m, TREES)];
	const struct tree *b = below(m, 2) ? &m->head :
	    &m->snap[below(m, TREES)];
	struct changed c = { 0 };

	if (a->id == 0 || (b != &m->head && b->id == 0))
		return;
	ATF_REQUIRE_EQ(fs_diff(m->r->fs, a->ino, b == &m->head ? m->ino :
	    b->ino, mark_changed, &c), 0);
	for (unsigned i = 0; i < BLOCKS; i++)
		ATF_REQUIRE_MSG(c.block[i] || a->block[i] == b->block[i],
		    "block %u differs", i);
	if (a == b)
		ATF_CHECK_EQ(c.last, 0);
	range_check(m, a->ino, b == &m->head ? m->ino : b->ino, &c);
}

/* Few places, so that branches meet; now and then a whole MiB. */
static void
change(struct family *m, bool punch)
{
	unsigned first = below(m, 3) * 256 + below(m, 2) * 16 + below(m, 6);
	unsigned n = 1 + below(m, 20);
	uint8_t v = punch ? 0 : (uint8_t)(1 + below(m, 255));

	if (below(m, 12) == 0) {
		first &= ~255u;
		n = 256;
	}
	if (punch)
		ATF_REQUIRE_EQ(fs_file_punch(m->f, place(first),
		    n * BLOCK_SIZE), 0);
	else
		rig_fill(m->f, place(first), n * BLOCK_SIZE, v);
	memset(m->head.block + first, v, n);
}

static void
take(struct family *m)
{
	struct fs_snapshot s;
	unsigned i = below(m, TREES);
	char name[32];

	if (m->snap[i].id != 0)
		return;
	snprintf(name, sizeof(name), "s%u", below(m, 1u << 30));
	ATF_REQUIRE_EQ(fs_snapshot_create(m->r->fs, m->ino, name, &s, NULL),
	    0);
	m->snap[i] = m->head;
	m->snap[i].id = s.id;
	m->snap[i].ino = s.ino;
}

static void
drop(struct family *m)
{
	struct tree *t = &m->snap[below(m, TREES)];

	if (t->id == 0)
		return;
	if (below(m, 2))
		ATF_REQUIRE_EQ(fs_snapshot_delete(m->r->fs, m->ino, t->id,
		    NULL), 0);
	else
		ATF_REQUIRE_EQ(fs_snapshot_forget(m->r->fs, m->ino, t->id,
		    NULL), 0);
	t->id = 0;
}

static bool
few_steps(void *arg, uint64_t done, uint64_t total)
{
	int *left = arg;

	ATF_CHECK(done <= total);
	return (*left)-- > 0;
}

/* Deletions that were begun go on for a while, and end half-way. */
static void
reap(struct family *m)
{
	int left = (int)below(m, 4), r;
	const struct fs_progress p = { few_steps, &left };

	r = fs_snapshot_reap(m->r->fs, m->ino, &p, NULL);
	ATF_REQUIRE(r == 0 || r == -ECANCELED);
}

static void
revert(struct family *m)
{
	struct tree *t = &m->snap[below(m, TREES)];

	if (t->id == 0)
		return;
	rig_close(m->f);
	ATF_REQUIRE_EQ(fs_snapshot_revert(m->r->fs, m->ino, t->id, NULL), 0);
	family_open(m);
	memcpy(m->head.block, t->block, BLOCKS);
}

static void
step(struct family *m)
{
	switch (below(m, 16)) {
	case 0: case 1: case 2:
		take(m);
		break;
	case 3: case 4:
		drop(m);
		break;
	case 5: case 6:
		revert(m);
		break;
	case 7: case 8:
		change(m, true);
		break;
	case 10:
		reap(m);
		break;
	case 9:
		/* The family is read again, from the table. */
		rig_close(m->f);
		rig_remount(m->r);
		family_open(m);
		break;
	default:
		change(m, false);
	}
}

static uint64_t seed;

static void
body_random(struct rig *r)
{
	struct family *m = calloc(1, sizeof(*m));

	ATF_REQUIRE(m != NULL);
	m->r = r;
	prng_seed(&m->prng, seed);
	m->ino = rig_create(r, "d", INODE_DISK, DISK_SIZE);
	family_open(m);
	for (unsigned i = 0; i < STEPS; i++) {
		step(m);
		diff_check(m);
		if (i % 25 == 24)
			all_check(m);
	}
	rig_close(m->f);
	all_check(m);
	rig_remount(r);
	if (seed % 2 == 0)
		rig_unlink(r, "d");
	free(m);
}

ATF_TC_WITHOUT_HEAD(random_histories_keep_every_tree);
ATF_TC_BODY(random_histories_keep_every_tree, tc)
{
	const char *only = atf_tc_get_config_var_wd(tc, "seed", "");
	uint64_t first = *only != '\0' ? strtoull(only, NULL, 10) : 1;
	uint64_t last = *only != '\0' ? first : 25;

	for (seed = first; seed <= last; seed++) {
		printf("reproduce: core_fs_family_test -v seed=%llu "
		    "random_histories_keep_every_tree\n",
		    (unsigned long long)seed);
		fflush(stdout);
		rig_run(256 * MIB, body_random);
	}
}

/* ---- ten thousand ---- */

#define MANY 10000u

static bool
count_one(void *arg, const struct fs_snapshot *s)
{
	unsigned *n = arg;

	(void)s;
	++*n;
	return true;
}

static unsigned
count_all(struct rig *r, uint64_t ino)
{
	unsigned n = 0;

	ATF_REQUIRE_EQ(fs_snapshot_list(r->fs, ino, count_one, &n), 0);
	return n;
}

/* Snapshot i sees (i / 4) % 255 + 1 in the block that changes. */
static uint8_t
value_at(unsigned i)
{
	return (uint8_t)(i / 4 % 255 + 1);
}

static void
many_make(struct rig *r, uint64_t ino)
{
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	struct fs_snapshot s;
	char name[32];

	for (unsigned i = 0; i < MANY; i++) {
		if (i % 4 == 0)
			rig_fill(f, 0, BLOCK_SIZE, value_at(i));
		snprintf(name, sizeof(name), "s%u", i);
		ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, name, &s, NULL),
		    0);
	}
	rig_close(f);
}

static void
expect_head(struct rig *r, uint64_t ino, uint8_t v)
{
	struct fs_file *f = rig_open(r, ino, FS_READ);

	rig_expect(f, 0, BLOCK_SIZE, v);
	rig_close(f);
}

static void
body_many(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, 64 * MIB);
	struct fs_snapshot s;
	struct fs_file *f;
	char name[32];

	many_make(r, ino);
	ATF_CHECK_EQ(count_all(r, ino), MANY);
	ATF_REQUIRE_EQ(fs_snapshot_find(r->fs, ino, "s5001", &s), 0);
	ATF_REQUIRE_EQ(fs_snapshot_revert(r->fs, ino, s.id, NULL), 0);
	expect_head(r, ino, value_at(5001));
	rig_remount(r);
	for (unsigned i = 4000; i < 4100; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		ATF_REQUIRE_EQ(fs_snapshot_find(r->fs, ino, name, &s), 0);
		ATF_REQUIRE_EQ(fs_snapshot_delete(r->fs, ino, s.id, NULL), 0);
	}
	ATF_CHECK_EQ(count_all(r, ino), MANY - 100);
	f = rig_open(r, ino, FS_READ | FS_WRITE);
	rig_fill(f, 0, BLOCK_SIZE, 77);
	rig_close(f);
	ATF_REQUIRE_EQ(fs_snapshot_find(r->fs, ino, "s9999", &s), 0);
	expect_head(r, s.ino, value_at(9999));
	rig_unlink(r, "d");
	ATF_CHECK_EQ(fs_snapshot_list(r->fs, ino, count_one, NULL), -ESTALE);
}

ATF_TC_WITHOUT_HEAD(a_disk_has_ten_thousand_snapshots);
ATF_TC_BODY(a_disk_has_ten_thousand_snapshots, tc)
{
	(void)tc;
	rig_run(2048 * MIB, body_many);
}

/* A hundred grow from one: its deletion changes them all. */
static void
body_fan(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, 64 * MIB);
	struct fs_file *f = rig_open(r, ino, FS_WRITE);
	struct fs_snapshot base, s;
	char name[32];

	rig_fill(f, 0, BLOCK_SIZE, 1);
	rig_close(f);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, "base", &base, NULL),
	    0);
	for (unsigned i = 0; i < 100; i++) {
		f = rig_open(r, ino, FS_WRITE);
		rig_fill(f, BLOCK_SIZE, BLOCK_SIZE, (uint8_t)(i + 1));
		rig_close(f);
		snprintf(name, sizeof(name), "s%u", i);
		ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, name, &s, NULL),
		    0);
		ATF_REQUIRE_EQ(fs_snapshot_revert(r->fs, ino, base.id, NULL),
		    0);
	}
	ATF_REQUIRE_EQ(fs_snapshot_delete(r->fs, ino, base.id, NULL), 0);
	for (unsigned i = 0; i < 100; i += 33) {
		snprintf(name, sizeof(name), "s%u", i);
		ATF_REQUIRE_EQ(fs_snapshot_find(r->fs, ino, name, &s), 0);
		ATF_CHECK_EQ(s.parent_id, 0);
		f = rig_open(r, s.ino, FS_READ);
		rig_expect(f, 0, BLOCK_SIZE, 1);
		rig_expect(f, BLOCK_SIZE, BLOCK_SIZE, (uint8_t)(i + 1));
		rig_close(f);
	}
}

ATF_TC_WITHOUT_HEAD(one_with_a_hundred_children_is_deleted);
ATF_TC_BODY(one_with_a_hundred_children_is_deleted, tc)
{
	(void)tc;
	rig_run(256 * MIB, body_fan);
}

/* What came from the origin after a snapshot, that snapshot does not have. */
static void
body_origin(struct rig *r)
{
	uint64_t src = rig_create(r, "src", INODE_DISK, 4 * MIB);
	uint64_t dst = rig_create(r, "dst", INODE_DISK, 4 * MIB);
	struct fs_file *s = rig_open(r, src, FS_READ | FS_WRITE);
	struct fs_file *d = rig_open(r, dst, FS_READ | FS_WRITE);
	struct fs_snapshot snap;
	uint64_t n;

	rig_fill(s, 0, 2 * MIB, 5);
	ATF_REQUIRE_EQ(fs_file_share(s, d, 0, MIB, &n), 0);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, dst, "mid", &snap, NULL), 0);
	ATF_REQUIRE_EQ(fs_file_share(s, d, MIB, MIB, &n), 0);
	ATF_REQUIRE_EQ(n, MIB);
	ATF_REQUIRE_EQ(fs_file_punch(d, MIB, MIB), 0);
	rig_expect(s, MIB, MIB, 5);
	rig_close(s);
	rig_close(d);
}

ATF_TC_WITHOUT_HEAD(what_a_copy_took_over_late_stays_the_origins);
ATF_TC_BODY(what_a_copy_took_over_late_stays_the_origins, tc)
{
	(void)tc;
	rig_run(64 * MIB, body_origin);
}

/* ---- several disks at one moment ---- */

static void
body_group(struct rig *r)
{
	uint64_t ino[3] = {
		rig_create(r, "a", INODE_DISK, MIB),
		rig_create(r, "b", INODE_DISK, MIB),
		rig_create(r, "c", INODE_DISK, MIB),
	};
	struct fs_snapshot s[3] = { 0 };
	unsigned which = 9;

	ATF_REQUIRE(ino[0] < ino[1] && ino[1] < ino[2]);
	ATF_REQUIRE_EQ(fs_snapshot_group(r->fs, ino, 3, "x", s, NULL, &which),
	    0);
	for (unsigned i = 0; i < 3; i++)
		ATF_CHECK_STREQ(s[i].name, "x");
	/* The last one has that name: none of them is made. */
	ATF_REQUIRE_EQ(fs_snapshot_delete(r->fs, ino[0], s[0].id, NULL), 0);
	ATF_REQUIRE_EQ(fs_snapshot_delete(r->fs, ino[1], s[1].id, NULL), 0);
	ATF_CHECK_EQ(fs_snapshot_group(r->fs, ino, 3, "x", s, NULL, &which),
	    -EEXIST);
	ATF_CHECK_EQ(count_all(r, ino[0]), 0);
	ATF_CHECK_EQ(count_all(r, ino[2]), 1);
	ino[1] = ino[0];
	ATF_CHECK_EQ(fs_snapshot_group(r->fs, ino, 2, "y", s, NULL, &which),
	    -EINVAL);
}

ATF_TC_WITHOUT_HEAD(several_disks_get_a_snapshot_or_none);
ATF_TC_BODY(several_disks_get_a_snapshot_or_none, tc)
{
	(void)tc;
	rig_run(64 * MIB, body_group);
}

/* ---- a deletion that a crash cuts short ---- */

static void
body_forget(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, 16 * MIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	struct recover_report rep;
	struct fs_snapshot s;
	unsigned pending;
	uint64_t before;

	rig_fill(f, 0, 8 * MIB, 1);
	ATF_REQUIRE_EQ(fs_file_flush(f), 0);
	before = rig_free_bytes(r);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, "s", &s, NULL), 0);
	rig_fill(f, 0, 8 * MIB, 2);
	ATF_REQUIRE_EQ(fs_snapshot_forget(r->fs, ino, s.id, NULL), 0);
	ATF_CHECK_EQ(count_all(r, ino), 0);
	ATF_REQUIRE_EQ(fs_file_flush(f), 0);
	ds_abandon(r->f.ds);
	(void)!fs_close(r->fs);
	fixture_crash(&r->f);
	ATF_REQUIRE_EQ(fixture_recover(&r->f, r->f.disk, &rep), 0);
	rig_mount(r);
	ATF_REQUIRE_EQ(fs_snapshot_pending(r->fs, ino, &pending), 0);
	ATF_CHECK_EQ(pending, 1);
	ATF_REQUIRE_EQ(fs_snapshot_reap(r->fs, ino, NULL, NULL), 0);
	ATF_REQUIRE_EQ(fs_snapshot_pending(r->fs, ino, &pending), 0);
	ATF_CHECK_EQ(pending, 0);
	ATF_REQUIRE_EQ(ds_commit(r->f.ds), 0);
	ATF_CHECK(rig_free_bytes(r) + MIB >= before);
	expect_head(r, ino, 2);
}

ATF_TC_WITHOUT_HEAD(a_deletion_goes_on_after_a_crash);
ATF_TC_BODY(a_deletion_goes_on_after_a_crash, tc)
{
	(void)tc;
	rig_run(64 * MIB, body_forget);
}

/* What is half deleted no longer has what its parent and the head share. */
static void
body_half_deleted(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, 2048 * MIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE), *g;
	int left = 4;
	const struct fs_progress p = { few_steps, &left };
	struct fs_snapshot a, b;

	for (unsigned i = 0; i < 8; i++)
		rig_fill(f, i * 256 * MIB, MIB, 1);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, "a", &a, NULL), 0);
	/* Three trees, and what lies there is mostly the same. */
	for (unsigned i = 0; i < 8; i++)
		rig_fill(f, i * 256 * MIB, BLOCK_SIZE, 3);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, "b", &b, NULL), 0);
	for (unsigned i = 0; i < 8; i++)
		rig_fill(f, i * 256 * MIB, BLOCK_SIZE, 4);
	ATF_REQUIRE_EQ(fs_snapshot_forget(r->fs, ino, b.id, NULL), 0);
	ATF_REQUIRE_EQ(fs_snapshot_reap(r->fs, ino, &p, NULL), -ECANCELED);
	for (unsigned i = 0; i < 8; i++)
		rig_fill(f, i * 256 * MIB, MIB, 2);
	ATF_REQUIRE_EQ(fs_snapshot_reap(r->fs, ino, NULL, NULL), 0);
	for (unsigned i = 0; i < 8; i++)
		rig_fill(f, i * 256 * MIB + MIB, MIB, 4);
	rig_close(f);
	g = rig_open(r, a.ino, FS_READ);
	for (unsigned i = 0; i < 8; i++)
		rig_expect(g, i * 256 * MIB, MIB, 1);
	rig_close(g);
}

ATF_TC_WITHOUT_HEAD(what_is_behind_a_half_deleted_snapshot_stays);
ATF_TC_BODY(what_is_behind_a_half_deleted_snapshot_stays, tc)
{
	(void)tc;
	rig_run(128 * MIB, body_half_deleted);
}

/* ---- clones that stand alone ---- */

static void
body_promote(struct rig *r)
{
	const uint64_t size = 20 * MIB + 2560;
	uint64_t src = rig_create(r, "src", INODE_DISK, size);
	struct fs_file *f = rig_open(r, src, FS_READ | FS_WRITE);
	struct fs_snapshot s, own;
	struct fs_attr a;

	rig_fill(f, 0, 2 * MIB, 1);
	rig_fill(f, 5 * MIB + BLOCK_SIZE, BLOCK_SIZE, 2);
	rig_fill(f, 20 * MIB, 2560, 3);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, src, "s", &s, NULL), 0);
	rig_close(f);
	ATF_REQUIRE_EQ(fs_clone(r->fs, s.ino, r->root, "c", 0600, 0, 0, &a,
	    NULL), 0);
	f = rig_open(r, a.ino, FS_READ | FS_WRITE);
	rig_fill(f, MIB, BLOCK_SIZE, 4);
	rig_fill(f, 5 * MIB, BLOCK_SIZE, 5);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, a.ino, "o", &own, NULL), 0);
	ATF_CHECK_EQ(fs_file_promote(f, NULL), -EBUSY);
	ATF_REQUIRE_EQ(fs_snapshot_delete(r->fs, a.ino, own.id, NULL), 0);
	ATF_REQUIRE_EQ(fs_file_promote(f, NULL), 0);
	ATF_CHECK_EQ(fs_file_promote(f, NULL), -EINVAL);
	rig_unlink(r, "src");
	rig_expect(f, 0, MIB, 1);
	rig_expect(f, MIB, BLOCK_SIZE, 4);
	rig_expect(f, MIB + BLOCK_SIZE, MIB - BLOCK_SIZE, 1);
	rig_expect(f, 2 * MIB, 3 * MIB, 0);
	rig_expect(f, 5 * MIB, BLOCK_SIZE, 5);
	rig_expect(f, 5 * MIB + BLOCK_SIZE, BLOCK_SIZE, 2);
	rig_expect(f, 5 * MIB + 2 * BLOCK_SIZE, MIB, 0);
	rig_expect(f, 20 * MIB, 2560, 3);
	ATF_REQUIRE_EQ(fs_file_truncate(f, 21 * MIB), 0);
	rig_expect(f, 20 * MIB + 2560, MIB - 2560, 0);
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(a_promoted_clone_needs_no_template);
ATF_TC_BODY(a_promoted_clone_needs_no_template, tc)
{
	(void)tc;
	rig_run(128 * MIB, body_promote);
}

/* ---- long work and those who look ---- */

struct looker {
	struct rig *r;
	uint64_t ino;
	unsigned looks, at_begin, at_end;
	bool begun, stop, stopped;
	struct fiber_cond done;
};

static void
look_fiber(void *arg)
{
	struct looker *k = arg;
	uint64_t held;
	unsigned n;

	while (!k->stop) {
		ATF_REQUIRE_EQ(fs_held(k->r->fs, k->ino, &held), 0);
		n = count_all(k->r, k->ino);
		ATF_CHECK(n <= 1);
		k->looks++;
		fiber_yield();
	}
	k->stopped = true;
	fiber_cond_broadcast(&k->done);
}

static bool
note_step(void *arg, uint64_t done, uint64_t total)
{
	struct looker *k = arg;

	(void)done;
	(void)total;
	if (!k->begun)
		k->at_begin = k->looks;
	k->begun = true;
	k->at_end = k->looks;
	return true;
}

static void
looker_begin(struct looker *k, struct rig *r, uint64_t ino)
{
	*k = (struct looker){ .r = r, .ino = ino };
	fiber_cond_init(&k->done);
	ATF_REQUIRE_EQ(sched_spawn(sched_current(), "look", look_fiber, k), 0);
}

static void
looker_end(struct looker *k)
{
	k->stop = true;
	while (!k->stopped)
		fiber_cond_wait(&k->done);
	ATF_CHECK_MSG(k->at_end > k->at_begin, "nobody could look");
}

static void
body_look(struct rig *r)
{
	uint64_t src = rig_create(r, "src", INODE_DISK, 2048 * MIB);
	struct fs_file *f = rig_open(r, src, FS_READ | FS_WRITE);
	struct looker k;
	struct fs_progress p = { note_step, &k };
	struct fs_snapshot s;
	struct fs_attr a;

	for (unsigned i = 0; i < 8; i++)
		rig_fill(f, i * 256 * MIB, MIB, 1);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, src, "s", &s, NULL), 0);
	ATF_REQUIRE_EQ(fs_clone(r->fs, s.ino, r->root, "c", 0600, 0, 0, &a,
	    NULL), 0);
	rig_close(f);
	f = rig_open(r, a.ino, FS_READ | FS_WRITE);
	looker_begin(&k, r, a.ino);
	ATF_REQUIRE_EQ(fs_file_promote(f, &p), 0);
	looker_end(&k);
	rig_close(f);
	f = rig_open(r, src, FS_READ | FS_WRITE);
	for (unsigned i = 0; i < 8; i++)
		rig_fill(f, i * 256 * MIB, MIB, 2);
	ATF_REQUIRE_EQ(fs_snapshot_forget(r->fs, src, s.id, NULL), 0);
	looker_begin(&k, r, src);
	ATF_REQUIRE_EQ(fs_snapshot_reap(r->fs, src, &p, NULL), 0);
	looker_end(&k);
	for (unsigned i = 0; i < 8; i++)
		rig_expect(f, i * 256 * MIB, MIB, 2);
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(long_work_can_be_looked_at);
ATF_TC_BODY(long_work_can_be_looked_at, tc)
{
	(void)tc;
	rig_run(128 * MIB, body_look);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, random_histories_keep_every_tree);
	ATF_TP_ADD_TC(tp, a_disk_has_ten_thousand_snapshots);
	ATF_TP_ADD_TC(tp, one_with_a_hundred_children_is_deleted);
	ATF_TP_ADD_TC(tp, what_a_copy_took_over_late_stays_the_origins);
	ATF_TP_ADD_TC(tp, several_disks_get_a_snapshot_or_none);
	ATF_TP_ADD_TC(tp, a_deletion_goes_on_after_a_crash);
	ATF_TP_ADD_TC(tp, what_is_behind_a_half_deleted_snapshot_stays);
	ATF_TP_ADD_TC(tp, a_promoted_clone_needs_no_template);
	ATF_TP_ADD_TC(tp, long_work_can_be_looked_at);
	return atf_no_error();
}
