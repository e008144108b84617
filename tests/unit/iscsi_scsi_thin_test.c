/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools of thin units that get full. */
#include <atf-c.h>
#include <string.h>

#include "libvmfs/base/be.h"
#include "libvmfs/base/units.h"
#include "tests/unit/scsi_rig.h"

#define THRESHOLD 0x063807
#define FULL 0x072707

static uint8_t data[RIG_BLOCKS * RIG_BLOCK], in[512];
static size_t in_len;

/* A pool of 100 MiB, half of it in use. */
static void
set_pool(struct rig *r)
{
	r->disk.space = (struct disk_space){
		.size = 100 * MIB, .available = 50 * MIB,
	};
}

/* Writes the unit again and again until somebody complains, 20 MiB at most. */
static uint32_t
write_on(struct scsi_nexus *n)
{
	uint32_t result = RIG_GOOD;

	for (unsigned i = 0; i < 20 && result == RIG_GOOD; i++)
		result = rig_write(n, 0, RIG_BLOCKS, data);
	return result;
}

static uint32_t
sense_page(struct rig *r, uint8_t pc, uint8_t code, uint8_t sub)
{
	uint8_t cdb[10] = { 0x5a, 0x08, (uint8_t)(pc << 6 | code), sub };

	be16_store(cdb + 7, sizeof(in));
	return rig_cmd_in(r->nexus[0], cdb, 10, in, sizeof(in), &in_len);
}

/* MODE SELECT of what sense_page has left in `in`. */
static uint32_t
select_page(struct scsi_nexus *n)
{
	uint8_t cdb[10] = { 0x55, 0x10 };

	be16_store(cdb + 7, (uint16_t)in_len);
	memset(in, 0, 3);
	return rig_cmd(n, cdb, 10, in, in_len);
}

static void
all_are_told_once(struct rig *r)
{
	ATF_CHECK_EQ(RIG_GOOD, write_on(r->nexus[0]));
	r->disk.space.available = 21 * MIB;
	ATF_CHECK_EQ(RIG_GOOD, write_on(r->nexus[0]));
	r->disk.space.available = 19 * MIB;
	ATF_CHECK_EQ(THRESHOLD, write_on(r->nexus[0]));
	for (unsigned i = 1; i < RIG_NEXUSES; i++) {
		ATF_CHECK_EQ(THRESHOLD, rig_tur(r->nexus[i]));
		ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[i]));
	}
	r->disk.space.available = 10 * MIB;
	ATF_CHECK_EQ(RIG_GOOD, write_on(r->nexus[0]));
}

/* Also when it was looked at just before the line was crossed. */
static void
told_soon_after_the_line(struct rig *r)
{
	r->disk.space.available = 20 * MIB;
	ATF_CHECK_EQ(RIG_GOOD, rig_write(r->nexus[0], 0, 1, data));
	r->disk.space.available = 19 * MIB;
	ATF_CHECK_EQ(RIG_GOOD,
	    rig_write(r->nexus[0], 0, RIG_BLOCKS, data));
	ATF_CHECK_EQ(THRESHOLD, rig_tur(r->nexus[0]));
}

/* The line is armed again when there is clearly more room. */
static void
told_again_after_room_was_made(struct rig *r)
{
	r->disk.space.available = 19 * MIB;
	ATF_CHECK_EQ(THRESHOLD, write_on(r->nexus[0]));
	r->disk.space.available = 22 * MIB;
	ATF_CHECK_EQ(RIG_GOOD, write_on(r->nexus[0]));
	r->disk.space.available = 19 * MIB;
	ATF_CHECK_EQ(RIG_GOOD, write_on(r->nexus[0]));
	r->disk.space.available = 30 * MIB;
	ATF_CHECK_EQ(RIG_GOOD, write_on(r->nexus[0]));
	r->disk.space.available = 19 * MIB;
	ATF_CHECK_EQ(THRESHOLD, write_on(r->nexus[0]));
}

static void
full_pool_refuses_until_there_is_space(struct rig *r)
{
	r->disk.space.available = 0;
	r->disk.error = -ENOSPC;
	ATF_CHECK_EQ(FULL, rig_write(r->nexus[1], 0, 1, data));
	ATF_CHECK_EQ(THRESHOLD, rig_tur(r->nexus[1]));
	ATF_CHECK_EQ(FULL, rig_write(r->nexus[1], 0, 1, data));
	ATF_CHECK_EQ(0, r->disk.writes);
	r->disk.error = 0;
	r->disk.space.available = 50 * MIB;
	ATF_CHECK_EQ(RIG_GOOD, rig_write(r->nexus[1], 0, 1, data));
	ATF_CHECK_EQ(1, r->disk.writes);
}

static unsigned settings;

static void
note_setting(void *arg)
{
	(void)arg;
	settings++;
}

static void
set_keeper(struct rig *r)
{
	set_pool(r);
	r->conf.on_setting = note_setting;
}

static uint32_t
threshold_of(struct rig *r, uint8_t pc)
{
	ATF_REQUIRE_EQ(RIG_GOOD, sense_page(r, pc, 0x1c, 2));
	ATF_CHECK_EQ(0xdc, in[8]);
	return be32_load(in + 8 + 20);
}

/* Saved values are told to whoever keeps them. */
static void
saved_threshold_is_kept(struct rig *r)
{
	static const uint8_t sp[10] = { 0x55, 0x11, [8] = 32 };
	struct scsi_lu_settings s;

	ATF_CHECK_EQ(20, threshold_of(r, 0));
	ATF_CHECK_EQ(20, threshold_of(r, 3));
	scsi_lu_settings(r->lu, &s);
	ATF_CHECK(!s.threshold_set);
	be32_store(in + 28, 7);
	memset(in, 0, 3);
	in[8] &= 0x7f;
	ATF_CHECK_EQ(RIG_GOOD, rig_cmd(r->nexus[0], sp, 10, in, 32));
	ATF_CHECK_EQ(1, settings);
	scsi_lu_settings(r->lu, &s);
	ATF_CHECK(s.threshold_set && s.threshold_on);
	ATF_CHECK_EQ(7 * MIB, s.threshold_free);
	/* Only until a restart. */
	ATF_REQUIRE_EQ(7, threshold_of(r, 0));
	be32_store(in + 28, 5);
	in[8] &= 0x7f;
	ATF_CHECK_EQ(RIG_GOOD, select_page(r->nexus[0]));
	ATF_CHECK_EQ(5, threshold_of(r, 0));
	ATF_CHECK_EQ(7, threshold_of(r, 3));
	ATF_CHECK_EQ(1, settings);
	/* Of other pages nothing is saved. */
	ATF_CHECK_EQ(0x053900, sense_page(r, 3, 0x0a, 0));
	ATF_REQUIRE_EQ(RIG_GOOD, sense_page(r, 0, 0x0a, 0));
	memset(in, 0, 3);
	ATF_CHECK_EQ(0x052400, rig_cmd(r->nexus[0],
	    (const uint8_t[10]){ 0x55, 0x11, [8] = 20 }, 10, in, 20));
}

static void
settings_change_while_it_runs(struct rig *r)
{
	struct scsi_lu_settings s = {
		.access = { 0, 2 }, .threshold_set = true,
		.threshold_on = true, .threshold_free = 3 * MIB,
	};

	scsi_lu_set(r->lu, &s, 0);
	ATF_CHECK_EQ(0x062a06, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(0x062a01, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(3, threshold_of(r, 0));
	scsi_lu_set(r->lu, &s, 0);
	ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[0]));
	s = (struct scsi_lu_settings){ .threshold_set = false };
	scsi_lu_set(r->lu, &s, 90);
	ATF_CHECK_EQ(0x062a06, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(0x062a01, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(10, threshold_of(r, 0));
	ATF_CHECK_EQ(0, settings);
}

static void
set_warn(struct rig *r)
{
	set_pool(r);
	r->conf.warn_percent = 55;
}

static void
threshold_is_configured(struct rig *r)
{
	ATF_REQUIRE_EQ(RIG_GOOD, sense_page(r, 0, 0x1c, 0x02));
	ATF_CHECK_EQ(45, be32_load(in + 8 + 16 + 4));
	r->disk.space.available = 44 * MIB;
	ATF_CHECK_EQ(THRESHOLD, write_on(r->nexus[0]));
}

static void
mode_page_tells_and_changes_it(struct rig *r)
{
	ATF_REQUIRE_EQ(RIG_GOOD, sense_page(r, 0, 0x1c, 0x02));
	ATF_REQUIRE_EQ(8 + 24, in_len);
	ATF_CHECK_EQ(0x5c, in[8]);
	ATF_CHECK_EQ(0x02, in[9]);
	ATF_CHECK_EQ(20, be16_load(in + 10));
	ATF_CHECK_EQ(0x80, in[8 + 16]);
	ATF_CHECK_EQ(0x01, in[8 + 17]);
	ATF_CHECK_EQ(20, be32_load(in + 8 + 20));
	be32_store(in + 8 + 20, 60);
	ATF_REQUIRE_EQ(RIG_GOOD, select_page(r->nexus[0]));
	ATF_CHECK_EQ(0x062a01, rig_tur(r->nexus[1]));
	ATF_REQUIRE_EQ(RIG_GOOD, sense_page(r, 0, 0x1c, 0x02));
	ATF_CHECK_EQ(60, be32_load(in + 8 + 20));
	ATF_CHECK_EQ(THRESHOLD, write_on(r->nexus[0]));
	ATF_REQUIRE_EQ(THRESHOLD, rig_tur(r->nexus[1]));
	/* Off. */
	ATF_REQUIRE_EQ(RIG_GOOD, sense_page(r, 0, 0x1c, 0x02));
	in[8 + 16] = 0;
	ATF_REQUIRE_EQ(RIG_GOOD, select_page(r->nexus[0]));
	ATF_CHECK_EQ(0x062a01, rig_tur(r->nexus[1]));
	ATF_CHECK_EQ(RIG_GOOD, write_on(r->nexus[0]));
}

static void
only_the_threshold_can_be_changed(struct rig *r)
{
	ATF_REQUIRE_EQ(RIG_GOOD, sense_page(r, 0, 0x1c, 0x02));
	in[8 + 17] = 0x02;
	ATF_CHECK_EQ(0x052600, select_page(r->nexus[0]));
	ATF_REQUIRE_EQ(RIG_GOOD, sense_page(r, 0, 0x1c, 0x02));
	in[8 + 3] = 19;
	ATF_CHECK_EQ(0x052600, select_page(r->nexus[0]));
	ATF_REQUIRE_EQ(RIG_GOOD, sense_page(r, 0, 0x1c, 0x02));
	for (in_len = 9; in_len < 8 + 24; in_len++)
		ATF_CHECK_EQ(0x051a00, select_page(r->nexus[0]));
	in[9] = 0x03;
	in_len = 8 + 24;
	ATF_CHECK_EQ(0x052600, select_page(r->nexus[0]));
}

static void
subpages_are_told_apart(struct rig *r)
{
	size_t all;

	ATF_REQUIRE_EQ(RIG_GOOD, sense_page(r, 0, 0x3f, 0));
	all = in_len;
	ATF_REQUIRE_EQ(RIG_GOOD, sense_page(r, 0, 0x3f, 0xff));
	ATF_CHECK_EQ(all + 24, in_len);
	ATF_REQUIRE_EQ(RIG_GOOD, sense_page(r, 0, 0x1c, 0));
	ATF_CHECK_EQ(8 + 12, in_len);
	ATF_REQUIRE_EQ(RIG_GOOD, sense_page(r, 0, 0x1c, 0xff));
	ATF_CHECK_EQ(8 + 12 + 24, in_len);
	ATF_CHECK_EQ(0x052400, sense_page(r, 0, 0x1c, 1));
	ATF_CHECK_EQ(0x052400, sense_page(r, 0, 0x3f, 2));
}

static void
counts_are_told_in_sets(struct rig *r)
{
	static const uint8_t log[10] = { 0x4d, 0, 0x40 | 0x0c, [7] = 2 };
	static const uint8_t vpd[6] = { 0x12, 1, 0xb2, 0, 64 };

	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(r->nexus[0], log, 10, in,
	    sizeof(in), &in_len));
	ATF_REQUIRE_EQ(4 + 24, in_len);
	ATF_CHECK_EQ(1, be16_load(in + 4));
	ATF_CHECK_EQ(50, be32_load(in + 8));
	ATF_CHECK_EQ(0x02, in[12]);
	ATF_CHECK_EQ(2, be16_load(in + 16));
	ATF_CHECK_EQ(50, be32_load(in + 20));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(r->nexus[0], vpd, 6, in,
	    sizeof(in), &in_len));
	/* 2 to the power of 11 blocks of 512 bytes are 1 MiB. */
	ATF_CHECK_EQ(11, in[4]);
}

static void
unit_without_pool_says_nothing(struct rig *r)
{
	static const uint8_t log[10] = { 0x4d, 0, 0x40 | 0x0c, [7] = 2 };
	static const uint8_t vpd[6] = { 0x12, 1, 0xb2, 0, 64 };

	ATF_CHECK_EQ(0x052400, sense_page(r, 0, 0x1c, 0x02));
	ATF_CHECK_EQ(0x052400, rig_cmd_in(r->nexus[0], log, 10, in,
	    sizeof(in), &in_len));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(r->nexus[0], vpd, 6, in,
	    sizeof(in), &in_len));
	ATF_CHECK_EQ(0, in[4]);
	ATF_CHECK_EQ(RIG_GOOD, write_on(r->nexus[0]));
}

RIG_TEST(told, set_pool, all_are_told_once,
    "all initiators are told once that the pool gets full")
RIG_TEST(soon, set_pool, told_soon_after_the_line,
    "initiators are told soon after the line was crossed")
RIG_TEST(rearmed, set_pool, told_again_after_room_was_made,
    "they are told again after room was made")
RIG_TEST(full, set_pool, full_pool_refuses_until_there_is_space,
    "a full pool refuses writes until there is space")
RIG_TEST(configured, set_warn, threshold_is_configured,
    "the threshold is configured")
RIG_TEST(mode, set_pool, mode_page_tells_and_changes_it,
    "MODE SENSE and SELECT tell and change the threshold")
RIG_TEST(mode_bad, set_pool, only_the_threshold_can_be_changed,
    "nothing else of the page can be changed")
RIG_TEST(subpages, set_pool, subpages_are_told_apart,
    "mode subpages are told apart")
RIG_TEST(counts, set_pool, counts_are_told_in_sets,
    "LOG SENSE tells what is available and used")
RIG_TEST(no_pool, NULL, unit_without_pool_says_nothing,
    "a unit whose disk knows no pool has no thresholds")

RIG_TEST(saved, set_keeper, saved_threshold_is_kept,
    "MODE SELECT with SP saves the threshold, and nothing else")
RIG_TEST(live, set_keeper, settings_change_while_it_runs,
    "settings change while initiators are logged in, who hear of it")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, told);
	ATF_TP_ADD_TC(tp, soon);
	ATF_TP_ADD_TC(tp, rearmed);
	ATF_TP_ADD_TC(tp, full);
	ATF_TP_ADD_TC(tp, configured);
	ATF_TP_ADD_TC(tp, mode);
	ATF_TP_ADD_TC(tp, mode_bad);
	ATF_TP_ADD_TC(tp, subpages);
	ATF_TP_ADD_TC(tp, counts);
	ATF_TP_ADD_TC(tp, saved);
	ATF_TP_ADD_TC(tp, live);
	ATF_TP_ADD_TC(tp, no_pool);
	return atf_no_error();
}
