/* SPDX-License-Identifier: BSD-2-Clause */
/* A datastore on LUNs in memory. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/core/extents.h"
#include "tests/unit/core_extents_rig.h"

static void
cut_record(struct box *b)
{
	ATF_REQUIRE(b->cuts < CUTS_MAX);
	for (unsigned i = 0; i < LUNS; i++)
		b->cut[b->cuts][i] = crash_disk_writes(b->crash[i]);
	b->cuts++;
}

static void
way_submit(struct disk *d, struct disk_req *req)
{
	struct way *w = container_of(d, struct way, disk);

	*w->flushes += req->op == DISK_FLUSH;
	if (w->box->recording && req->op != DISK_READ &&
	    req->op != DISK_FLUSH)
		cut_record(w->box);
	if (w->error != 0)
		disk_complete(req, w->error);
	else
		disk_submit(w->below, req);
}

static void
way_close(struct disk *d)
{
	free(container_of(d, struct way, disk));
}

static const struct disk_ops way_ops = {
	.submit = way_submit, .close = way_close,
};

struct disk *
open_way(struct box *b, unsigned i)
{
	struct way *w = calloc(1, sizeof(*w));

	ATF_REQUIRE(w != NULL);
	w->disk.ops = &way_ops;
	w->disk.info = b->lun[i]->info;
	(void)snprintf(w->disk.info.serial, sizeof(w->disk.info.serial),
	    "naa.%u", i);
	w->below = b->lun[i];
	w->box = b;
	w->flushes = &b->flushes[i];
	b->way[i] = w;
	return &w->disk;
}

int
find_extent(void *arg, const struct super *s, unsigned i,
    struct disk **ret_lun)
{
	struct box *b = arg;
	int rc = -VMFS_EEXTENT;

	for (unsigned k = 1; k < LUNS; k++) {
		struct disk *d;

		if ((b->hidden >> k & 1) != 0)
			continue;
		d = open_way(b, k);
		rc = extent_check(d, s, i);
		if (rc == 0) {
			*ret_lun = d;
			return 0;
		}
		disk_close(d);
	}
	return rc;
}

void
open_all(struct box *b)
{
	ATF_REQUIRE_EQ(extents_open(open_way(b, 0), &b->r.f.disk), 0);
	b->r.f.conf.extents = b->r.f.disk;
	b->r.f.conf.find_extent = find_extent;
	b->r.f.conf.arg = b;
}

void
mount(struct box *b)
{
	open_all(b);
	ATF_REQUIRE_EQ(super_read(b->r.f.disk, &b->r.f.super), 0);
	rig_mount(&b->r);
}

void
umount_unchecked(struct box *b)
{
	ATF_REQUIRE_EQ(fs_close(b->r.fs), 0);
	b->r.fs = NULL;
	ATF_REQUIRE_EQ(fixture_umount(&b->r.f), 0);
	disk_close(b->r.f.disk);
}

void
umount(struct box *b)
{
	rig_umount(&b->r);
	disk_close(b->r.f.disk);
}

struct job {
	void (*fn)(struct box *b);
	bool crash;
};

static void
lun_make(struct box *b, unsigned i, bool crash)
{
	uint64_t size = i == 0 ? FIRST_SIZE : SECOND_SIZE;

	if (!crash) {
		ATF_REQUIRE_EQ(disk_mem_open(size, 512, &b->lun[i]), 0);
		return;
	}
	ATF_REQUIRE_EQ(crash_disk_open(size, 512, &b->crash[i]), 0);
	b->lun[i] = crash_disk_disk(b->crash[i]);
}

static int
job_main(void *arg)
{
	const struct job *j = arg;
	struct box *b = calloc(1, sizeof(*b));
	struct disk *first;

	ATF_REQUIRE(b != NULL);
	for (unsigned i = 0; i < LUNS; i++)
		lun_make(b, i, j->crash);
	first = open_way(b, 0);
	fixture_init(&b->r.f, first, true);
	disk_close(first);
	mount(b);
	j->fn(b);
	for (unsigned i = 0; i < LUNS; i++)
		if (b->crash[i] != NULL)
			crash_disk_close(b->crash[i]);
		else
			disk_close(b->lun[i]);
	free(b);
	return 0;
}

int
add(struct box *b, unsigned i)
{
	char why[LOCKOPS_WHY] = "";
	struct lock_holder holder;

	return fs_extent_add(b->r.fs, open_way(b, i), "/dev/lun", why,
	    &holder);
}

uint64_t
used_there(struct box *b)
{
	uint64_t bytes = 1;

	ATF_REQUIRE_EQ(ds_commit(b->r.f.ds), 0);
	ATF_REQUIRE_EQ(ds_extent_used(b->r.f.ds, 1, &bytes), 0);
	return bytes;
}

void
two_files(struct box *b, uint64_t *ret_here, uint64_t *ret_there)
{
	struct fs_file *f;

	*ret_here = rig_create(&b->r, "here", INODE_DISK, GIB);
	f = rig_open(&b->r, *ret_here, FS_READ | FS_WRITE);
	rig_fill(f, 0, MIB, 1);
	rig_close(f);
	*ret_there = rig_create(&b->r, "there", INODE_DISK, GIB);
	ATF_REQUIRE_EQ(add(b, 1), 0);
	f = rig_open(&b->r, *ret_there, FS_READ | FS_WRITE);
	for (unsigned i = 0; i < 80; i++)
		rig_fill(f, (uint64_t)i * MIB, MIB, 2);
	rig_close(f);
}

void
box_run(void (*fn)(struct box *b))
{
	struct job j = { .fn = fn };

	fixture_run(job_main, &j);
}

void
box_run_crash(void (*fn)(struct box *b))
{
	struct job j = { .fn = fn, .crash = true };

	fixture_run(job_main, &j);
}

/* ---- crashes ---- */

void
box_kill(struct box *b)
{
	ATF_CHECK(fs_close(b->r.fs) <= 0);
	ATF_CHECK_EQ(fixture_umount(&b->r.f), -VMFS_EFENCED);
	disk_close(b->r.f.disk);
}

void
open_found(struct box *b)
{
	struct super *s = &b->r.f.super;

	open_all(b);
	ATF_REQUIRE_EQ(super_read(b->r.f.disk, s), 0);
	for (unsigned i = 1; i < s->extents; i++) {
		struct disk *d;

		ATF_REQUIRE_EQ(find_extent(b, s, i, &d), 0);
		ATF_REQUIRE_EQ(extents_attach(b->r.f.disk, &s->extent[i].uuid,
		    d), 0);
	}
	ATF_REQUIRE_EQ(extents_follow(b->r.f.disk, s), 0);
}

void
mount_replayed(struct box *b)
{
	struct recover_report report;

	open_found(b);
	ATF_REQUIRE_EQ(fixture_recover(&b->r.f, b->r.f.disk, &report), 0);
	rig_check(&b->r);
	rig_mount(&b->r);
}

/* The last write was to one of them; what others had flushed, they have. */
static enum crash_kind
kind_on(const struct box *b, unsigned i, unsigned lun, enum crash_kind kind)
{
	if (i > 0 && b->cut[i][lun] != b->cut[i - 1][lun])
		return kind;
	return kind == CRASH_LOST || kind == CRASH_UNFLUSHED ? CRASH_LOST :
	    CRASH_CLEAN;
}

struct box *
box_after(struct box *b, unsigned i, enum crash_kind kind)
{
	struct box *after = calloc(1, sizeof(*after));
	struct disk *first;

	ATF_REQUIRE(after != NULL);
	for (unsigned k = 0; k < LUNS; k++)
		ATF_REQUIRE_EQ(crash_disk_image(b->crash[k], b->cut[i][k],
		    kind_on(b, i, k, kind), i, &after->lun[k]), 0);
	first = open_way(after, 0);
	fixture_init(&after->r.f, first, false);
	disk_close(first);
	mount_replayed(after);
	return after;
}

void
box_after_fini(struct box *after)
{
	for (unsigned i = 0; i < LUNS; i++)
		disk_close(after->lun[i]);
	free(after);
}
