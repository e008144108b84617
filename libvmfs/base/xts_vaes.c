/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AES by FIPS 197, XTS by IEEE 1619.  A vector is four blocks, a step eight of
 * them: so many are needed to keep a processor busy that begins one or two
 * rounds each cycle and ends each four cycles later.
 */
#include "libvmfs/base/xts_vaes.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>
#include <string.h>

#define VAES __attribute__((target( \
    "aes,avx512f,avx512bw,vaes,vpclmulqdq")))
#define INLINE VAES static inline __attribute__((always_inline))
/* x^128 = x^7 + x^2 + x + 1 */
#define POLYNOMIAL 0x87

#define EACH(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7)

#define CPUID_7_ECX_VAES (1u << 9)
#define CPUID_7_ECX_VPCLMULQDQ (1u << 10)

/* Not every compiler knows the last two by name. */
static bool
look(void)
{
	const unsigned need = CPUID_7_ECX_VAES | CPUID_7_ECX_VPCLMULQDQ;
	unsigned eax, ebx, ecx, edx;

	return __builtin_cpu_supports("aes") &&
	    __builtin_cpu_supports("avx512f") &&
	    __builtin_cpu_supports("avx512bw") &&
	    __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
	    (ecx & need) == need;
}

/* A hypervisor answers CPUID itself, which takes longer than a block. */
static bool
can(void)
{
	static atomic_int known;	/* 0: not yet, 1: can, -1: cannot */
	int k = atomic_load(&known);

	if (k == 0) {
		k = look() ? 1 : -1;
		atomic_store(&known, k);
	}
	return k > 0;
}

#define ZERO(n) \
	"vpxord %%zmm" #n ", %%zmm" #n ", %%zmm" #n "\n\t"
#define ZERO_4(a, b, c, d) ZERO(a) ZERO(b) ZERO(c) ZERO(d)

/* Round keys and clear text do not stay in registers. */
INLINE void
registers_clean(void)
{
	__asm__ volatile("vzeroall\n\t"
	    ZERO_4(16, 17, 18, 19) ZERO_4(20, 21, 22, 23)
	    ZERO_4(24, 25, 26, 27) ZERO_4(28, 29, 30, 31)
	    : : : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
	    "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
	    "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20",
	    "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",
	    "xmm28", "xmm29", "xmm30", "xmm31");
}

/* ---- keys: FIPS 197, 5.2 ---- */

/* Four words from the four of two steps before and `last`, a word from those
 * of one step before, turned and substituted. */
INLINE __m128i
key_next(__m128i k, __m128i last)
{
	k = _mm_xor_si128(k, _mm_slli_si128(k, 4));
	k = _mm_xor_si128(k, _mm_slli_si128(k, 8));
	return _mm_xor_si128(k, last);
}

#define EVEN(i, constant) \
	k[i] = key_next(k[(i) - 2], _mm_shuffle_epi32( \
	    _mm_aeskeygenassist_si128(k[(i) - 1], constant), 0xff))
#define ODD(i) \
	k[i] = key_next(k[(i) - 2], _mm_shuffle_epi32( \
	    _mm_aeskeygenassist_si128(k[(i) - 1], 0), 0xaa))

INLINE void
key_expand(const uint8_t key[32], __m128i k[XTS_VAES_ROUNDS + 1])
{
	k[0] = _mm_loadu_si128((const void *)key);
	k[1] = _mm_loadu_si128((const void *)(key + 16));
	EVEN(2, 0x01);
	ODD(3);
	EVEN(4, 0x02);
	ODD(5);
	EVEN(6, 0x04);
	ODD(7);
	EVEN(8, 0x08);
	ODD(9);
	EVEN(10, 0x10);
	ODD(11);
	EVEN(12, 0x20);
	ODD(13);
	EVEN(14, 0x40);
}

VAES static void
keys_set(struct xts_vaes *s, const uint8_t *key, bool encrypt)
{
	__m128i k[XTS_VAES_ROUNDS + 1], one;

	key_expand(key + 32, k);
	memcpy(s->tweak, k, sizeof(s->tweak));
	key_expand(key, k);
	for (unsigned i = 0; i <= XTS_VAES_ROUNDS; i++) {
		one = encrypt ? k[i] : k[XTS_VAES_ROUNDS - i];
		if (!encrypt && i > 0 && i < XTS_VAES_ROUNDS)
			one = _mm_aesimc_si128(one);
		for (unsigned j = 0; j < 4; j++)
			memcpy(&s->data[i][16 * j], &one, sizeof(one));
	}
	explicit_bzero(k, sizeof(k));
	registers_clean();
}

/* ---- data ---- */

/* The first block's tweak. */
INLINE __m128i
tweak_of(const struct xts_vaes *s, uint64_t unit)
{
	__m128i t = _mm_set_epi64x(0, (long long)unit);

	t = _mm_xor_si128(t, _mm_load_si128((const void *)s->tweak[0]));
	for (unsigned i = 1; i < XTS_VAES_ROUNDS; i++)
		t = _mm_aesenc_si128(t,
		    _mm_load_si128((const void *)s->tweak[i]));
	return _mm_aesenclast_si128(t,
	    _mm_load_si128((const void *)s->tweak[XTS_VAES_ROUNDS]));
}

/* Each times x^4, which are the next four; and times x^32. */
INLINE __m512i
times_4(__m512i t)
{
	__m512i out = _mm512_srli_epi64(t, 60);

	t = _mm512_xor_si512(_mm512_slli_epi64(t, 4),
	    _mm512_bslli_epi128(out, 8));
	return _mm512_xor_si512(t, _mm512_clmulepi64_epi128(out,
	    _mm512_set1_epi64(POLYNOMIAL), 0x01));
}

INLINE __m512i
times_32(__m512i t)
{
	__m512i out = _mm512_bsrli_epi128(t, 12);

	return _mm512_xor_si512(_mm512_bslli_epi128(t, 4),
	    _mm512_clmulepi64_epi128(out, _mm512_set1_epi64(POLYNOMIAL), 0));
}

INLINE __m128i
times_1(__m128i t)
{
	/* The top bits of both halves, crosswise. */
	__m128i out = _mm_srai_epi32(_mm_shuffle_epi32(t, 0x13), 31);

	return _mm_xor_si128(_mm_add_epi64(t, t),
	    _mm_and_si128(out, _mm_set_epi32(0, 1, 0, POLYNOMIAL)));
}

INLINE __m512i
first_four(__m128i t)
{
	__m512i v = _mm512_castsi128_si512(t);

	t = times_1(t);
	v = _mm512_inserti32x4(v, t, 1);
	t = times_1(t);
	v = _mm512_inserti32x4(v, t, 2);
	t = times_1(t);
	return _mm512_inserti32x4(v, t, 3);
}

#define DECLARE(i) __m512i b##i, t##i;
#define LOAD(i) \
	b##i = _mm512_xor_si512(_mm512_xor_si512(k, t##i), \
	    _mm512_loadu_si512(src + 64 * i));
#define ROUND(i) \
	b##i = encrypt ? _mm512_aesenc_epi128(b##i, k) : \
	    _mm512_aesdec_epi128(b##i, k);
#define LAST(i) \
	b##i = encrypt ? \
	    _mm512_aesenclast_epi128(b##i, _mm512_xor_si512(k, t##i)) : \
	    _mm512_aesdeclast_epi128(b##i, _mm512_xor_si512(k, t##i)); \
	_mm512_storeu_si512(dst + 64 * i, b##i); \
	t##i = times_32(t##i);

INLINE void
turn(const struct xts_vaes *s, bool encrypt, uint64_t unit,
    const uint8_t *src, uint8_t *dst, size_t len)
{
	EACH(DECLARE)
	__m512i k;

	t0 = first_four(tweak_of(s, unit));
	t1 = times_4(t0);
	t2 = times_4(t1);
	t3 = times_4(t2);
	t4 = times_4(t3);
	t5 = times_4(t4);
	t6 = times_4(t5);
	t7 = times_4(t6);
	for (; len > 0; len -= XTS_VAES_STEP) {
		k = _mm512_load_si512(s->data[0]);
		EACH(LOAD)
		for (unsigned r = 1; r < XTS_VAES_ROUNDS; r++) {
			k = _mm512_load_si512(s->data[r]);
			EACH(ROUND)
		}
		k = _mm512_load_si512(s->data[XTS_VAES_ROUNDS]);
		EACH(LAST)
		src += XTS_VAES_STEP;
		dst += XTS_VAES_STEP;
	}
}

VAES static void
encrypt_unit(const struct xts_vaes *s, uint64_t unit, const uint8_t *src,
    uint8_t *dst, size_t len)
{
	turn(s, true, unit, src, dst, len);
	registers_clean();
}

VAES static void
decrypt_unit(const struct xts_vaes *s, uint64_t unit, const uint8_t *src,
    uint8_t *dst, size_t len)
{
	turn(s, false, unit, src, dst, len);
	registers_clean();
}

bool
xts_vaes_init(struct xts_vaes *s, const uint8_t *key, bool encrypt)
{
	if (!can())
		return false;
	keys_set(s, key, encrypt);
	s->turn = encrypt ? encrypt_unit : decrypt_unit;
	return true;
}

#else

bool
xts_vaes_init(struct xts_vaes *s, const uint8_t *key, bool encrypt)
{
	(void)s;
	(void)key;
	(void)encrypt;
	return false;
}

#endif
