/* SPDX-License-Identifier: BSD-2-Clause */
/* When a thread looks for work before it sleeps and lets others run after, and a
 * reader lets requests gather. */
#include <atf-c.h>

#include "libvmfs/env/gather.h"
#include "libvmfs/env/spin.h"
#include "libvmfs/env/yield.h"

/* After short waits in a row it looks out. */
static void
warm_up(struct spin *s)
{
	for (unsigned i = 0; i < SPIN_SHORT_WAITS; i++) {
		ATF_CHECK(!spin_begin(s));
		spin_slept(s, SPIN_MAX_NS);
	}
}

/* Short waits that go by until it looks out again. */
static unsigned
waits_until_next(struct spin *s)
{
	unsigned n = 0;

	for (; !spin_begin(s); n++)
		spin_slept(s, 1);
	return n;
}

ATF_TC_WITHOUT_HEAD(short_waits_in_a_row_begin_it);
ATF_TC_BODY(short_waits_in_a_row_begin_it, tc)
{
	struct spin s = { 0 };

	warm_up(&s);
	for (int i = 0; i < 1000; i++) {
		ATF_CHECK(spin_begin(&s));
		spin_end(&s, SPIN_FOUND);
	}
}

ATF_TC_WITHOUT_HEAD(a_long_wait_starts_the_count_anew);
ATF_TC_BODY(a_long_wait_starts_the_count_anew, tc)
{
	struct spin s = { 0 };

	for (unsigned i = 0; i < 100; i++) {
		ATF_CHECK(!spin_begin(&s));
		spin_slept(&s, i % SPIN_SHORT_WAITS == 0 ? SPIN_MAX_NS + 1 :
		    1);
	}
}

ATF_TC_WITHOUT_HEAD(after_one_in_vain_it_pauses_longer_each_time);
ATF_TC_BODY(after_one_in_vain_it_pauses_longer_each_time, tc)
{
	struct spin s = { 0 };
	unsigned n, before = 0;

	warm_up(&s);
	ATF_REQUIRE(spin_begin(&s));
	for (int i = 0; i < 20; i++) {
		spin_end(&s, SPIN_VAIN);
		n = waits_until_next(&s);
		ATF_CHECK(n >= SPIN_SHORT_WAITS);
		ATF_CHECK(n >= before);
		before = n;
	}
	ATF_CHECK_EQ(SPIN_PAUSE_MAX, before);
}

ATF_TC_WITHOUT_HEAD(success_shortens_the_next_pause);
ATF_TC_BODY(success_shortens_the_next_pause, tc)
{
	struct spin s = { 0 };
	unsigned n;

	warm_up(&s);
	ATF_REQUIRE(spin_begin(&s));
	for (int i = 0; i < 10; i++) {
		spin_end(&s, SPIN_VAIN);
		n = waits_until_next(&s);
	}
	for (int i = 0; i < 20; i++) {
		spin_end(&s, SPIN_FOUND);
		ATF_REQUIRE(spin_begin(&s));
	}
	spin_end(&s, SPIN_VAIN);
	ATF_CHECK_EQ(512, n);
	ATF_CHECK_EQ(SPIN_SHORT_WAITS, waits_until_next(&s));
}

ATF_TC_WITHOUT_HEAD(who_is_preempted_pauses_for_long);
ATF_TC_BODY(who_is_preempted_pauses_for_long, tc)
{
	struct spin s = { 0 };

	warm_up(&s);
	ATF_REQUIRE(spin_begin(&s));
	spin_end(&s, SPIN_PREEMPTED);
	ATF_CHECK_EQ(SPIN_PREEMPTED_PAUSE, waits_until_next(&s));
}

ATF_TC_WITHOUT_HEAD(who_shares_the_processor_with_its_peer_pauses);
ATF_TC_BODY(who_shares_the_processor_with_its_peer_pauses, tc)
{
	struct spin s = { 0 };

	warm_up(&s);
	for (unsigned n = 0; n < SPIN_SHARES_MAX; n += SPIN_SHARE) {
		ATF_REQUIRE(spin_begin(&s));
		spin_end(&s, SPIN_SHARED);
	}
	ATF_CHECK_EQ(SPIN_PREEMPTED_PAUSE, waits_until_next(&s));
	/* Interrupts between are none of that. */
	for (unsigned n = 0; n < 1000; n++) {
		ATF_REQUIRE(spin_begin(&s));
		spin_end(&s, n % (2 * SPIN_SHARE) == 0 ? SPIN_SHARED :
		    SPIN_FOUND);
	}
}

/* One receive, which serves some reads besides the one that needed it. */
static bool
receive(struct gather *g, unsigned served)
{
	bool pays;

	for (unsigned i = 0; i < served; i++)
		gather_served(g);
	pays = gather_pays(g);
	if (pays)
		gather_done(g);
	return pays;
}

/* Receives until the next try. */
static unsigned
receives_until_next(struct gather *g, unsigned served)
{
	unsigned n = 0;

	while (!receive(g, served))
		n++;
	return n;
}

ATF_TC_WITHOUT_HEAD(who_waits_for_answers_is_tried_ever_less_often);
ATF_TC_BODY(who_waits_for_answers_is_tried_ever_less_often, tc)
{
	struct gather g;
	unsigned before = GATHER_PAUSE_MIN, n = 0;

	gather_init(&g);
	ATF_CHECK_EQ(before, receives_until_next(&g, 0));
	for (int i = 0; i < 20; i++) {
		n = receives_until_next(&g, GATHER_MANY - 1);
		/* The one that shows that it was in vain counts. */
		ATF_CHECK(n >= before);
		before = n;
	}
	ATF_CHECK_EQ(GATHER_PAUSE_MAX, n);
}

ATF_TC_WITHOUT_HEAD(while_many_come_they_gather);
ATF_TC_BODY(while_many_come_they_gather, tc)
{
	struct gather g;

	gather_init(&g);
	(void)receives_until_next(&g, 0);
	for (int i = 0; i < 10 * GATHER_RUN; i++)
		if (!receive(&g, GATHER_MANY))
			/* This one came without a rest. */
			ATF_CHECK(receive(&g, GATHER_MANY - 1));
	/* Then one with less, and soon the next try. */
	ATF_CHECK_EQ(GATHER_PAUSE_MIN, receives_until_next(&g, 0));
}

ATF_TC_WITHOUT_HEAD(where_many_come_anyhow_they_need_no_rest);
ATF_TC_BODY(where_many_come_anyhow_they_need_no_rest, tc)
{
	struct gather g;
	unsigned rests = 0;

	gather_init(&g);
	for (int i = 0; i < 1000; i++)
		rests += receive(&g, GATHER_MANY);
	ATF_CHECK_EQ(0, rests);
	/* The same after rests that did. */
	(void)receives_until_next(&g, 0);
	for (int i = 0; i < 1000; i++)
		rests += receive(&g, GATHER_MANY);
	ATF_CHECK(rests <= GATHER_RUN);
}

/* Without a rest nothing is learnt about it. */
ATF_TC_WITHOUT_HEAD(what_did_not_gather_is_not_judged);
ATF_TC_BODY(what_did_not_gather_is_not_judged, tc)
{
	struct gather g;

	gather_init(&g);
	(void)receives_until_next(&g, 0);
	(void)receive(&g, GATHER_MANY);
	g.gathered = false;
	ATF_CHECK(gather_pays(&g));
}

/* Waits after which others are not let run, until the next one. */
static unsigned
waits_until_yield(struct yield *y)
{
	unsigned n = 0;

	while (!yield_begin(y))
		n++;
	return n;
}

ATF_TC_WITHOUT_HEAD(others_that_are_short_are_let_run_each_time);
ATF_TC_BODY(others_that_are_short_are_let_run_each_time, tc)
{
	struct yield y = { 0 };

	for (int i = 0; i < 1000; i++) {
		ATF_CHECK(yield_begin(&y));
		yield_took(&y, YIELD_SHORT_NS);
	}
}

ATF_TC_WITHOUT_HEAD(others_that_are_long_are_let_run_ever_less_often);
ATF_TC_BODY(others_that_are_long_are_let_run_ever_less_often, tc)
{
	struct yield y = { 0 };
	unsigned before = 0;

	ATF_REQUIRE(yield_begin(&y));
	for (int i = 0; i < 20; i++) {
		unsigned n;

		yield_took(&y, YIELD_SHORT_NS + 1);
		n = waits_until_yield(&y);
		ATF_CHECK(n >= YIELD_PAUSE_MIN);
		ATF_CHECK(n == YIELD_PAUSE_MAX || n > before);
		before = n;
	}
	ATF_CHECK_EQ(YIELD_PAUSE_MAX, before);
	/* Short ones win it back. */
	for (int i = 0; i < 20; i++) {
		yield_took(&y, 1);
		ATF_CHECK_EQ(0, waits_until_yield(&y));
	}
	yield_took(&y, YIELD_SHORT_NS + 1);
	ATF_CHECK_EQ(YIELD_PAUSE_MIN, waits_until_yield(&y));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, others_that_are_short_are_let_run_each_time);
	ATF_TP_ADD_TC(tp, others_that_are_long_are_let_run_ever_less_often);
	ATF_TP_ADD_TC(tp, who_waits_for_answers_is_tried_ever_less_often);
	ATF_TP_ADD_TC(tp, while_many_come_they_gather);
	ATF_TP_ADD_TC(tp, who_shares_the_processor_with_its_peer_pauses);
	ATF_TP_ADD_TC(tp, where_many_come_anyhow_they_need_no_rest);
	ATF_TP_ADD_TC(tp, what_did_not_gather_is_not_judged);
	ATF_TP_ADD_TC(tp, short_waits_in_a_row_begin_it);
	ATF_TP_ADD_TC(tp, a_long_wait_starts_the_count_anew);
	ATF_TP_ADD_TC(tp, after_one_in_vain_it_pauses_longer_each_time);
	ATF_TP_ADD_TC(tp, success_shortens_the_next_pause);
	ATF_TP_ADD_TC(tp, who_is_preempted_pauses_for_long);
	return atf_no_error();
}
