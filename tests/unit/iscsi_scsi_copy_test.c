/* SPDX-License-Identifier: BSD-2-Clause */
/* EXTENDED COPY of the SCSI device server. */
#include <atf-c.h>
#include <string.h>

#include "iscsi/scsi/lu.h"
#include "libvmfs/base/be.h"
#include "tests/unit/scsi_rig.h"

#define LIST_LEN (16 + 32 + 28)

static uint8_t buf[64 * RIG_BLOCK], other[64 * RIG_BLOCK];

/* A list that copies blocks inside the unit of LUN 0. */
static void
list_fill(const struct rig *r, uint8_t list[LIST_LEN], uint8_t id,
    uint64_t from, uint64_t to, uint16_t blocks)
{
	uint8_t *target = list + 16, *segment = list + 48;

	memset(list, 0, LIST_LEN);
	list[0] = id;
	be16_store(list + 2, 32);
	be32_store(list + 8, 28);
	target[0] = 0xe4;
	target[4] = 1;
	target[5] = 3;
	target[7] = 16;
	lu_naa(r->lu, target + 8);
	be24_store(target + 29, RIG_BLOCK);
	segment[0] = 0x02;
	be16_store(segment + 2, 24);
	be16_store(segment + 10, blocks);
	be64_store(segment + 12, from);
	be64_store(segment + 20, to);
}

static const uint8_t copy_cdb[16] = { 0x83, [13] = LIST_LEN };

static uint32_t
copy(const struct rig *r, uint64_t from, uint64_t to, uint16_t blocks)
{
	uint8_t list[LIST_LEN];

	list_fill(r, list, 1, from, to, blocks);
	return rig_cmd(r->nexus[0], copy_cdb, 16, list, sizeof(list));
}

static void
blocks_are_copied(struct rig *r)
{
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7 / 512);
	ATF_REQUIRE_EQ(RIG_GOOD, rig_write(r->nexus[0], 0, 64, buf));
	ATF_REQUIRE_EQ(RIG_GOOD, copy(r, 0, 1000, 64));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_read(r->nexus[0], 1000, 64, other));
	ATF_CHECK_EQ(0, memcmp(buf, other, sizeof(buf)));
	ATF_CHECK_EQ(0x0a0000, copy(r, 0, RIG_BLOCKS - 1, 2));
}

static void
copy_status_is_kept(struct rig *r)
{
	static const uint8_t cdb[16] = { 0x84, 0x00, 1, [13] = 12 };
	uint8_t in[12];
	size_t len;

	ATF_CHECK_EQ(0x052400,
	    rig_cmd_in(r->nexus[0], cdb, 16, in, sizeof(in), &len));
	ATF_REQUIRE_EQ(RIG_GOOD, copy(r, 0, 100, 10));
	ATF_REQUIRE_EQ(RIG_GOOD,
	    rig_cmd_in(r->nexus[0], cdb, 16, in, sizeof(in), &len));
	ATF_CHECK_EQ(12, len);
	ATF_CHECK_EQ(1, in[4]);
	ATF_CHECK_EQ(1, be16_load(in + 5));
	ATF_CHECK_EQ(10 * RIG_BLOCK, be32_load(in + 8));
	ATF_CHECK_EQ(0x052400,
	    rig_cmd_in(r->nexus[1], cdb, 16, in, sizeof(in), &len));
}

static void
copy_heeds_reservations(struct rig *r)
{
	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(r->nexus[1], 0, 0, 0, 0xb));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(r->nexus[1], 1, 1, 0xb, 0));
	ATF_CHECK_EQ(RIG_CONFLICT, copy(r, 0, 100, 10));
	ATF_CHECK_EQ(0, r->disk.writes);
}

/* The victim's copy has read, and must not write any more. */
static void
preempted_copy_writes_nothing(struct rig *r)
{
	uint8_t list[LIST_LEN];
	struct rig_task x, p;

	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(r->nexus[0], 0, 0, 0, 0xa));
	ATF_REQUIRE_EQ(RIG_GOOD, rig_pr_out(r->nexus[1], 0, 0, 0, 0xb));
	list_fill(r, list, 1, 0, 100, 10);
	r->disk.hold = true;
	rig_start(&x, r->nexus[0], copy_cdb, 16, list, sizeof(list));
	rig_settle();
	ATF_REQUIRE_EQ(1, r->disk.held_count);
	rig_pr_out_start(&p, r->nexus[1], 5, 5, 0xb, 0xa);
	rig_settle();
	ATF_CHECK(!p.done);
	rig_disk_let_go(r);
	rig_wait(&p);
	ATF_CHECK(x.done);
	ATF_CHECK_EQ(SCSI_TASK_ABORTED, rig_result(&x));
	ATF_CHECK_EQ(0, r->disk.writes);
	rig_fini(&x);
	rig_fini(&p);
}

static void
tmf_fiber(void *arg)
{
	struct rig_task *x = arg;

	ATF_CHECK_EQ(SCSI_TMF_COMPLETE, scsi_tmf(x->task.nexus,
	    SCSI_TMF_ABORT_TASK, rig_lun0, x->task.tag));
}

static void
aborted_copy_writes_nothing(struct rig *r)
{
	uint8_t list[LIST_LEN];
	struct rig_task x;

	list_fill(r, list, 1, 0, 100, 10);
	r->disk.hold = true;
	rig_start(&x, r->nexus[0], copy_cdb, 16, list, sizeof(list));
	rig_settle();
	ATF_REQUIRE_EQ(1, r->disk.held_count);
	ATF_REQUIRE_EQ(0, sched_spawn(r->env.sched, "tmf", tmf_fiber, &x));
	rig_settle();
	rig_disk_let_go(r);
	rig_wait(&x);
	rig_settle();
	ATF_CHECK(x.task.aborted);
	ATF_CHECK_EQ(0, r->disk.writes);
	rig_fini(&x);
}

/* A unit attention that comes during a copy is for the initiator. */
static void
copy_leaves_unit_attentions_alone(struct rig *r)
{
	uint8_t list[LIST_LEN];
	struct rig_task x;

	list_fill(r, list, 1, 0, 100, 10);
	r->disk.hold = true;
	rig_start(&x, r->nexus[0], copy_cdb, 16, list, sizeof(list));
	rig_settle();
	r->disk.disk.info.size_bytes *= 2;
	rig_disk_let_go(r);
	rig_wait(&x);
	ATF_CHECK_EQ(RIG_GOOD, rig_result(&x));
	rig_fini(&x);
	ATF_CHECK_EQ(0x062a09, rig_tur(r->nexus[0]));
}

static void
bad_copy_lists_are_refused(struct rig *r)
{
	uint8_t list[LIST_LEN], cdb[16];

	list_fill(r, list, 1, 0, 100, 10);
	memcpy(cdb, copy_cdb, 16);
	for (uint8_t len = 1; len < LIST_LEN; len++) {
		cdb[13] = len;
		ATF_CHECK_EQ(0x051a00,
		    rig_cmd(r->nexus[0], cdb, 16, list, len));
	}
	list[16 + 9] ^= 1;
	ATF_CHECK_EQ(0x0a0804,
	    rig_cmd(r->nexus[0], copy_cdb, 16, list, LIST_LEN));
	list[16] = 0xe0;
	ATF_CHECK_EQ(0x052607,
	    rig_cmd(r->nexus[0], copy_cdb, 16, list, LIST_LEN));
	ATF_CHECK_EQ(0, r->disk.writes);
}

RIG_TEST(blocks, NULL, blocks_are_copied, "blocks are copied")
RIG_TEST(status, NULL, copy_status_is_kept,
    "the status of a copy is kept for its initiator")
RIG_TEST(reservation, NULL, copy_heeds_reservations,
    "a copy heeds reservations")
RIG_TEST(preempted, NULL, preempted_copy_writes_nothing,
    "the copy of a preempted initiator writes nothing")
RIG_TEST(aborted, NULL, aborted_copy_writes_nothing,
    "an aborted copy writes nothing more")
RIG_TEST(attention, NULL, copy_leaves_unit_attentions_alone,
    "a copy leaves unit attentions to the initiator")
RIG_TEST(bad_lists, NULL, bad_copy_lists_are_refused,
    "bad parameter lists are refused")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, blocks);
	ATF_TP_ADD_TC(tp, status);
	ATF_TP_ADD_TC(tp, reservation);
	ATF_TP_ADD_TC(tp, preempted);
	ATF_TP_ADD_TC(tp, aborted);
	ATF_TP_ADD_TC(tp, attention);
	ATF_TP_ADD_TC(tp, bad_lists);
	return atf_no_error();
}
