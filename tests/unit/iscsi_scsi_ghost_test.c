/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A unit whose disk hangs, and who has to wait for that: the tasks of a nexus
 * that is gone hold up its successor on this unit, and nobody else.
 */
#include <atf-c.h>
#include <string.h>

#include "iscsi/scsi/lu.h"
#include "iscsi/scsi/nexus.h"
#include "tests/unit/scsi_rig.h"

static const uint8_t tur[6], inquiry[6] = { 0x12, [4] = 36 };
static const uint8_t reserve[6] = { 0x16 };
static const uint8_t lun1[8] = { 0, 1 };
static uint8_t data[RIG_BLOCK];

/* LUN 0 hangs with a write of nexus 0, whose place a new one has taken. */
struct hang {
	struct rig *r;
	struct rig_task write;
	struct scsi_nexus *n;
	struct disk *disk;		/* of LUN 1 */
	struct scsi_lu *lu;
	bool closed;
};

/* The result, or UINT32_MAX while it waits; t is the caller's to finish. */
static uint32_t
command(struct rig_task *t, struct scsi_nexus *n,
    const uint8_t lun[8], const uint8_t *cdb, size_t len)
{
	rig_start_lun(t, n, lun, cdb, len);
	rig_settle();
	return t->done ? rig_result(t) : UINT32_MAX;
}

static uint32_t
quick(struct scsi_nexus *n, const uint8_t lun[8],
    const uint8_t *cdb, size_t len)
{
	struct rig_task t;
	uint32_t result = command(&t, n, lun, cdb, len);

	ATF_REQUIRE_MSG(t.done, "it waits");
	rig_fini(&t);
	return result;
}

static void
second_lun(struct hang *h)
{
	struct scsi_lu_conf conf = { .uuid.b[3] = 0x71 };

	ATF_REQUIRE_EQ(0, disk_mem_open(1 << 20, RIG_BLOCK, &h->disk));
	ATF_REQUIRE_EQ(0, scsi_lu_new(&h->r->env, h->disk, &conf, &h->lu));
	ATF_REQUIRE_EQ(0, scsi_target_map(h->r->target, 1, h->lu));
	for (unsigned i = 0; i < 2; i++) {
		while (rig_tur(h->r->nexus[i]) != RIG_GOOD)
			continue;
		while (quick(h->r->nexus[i], lun1, tur, 6) != RIG_GOOD)
			continue;
	}
}

static void
write_start(struct rig *r, struct rig_task *t, unsigned nexus, uint64_t lba)
{
	rig_start(t, r->nexus[nexus], rig_cdb16(0x8a, lba, 1), 16, data,
	    sizeof(data));
}

static void
hang_begin(struct hang *h, struct rig *r)
{
	memset(h, 0, sizeof(*h));
	h->r = r;
	second_lun(h);
	r->disk.hold = true;
	write_start(r, &h->write, 0, 0);
	rig_settle();
	ATF_REQUIRE_EQ(1, r->disk.held_count);
	r->disk.hold = false;
}

static void
close_fiber(void *arg)
{
	struct hang *h = arg;

	scsi_nexus_close(h->r->nexus[0]);
	h->r->nexus[0] = NULL;
	h->closed = true;
}

static void
lose_session(struct hang *h)
{
	const struct scsi_nexus *old = h->r->nexus[0];

	ATF_REQUIRE_EQ(0, scsi_nexus_open(h->r->target, old->name, old->port,
	    &h->n));
	ATF_REQUIRE_EQ(0, sched_spawn(h->r->env.sched, "close", close_fiber,
	    h));
	rig_settle();
	ATF_REQUIRE(!h->closed);
}

static void
hang_end(struct hang *h)
{
	rig_disk_let_go(h->r);
	rig_settle();
	ATF_CHECK(h->write.done);
	rig_fini(&h->write);
	if (h->n != NULL)
		ATF_CHECK(h->closed);
	scsi_nexus_close(h->n);
	ATF_REQUIRE_EQ(0, scsi_target_unmap(h->r->target, 1));
	scsi_lu_free(h->lu);
	disk_close(h->disk);
}

static void
successor_waits_there_alone(struct rig *r)
{
	static const uint8_t report[12] = { 0xa0, [9] = 64 };
	struct rig_task t, i;
	struct hang h;

	hang_begin(&h, r);
	lose_session(&h);
	ATF_CHECK_EQ(UINT32_MAX, command(&t, h.n, rig_lun0, tur, 6));
	ATF_CHECK_EQ(UINT32_MAX, command(&i, h.n, rig_lun0, inquiry, 6));
	ATF_CHECK_EQ(RIG_GOOD, quick(h.n, rig_lun0, report, 12));
	ATF_CHECK_EQ(0x062900, quick(h.n, lun1, tur, 6));
	ATF_CHECK_EQ(RIG_GOOD, quick(h.n, lun1,
	    rig_cdb16(0x88, 0, 1), 16));
	ATF_CHECK_EQ(RIG_GOOD, quick(r->nexus[1], rig_lun0,
	    rig_cdb16(0x88, 0, 1), 16));
	hang_end(&h);
	ATF_CHECK(t.done && i.done);
	ATF_CHECK_EQ(0x062900, rig_result(&t));
	ATF_CHECK_EQ(RIG_GOOD, rig_result(&i));
	rig_fini(&t);
	rig_fini(&i);
}

static unsigned order_count;
static uint64_t order[4];

static void
note_order(const struct disk_req *req)
{
	if (req->op == DISK_WRITE && order_count < 4)
		order[order_count++] = req->offset / RIG_BLOCK;
}

/* What was sent last lands last, also past an ORDERED or HEAD attribute. */
static void
later_write_lands_later(struct rig *r)
{
	static const enum scsi_attr attrs[] = {
		SCSI_ATTR_SIMPLE, SCSI_ATTR_ORDERED, SCSI_ATTR_HEAD,
	};
	struct rig_task t[3];
	struct hang h;

	r->disk.on_forward = note_order;
	hang_begin(&h, r);
	lose_session(&h);
	while (ua_take(&h.n->itls[0]->ua) != SENSE_NONE)
		continue;
	for (unsigned i = 0; i < 3; i++)
		rig_start_attr(&t[i], h.n, attrs[i], rig_cdb16(0x8a, i + 1, 1),
		    16, data, sizeof(data));
	rig_settle();
	ATF_CHECK_EQ(0, order_count);
	hang_end(&h);
	ATF_REQUIRE_EQ(4, order_count);
	ATF_CHECK_EQ(0, order[0]);
	for (unsigned i = 0; i < 3; i++) {
		ATF_CHECK_EQ(RIG_GOOD, rig_result(&t[i]));
		rig_fini(&t[i]);
	}
}

struct tmf {
	struct scsi_nexus *n;
	enum scsi_tmf function;
	uint64_t tag;
	enum scsi_tmf_response response;
	bool done;
};

static void
tmf_fiber(void *arg)
{
	struct tmf *t = arg;

	t->response = scsi_tmf(t->n, t->function, rig_lun0, t->tag);
	t->done = true;
}

static void
tmf_start(struct rig *r, struct tmf *t)
{
	ATF_REQUIRE_EQ(0, sched_spawn(r->env.sched, "tmf", tmf_fiber, t));
	rig_settle();
}

static void
task_that_waits_is_aborted_at_once(struct rig *r)
{
	struct rig_task t;
	struct hang h;
	struct tmf abort = { .function = SCSI_TMF_ABORT_TASK };
	struct tmf set = { .function = SCSI_TMF_ABORT_TASK_SET };

	hang_begin(&h, r);
	lose_session(&h);
	ATF_REQUIRE_EQ(UINT32_MAX, command(&t, h.n, rig_lun0, tur, 6));
	abort.n = set.n = h.n;
	abort.tag = t.task.tag;
	tmf_start(r, &abort);
	ATF_CHECK(abort.done && t.done);
	ATF_CHECK_EQ(SCSI_TMF_COMPLETE, abort.response);
	rig_fini(&t);
	/* Also of what it sent in the session before. */
	tmf_start(r, &set);
	ATF_CHECK(!set.done);
	hang_end(&h);
	ATF_CHECK(set.done);
}

/* Of two aborted tasks one hangs; others' hang is nobody's business. */
static void
abort_answers_for_its_own_tasks(struct rig *r)
{
	struct rig_task b;
	struct hang h;
	struct tmf a1 = { .function = SCSI_TMF_ABORT_TASK };
	struct tmf a2 = a1, set = { .function = SCSI_TMF_ABORT_TASK_SET };

	hang_begin(&h, r);
	r->disk.hold = true;
	write_start(r, &b, 0, 8);
	rig_settle();
	a1.n = a2.n = r->nexus[0];
	set.n = r->nexus[1];
	a1.tag = h.write.task.tag;
	a2.tag = b.task.tag = a1.tag + 1;
	tmf_start(r, &a1);
	tmf_start(r, &a2);
	ATF_CHECK(!a1.done && !a2.done);
	rig_disk_let_go_one(r, 1);
	rig_settle();
	ATF_CHECK(!a1.done && a2.done);
	tmf_start(r, &set);
	ATF_CHECK(set.done);
	hang_end(&h);
	ATF_CHECK(a1.done);
	rig_fini(&b);
}

static void
reservation_ends_with_the_last_task(struct rig *r)
{
	struct hang h;

	hang_begin(&h, r);
	ATF_REQUIRE_EQ(RIG_GOOD, quick(r->nexus[0], rig_lun0, reserve, 6));
	ATF_REQUIRE_EQ(RIG_GOOD, quick(r->nexus[0], lun1, reserve, 6));
	lose_session(&h);
	while (quick(h.n, lun1, tur, 6) == 0x062900)
		continue;
	ATF_CHECK_EQ(RIG_GOOD, quick(h.n, lun1, reserve, 6));
	ATF_CHECK_EQ(RIG_CONFLICT, quick(r->nexus[1], rig_lun0, tur, 6));
	rig_disk_let_go(r);
	rig_settle();
	ATF_CHECK_EQ(RIG_GOOD, quick(r->nexus[1], rig_lun0, tur, 6));
	hang_end(&h);
}

static void
target_reset_reaches_all_units(struct rig *r)
{
	struct tmf reset = { .function = SCSI_TMF_TARGET_WARM_RESET };
	struct rig_task b;
	struct hang h;

	hang_begin(&h, r);
	r->disk.hold = true;
	write_start(r, &b, 1, 8);
	reset.n = r->nexus[1];
	tmf_start(r, &reset);
	ATF_CHECK(!reset.done);
	ATF_CHECK(list_empty(&h.lu->cmds));
	hang_end(&h);
	ATF_CHECK(reset.done);
	ATF_CHECK_EQ(SCSI_TASK_ABORTED, rig_result(&h.write));
	rig_fini(&b);
}

RIG_TEST(hung_unit_holds_up_itself_alone, NULL, successor_waits_there_alone,
    "a new session waits on the hung unit, and nowhere else")
RIG_TEST(old_writes_land_before_new_ones, NULL, later_write_lands_later,
    "no command of a new session passes those of the old one")
RIG_TEST(waiting_task_can_be_aborted, NULL, task_that_waits_is_aborted_at_once,
    "ABORT TASK of what waits for the old session answers at once")
RIG_TEST(abort_waits_for_its_own_tasks, NULL, abort_answers_for_its_own_tasks,
    "ABORT TASK and ABORT TASK SET wait for their own tasks only")
RIG_TEST(reservation_of_a_lost_session_ends, NULL,
    reservation_ends_with_the_last_task,
    "RESERVE(6) ends on each unit with the last task there")
RIG_TEST(target_reset_marks_all_units_first, NULL,
    target_reset_reaches_all_units,
    "TARGET RESET waits when all tasks are marked")

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, hung_unit_holds_up_itself_alone);
	ATF_TP_ADD_TC(tp, old_writes_land_before_new_ones);
	ATF_TP_ADD_TC(tp, waiting_task_can_be_aborted);
	ATF_TP_ADD_TC(tp, abort_waits_for_its_own_tasks);
	ATF_TP_ADD_TC(tp, reservation_of_a_lost_session_ends);
	ATF_TP_ADD_TC(tp, target_reset_marks_all_units_first);
	return atf_no_error();
}
