/* SPDX-License-Identifier: BSD-2-Clause */
/* Units that come and go, and what each initiator sees of a target. */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/be.h"
#include "tests/unit/scsi_rig.h"

#define LUN_NOT_SUPPORTED 0x052500U
#define LUNS_CHANGED 0x063f0eU
#define CAPACITY_CHANGED 0x062a09U
#define MODE_CHANGED 0x062a01U
#define POWER_ON 0x062900U
#define WRITE_PROTECTED 0x072700U

/* A second unit of another size, for LUN 1 and on. */
struct second {
	struct disk *disk;
	struct scsi_lu *lu;
};

static void
second_open(struct rig *r, struct second *s)
{
	struct scsi_lu_conf conf = { .thin = true };

	conf.uuid.b[3] = 0x77;
	ATF_REQUIRE_EQ(0, disk_mem_open(1 << 20, RIG_BLOCK, &s->disk));
	ATF_REQUIRE_EQ(0, scsi_lu_new(&r->env, s->disk, &conf, &s->lu));
}

static void
second_close(struct second *s)
{
	scsi_lu_free(s->lu);
	disk_close(s->disk);
}

static uint32_t
tur_lun(struct scsi_nexus *n, uint8_t lun)
{
	static const uint8_t cdb[6];
	uint8_t field[8] = { 0, lun };
	struct rig_task t;
	uint32_t result;

	rig_start_lun(&t, n, field, cdb, sizeof(cdb));
	rig_wait(&t);
	result = rig_result(&t);
	rig_fini(&t);
	return result;
}

/* REPORT LUNS: how many, and the bits of the first 32. */
static unsigned
luns_seen(struct scsi_nexus *n, uint32_t *ret_bits)
{
	static const uint8_t cdb[12] = { 0xa0, [8] = 0x20 };
	uint8_t in[8192];
	size_t len;

	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(n, cdb, sizeof(cdb), in,
	    sizeof(in), &len));
	*ret_bits = 0;
	for (size_t at = 8; at < len; at += 8)
		if (in[at + 1] < 32)
			*ret_bits |= 1U << in[at + 1];
	return be32_load(in) / 8;
}

static void
unit_taken_away_is_not_supported(struct rig *r)
{
	struct second s;
	uint32_t bits;

	second_open(r, &s);
	ATF_REQUIRE_EQ(0, scsi_target_map(r->target, 3, s.lu));
	ATF_CHECK_EQ(LUNS_CHANGED, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(POWER_ON, tur_lun(r->nexus[0], 3));
	ATF_CHECK_EQ(RIG_GOOD, tur_lun(r->nexus[0], 3));
	ATF_CHECK_EQ(2, luns_seen(r->nexus[0], &bits));
	ATF_CHECK_EQ(0x9, bits);
	ATF_CHECK_EQ(0, scsi_target_unmap(r->target, 3));
	ATF_CHECK_EQ(LUN_NOT_SUPPORTED, tur_lun(r->nexus[0], 3));
	ATF_CHECK_EQ(LUNS_CHANGED, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(1, luns_seen(r->nexus[0], &bits));
	ATF_CHECK_EQ(-ENOENT, scsi_target_unmap(r->target, 3));
	second_close(&s);
}

struct unmapper {
	struct rig *rig;
	bool done;
};

static void
unmap_fiber(void *arg)
{
	struct unmapper *u = arg;

	ATF_CHECK_EQ(0, scsi_target_unmap(u->rig->target, 0));
	u->done = true;
}

/* What is in flight ends before the disk is given back. */
static void
taking_away_waits_for_commands(struct rig *r)
{
	struct unmapper u = { .rig = r };
	struct rig_task held, behind;
	uint8_t block[RIG_BLOCK] = { 1 };

	r->disk.hold = true;
	rig_start(&held, r->nexus[0], rig_cdb16(0x8a, 5, 1), 16, block,
	    sizeof(block));
	rig_start_attr(&behind, r->nexus[1], SCSI_ATTR_ORDERED,
	    rig_cdb16(0x8a, 5, 1), 16, block, sizeof(block));
	ATF_REQUIRE_EQ(0, sched_spawn(r->env.sched, "unmap", unmap_fiber, &u));
	rig_settle();
	ATF_CHECK(!u.done);
	ATF_CHECK(behind.done);
	ATF_CHECK_EQ(LUN_NOT_SUPPORTED, rig_result(&behind));
	ATF_CHECK(!behind.task.aborted);
	ATF_CHECK_EQ(LUN_NOT_SUPPORTED, rig_tur(r->nexus[0]));
	rig_disk_let_go(r);
	rig_wait(&held);
	ATF_CHECK_EQ(LUN_NOT_SUPPORTED, rig_result(&held));
	rig_settle();
	ATF_CHECK(u.done);
	rig_fini(&held);
	rig_fini(&behind);
}

static void
unit_comes_back_with_power_on(struct rig *r)
{
	ATF_REQUIRE_EQ(0, scsi_target_unmap(r->target, 0));
	ATF_REQUIRE_EQ(0, scsi_target_map(r->target, 0, r->lu));
	ATF_CHECK_EQ(POWER_ON, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[0]));
}

static enum scsi_tmf_response
reset_lun(struct scsi_nexus *n, uint8_t lun)
{
	uint8_t field[8] = { 0, lun };

	return scsi_tmf(n, SCSI_TMF_LOGICAL_UNIT_RESET, field, 0);
}

static void
awaited_unit_is_busy(struct rig *r)
{
	static const uint8_t inquiry[6] = { 0x12, [4] = 96 };
	uint32_t bits;

	ATF_REQUIRE_EQ(0, scsi_target_unmap(r->target, 0));
	scsi_target_await(r->target, 0, true);
	ATF_CHECK_EQ(SCSI_BUSY, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(SCSI_BUSY, rig_cmd(r->nexus[0], inquiry, 6, NULL, 0));
	ATF_CHECK_EQ(SCSI_TMF_COMPLETE, reset_lun(r->nexus[0], 0));
	/* Where there is none, nothing has changed. */
	ATF_CHECK_EQ(LUN_NOT_SUPPORTED, tur_lun(r->nexus[0], 3));
	ATF_CHECK_EQ(SCSI_TMF_NO_LUN, reset_lun(r->nexus[0], 3));
	scsi_target_await(r->target, 3, true);
	ATF_CHECK_EQ(SCSI_BUSY, tur_lun(r->nexus[0], 3));
	ATF_CHECK_EQ(2, luns_seen(r->nexus[0], &bits));
	ATF_CHECK_EQ(0x9, bits);
	ATF_REQUIRE_EQ(0, scsi_target_map(r->target, 0, r->lu));
	ATF_CHECK_EQ(POWER_ON, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[0]));
	scsi_target_await(r->target, 3, false);
	ATF_CHECK_EQ(LUNS_CHANGED, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(LUN_NOT_SUPPORTED, tur_lun(r->nexus[0], 3));
	ATF_CHECK_EQ(1, luns_seen(r->nexus[0], &bits));
	/* Taking it away is the end. */
	ATF_REQUIRE_EQ(0, scsi_target_unmap(r->target, 0));
	ATF_CHECK_EQ(LUN_NOT_SUPPORTED, rig_tur(r->nexus[0]));
}

static void
reserve_goes_with_the_unit(struct rig *r)
{
	static const uint8_t reserve[6] = { 0x16 };
	struct scsi_view none = { 0 };

	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd(r->nexus[0], reserve, 6, NULL, 0));
	ATF_REQUIRE_EQ(RIG_CONFLICT, rig_tur(r->nexus[1]));
	ATF_REQUIRE_EQ(0, scsi_nexus_set_view(r->nexus[0], &none));
	ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[1]));
}

/* ---- views ---- */

static void
initiator_sees_its_own_numbers(struct rig *r)
{
	struct scsi_view v = { 0 };
	struct scsi_nexus *n;
	struct second s;
	uint32_t bits;

	second_open(r, &s);
	ATF_REQUIRE_EQ(0, scsi_target_map(r->target, 9, s.lu));
	v.luns[2].shown = true;
	v.luns[2].lun = 9;
	ATF_REQUIRE_EQ(0, scsi_nexus_open_view(r->target, "iqn.x",
	    "iqn.x,i,0x1", &v, &n));
	ATF_CHECK_EQ(1, luns_seen(n, &bits));
	ATF_CHECK_EQ(1U << 2, bits);
	ATF_CHECK_EQ(POWER_ON, tur_lun(n, 2));
	ATF_CHECK_EQ(RIG_GOOD, tur_lun(n, 2));
	ATF_CHECK_EQ(LUN_NOT_SUPPORTED, tur_lun(n, 0));
	ATF_CHECK_EQ(LUN_NOT_SUPPORTED, tur_lun(n, 9));
	/* Follows what happens to the target's LUN. */
	ATF_REQUIRE_EQ(0, scsi_target_unmap(r->target, 9));
	ATF_CHECK_EQ(LUN_NOT_SUPPORTED, tur_lun(n, 2));
	scsi_target_await(r->target, 9, true);
	ATF_CHECK_EQ(SCSI_BUSY, tur_lun(n, 2));
	ATF_CHECK_EQ(LUN_NOT_SUPPORTED, tur_lun(n, 9));
	ATF_REQUIRE_EQ(0, scsi_target_map(r->target, 9, s.lu));
	ATF_CHECK_EQ(POWER_ON, tur_lun(n, 2));
	/* What is hidden does not concern it. */
	ATF_REQUIRE_EQ(0, scsi_target_unmap(r->target, 0));
	ATF_CHECK_EQ(LUNS_CHANGED, tur_lun(n, 2));
	scsi_nexus_close(n);
	ATF_REQUIRE_EQ(0, scsi_target_unmap(r->target, 9));
	second_close(&s);
}

static uint8_t
mode_wp(struct scsi_nexus *n)
{
	static const uint8_t cdb[6] = { 0x1a, 0x08, 0x3f, 0, 255 };
	uint8_t in[255];
	size_t len;

	ATF_REQUIRE_EQ(RIG_GOOD, rig_cmd_in(n, cdb, 6, in, sizeof(in), &len));
	return in[2] & 0x80;
}

static void
readonly_is_for_one_initiator(struct rig *r)
{
	struct scsi_view v;
	uint8_t block[RIG_BLOCK] = { 7 };

	scsi_view_all(&v, true);
	ATF_REQUIRE_EQ(0, scsi_nexus_set_view(r->nexus[0], &v));
	ATF_CHECK_EQ(MODE_CHANGED, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(WRITE_PROTECTED, rig_write(r->nexus[0], 0, 1, block));
	ATF_CHECK_EQ(RIG_GOOD, rig_read(r->nexus[0], 0, 1, block));
	ATF_CHECK_EQ(0x80, mode_wp(r->nexus[0]));
	ATF_CHECK_EQ(RIG_GOOD, rig_write(r->nexus[1], 0, 1, block));
	ATF_CHECK_EQ(0, mode_wp(r->nexus[1]));
	ATF_REQUIRE_EQ(0, scsi_nexus_set_view(r->nexus[0], NULL));
	ATF_CHECK_EQ(MODE_CHANGED, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(RIG_GOOD, rig_write(r->nexus[0], 0, 1, block));
}

static void
view_changes_are_told(struct rig *r)
{
	struct scsi_view v = { 0 };
	uint32_t bits;

	v.luns[0].shown = v.luns[1].shown = true;
	ATF_REQUIRE_EQ(0, scsi_nexus_set_view(r->nexus[0], &v));
	ATF_CHECK_EQ(LUNS_CHANGED, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(POWER_ON, tur_lun(r->nexus[0], 1));
	ATF_CHECK_EQ(2, luns_seen(r->nexus[0], &bits));
	ATF_CHECK_EQ(0x3, bits);
	ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[1]));
}

/* ---- size ---- */

static int
grow(struct disk *d)
{
	d->info.size_bytes += RIG_BLOCK;
	return 0;
}

static int
refuse(struct disk *d)
{
	(void)d;
	return -EIO;
}

static void
growth_reaches_every_initiator(struct rig *r)
{
	struct disk_ops ops = *r->disk.disk.ops;

	r->disk.disk.ops = &ops;
	ops.refresh = refuse;
	ATF_CHECK_EQ(-EIO, scsi_lu_refresh(r->lu));
	ops.refresh = grow;
	ATF_CHECK_EQ(0, scsi_lu_refresh(r->lu));
	for (unsigned i = 0; i < RIG_NEXUSES; i++) {
		ATF_CHECK_EQ(CAPACITY_CHANGED, rig_tur(r->nexus[i]));
		ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[i]));
	}
}

RIG_TEST(a_unit_taken_away_is_not_supported, NULL,
    unit_taken_away_is_not_supported, "05/25/00 there, 06/3F/0E elsewhere")
RIG_TEST(taking_a_unit_away_waits_for_its_commands, NULL,
    taking_away_waits_for_commands, "the disk is free when it returns")
RIG_TEST(a_unit_that_comes_back_says_power_on, NULL,
    unit_comes_back_with_power_on, "a unit is mapped again")
RIG_TEST(an_awaited_unit_is_busy, NULL, awaited_unit_is_busy,
    "what initiators are to try again")
RIG_TEST(a_reserve_goes_with_the_unit, NULL, reserve_goes_with_the_unit,
    "RESERVE(6) of an initiator that no longer sees the unit")
RIG_TEST(an_initiator_sees_its_own_numbers, NULL,
    initiator_sees_its_own_numbers, "LUN map of an initiator")
RIG_TEST(readonly_can_be_for_one_initiator, NULL,
    readonly_is_for_one_initiator, "write protected for one, not another")
RIG_TEST(changes_of_a_view_are_told, NULL, view_changes_are_told,
    "06/3F/0E to that initiator only")
RIG_TEST(growth_reaches_every_nexus, NULL, growth_reaches_every_initiator,
    "06/2A/09")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_unit_taken_away_is_not_supported);
	ATF_TP_ADD_TC(tp, taking_a_unit_away_waits_for_its_commands);
	ATF_TP_ADD_TC(tp, a_unit_that_comes_back_says_power_on);
	ATF_TP_ADD_TC(tp, an_awaited_unit_is_busy);
	ATF_TP_ADD_TC(tp, a_reserve_goes_with_the_unit);
	ATF_TP_ADD_TC(tp, an_initiator_sees_its_own_numbers);
	ATF_TP_ADD_TC(tp, readonly_can_be_for_one_initiator);
	ATF_TP_ADD_TC(tp, changes_of_a_view_are_told);
	ATF_TP_ADD_TC(tp, growth_reaches_every_nexus);
	return atf_no_error();
}
