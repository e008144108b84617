/* SPDX-License-Identifier: BSD-2-Clause */
/* A share of what `make check-crash` tries; any failure names its state. */
#include <atf-c.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/crash/campaign.h"

/* Of all pairs of operations; together some 25 s of one core. */
#define SHARES 25
#define STATES_LEAST 8000

static void
try_share(unsigned share)
{
	struct campaign c = {
		.share = share, .shares = SHARES, .effort = 1, .out = stdout,
	};

	if (campaign_run(&c) < 0)
		atf_tc_fail("a power cut loses or spoils something: see the "
		    "standard output");
	ATF_CHECK_MSG(c.totals.states >= STATES_LEAST, "only %" PRIu64
	    " states", c.totals.states);
}

#define SHARE(n)							\
ATF_TC_WITHOUT_HEAD(power_cuts_keep_what_was_promised_##n);		\
ATF_TC_BODY(power_cuts_keep_what_was_promised_##n, tc)			\
{									\
	(void)tc;							\
	try_share(n);							\
}

SHARE(0)
SHARE(4)
SHARE(9)
SHARE(14)
SHARE(19)

/* Or the command that a failure prints would show something else. */
ATF_TC_WITHOUT_HEAD(the_same_sequence_has_the_same_states);
ATF_TC_BODY(the_same_sequence_has_the_same_states, tc)
{
	struct totals a = { 0 }, b = { 0 };
	char problem[512];

	ATF_REQUIRE_EQ(states_try("cwrite,takeover,drop,flush", 3, 1, NULL, &a,
	    problem, sizeof(problem)), 0);
	ATF_REQUIRE_EQ(states_try("cwrite,takeover,drop,flush", 3, 1, NULL, &b,
	    problem, sizeof(problem)), 0);
	ATF_CHECK_EQ(memcmp(&a, &b, sizeof(a)), 0);
	ATF_CHECK(a.states > 100);
}

ATF_TC_WITHOUT_HEAD(a_state_is_read_as_it_was_written);
ATF_TC_BODY(a_state_is_read_as_it_was_written, tc)
{
	static const char *const texts[] = {
		"1000/0", "17/ff", "9/1f0000000000000001/t3.12",
		"5/3/t0.7/a12.1", "5/3/a0.70001",
	};
	char text[CUT_TEXT_MAX];
	struct cut c;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ATF_REQUIRE_EQ(cut_parse(texts[i], &c), 0);
		cut_text(&c, text);
		ATF_CHECK_STREQ(text, texts[i]);
	}
	ATF_CHECK_EQ(cut_parse("5/3/t0", &c), -EINVAL);
	ATF_CHECK_EQ(cut_parse("5", &c), -EINVAL);
}

ATF_TC_WITHOUT_HEAD(one_state_alone_is_tried_alone);
ATF_TC_BODY(one_state_alone_is_tried_alone, tc)
{
	struct totals totals = { 0 };
	char problem[512];
	struct cut c;

	/* Behind the end of the beginning, before the first event. */
	ATF_REQUIRE_EQ(cut_parse("100000/0", &c), 0);
	ATF_REQUIRE_EQ(states_try("write,flush", 0, 1, &c, &totals, problem,
	    sizeof(problem)), 0);
	ATF_CHECK_EQ(totals.states, 0);
	for (c.events = 0; totals.states == 0 && c.events < 5000; c.events++)
		ATF_REQUIRE_EQ(states_try("write,flush", 0, 1, &c, &totals,
		    problem, sizeof(problem)), 0);
	ATF_CHECK_EQ(totals.states, 1);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, power_cuts_keep_what_was_promised_0);
	ATF_TP_ADD_TC(tp, power_cuts_keep_what_was_promised_4);
	ATF_TP_ADD_TC(tp, power_cuts_keep_what_was_promised_9);
	ATF_TP_ADD_TC(tp, power_cuts_keep_what_was_promised_14);
	ATF_TP_ADD_TC(tp, power_cuts_keep_what_was_promised_19);
	ATF_TP_ADD_TC(tp, the_same_sequence_has_the_same_states);
	ATF_TP_ADD_TC(tp, a_state_is_read_as_it_was_written);
	ATF_TP_ADD_TC(tp, one_state_alone_is_tried_alone);
	return atf_no_error();
}
