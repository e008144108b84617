/* SPDX-License-Identifier: BSD-2-Clause */
/* The small modules of libvmfs/base. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/be.h"
#include "libvmfs/base/crc32c.h"
#include "libvmfs/base/le.h"
#include "libvmfs/base/list.h"
#include "libvmfs/base/log.h"
#include "libvmfs/base/prng.h"
#include "libvmfs/base/units.h"
#include "libvmfs/base/utf8.h"
#include "libvmfs/base/uuid.h"

/* RFC 3720 B.4 */
ATF_TC_WITHOUT_HEAD(crc32c_gives_published_values);
ATF_TC_BODY(crc32c_gives_published_values, tc)
{
	uint8_t b[32] = { 0 };

	ATF_CHECK_EQ(0xe3069283, crc32c(0, "123456789", 9));
	ATF_CHECK_EQ(0, crc32c(0, b, 0));
	ATF_CHECK_EQ(0x8a9136aa, crc32c(0, b, 32));
	memset(b, 0xff, 32);
	ATF_CHECK_EQ(0x62a8ab43, crc32c(0, b, 32));
	for (uint8_t i = 0; i < 32; i++)
		b[i] = i;
	ATF_CHECK_EQ(0x46dd794e, crc32c(0, b, 32));
}

/* Bit by bit, from the polynomial. */
static uint32_t
crc32c_slow(const uint8_t *p, size_t len)
{
	uint32_t crc = UINT32_MAX;

	while (len-- > 0) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (0x82f63b78 & (0 - (crc & 1)));
	}
	return ~crc;
}

ATF_TC_WITHOUT_HEAD(crc32c_of_parts_equals_the_whole);
ATF_TC_BODY(crc32c_of_parts_equals_the_whole, tc)
{
	uint8_t b[4099];
	struct prng r;

	prng_seed(&r, 1);
	prng_fill(&r, b, sizeof(b));
	for (size_t len = 1; len <= sizeof(b); len = len * 2 + 1) {
		uint32_t whole = crc32c_slow(b, len);

		for (size_t cut = 0; cut < len; cut += len / 5 + 1)
			ATF_CHECK_EQ(whole, crc32c(crc32c(0, b, cut),
			    b + cut, len - cut));
	}
}

ATF_TC_WITHOUT_HEAD(integers_have_their_byte_order);
ATF_TC_BODY(integers_have_their_byte_order, tc)
{
	uint8_t b[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	le40_t five;

	ATF_CHECK_EQ(0, memcmp(le32(0x04030201).b, b, 4));
	ATF_CHECK_EQ(0x0807060504030201, le64_get(le64(0x0807060504030201)));
	memcpy(five.b, b, 5);
	ATF_CHECK_EQ(UINT64_C(0x0504030201), le40_get(five));
	ATF_CHECK_EQ(0x0102, be16_load(b));
	ATF_CHECK_EQ(0x010203, be24_load(b));
	ATF_CHECK_EQ(0x01020304, be32_load(b));
	ATF_CHECK_EQ(0x0102030405060708, be64_load(b));
	be24_store(b, 0xa0b0c0);
	ATF_CHECK_EQ(0, memcmp(b, "\xa0\xb0\xc0\x04", 4));
	ATF_CHECK_EQ(0xfedc, be16_get(be16(0xfedc)));
}

struct item {
	struct list node;
	int v;
};

ATF_TC_WITHOUT_HEAD(list_keeps_order_and_survives_unlinking);
ATF_TC_BODY(list_keeps_order_and_survives_unlinking, tc)
{
	struct list head = LIST_INIT(head);
	struct item items[4] = { 0 };
	int sum = 0;

	ATF_CHECK(list_pop(&head) == NULL);
	for (int i = 1; i < 4; i++) {
		items[i].v = i;
		list_add_tail(&head, &items[i].node);
	}
	list_add(&head, &items[0].node);
	list_for_each(node, tmp, &head) {
		sum = sum * 10 + list_entry(node, struct item, node)->v;
		list_del(node);
	}
	ATF_CHECK_EQ(123, sum);
	ATF_CHECK(list_empty(&head));
	list_del(&items[2].node);
	ATF_CHECK(list_empty(&head));
}

ATF_TC_WITHOUT_HEAD(errors_of_both_kinds_have_texts);
ATF_TC_BODY(errors_of_both_kinds_have_texts, tc)
{
	ATF_CHECK_STREQ("success", vmfs_strerror(0));
	ATF_CHECK_STREQ(strerror(ENOSPC), vmfs_strerror(-ENOSPC));
	for (int e = VMFS_ECORRUPT; e <= VMFS_EPROTO; e++)
		ATF_CHECK(strcmp("unknown error", vmfs_strerror(-e)) != 0);
	ATF_CHECK_STREQ("unknown error", vmfs_strerror(-9999));
	ATF_CHECK_STREQ("unknown error", vmfs_strerror(INT32_MIN));
}

ATF_TC_WITHOUT_HEAD(uuid_text_is_read_back);
ATF_TC_BODY(uuid_text_is_read_back, tc)
{
	static const char text[] = "01234567-89ab-4def-8123-456789abcdef";
	static const char *const bad[] = {
		"", "01234567-89ab-4def-8123-456789abcde",
		"01234567-89ab-4def-8123-456789abcdeff",
		"01234567-89ab-4def-8123-456789abcdeg",
		"0123456-789ab-4def-8123-456789abcdef",
		"01234567+89ab-4def-8123-456789abcdef",
	};
	char again[UUID_TEXT_SIZE];
	struct uuid u, v = { { 0 } };

	ATF_REQUIRE_EQ(0, uuid_parse(text, &u));
	ATF_CHECK_STREQ(text, uuid_text(&u, again));
	ATF_REQUIRE_EQ(0, uuid_parse("01234567-89AB-4DEF-8123-456789ABCDEF",
	    &v));
	ATF_CHECK(uuid_equal(&u, &v));
	v = (struct uuid){ { 0 } };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ATF_CHECK_EQ_MSG(-EINVAL, uuid_parse(bad[i], &v), "%s",
		    bad[i]);
	ATF_CHECK(uuid_is_null(&v));
	ATF_CHECK(!uuid_is_null(&u));
}

ATF_TC_WITHOUT_HEAD(sizes_are_written_in_iec_units);
ATF_TC_BODY(sizes_are_written_in_iec_units, tc)
{
	char t[SIZE_TEXT_SIZE];

	ATF_CHECK_STREQ("0 B", size_text(0, t));
	ATF_CHECK_STREQ("1023 B", size_text(1023, t));
	ATF_CHECK_STREQ("1 KiB", size_text(KIB, t));
	ATF_CHECK_STREQ("1.5 GiB", size_text(GIB + GIB / 2, t));
	ATF_CHECK_STREQ("1023.9 MiB", size_text(GIB - 1, t));
	ATF_CHECK_STREQ("62 TiB", size_text(62 * TIB, t));
	ATF_CHECK_STREQ("15.9 EiB", size_text(UINT64_MAX, t));
}

ATF_TC_WITHOUT_HEAD(sizes_are_read_with_and_without_units);
ATF_TC_BODY(sizes_are_read_with_and_without_units, tc)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t bytes;
	} cases[] = {
		{ "4096", 0, 4096 }, { "64k", 0, 64 * KIB },
		{ "64K", 0, 64 * KIB }, { "64KiB", 0, 64 * KIB },
		{ "1.5G", 0, 3 * GIB / 2 }, { "1.5GiB", 0, 3 * GIB / 2 },
		{ "1g", 0, GIB }, { "2tib", 0, 2 * TIB },
		{ "2TiB", 0, 2 * TIB }, { "0", 0, 0 }, { "512B", 0, 512 },
		{ "0000000000000000000000001", 0, 1 },
		{ "9223372036854775807", 0, INT64_MAX },
		{ "9223372036854775808", -ERANGE, 0 },
		{ "99999999999999999999", -ERANGE, 0 },
		{ "8E", -ERANGE, 0 }, { "", -EINVAL, 0 }, { "G", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 }, { "1.5", -EINVAL, 0 },
		{ "1.G", -EINVAL, 0 }, { "1GB", -EINVAL, 0 },
		{ "1 G", -EINVAL, 0 }, { "1GiBs", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t v = 0;

		ATF_CHECK_EQ_MSG(cases[i].rc, size_parse(cases[i].text, &v),
		    "%s", cases[i].text);
		ATF_CHECK_EQ_MSG(cases[i].bytes, v, "%s", cases[i].text);
	}
}

static char logged[2048];

static void
keep_line(struct log *log, enum log_level level, const char *line)
{
	ATF_CHECK(level <= log->level);
	(void)snprintf(logged, sizeof(logged), "%s: %s",
	    log_level_name(level), line);
}

ATF_TC_WITHOUT_HEAD(log_drops_cuts_and_cleans_lines);
ATF_TC_BODY(log_drops_cuts_and_cleans_lines, tc)
{
	struct log log = { .level = LOG_LEVEL_INFO, .sink = keep_line };
	char big[3000];

	log_error(NULL, "nobody listens");
	log_debug(&log, "dropped");
	ATF_CHECK_STREQ("", logged);
	log_info(&log, "lun: mounted n=%d", 5);
	ATF_CHECK_STREQ("info: lun: mounted n=5", logged);
	log_warn(&log, "peer=%s", "a\nerror: forged");
	ATF_CHECK_STREQ("warn: peer=a?error: forged", logged);
	memset(big, 'b', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	log_error(&log, "%s", big);
	ATF_CHECK_EQ(strlen("error: ") + 1023, strlen(logged));
}

ATF_TC_WITHOUT_HEAD(generator_repeats_and_stays_below_its_bound);
ATF_TC_BODY(generator_repeats_and_stays_below_its_bound, tc)
{
	struct prng a, b;
	unsigned hits[7] = { 0 };

	prng_seed(&a, 42);
	prng_seed(&b, 42);
	for (int i = 0; i < 7000; i++) {
		uint64_t v = prng_below(&a, 7);

		ATF_REQUIRE(v < 7);
		ATF_CHECK_EQ(v, prng_below(&b, 7));
		hits[v]++;
	}
	for (int i = 0; i < 7; i++)
		ATF_CHECK(hits[i] > 800 && hits[i] < 1200);
	ATF_CHECK_EQ(0, prng_below(&a, 1));
	prng_seed(&b, 43);
	ATF_CHECK(prng_u64(&a) != prng_u64(&b));
}

/* RFC 3629, clauses 3 and 10. */
ATF_TC_WITHOUT_HEAD(characters_are_told_from_other_bytes);
ATF_TC_BODY(characters_are_told_from_other_bytes, tc)
{
	static const struct { const char *text; size_t len; uint32_t c; } t[] = {
		{ "A", 1, 'A' }, { "\xc3\xa4", 2, 0xe4 },
		{ "\xe2\x82\xac", 3, 0x20ac },
		{ "\xf0\xa3\x8e\xb4", 4, 0x233b4 },
		{ "\xf4\x8f\xbf\xbf", 4, 0x10ffff },
		{ "\x80", 0, 0 }, { "\xbf\x80", 0, 0 }, { "\xff", 0, 0 },
		{ "\xc3", 0, 0 }, { "\xc3" "A", 0, 0 },
		{ "\xe2\x82", 0, 0 }, { "\xc0\x80", 0, 0 },
		{ "\xe0\x9f\xbf", 0, 0 }, { "\xf0\x8f\xbf\xbf", 0, 0 },
		{ "\xed\xa0\x80", 0, 0 }, { "\xf4\x90\x80\x80", 0, 0 },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint32_t c = 0;

		ATF_CHECK_EQ_MSG(t[i].len, utf8_character(t[i].text, &c),
		    "text %zu", i);
		ATF_CHECK_EQ_MSG(t[i].c, c, "text %zu", i);
	}
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, crc32c_gives_published_values);
	ATF_TP_ADD_TC(tp, crc32c_of_parts_equals_the_whole);
	ATF_TP_ADD_TC(tp, integers_have_their_byte_order);
	ATF_TP_ADD_TC(tp, list_keeps_order_and_survives_unlinking);
	ATF_TP_ADD_TC(tp, errors_of_both_kinds_have_texts);
	ATF_TP_ADD_TC(tp, uuid_text_is_read_back);
	ATF_TP_ADD_TC(tp, sizes_are_written_in_iec_units);
	ATF_TP_ADD_TC(tp, sizes_are_read_with_and_without_units);
	ATF_TP_ADD_TC(tp, log_drops_cuts_and_cleans_lines);
	ATF_TP_ADD_TC(tp, generator_repeats_and_stays_below_its_bound);
	ATF_TP_ADD_TC(tp, characters_are_told_from_other_bytes);
	return atf_no_error();
}
