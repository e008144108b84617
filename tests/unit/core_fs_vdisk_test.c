/* SPDX-License-Identifier: BSD-2-Clause */
/* A virtual disk under many requests at once, with snapshots in between. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/core_fs_rig.h"

#define SIZE (3 * MIB)
#define WRITERS 12u
#define STEPS 120u

struct crowd {
	struct rig *r;
	struct disk *d;
	uint64_t ino;
	uint8_t *bytes;
	unsigned running;
	struct fiber *waiter;
};

struct writer {
	struct crowd *c;
	unsigned id;
	struct prng p;
};

/*
 * Each has every WRITERS-th sector, so that blocks and chunks are shared by
 * all, and single sectors by nobody.
 */
static void
writer_step(struct writer *w)
{
	uint64_t sectors = SIZE / 512 / WRITERS;
	uint64_t s = prng_below(&w->p, sectors) * WRITERS + w->id;
	uint8_t *at = w->c->bytes + s * 512, buf[512];

	if (prng_below(&w->p, 3) == 0) {
		ATF_REQUIRE_EQ(disk_read(w->c->d, s * 512, buf, 512), 0);
		ATF_REQUIRE_EQ(memcmp(buf, at, 512), 0);
		return;
	}
	if (prng_below(&w->p, 20) == 0)
		ATF_REQUIRE_EQ(disk_flush(w->c->d), 0);
	prng_fill(&w->p, at, 512);
	ATF_REQUIRE_EQ(disk_write(w->c->d, s * 512, at, 512, 0), 0);
}

static void
crowd_leave(struct crowd *c)
{
	if (--c->running == 0)
		fiber_unpark(c->waiter);
}

static void
writer_fiber(void *arg)
{
	struct writer *w = arg;

	for (unsigned i = 0; i < STEPS; i++)
		writer_step(w);
	crowd_leave(w->c);
}

static void
snapshot_fiber(void *arg)
{
	struct crowd *c = arg;
	struct fs_snapshot s[6];
	char name[8];

	for (unsigned i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		ATF_REQUIRE_EQ(fs_snapshot_create(c->r->fs, c->ino, name,
		    &s[i], NULL), 0);
		for (unsigned k = 0; k < 50; k++)
			fiber_yield();
		if (i % 2 == 1)
			ATF_REQUIRE_EQ(fs_snapshot_delete(c->r->fs, c->ino,
			    s[i - 1].id, NULL), 0);
	}
	crowd_leave(c);
}

static void
crowded(struct rig *r)
{
	struct sched *sched = r->f.env.sched;
	struct crowd c = { .r = r, .waiter = fiber_self() };
	struct writer w[WRITERS];
	uint8_t *buf = malloc(SIZE);

	c.bytes = calloc(1, SIZE);
	c.ino = rig_create(r, "d", INODE_DISK, SIZE);
	ATF_REQUIRE_EQ(fs_file_disk(rig_open(r, c.ino, FS_READ | FS_WRITE),
	    "d", &c.d), 0);
	for (unsigned i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){ .c = &c, .id = i };
		prng_seed(&w[i].p, i);
		c.running++;
		ATF_REQUIRE_EQ(sched_spawn(sched, "writer", writer_fiber,
		    &w[i]), 0);
	}
	c.running++;
	ATF_REQUIRE_EQ(sched_spawn(sched, "snapshot", snapshot_fiber, &c), 0);
	while (c.running > 0)
		fiber_park();
	ATF_REQUIRE_EQ(disk_read(c.d, 0, buf, SIZE), 0);
	ATF_REQUIRE_EQ(memcmp(buf, c.bytes, SIZE), 0);
	disk_close(c.d);
	rig_remount(r);
	rig_unlink(r, "d");
	free(c.bytes);
	free(buf);
}

ATF_TC_WITHOUT_HEAD(many_writers_and_snapshots_at_once);
ATF_TC_BODY(many_writers_and_snapshots_at_once, tc)
{
	rig_run(64 * MIB, crowded);
}

static void
commands(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, SIZE);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	uint8_t a[1024], b[1024], image[512];
	struct iovec iov[2] = {
		{ a, 512 }, { a + 512, 512 },
	};
	struct disk_req req = {
		.op = DISK_WRITE, .flags = DISK_FUA, .offset = 4096,
		.length = 1024, .iov = iov, .iovcnt = 2,
	};
	struct disk *d;
	struct fs_attr at;

	ATF_REQUIRE_EQ(fs_file_disk(f, "d", &d), 0);
	ATF_CHECK_EQ(d->info.size_bytes, SIZE);
	memset(a, 'a', 512);
	memset(a + 512, 'b', 512);
	ATF_REQUIRE_EQ(disk_run(d, &req), 0);
	ATF_REQUIRE_EQ(disk_read(d, 4096, b, 1024), 0);
	ATF_CHECK_EQ(memcmp(a, b, 1024), 0);
	memset(image, 'c', 512);
	ATF_CHECK_EQ(disk_caw(d, 4096, a + 512, image, 512),
	    -VMFS_EMISCOMPARE);
	ATF_CHECK_EQ(disk_caw(d, 4096, a, image, 512), 0);
	ATF_REQUIRE_EQ(disk_read(d, 4096, b, 512), 0);
	ATF_CHECK_EQ(memcmp(b, image, 512), 0);
	ATF_REQUIRE_EQ(disk_write_zeroes(d, 0, MIB, 0), 0);
	ATF_REQUIRE_EQ(fs_getattr(r->fs, ino, &at), 0);
	ATF_CHECK_EQ(at.allocated, MIB);
	ATF_REQUIRE_EQ(disk_unmap(d, 0, MIB), 0);
	ATF_REQUIRE_EQ(fs_getattr(r->fs, ino, &at), 0);
	ATF_CHECK_EQ(at.allocated, 0);
	ATF_REQUIRE_EQ(disk_read(d, 4096, b, 512), 0);
	ATF_CHECK_EQ(b[0], 0);
	ATF_CHECK_EQ(disk_read(d, SIZE, b, 512), -EINVAL);
	disk_close(d);
	ATF_REQUIRE_EQ(fs_file_disk(rig_open(r, ino, FS_READ), "d", &d), 0);
	ATF_CHECK_EQ(disk_write(d, 0, a, 512, 0), -EROFS);
	disk_close(d);
}

static void
mapped(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, SIZE);
	struct disk_extent e[4];
	struct disk_map map = { .extents = e, .max = 4 };
	uint8_t a[512] = { 1 };
	struct disk *d;

	ATF_REQUIRE_EQ(fs_file_disk(rig_open(r, ino, FS_READ | FS_WRITE), "d",
	    &d), 0);
	ATF_REQUIRE_EQ(disk_map(d, 0, SIZE, &map), 0);
	ATF_CHECK(map.count == 1 && !e[0].allocated && e[0].length == SIZE);
	ATF_REQUIRE_EQ(disk_write(d, MIB, a, 512, 0), 0);
	ATF_REQUIRE_EQ(disk_map(d, 512, SIZE - 512, &map), 0);
	ATF_REQUIRE_EQ(map.count, 3);
	ATF_CHECK(!e[0].allocated && e[0].length == MIB - 512);
	ATF_CHECK(e[1].allocated && !e[2].allocated);
	ATF_CHECK_EQ(e[1].length + e[2].length, SIZE - MIB);
	disk_close(d);
}

ATF_TC_WITHOUT_HEAD(map_shows_what_was_written);
ATF_TC_BODY(map_shows_what_was_written, tc)
{
	rig_run(64 * MIB, mapped);
}

static const struct disk_ops *below;
static unsigned lun_reads;

static void
counted_submit(struct disk *d, struct disk_req *req)
{
	lun_reads += req->op == DISK_READ;
	below->submit(d, req);
}

/* What the first map of that much of the file reads of the LUN. */
static unsigned
reads_of_map(struct rig *r, uint64_t ino, uint64_t len)
{
	struct disk_extent e[4];
	struct disk_map map = { .extents = e, .max = 4 };
	const struct disk_ops *ops = r->f.disk->ops;
	struct disk_ops counted = *ops;
	struct disk *d;

	rig_remount(r);
	ATF_REQUIRE_EQ(fs_file_disk(rig_open(r, ino, FS_READ), "d", &d), 0);
	below = ops;
	counted.submit = counted_submit;
	r->f.disk->ops = &counted;
	lun_reads = 0;
	ATF_REQUIRE_EQ(disk_map(d, MIB, len, &map), 0);
	ATF_CHECK(map.count == 1 && e[0].length == len);
	r->f.disk->ops = ops;
	disk_close(d);
	return lun_reads;
}

#define LITTLE_MAX 16u

/* Allocated and not written: a node of the map for each 16 MiB. */
static void
map_of_little(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, GIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	struct fs_snapshot s;

	ATF_REQUIRE_EQ(fs_file_allocate(f, 0, GIB), 0);
	rig_close(f);
	ATF_REQUIRE_EQ(fs_snapshot_create(r->fs, ino, "s", &s, NULL), 0);
	ATF_CHECK(reads_of_map(r, ino, GIB - MIB) > 2 * LITTLE_MAX);
	ATF_CHECK(reads_of_map(r, ino, 65536) < LITTLE_MAX);
	ATF_CHECK(reads_of_map(r, s.ino, 65536) < LITTLE_MAX);
}

ATF_TC_WITHOUT_HEAD(map_of_a_little_is_not_looked_up_to_the_end);
ATF_TC_BODY(map_of_a_little_is_not_looked_up_to_the_end, tc)
{
	rig_run(2 * GIB, map_of_little);
}

static uint64_t
clone_make(struct rig *r)
{
	uint64_t ino = rig_create(r, "template", INODE_DISK, SIZE);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	struct fs_snapshot s;
	struct fs_attr a;

	rig_fill(f, 0, MIB, 0);
	rig_close(f);
	ATF_REQUIRE_EQ(0, fs_snapshot_create(r->fs, ino, "s", &s, NULL));
	ATF_REQUIRE_EQ(0, fs_clone(r->fs, s.ino, r->root, "d", 0644, 0, 0, &a,
	    NULL));
	return a.ino;
}

/* It was open already when that was found. */
static void
damaged(struct rig *r)
{
	uint64_t ino = clone_make(r), n;
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE), *from;
	uint8_t *a = disk_buf_alloc(4096), *b = disk_buf_alloc(4096);
	struct fs_evacuation e;
	struct disk *d;

	memset(a, 0, 4096);
	memset(b, 1, 4096);
	from = rig_open(r, rig_create(r, "from", INODE_DISK, SIZE),
	    FS_READ | FS_WRITE);
	ATF_REQUIRE_EQ(0, fs_file_disk(f, "d", &d));
	ATF_REQUIRE_EQ(0, fs_set_damaged(r->fs, ino));
	ATF_CHECK_EQ(-EROFS, disk_write(d, 0, b, 4096, 0));
	ATF_CHECK_EQ(-EROFS, disk_write_zeroes(d, 0, 4096, 0));
	ATF_CHECK_EQ(-EROFS, disk_unmap(d, 0, MIB));
	ATF_CHECK_EQ(-EROFS, disk_caw(d, 0, a, b, 4096));
	ATF_CHECK_EQ(-EROFS, fs_file_punch_zeroes(f, NULL, &n));
	ATF_CHECK_EQ(-EROFS, fs_file_inflate(f, NULL));
	ATF_CHECK_EQ(-EROFS, fs_file_promote(f, NULL));
	ATF_CHECK_EQ(-EROFS, fs_file_share(from, f, 0, MIB, &n));
	ATF_CHECK_EQ(-EROFS, fs_evacuate(&f, 1, NULL, &e));
	disk_close(d);
	rig_close(from);
	free(a);
	free(b);
}

ATF_TC_WITHOUT_HEAD(a_damaged_disk_is_changed_by_no_command);
ATF_TC_BODY(a_damaged_disk_is_changed_by_no_command, tc)
{
	rig_run(64 * MIB, damaged);
}

ATF_TC_WITHOUT_HEAD(commands_of_a_virtual_disk);
ATF_TC_BODY(commands_of_a_virtual_disk, tc)
{
	rig_run(64 * MIB, commands);
}

static void
space(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, SIZE);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);
	uint8_t *buf = calloc(1, MIB);
	struct fs_statfs fs;
	struct disk_space s;
	struct disk *d;

	memset(buf, 'x', MIB);
	ATF_REQUIRE_EQ(fs_statfs(r->fs, 0, &fs), 0);
	ATF_REQUIRE_EQ(fs_file_disk(f, "d", &d), 0);
	ATF_CHECK_EQ(disk_space(d, &s), -EOPNOTSUPP);
	ATF_REQUIRE_EQ(fs_disk_tell_space(d), 0);
	ATF_REQUIRE_EQ(disk_space(d, &s), 0);
	ATF_CHECK_EQ(s.size, fs.total_bytes);
	ATF_CHECK_EQ(s.available, fs.free_bytes);
	ATF_CHECK_EQ(s.used, 0);
	ATF_REQUIRE_EQ(disk_write(d, MIB, buf, MIB, 0), 0);
	ATF_REQUIRE_EQ(disk_space(d, &s), 0);
	ATF_CHECK_EQ(s.used, MIB);
	ATF_REQUIRE_EQ(disk_unmap(d, 0, SIZE), 0);
	ATF_REQUIRE_EQ(disk_space(d, &s), 0);
	ATF_CHECK_EQ(s.used, 0);
	disk_close(d);
	free(buf);
}

ATF_TC_WITHOUT_HEAD(space_is_that_of_the_datastore);
ATF_TC_BODY(space_is_that_of_the_datastore, tc)
{
	rig_run(64 * MIB, space);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, space_is_that_of_the_datastore);
	ATF_TP_ADD_TC(tp, many_writers_and_snapshots_at_once);
	ATF_TP_ADD_TC(tp, commands_of_a_virtual_disk);
	ATF_TP_ADD_TC(tp, a_damaged_disk_is_changed_by_no_command);
	ATF_TP_ADD_TC(tp, map_shows_what_was_written);
	ATF_TP_ADD_TC(tp, map_of_a_little_is_not_looked_up_to_the_end);
	return atf_no_error();
}
