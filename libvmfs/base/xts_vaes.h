/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AES-256-XTS by the vector instructions of newer x86-64 processors (VAES,
 * AVX-512), four blocks each: three to four times as fast as libcrypto 3.0,
 * which uses AES-NI.  Nothing in it depends on key or data but the data.
 */
#ifndef VMFS_BASE_XTS_VAES_H
#define VMFS_BASE_XTS_VAES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XTS_VAES_ROUNDS 14u
/* What is done in one step; units are multiples of it. */
#define XTS_VAES_STEP 512u

/* Round keys of one direction, those of the data four times each.  Not changed
 * by use: any number of threads. */
struct xts_vaes {
	uint8_t data[XTS_VAES_ROUNDS + 1][64];
	uint8_t tweak[XTS_VAES_ROUNDS + 1][16];
	/* One data unit of len bytes, a multiple of XTS_VAES_STEP; dst may be
	 * src. */
	void (*turn)(const struct xts_vaes *s, uint64_t unit,
	    const uint8_t *src, uint8_t *dst, size_t len);
} __attribute__((aligned(64)));

/* key: two keys of 32 bytes, for the data and for the tweak.  False: not on
 * this processor, or system. */
bool xts_vaes_init(struct xts_vaes *s, const uint8_t *key, bool encrypt);

#endif
