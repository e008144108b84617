/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of processors as the kernel writes them. */
#include <atf-c.h>

#include "libvmfs/env/cpus.h"

ATF_TC_WITHOUT_HEAD(ranges_and_single_ones_are_counted);
ATF_TC_BODY(ranges_and_single_ones_are_counted, tc)
{
	static const struct {
		const char *list;
		unsigned n;
	} lists[] = {
		{ "0\n", 1 }, { "0-3\n", 4 }, { "0-3,8-11\n", 8 },
		{ "0,2,4-5", 4 }, { "0-239\n", 240 },
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		unsigned n = 0;

		ATF_CHECK_EQ(0, cpus_count(lists[i].list, &n));
		ATF_CHECK_EQ_MSG(lists[i].n, n, "%s", lists[i].list);
	}
}

ATF_TC_WITHOUT_HEAD(what_is_no_list_is_refused);
ATF_TC_BODY(what_is_no_list_is_refused, tc)
{
	static const char *const lists[] = {
		"", "\n", "x", "0-", "3-1", "0,", "0-3 4", "0-99999999",
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		unsigned n = 77;

		ATF_CHECK_EQ_MSG(-EINVAL, cpus_count(lists[i], &n), "%s",
		    lists[i]);
		ATF_CHECK_EQ(77, n);
	}
}

ATF_TC_WITHOUT_HEAD(this_machine_has_some);
ATF_TC_BODY(this_machine_has_some, tc)
{
	unsigned n = 0;

	ATF_REQUIRE_EQ(0, cpus_possible(&n));
	ATF_CHECK(n > 0);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, ranges_and_single_ones_are_counted);
	ATF_TP_ADD_TC(tp, what_is_no_list_is_refused);
	ATF_TP_ADD_TC(tp, this_machine_has_some);
	return atf_no_error();
}
