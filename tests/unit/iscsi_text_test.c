/* SPDX-License-Identifier: BSD-2-Clause */
/* key=value text within bounds. */
#include <atf-c.h>
#include <string.h>

#include "iscsi/text.h"

static struct text_buf
text_of(const void *data, size_t len)
{
	struct text_buf b;

	text_buf_init(&b, TEXT_IN_MAX);
	ATF_REQUIRE_EQ(0, text_buf_append(&b, data, len));
	return b;
}

ATF_TC_WITHOUT_HEAD(pairs_come_in_order);
ATF_TC_BODY(pairs_come_in_order, tc)
{
	static const char text[] = "a=1\0b=x=y\0\0c=";
	struct text_buf b = text_of(text, sizeof(text));
	struct text_pair p;
	size_t pos = 0;

	ATF_REQUIRE_EQ(1, text_next(&b, &pos, &p));
	ATF_CHECK_STREQ("a", p.key);
	ATF_CHECK_STREQ("1", p.value);
	ATF_REQUIRE_EQ(1, text_next(&b, &pos, &p));
	ATF_CHECK_STREQ("x=y", p.value);
	ATF_REQUIRE_EQ(1, text_next(&b, &pos, &p));
	ATF_CHECK_STREQ("c", p.key);
	ATF_CHECK_STREQ("", p.value);
	ATF_CHECK_EQ(0, text_next(&b, &pos, &p));
	text_buf_fini(&b);
}

ATF_TC_WITHOUT_HEAD(malformed_text_is_refused);
ATF_TC_BODY(malformed_text_is_refused, tc)
{
	static const struct {
		const char *text;
		size_t len;
	} bad[] = {
		{ "novalue", 8 }, { "=x", 3 }, { "a=unterminated", 14 },
		{ "a", 1 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct text_buf b = text_of(bad[i].text, bad[i].len);
		struct text_pair p;
		size_t pos = 0;

		ATF_CHECK_EQ_MSG(-VMFS_EPROTO, text_next(&b, &pos, &p),
		    "case %zu", i);
		text_buf_fini(&b);
	}
}

ATF_TC_WITHOUT_HEAD(long_key_is_refused);
ATF_TC_BODY(long_key_is_refused, tc)
{
	char text[TEXT_KEY_MAX + 4];
	struct text_buf b;
	struct text_pair p;
	size_t pos = 0;

	memset(text, 'k', sizeof(text));
	memcpy(text + TEXT_KEY_MAX + 1, "=v", 3);
	b = text_of(text, sizeof(text));
	ATF_CHECK_EQ(-VMFS_EPROTO, text_next(&b, &pos, &p));
	text_buf_fini(&b);
}

ATF_TC_WITHOUT_HEAD(endless_text_is_refused);
ATF_TC_BODY(endless_text_is_refused, tc)
{
	static const char piece[1000];
	struct text_buf b;
	int r = 0, n = 0;

	text_buf_init(&b, TEXT_IN_MAX);
	while (r == 0 && n++ < 1000)
		r = text_buf_append(&b, piece, sizeof(piece));
	ATF_CHECK_EQ(-VMFS_EPROTO, r);
	ATF_CHECK(b.len <= TEXT_IN_MAX);
	text_buf_fini(&b);
}

ATF_TC_WITHOUT_HEAD(answer_past_the_bound_leaves_no_half_pair);
ATF_TC_BODY(answer_past_the_bound_leaves_no_half_pair, tc)
{
	struct text_buf b;

	text_buf_init(&b, 10);
	ATF_CHECK_EQ(0, text_add(&b, "ab", "cd"));
	ATF_CHECK_EQ(-VMFS_EPROTO, text_add(&b, "ef", "gh"));
	ATF_CHECK_EQ(6, b.len);
	text_buf_fini(&b);
}

ATF_TC_WITHOUT_HEAD(numbers_decimal_and_hexadecimal);
ATF_TC_BODY(numbers_decimal_and_hexadecimal, tc)
{
	static const char *const bad[] = {
		"", "0x", "12a", "-1", "4294967296", " 1", "0x1g",
	};
	uint32_t n = 0;

	ATF_CHECK_EQ(0, text_number("4294967295", &n));
	ATF_CHECK_EQ(UINT32_MAX, n);
	ATF_CHECK_EQ(0, text_number("0xFf", &n));
	ATF_CHECK_EQ(255, n);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ATF_CHECK_EQ_MSG(-EINVAL, text_number(bad[i], &n), "%s",
		    bad[i]);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, pairs_come_in_order);
	ATF_TP_ADD_TC(tp, malformed_text_is_refused);
	ATF_TP_ADD_TC(tp, long_key_is_refused);
	ATF_TP_ADD_TC(tp, endless_text_is_refused);
	ATF_TP_ADD_TC(tp, answer_past_the_bound_leaves_no_half_pair);
	ATF_TP_ADD_TC(tp, numbers_decimal_and_hexadecimal);
	return atf_no_error();
}
