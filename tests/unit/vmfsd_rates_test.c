/* SPDX-License-Identifier: BSD-2-Clause */
/* Rates out of counters. */
#include <atf-c.h>

#include "vmfsd/rates.h"

static json_t *
reading(json_int_t at_us, json_int_t reads, json_int_t bytes, json_int_t ns,
    json_int_t fast, json_int_t slow)
{
	return json_pack("{s:I, s:[{s:s, s:I, s:I, s:I, s:I, s:[I, I, I, I]}]}",
	    "at_us", at_us, "stats", "id", "a", "since_us",
	    (json_int_t)1000000, "reads", reads, "read_bytes", bytes,
	    "read_ns", ns, "read_latency", (json_int_t)0, fast,
	    (json_int_t)0, slow);
}

static json_int_t
value(const json_t *answer, const char *key)
{
	const json_t *row = json_array_get(json_object_get(answer, "stats"),
	    0);

	ATF_REQUIRE(json_is_integer(json_object_get(row, key)));
	return json_integer_value(json_object_get(row, key));
}

ATF_TC_WITHOUT_HEAD(rates_are_for_the_time_between);
ATF_TC_BODY(rates_are_for_the_time_between, tc)
{
	json_t *before = reading(3000000, 1000, 4096000, 1000000, 1000, 0);
	json_t *now = reading(5000000, 1200, 4915200, 5000000, 1197, 3);

	(void)tc;
	rates_add(before, now);
	ATF_CHECK_EQ(100, value(now, "read_iops"));
	ATF_CHECK_EQ(409600, value(now, "read_bps"));
	ATF_CHECK_EQ(20, value(now, "read_us"));
	/* 3 of 200 took less than 8, no fewer than 4. */
	ATF_CHECK_EQ(8, value(now, "read_p99_us"));
	ATF_CHECK_EQ(0, value(now, "write_iops"));
	ATF_CHECK_EQ(0, value(now, "write_p99_us"));
	json_decref(before);
	json_decref(now);
}

ATF_TC_WITHOUT_HEAD(first_reading_counts_from_the_beginning);
ATF_TC_BODY(first_reading_counts_from_the_beginning, tc)
{
	json_t *now = reading(5000000, 1200, 4915200, 1200000, 1199, 1);

	(void)tc;
	rates_add(NULL, now);
	ATF_CHECK_EQ(300, value(now, "read_iops"));
	ATF_CHECK_EQ(1, value(now, "read_us"));
	ATF_CHECK_EQ(2, value(now, "read_p99_us"));
	json_decref(now);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, rates_are_for_the_time_between);
	ATF_TP_ADD_TC(tp, first_reading_counts_from_the_beginning);
	return atf_no_error();
}
