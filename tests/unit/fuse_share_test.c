/* SPDX-License-Identifier: BSD-2-Clause */
/* Users who want all places of a table. */
#include <atf-c.h>

#include "fuse/share.h"

#define COUNT 1024u

static struct share s;
static uint32_t next;

static void
init(void)
{
	ATF_REQUIRE_EQ(0, share_init(&s, COUNT));
	next = 0;
}

/* At most so many; how many they are. */
static uint32_t
takes(uint32_t uid, uint32_t most)
{
	uint32_t n = 0;

	for (; n < most && share_allows(&s, uid); n++) {
		ATF_REQUIRE(next < COUNT);
		share_take(&s, next++, uid);
	}
	return n;
}

ATF_TC_WITHOUT_HEAD(one_user_gets_half);
ATF_TC_BODY(one_user_gets_half, tc)
{
	init();
	ATF_CHECK_EQ(COUNT / 2, takes(1000, COUNT));
	ATF_CHECK_EQ(COUNT / 2, share_of(&s, 1000));
	share_give(&s, 7);
	ATF_CHECK_EQ(1, takes(1000, COUNT));
	share_fini(&s);
}

ATF_TC_WITHOUT_HEAD(others_get_more_when_it_is_full_for_one);
ATF_TC_BODY(others_get_more_when_it_is_full_for_one, tc)
{
	uint32_t got;

	init();
	(void)takes(1000, COUNT);
	for (uint32_t uid = 1001; uid < 1005; uid++) {
		uint32_t left = COUNT - s.taken - COUNT / SHARE_ROOT;

		got = takes(uid, COUNT);
		ATF_CHECK_EQ((left + 1) / 2, got);
	}
	share_fini(&s);
}

ATF_TC_WITHOUT_HEAD(many_with_few_are_not_refused);
ATF_TC_BODY(many_with_few_are_not_refused, tc)
{
	init();
	for (uint32_t uid = 1; uid <= 230; uid++)
		ATF_CHECK_EQ(4, takes(uid, 4));
	share_fini(&s);
}

ATF_TC_WITHOUT_HEAD(root_gets_all_that_is_left);
ATF_TC_BODY(root_gets_all_that_is_left, tc)
{
	init();
	for (uint32_t uid = 1; uid <= COUNT; uid++)
		(void)takes(uid, COUNT);
	ATF_CHECK(COUNT - s.taken >= COUNT / SHARE_ROOT);
	ATF_CHECK_EQ(COUNT - s.taken, takes(0, COUNT));
	ATF_CHECK_EQ(COUNT, s.taken);
	ATF_CHECK(!share_allows(&s, 0));
	share_fini(&s);
}

/* Whose they are nobody knows any more. */
ATF_TC_WITHOUT_HEAD(what_a_dead_process_left_is_taken);
ATF_TC_BODY(what_a_dead_process_left_is_taken, tc)
{
	init();
	for (; next < COUNT * 3 / 4; next++)
		share_take(&s, next, SHARE_NOBODY);
	ATF_CHECK_EQ((COUNT / 4 - COUNT / SHARE_ROOT) / 2,
	    takes(1000, COUNT));
	share_fini(&s);
}

ATF_TC_WITHOUT_HEAD(a_refusal_is_news_once);
ATF_TC_BODY(a_refusal_is_news_once, tc)
{
	init();
	(void)takes(1000, COUNT / 2);
	ATF_CHECK(!share_is_news(&s));
	ATF_CHECK_EQ(0, takes(1000, 1));
	ATF_CHECK(share_is_news(&s));
	ATF_CHECK_EQ(0, takes(1000, 1));
	ATF_CHECK(!share_is_news(&s));
	while (next > 0)
		share_give(&s, --next);
	(void)takes(1000, COUNT);
	ATF_CHECK(share_is_news(&s));
	share_fini(&s);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, one_user_gets_half);
	ATF_TP_ADD_TC(tp, others_get_more_when_it_is_full_for_one);
	ATF_TP_ADD_TC(tp, many_with_few_are_not_refused);
	ATF_TP_ADD_TC(tp, root_gets_all_that_is_left);
	ATF_TP_ADD_TC(tp, what_a_dead_process_left_is_taken);
	ATF_TP_ADD_TC(tp, a_refusal_is_news_once);
	return atf_no_error();
}
