/* SPDX-License-Identifier: BSD-2-Clause */
/* Which of the readers of /dev/fuse wait for requests. */
#include <atf-c.h>

#include "fuse/rota.h"

/* n short requests of one reader, so many under way each time; whether it rests
 * after the last. */
static bool
rests_after(struct rota *r, unsigned n, unsigned under_way)
{
	for (unsigned i = 0; i < n; i++)
		rota_came(r, under_way, false);
	return r->rests;
}

ATF_TC_WITHOUT_HEAD(many_or_a_long_one_call_the_others);
ATF_TC_BODY(many_or_a_long_one_call_the_others, tc)
{
	ATF_CHECK(!rota_calls(1, false));
	ATF_CHECK(!rota_calls(ROTA_DEEP - 1, false));
	ATF_CHECK(rota_calls(ROTA_DEEP, false));
	ATF_CHECK(rota_calls(1, true));
}

ATF_TC_WITHOUT_HEAD(who_gets_single_ones_only_rests);
ATF_TC_BODY(who_gets_single_ones_only_rests, tc)
{
	struct rota r = { 0 };

	ATF_CHECK(!rests_after(&r, ROTA_CALM - 1, 1));
	ATF_CHECK(rests_after(&r, 1, 1));
	ATF_CHECK(rests_after(&r, 1, 1));
}

ATF_TC_WITHOUT_HEAD(two_at_a_time_or_a_long_one_keep_it_awake);
ATF_TC_BODY(two_at_a_time_or_a_long_one_keep_it_awake, tc)
{
	struct rota r = { 0 };

	for (unsigned i = 0; i < 10; i++) {
		ATF_CHECK(!rests_after(&r, ROTA_CALM - 1, 1));
		rota_came(&r, i % 2 == 0 ? 2 : 1, i % 2 != 0);
		ATF_CHECK(!r.rests);
	}
	ATF_CHECK(rests_after(&r, ROTA_CALM, 1));
	rota_came(&r, 2, false);
	ATF_CHECK(!r.rests);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, many_or_a_long_one_call_the_others);
	ATF_TP_ADD_TC(tp, who_gets_single_ones_only_rests);
	ATF_TP_ADD_TC(tp, two_at_a_time_or_a_long_one_keep_it_awake);
	return atf_no_error();
}
