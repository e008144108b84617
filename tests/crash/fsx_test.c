/* SPDX-License-Identifier: BSD-2-Clause */
/* A share of what `make check-fsx` does; a failure prints its command. */
#include <atf-c.h>
#include <inttypes.h>

#include "tests/crash/fsx.h"

static void
run(uint64_t seed, unsigned hosts, uint64_t ops)
{
	const struct fsx_conf conf = {
		.seed = seed, .hosts = hosts, .ops = ops, .fsck = 250,
	};
	struct fsx_totals totals = { 0 };
	char problem[1024];

	if (fsx_run(&conf, &totals, problem, sizeof(problem)) < 0) {
		puts(problem);
		atf_tc_fail("see the standard output");
	}
	ATF_CHECK_EQ(totals.ops, ops);
	ATF_CHECK(totals.takeovers > 0);
	ATF_CHECK(totals.checks > 0);
}

ATF_TC_WITHOUT_HEAD(one_host_reads_what_it_wrote);
ATF_TC_BODY(one_host_reads_what_it_wrote, tc)
{
	(void)tc;
	for (uint64_t seed = 1; seed <= 4; seed++)
		run(seed, 1, 600);
}

ATF_TC_WITHOUT_HEAD(three_hosts_read_what_any_of_them_wrote);
ATF_TC_BODY(three_hosts_read_what_any_of_them_wrote, tc)
{
	(void)tc;
	for (uint64_t seed = 1; seed <= 4; seed++)
		run(seed, 3, 600);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, one_host_reads_what_it_wrote);
	ATF_TP_ADD_TC(tp, three_hosts_read_what_any_of_them_wrote);
	return atf_no_error();
}
