/* SPDX-License-Identifier: BSD-2-Clause */
/* Negotiation of keys by the rules of RFC 7143 clause 13. */
#include <atf-c.h>
#include <string.h>

#include "iscsi/param.h"

static struct param_set set;
static char answer[PARAM_ANSWER_MAX];

static int
offer(enum param p, const char *value)
{
	return param_offer(&set, p, value, PARAM_LOGIN, answer);
}

static uint32_t
merged(enum param_rule rule, uint32_t mine, uint32_t his)
{
	struct param_def d = { .rule = rule };
	uint32_t v = 99;

	ATF_REQUIRE_EQ(0, param_merge(&d, mine, his, &v));
	return v;
}

ATF_TC_WITHOUT_HEAD(merge_follows_the_rule);
ATF_TC_BODY(merge_follows_the_rule, tc)
{
	ATF_CHECK_EQ(3, merged(PARAM_MIN, 3, 5));
	ATF_CHECK_EQ(5, merged(PARAM_MAX, 3, 5));
	for (uint32_t a = 0; a < 2; a++)
		for (uint32_t b = 0; b < 2; b++) {
			ATF_CHECK_EQ((a & b), merged(PARAM_AND, a, b));
			ATF_CHECK_EQ((a | b), merged(PARAM_OR, a, b));
		}
	ATF_CHECK_EQ(7, merged(PARAM_DECLARE, 3, 7));
}

ATF_TC_WITHOUT_HEAD(list_takes_the_first_he_prefers);
ATF_TC_BODY(list_takes_the_first_he_prefers, tc)
{
	param_set_init(&set);
	ATF_REQUIRE_EQ(0, offer(PARAM_HEADER_DIGEST, "X-foo,CRC32C,None"));
	ATF_CHECK_STREQ("CRC32C", answer);
	ATF_REQUIRE_EQ(0, offer(PARAM_DATA_DIGEST, "None,CRC32C"));
	ATF_CHECK_STREQ("None", answer);
	ATF_CHECK_EQ(1, set.active[PARAM_HEADER_DIGEST]);
	ATF_CHECK_EQ(0, set.active[PARAM_DATA_DIGEST]);
}

ATF_TC_WITHOUT_HEAD(list_without_common_value_is_rejected);
ATF_TC_BODY(list_without_common_value_is_rejected, tc)
{
	param_set_init(&set);
	ATF_REQUIRE_EQ(0, offer(PARAM_HEADER_DIGEST, "X-a,X-b"));
	ATF_CHECK_STREQ("Reject", answer);
	ATF_CHECK_EQ(0, set.active[PARAM_HEADER_DIGEST]);
}

ATF_TC_WITHOUT_HEAD(endless_list_is_harmless);
ATF_TC_BODY(endless_list_is_harmless, tc)
{
	char value[8001];

	for (size_t i = 0; i < 8000; i += 5)
		memcpy(value + i, "None,", 6);
	param_set_init(&set);
	ATF_REQUIRE_EQ(0, offer(PARAM_HEADER_DIGEST, value));
	ATF_CHECK_STREQ("None", answer);
}

ATF_TC_WITHOUT_HEAD(unsolicited_data_is_allowed_when_both_want);
ATF_TC_BODY(unsolicited_data_is_allowed_when_both_want, tc)
{
	param_set_init(&set);
	ATF_CHECK_EQ(1, set.active[PARAM_INITIAL_R2T]);
	ATF_REQUIRE_EQ(0, offer(PARAM_INITIAL_R2T, "No"));
	ATF_CHECK_STREQ("No", answer);
	ATF_REQUIRE_EQ(0, offer(PARAM_IMMEDIATE_DATA, "Yes"));
	ATF_CHECK_STREQ("Yes", answer);
}

ATF_TC_WITHOUT_HEAD(one_connection_and_error_level_zero);
ATF_TC_BODY(one_connection_and_error_level_zero, tc)
{
	param_set_init(&set);
	ATF_REQUIRE_EQ(0, offer(PARAM_MAX_CONNECTIONS, "8"));
	ATF_CHECK_STREQ("1", answer);
	ATF_REQUIRE_EQ(0, offer(PARAM_ERL, "2"));
	ATF_CHECK_STREQ("0", answer);
}

ATF_TC_WITHOUT_HEAD(declaration_is_kept_and_not_answered);
ATF_TC_BODY(declaration_is_kept_and_not_answered, tc)
{
	param_set_init(&set);
	ATF_REQUIRE_EQ(0, offer(PARAM_MAX_RECV_DATA, "65536"));
	ATF_CHECK_STREQ("", answer);
	ATF_CHECK_EQ(65536, set.active[PARAM_MAX_RECV_DATA]);
	ATF_CHECK(set.mine[PARAM_MAX_RECV_DATA] != 65536);
}

ATF_TC_WITHOUT_HEAD(value_out_of_range_is_rejected);
ATF_TC_BODY(value_out_of_range_is_rejected, tc)
{
	static const struct {
		enum param p;
		const char *value;
	} bad[] = {
		{ PARAM_MAX_RECV_DATA, "511" },
		{ PARAM_MAX_RECV_DATA, "16777216" },
		{ PARAM_FIRST_BURST, "0" }, { PARAM_MAX_R2T, "0" },
		{ PARAM_ERL, "3" }, { PARAM_TIME2WAIT, "3601" },
		{ PARAM_INITIAL_R2T, "Maybe" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		param_set_init(&set);
		ATF_CHECK_EQ(0, offer(bad[i].p, bad[i].value));
		ATF_CHECK_STREQ("Reject", answer);
		ATF_CHECK_EQ(param_defs[bad[i].p].def, set.active[bad[i].p]);
	}
}

ATF_TC_WITHOUT_HEAD(key_offered_twice_breaks_the_login);
ATF_TC_BODY(key_offered_twice_breaks_the_login, tc)
{
	param_set_init(&set);
	ATF_CHECK_EQ(0, offer(PARAM_MAX_BURST, "8192"));
	ATF_CHECK_EQ(-VMFS_EPROTO, offer(PARAM_MAX_BURST, "16384"));
}

ATF_TC_WITHOUT_HEAD(unreadable_number_breaks_the_login);
ATF_TC_BODY(unreadable_number_breaks_the_login, tc)
{
	param_set_init(&set);
	ATF_CHECK_EQ(-VMFS_EPROTO, offer(PARAM_MAX_BURST, "lots"));
}

ATF_TC_WITHOUT_HEAD(session_keys_are_irrelevant_in_discovery);
ATF_TC_BODY(session_keys_are_irrelevant_in_discovery, tc)
{
	param_set_init(&set);
	ATF_REQUIRE_EQ(0, param_offer(&set, PARAM_MAX_BURST, "8192",
	    PARAM_LOGIN_DISCOVERY, answer));
	ATF_CHECK_STREQ("Irrelevant", answer);
}

ATF_TC_WITHOUT_HEAD(markers_are_refused);
ATF_TC_BODY(markers_are_refused, tc)
{
	param_set_init(&set);
	ATF_REQUIRE_EQ(0, offer(PARAM_OF_MARKER, "Yes"));
	ATF_CHECK_STREQ("No", answer);
	ATF_REQUIRE_EQ(0, offer(PARAM_OF_MARK_INT, "2048~8192"));
	ATF_CHECK_STREQ("Reject", answer);
}

ATF_TC_WITHOUT_HEAD(only_declarations_in_full_feature_phase);
ATF_TC_BODY(only_declarations_in_full_feature_phase, tc)
{
	param_set_init(&set);
	ATF_REQUIRE_EQ(0, param_offer(&set, PARAM_HEADER_DIGEST, "CRC32C",
	    PARAM_FULL_FEATURE, answer));
	ATF_CHECK_STREQ("Reject", answer);
	ATF_CHECK_EQ(0, set.active[PARAM_HEADER_DIGEST]);
	ATF_REQUIRE_EQ(0, param_offer(&set, PARAM_MAX_RECV_DATA, "4096",
	    PARAM_FULL_FEATURE, answer));
	ATF_CHECK_EQ(4096, set.active[PARAM_MAX_RECV_DATA]);
}

ATF_TC_WITHOUT_HEAD(table_is_consistent);
ATF_TC_BODY(table_is_consistent, tc)
{
	for (int i = 0; i < PARAM_COUNT; i++) {
		const struct param_def *d = &param_defs[i];

		ATF_REQUIRE(d->key != NULL && d->section != NULL);
		ATF_CHECK_EQ(i, param_find(d->key));
		ATF_CHECK_MSG(d->def >= d->min && d->def <= d->max, "%s",
		    d->key);
		if (d->rule != PARAM_LIST)
			ATF_CHECK_MSG(d->mine >= d->min && d->mine <= d->max,
			    "%s", d->key);
	}
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, merge_follows_the_rule);
	ATF_TP_ADD_TC(tp, list_takes_the_first_he_prefers);
	ATF_TP_ADD_TC(tp, list_without_common_value_is_rejected);
	ATF_TP_ADD_TC(tp, endless_list_is_harmless);
	ATF_TP_ADD_TC(tp, unsolicited_data_is_allowed_when_both_want);
	ATF_TP_ADD_TC(tp, one_connection_and_error_level_zero);
	ATF_TP_ADD_TC(tp, declaration_is_kept_and_not_answered);
	ATF_TP_ADD_TC(tp, value_out_of_range_is_rejected);
	ATF_TP_ADD_TC(tp, key_offered_twice_breaks_the_login);
	ATF_TP_ADD_TC(tp, unreadable_number_breaks_the_login);
	ATF_TP_ADD_TC(tp, session_keys_are_irrelevant_in_discovery);
	ATF_TP_ADD_TC(tp, markers_are_refused);
	ATF_TP_ADD_TC(tp, only_declarations_in_full_feature_phase);
	ATF_TP_ADD_TC(tp, table_is_consistent);
	return atf_no_error();
}
