/* SPDX-License-Identifier: BSD-2-Clause */
/* What is given back, or made, while memory is short (-Wl,--wrap). */
#include <atf-c.h>
#include <stdio.h>

#include "tests/unit/core_fs_rig.h"

#define GROUP 3u

static bool short_of_memory;
static unsigned short_in;	/* requests; 0: never */

void *__real_disk_buf_alloc(size_t len);
void *__wrap_disk_buf_alloc(size_t len);

void *
__wrap_disk_buf_alloc(size_t len)
{
	bool now = short_in > 0 && --short_in == 0;

	return short_of_memory || now ? NULL : __real_disk_buf_alloc(len);
}

/* After it has stopped. */
static void
mount_again(struct rig *r)
{
	struct recover_report rep;

	(void)!fs_close(r->fs);
	(void)!fixture_umount(&r->f);
	ATF_REQUIRE_EQ(0, fixture_recover(&r->f, r->f.disk, &rep));
	rig_mount(r);
}

static void
close_short(struct rig *r)
{
	uint64_t ino = rig_create(r, "d", INODE_DISK, 4 * MIB);
	struct fs_file *f = rig_open(r, ino, FS_READ | FS_WRITE);

	ATF_REQUIRE_EQ(0, ds_checkpoint(r->f.ds, 0));
	rig_fill(f, 0, MIB, 1);
	ATF_REQUIRE_EQ(0, fs_file_flush(f));
	short_of_memory = true;
	ATF_CHECK_EQ(-ENOMEM, fs_file_close(f));
	short_of_memory = false;
	/* As anybody's flush would. */
	(void)!ds_checkpoint(r->f.ds, 0);
	mount_again(r);
	f = rig_open(r, ino, FS_READ);
	rig_expect(f, 0, MIB, 1);
	rig_close(f);
}

ATF_TC_WITHOUT_HEAD(what_was_flushed_outlives_a_close_without_memory);
ATF_TC_BODY(what_was_flushed_outlives_a_close_without_memory, tc)
{
	rig_run(256 * MIB, close_short);
}

static bool
count_one(void *arg, const struct fs_snapshot *s)
{
	(void)s;
	++*(unsigned *)arg;
	return true;
}

/* How many each of them has. */
static unsigned
group_count(struct rig *r, const uint64_t ino[GROUP])
{
	unsigned n[GROUP] = { 0 };

	for (unsigned i = 0; i < GROUP; i++) {
		ATF_REQUIRE_EQ(0, fs_snapshot_list(r->fs, ino[i], count_one,
		    &n[i]));
		ATF_CHECK_EQ_MSG(n[0], n[i], "disk %u: %u", i, n[i]);
	}
	return n[0];
}

/* The n-th request for memory fails; false: there were not so many. */
static bool
group_short(struct rig *r, const uint64_t ino[GROUP], unsigned n)
{
	struct fs_snapshot s[GROUP];
	unsigned which, has, had = group_count(r, ino);
	char name[16];
	int rc, health;
	bool hit;

	(void)snprintf(name, sizeof(name), "s%u", n);
	short_in = n;
	rc = fs_snapshot_group(r->fs, ino, GROUP, name, s, NULL, &which);
	hit = short_in == 0;
	short_in = 0;
	health = ds_health(r->f.ds);
	printf("request %u: %d, health %d\n", n, rc, health);
	if (health != 0)
		mount_again(r);
	has = group_count(r, ino);
	ATF_CHECK(health != 0 || has == had + (rc == 0));
	return hit;
}

static void
group_shorts(struct rig *r)
{
	static const char *const name[GROUP] = { "a", "b", "c" };
	uint64_t ino[GROUP];
	unsigned n = 1;

	for (unsigned i = 0; i < GROUP; i++)
		ino[i] = rig_create(r, name[i], INODE_DISK, 4 * MIB);
	while (group_short(r, ino, n))
		n++;
	ATF_CHECK(n > 2 * GROUP);
}

ATF_TC_WITHOUT_HEAD(of_a_group_all_get_a_snapshot_or_none);
ATF_TC_BODY(of_a_group_all_get_a_snapshot_or_none, tc)
{
	rig_run(256 * MIB, group_shorts);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, of_a_group_all_get_a_snapshot_or_none);
	ATF_TP_ADD_TC(tp, what_was_flushed_outlives_a_close_without_memory);
	return atf_no_error();
}
