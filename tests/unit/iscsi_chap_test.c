/* SPDX-License-Identifier: BSD-2-Clause */
/* CHAP digests against known answers, encodings, choice of algorithm. */
#include <atf-c.h>
#include <string.h>

#include "iscsi/chap.h"

/* Digests of 5a, "secret-of-twelve", 00..0f, made with Python's hashlib. */
static const struct {
	enum chap_algorithm algorithm;
	const char *digest;
} known[] = {
	{ CHAP_MD5, "0x7b9c2fe0c75a8c14a8d6ac02dcb3005a" },
	{ CHAP_SHA1, "0x41a35808c51ae7ba5aecc5338a24ff87aaad2de9" },
	{ CHAP_SHA256, "0xdf0c39835994f86a3dcd35482ba22d708c5831f3"
	    "c5af0e09abbee5551bb77eaa" },
	{ CHAP_SHA3_256, "0x065319fd34e993108e7b7ca4abeeb19cf0fb1152"
	    "d63c9eedda58f8706b6cc6f0" },
};

ATF_TC_WITHOUT_HEAD(responses_match_known_answers);
ATF_TC_BODY(responses_match_known_answers, tc)
{
	uint8_t challenge[16], digest[CHAP_DIGEST_MAX];
	char text[2 * CHAP_DIGEST_MAX + 3];

	for (uint8_t i = 0; i < 16; i++)
		challenge[i] = i;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		ATF_REQUIRE_EQ(0, chap_response(known[i].algorithm, 0x5a,
		    "secret-of-twelve", challenge, 16, digest));
		chap_encode(digest, chap_digest_size(known[i].algorithm),
		    text);
		ATF_CHECK_STREQ(known[i].digest, text);
	}
}

ATF_TC_WITHOUT_HEAD(first_known_algorithm_of_the_offer_is_taken);
ATF_TC_BODY(first_known_algorithm_of_the_offer_is_taken, tc)
{
	enum chap_algorithm a = 0;

	ATF_CHECK_EQ(0, chap_choose("9,8,5", &a));
	ATF_CHECK_EQ(CHAP_SHA3_256, a);
	ATF_CHECK_EQ(0, chap_choose("7", &a));
	ATF_CHECK_EQ(CHAP_SHA256, a);
	ATF_CHECK_EQ(-EINVAL, chap_choose("1,2,99", &a));
	ATF_CHECK_EQ(-EINVAL, chap_choose("", &a));
	ATF_CHECK_EQ(-EINVAL, chap_choose("555555555555555", &a));
}

ATF_TC_WITHOUT_HEAD(hexadecimal_and_base64_decode);
ATF_TC_BODY(hexadecimal_and_base64_decode, tc)
{
	uint8_t buf[8];
	size_t len = 0;

	ATF_REQUIRE_EQ(0, chap_decode("0x00fFA1", buf, sizeof(buf), &len));
	ATF_CHECK_EQ(3, len);
	ATF_CHECK_EQ(0, memcmp(buf, "\x00\xff\xa1", 3));
	ATF_REQUIRE_EQ(0, chap_decode("0Xabc", buf, sizeof(buf), &len));
	ATF_CHECK_EQ(2, len);
	ATF_CHECK_EQ(0, memcmp(buf, "\x0a\xbc", 2));
	ATF_REQUIRE_EQ(0, chap_decode("0bQQ==", buf, sizeof(buf), &len));
	ATF_CHECK_EQ(1, len);
	ATF_CHECK_EQ('A', buf[0]);
	ATF_REQUIRE_EQ(0, chap_decode("0b+/8=", buf, sizeof(buf), &len));
	ATF_CHECK_EQ(2, len);
	ATF_CHECK_EQ(0, memcmp(buf, "\xfb\xff", 2));
	ATF_REQUIRE_EQ(0, chap_decode("0BQUJD", buf, sizeof(buf), &len));
	ATF_CHECK_EQ(0, memcmp(buf, "ABC", 3));
}

ATF_TC_WITHOUT_HEAD(malformed_encodings_are_refused);
ATF_TC_BODY(malformed_encodings_are_refused, tc)
{
	static const char *const bad[] = {
		"", "0", "0x", "0b", "1234", "0xzz", "0bQQ=", "0b====",
		"0bQ===", "0b!!!!", "0x112233445566778899",
		"0bQUFBQUFBQUFBQUFB",
	};
	uint8_t buf[8];
	size_t len;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ATF_CHECK_EQ_MSG(-EINVAL, chap_decode(bad[i], buf,
		    sizeof(buf), &len), "\"%s\"", bad[i]);
}

ATF_TC_WITHOUT_HEAD(decode_undoes_encode);
ATF_TC_BODY(decode_undoes_encode, tc)
{
	uint8_t in[32], out[32];
	char text[2 * 32 + 3];
	size_t len = 0;

	for (uint8_t i = 0; i < 32; i++)
		in[i] = (uint8_t)(i * 37);
	chap_encode(in, sizeof(in), text);
	ATF_REQUIRE_EQ(0, chap_decode(text, out, sizeof(out), &len));
	ATF_CHECK_EQ(sizeof(in), len);
	ATF_CHECK(chap_equal(in, out, sizeof(in)));
	out[31] ^= 1;
	ATF_CHECK(!chap_equal(in, out, sizeof(in)));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, responses_match_known_answers);
	ATF_TP_ADD_TC(tp, first_known_algorithm_of_the_offer_is_taken);
	ATF_TP_ADD_TC(tp, hexadecimal_and_base64_decode);
	ATF_TP_ADD_TC(tp, malformed_encodings_are_refused);
	ATF_TP_ADD_TC(tp, decode_undoes_encode);
	return atf_no_error();
}
