/* SPDX-License-Identifier: BSD-2-Clause */
/* From what a process group tells to a word about a host. */
#include <atf-c.h>

#include "locking/member_table.h"

static struct member_table table;
static const struct member_proc p1 = { 1, 100 }, p2 = { 1, 200 },
    p3 = { 2, 100 };
static const struct uuid esx1 = { .b = { 1 } }, esx2 = { .b = { 2 } };

static void
setup(void)
{
	table = (struct member_table){ .quorate = true };
	member_table_present(&table, p1);
	member_table_announced(&table, p1, &esx1);
}

#define CHECK_WORD(expected, host) \
	ATF_CHECK_EQ(expected, member_table_word(&table, host))

ATF_TC_WITHOUT_HEAD(a_host_that_was_never_named_gets_no_word);
ATF_TC_BODY(a_host_that_was_never_named_gets_no_word, tc)
{
	(void)tc;
	setup();
	member_table_present(&table, p3);
	CHECK_WORD(MEMBER_NO_WORD, &esx2);
	member_table_left(&table, p3, false);
	CHECK_WORD(MEMBER_NO_WORD, &esx2);
}

ATF_TC_WITHOUT_HEAD(a_host_is_up_while_its_process_is_in_the_group);
ATF_TC_BODY(a_host_is_up_while_its_process_is_in_the_group, tc)
{
	(void)tc;
	setup();
	CHECK_WORD(MEMBER_UP, &esx1);
	member_table_left(&table, p1, false);
	CHECK_WORD(MEMBER_GONE, &esx1);
}

ATF_TC_WITHOUT_HEAD(a_lost_node_is_gone_only_for_who_has_the_quorum);
ATF_TC_BODY(a_lost_node_is_gone_only_for_who_has_the_quorum, tc)
{
	(void)tc;
	setup();
	member_table_left(&table, p1, true);
	CHECK_WORD(MEMBER_GONE, &esx1);
	table.quorate = false;
	CHECK_WORD(MEMBER_NO_WORD, &esx1);
}

ATF_TC_WITHOUT_HEAD(a_dead_process_is_gone_without_a_quorum);
ATF_TC_BODY(a_dead_process_is_gone_without_a_quorum, tc)
{
	(void)tc;
	setup();
	table.quorate = false;
	member_table_left(&table, p1, false);
	CHECK_WORD(MEMBER_GONE, &esx1);
}

ATF_TC_WITHOUT_HEAD(a_new_process_of_the_host_makes_it_up_again);
ATF_TC_BODY(a_new_process_of_the_host_makes_it_up_again, tc)
{
	(void)tc;
	setup();
	member_table_left(&table, p1, false);
	member_table_present(&table, p2);
	CHECK_WORD(MEMBER_GONE, &esx1);
	member_table_announced(&table, p2, &esx1);
	CHECK_WORD(MEMBER_UP, &esx1);
}

ATF_TC_WITHOUT_HEAD(a_process_number_used_again_is_not_the_old_host);
ATF_TC_BODY(a_process_number_used_again_is_not_the_old_host, tc)
{
	(void)tc;
	setup();
	member_table_left(&table, p1, false);
	member_table_present(&table, p1);
	CHECK_WORD(MEMBER_NO_WORD, &esx1);
	member_table_announced(&table, p1, &esx2);
	CHECK_WORD(MEMBER_UP, &esx2);
}

ATF_TC_WITHOUT_HEAD(after_a_loss_of_the_network_nothing_is_known);
ATF_TC_BODY(after_a_loss_of_the_network_nothing_is_known, tc)
{
	(void)tc;
	setup();
	member_table_left(&table, p1, false);
	member_table_reset(&table);
	CHECK_WORD(MEMBER_NO_WORD, &esx1);
}

/* Somebody who was not seen to come says something: not believed. */
ATF_TC_WITHOUT_HEAD(an_announcement_of_a_stranger_is_ignored);
ATF_TC_BODY(an_announcement_of_a_stranger_is_ignored, tc)
{
	(void)tc;
	setup();
	member_table_announced(&table, p3, &esx2);
	member_table_left(&table, p3, false);
	CHECK_WORD(MEMBER_NO_WORD, &esx2);
}

ATF_TC_WITHOUT_HEAD(a_full_table_forgets_who_is_gone_for_longest);
ATF_TC_BODY(a_full_table_forgets_who_is_gone_for_longest, tc)
{
	(void)tc;
	setup();
	member_table_left(&table, p1, false);
	for (uint32_t i = 0; i < MEMBER_TABLE_MAX; i++)
		member_table_present(&table, (struct member_proc){ 9, i });
	CHECK_WORD(MEMBER_NO_WORD, &esx1);
	/* All are present: one more finds no place. */
	member_table_present(&table, p3);
	member_table_announced(&table, p3, &esx2);
	CHECK_WORD(MEMBER_NO_WORD, &esx2);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_host_that_was_never_named_gets_no_word);
	ATF_TP_ADD_TC(tp, a_host_is_up_while_its_process_is_in_the_group);
	ATF_TP_ADD_TC(tp, a_lost_node_is_gone_only_for_who_has_the_quorum);
	ATF_TP_ADD_TC(tp, a_dead_process_is_gone_without_a_quorum);
	ATF_TP_ADD_TC(tp, a_new_process_of_the_host_makes_it_up_again);
	ATF_TP_ADD_TC(tp, a_process_number_used_again_is_not_the_old_host);
	ATF_TP_ADD_TC(tp, after_a_loss_of_the_network_nothing_is_known);
	ATF_TP_ADD_TC(tp, an_announcement_of_a_stranger_is_ignored);
	ATF_TP_ADD_TC(tp, a_full_table_forgets_who_is_gone_for_longest);
	return atf_no_error();
}
