/* SPDX-License-Identifier: BSD-2-Clause */
/* Task management, ordering and unit attentions of the device server. */
#include <atf-c.h>
#include <string.h>

#include "libvmfs/base/be.h"
#include "tests/unit/scsi_rig.h"

static uint8_t block[RIG_BLOCK];

static void
start_write(struct rig *r, struct rig_task *t, unsigned nexus, uint64_t lba)
{
	rig_start(t, r->nexus[nexus], rig_cdb16(0x8a, lba, 1), 16, block,
	    RIG_BLOCK);
}

/* ---- task management ---- */

struct tmf {
	struct scsi_nexus *nexus;
	enum scsi_tmf function;
	uint64_t tag;
	enum scsi_tmf_response response;
	bool done;
};

static void
tmf_fiber(void *arg)
{
	struct tmf *t = arg;

	t->response = scsi_tmf(t->nexus, t->function, rig_lun0, t->tag);
	t->done = true;
}

static void
tmf_start(struct rig *r, struct tmf *t, unsigned nexus, enum scsi_tmf function,
    uint64_t tag)
{
	*t = (struct tmf){ r->nexus[nexus], function, tag, 0, false };
	ATF_REQUIRE_EQ(0, sched_spawn(r->env.sched, "tmf", tmf_fiber, t));
	rig_settle();
}

static void
abort_task_waits_for_its_write(struct rig *r)
{
	struct rig_task a, b;
	struct tmf t;

	r->disk.hold = true;
	start_write(r, &a, 0, 1);
	start_write(r, &b, 0, 2);
	tmf_start(r, &t, 0, SCSI_TMF_ABORT_TASK, a.task.tag);
	ATF_CHECK(!t.done);
	rig_disk_let_go(r);
	rig_wait(&b);
	rig_settle();
	ATF_CHECK(t.done);
	ATF_CHECK_EQ(SCSI_TMF_COMPLETE, t.response);
	ATF_CHECK(a.done && a.task.aborted);
	ATF_CHECK(!b.task.aborted);
	ATF_CHECK_EQ(RIG_GOOD, rig_result(&b));
	rig_fini(&a);
	rig_fini(&b);
}

static void
abort_of_no_task_says_so(struct rig *r)
{
	static const uint8_t lun9[8] = { 0, 9 };

	ATF_CHECK_EQ(SCSI_TMF_NO_TASK, scsi_tmf(r->nexus[0],
	    SCSI_TMF_ABORT_TASK, rig_lun0, 12345));
	ATF_CHECK_EQ(SCSI_TMF_NO_LUN, scsi_tmf(r->nexus[0],
	    SCSI_TMF_ABORT_TASK_SET, lun9, 0));
	ATF_CHECK_EQ(SCSI_TMF_NOT_SUPPORTED, scsi_tmf(r->nexus[0],
	    SCSI_TMF_CLEAR_ACA, rig_lun0, 0));
}

static void
reset_ends_the_tasks_of_all(struct rig *r)
{
	struct rig_task a, b;
	struct tmf t;

	r->disk.hold = true;
	start_write(r, &a, 0, 1);
	start_write(r, &b, 1, 2);
	tmf_start(r, &t, 0, SCSI_TMF_LOGICAL_UNIT_RESET, 0);
	ATF_CHECK(!t.done);
	rig_disk_let_go(r);
	rig_settle();
	ATF_REQUIRE(t.done && a.done && b.done);
	ATF_CHECK(a.task.aborted);
	ATF_CHECK_EQ(SCSI_TASK_ABORTED, rig_result(&b));
	ATF_CHECK(!b.task.aborted);
	rig_fini(&a);
	rig_fini(&b);
	ATF_CHECK_EQ(0x062903, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(0x062903, rig_tur(r->nexus[1]));
	ATF_CHECK_EQ(0x062903, rig_tur(r->nexus[2]));
}

static void
set_small_transfers(struct rig *r)
{
	r->disk.disk.info.max_transfer = RIG_BLOCK;
}

/* Of a long write in steps, those not begun when it is aborted stay undone. */
static void
aborted_write_starts_no_more_steps(struct rig *r)
{
	static uint8_t buf[4 * RIG_BLOCK];
	struct rig_task a;
	struct tmf t;

	r->disk.hold = true;
	rig_start(&a, r->nexus[0], rig_cdb16(0x8a, 0, 4), 16, buf, sizeof(buf));
	tmf_start(r, &t, 0, SCSI_TMF_ABORT_TASK_SET, 0);
	rig_disk_let_go(r);
	rig_settle();
	ATF_CHECK(t.done && a.done);
	ATF_CHECK_EQ(1, r->disk.writes);
	rig_fini(&a);
}

struct closing {
	struct scsi_nexus *nexus;
	bool done;
};

static void
close_fiber(void *arg)
{
	struct closing *c = arg;

	scsi_nexus_close(c->nexus);
	c->done = true;
}

static void
closing_a_nexus_ends_its_tasks_first(struct rig *r)
{
	struct closing c = { r->nexus[0], false };
	struct rig_task a;

	r->disk.hold = true;
	start_write(r, &a, 0, 1);
	ATF_REQUIRE_EQ(0, sched_spawn(r->env.sched, "close", close_fiber, &c));
	rig_settle();
	ATF_CHECK(!c.done);
	rig_disk_let_go(r);
	rig_settle();
	ATF_CHECK(c.done);
	ATF_CHECK(a.done && a.task.aborted);
	rig_fini(&a);
	r->nexus[0] = NULL;
}

static void
closing_a_nexus_waits_for_its_functions(struct rig *r)
{
	struct closing c = { r->nexus[0], false };
	struct rig_task a;
	struct tmf t;

	r->disk.hold = true;
	start_write(r, &a, 1, 1);
	tmf_start(r, &t, 0, SCSI_TMF_TARGET_WARM_RESET, 0);
	ATF_REQUIRE_EQ(0, sched_spawn(r->env.sched, "close", close_fiber, &c));
	rig_settle();
	ATF_CHECK(!t.done);
	ATF_CHECK(!c.done);
	rig_disk_let_go(r);
	rig_settle();
	ATF_CHECK(t.done && c.done);
	rig_fini(&a);
	r->nexus[0] = NULL;
}

/* ---- ordering ---- */

static void
start_ordered(struct rig *r, struct rig_task *t, uint64_t lba)
{
	rig_start_attr(t, r->nexus[0], SCSI_ATTR_ORDERED,
	    rig_cdb16(0x8a, lba, 1), 16, block, RIG_BLOCK);
}

static void
ordered_task_is_a_barrier(struct rig *r)
{
	struct rig_task t[3];

	r->disk.hold = true;
	start_write(r, &t[0], 0, 1);
	start_ordered(r, &t[1], 2);
	start_write(r, &t[2], 1, 3);
	rig_settle();
	ATF_CHECK_EQ(1, r->disk.held_count);
	rig_disk_let_go(r);
	r->disk.hold = true;
	rig_wait(&t[0]);
	rig_settle();
	ATF_CHECK_EQ(1, r->disk.held_count);
	ATF_CHECK(!t[2].done);
	rig_disk_let_go(r);
	rig_wait(&t[1]);
	rig_wait(&t[2]);
	for (unsigned i = 0; i < 3; i++) {
		ATF_CHECK_EQ(RIG_GOOD, rig_result(&t[i]));
		rig_fini(&t[i]);
	}
}

static void
task_held_back_can_be_aborted(struct rig *r)
{
	struct rig_task t[2];

	r->disk.hold = true;
	start_write(r, &t[0], 0, 1);
	start_ordered(r, &t[1], 2);
	ATF_CHECK_EQ(SCSI_TMF_COMPLETE, scsi_tmf(r->nexus[0],
	    SCSI_TMF_ABORT_TASK, rig_lun0, t[1].task.tag));
	ATF_CHECK(t[1].done && t[1].task.aborted);
	rig_disk_let_go(r);
	rig_wait(&t[0]);
	ATF_CHECK_EQ(1, r->disk.writes);
	rig_fini(&t[0]);
	rig_fini(&t[1]);
	ATF_CHECK_EQ(RIG_GOOD, rig_write(r->nexus[0], 5, 1, block));
}

/* ---- unit attentions ---- */

static void
grown_disk_is_told_once(struct rig *r)
{
	r->disk.disk.info.size_bytes *= 2;
	ATF_CHECK_EQ(0x062a09, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(0x062a09, rig_tur(r->nexus[1]));
}

static void
new_lun_is_told_and_inquiry_goes_past(struct rig *r)
{
	static const uint8_t inquiry[6] = { 0x12, 0, 0, 0, 96 };
	static const uint8_t luns[12] = { 0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0 };
	uint8_t buf[256];
	size_t len;

	ATF_REQUIRE_EQ(0, scsi_target_map(r->target, 5, r->lu));
	ATF_REQUIRE_EQ(-EEXIST, scsi_target_map(r->target, 5, r->lu));
	ATF_CHECK_EQ(RIG_GOOD,
	    rig_cmd_in(r->nexus[0], inquiry, 6, buf, sizeof(buf), &len));
	ATF_CHECK_EQ(0x063f0e, rig_tur(r->nexus[0]));
	ATF_CHECK_EQ(RIG_GOOD,
	    rig_cmd_in(r->nexus[1], luns, 12, buf, sizeof(buf), &len));
	ATF_CHECK_EQ(24, len);
	ATF_CHECK_EQ(16, be32_load(buf));
	ATF_CHECK_EQ(5, buf[17]);
	ATF_CHECK_EQ(RIG_GOOD, rig_tur(r->nexus[1]));
}

RIG_TEST(abort_task, NULL, abort_task_waits_for_its_write,
    "ABORT TASK waits for the write in flight")
RIG_TEST(abort_none, NULL, abort_of_no_task_says_so,
    "ABORT TASK of no task says so")
RIG_TEST(lu_reset, NULL, reset_ends_the_tasks_of_all,
    "LOGICAL UNIT RESET ends the tasks of all")
RIG_TEST(abort_steps, set_small_transfers, aborted_write_starts_no_more_steps,
    "an aborted write starts no more disk requests")
RIG_TEST(nexus_close, NULL, closing_a_nexus_ends_its_tasks_first,
    "a nexus closes after its tasks have ended")
RIG_TEST(nexus_close_tmf, NULL, closing_a_nexus_waits_for_its_functions,
    "a nexus closes after its task management functions")
RIG_TEST(ordered, NULL, ordered_task_is_a_barrier,
    "an ORDERED task is a barrier")
RIG_TEST(abort_held_back, NULL, task_held_back_can_be_aborted,
    "a task that has not begun is aborted at once")
RIG_TEST(grown, NULL, grown_disk_is_told_once,
    "each nexus hears once that the disk has grown")
RIG_TEST(new_lun, NULL, new_lun_is_told_and_inquiry_goes_past,
    "a new LUN is told, and REPORT LUNS takes the news")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, abort_task);
	ATF_TP_ADD_TC(tp, abort_none);
	ATF_TP_ADD_TC(tp, lu_reset);
	ATF_TP_ADD_TC(tp, abort_steps);
	ATF_TP_ADD_TC(tp, nexus_close);
	ATF_TP_ADD_TC(tp, nexus_close_tmf);
	ATF_TP_ADD_TC(tp, ordered);
	ATF_TP_ADD_TC(tp, abort_held_back);
	ATF_TP_ADD_TC(tp, grown);
	ATF_TP_ADD_TC(tp, new_lun);
	return atf_no_error();
}
