/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies between disks of one datastore that share space. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/core/fs_impl.h"
#include "tests/unit/core_fs_rig.h"
#include "tests/unit/crash_disk.h"

#define SIZE (20 * MIB)		/* more than one leaf */

struct pair {
	struct rig *r;
	uint64_t ino[2];
	struct fs_file *from, *to;
};

static void
pair_open(struct pair *p, struct rig *r)
{
	p->r = r;
	p->ino[0] = rig_create(r, "from", INODE_DISK, SIZE);
	p->ino[1] = rig_create(r, "to", INODE_DISK, SIZE);
	p->from = rig_open(r, p->ino[0], FS_READ | FS_WRITE);
	p->to = rig_open(r, p->ino[1], FS_READ | FS_WRITE);
}

static void
pair_close(struct pair *p)
{
	rig_close(p->from);
	rig_close(p->to);
}

/* Bytes done, or the error. */
static int64_t
share(struct pair *p, uint64_t off, uint64_t len)
{
	uint64_t done = 0;
	int r = fs_file_share(p->from, p->to, off, len, &done);

	return r != 0 ? r : (int64_t)done;
}

static unsigned
snapshots(struct rig *r, uint64_t ino)
{
	struct fs_attr a;

	ATF_REQUIRE_EQ(fs_getattr(r->fs, ino, &a), 0);
	return a.snapshots;
}

static void
whole(struct rig *r)
{
	struct pair p;
	uint64_t before, after;

	pair_open(&p, r);
	rig_fill(p.from, 0, 17 * MIB, 'a');
	rig_fill(p.from, 18 * MIB + 4096, 4096, 'b');
	before = rig_free_bytes(r);
	ATF_CHECK_EQ((int64_t)SIZE, share(&p, 0, SIZE));
	after = rig_free_bytes(r);
	ATF_CHECK_MSG(before - after < MIB, "%llu bytes were taken",
	    (unsigned long long)(before - after));
	rig_expect(p.to, 0, 17 * MIB, 'a');
	rig_expect(p.to, 17 * MIB, MIB, 0);
	rig_expect(p.to, 18 * MIB, 4096, 0);
	rig_expect(p.to, 18 * MIB + 4096, 4096, 'b');
	rig_expect(p.to, 18 * MIB + 8192, MIB, 0);
	pair_close(&p);
	rig_remount(r);
	p.to = rig_open(r, p.ino[1], FS_READ);
	rig_expect(p.to, 0, 17 * MIB, 'a');
	rig_close(p.to);
}

ATF_TC_WITHOUT_HEAD(a_copy_shares_its_space);
ATF_TC_BODY(a_copy_shares_its_space, tc)
{
	rig_run(128 * MIB, whole);
}

static void
independent(struct rig *r)
{
	struct pair p;

	pair_open(&p, r);
	rig_fill(p.from, 0, SIZE, 'a');
	ATF_REQUIRE_EQ((int64_t)SIZE, share(&p, 0, SIZE));
	rig_fill(p.from, 0, MIB, 'f');
	rig_fill(p.to, MIB + 512, 1024, 't');
	rig_expect(p.to, 0, MIB, 'a');
	rig_expect(p.from, MIB, MIB, 'a');
	rig_expect(p.to, MIB, 512, 'a');
	rig_expect(p.to, MIB + 512, 1024, 't');
	ATF_REQUIRE_EQ(0, fs_file_punch(p.to, 2 * MIB, MIB));
	rig_expect(p.to, 2 * MIB, MIB, 0);
	rig_expect(p.from, 2 * MIB, MIB, 'a');
	pair_close(&p);
	ATF_CHECK_EQ(-EBUSY, fs_unlink(r->fs, r->root, "from", NULL));
	rig_unlink(r, "to");
	rig_remount(r);
	p.from = rig_open(r, p.ino[0], FS_READ);
	rig_expect(p.from, MIB, SIZE - MIB, 'a');
	rig_close(p.from);
	rig_unlink(r, "from");
}

ATF_TC_WITHOUT_HEAD(both_disks_are_independent);
ATF_TC_BODY(both_disks_are_independent, tc)
{
	rig_run(128 * MIB, independent);
}

static void
pieces(struct rig *r)
{
	struct pair p;

	pair_open(&p, r);
	rig_fill(p.from, 0, SIZE, 'a');
	ATF_CHECK_EQ((int64_t)MIB, share(&p, 0, MIB + 4096));
	rig_expect(p.to, 0, MIB, 'a');
	rig_expect(p.to, MIB, MIB, 0);
	/* Written since: not what the snapshot has. */
	rig_fill(p.from, 3 * MIB + 4096, 512, 'n');
	ATF_CHECK_EQ((int64_t)(2 * MIB), share(&p, MIB, 4 * MIB));
	ATF_CHECK_EQ(0, share(&p, 3 * MIB, MIB));
	ATF_CHECK_EQ((int64_t)(16 * MIB), share(&p, 4 * MIB, 16 * MIB));
	rig_expect(p.to, 3 * MIB, MIB, 0);
	rig_expect(p.to, 4 * MIB, 16 * MIB, 'a');
	/* Over what the copy has of its own. */
	rig_fill(p.to, 5 * MIB, 2 * MIB, 'o');
	ATF_CHECK_EQ((int64_t)(2 * MIB), share(&p, 5 * MIB, 2 * MIB));
	rig_expect(p.to, 5 * MIB, 2 * MIB, 'a');
	ATF_CHECK_EQ(1, snapshots(r, p.ino[0]));
	pair_close(&p);
}

ATF_TC_WITHOUT_HEAD(what_was_written_since_is_left_to_copy);
ATF_TC_BODY(what_was_written_since_is_left_to_copy, tc)
{
	rig_run(128 * MIB, pieces);
}

static void
refusals(struct rig *r)
{
	uint64_t done;
	struct fs_file *other;
	struct fs_snapshot s;
	struct pair p;

	pair_open(&p, r);
	ATF_CHECK_EQ(-EOPNOTSUPP, share(&p, 0, SIZE));	/* nothing there */
	rig_fill(p.from, 0, SIZE, 'a');
	ATF_CHECK_EQ(-EOPNOTSUPP, share(&p, MIB, MIB));
	ATF_CHECK_EQ(-EOPNOTSUPP, fs_file_share(p.from, p.from, 0, MIB,
	    &done));
	rig_fill(p.to, SIZE - 512, 512, 'x');
	ATF_CHECK_EQ(-EOPNOTSUPP, share(&p, 0, SIZE));	/* not empty */
	ATF_REQUIRE_EQ(0, fs_file_punch(p.to, 0, SIZE));
	ATF_REQUIRE_EQ(0, fs_snapshot_create(r->fs, p.ino[1], "s", &s, NULL));
	ATF_CHECK_EQ(-EOPNOTSUPP, share(&p, 0, SIZE));
	ATF_REQUIRE_EQ(0, fs_snapshot_delete(r->fs, p.ino[1], s.id, NULL));
	other = rig_open(r, p.ino[0], FS_READ);
	ATF_CHECK_EQ(-EBADF, fs_file_share(p.to, other, 0, MIB, &done));
	rig_close(other);
	ATF_CHECK_EQ(0, snapshots(r, p.ino[0]));
	pair_close(&p);
}

ATF_TC_WITHOUT_HEAD(only_an_empty_disk_begins_to_share);
ATF_TC_BODY(only_an_empty_disk_begins_to_share, tc)
{
	rig_run(128 * MIB, refusals);
}

/* Emptied again, but with nodes of before in its map. */
static void
emptied(struct rig *r)
{
	struct pair p;

	pair_open(&p, r);
	rig_fill(p.from, 0, SIZE, 'a');
	rig_fill(p.to, 0, SIZE, 'x');
	ATF_REQUIRE_EQ(0, fs_file_punch(p.to, 0, SIZE));
	ATF_CHECK_EQ((int64_t)SIZE, share(&p, 0, SIZE));
	rig_expect(p.to, 0, SIZE, 'a');
	rig_fill(p.to, 0, SIZE, 'y');
	rig_expect(p.from, 0, SIZE, 'a');
	pair_close(&p);
}

ATF_TC_WITHOUT_HEAD(an_emptied_disk_shares_too);
ATF_TC_BODY(an_emptied_disk_shares_too, tc)
{
	rig_run(128 * MIB, emptied);
}

static void
templates(struct rig *r)
{
	struct fs_file *copy[3];
	struct fs_snapshot s;
	uint64_t done, ino;
	struct pair p;
	char name[8];

	pair_open(&p, r);
	rig_fill(p.from, 0, SIZE, 'a');
	for (unsigned i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		ino = rig_create(r, name, INODE_DISK, SIZE);
		copy[i] = rig_open(r, ino, FS_READ | FS_WRITE);
		ATF_REQUIRE_EQ(0, fs_file_share(p.from, copy[i], 0, SIZE,
		    &done));
		ATF_CHECK_EQ(SIZE, done);
		rig_expect(copy[i], 0, SIZE, 'a');
		rig_close(copy[i]);
	}
	ATF_CHECK_EQ(1, snapshots(r, p.ino[0]));
	/* Of a snapshot itself, which another copy reads meanwhile. */
	ATF_REQUIRE_EQ(0, fs_snapshot_create(r->fs, p.ino[0], "gold", &s,
	    NULL));
	rig_fill(p.from, 0, SIZE, 'b');
	copy[0] = rig_open(r, s.ino, FS_READ);
	ATF_REQUIRE_EQ(0, fs_file_share(copy[0], p.to, 0, SIZE, &done));
	ATF_CHECK_EQ(SIZE, done);
	rig_expect(copy[0], 0, SIZE, 'a');
	rig_close(copy[0]);
	rig_expect(p.to, 0, SIZE, 'a');
	ATF_CHECK_EQ(2, snapshots(r, p.ino[0]));
	pair_close(&p);
}

ATF_TC_WITHOUT_HEAD(an_unchanged_disk_is_copied_from_one_snapshot);
ATF_TC_BODY(an_unchanged_disk_is_copied_from_one_snapshot, tc)
{
	rig_run(128 * MIB, templates);
}

/* ---- the end of the snapshot ---- */

static void
copy_named(struct pair *p, const char *name)
{
	uint64_t done, ino = rig_create(p->r, name, INODE_DISK, SIZE);
	struct fs_file *f = rig_open(p->r, ino, FS_READ | FS_WRITE);

	ATF_REQUIRE_EQ(0, fs_file_share(p->from, f, 0, SIZE, &done));
	ATF_REQUIRE_EQ(SIZE, done);
	rig_close(f);
}

static void
last_copy(struct rig *r)
{
	struct pair p;
	uint64_t before;

	pair_open(&p, r);
	rig_fill(p.from, 0, SIZE, 'a');
	before = rig_free_bytes(r);
	copy_named(&p, "one");
	copy_named(&p, "two");
	rig_fill(p.from, 0, SIZE, 'b');
	rig_unlink(r, "one");
	ATF_CHECK_EQ(1, snapshots(r, p.ino[0]));
	rig_unlink(r, "two");
	ATF_CHECK_EQ(0, snapshots(r, p.ino[0]));
	ATF_CHECK(before - rig_free_bytes(r) < MIB);
	rig_expect(p.from, 0, SIZE, 'b');
	/* And again. */
	copy_named(&p, "three");
	ATF_CHECK_EQ(1, snapshots(r, p.ino[0]));
	pair_close(&p);
	rig_unlink(r, "three");
	ATF_CHECK_EQ(0, snapshots(r, p.ino[0]));
	rig_unlink(r, "from");
}

ATF_TC_WITHOUT_HEAD(the_snapshot_goes_with_the_last_copy);
ATF_TC_BODY(the_snapshot_goes_with_the_last_copy, tc)
{
	rig_run(128 * MIB, last_copy);
}

static void
promoted(struct rig *r)
{
	struct pair p;

	pair_open(&p, r);
	rig_fill(p.from, 0, SIZE, 'a');
	ATF_REQUIRE_EQ((int64_t)SIZE, share(&p, 0, SIZE));
	ATF_REQUIRE_EQ(0, fs_file_promote(p.to, NULL));
	ATF_CHECK_EQ(0, snapshots(r, p.ino[0]));
	rig_fill(p.from, 0, MIB, 'b');
	rig_expect(p.to, 0, SIZE, 'a');
	pair_close(&p);
}

ATF_TC_WITHOUT_HEAD(the_snapshot_goes_with_the_last_promoted_copy);
ATF_TC_BODY(the_snapshot_goes_with_the_last_promoted_copy, tc)
{
	rig_run(128 * MIB, promoted);
}

/* Where the promotion has been already. */
static bool
share_behind(void *arg, uint64_t done, uint64_t total)
{
	struct pair *p = arg;

	(void)total;
	if (done == 4 * MIB)
		ATF_CHECK_EQ(-EOPNOTSUPP, share(p, MIB, MIB));
	return true;
}

static void
share_beside_promotion(struct rig *r)
{
	struct pair p;
	struct fs_progress progress = { share_behind, &p };

	pair_open(&p, r);
	rig_fill(p.from, 0, SIZE, 'a');
	ATF_REQUIRE_EQ((int64_t)SIZE, share(&p, 0, SIZE));
	ATF_REQUIRE_EQ(0, fs_file_promote(p.to, &progress));
	rig_fill(p.from, 0, SIZE, 'b');
	rig_expect(p.to, 0, SIZE, 'a');
	rig_fill(p.to, 0, SIZE, 'c');
	rig_expect(p.from, 0, SIZE, 'b');
	pair_close(&p);
}

ATF_TC_WITHOUT_HEAD(what_is_shared_beside_a_promotion_stays_ones_own);
ATF_TC_BODY(what_is_shared_beside_a_promotion_stays_ones_own, tc)
{
	rig_run(128 * MIB, share_beside_promotion);
}

static void
read_meanwhile(struct rig *r)
{
	struct fs_snapshot s;
	struct fs_file *f;
	unsigned pending;
	struct pair p;

	pair_open(&p, r);
	rig_fill(p.from, 0, SIZE, 'a');
	copy_named(&p, "one");
	ATF_REQUIRE_EQ(0, fs_snapshot_find(r->fs, p.ino[0], "#1", &s));
	ATF_REQUIRE_EQ(0, fs_snapshot_pending(r->fs, p.ino[0], &pending));
	ATF_CHECK_EQ(0, pending);
	f = rig_open(r, s.ino, FS_READ);
	rig_unlink(r, "one");
	rig_expect(f, 0, SIZE, 'a');
	ATF_CHECK_EQ(1, snapshots(r, p.ino[0]));
	rig_close(f);
	/* As the next mount does. */
	ATF_REQUIRE_EQ(0, fs_snapshot_pending(r->fs, p.ino[0], &pending));
	ATF_CHECK_EQ(1, pending);
	ATF_REQUIRE_EQ(0, fs_snapshot_reap(r->fs, p.ino[0], NULL, NULL));
	ATF_CHECK_EQ(0, snapshots(r, p.ino[0]));
	pair_close(&p);
}

ATF_TC_WITHOUT_HEAD(a_copys_snapshot_in_use_goes_later);
ATF_TC_BODY(a_copys_snapshot_in_use_goes_later, tc)
{
	rig_run(128 * MIB, read_meanwhile);
}

static void
somebodys(struct rig *r)
{
	struct fs_snapshot s, copy;
	struct fs_attr a;
	struct pair p;

	pair_open(&p, r);
	rig_fill(p.from, 0, SIZE, 'a');
	ATF_REQUIRE_EQ(0, fs_snapshot_create(r->fs, p.ino[0], "copy-1", &s,
	    NULL));
	ATF_REQUIRE_EQ(0, fs_clone(r->fs, s.ino, r->root, "clone", 0644, 0, 0,
	    &a, NULL));
	rig_unlink(r, "clone");
	ATF_CHECK_EQ(1, snapshots(r, p.ino[0]));
	copy_named(&p, "one");
	ATF_CHECK_EQ(2, snapshots(r, p.ino[0]));
	ATF_REQUIRE_EQ(0, fs_snapshot_find(r->fs, p.ino[0], "#2", &copy));
	rig_unlink(r, "one");
	ATF_CHECK_EQ(1, snapshots(r, p.ino[0]));
	ATF_CHECK_EQ(-ENOENT, fs_snapshot_delete(r->fs, p.ino[0], copy.id,
	    NULL));
	ATF_CHECK_EQ(0, fs_snapshot_delete(r->fs, p.ino[0], s.id, NULL));
	pair_close(&p);
}

ATF_TC_WITHOUT_HEAD(a_snapshot_of_somebody_stays_without_clones);
ATF_TC_BODY(a_snapshot_of_somebody_stays_without_clones, tc)
{
	rig_run(128 * MIB, somebodys);
}

static void
deleted_by_hand(struct rig *r)
{
	struct fs_snapshot s;
	struct fs_file *f;
	struct pair p;

	pair_open(&p, r);
	rig_fill(p.from, 0, SIZE, 'a');
	copy_named(&p, "one");
	ATF_REQUIRE_EQ(0, fs_snapshot_find(r->fs, p.ino[0], "#1", &s));
	f = rig_open(r, s.ino, FS_READ);
	rig_unlink(r, "one");
	rig_close(f);
	ATF_CHECK_EQ(0, fs_snapshot_delete(r->fs, p.ino[0], s.id, NULL));
	ATF_CHECK_EQ(0, snapshots(r, p.ino[0]));
	pair_close(&p);
}

ATF_TC_WITHOUT_HEAD(a_copys_snapshot_may_be_deleted_by_hand);
ATF_TC_BODY(a_copys_snapshot_may_be_deleted_by_hand, tc)
{
	rig_run(128 * MIB, deleted_by_hand);
}

struct sharing {
	struct pair p;
	int64_t result;
	bool ended;
};

static void
share_fiber(void *arg)
{
	struct sharing *s = arg;

	s->result = share(&s->p, 0, SIZE);
	s->ended = true;
}

/* Between the snapshot and the clone of it somebody looks for idle ones. */
static void
begins(struct rig *r)
{
	struct sharing s = { .ended = false };
	struct inode *to;

	pair_open(&s.p, r);
	to = s.p.to->ip;
	rig_fill(s.p.from, 0, SIZE, 'a');
	fiber_mutex_lock(&to->snaps);
	ATF_REQUIRE_EQ(0, sched_spawn(sched_current(), "share", share_fiber,
	    &s));
	while (snapshots(r, s.p.ino[0]) == 0)
		fiber_yield();
	ATF_REQUIRE_EQ(0, fs_snapshot_reap(r->fs, s.p.ino[0], NULL, NULL));
	ATF_CHECK_EQ(1, snapshots(r, s.p.ino[0]));
	fiber_mutex_unlock(&to->snaps);
	while (!s.ended)
		fiber_yield();
	ATF_CHECK_EQ((int64_t)SIZE, s.result);
	rig_expect(s.p.to, 0, SIZE, 'a');
	pair_close(&s.p);
}

ATF_TC_WITHOUT_HEAD(a_copy_that_begins_keeps_its_snapshot);
ATF_TC_BODY(a_copy_that_begins_keeps_its_snapshot, tc)
{
	rig_run(128 * MIB, begins);
}

/* ---- random operations against bytes in memory ---- */

struct model {
	struct pair p;
	struct prng g;
	uint8_t *bytes[2];
};

static void
model_write(struct model *m, unsigned side)
{
	size_t len = 512 * (1 + prng_below(&m->g, 400));
	size_t off = 512 * prng_below(&m->g, (SIZE - len) / 512);

	prng_fill(&m->g, m->bytes[side] + off, len);
	ATF_REQUIRE_EQ(0, fs_file_write(side == 0 ? m->p.from : m->p.to, off,
	    m->bytes[side] + off, len));
}

static void
model_copy(struct model *m, uint64_t off, uint64_t len)
{
	uint64_t done = 0;

	memcpy(m->bytes[1] + off, m->bytes[0] + off, len);
	while (len > 0) {
		int r = fs_file_share(m->p.from, m->p.to, off, len, &done);

		ATF_REQUIRE_MSG(r == 0 || r == -EOPNOTSUPP, "%d", r);
		if (r != 0 || done == 0) {
			done = MIB;
			ATF_REQUIRE_EQ(0, fs_file_write(m->p.to, off,
			    m->bytes[0] + off, MIB));
		}
		off += done;
		len -= done;
	}
}

static void
model_snapshot(struct model *m, unsigned i)
{
	struct fs_snapshot s;
	char name[8];

	snprintf(name, sizeof(name), "s%u", i);
	if (fs_snapshot_find(m->p.r->fs, m->p.ino[i % 2], name, &s) == 0)
		ATF_REQUIRE_EQ(0, fs_snapshot_delete(m->p.r->fs,
		    m->p.ino[i % 2], s.id, NULL));
	else
		ATF_REQUIRE_EQ(0, fs_snapshot_create(m->p.r->fs,
		    m->p.ino[i % 2], name, &s, NULL));
}

static void
model_compare(struct model *m)
{
	uint8_t *buf = malloc(SIZE);
	size_t len;

	for (unsigned side = 0; side < 2; side++) {
		ATF_REQUIRE_EQ(0, fs_file_read(side == 0 ? m->p.from : m->p.to,
		    0, buf, SIZE, &len));
		ATF_REQUIRE_EQ(SIZE, len);
		ATF_REQUIRE_EQ(0, memcmp(buf, m->bytes[side], SIZE));
	}
	free(buf);
}

static void
model_reopen(struct model *m)
{
	pair_close(&m->p);
	rig_remount(m->p.r);
	m->p.from = rig_open(m->p.r, m->p.ino[0], FS_READ | FS_WRITE);
	m->p.to = rig_open(m->p.r, m->p.ino[1], FS_READ | FS_WRITE);
}

static void
model_step(struct model *m)
{
	uint64_t mib = prng_below(&m->g, SIZE / MIB);
	uint64_t what = prng_below(&m->g, 12);

	if (what < 4)
		model_write(m, 0);
	else if (what < 7)
		model_write(m, 1);
	else if (what < 10)
		model_copy(m, mib * MIB, (1 + prng_below(&m->g,
		    SIZE / MIB - mib)) * MIB);
	else if (what < 11)
		model_snapshot(m, (unsigned)prng_below(&m->g, 4));
	else
		model_reopen(m);
}

static void
random_run(struct rig *r)
{
	static uint64_t seed;
	struct model m = { .bytes = { calloc(1, SIZE), calloc(1, SIZE) } };

	prng_seed(&m.g, ++seed);
	pair_open(&m.p, r);
	for (unsigned i = 0; i < 4; i++)
		model_write(&m, 0);
	model_copy(&m, 0, MIB * (1 + prng_below(&m.g, SIZE / MIB)));
	for (unsigned i = 0; i < 60; i++)
		model_step(&m);
	model_compare(&m);
	model_reopen(&m);
	model_compare(&m);
	pair_close(&m.p);
	rig_unlink(r, "to");
	rig_unlink(r, "from");
	free(m.bytes[0]);
	free(m.bytes[1]);
}

ATF_TC_WITHOUT_HEAD(random_copies_read_as_they_should);
ATF_TC_BODY(random_copies_read_as_they_should, tc)
{
	for (unsigned i = 0; i < 8; i++)
		rig_run(256 * MIB, random_run);
}

/* ---- power cuts ---- */

static void
cut_check(struct crash_disk *crash, const struct pair *p, size_t n,
    enum crash_kind kind)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct recover_report rep;
	struct fs_file *f;
	struct fs_attr a;
	struct disk *d;
	uint8_t byte;
	size_t len;

	ATF_REQUIRE_EQ(0, crash_disk_image(crash, n, kind, n, &d));
	fixture_init(&r->f, d, false);
	ATF_REQUIRE_EQ(0, fixture_recover(&r->f, d, &rep));
	rig_mount(r);
	f = rig_open(r, p->ino[0], FS_READ | FS_WRITE);
	rig_expect(f, MIB, 3 * MIB, 'a');
	rig_close(f);
	if (fs_lookup(r->fs, r->root, "to", &a) == 0) {
		f = rig_open(r, p->ino[1], FS_READ | FS_WRITE);
		for (uint64_t off = MIB; off < 4 * MIB; off += MIB) {
			ATF_REQUIRE_EQ(0, fs_file_read(f, off, &byte, 1,
			    &len));
			ATF_REQUIRE_MSG(byte == 0 || byte == 'a', "cut %zu",
			    n);
			rig_expect(f, off, MIB, byte);
		}
		rig_close(f);
		rig_unlink(r, "to");
	}
	/* As at each mount. */
	ATF_REQUIRE_EQ(0, fs_snapshot_reap(r->fs, p->ino[0], NULL, NULL));
	ATF_CHECK_EQ(0, snapshots(r, p->ino[0]));
	rig_umount(r);
	disk_close(d);
	free(r);
}

static int
cuts(void *arg)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct crash_disk *crash;
	size_t first, end;
	struct pair p;

	(void)arg;
	ATF_REQUIRE_EQ(0, crash_disk_open(64 * MIB, 512, &crash));
	fixture_init(&r->f, crash_disk_disk(crash), true);
	rig_mount(r);
	pair_open(&p, r);
	rig_fill(p.from, 0, 4 * MIB, 'a');
	ATF_REQUIRE_EQ(0, fs_file_flush(p.from));
	ATF_REQUIRE_EQ(0, fs_file_flush(p.to));
	first = crash_disk_writes(crash);
	ATF_REQUIRE_EQ((int64_t)(2 * MIB), share(&p, 0, 2 * MIB));
	ATF_REQUIRE_EQ(0, fs_file_flush(p.to));
	rig_fill(p.from, 4096, 512, 'b');
	rig_fill(p.to, 8192, 512, 'c');
	ATF_REQUIRE_EQ(0, fs_file_flush(p.from));
	ATF_REQUIRE_EQ((int64_t)(3 * MIB), share(&p, MIB, 3 * MIB));
	ATF_REQUIRE_EQ(0, fs_file_flush(p.to));
	pair_close(&p);
	rig_unlink(r, "to");
	rig_umount(r);
	end = crash_disk_writes(crash);
	ATF_REQUIRE(end > first);
	for (size_t n = first; n <= end; n++)
		cut_check(crash, &p, n, (enum crash_kind)(n % 3));
	crash_disk_close(crash);
	free(r);
	return 0;
}

ATF_TC_WITHOUT_HEAD(power_cuts_leave_a_sound_datastore);
ATF_TC_BODY(power_cuts_leave_a_sound_datastore, tc)
{
	fixture_run(cuts, NULL);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_copy_shares_its_space);
	ATF_TP_ADD_TC(tp, both_disks_are_independent);
	ATF_TP_ADD_TC(tp, what_was_written_since_is_left_to_copy);
	ATF_TP_ADD_TC(tp, only_an_empty_disk_begins_to_share);
	ATF_TP_ADD_TC(tp, an_emptied_disk_shares_too);
	ATF_TP_ADD_TC(tp, an_unchanged_disk_is_copied_from_one_snapshot);
	ATF_TP_ADD_TC(tp, the_snapshot_goes_with_the_last_copy);
	ATF_TP_ADD_TC(tp, the_snapshot_goes_with_the_last_promoted_copy);
	ATF_TP_ADD_TC(tp, what_is_shared_beside_a_promotion_stays_ones_own);
	ATF_TP_ADD_TC(tp, a_copys_snapshot_in_use_goes_later);
	ATF_TP_ADD_TC(tp, a_snapshot_of_somebody_stays_without_clones);
	ATF_TP_ADD_TC(tp, a_copys_snapshot_may_be_deleted_by_hand);
	ATF_TP_ADD_TC(tp, a_copy_that_begins_keeps_its_snapshot);
	ATF_TP_ADD_TC(tp, random_copies_read_as_they_should);
	ATF_TP_ADD_TC(tp, power_cuts_leave_a_sound_datastore);
	return atf_no_error();
}
