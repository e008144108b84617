/* SPDX-License-Identifier: BSD-2-Clause */
/* Superblock copies, plans of new datastores, read-only opening. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/volume.h"
#include "tests/unit/core_fixture.h"

struct body {
	void (*fn)(struct fixture *f);
};

static int
body_run(void *arg)
{
	const struct body *b = arg;
	struct fixture f;
	struct disk *disk;

	ATF_REQUIRE_EQ(disk_mem_open(80 * MIB, 512, &disk), 0);
	fixture_init(&f, disk, true);
	b->fn(&f);
	disk_close(disk);
	return 0;
}

#define VOLUME_TEST(name)						\
static void body_##name(struct fixture *f);				\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	struct body b = { body_##name };				\
	(void)tc;							\
	fixture_run(body_run, &b);					\
}									\
static void								\
body_##name(struct fixture *f)

/* Flips a byte, or fills the block with zeroes. */
static void
damage(struct fixture *f, uint64_t block, bool erase)
{
	uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);

	ATF_REQUIRE_EQ(disk_read(f->disk, block << BLOCK_SHIFT, buf,
	    BLOCK_SIZE), 0);
	if (erase)
		memset(buf, 0, BLOCK_SIZE);
	buf[300] ^= !erase;
	ATF_REQUIRE_EQ(disk_write(f->disk, block << BLOCK_SHIFT, buf,
	    BLOCK_SIZE, 0), 0);
	free(buf);
}

VOLUME_TEST(any_copy_of_the_superblock_will_do)
{
	const uint64_t at[] = { SUPER_BLOCK_0, SUPER_BLOCK_1,
	    f->super.copy2_block };
	struct super s;

	for (unsigned keep = 0; keep < 3; keep++) {
		for (unsigned i = 0; i < 3; i++)
			if (i != keep)
				damage(f, at[i], true);
		ATF_REQUIRE_EQ_MSG(super_read(f->disk, &s), 0, "copy %u",
		    keep);
		ATF_CHECK(uuid_equal(&s.uuid, &f->super.uuid));
		ATF_REQUIRE_EQ(super_write(f->disk, &s), 0);
	}
}

VOLUME_TEST(damage_is_told_from_absence)
{
	struct super s;

	damage(f, SUPER_BLOCK_0, false);
	damage(f, SUPER_BLOCK_1, false);
	damage(f, f->super.copy2_block, false);
	ATF_CHECK_EQ(super_read(f->disk, &s), -VMFS_ECORRUPT);
	damage(f, SUPER_BLOCK_0, true);
	damage(f, SUPER_BLOCK_1, true);
	damage(f, f->super.copy2_block, true);
	ATF_CHECK_EQ(super_read(f->disk, &s), -VMFS_ENOTVMFS);
}

VOLUME_TEST(newest_superblock_rules_after_a_write_cut_short)
{
	struct super s = f->super, now;
	struct disk_fault *fault;

	ATF_REQUIRE_EQ(disk_fault_open(f->disk, &fault), 0);
	for (uint64_t n = 0; n < 3; n++) {
		fault->op = DISK_WRITE;
		fault->countdown = n;
		fault->repeat = 1;
		fault->error = -EIO;
		s = f->super;
		s.label[0] = (char)('a' + n);
		ATF_CHECK_EQ(super_write(&fault->disk, &s), -EIO);
		ATF_REQUIRE_EQ(super_read(f->disk, &now), 0);
		ATF_CHECK_EQ(now.label[0], n == 0 ? f->super.label[0] :
		    s.label[0]);
		f->super = now;
	}
	fault->below = NULL;
	free(fault);
}

VOLUME_TEST(lun_smaller_than_its_volume_is_refused)
{
	struct super s;

	f->disk->info.size_bytes -= MIB;
	ATF_CHECK_EQ(super_read(f->disk, &s), -ERANGE);
	f->disk->info.size_bytes += MIB;
}

static bool
is_copy(const char *was, const char *now)
{
	struct disk_info lun = { .size_bytes = 0 };
	struct super s = { .version = 1 };

	(void)snprintf(s.lun_serial, sizeof(s.lun_serial), "%s", was);
	(void)snprintf(lun.serial, sizeof(lun.serial), "%s", now);
	return volume_is_copy(&s, &lun);
}

ATF_TC_WITHOUT_HEAD(only_another_name_makes_a_copy);
ATF_TC_BODY(only_another_name_makes_a_copy, tc)
{
	(void)tc;
	ATF_CHECK(is_copy("naa.6001", "naa.6002"));
	ATF_CHECK(is_copy("eui.6001", "naa.6001"));
	ATF_CHECK(is_copy("file.1.2", "file.1.3"));
	ATF_CHECK(!is_copy("naa.6001", "naa.6001"));
	ATF_CHECK(!is_copy("", "naa.6001"));
	ATF_CHECK(!is_copy("naa.6001", ""));
	/* Exported by iSCSI the same file has another name. */
	ATF_CHECK(!is_copy("file.1.2", "naa.6001"));
}

ATF_TC_WITHOUT_HEAD(label_of_a_copy_is_cut_at_a_character);
ATF_TC_BODY(label_of_a_copy_is_cut_at_a_character, tc)
{
	struct super s = { .version = 1, .label = "a" };
	struct disk_info lun = { .serial = "naa.1" };
	struct uuid u = { { 0x1a, 0x2b, 0x3c, 0x4d } };

	(void)tc;
	for (unsigned i = 1; i + 2 <= SUPER_LABEL_MAX; i += 2)
		memcpy(s.label + i, "\xc3\xa4", 3);
	ATF_REQUIRE_EQ(volume_resign(&s, &lun, &u, NULL), 0);
	ATF_CHECK_EQ(strncmp(s.label, "snap-1a2b3c4d-a\xc3\xa4", 17), 0);
	ATF_CHECK_EQ(strlen(s.label), 63);
	ATF_CHECK_STREQ("naa.1", s.lun_serial);
	ATF_CHECK_EQ(volume_resign(&s, &lun, &u, ""), -EINVAL);
}

VOLUME_TEST(read_only_takes_no_lock_and_writes_nothing)
{
	struct ds_space space;
	struct lock_grant root = { f->super.root_ino, LOCK_SHARED, 0 };
	struct mblk *b;
	struct txn *t;

	f->disk->info.caps |= DISK_CAP_READONLY;
	f->conf = (struct ds_conf) { .env = &f->env, .disk = f->disk,
	    .readonly = true };
	ATF_REQUIRE_EQ(ds_open(&f->conf, &f->ds), 0);
	ATF_REQUIRE_EQ(mb_read(f->ds, &root, root.addr, BLOCK_INODE, &b), 0);
	mb_put(b);
	ATF_CHECK_EQ(txn_begin(f->ds, 1, &t), -EROFS);
	ATF_CHECK_EQ(ds_commit(f->ds), 0);
	ATF_REQUIRE_EQ(ds_space(f->ds, &space), 0);
	ATF_CHECK(space.free_bytes > 70 * MIB);
	ATF_CHECK_EQ(ds_close(f->ds), 0);
}

VOLUME_TEST(unknown_ro_compat_feature_keeps_writers_out)
{
	f->super.ro_compat = 1ull << 63;
	ATF_REQUIRE_EQ(super_write(f->disk, &f->super), 0);
	ATF_CHECK_EQ(fixture_mount(f), -EROFS);
}

/* ---- plans ---- */

static struct disk_info
some_disk(uint64_t size, unsigned caps)
{
	return (struct disk_info) { .size_bytes = size, .block_size = 512,
	    .caps = caps };
}

ATF_TC_WITHOUT_HEAD(protocol_is_the_best_the_disk_can_do);
ATF_TC_BODY(protocol_is_the_best_the_disk_can_do, tc)
{
	static const struct {
		unsigned caps;
		enum lock_protocol wanted, got;
		int result;
	} t[] = {
		{ DISK_CAP_CAW | DISK_CAP_PR, 0, LOCK_ATS_PR, 0 },
		{ DISK_CAP_CAW | DISK_CAP_HOLD, 0, LOCK_FILE, 0 },
		{ DISK_CAP_CAW, 0, LOCK_ATS_WATCHDOG, 0 },
		{ DISK_CAP_RESERVE | DISK_CAP_PR, 0, LOCK_RESERVE, 0 },
		{ DISK_CAP_CAW | DISK_CAP_PR, LOCK_ATS_WATCHDOG,
		    LOCK_ATS_WATCHDOG, 0 },
		{ DISK_CAP_CAW, LOCK_ATS_PR, 0, -EOPNOTSUPP },
		{ 0, 0, 0, -EOPNOTSUPP },
	};
	struct super s;

	(void)tc;
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		struct disk_info info = some_disk(GIB, t[i].caps);
		struct mkds_conf conf = { .protocol = t[i].wanted };

		ATF_REQUIRE_EQ_MSG(mkds_plan(&info, &conf, &s), t[i].result,
		    "row %zu", i);
		if (t[i].result == 0)
			ATF_CHECK_EQ(s.protocol, t[i].got);
	}
}

ATF_TC_WITHOUT_HEAD(plan_scales_with_the_volume);
ATF_TC_BODY(plan_scales_with_the_volume, tc)
{
	const struct mkds_conf conf = { 0 };
	struct disk_info info = some_disk(MKDS_SIZE_MIN, DISK_CAP_CAW);
	struct super s;

	(void)tc;
	ATF_REQUIRE_EQ(mkds_plan(&info, &conf, &s), 0);
	ATF_CHECK_EQ(s.cluster_blocks, 16 * MIB / BLOCK_SIZE);
	ATF_CHECK_EQ(s.journal_blocks, MIB / BLOCK_SIZE);
	info.size_bytes = 4 * GIB;
	ATF_REQUIRE_EQ(mkds_plan(&info, &conf, &s), 0);
	ATF_CHECK_EQ(s.cluster_blocks, 64 * MIB / BLOCK_SIZE);
	ATF_CHECK_EQ(s.journal_blocks, 16 * MIB / BLOCK_SIZE);
	ATF_CHECK_EQ(volume_clusters(&s), 64);
	info.size_bytes = 64 * TIB;
	ATF_REQUIRE_EQ(mkds_plan(&info, &conf, &s), 0);
	ATF_CHECK_EQ(s.cluster_blocks, GIB / BLOCK_SIZE);
	ATF_CHECK_EQ(s.journal_blocks, 64 * MIB / BLOCK_SIZE);
}

ATF_TC_WITHOUT_HEAD(plan_refuses_what_cannot_be);
ATF_TC_BODY(plan_refuses_what_cannot_be, tc)
{
	struct disk_info info = some_disk(GIB, DISK_CAP_CAW);
	struct mkds_conf conf = { .cluster_blocks = 5000 };
	struct super s;

	(void)tc;
	ATF_CHECK_EQ(mkds_plan(&info, &conf, &s), -EINVAL);
	conf = (struct mkds_conf) { .journal_blocks = 100 };
	ATF_CHECK_EQ(mkds_plan(&info, &conf, &s), -EINVAL);
	conf = (struct mkds_conf) { .journal_blocks = 16384 };
	ATF_CHECK_EQ(mkds_plan(&info, &conf, &s), -EINVAL);
	conf = (struct mkds_conf) { .label = "0123456789012345678901234567890"
	    "123456789012345678901234567890123456789" };
	ATF_CHECK_EQ(mkds_plan(&info, &conf, &s), -EINVAL);
	conf = (struct mkds_conf) { 0 };
	info.size_bytes = MKDS_SIZE_MIN - 1;
	ATF_CHECK_EQ(mkds_plan(&info, &conf, &s), -ENOSPC);
	info.size_bytes = GIB;
	info.block_size = 520;
	ATF_CHECK_EQ(mkds_plan(&info, &conf, &s), -EINVAL);
}

ATF_TC_WITHOUT_HEAD(plan_with_a_short_fence_time_can_be_read_again);
ATF_TC_BODY(plan_with_a_short_fence_time_can_be_read_again, tc)
{
	struct disk_info info = {
		.size_bytes = 256 * MIB, .block_size = 512,
		.caps = DISK_CAP_CAW | DISK_CAP_HOLD,
	};
	struct mkds_conf conf = {
		.protocol = LOCK_FILE,
		.timers = { .pulse_ms = 100, .io_ms = 200, .freeze_ms = 400,
		    .fence_ms = 600 },
	};
	uint8_t buf[BLOCK_SIZE];
	struct super s, back;

	(void)tc;
	ATF_REQUIRE_EQ(mkds_plan(&info, &conf, &s), 0);
	super_encode(buf, SUPER_BLOCK_0, &s);
	ATF_REQUIRE_EQ(super_decode(buf, SUPER_BLOCK_0, &back), 0);
	ATF_CHECK_EQ(back.timers.fence_hint_ms, 600);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, any_copy_of_the_superblock_will_do);
	ATF_TP_ADD_TC(tp, damage_is_told_from_absence);
	ATF_TP_ADD_TC(tp, newest_superblock_rules_after_a_write_cut_short);
	ATF_TP_ADD_TC(tp, lun_smaller_than_its_volume_is_refused);
	ATF_TP_ADD_TC(tp, read_only_takes_no_lock_and_writes_nothing);
	ATF_TP_ADD_TC(tp, unknown_ro_compat_feature_keeps_writers_out);
	ATF_TP_ADD_TC(tp, only_another_name_makes_a_copy);
	ATF_TP_ADD_TC(tp, label_of_a_copy_is_cut_at_a_character);
	ATF_TP_ADD_TC(tp, protocol_is_the_best_the_disk_can_do);
	ATF_TP_ADD_TC(tp, plan_scales_with_the_volume);
	ATF_TP_ADD_TC(tp, plan_refuses_what_cannot_be);
	ATF_TP_ADD_TC(tp, plan_with_a_short_fence_time_can_be_read_again);
	return atf_no_error();
}
