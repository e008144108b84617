/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xoshiro256** 1.0 (Blackman and Vigna, public domain), seeded by splitmix64
 * as its authors advise.
 */
#include <string.h>

#include "libvmfs/base/prng.h"

static uint64_t
rotl(uint64_t x, unsigned k)
{
	return x << k | x >> (64 - k);
}

static uint64_t
splitmix64(uint64_t *x)
{
	uint64_t z = *x += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void
prng_seed(struct prng *p, uint64_t seed)
{
	for (size_t i = 0; i < 4; i++)
		p->s[i] = splitmix64(&seed);
}

uint64_t
prng_u64(struct prng *p)
{
	uint64_t *s = p->s;
	uint64_t result = rotl(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

uint64_t
prng_below(struct prng *p, uint64_t bound)
{
	/* 2^64 mod bound values at the low end would make it uneven. */
	uint64_t uneven = (0 - bound) % bound;
	uint64_t v;

	do
		v = prng_u64(p);
	while (v < uneven);
	return v % bound;
}

void
prng_fill(struct prng *p, void *buf, size_t len)
{
	uint8_t *b = buf;

	while (len > 0) {
		uint64_t v = prng_u64(p);
		size_t n = len < sizeof(v) ? len : sizeof(v);

		memcpy(b, &v, n);
		b += n;
		len -= n;
	}
}
