/* SPDX-License-Identifier: BSD-2-Clause */
/* A mounted volume grows with its LUN; cuts of the power at every write. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/check/check.h"
#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/volume.h"
#include "tests/unit/core_fs_rig.h"
#include "tests/unit/crash_disk.h"

#define CLUSTER (16 * MIB)
#define OLD_SIZE (72 * MIB)	/* the last cluster is half as long */
#define NEW_SIZE (200 * MIB)

/* A LUN whose size is what the box says when it is asked. */
struct lun {
	struct disk disk;
	struct disk *below;
	uint64_t size;
};

static void
lun_submit(struct disk *d, struct disk_req *req)
{
	disk_submit(container_of(d, struct lun, disk)->below, req);
}

static int
lun_refresh(struct disk *d)
{
	d->info.size_bytes = container_of(d, struct lun, disk)->size;
	return 0;
}

static const struct disk_ops lun_ops = {
	.submit = lun_submit, .refresh = lun_refresh,
};

static void
lun_init(struct lun *l, struct disk *below, uint64_t size)
{
	*l = (struct lun){ .below = below, .size = size };
	l->disk.ops = &lun_ops;
	l->disk.info = below->info;
	l->disk.info.size_bytes = size;
}

struct job {
	void (*fn)(struct rig *r, struct lun *l);
};

static int
job_main(void *arg)
{
	const struct job *j = arg;
	struct rig *r = calloc(1, sizeof(*r));
	struct disk *mem;
	struct lun l;

	ATF_REQUIRE(r != NULL);
	ATF_REQUIRE_EQ(disk_mem_open(4 * GIB, 512, &mem), 0);
	lun_init(&l, mem, OLD_SIZE);
	fixture_init(&r->f, &l.disk, true);
	rig_mount(r);
	j->fn(r, &l);
	rig_umount(r);
	disk_close(mem);
	free(r);
	return 0;
}

#define GROW_TEST(name)							\
static void body_##name(struct rig *r, struct lun *l);			\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	struct job j = { body_##name };					\
	(void)tc;							\
	fixture_run(job_main, &j);					\
}									\
static void								\
body_##name(struct rig *r, struct lun *l)

static int
grow_to(struct rig *r, struct lun *l, uint64_t size)
{
	struct lock_holder holder;

	l->size = size;
	return fs_grow(r->fs, &holder);
}

GROW_TEST(what_the_lun_gained_can_be_written)
{
	uint64_t ino = rig_create(r, "vm", INODE_DISK, 4 * GIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	unsigned before = rig_fill_up(f, 0), after;

	ATF_REQUIRE_EQ(grow_to(r, l, NEW_SIZE), 0);
	after = rig_fill_up(f, before);
	/* All but a table of 1 MiB. */
	ATF_CHECK_MSG(after >= (NEW_SIZE - OLD_SIZE) / MIB - 3, "%u MiB",
	    after);
	rig_expect(f, (uint64_t)(before + after - 1) * MIB, MIB,
	    (uint8_t)(before + after - 1));
	rig_close(f);
	rig_remount(r);
	f = rig_open(r, ino, FS_READ);
	for (unsigned i = 0; i < before + after; i++)
		rig_expect(f, (uint64_t)i * MIB, MIB, (uint8_t)i);
	rig_close(f);
}

GROW_TEST(nothing_to_gain_changes_nothing)
{
	uint64_t generation = ds_super(r->f.ds)->generation;

	ATF_CHECK_EQ(grow_to(r, l, OLD_SIZE), -ENODATA);
	ATF_CHECK_EQ(grow_to(r, l, OLD_SIZE + 4096), -ENODATA);
	ATF_CHECK_EQ(ds_super(r->f.ds)->generation, generation);
}

GROW_TEST(a_last_cluster_gets_longer_under_its_lease)
{
	uint64_t free_bytes = rig_free_bytes(r);
	uint64_t ino = rig_create(r, "vm", INODE_DISK, GIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	struct lease *last;

	ATF_REQUIRE_EQ(lease_take(r->f.ds, OLD_SIZE / CLUSTER, &last), 0);
	ATF_CHECK_EQ(last->n_free, 8 * 16);
	ATF_REQUIRE_EQ(grow_to(r, l, 80 * MIB), 0);
	ATF_CHECK_EQ(last->n_free, 16 * 16);
	ATF_CHECK(rig_free_bytes(r) > free_bytes + 7 * MIB);
	ATF_CHECK(rig_fill_up(f, 0) > 70);
	rig_close(f);
}

/* Each end of old and new cluster, in steps that meet all of them. */
GROW_TEST(any_size_will_do)
{
	uint64_t size = OLD_SIZE, step = 5 * MIB + 64 * KIB;
	struct ds_space s;

	while (size < GIB) {
		uint64_t had = ds_super(r->f.ds)->blocks;
		int rc;

		size += step;
		step = step * 3 / 2 / 4096 * 4096;
		rc = grow_to(r, l, size);
		ATF_REQUIRE_EQ(rc, 0);
		ATF_CHECK(ds_super(r->f.ds)->blocks > had);
		ATF_CHECK((ds_super(r->f.ds)->blocks << BLOCK_SHIFT) + 2 *
		    MIB + 64 * KIB > size);
		ATF_REQUIRE_EQ(ds_space(r->f.ds, &s), 0);
		ATF_CHECK_EQ(s.total_bytes, ds_super(r->f.ds)->blocks *
		    BLOCK_SIZE);
		rig_remount(r);
	}
}

GROW_TEST(small_steps_share_a_segment)
{
	uint64_t size = OLD_SIZE;

	for (unsigned i = 0; i < 100; i++)
		ATF_REQUIRE_EQ(grow_to(r, l, size += CLUSTER), 0);
	ATF_CHECK_EQ(ds_super(r->f.ds)->segments, 2);
	rig_remount(r);
	ATF_CHECK_EQ(ds_super(r->f.ds)->segments, 2);
}

GROW_TEST(third_superblock_is_found_after_growing)
{
	uint8_t *zero = disk_buf_alloc(BLOCK_SIZE);
	struct super s;

	ATF_REQUIRE_EQ(grow_to(r, l, GIB), 0);
	rig_umount(r);
	ATF_REQUIRE_EQ(disk_write(&l->disk, SUPER_BLOCK_0 * BLOCK_SIZE, zero,
	    BLOCK_SIZE, 0), 0);
	ATF_REQUIRE_EQ(disk_write(&l->disk, SUPER_BLOCK_1 * BLOCK_SIZE, zero,
	    BLOCK_SIZE, 0), 0);
	ATF_REQUIRE_EQ(super_read(&l->disk, &s), 0);
	ATF_CHECK_EQ(s.blocks, GIB / BLOCK_SIZE);
	/* A mount puts the others back. */
	rig_mount(r);
	free(zero);
}

GROW_TEST(a_label_can_be_changed)
{
	struct lock_holder holder;

	(void)l;
	ATF_CHECK_EQ(fs_set_label(r->fs, "", &holder), -EINVAL);
	ATF_REQUIRE_EQ(fs_set_label(r->fs, "silver", &holder), 0);
	ATF_CHECK_STREQ(ds_super(r->f.ds)->label, "silver");
	rig_remount(r);
	ATF_CHECK_STREQ(ds_super(r->f.ds)->label, "silver");
}

/* ---- other members ---- */

static int
deaf(struct lockops *l, const struct super *s)
{
	(void)l;
	(void)s;
	return 0;
}

GROW_TEST(new_space_waits_until_all_members_know_it)
{
	uint64_t ino = rig_create(r, "vm", INODE_DISK, 4 * GIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	const struct lockops_vt *real = r->f.locks->vt;
	struct lockops_vt vt = *real;
	unsigned before;

	/* One of them is slow to look. */
	vt.set_super = deaf;
	r->f.locks->vt = &vt;
	ATF_REQUIRE_EQ(grow_to(r, l, NEW_SIZE), 0);
	before = rig_fill_up(f, 0);
	ATF_CHECK_MSG(before < OLD_SIZE / MIB, "%u MiB", before);
	ATF_CHECK_EQ(grow_to(r, l, GIB), -VMFS_EINUSE);
	r->f.locks->super_all = ds_super(r->f.ds)->generation;
	ATF_REQUIRE_EQ(ds_super_keep(r->f.ds), 0);
	ATF_CHECK(rig_fill_up(f, before) > 100);
	rig_close(f);
	r->f.locks->vt = real;
}

/* What another host did to the superblock, and told by its heartbeat. */
GROW_TEST(growth_by_another_member_is_followed)
{
	struct super s;

	l->size = NEW_SIZE;
	ATF_REQUIRE_EQ(volume_plan_grow(ds_super(r->f.ds),
	    OLD_SIZE / BLOCK_SIZE + 2048, &s), 0);
	ATF_REQUIRE_EQ(super_write(&l->disk, &s), 0);
	ATF_REQUIRE_EQ(ds_super_keep(r->f.ds), 0);
	ATF_CHECK_EQ(ds_super(r->f.ds)->blocks, OLD_SIZE / BLOCK_SIZE);
	r->f.locks->super_seen = s.generation;
	ATF_REQUIRE_EQ(ds_super_keep(r->f.ds), 0);
	ATF_CHECK_EQ(ds_super(r->f.ds)->blocks, OLD_SIZE / BLOCK_SIZE + 2048);
}

GROW_TEST(a_block_behind_the_known_end_is_looked_for)
{
	uint64_t behind = OLD_SIZE / BLOCK_SIZE + 2000;
	struct super s;

	ATF_CHECK(!ds_has_block(r->f.ds, behind));
	l->size = NEW_SIZE;
	ATF_REQUIRE_EQ(volume_plan_grow(ds_super(r->f.ds),
	    OLD_SIZE / BLOCK_SIZE + 2048, &s), 0);
	ATF_REQUIRE_EQ(super_write(&l->disk, &s), 0);
	ATF_CHECK(ds_has_block(r->f.ds, behind));
}

/* ---- cuts of the power ---- */

struct cut {
	struct crash_disk *crash;
	size_t first, last;	/* writes of the growing */
};

static int
record_growing(void *arg)
{
	struct cut *c = arg;
	struct rig *r = calloc(1, sizeof(*r));
	struct lun l;

	ATF_REQUIRE(r != NULL);
	lun_init(&l, crash_disk_disk(c->crash), OLD_SIZE);
	fixture_init(&r->f, &l.disk, true);
	rig_mount(r);
	ATF_REQUIRE_EQ(ds_checkpoint(r->f.ds, 0), 0);
	c->first = crash_disk_writes(c->crash);
	ATF_REQUIRE_EQ(grow_to(r, &l, NEW_SIZE), 0);
	c->last = crash_disk_writes(c->crash);
	rig_umount(r);
	free(r);
	return 0;
}

static void
note_nothing(void *arg, const struct check_finding *f)
{
	unsigned *n = arg;

	/* Copies that are behind are what the next mount mends. */
	*n += f->rule != CHECK_SUPER_COPY && f->severity != CHECK_NOTE;
}

static void
check_clean(struct rig *r, unsigned *findings)
{
	struct check_result res;
	struct check_conf conf = {
		.env = &r->f.env, .disk = r->f.disk, .own_slot = -1,
		.finding = note_nothing, .arg = findings,
	};

	ATF_REQUIRE_EQ(check_run(&conf, &res), 0);
}

static void
one_cut(struct cut *c, size_t n, enum crash_kind kind, uint64_t seed,
    unsigned *grown)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct recover_report report;
	unsigned findings = 0, copies;
	struct disk *image;
	struct super s;
	struct lun l;
	int rc;

	ATF_REQUIRE(r != NULL);
	ATF_REQUIRE_EQ(crash_disk_image(c->crash, n, kind, seed, &image), 0);
	lun_init(&l, image, NEW_SIZE);
	fixture_init(&r->f, &l.disk, false);
	*grown += r->f.super.blocks == NEW_SIZE / BLOCK_SIZE;
	ATF_REQUIRE_EQ(fixture_recover(&r->f, &l.disk, &report), 0);
	check_clean(r, &findings);
	ATF_CHECK_EQ_MSG(findings, 0, "write %zu kind %d seed %ju", n, kind,
	    (uintmax_t)seed);
	rig_mount(r);
	ATF_REQUIRE_EQ(super_find(&l.disk, &s, &copies), 0);
	ATF_CHECK_EQ_MSG(copies, SUPER_COPIES, "write %zu kind %d", n, kind);
	rc = grow_to(r, &l, NEW_SIZE);
	ATF_CHECK(rc == 0 || rc == -ENODATA);
	ATF_CHECK_EQ(ds_super(r->f.ds)->blocks, NEW_SIZE / BLOCK_SIZE);
	rig_fill(rig_open(r, rig_create(r, "x", INODE_FILE, 0), FS_READ |
	    FS_WRITE), 0, MIB, 7);
	rig_umount(r);
	disk_close(image);
	free(r);
}

static int
cut_everywhere(void *arg)
{
	struct cut *c = arg;
	unsigned grown = 0, n = 0;

	for (size_t at = c->first + 1; at <= c->last; at++) {
		one_cut(c, at, CRASH_CLEAN, 0, &grown);
		n++;
		for (uint64_t seed = 1; seed <= 12; seed++) {
			one_cut(c, at, CRASH_TORN, seed, &grown);
			one_cut(c, at, CRASH_LOST, seed, &grown);
			one_cut(c, at, CRASH_UNFLUSHED, seed, &grown);
			n += 3;
		}
	}
	/* Both outcomes were met. */
	ATF_CHECK(grown > 0 && grown < n);
	return 0;
}

ATF_TC_WITHOUT_HEAD(growing_happens_wholly_or_not_at_all);
ATF_TC_BODY(growing_happens_wholly_or_not_at_all, tc)
{
	struct cut c;

	(void)tc;
	ATF_REQUIRE_EQ(crash_disk_open(NEW_SIZE, 512, &c.crash), 0);
	fixture_run(record_growing, &c);
	ATF_REQUIRE(c.last >= c.first + 4);
	fixture_run(cut_everywhere, &c);
	crash_disk_close(c.crash);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, what_the_lun_gained_can_be_written);
	ATF_TP_ADD_TC(tp, nothing_to_gain_changes_nothing);
	ATF_TP_ADD_TC(tp, a_last_cluster_gets_longer_under_its_lease);
	ATF_TP_ADD_TC(tp, any_size_will_do);
	ATF_TP_ADD_TC(tp, small_steps_share_a_segment);
	ATF_TP_ADD_TC(tp, third_superblock_is_found_after_growing);
	ATF_TP_ADD_TC(tp, a_label_can_be_changed);
	ATF_TP_ADD_TC(tp, new_space_waits_until_all_members_know_it);
	ATF_TP_ADD_TC(tp, growth_by_another_member_is_followed);
	ATF_TP_ADD_TC(tp, a_block_behind_the_known_end_is_looked_for);
	ATF_TP_ADD_TC(tp, growing_happens_wholly_or_not_at_all);
	return atf_no_error();
}
