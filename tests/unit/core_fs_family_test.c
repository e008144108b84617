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

#define DISK_SIZE (3 * MIB)
#define BLOCKS (DISK_SIZE / BLOCK_SIZE)
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

static void
family_open(struct family *m)
{
	m->f = rig_open(m->r, m->ino, FS_READ | FS_WRITE);
}

static void
tree_check(struct family *m, uint64_t ino, const struct tree *t)
{
	struct fs_file *f = rig_open(m->r, ino, FS_READ);
	static uint8_t buf[DISK_SIZE];
	size_t n;

	ATF_REQUIRE_EQ(fs_file_read(f, 0, buf, DISK_SIZE, &n), 0);
	ATF_REQUIRE_EQ(n, DISK_SIZE);
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
		ATF_REQUIRE_EQ(fs_file_punch(m->f, first * BLOCK_SIZE,
		    n * BLOCK_SIZE), 0);
	else
		rig_fill(m->f, first * BLOCK_SIZE, n * BLOCK_SIZE, v);
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
	ATF_REQUIRE_EQ(fs_snapshot_delete(m->r->fs, m->ino, t->id, NULL), 0);
	t->id = 0;
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
		if (i % 25 == 24)
			all_check(m);
	}
	rig_close(m->f);
	all_check(m);
	rig_umount(r);
	rig_mount(r);
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

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, random_histories_keep_every_tree);
	ATF_TP_ADD_TC(tp, a_disk_has_ten_thousand_snapshots);
	ATF_TP_ADD_TC(tp, one_with_a_hundred_children_is_deleted);
	ATF_TP_ADD_TC(tp, what_a_copy_took_over_late_stays_the_origins);
	return atf_no_error();
}
