/* SPDX-License-Identifier: BSD-2-Clause */
/* LUNs that fail, reorder and lose power, and memory that fails. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvmfs/check/check.h"
#include "libvmfs/core/extents.h"
#include "libvmfs/env/iobuf.h"
#include "tests/unit/core_mix_rig.h"

#define HELD 64u
#define SAFER 40u	/* as seldom metadata and flushes fail */

static struct lun {
	struct disk d;		/* what the datastore sees */
	struct disk *under;
} lun[2];

static struct held {
	struct disk_req *req;
	struct disk *to;
} held[HELD];
static unsigned n_held;
static bool pumping;

/* ---- memory ---- */

void *__real_disk_buf_alloc(size_t len);
void *__wrap_disk_buf_alloc(size_t len);
void *__real_iobuf_get(size_t len, size_t *ret_size);
void *__wrap_iobuf_get(size_t len, size_t *ret_size);

static bool
is_short(void)
{
	return mix != NULL && mix->short_of > 0 &&
	    mix_below(mix->short_of) == 0;
}

void *
__wrap_disk_buf_alloc(size_t len)
{
	return is_short() ? NULL : __real_disk_buf_alloc(len);
}

void *
__wrap_iobuf_get(size_t len, size_t *ret_size)
{
	return is_short() ? NULL : __real_iobuf_get(len, ret_size);
}

void *
mix_buffer(size_t len)
{
	return __real_disk_buf_alloc(len);
}

/* ---- requests ---- */

/* A datastore stops when metadata cannot be written, so that is to be rare. */
static bool
fails(const struct disk_req *req)
{
	bool safer = req->op == DISK_FLUSH || (req->flags & DISK_FUA) != 0 ||
	    (req->op == DISK_WRITE && req->length <= BLOCK_SIZE);

	return mix->trouble > 0 &&
	    mix_below(mix->trouble * (safer ? SAFER : 1)) == 0;
}

static void
lun_submit(struct disk *d, struct disk_req *req)
{
	static const int errors[] = { -EIO, -ENOSPC, -ENOMEM };
	struct lun *l = container_of(d, struct lun, d);

	if (fails(req))
		disk_complete(req, errors[mix_below(3)]);
	else if (pumping && n_held < HELD && mix_below(3) != 0)
		held[n_held++] = (struct held){ req, l->under };
	else
		disk_submit(l->under, req);
}

static void
lun_close(struct disk *d)
{
	(void)d;
}

static const struct disk_ops lun_ops = {
	.submit = lun_submit, .close = lun_close,
};

static void
pump(void *arg)
{
	(void)arg;
	while (mix->reordered || n_held > 0) {
		unsigned n = (unsigned)mix_below(3);

		while (n-- > 0 && n_held > 0) {
			unsigned i = (unsigned)mix_below(n_held);
			struct held h = held[i];

			held[i] = held[--n_held];
			disk_submit(h.to, h.req);
		}
		fiber_yield();
	}
	pumping = false;
}

void
mix_reorder(bool on)
{
	mix->reordered = on;
	if (on) {
		pumping = true;
		ATF_REQUIRE_EQ(0, sched_spawn(mix->r.f.env.sched, "pump", pump,
		    NULL));
	}
	while (!on && pumping)
		fiber_yield();
}

/* ---- LUNs ---- */

static int
find_extent(void *arg, const struct super *s, unsigned i,
    struct disk **ret_lun)
{
	(void)arg;
	*ret_lun = &lun[1].d;
	return extent_check(&lun[1].d, s, i);
}

static void
luns_open(struct disk *const under[2], bool make)
{
	for (unsigned i = 0; i < 2; i++) {
		struct disk *d = &lun[i].d;

		lun[i].under = under[i];
		*d = (struct disk){ .ops = &lun_ops, .info = under[i]->info };
		(void)snprintf(d->info.serial, sizeof(d->info.serial),
		    "naa.%u", i);
	}
	fixture_init(&mix->r.f, &lun[0].d, make);
	ATF_REQUIRE_EQ(0, extents_open(&lun[0].d, &mix->r.f.disk));
	mix->r.f.conf.extents = mix->r.f.disk;
	mix->r.f.conf.find_extent = find_extent;
	mix->r.f.conf.cache_bytes = 8 * BLOCK_SIZE;
}

/* A little is free on the first LUN, the rest on the other one. */
static void
second_lun(void)
{
	struct rig *r = &mix->r;
	char why[LOCKOPS_WHY] = "";
	struct lock_holder holder;
	struct fs_file *f;

	f = rig_open(r, rig_create(r, "filler", INODE_DISK, GIB),
	    FS_READ | FS_WRITE);
	(void)rig_fill_up(f, 0);
	ATF_REQUIRE_EQ(0, fs_file_punch(f, 0, 3 * MIB));
	rig_close(f);
	ATF_REQUIRE_EQ(0, fs_extent_add(r->fs, &lun[1].d, "x", why, &holder));
}

void
mix_luns_new(void)
{
	uint64_t size = 64 * MIB;
	struct disk *under[2];

	/* Each leaf takes a block more. */
	if (mix->wide && !mix->two)
		size = (100 + mix_below(100)) * MIB;
	ATF_REQUIRE_EQ(0, crash_disk_open(size, 512, &mix->crash[0]));
	ATF_REQUIRE_EQ(0, crash_disk_open(120 * MIB, 512, &mix->crash[1]));
	for (unsigned i = 0; i < 2; i++)
		under[i] = crash_disk_disk(mix->crash[i]);
	luns_open(under, true);
	rig_mount(&mix->r);
	rig_keys(mix->r.fs, 3);
	if (mix->two)
		second_lun();
}

void
mix_cut_power(void)
{
	mix->cut = true;
	for (unsigned i = 0; i < 2; i++)
		mix->cut_writes[i] = crash_disk_writes(mix->crash[i]);
	ds_abandon(mix->r.f.ds);
}

void
mix_luns_next(uint64_t seed)
{
	struct disk *image[2];

	disk_close(mix->r.f.disk);
	for (unsigned i = 0; i < 2; i++) {
		size_t n = mix->cut ? mix->cut_writes[i] :
		    crash_disk_writes(mix->crash[i]);

		ATF_REQUIRE_EQ(0, crash_disk_image(mix->crash[i], n,
		    CRASH_LOST, seed, &image[i]));
	}
	luns_open(image, false);
}

void
mix_luns_recover(void)
{
	struct fixture *f = &mix->r.f;
	struct recover_report rep;

	if (mix->two) {
		ATF_REQUIRE_EQ(2, f->super.extents);
		ATF_REQUIRE_EQ(0, extents_attach(f->disk,
		    &f->super.extent[1].uuid, &lun[1].d));
	}
	ATF_REQUIRE_EQ(0, extents_follow(f->disk, &f->super));
	ATF_REQUIRE_EQ(0, fixture_recover(f, f->disk, &rep));
}

struct findings {
	unsigned bad, leaks;
};

static void
note_finding(void *arg, const struct check_finding *f)
{
	struct findings *n = arg;

	if (f->severity == CHECK_NOTE)
		return;
	fprintf(stderr, "%s: %s\n", check_rule_name(f->rule), f->text);
	if (f->rule == CHECK_SPACE_LEAK)
		n->leaks++;
	else
		n->bad++;
}

void
mix_luns_check(unsigned *ret_bad, unsigned *ret_leaks)
{
	struct findings n = { 0 };
	struct check_result res;
	struct check_conf conf = {
		.env = &mix->r.f.env, .disk = mix->r.f.disk,
		.extents = mix->r.f.disk, .own_slot = -1,
		.finding = note_finding, .arg = &n,
	};

	ATF_REQUIRE_EQ(0, check_run(&conf, &res));
	*ret_bad = n.bad;
	*ret_leaks = n.leaks;
}

void
mix_luns_close(void)
{
	disk_close(mix->r.f.disk);
	for (unsigned i = 0; i < 2; i++) {
		disk_close(lun[i].under);
		crash_disk_close(mix->crash[i]);
	}
}
