/* SPDX-License-Identifier: BSD-2-Clause */
/* Range locks and unit attention queues, which stand below the commands. */
#include <atf-c.h>
#include <string.h>

#include "iscsi/scsi/range.h"
#include "iscsi/scsi/sense.h"
#include "iscsi/scsi/ua.h"
#include "libvmfs/base/prng.h"

static struct range_set set;
static unsigned granted, cancelled;

static void
decided(struct range_lock *r, bool ok)
{
	ATF_REQUIRE_EQ(ok, r->state == RANGE_HELD);
	granted += ok;
	cancelled += !ok;
}

static bool
take(struct range_lock *r, uint64_t start, uint64_t count, bool exclusive)
{
	r->start = start;
	r->count = count;
	r->exclusive = exclusive;
	r->fn = decided;
	return range_acquire(&set, r);
}

ATF_TC_WITHOUT_HEAD(shared_ranges_overlap);
ATF_TC_BODY(shared_ranges_overlap, tc)
{
	struct range_lock a = { 0 }, b = { 0 };

	(void)tc;
	range_set_init(&set);
	ATF_CHECK(take(&a, 0, 10, false));
	ATF_CHECK(take(&b, 5, 10, false));
}

ATF_TC_WITHOUT_HEAD(exclusive_waits_only_for_its_blocks);
ATF_TC_BODY(exclusive_waits_only_for_its_blocks, tc)
{
	struct range_lock a = { 0 }, b = { 0 }, x = { 0 }, y = { 0 };

	(void)tc;
	range_set_init(&set);
	ATF_CHECK(take(&a, 0, 10, false));
	ATF_CHECK(take(&b, 8, 10, false));
	ATF_CHECK(take(&y, 18, 2, true));
	ATF_CHECK(!take(&x, 9, 1, true));
	range_release(&a);
	ATF_CHECK_EQ(0, granted);
	range_release(&b);
	ATF_CHECK_EQ(1, granted);
}

ATF_TC_WITHOUT_HEAD(later_requests_do_not_overtake);
ATF_TC_BODY(later_requests_do_not_overtake, tc)
{
	struct range_lock a = { 0 }, x = { 0 }, b = { 0 };

	(void)tc;
	range_set_init(&set);
	ATF_CHECK(take(&a, 0, 10, false));
	ATF_CHECK(!take(&x, 0, 10, true));
	ATF_CHECK(!take(&b, 5, 1, false));
	range_release(&a);
	ATF_CHECK_EQ(RANGE_HELD, x.state);
	ATF_CHECK_EQ(RANGE_WAITING, b.state);
	range_release(&x);
	ATF_CHECK_EQ(RANGE_HELD, b.state);
}

ATF_TC_WITHOUT_HEAD(cancelled_wait_lets_others_go_on);
ATF_TC_BODY(cancelled_wait_lets_others_go_on, tc)
{
	struct range_lock a = { 0 }, x = { 0 }, b = { 0 };

	(void)tc;
	range_set_init(&set);
	ATF_CHECK(take(&a, 0, 10, false));
	ATF_CHECK(!take(&x, 0, 10, true));
	ATF_CHECK(!take(&b, 5, 1, false));
	range_cancel(&x);
	ATF_CHECK_EQ(1, cancelled);
	ATF_CHECK_EQ(RANGE_HELD, b.state);
	range_cancel(&a);
	ATF_CHECK_EQ(RANGE_HELD, a.state);
}

static bool
in_conflict(const struct range_lock *a, const struct range_lock *b)
{
	return a != b && a->state == RANGE_HELD && b->state == RANGE_HELD &&
	    (a->exclusive || b->exclusive) &&
	    a->start < b->start + b->count && b->start < a->start + a->count;
}

/* Never two held in conflict, and with nothing held nobody waits. */
ATF_TC_WITHOUT_HEAD(random_use_keeps_the_invariants);
ATF_TC_BODY(random_use_keeps_the_invariants, tc)
{
	struct range_lock r[24];
	struct prng p;

	(void)tc;
	prng_seed(&p, 11);
	range_set_init(&set);
	memset(r, 0, sizeof(r));
	for (unsigned step = 0; step < 20000; step++) {
		struct range_lock *one = &r[prng_below(&p, 24)];

		if (one->state == RANGE_IDLE)
			take(one, prng_below(&p, 40), 1 + prng_below(&p, 6),
			    prng_below(&p, 2));
		else if (one->state == RANGE_HELD)
			range_release(one);
		else if (prng_below(&p, 4) == 0)
			range_cancel(one);
		for (unsigned i = 0; i < 24 * 24; i++)
			ATF_REQUIRE(!in_conflict(&r[i / 24], &r[i % 24]));
	}
	for (unsigned i = 0; i < 24 * 24; i++)
		range_release(&r[i % 24]);
	for (unsigned i = 0; i < 24; i++)
		ATF_CHECK_EQ(RANGE_IDLE, r[i].state);
}

ATF_TC_WITHOUT_HEAD(attentions_are_queued_once);
ATF_TC_BODY(attentions_are_queued_once, tc)
{
	struct ua_queue q = { .count = 0 };

	(void)tc;
	ua_add(&q, SENSE_MODE_CHANGED);
	ua_add(&q, SENSE_CAPACITY_CHANGED);
	ua_add(&q, SENSE_MODE_CHANGED);
	ATF_CHECK_EQ(SENSE_MODE_CHANGED, ua_take(&q));
	ATF_CHECK_EQ(SENSE_CAPACITY_CHANGED, ua_take(&q));
	ATF_CHECK_EQ(SENSE_NONE, ua_take(&q));
}

ATF_TC_WITHOUT_HEAD(reset_replaces_older_attentions);
ATF_TC_BODY(reset_replaces_older_attentions, tc)
{
	struct ua_queue q = { .count = 0 };

	(void)tc;
	ua_add(&q, SENSE_MODE_CHANGED);
	ua_add(&q, SENSE_DEVICE_RESET);
	ua_add(&q, SENSE_RESERVATIONS_PREEMPTED);
	ATF_CHECK_EQ(SENSE_DEVICE_RESET, ua_take(&q));
	ATF_CHECK_EQ(SENSE_RESERVATIONS_PREEMPTED, ua_take(&q));
}

ATF_TC_WITHOUT_HEAD(full_queue_loses_its_oldest);
ATF_TC_BODY(full_queue_loses_its_oldest, tc)
{
	struct ua_queue q = { .count = 0 };

	(void)tc;
	for (uint32_t i = 0; i <= UA_QUEUE_MAX; i++)
		ua_add(&q, SENSE_CODE(6, 0x60, i));
	ATF_CHECK_EQ(UA_QUEUE_MAX, q.count);
	ATF_CHECK_EQ(SENSE_CODE(6, 0x60, 1), ua_take(&q));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, shared_ranges_overlap);
	ATF_TP_ADD_TC(tp, exclusive_waits_only_for_its_blocks);
	ATF_TP_ADD_TC(tp, later_requests_do_not_overtake);
	ATF_TP_ADD_TC(tp, cancelled_wait_lets_others_go_on);
	ATF_TP_ADD_TC(tp, random_use_keeps_the_invariants);
	ATF_TP_ADD_TC(tp, attentions_are_queued_once);
	ATF_TP_ADD_TC(tp, reset_replaces_older_attentions);
	ATF_TP_ADD_TC(tp, full_queue_loses_its_oldest);
	return atf_no_error();
}
