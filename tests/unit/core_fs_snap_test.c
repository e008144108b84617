/* SPDX-License-Identifier: BSD-2-Clause */
/* Snapshots and clones: immutable, independent, and no space is lost. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/volume.h"
#include "tests/unit/core_fs_rig.h"

static struct fs_snapshot
snap(struct rig *r, uint64_t ino, const char *name)
{
	struct fs_snapshot s;

	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, name, &s, NULL), 0);
	return s;
}

static struct fs_snapshot
find(struct rig *r, uint64_t ino, const char *name)
{
	struct fs_snapshot s;

	ATF_REQUIRE_EQ(fs_snapshot_find(r->fs, ino, name, &s), 0);
	return s;
}

static void
immutable(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, 4 * MIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE), *sf;
	struct fs_snapshot s;
	struct fs_attr a;

	rig_fill(f, 0, 2 * MIB, 'a');
	s = snap(r, ino, "first");
	ATF_CHECK_EQ(s.id, 1);
	rig_fill(f, 4096, 4096, 'b');
	rig_expect(f, 0, 4096, 'a');
	rig_expect(f, 4096, 4096, 'b');
	rig_expect(f, 8192, MIB, 'a');
	/* One chunk for the first 4 KiB, not a MiB. */
	ATF_REQUIRE_EQ(fs_file_attr(f, &a), 0);
	ATF_CHECK_EQ(a.allocated, 2 * MIB + 65536);
	sf = rig_open(r, s.ino, FS_READ);
	rig_expect(sf, 0, 2 * MIB, 'a');
	rig_expect(sf, 2 * MIB, 2 * MIB, 0);
	rig_close(sf);
	rig_close(f);
	rig_remount(r);
	s = find(r, ino, "first");
	sf = rig_open(r, s.ino, FS_READ);
	rig_expect(sf, 0, 2 * MIB, 'a');
	ATF_CHECK_EQ(fs_file_open(r->fs, s.ino, 0, FS_WRITE, &f, NULL),
	    -EROFS);
	rig_close(sf);
	ATF_CHECK_EQ(find(r, ino, "#1").ino, s.ino);
	ATF_CHECK_EQ(fs_snapshot_create(r->fs, ino, "first", &s, NULL),
	    -EEXIST);
}

ATF_TC_WITHOUT_HEAD(snapshot_does_not_change);
ATF_TC_BODY(snapshot_does_not_change, tc)
{
	rig_run(64 * MIB, immutable);
}

static void
middle(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, 4 * MIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE), *sf;
	struct fs_snapshot s;

	rig_fill(f, 0, 4 * MIB, 'a');
	snap(r, ino, "one");
	rig_fill(f, 0, 2 * MIB, 'b');
	snap(r, ino, "two");
	rig_fill(f, MIB, 2 * MIB, 'c');
	snap(r, ino, "three");
	rig_fill(f, 2 * MIB + 4096, 4096, 'd');
	s = find(r, ino, "two");
	ATF_CHECK_EQ(s.parent_id, 1);
	/* Only it has the b of the second MiB. */
	ATF_CHECK_MSG(s.alone_bytes >= MIB && s.alone_bytes < MIB + 65536,
	    "%llu alone", (unsigned long long)s.alone_bytes);
	ATF_REQUIRE_EQ(fs_snapshot_delete(r->fs, ino, s.id, NULL), 0);
	ATF_CHECK_EQ(fs_snapshot_find(r->fs, ino, "two", &s), -ENOENT);
	s = find(r, ino, "three");
	ATF_CHECK_EQ(s.parent_id, 1);
	sf = rig_open(r, s.ino, FS_READ);
	rig_expect(sf, 0, MIB, 'b');
	rig_expect(sf, MIB, 2 * MIB, 'c');
	rig_expect(sf, 3 * MIB, MIB, 'a');
	ATF_CHECK_EQ(fs_snapshot_delete(r->fs, ino, s.id, NULL), -EBUSY);
	rig_close(sf);
	sf = rig_open(r, find(r, ino, "one").ino, FS_READ);
	rig_expect(sf, 0, 4 * MIB, 'a');
	rig_close(sf);
	rig_expect(f, 0, MIB, 'b');
	rig_expect(f, 2 * MIB, 4096, 'c');
	rig_expect(f, 2 * MIB + 4096, 4096, 'd');
	rig_expect(f, 3 * MIB, MIB, 'a');
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(snapshot_in_the_middle_can_go);
ATF_TC_BODY(snapshot_in_the_middle_can_go, tc)
{
	rig_run(64 * MIB, middle);
}

static void
reverting(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, 4 * MIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	uint32_t id;

	rig_fill(f, 0, 100000, 'a');
	id = snap(r, ino, "one").id;
	rig_fill(f, 0, 4 * MIB, 'b');
	ATF_CHECK_EQ(fs_snapshot_revert(r->fs, ino, id, NULL), -EBUSY);
	rig_close(f);
	ATF_REQUIRE_EQ(fs_snapshot_revert(r->fs, ino, id, NULL), 0);
	f = rig_open(r, ino, FS_READ | FS_WRITE);
	rig_expect(f, 0, 100000, 'a');
	rig_expect(f, 100000, 3 * MIB, 0);
	rig_fill(f, 0, 4096, 'c');
	rig_fill(f, 200000, 4096, 'c');
	rig_close(f);
	ATF_REQUIRE_EQ(fs_snapshot_revert(r->fs, ino, id, NULL), 0);
	f = rig_open(r, ino, FS_READ);
	rig_expect(f, 0, 100000, 'a');
	rig_expect(f, 100000, 3 * MIB, 0);
	rig_close(f);
	ATF_CHECK(find(r, ino, "one").is_head_base);
}

ATF_TC_WITHOUT_HEAD(revert_brings_back_the_snapshot);
ATF_TC_BODY(revert_brings_back_the_snapshot, tc)
{
	rig_run(64 * MIB, reverting);
}

static void
cloning(struct rig *r)
{
	uint64_t ino = rig_create(r, "t", INODE_DISK, 4 * MIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE), *c[2];
	struct fs_snapshot s;
	struct fs_attr a[2];

	rig_fill(f, 0, 2 * MIB, 'a');
	s = snap(r, ino, "gold");
	rig_fill(f, 0, MIB, 'z');
	for (unsigned i = 0; i < 2; i++) {
		ATF_REQUIRE_EQ(fs_clone(r->fs, s.ino, r->root,
		    i == 0 ? "c0" : "c1", 0600, 0, 0, &a[i], NULL), 0);
		ATF_CHECK(a[i].is_clone);
		c[i] = rig_open(r, a[i].ino, FS_READ | FS_WRITE);
	}
	rig_fill(c[0], 4096, 8192, 'x');
	rig_fill(c[1], 4096, 4096, 'y');
	rig_fill(c[1], 3 * MIB, 4096, 'y');
	rig_expect(c[0], 0, 4096, 'a');
	rig_expect(c[0], 4096, 8192, 'x');
	rig_expect(c[0], 12288, MIB, 'a');
	rig_expect(c[1], 4096, 4096, 'y');
	rig_expect(c[1], 8192, MIB, 'a');
	rig_expect(c[0], 3 * MIB, 4096, 0);
	rig_expect(f, 0, MIB, 'z');
	rig_close(f);
	ATF_CHECK_EQ(find(r, ino, "gold").clones, 2);
	ATF_CHECK_EQ(fs_snapshot_delete(r->fs, ino, s.id, NULL), -EBUSY);
	ATF_CHECK_EQ(fs_unlink(r->fs, r->root, "t", NULL), -EBUSY);
	rig_close(c[0]);
	rig_close(c[1]);
	rig_unlink(r, "c0");
	rig_remount(r);
	c[1] = rig_open(r, a[1].ino, FS_READ);
	rig_expect(c[1], 0, 4096, 'a');
	rig_expect(c[1], 4096, 4096, 'y');
	rig_close(c[1]);
	rig_unlink(r, "c1");
	rig_unlink(r, "t");
}

ATF_TC_WITHOUT_HEAD(clones_are_independent);
ATF_TC_BODY(clones_are_independent, tc)
{
	rig_run(64 * MIB, cloning);
}

/* ---- random operations against bytes in memory ---- */

#define SIZE (5 * MIB)
#define SNAPS 5u
#define HEADS 2u	/* the disk and a clone */

struct image {
	bool used;
	struct fs_snapshot s;
	uint8_t *bytes;
};

struct head {
	uint64_t ino;
	struct fs_file *f;
	uint8_t *bytes;
	struct image snap[SNAPS];
};

struct world {
	struct rig *r;
	struct prng p;
	struct head h[HEADS];
	unsigned serial;
	uint64_t seed, step;
	bool tight;		/* writes may find no space */
	unsigned refused;
};

static void
compare(struct world *w, struct fs_file *f, const uint8_t *bytes,
    const char *what)
{
	uint8_t *buf = malloc(SIZE);
	size_t n;

	ATF_REQUIRE_EQ(fs_file_read(f, 0, buf, SIZE, &n), 0);
	ATF_REQUIRE_EQ(n, SIZE);
	for (size_t i = 0; i < SIZE; i++)
		ATF_REQUIRE_MSG(buf[i] == bytes[i],
		    "seed %llu step %llu: %s: byte %zu is %u, not %u",
		    (unsigned long long)w->seed, (unsigned long long)w->step,
		    what, i, buf[i], bytes[i]);
	free(buf);
}

static void
check_all(struct world *w)
{
	for (unsigned i = 0; i < HEADS; i++) {
		struct head *h = &w->h[i];
		struct fs_file *f;

		if (h->ino == 0)
			continue;
		compare(w, h->f, h->bytes, i == 0 ? "disk" : "clone");
		for (unsigned k = 0; k < SNAPS; k++) {
			if (!h->snap[k].used)
				continue;
			f = rig_open(w->r, h->snap[k].s.ino, FS_READ);
			compare(w, f, h->snap[k].bytes, h->snap[k].s.name);
			rig_close(f);
		}
	}
}

/* True when an operation found no space, which must be allowed. */
static bool
no_space(struct world *w, int e)
{
	if (e == -ENOSPC && w->tight)
		return true;
	ATF_REQUIRE_MSG(e == 0, "seed %llu step %llu: %s",
	    (unsigned long long)w->seed, (unsigned long long)w->step,
	    vmfs_strerror(e));
	return false;
}

static void
take_snapshot(struct world *w, struct head *h)
{
	char name[16];

	for (unsigned k = 0; k < SNAPS; k++) {
		struct image *m = &h->snap[k];

		if (m->used)
			continue;
		snprintf(name, sizeof(name), "s%u", w->serial++);
		if (no_space(w, fs_snapshot_create(w->r->fs, h->ino, name,
		    &m->s, NULL)))
			return;
		memcpy(m->bytes, h->bytes, SIZE);
		m->used = true;
		return;
	}
}

static void
drop_snapshot(struct world *w, struct head *h, unsigned k)
{
	int e;

	if (!h->snap[k].used)
		return;
	e = fs_snapshot_delete(w->r->fs, h->ino, h->snap[k].s.id, NULL);
	if (e == -EBUSY && w->h[1].ino != 0)
		return;		/* the clone's */
	ATF_REQUIRE_MSG(e == 0, "seed %llu step %llu: delete %s: %s",
	    (unsigned long long)w->seed, (unsigned long long)w->step,
	    h->snap[k].s.name, vmfs_strerror(e));
	h->snap[k].used = false;
}

static void
revert_to(struct world *w, struct head *h, unsigned k)
{
	if (!h->snap[k].used)
		return;
	rig_close(h->f);
	if (!no_space(w, fs_snapshot_revert(w->r->fs, h->ino,
	    h->snap[k].s.id, NULL)))
		memcpy(h->bytes, h->snap[k].bytes, SIZE);
	h->f = rig_open(w->r, h->ino, FS_READ | FS_WRITE);
}

static void
drop_clone(struct world *w)
{
	rig_close(w->h[1].f);
	rig_unlink(w->r, "clone");
	w->h[1].ino = 0;
	for (unsigned k = 0; k < SNAPS; k++)
		w->h[1].snap[k].used = false;
}

static void
toggle_clone(struct world *w, unsigned k)
{
	struct image *m = &w->h[0].snap[k];
	struct fs_attr a;
	int e;

	if (w->h[1].ino != 0) {
		drop_clone(w);
		return;
	}
	if (!m->used)
		return;
	e = fs_clone(w->r->fs, m->s.ino, w->r->root, "clone", 0600, 0, 0, &a,
	    NULL);
	if (no_space(w, e))
		return;
	w->h[1].ino = a.ino;
	w->h[1].f = rig_open(w->r, a.ino, FS_READ | FS_WRITE);
	memcpy(w->h[1].bytes, m->bytes, SIZE);
}

/* No space: each byte is as it was or as it was to be. */
static void
settle(struct world *w, struct head *h, uint64_t off, uint64_t len,
    const uint8_t *old)
{
	uint8_t *buf = malloc(len);
	size_t n;

	ATF_REQUIRE_EQ(fs_file_read(h->f, off, buf, len, &n), 0);
	for (size_t i = 0; i < n; i++)
		ATF_REQUIRE_MSG(buf[i] == old[i] || buf[i] == h->bytes[off + i],
		    "seed %llu step %llu: byte %llu is of nobody",
		    (unsigned long long)w->seed, (unsigned long long)w->step,
		    (unsigned long long)off + i);
	memcpy(h->bytes + off, buf, n);
	free(buf);
}

static void
write_bytes(struct world *w, struct head *h, uint64_t off, uint64_t len)
{
	uint8_t *old = malloc(len);
	int e;

	memcpy(old, h->bytes + off, len);
	prng_fill(&w->p, h->bytes + off, len);
	e = fs_file_write(h->f, off, h->bytes + off, len);
	if (e == -ENOSPC && w->tight) {
		w->refused++;
		settle(w, h, off, len, old);
	} else {
		ATF_REQUIRE_EQ(e, 0);
	}
	free(old);
}

static void
write_some(struct world *w, struct head *h)
{
	uint64_t len = prng_below(&w->p, 4) == 0 ? 300000 : 12000;
	uint64_t off = prng_below(&w->p, SIZE);

	len = 1 + prng_below(&w->p, len);
	if (prng_below(&w->p, 3) != 0) {
		off &= ~(uint64_t)4095;
		len = (len + 4095) & ~(uint64_t)4095;
	}
	if (prng_below(&w->p, 8) == 0) {
		off &= ~(uint64_t)(MIB - 1);
		len = MIB;
	}
	if (len > SIZE - off)
		len = SIZE - off;
	if (prng_below(&w->p, 6) == 0 && !w->tight) {
		memset(h->bytes + off, 0, len);
		ATF_REQUIRE_EQ(fs_file_punch(h->f, off, len), 0);
		return;
	}
	write_bytes(w, h, off, len);
}

static void
reopen(struct world *w)
{
	for (unsigned i = 0; i < HEADS; i++)
		if (w->h[i].ino != 0)
			rig_close(w->h[i].f);
	rig_remount(w->r);
	for (unsigned i = 0; i < HEADS; i++)
		if (w->h[i].ino != 0)
			w->h[i].f = rig_open(w->r, w->h[i].ino,
			    FS_READ | FS_WRITE);
}

static void
random_step(struct world *w)
{
	unsigned k = (unsigned)prng_below(&w->p, SNAPS);
	struct head *h = &w->h[prng_below(&w->p, HEADS)];

	if (h->ino == 0)
		h = &w->h[0];
	switch (prng_below(&w->p, 40)) {
	case 0:
	case 1:
	case 2:
		take_snapshot(w, h);
		break;
	case 3:
	case 4:
		drop_snapshot(w, h, k);
		break;
	case 5:
		revert_to(w, h, k);
		break;
	case 6:
		toggle_clone(w, k);
		break;
	case 7:
		reopen(w);
		break;
	case 8:
		check_all(w);
		break;
	default:
		write_some(w, h);
	}
}

static void
world_run(struct world *w)
{
	prng_seed(&w->p, w->seed);
	memset(w->h[0].bytes, 0, SIZE);
	w->h[0].ino = rig_create(w->r, "disk", INODE_DISK, SIZE);
	w->h[0].f = rig_open(w->r, w->h[0].ino, FS_READ | FS_WRITE);
	for (w->step = 0; w->step < 300; w->step++)
		random_step(w);
	check_all(w);
	if (w->h[1].ino != 0)
		drop_clone(w);
	rig_close(w->h[0].f);
	/* Every other time the snapshots go with the disk. */
	for (unsigned k = 0; k < SNAPS; k++) {
		if (w->seed % 2 == 0)
			drop_snapshot(w, &w->h[0], k);
		w->h[0].snap[k].used = false;
	}
	rig_unlink(w->r, "disk");
	rig_remount(w->r);
}

/* In blocks, with what clusters keep for metadata. */
static uint64_t
unused(struct rig *r)
{
	struct cluster_info c;
	uint64_t n = 0;

	for (uint64_t i = 0; i < volume_clusters(&r->f.super); i++) {
		ATF_REQUIRE_EQ(space_peek(r->f.ds, i, 1, &c), 0);
		n += c.free_chunks * CHUNK_BLOCKS + c.free_meta_blocks +
		    c.metachunks;
	}
	return n;
}

static void
world_run_seeds(struct world *w, uint64_t seeds)
{
	uint64_t before = 0;

	for (unsigned i = 0; i < HEADS; i++) {
		w->h[i].bytes = malloc(SIZE);
		for (unsigned k = 0; k < SNAPS; k++)
			w->h[i].snap[k].bytes = malloc(SIZE);
	}
	for (w->seed = 1; w->seed <= seeds; w->seed++) {
		world_run(w);
		if (before != 0 && !w->tight)
			ATF_REQUIRE_MSG(unused(w->r) == before,
			    "seed %llu lost %lld blocks",
			    (unsigned long long)w->seed,
			    (long long)(before - unused(w->r)));
		before = unused(w->r);
	}
	for (unsigned i = 0; i < HEADS; i++) {
		free(w->h[i].bytes);
		for (unsigned k = 0; k < SNAPS; k++)
			free(w->h[i].snap[k].bytes);
	}
}

static void
random_tree(struct rig *r)
{
	struct world w = { .r = r };

	world_run_seeds(&w, 24);
}

ATF_TC_WITHOUT_HEAD(random_trees_match_a_model);
ATF_TC_BODY(random_trees_match_a_model, tc)
{
	rig_run(160 * MIB, random_tree);
}

static void
tight_tree(struct rig *r)
{
	struct world w = { .r = r, .tight = true };
	uint64_t ino = rig_create(r, "filler", INODE_FILE, 0);
	struct fs_file *f = rig_open(r, ino, FS_WRITE);
	uint64_t size = 0;

	while (fs_file_allocate(f, size, MIB) == 0)
		size += MIB;
	ATF_REQUIRE_EQ(fs_file_punch(f, size - 12 * MIB, 20 * MIB), 0);
	rig_close(f);
	rig_remount(r);
	world_run_seeds(&w, 12);
	ATF_CHECK(w.refused > 0);
}

ATF_TC_WITHOUT_HEAD(trees_stay_sound_without_space);
ATF_TC_BODY(trees_stay_sound_without_space, tc)
{
	rig_run(64 * MIB, tight_tree);
}

/* ---- open while its lock changes ---- */

#define TIMES 5u

struct reading {
	struct disk *d;
	bool stop, stopped;
	unsigned good;
	int error;
};

static void
reader_fiber(void *arg)
{
	struct reading *x = arg;
	uint8_t *buf = disk_buf_alloc(65536);

	while (!x->stop && x->error == 0) {
		x->error = disk_read(x->d, 0, buf, 65536);
		if (x->error == 0 && (buf[0] != 'a' || buf[65535] != 'a'))
			x->error = -EILSEQ;
		x->good += x->error == 0;
		fiber_yield();
	}
	free(buf);
	x->stopped = true;
}

static void
read_during(struct rig *r, void (*change)(struct rig *r, uint64_t ino,
    const struct fs_snapshot *s, unsigned i))
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, 4 * MIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	struct reading x = { 0 };
	struct fs_snapshot s;

	rig_fill(f, 0, MIB, 'a');
	rig_close(f);
	s = snap(r, ino, "s");
	ATF_REQUIRE_EQ(fs_file_disk(rig_open(r, s.ino, FS_READ), "d@s", &x.d),
	    0);
	ATF_REQUIRE_EQ(sched_spawn(r->f.env.sched, "reader", reader_fiber, &x),
	    0);
	for (unsigned i = 0; i < TIMES; i++) {
		for (unsigned k = 0; k < 20; k++)
			fiber_yield();
		change(r, ino, &s, i);
	}
	x.stop = true;
	while (!x.stopped)
		fiber_yield();
	disk_close(x.d);
	ATF_CHECK_MSG(x.error == 0, "after %u reads: %s", x.good,
	    vmfs_strerror(x.error));
	ATF_CHECK(x.good >= TIMES);
}

static void
change_by_clone(struct rig *r, uint64_t ino, const struct fs_snapshot *s,
    unsigned i)
{
	char name[8];
	struct fs_attr a;

	(void)ino;
	snprintf(name, sizeof(name), "c%u", i);
	ATF_REQUIRE_EQ(fs_clone(r->fs, s->ino, r->root, name, 0644, 0, 0, &a,
	    NULL), 0);
}

static void
cloned_while_read(struct rig *r)
{
	read_during(r, change_by_clone);
}

ATF_TC_WITHOUT_HEAD(snapshot_is_read_while_it_is_cloned);
ATF_TC_BODY(snapshot_is_read_while_it_is_cloned, tc)
{
	rig_run(256 * MIB, cloned_while_read);
}

static void
change_refused(struct rig *r, uint64_t ino, const struct fs_snapshot *s,
    unsigned i)
{
	(void)i;
	ATF_REQUIRE_EQ(fs_snapshot_delete(r->fs, ino, s->id, NULL), -EBUSY);
}

static void
kept_while_read(struct rig *r)
{
	read_during(r, change_refused);
}

ATF_TC_WITHOUT_HEAD(snapshot_is_read_while_its_deletion_is_refused);
ATF_TC_BODY(snapshot_is_read_while_its_deletion_is_refused, tc)
{
	rig_run(256 * MIB, kept_while_read);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, snapshot_does_not_change);
	ATF_TP_ADD_TC(tp, snapshot_in_the_middle_can_go);
	ATF_TP_ADD_TC(tp, revert_brings_back_the_snapshot);
	ATF_TP_ADD_TC(tp, clones_are_independent);
	ATF_TP_ADD_TC(tp, snapshot_is_read_while_it_is_cloned);
	ATF_TP_ADD_TC(tp, snapshot_is_read_while_its_deletion_is_refused);
	ATF_TP_ADD_TC(tp, random_trees_match_a_model);
	ATF_TP_ADD_TC(tp, trees_stay_sound_without_space);
	return atf_no_error();
}
