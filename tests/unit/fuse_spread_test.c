/* SPDX-License-Identifier: BSD-2-Clause */
/* Which threads do the short requests of a mount by io_uring. */
#include <atf-c.h>

#include "fuse/spread.h"

#define THREADS 4u

struct bed {
	struct spread s;
	struct spread_view v[THREADS];
};

#define ENOUGH (SPREAD_PATIENCE * SPREAD_OF)

/* n requests by the queue of thread `asked`, each done where it belongs. */
static void
come(struct bed *b, unsigned asked, unsigned n, unsigned under_way)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned t = spread_place(&b->s, asked, i);

		spread_came(&b->s, &b->v[t], asked, under_way);
	}
}

static bool
is_spread(const struct bed *b)
{
	return spread_place(&b->s, 0, 0) != 0;
}

ATF_TC_WITHOUT_HEAD(few_are_done_where_they_are_asked_for);
ATF_TC_BODY(few_are_done_where_they_are_asked_for, tc)
{
	struct bed b = { .s.threads = THREADS };

	come(&b, 2, 100 * SPREAD_OF, SPREAD_DEEP - 1);
	for (unsigned k = 0; k < 4; k++)
		ATF_CHECK_EQ(2, spread_place(&b.s, 2, k));
}

ATF_TC_WITHOUT_HEAD(many_are_done_by_the_next_two);
ATF_TC_BODY(many_are_done_by_the_next_two, tc)
{
	struct bed b = { .s.threads = THREADS };

	come(&b, 2, ENOUGH, SPREAD_DEEP);
	ATF_CHECK_EQ(3, spread_place(&b.s, 2, 0));
	ATF_CHECK_EQ(0, spread_place(&b.s, 2, 1));
	ATF_CHECK_EQ(3, spread_place(&b.s, 2, 2));
}

ATF_TC_WITHOUT_HEAD(few_come_home_again);
ATF_TC_BODY(few_come_home_again, tc)
{
	struct bed b = { .s.threads = THREADS };

	come(&b, 1, ENOUGH, SPREAD_DEEP);
	come(&b, 1, 100 * SPREAD_OF, SPREAD_SHALLOW);
	ATF_CHECK(is_spread(&b));
	come(&b, 1, 2 * ENOUGH + SPREAD_OF, SPREAD_SHALLOW - 1);
	ATF_CHECK(!is_spread(&b));
}

ATF_TC_WITHOUT_HEAD(a_moment_with_many_changes_nothing);
ATF_TC_BODY(a_moment_with_many_changes_nothing, tc)
{
	struct bed b = { .s.threads = THREADS };

	for (unsigned i = 0; i < 100; i++) {
		come(&b, 1, ENOUGH - SPREAD_OF, SPREAD_DEEP);
		come(&b, 1, SPREAD_OF, SPREAD_DEEP - 1);
	}
	ATF_CHECK(!is_spread(&b));
}

ATF_TC_WITHOUT_HEAD(a_moment_with_few_changes_nothing);
ATF_TC_BODY(a_moment_with_few_changes_nothing, tc)
{
	struct bed b = { .s.threads = THREADS };

	come(&b, 1, ENOUGH, SPREAD_DEEP);
	for (unsigned i = 0; i < 100; i++) {
		come(&b, 1, ENOUGH, SPREAD_SHALLOW - 1);
		come(&b, 1, 2 * SPREAD_OF, SPREAD_SHALLOW);
	}
	ATF_CHECK(is_spread(&b));
}

static void
two_come(struct bed *b, unsigned n, unsigned under_way)
{
	for (unsigned i = 0; i < n; i++) {
		come(b, 0, 8, under_way);
		come(b, 2, 8, under_way);
	}
}

ATF_TC_WITHOUT_HEAD(several_programs_have_a_thread_each);
ATF_TC_BODY(several_programs_have_a_thread_each, tc)
{
	struct bed b = { .s.threads = THREADS };

	for (unsigned i = 0; i < 100; i++) {
		two_come(&b, SPREAD_OF, SPREAD_DEEP);
		ATF_CHECK(!is_spread(&b));
	}
}

ATF_TC_WITHOUT_HEAD(a_second_program_ends_it);
ATF_TC_BODY(a_second_program_ends_it, tc)
{
	struct bed b = { .s.threads = THREADS };

	come(&b, 0, 100 * SPREAD_OF, SPREAD_DEEP);
	ATF_CHECK(is_spread(&b));
	two_come(&b, ENOUGH, SPREAD_DEEP);
	ATF_CHECK(!is_spread(&b));
}

ATF_TC_WITHOUT_HEAD(a_program_may_move);
ATF_TC_BODY(a_program_may_move, tc)
{
	struct bed b = { .s.threads = THREADS };

	come(&b, 0, ENOUGH, SPREAD_DEEP);
	for (unsigned i = 0; i < 100; i++) {
		come(&b, i % THREADS, ENOUGH, SPREAD_DEEP);
		ATF_CHECK(is_spread(&b));
	}
}

ATF_TC_WITHOUT_HEAD(two_threads_spread_nothing);
ATF_TC_BODY(two_threads_spread_nothing, tc)
{
	struct bed b = { .s.threads = 2 };

	come(&b, 0, 100 * SPREAD_OF, SPREAD_DEEP);
	ATF_CHECK(!is_spread(&b));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, few_are_done_where_they_are_asked_for);
	ATF_TP_ADD_TC(tp, many_are_done_by_the_next_two);
	ATF_TP_ADD_TC(tp, few_come_home_again);
	ATF_TP_ADD_TC(tp, a_moment_with_many_changes_nothing);
	ATF_TP_ADD_TC(tp, a_moment_with_few_changes_nothing);
	ATF_TP_ADD_TC(tp, several_programs_have_a_thread_each);
	ATF_TP_ADD_TC(tp, a_second_program_ends_it);
	ATF_TP_ADD_TC(tp, a_program_may_move);
	ATF_TP_ADD_TC(tp, two_threads_spread_nothing);
	return atf_no_error();
}
