/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys by the published examples, and what does not fit. */
#include <atf-c.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "libvmfs/base/keys.h"
#include "libvmfs/base/xts.h"

/* IEEE 1619-2007, annex B, vector 10: AES-256, data unit 255. */
static const uint8_t xts_key[XTS_KEY_SIZE] = {
	0x27, 0x18, 0x28, 0x18, 0x28, 0x45, 0x90, 0x45,
	0x23, 0x53, 0x60, 0x28, 0x74, 0x71, 0x35, 0x26,
	0x62, 0x49, 0x77, 0x57, 0x24, 0x70, 0x93, 0x69,
	0x99, 0x59, 0x57, 0x49, 0x66, 0x96, 0x76, 0x27,
	0x31, 0x41, 0x59, 0x26, 0x53, 0x58, 0x97, 0x93,
	0x23, 0x84, 0x62, 0x64, 0x33, 0x83, 0x27, 0x95,
	0x02, 0x88, 0x41, 0x97, 0x16, 0x93, 0x99, 0x37,
	0x51, 0x05, 0x82, 0x09, 0x74, 0x94, 0x45, 0x92,
};
static const uint8_t xts_out[16] = {
	0x1c, 0x3b, 0x3a, 0x10, 0x2f, 0x77, 0x03, 0x86,
	0xe4, 0x83, 0x6c, 0x99, 0xe3, 0x70, 0xcf, 0x9b,
};

ATF_TC_WITHOUT_HEAD(xts_is_as_the_standard_says);
ATF_TC_BODY(xts_is_as_the_standard_says, tc)
{
	uint8_t plain[512], out[512];
	struct xts *x;

	for (unsigned i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)i;
	ATF_REQUIRE_EQ(0, xts_new(xts_key, true, &x));
	ATF_REQUIRE_EQ(0, xts_turn(x, 255, plain, out, sizeof(out)));
	ATF_CHECK(memcmp(out, xts_out, sizeof(xts_out)) == 0);
	xts_free(x);
	ATF_REQUIRE_EQ(0, xts_new(xts_key, false, &x));
	ATF_REQUIRE_EQ(0, xts_turn(x, 255, out, out, sizeof(out)));
	ATF_CHECK(memcmp(out, plain, sizeof(out)) == 0);
	xts_free(x);
}

/* ---- threads ---- */

#define THREADS 12u			/* more than there are contexts */
#define TURNS 2000u

struct turner {
	struct xts *x;
	unsigned id, wrong;
	uint8_t want[2][512];
};

static void *
turn_on(void *arg)
{
	struct turner *t = arg;
	uint8_t out[512];

	for (unsigned i = 0; i < TURNS; i++) {
		memset(out, (int)t->id, sizeof(out));
		if (xts_turn(t->x, t->id + i % 2, out, out,
		    sizeof(out)) != 0 ||
		    memcmp(out, t->want[i % 2], sizeof(out)) != 0)
			t->wrong++;
	}
	return NULL;
}

ATF_TC_WITHOUT_HEAD(xts_is_for_any_number_of_threads);
ATF_TC_BODY(xts_is_for_any_number_of_threads, tc)
{
	static struct turner t[THREADS];
	pthread_t thread[THREADS];
	struct xts *x;

	ATF_REQUIRE_EQ(0, xts_new(xts_key, true, &x));
	for (unsigned i = 0; i < THREADS; i++) {
		t[i] = (struct turner){ .x = x, .id = i };
		for (unsigned k = 0; k < 2; k++) {
			memset(t[i].want[k], (int)i, sizeof(t[i].want[k]));
			ATF_REQUIRE_EQ(0, xts_turn(x, i + k, t[i].want[k],
			    t[i].want[k], sizeof(t[i].want[k])));
		}
	}
	for (unsigned i = 0; i < THREADS; i++)
		ATF_REQUIRE_EQ(0, pthread_create(&thread[i], NULL, turn_on,
		    &t[i]));
	for (unsigned i = 0; i < THREADS; i++) {
		ATF_REQUIRE_EQ(0, pthread_join(thread[i], NULL));
		ATF_CHECK_EQ(0u, t[i].wrong);
	}
	xts_free(x);
}

ATF_TC_WITHOUT_HEAD(xts_refuses_a_part_of_a_sector);
ATF_TC_BODY(xts_refuses_a_part_of_a_sector, tc)
{
	uint8_t b[1024] = { 0 };
	struct xts *x;

	ATF_REQUIRE_EQ(0, xts_new(xts_key, true, &x));
	ATF_CHECK_EQ(-EINVAL, xts_turn(x, 0, b, b, 0));
	ATF_CHECK_EQ(-EINVAL, xts_turn(x, 0, b, b, 16));
	ATF_CHECK_EQ(-EINVAL, xts_turn(x, 0, b, b, 1008));
	xts_free(x);
}

ATF_TC_WITHOUT_HEAD(xts_refuses_a_key_of_equal_halves);
ATF_TC_BODY(xts_refuses_a_key_of_equal_halves, tc)
{
	const uint8_t key[XTS_KEY_SIZE] = { 0 };
	struct xts *x;

	ATF_CHECK_EQ(-EINVAL, xts_new(key, true, &x));
}

/* RFC 3394, 4.6: a key of 256 bits wrapped under one of 256. */
ATF_TC_WITHOUT_HEAD(a_key_is_wrapped_as_the_rfc_says);
ATF_TC_BODY(a_key_is_wrapped_as_the_rfc_says, tc)
{
	static const uint8_t want[WRAPPED_KEY_SIZE] = {
		0x28, 0xc9, 0xf4, 0x04, 0xc4, 0xb8, 0x10, 0xf4,
		0xcb, 0xcc, 0xb3, 0x5c, 0xfb, 0x87, 0xf8, 0x26,
		0x3f, 0x57, 0x86, 0xe2, 0xd8, 0x0e, 0xd3, 0x26,
		0xcb, 0xc7, 0xf0, 0xe7, 0x1a, 0x99, 0xf4, 0x3b,
		0xfb, 0x98, 0x8b, 0x9b, 0x7a, 0x02, 0xdd, 0x21,
	};
	static const uint8_t data[DATA_KEY_SIZE] = {
		0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
		0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
		0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
		0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
	};
	uint8_t wrapped[WRAPPED_KEY_SIZE], back[DATA_KEY_SIZE];
	struct wrapping_key k;

	for (unsigned i = 0; i < sizeof(k.key); i++)
		k.key[i] = (uint8_t)i;
	ATF_REQUIRE_EQ(0, data_key_wrap(&k, data, wrapped));
	ATF_CHECK(memcmp(wrapped, want, sizeof(want)) == 0);
	ATF_REQUIRE_EQ(0, data_key_unwrap(&k, wrapped, back));
	ATF_CHECK(memcmp(back, data, sizeof(back)) == 0);
}

ATF_TC_WITHOUT_HEAD(another_key_or_a_flipped_bit_is_refused);
ATF_TC_BODY(another_key_or_a_flipped_bit_is_refused, tc)
{
	uint8_t data[DATA_KEY_SIZE] = { 1 }, wrapped[WRAPPED_KEY_SIZE], back[32];
	struct wrapping_key a, b;

	ATF_REQUIRE_EQ(0, wrapping_key_derive("0123456789abcdef"
	    "0123456789abcdef", 32, &a));
	ATF_REQUIRE_EQ(0, wrapping_key_derive("0123456789abcdef"
	    "0123456789abcdeF", 32, &b));
	ATF_CHECK(memcmp(a.id, b.id, sizeof(a.id)) != 0);
	ATF_REQUIRE_EQ(0, data_key_wrap(&a, data, wrapped));
	ATF_CHECK_EQ(-EKEYREJECTED, data_key_unwrap(&b, wrapped, back));
	for (unsigned i = 0; i < sizeof(wrapped); i++) {
		wrapped[i] ^= 0x10;
		ATF_CHECK_EQ(-EKEYREJECTED, data_key_unwrap(&a, wrapped,
		    back));
		wrapped[i] ^= 0x10;
	}
}

ATF_TC_WITHOUT_HEAD(a_short_secret_is_refused);
ATF_TC_BODY(a_short_secret_is_refused, tc)
{
	struct wrapping_key k;

	ATF_CHECK_EQ(-EINVAL, wrapping_key_derive("0123456789abcdef"
	    "0123456789abcde", 31, &k));
}

ATF_TC_WITHOUT_HEAD(purposes_have_keys_of_their_own);
ATF_TC_BODY(purposes_have_keys_of_their_own, tc)
{
	uint8_t secret[DATA_KEY_SIZE] = { 7 }, key[XTS_KEY_SIZE];
	struct wrapping_key k;

	ATF_REQUIRE_EQ(0, wrapping_key_derive(secret, sizeof(secret), &k));
	ATF_REQUIRE_EQ(0, data_key_xts(secret, key));
	ATF_CHECK(memcmp(k.id, k.key, sizeof(k.id)) != 0);
	ATF_CHECK(memcmp(key, k.key, sizeof(k.key)) != 0);
	ATF_CHECK(memcmp(key, k.id, sizeof(k.id)) != 0);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, xts_is_as_the_standard_says);
	ATF_TP_ADD_TC(tp, xts_is_for_any_number_of_threads);
	ATF_TP_ADD_TC(tp, xts_refuses_a_part_of_a_sector);
	ATF_TP_ADD_TC(tp, xts_refuses_a_key_of_equal_halves);
	ATF_TP_ADD_TC(tp, a_key_is_wrapped_as_the_rfc_says);
	ATF_TP_ADD_TC(tp, another_key_or_a_flipped_bit_is_refused);
	ATF_TP_ADD_TC(tp, a_short_secret_is_refused);
	ATF_TP_ADD_TC(tp, purposes_have_keys_of_their_own);
	return atf_no_error();
}
