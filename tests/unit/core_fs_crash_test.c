/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Power cuts during writes, snapshots, reverts, deletions and renames: after
 * replay fsck finds nothing wrong, what was flushed is there, snapshots that
 * exist are whole.
 */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/core_fs_rig.h"
#include "tests/unit/crash_disk.h"

#define BLOCKS 640u		/* of the disk: 2.5 MiB */
#define DISK_BYTES ((uint64_t)BLOCKS * BLOCK_SIZE)
#define OPS 140u
#define SNAPS 3u
#define NAMES 3u
#define ALLOWED 8u

enum op_kind { OP_WRITE, OP_PUNCH, OP_FLUSH, OP_SNAP, OP_DROP, OP_REVERT,
	OP_REPLACE };

struct op {
	enum op_kind kind;
	size_t start, end;	/* writes of the LUN before and after */
	unsigned block, count;
	unsigned slot;		/* of snapshots or names */
	uint32_t stamp;		/* what is written; id of a snapshot */
};

struct world {
	struct crash_disk *crash;
	struct rig r;
	struct prng p;
	struct op op[OPS];
	unsigned n_op;
	size_t first;
	uint64_t ino;
	struct fs_file *f;
	uint32_t stamp;
	uint32_t snap_id[SNAPS];
};

/* What may be there after a cut; [0] is what was durable. */
struct cell {
	uint32_t v[ALLOWED];
	unsigned n;
};

struct model {
	struct cell block[BLOCKS];
	uint32_t now[BLOCKS];
	uint32_t snap[SNAPS][BLOCKS], snap_id[SNAPS];
	bool snap_sure[SNAPS], snap_gone[SNAPS];
	struct cell name[NAMES];
};

/* ---- the workload ---- */

static void
stamp_fill(uint8_t *buf, size_t len, uint32_t stamp)
{
	for (size_t i = 0; i < len; i += 4)
		memcpy(buf + i, &stamp, 4);
}

static void
do_write(struct world *w, struct op *o)
{
	uint8_t *buf = malloc((size_t)o->count * BLOCK_SIZE);

	stamp_fill(buf, (size_t)o->count * BLOCK_SIZE, o->stamp);
	ATF_REQUIRE_EQ(fs_file_write(w->f, (uint64_t)o->block * BLOCK_SIZE,
	    buf, (size_t)o->count * BLOCK_SIZE), 0);
	free(buf);
}

/* Half of them have no name until they are whole. */
static void
do_replace(struct world *w, struct op *o)
{
	uint8_t buf[200];
	struct fs_attr a;
	struct fs_file *f;
	char name[8];

	snprintf(name, sizeof(name), "n%u", o->slot);
	stamp_fill(buf, sizeof(buf), o->stamp);
	ATF_REQUIRE_EQ(fs_create(w->r.fs, w->r.root, o->stamp % 2 == 0 ? "tmp" :
	    NULL, INODE_FILE, 0600, 0, 0, 0, &a), 0);
	ATF_REQUIRE_EQ(fs_file_reopen(w->r.fs, a.ino, a.generation, FS_WRITE,
	    &f), 0);
	ATF_REQUIRE_EQ(fs_file_write(f, 0, buf, sizeof(buf)), 0);
	if (o->stamp % 2 != 0)
		ATF_REQUIRE_EQ(fs_file_link(f, w->r.root, "tmp"), 0);
	rig_close(f);
	ATF_REQUIRE_EQ(fs_rename(w->r.fs, w->r.root, "tmp", w->r.root, name,
	    0, NULL), 0);
}

static void
do_snap(struct world *w, struct op *o)
{
	struct fs_snapshot s;
	char name[16];

	snprintf(name, sizeof(name), "s%u", o->stamp);
	ATF_REQUIRE_EQ(fs_snapshot_create(w->r.fs, w->ino, name, &s, NULL), 0);
	o->stamp = s.id;
	w->snap_id[o->slot] = s.id;
}

static void
do_op(struct world *w, struct op *o)
{
	switch (o->kind) {
	case OP_WRITE:
		do_write(w, o);
		break;
	case OP_PUNCH:
		o->stamp = 0;
		ATF_REQUIRE_EQ(fs_file_punch(w->f, (uint64_t)o->block *
		    BLOCK_SIZE, (uint64_t)o->count * BLOCK_SIZE), 0);
		break;
	case OP_FLUSH:
		ATF_REQUIRE_EQ(fs_file_flush(w->f), 0);
		break;
	case OP_SNAP:
		do_snap(w, o);
		break;
	case OP_DROP:
		o->stamp = w->snap_id[o->slot];
		w->snap_id[o->slot] = 0;
		ATF_REQUIRE_EQ(fs_snapshot_delete(w->r.fs, w->ino, o->stamp,
		    NULL), 0);
		break;
	case OP_REVERT:
		rig_close(w->f);
		ATF_REQUIRE_EQ(fs_snapshot_revert(w->r.fs, w->ino,
		    w->snap_id[o->slot], NULL), 0);
		w->f = rig_open(&w->r, w->ino, FS_READ | FS_WRITE);
		break;
	case OP_REPLACE:
		do_replace(w, o);
		break;
	}
}

static enum op_kind
choose(struct world *w, unsigned slot)
{
	switch (prng_below(&w->p, 16)) {
	case 0:
	case 1:
		return OP_REPLACE;
	case 2:
	case 3:
	case 4:
		return w->snap_id[slot] != 0 ? OP_DROP : OP_SNAP;
	case 5:
		return w->snap_id[slot] != 0 ? OP_REVERT : OP_SNAP;
	case 6:
		return OP_FLUSH;
	case 7:
		return OP_PUNCH;
	default:
		return OP_WRITE;
	}
}

static void
next_op(struct world *w)
{
	struct op *o = &w->op[w->n_op++];

	o->slot = (unsigned)prng_below(&w->p, SNAPS);
	o->kind = choose(w, o->slot);
	o->block = (unsigned)prng_below(&w->p, BLOCKS);
	o->count = 1 + (unsigned)prng_below(&w->p,
	    prng_below(&w->p, 3) == 0 ? 300 : 20);
	if (o->count > BLOCKS - o->block)
		o->count = BLOCKS - o->block;
	o->stamp = ++w->stamp;
	o->start = crash_disk_writes(w->crash);
	do_op(w, o);
	o->end = crash_disk_writes(w->crash);
}

/* ---- what may be there ---- */

static void
cell_add(struct cell *c, uint32_t v)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->v[i] == v)
			return;
	ATF_REQUIRE(c->n < ALLOWED);
	c->v[c->n++] = v;
}

static void
cell_set(struct cell *c, uint32_t v)
{
	c->v[0] = v;
	c->n = 1;
}

/* Everything that is there now is durable. */
static void
model_settle(struct model *m)
{
	for (unsigned b = 0; b < BLOCKS; b++)
		cell_set(&m->block[b], m->now[b]);
}

static void
model_blocks(struct model *m, const struct op *o, bool done)
{
	for (unsigned b = o->block; b < o->block + o->count; b++) {
		if (m->block[b].n == ALLOWED) {
			/* Rare: forget the oldest, which then must not be. */
			memmove(m->block[b].v, m->block[b].v + 1,
			    (ALLOWED - 1) * sizeof(uint32_t));
			m->block[b].n--;
		}
		cell_add(&m->block[b], o->stamp);
		if (done)
			m->now[b] = o->stamp;
	}
}

static void
model_op(struct model *m, const struct op *o, bool done)
{
	switch (o->kind) {
	case OP_WRITE:
	case OP_PUNCH:
		model_blocks(m, o, done);
		return;
	case OP_SNAP:
		memcpy(m->snap[o->slot], m->now, sizeof(m->now));
		m->snap_id[o->slot] = o->stamp;
		m->snap_sure[o->slot] = done;
		m->snap_gone[o->slot] = false;
		break;
	case OP_DROP:
		m->snap_sure[o->slot] = false;
		m->snap_gone[o->slot] = done;
		break;
	case OP_REVERT:
		for (unsigned b = 0; b < BLOCKS; b++)
			if (done)
				m->now[b] = m->snap[o->slot][b];
			else if (m->block[b].n < ALLOWED)
				cell_add(&m->block[b], m->snap[o->slot][b]);
		break;
	case OP_REPLACE:
		cell_add(&m->name[o->slot], o->stamp);
		if (done)
			cell_set(&m->name[o->slot], o->stamp);
		break;
	case OP_FLUSH:
		break;
	}
	if (done)
		model_settle(m);
}

/* ---- after the cut ---- */

static bool
cell_has(const struct cell *c, uint32_t v)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->v[i] == v)
			return true;
	return false;
}

static uint32_t
stamp_of(const uint8_t *block, size_t len, const char *what, unsigned at)
{
	uint32_t v, w;

	memcpy(&v, block, 4);
	for (size_t i = 0; i < len; i += 4) {
		memcpy(&w, block + i, 4);
		ATF_REQUIRE_MSG(w == v, "%s %u is of two writes", what, at);
	}
	return v;
}

static void
check_disk(struct rig *r, uint64_t ino, const struct model *m, uint8_t *buf,
    size_t n)
{
	struct fs_file *f = rig_open(r, ino, FS_READ);
	size_t len;

	ATF_REQUIRE_EQ(fs_file_read(f, 0, buf, DISK_BYTES, &len), 0);
	for (unsigned b = 0; b < BLOCKS; b++) {
		uint32_t v;

		memcpy(&v, buf + (size_t)b * BLOCK_SIZE, 4);
		ATF_REQUIRE_MSG(cell_has(&m->block[b], v),
		    "cut %zu: block %u has stamp %u, may have %u..%u", n, b,
		    v, m->block[b].v[0], m->block[b].v[m->block[b].n - 1]);
	}
	rig_close(f);
}

static void
check_snap(struct rig *r, uint64_t ino, const struct model *m, unsigned k,
    uint8_t *buf, size_t n)
{
	struct fs_snapshot s;
	struct fs_file *f;
	char name[16];
	size_t len;
	int e;

	if (m->snap_id[k] == 0)
		return;
	snprintf(name, sizeof(name), "#%u", m->snap_id[k]);
	e = fs_snapshot_find(r->fs, ino, name, &s);
	ATF_REQUIRE_MSG(e == 0 || e == -ENOENT, "cut %zu: %d", n, e);
	ATF_REQUIRE(e == 0 || !m->snap_sure[k]);
	ATF_REQUIRE(e != 0 || !m->snap_gone[k]);
	if (e != 0)
		return;
	f = rig_open(r, s.ino, FS_READ);
	ATF_REQUIRE_EQ(fs_file_read(f, 0, buf, DISK_BYTES, &len), 0);
	for (unsigned b = 0; b < BLOCKS; b++)
		ATF_REQUIRE_MSG(stamp_of(buf + (size_t)b * BLOCK_SIZE,
		    BLOCK_SIZE, "snapshot block", b) == m->snap[k][b],
		    "cut %zu: snapshot %u block %u is wrong", n, s.id, b);
	rig_close(f);
}

static void
check_name(struct rig *r, const struct model *m, unsigned k, size_t n)
{
	uint8_t buf[200];
	struct fs_attr a;
	struct fs_file *f;
	char name[8];
	uint32_t v = 0;
	size_t len;
	int e;

	snprintf(name, sizeof(name), "n%u", k);
	e = fs_lookup(r->fs, r->root, name, &a);
	ATF_REQUIRE_MSG(e == 0 || e == -ENOENT, "cut %zu: %d", n, e);
	if (e == 0) {
		f = rig_open(r, a.ino, FS_READ);
		ATF_REQUIRE_EQ(fs_file_read(f, 0, buf, sizeof(buf), &len), 0);
		ATF_REQUIRE_EQ(len, sizeof(buf));
		v = stamp_of(buf, sizeof(buf), "name", k);
		rig_close(f);
	}
	ATF_REQUIRE_MSG(cell_has(&m->name[k], v), "cut %zu: %s has %u", n,
	    name, v);
}

static void
check_cut(struct world *w, size_t n, enum crash_kind kind)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct model *m = calloc(1, sizeof(*m));
	uint8_t *buf = malloc(DISK_BYTES);
	struct recover_report rep;
	struct disk *d;

	for (unsigned b = 0; b < BLOCKS; b++)
		cell_set(&m->block[b], 0);
	for (unsigned k = 0; k < NAMES; k++)
		cell_set(&m->name[k], 0);
	/* The last write of a torn image was never completed. */
	for (unsigned i = 0; i < w->n_op && w->op[i].start < n; i++)
		model_op(m, &w->op[i],
		    w->op[i].end <= n - (kind == CRASH_TORN));
	ATF_REQUIRE_EQ(crash_disk_image(w->crash, n, kind, n, &d), 0);
	fixture_init(&r->f, d, false);
	ATF_REQUIRE_EQ(fixture_recover(&r->f, d, &rep), 0);
	rig_mount(r);
	check_disk(r, w->ino, m, buf, n);
	for (unsigned k = 0; k < SNAPS; k++)
		check_snap(r, w->ino, m, k, buf, n);
	for (unsigned k = 0; k < NAMES; k++)
		check_name(r, m, k, n);
	rig_umount(r);
	disk_close(d);
	free(buf);
	free(m);
	free(r);
}

static int
crash_main(void *arg)
{
	const uint64_t *seed = arg;
	struct world *w = calloc(1, sizeof(*w));
	size_t total;

	ATF_REQUIRE_EQ(crash_disk_open(64 * MIB, 512, &w->crash), 0);
	prng_seed(&w->p, *seed);
	fixture_init(&w->r.f, crash_disk_disk(w->crash), true);
	rig_mount(&w->r);
	w->ino = rig_create(&w->r, "disk", INODE_DISK, DISK_BYTES);
	w->f = rig_open(&w->r, w->ino, FS_READ | FS_WRITE);
	ATF_REQUIRE_EQ(ds_commit(w->r.f.ds), 0);
	w->first = crash_disk_writes(w->crash);
	while (w->n_op < OPS)
		next_op(w);
	total = crash_disk_writes(w->crash);
	rig_close(w->f);
	rig_umount(&w->r);
	for (size_t n = w->first; n < total; n += 1 + prng_below(&w->p, 8))
		check_cut(w, n, (enum crash_kind)prng_below(&w->p, 3));
	crash_disk_close(w->crash);
	free(w);
	return 0;
}

ATF_TC_WITHOUT_HEAD(power_cuts_lose_nothing_flushed);
ATF_TC_BODY(power_cuts_lose_nothing_flushed, tc)
{
	for (uint64_t seed = 1; seed <= 6; seed++)
		fixture_run(crash_main, &seed);
}

/* ---- what was written behind the end ---- */

/* After a cut that kept the bytes of an append and not the new end. */
static void
cut_append(struct crash_disk *c, size_t n, bool by_write)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct recover_report rep;
	struct fs_file *f;
	struct fs_attr a;
	struct disk *d;

	ATF_REQUIRE_EQ(crash_disk_image(c, n, CRASH_CLEAN, 0, &d), 0);
	fixture_init(&r->f, d, false);
	ATF_REQUIRE_EQ(fixture_recover(&r->f, d, &rep), 0);
	rig_mount(r);
	ATF_REQUIRE_EQ(fs_resolve(r->fs, "/log", &a), 0);
	ATF_REQUIRE_EQ(a.size, 5000);
	f = rig_open(r, a.ino, FS_READ | FS_WRITE);
	if (by_write)
		rig_fill(f, 30000, 10, 3);
	else
		ATF_REQUIRE_EQ(fs_file_truncate(f, 30000), 0);
	rig_expect(f, 0, 5000, 1);
	rig_expect(f, 5000, 25000, 0);
	rig_close(f);
	rig_umount(r);
	disk_close(d);
	free(r);
}

static int
append_main(void *arg)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct crash_disk *c;
	struct fs_file *f;
	size_t n;

	ATF_REQUIRE_EQ(crash_disk_open(64 * MIB, 512, &c), 0);
	fixture_init(&r->f, crash_disk_disk(c), true);
	rig_mount(r);
	f = rig_open(r, rig_create(r, "log", INODE_FILE, 0), FS_WRITE);
	rig_fill(f, 0, 5000, 1);
	ATF_REQUIRE_EQ(fs_file_flush(f), 0);
	rig_fill(f, 5000, 2000, 2);
	n = crash_disk_writes(c);
	rig_close(f);
	rig_umount(r);
	cut_append(c, n, *(bool *)arg);
	crash_disk_close(c);
	free(r);
	return 0;
}

ATF_TC_WITHOUT_HEAD(a_lost_append_does_not_show_when_the_file_grows);
ATF_TC_BODY(a_lost_append_does_not_show_when_the_file_grows, tc)
{
	fixture_run(append_main, &(bool){ false });
}

ATF_TC_WITHOUT_HEAD(a_lost_append_does_not_show_before_a_later_write);
ATF_TC_BODY(a_lost_append_does_not_show_before_a_later_write, tc)
{
	fixture_run(append_main, &(bool){ true });
}

/* ---- what a close promises ---- */

static void
cut_after_close(struct crash_disk *c, uint64_t ino, uint64_t seed)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct recover_report rep;
	struct fs_file *f;
	struct disk *d;

	ATF_REQUIRE_EQ(crash_disk_image(c, crash_disk_writes(c), CRASH_LOST,
	    seed, &d), 0);
	fixture_init(&r->f, d, false);
	ATF_REQUIRE_EQ(fixture_recover(&r->f, d, &rep), 0);
	rig_mount(r);
	f = rig_open(r, ino, FS_READ);
	rig_expect(f, 0, 512, 2);
	rig_close(f);
	rig_umount(r);
	disk_close(d);
	free(r);
}

/* In a block that is valid: nothing but the data changes. */
static int
close_main(void *arg)
{
	struct rig *r = calloc(1, sizeof(*r));
	uint8_t old[512], new[512];
	struct crash_disk *c;
	struct fs_file *f;
	struct disk *d;
	uint64_t ino;

	(void)arg;
	memset(old, 1, sizeof(old));
	memset(new, 2, sizeof(new));
	ATF_REQUIRE_EQ(crash_disk_open(64 * MIB, 512, &c), 0);
	fixture_init(&r->f, crash_disk_disk(c), true);
	rig_mount(r);
	ino = rig_create(r, "disk", INODE_DISK, MIB);
	f = rig_open(r, ino, FS_READ | FS_WRITE);
	rig_fill(f, 0, 4096, 1);
	ATF_REQUIRE_EQ(ds_checkpoint(r->f.ds, 0), 0);
	ATF_REQUIRE_EQ(fs_file_disk(f, "disk", &d), 0);
	ATF_REQUIRE_EQ(disk_caw(d, 0, old, new, sizeof(new)), 0);
	disk_close(d);
	for (uint64_t seed = 1; seed <= 16; seed++)
		cut_after_close(c, ino, seed);
	rig_umount(r);
	crash_disk_close(c);
	free(r);
	return 0;
}

ATF_TC_WITHOUT_HEAD(data_is_durable_when_the_last_writer_has_closed);
ATF_TC_BODY(data_is_durable_when_the_last_writer_has_closed, tc)
{
	(void)tc;
	fixture_run(close_main, NULL);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, power_cuts_lose_nothing_flushed);
	ATF_TP_ADD_TC(tp, data_is_durable_when_the_last_writer_has_closed);
	ATF_TP_ADD_TC(tp, a_lost_append_does_not_show_when_the_file_grows);
	ATF_TP_ADD_TC(tp, a_lost_append_does_not_show_before_a_later_write);
	return atf_no_error();
}
