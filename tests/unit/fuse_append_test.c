/* SPDX-License-Identifier: BSD-2-Clause */
/* Parts of writes with O_APPEND, as they come from the kernel or late. */
#include <atf-c.h>
#include <string.h>

#include "fuse/append.h"
#include "libvmfs/base/units.h"
#include "libvmfs/env/sched_impl.h"

#define SIZE 10u
#define PARTS_MAX 4u

/* A file, whose parts come one after the other and are written by `written`. */
static struct bed {
	struct sched sched;
	uint64_t now, eof;
	struct append a;
	uint64_t off[PARTS_MAX], pos[PARTS_MAX];
	unsigned begun, placed;
} bed;

static uint64_t
bed_now(struct sched *s)
{
	(void)s;
	return bed.now;
}

static const struct sched_ops ops = { .now = bed_now };

/* Until all wait; no time goes by. */
static void
run(void)
{
	while (sched_run_posted(&bed.sched) || sched_run_timers(&bed.sched) ||
	    sched_run_fiber(&bed.sched))
		;
}

static void
bed_init(uint64_t eof)
{
	memset(&bed, 0, sizeof(bed));
	bed.now = 1000;
	bed.eof = eof;
	sched_init(&bed.sched, &ops, NULL);
	append_init(&bed.a);
}

static void
part(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;

	bed.pos[i] = append_begin(&bed.a, bed.off[i], SIZE, bed.eof);
	bed.placed++;
}

/* The kernel has put one to off; its number. */
static unsigned
comes(uint64_t off)
{
	unsigned i = bed.begun++;

	ATF_REQUIRE(i < PARTS_MAX);
	bed.off[i] = off;
	ATF_REQUIRE_EQ(0, sched_spawn(&bed.sched, "part", part,
	    (void *)(uintptr_t)i));
	run();
	return i;
}

static void
written(unsigned i)
{
	append_end(&bed.a);
	if (bed.pos[i] + SIZE > bed.eof)
		bed.eof = bed.pos[i] + SIZE;
}

/* Of a single part, all of it. */
static uint64_t
goes_to(uint64_t off)
{
	unsigned i = comes(off);

	ATF_REQUIRE_EQ(bed.begun, bed.placed);
	written(i);
	bed.begun = bed.placed = 0;
	return bed.pos[i];
}

static void
bed_fini(void)
{
	ATF_CHECK_EQ(bed.begun, bed.placed);
	sched_fini(&bed.sched);
}

ATF_TC_WITHOUT_HEAD(parts_at_once_do_not_meet);
ATF_TC_BODY(parts_at_once_do_not_meet, tc)
{
	bed_init(100);
	for (unsigned i = 0; i < 3; i++)
		(void)comes(100 + SIZE * i);
	for (unsigned i = 0; i < 3; i++)
		ATF_CHECK_EQ(100 + SIZE * i, bed.pos[i]);
	bed_fini();
}

ATF_TC_WITHOUT_HEAD(who_overtakes_waits_for_the_lowest);
ATF_TC_BODY(who_overtakes_waits_for_the_lowest, tc)
{
	bed_init(100);
	(void)comes(120);
	(void)comes(110);
	ATF_CHECK_EQ(0, bed.placed);
	(void)comes(100);
	ATF_CHECK_EQ(3, bed.placed);
	ATF_CHECK_EQ(120, bed.pos[0]);
	ATF_CHECK_EQ(110, bed.pos[1]);
	ATF_CHECK_EQ(100, bed.pos[2]);
	bed_fini();
}

ATF_TC_WITHOUT_HEAD(lowest_may_come_when_others_are_written);
ATF_TC_BODY(lowest_may_come_when_others_are_written, tc)
{
	bed_init(100);
	ATF_CHECK_EQ(100, goes_to(100));
	ATF_CHECK_EQ(120, goes_to(120));
	ATF_CHECK_EQ(110, goes_to(110));
	bed_fini();
}

ATF_TC_WITHOUT_HEAD(what_another_host_has_appended_stays);
ATF_TC_BODY(what_another_host_has_appended_stays, tc)
{
	bed_init(100);
	(void)comes(50);
	(void)comes(60);
	ATF_CHECK_EQ(100, bed.pos[0]);
	ATF_CHECK_EQ(110, bed.pos[1]);
	written(0);
	written(1);
	bed.begun = bed.placed = 0;
	/* The kernel's end is as old as before, until it asks ... */
	ATF_CHECK_EQ(120, goes_to(70));
	ATF_CHECK_EQ(130, goes_to(130));
	/* ... and again when another host had the file. */
	append_forget(&bed.a);
	bed.eof = 200;
	ATF_CHECK_EQ(200, goes_to(140));
	bed_fini();
}

ATF_TC_WITHOUT_HEAD(lowest_tells_how_old_the_end_is);
ATF_TC_BODY(lowest_tells_how_old_the_end_is, tc)
{
	bed_init(100);
	(void)comes(105);
	(void)comes(95);
	ATF_CHECK_EQ(110, bed.pos[0]);
	ATF_CHECK_EQ(100, bed.pos[1]);
	bed_fini();
}

/* Nobody can know of it: but nothing is lost. */
ATF_TC_WITHOUT_HEAD(who_comes_too_late_overwrites_nothing);
ATF_TC_BODY(who_comes_too_late_overwrites_nothing, tc)
{
	bed_init(100);
	(void)comes(60);
	(void)comes(50);
	ATF_CHECK_EQ(100, bed.pos[0]);
	ATF_CHECK_EQ(110, bed.pos[1]);
	bed_fini();
}

ATF_TC_WITHOUT_HEAD(what_another_host_has_cut_off_leaves_no_hole);
ATF_TC_BODY(what_another_host_has_cut_off_leaves_no_hole, tc)
{
	bed_init(0);
	(void)comes(100);
	(void)comes(110);
	bed.now += 99 * NSEC_PER_MSEC;
	run();
	ATF_CHECK_EQ(0, bed.placed);
	bed.now += NSEC_PER_MSEC;
	run();
	ATF_CHECK_EQ(2, bed.placed);
	ATF_CHECK_EQ(0, bed.pos[0]);
	ATF_CHECK_EQ(10, bed.pos[1]);
	bed_fini();
}

/* By the next process: 50 was put to 100, 70 was not yet, 60 is written. */
ATF_TC_WITHOUT_HEAD(what_is_done_again_tells_where_others_go);
ATF_TC_BODY(what_is_done_again_tells_where_others_go, tc)
{
	bed_init(100);
	append_again(&bed.a, 50, SIZE, 100);
	(void)comes(70);
	ATF_CHECK_EQ(120, bed.pos[0]);
	bed_fini();
}

/* The same where the kernel knows the end; the later one was read first. */
ATF_TC_WITHOUT_HEAD(what_is_done_again_is_waited_for);
ATF_TC_BODY(what_is_done_again_is_waited_for, tc)
{
	bed_init(100);
	(void)comes(120);
	ATF_CHECK_EQ(0, bed.placed);
	append_again(&bed.a, 110, SIZE, 110);
	run();
	ATF_CHECK_EQ(120, bed.pos[0]);
	bed_fini();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, parts_at_once_do_not_meet);
	ATF_TP_ADD_TC(tp, who_overtakes_waits_for_the_lowest);
	ATF_TP_ADD_TC(tp, lowest_may_come_when_others_are_written);
	ATF_TP_ADD_TC(tp, what_another_host_has_appended_stays);
	ATF_TP_ADD_TC(tp, lowest_tells_how_old_the_end_is);
	ATF_TP_ADD_TC(tp, who_comes_too_late_overwrites_nothing);
	ATF_TP_ADD_TC(tp, what_another_host_has_cut_off_leaves_no_hole);
	ATF_TP_ADD_TC(tp, what_is_done_again_tells_where_others_go);
	ATF_TP_ADD_TC(tp, what_is_done_again_is_waited_for);
	return atf_no_error();
}
