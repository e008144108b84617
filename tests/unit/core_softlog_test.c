/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process dies at any of its writes, its machine does not: whatever it has
 * acknowledged is there, flushed or not, and nothing else has changed.
 */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libvmfs/core/softlog.h"
#include "tests/unit/core_fs_rig.h"
#include "tests/unit/crash_disk.h"

#define BLOCKS 400u		/* of the disk that is written */
#define OPS 220u
#define WRITES_MAX 6000u
#define LUN_BYTES (64 * MIB)

/* The log as it was when a write of the LUN was begun. */
struct moment {
	unsigned op;		/* that was under way, or comes next */
	uint32_t active;
	uint64_t durable_lsn;
	uint64_t used[2];
	uint8_t *bytes[2];
};

struct op {
	unsigned block, count;
	uint32_t stamp;		/* 0: punched */
	bool flush;
};

/* Notes the moment of each write. */
struct watcher {
	struct disk disk;
	struct disk *below;
};

static struct world {
	struct crash_disk *crash;
	struct watcher watcher;
	struct softlog *soft;
	struct rig r;
	struct prng p;
	struct op op[OPS];
	unsigned n_op;
	struct moment moment[WRITES_MAX];
	size_t first, count;
	uint64_t ino;
} w;

static struct softlog *
soft_new(void)
{
	void *p = mmap(NULL, sizeof(struct softlog), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ATF_REQUIRE(p != MAP_FAILED);
	return p;
}

static void
note_moment(void)
{
	size_t n = crash_disk_writes(w.crash);
	struct moment *m = &w.moment[n];

	ATF_REQUIRE(n < WRITES_MAX);
	/* No write came between two of them. */
	for (unsigned i = 0; i < 2; i++)
		free(m->bytes[i]);
	*m = (struct moment){ .op = w.n_op, .active = w.soft->active,
	    .durable_lsn = w.soft->durable_lsn };
	for (unsigned i = 0; i < 2; i++) {
		m->used[i] = w.soft->area[i].used;
		m->bytes[i] = malloc(m->used[i] + 1);
		memcpy(m->bytes[i], w.soft->area[i].bytes, m->used[i]);
	}
	w.count = n + 1;
}

static void
watcher_submit(struct disk *d, struct disk_req *req)
{
	struct watcher *x = container_of(d, struct watcher, disk);

	if (req->op != DISK_READ && req->op != DISK_FLUSH)
		note_moment();
	disk_submit(x->below, req);
}

static const struct disk_ops watcher_ops = { .submit = watcher_submit };

/* ---- the workload ---- */

static void
do_write(struct fs_file *f, const struct op *o)
{
	size_t len = (size_t)o->count * BLOCK_SIZE;
	uint32_t *buf = malloc(len);

	for (size_t i = 0; i < len / 4; i++)
		buf[i] = o->stamp;
	ATF_REQUIRE_EQ(fs_file_write(f, (uint64_t)o->block * BLOCK_SIZE, buf,
	    len), 0);
	free(buf);
}

static void
do_op(struct fs_file *f, struct op *o)
{
	if (o->flush)
		ATF_REQUIRE_EQ(fs_file_flush(f), 0);
	else if (o->stamp == 0)
		ATF_REQUIRE_EQ(fs_file_punch(f, (uint64_t)o->block *
		    BLOCK_SIZE, (uint64_t)o->count * BLOCK_SIZE), 0);
	else
		do_write(f, o);
	ATF_REQUIRE_EQ(ds_soften(w.r.f.ds), 0);
}

static void
make_op(struct op *o, unsigned i)
{
	*o = (struct op){
		.flush = prng_below(&w.p, 20) == 0,
		.block = (unsigned)prng_below(&w.p, BLOCKS),
		.count = 1 + (unsigned)prng_below(&w.p, 24),
		.stamp = prng_below(&w.p, 6) == 0 ? 0 : i + 1,
	};
	if (o->count > BLOCKS - o->block)
		o->count = BLOCKS - o->block;
}

static void
play(bool snapshots)
{
	struct fs_snapshot s;
	struct fs_file *f;
	char name[16];

	w.ino = rig_create(&w.r, "disk", INODE_DISK,
	    (uint64_t)BLOCKS * BLOCK_SIZE);
	f = rig_open(&w.r, w.ino, FS_READ | FS_WRITE);
	ATF_REQUIRE_EQ(fs_file_flush(f), 0);
	w.first = crash_disk_writes(w.crash);
	for (w.n_op = 0; w.n_op < OPS; w.n_op++) {
		make_op(&w.op[w.n_op], w.n_op);
		do_op(f, &w.op[w.n_op]);
		/* Blocks then go to other places, and old ones are freed. */
		if (snapshots && w.n_op % 30 == 15) {
			(void)snprintf(name, sizeof(name), "s%u", w.n_op);
			ATF_REQUIRE_EQ(fs_snapshot_create(w.r.fs, w.ino, name,
			    &s, NULL), 0);
		} else if (snapshots && w.n_op % 30 == 29) {
			ATF_REQUIRE_EQ(fs_snapshot_delete(w.r.fs, w.ino, s.id,
			    NULL), 0);
		}
		if (w.n_op % 50 == 49)
			ATF_REQUIRE_EQ(ds_checkpoint(w.r.f.ds, 0), 0);
	}
	/* It dies when it has nothing to do. */
	note_moment();
	rig_close(f);
}

static void
world_begin(void)
{
	memset(&w, 0, sizeof(w));
	prng_seed(&w.p, 11);
	ATF_REQUIRE_EQ(crash_disk_open(LUN_BYTES, 512, &w.crash), 0);
	w.soft = soft_new();
	fixture_init(&w.r.f, crash_disk_disk(w.crash), true);
	w.watcher.below = w.r.f.disk;
	w.watcher.disk = *w.r.f.disk;
	w.watcher.disk.ops = &watcher_ops;
	w.r.f.disk = &w.watcher.disk;
	w.r.f.conf.soft = w.soft;
	rig_mount(&w.r);
}

static void
world_run(bool snapshots)
{
	world_begin();
	play(snapshots);
	ATF_REQUIRE_EQ(fs_close(w.r.fs), 0);
	ATF_REQUIRE_EQ(fixture_umount(&w.r.f), 0);
}

static void
world_end(void)
{
	for (size_t n = 0; n < WRITES_MAX; n++)
		for (unsigned i = 0; i < 2; i++)
			free(w.moment[n].bytes[i]);
	crash_disk_close(w.crash);
	munmap(w.soft, sizeof(*w.soft));
}

/* ---- after a death ---- */

static void
replay(struct rig *r, struct softlog *soft, const struct moment *m)
{
	struct heartbeat dead = { .incarnation = 1 };
	struct recover_report report;
	struct lockops *l;

	soft->active = m->active;
	soft->durable_lsn = m->durable_lsn;
	for (unsigned i = 0; i < 2; i++) {
		soft->area[i].used = m->used[i];
		memcpy(soft->area[i].bytes, m->bytes[i], m->used[i]);
	}
	ATF_REQUIRE_EQ(fixture_recover(&r->f, r->f.disk, &report), 0);
	ATF_REQUIRE_EQ(lock_local_new(&r->f.env, r->f.disk, &r->f.super, &l),
	    0);
	dead.journal_block = l->journal_block;
	dead.journal_blocks = l->journal_blocks;
	lock_local_free(l);
	ATF_REQUIRE_EQ(softlog_replay(soft, &r->f.env, r->f.disk, &r->f.super,
	    &dead, &report), 0);
}

static void
expect(struct rig *r, const struct moment *m, size_t n)
{
	uint32_t now[BLOCKS] = { 0 }, next[BLOCKS], v;
	size_t size = (size_t)BLOCKS * BLOCK_SIZE, len;
	uint8_t *buf = malloc(size);
	struct fs_file *f = rig_open(r, w.ino, FS_READ);

	for (unsigned i = 0; i < m->op; i++)
		for (unsigned b = 0; !w.op[i].flush && b < w.op[i].count; b++)
			now[w.op[i].block + b] = w.op[i].stamp;
	memcpy(next, now, sizeof(next));
	if (m->op < OPS && !w.op[m->op].flush)
		for (unsigned b = 0; b < w.op[m->op].count; b++)
			next[w.op[m->op].block + b] = w.op[m->op].stamp;
	ATF_REQUIRE_EQ(fs_file_read(f, 0, buf, size, &len), 0);
	for (unsigned b = 0; b < BLOCKS; b++) {
		memcpy(&v, buf + (size_t)b * BLOCK_SIZE, 4);
		ATF_REQUIRE_MSG(v == now[b] || v == next[b], "write %zu, "
		    "operation %u: block %u has %u, not %u or %u", n, m->op,
		    b, v, now[b], next[b]);
	}
	rig_close(f);
	free(buf);
}

static void
die_at(size_t n, enum crash_kind kind, bool twice)
{
	const struct moment *m = &w.moment[n];
	struct softlog *soft = soft_new();
	struct rig r = { 0 };
	struct disk *d;

	if (m->bytes[0] == NULL)
		return;
	ATF_REQUIRE_EQ(crash_disk_image(w.crash, n + (kind == CRASH_TORN),
	    kind, n, &d), 0);
	fixture_init(&r.f, d, false);
	replay(&r, soft, m);
	/* The next one dies before it has forgotten the log. */
	if (twice)
		replay(&r, soft, m);
	rig_mount(&r);
	expect(&r, m, n);
	rig_umount(&r);
	disk_close(d);
	munmap(soft, sizeof(*soft));
}

/* ---- and then the machine ---- */

/* The LUN as a process left it at write n, in a disk that remembers. */
static struct crash_disk *
copy_of(size_t n)
{
	uint8_t *buf = disk_buf_alloc(MIB), *zero = calloc(1, MIB);
	struct crash_disk *c;
	struct disk *d;

	ATF_REQUIRE_EQ(crash_disk_open(LUN_BYTES, 512, &c), 0);
	ATF_REQUIRE_EQ(crash_disk_image(w.crash, n, CRASH_CLEAN, 0, &d), 0);
	for (uint64_t at = 0; at < LUN_BYTES; at += MIB) {
		ATF_REQUIRE_EQ(disk_read(d, at, buf, MIB), 0);
		if (memcmp(buf, zero, MIB) != 0)
			ATF_REQUIRE_EQ(disk_write(crash_disk_disk(c), at, buf,
			    MIB, DISK_FUA), 0);
	}
	disk_close(d);
	free(buf);
	free(zero);
	return c;
}

/* The memory is gone with it; the journal says what was written in place. */
static void
power_fails_at(struct crash_disk *c, size_t n)
{
	struct recover_report report;
	struct rig r = { 0 };
	struct disk *d;

	ATF_REQUIRE_EQ(crash_disk_image(c, n, CRASH_TORN, n, &d), 0);
	fixture_init(&r.f, d, false);
	ATF_REQUIRE_EQ(fixture_recover(&r.f, d, &report), 0);
	rig_mount(&r);
	rig_umount(&r);
	disk_close(d);
}

static void
power_fails_in_replay(size_t n)
{
	const struct moment *m = &w.moment[n];
	struct softlog *soft = soft_new();
	struct crash_disk *c;
	struct rig r = { 0 };
	size_t first;

	if (m->bytes[0] == NULL)
		return;
	c = copy_of(n);
	first = crash_disk_writes(c);
	fixture_init(&r.f, crash_disk_disk(c), false);
	replay(&r, soft, m);
	for (size_t i = first + 1; i <= crash_disk_writes(c); i++)
		power_fails_at(c, i);
	crash_disk_close(c);
	munmap(soft, sizeof(*soft));
}

static int
power_failures(void *arg)
{
	(void)arg;
	world_run(true);
	for (size_t n = w.first; n < w.count; n += (w.count - w.first) / 9)
		power_fails_in_replay(n);
	world_end();
	return 0;
}

ATF_TC_WITHOUT_HEAD(power_may_fail_while_it_is_replayed);
ATF_TC_BODY(power_may_fail_while_it_is_replayed, tc)
{
	fixture_run(power_failures, NULL);
}

static int
deaths(void *arg)
{
	bool snapshots = *(bool *)arg;

	world_run(snapshots);
	for (size_t n = w.first; n < w.count; n += 3)
		die_at(n, CRASH_CLEAN, n % 2 == 0);
	for (size_t n = w.first + 1; n + 1 < w.count; n += 7)
		die_at(n, CRASH_TORN, false);
	die_at(w.count - 1, CRASH_CLEAN, false);
	world_end();
	return 0;
}

ATF_TC_WITHOUT_HEAD(acknowledged_writes_outlive_the_process);
ATF_TC_BODY(acknowledged_writes_outlive_the_process, tc)
{
	fixture_run(deaths, &(bool){ false });
}

ATF_TC_WITHOUT_HEAD(acknowledged_writes_outlive_it_between_snapshots);
ATF_TC_BODY(acknowledged_writes_outlive_it_between_snapshots, tc)
{
	fixture_run(deaths, &(bool){ true });
}

/* ---- writes past the owner ---- */

/* As another thread does it, or else the owner; acknowledged.  True: not by
 * the owner. */
static bool
write_beside(struct fs_file *f, uint64_t off, size_t len, uint8_t v)
{
	if (rig_fast_write(f, off, len, v))
		return true;
	rig_fill(f, off, len, v);
	ATF_REQUIRE_EQ(ds_soften(w.r.f.ds), 0);
	return false;
}

/* It dies now. */
static void
expect_after_death(uint64_t off, size_t len, uint8_t v)
{
	struct softlog *soft = soft_new();
	struct rig r = { 0 };
	struct fs_file *f;
	struct disk *d;

	note_moment();
	ATF_REQUIRE_EQ(crash_disk_image(w.crash, w.count - 1, CRASH_CLEAN,
	    w.count - 1, &d), 0);
	fixture_init(&r.f, d, false);
	replay(&r, soft, &w.moment[w.count - 1]);
	rig_mount(&r);
	f = rig_open(&r, w.ino, FS_READ);
	rig_expect(f, off, len, v);
	rig_close(f);
	rig_umount(&r);
	disk_close(d);
	munmap(soft, sizeof(*soft));
}

/* Half of its first chunk is there, and in a snapshot; nothing is behind. */
static struct fs_file *
shared_half(struct fs_snapshot *ret_s)
{
	struct fs_file *f;

	world_begin();
	w.ino = rig_create(&w.r, "disk", INODE_DISK, 2 * MIB);
	f = rig_open(&w.r, w.ino, FS_READ | FS_WRITE);
	rig_fill(f, 0, CHUNK_SIZE / 2, 1);
	ATF_REQUIRE_EQ(fs_snapshot_create(w.r.fs, w.ino, "s", ret_s, NULL), 0);
	ATF_REQUIRE_EQ(ds_checkpoint(w.r.f.ds, 0), 0);
	return f;
}

/* The owner has changed the map, and has not acknowledged that. */
static int
write_and_die(struct fs_file *f, uint64_t off, size_t len)
{
	rig_expect(f, off, len, 1);
	(void)write_beside(f, off, len, 9);
	expect_after_death(off, len, 9);
	/* Until the next change others are quick again. */
	ATF_CHECK(write_beside(f, off, len, 10));
	expect_after_death(off, len, 10);
	rig_close(f);
	ATF_REQUIRE_EQ(fs_close(w.r.fs), 0);
	ATF_REQUIRE_EQ(fixture_umount(&w.r.f), 0);
	world_end();
	return 0;
}

static int
beside_copy(void *arg)
{
	struct fs_snapshot s;
	struct fs_file *f = shared_half(&s);

	(void)arg;
	rig_fill(f, 0, BLOCK_SIZE, 2);
	return write_and_die(f, 4 * BLOCK_SIZE, BLOCK_SIZE);
}

ATF_TC_WITHOUT_HEAD(a_write_beside_a_copy_on_write_outlives_it);
ATF_TC_BODY(a_write_beside_a_copy_on_write_outlives_it, tc)
{
	fixture_run(beside_copy, NULL);
}

static bool
once(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	(void)total;
	return done == 0;
}

static int
beside_promote(void *arg)
{
	struct fs_progress progress = { .step = once };
	struct fs_snapshot s;
	struct fs_attr a;
	struct fs_file *f = shared_half(&s);

	(void)arg;
	rig_close(f);
	ATF_REQUIRE_EQ(fs_clone(w.r.fs, s.ino, w.r.root, "c", 0600, 0, 0, &a,
	    NULL), 0);
	w.ino = a.ino;
	f = rig_open(&w.r, w.ino, FS_READ | FS_WRITE);
	ATF_REQUIRE_EQ(ds_checkpoint(w.r.f.ds, 0), 0);
	ATF_REQUIRE_EQ(fs_file_promote(f, &progress), -ECANCELED);
	return write_and_die(f, 4 * BLOCK_SIZE, BLOCK_SIZE);
}

ATF_TC_WITHOUT_HEAD(a_write_to_what_was_promoted_outlives_it);
ATF_TC_BODY(a_write_to_what_was_promoted_outlives_it, tc)
{
	fixture_run(beside_promote, NULL);
}

static int
beside_sector(void *arg)
{
	struct fs_snapshot s;
	struct fs_file *f = shared_half(&s);

	(void)arg;
	rig_fill(f, MIB, BLOCK_SIZE, 1);
	return write_and_die(f, MIB + 512, 512);
}

ATF_TC_WITHOUT_HEAD(a_sector_beside_a_first_write_outlives_it);
ATF_TC_BODY(a_sector_beside_a_first_write_outlives_it, tc)
{
	fixture_run(beside_sector, NULL);
}

/* ---- more than there is room for ---- */

static void
overflow(struct rig *r)
{
	struct softlog *soft = r->f.conf.soft;
	uint64_t ino = rig_create(r, "f", INODE_DISK, MIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	uint64_t before, used = 0;

	rig_fill(f, 0, MIB, 1);
	ATF_REQUIRE_EQ(fs_file_flush(f), 0);
	before = soft->durable_lsn;
	/* The same few blocks of metadata, again and again. */
	for (unsigned i = 0; soft->durable_lsn == before; i++) {
		ATF_REQUIRE_MSG(i < 60000, "the journal was never asked");
		used = soft->area[soft->active].used;
		ATF_REQUIRE_EQ(fs_file_punch(f, 0, CHUNK_SIZE), 0);
		rig_fill(f, 0, BLOCK_SIZE, 1);
		ATF_REQUIRE_EQ(ds_soften(r->f.ds), 0);
	}
	ATF_CHECK_MSG(used > SOFTLOG_AREA_BYTES / 2, "%llu bytes were used",
	    (unsigned long long)used);
	ATF_CHECK_EQ(ds_soften(r->f.ds), 0);
	rig_close(f);
}

static int
overflow_main(void *arg)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct disk *d;

	(void)arg;
	ATF_REQUIRE_EQ(disk_mem_open(512 * MIB, 512, &d), 0);
	fixture_init(&r->f, d, true);
	r->f.conf.soft = soft_new();
	rig_mount(r);
	overflow(r);
	rig_umount(r);
	munmap(r->f.conf.soft, sizeof(struct softlog));
	disk_close(d);
	free(r);
	return 0;
}

ATF_TC_WITHOUT_HEAD(what_has_no_room_goes_to_the_journal);
ATF_TC_BODY(what_has_no_room_goes_to_the_journal, tc)
{
	fixture_run(overflow_main, NULL);
}

/* ---- damage ---- */

static int
damage_main(void *arg)
{
	struct heartbeat dead = { .incarnation = 1 };
	struct recover_report report = { 0 };
	struct softlog *soft;

	(void)arg;
	world_run(false);
	soft = soft_new();
	soft->area[0].used = BLOCK_SIZE;
	ATF_CHECK_EQ(softlog_replay(soft, &w.r.f.env, w.r.f.disk,
	    &w.r.f.super, &dead, &report), -VMFS_ECORRUPT);
	ATF_CHECK_EQ(report.commits, 0);
	munmap(soft, sizeof(*soft));
	world_end();
	return 0;
}

ATF_TC_WITHOUT_HEAD(damaged_memory_is_refused);
ATF_TC_BODY(damaged_memory_is_refused, tc)
{
	fixture_run(damage_main, NULL);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, acknowledged_writes_outlive_the_process);
	ATF_TP_ADD_TC(tp, acknowledged_writes_outlive_it_between_snapshots);
	ATF_TP_ADD_TC(tp, power_may_fail_while_it_is_replayed);
	ATF_TP_ADD_TC(tp, a_write_beside_a_copy_on_write_outlives_it);
	ATF_TP_ADD_TC(tp, a_write_to_what_was_promoted_outlives_it);
	ATF_TP_ADD_TC(tp, a_sector_beside_a_first_write_outlives_it);
	ATF_TP_ADD_TC(tp, what_has_no_room_goes_to_the_journal);
	ATF_TP_ADD_TC(tp, damaged_memory_is_refused);
	return atf_no_error();
}
