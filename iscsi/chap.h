/* SPDX-License-Identifier: BSD-2-Clause */
/* CHAP arithmetic (RFC 1994, RFC 7143 12.1.3): digests, encodings, compare. */
#ifndef VMFS_ISCSI_CHAP_H
#define VMFS_ISCSI_CHAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libvmfs/base/err.h"

#define CHAP_DIGEST_MAX 32
#define CHAP_CHALLENGE_MAX 1024		/* bytes, 12.1.3 */
#define CHAP_TEXT_MAX (2 * CHAP_CHALLENGE_MAX + 3)

/* IANA PPP authentication algorithms. */
enum chap_algorithm {
	CHAP_MD5 = 5,
	CHAP_SHA1 = 6,
	CHAP_SHA256 = 7,
	CHAP_SHA3_256 = 8,
};

/* Bytes of a response; 0 for an algorithm we do not have. */
size_t chap_digest_size(unsigned algorithm);
/* "SHA3-256" and the like; NULL for one that we do not have. */
const char *chap_name(enum chap_algorithm a);
/* First of a list "7,5" that we have; -EINVAL when none. */
int chap_choose(const char *list, enum chap_algorithm *ret_a) MUST_CHECK;

/*
 * Response to a challenge: digest of id, secret, challenge (RFC 1994 4.1).
 * -EOPNOTSUPP when the crypto library refuses the algorithm (FIPS and MD5).
 */
int chap_response(enum chap_algorithm a, uint8_t id, const char *secret,
    const uint8_t *challenge, size_t challenge_len,
    uint8_t ret_digest[CHAP_DIGEST_MAX]) MUST_CHECK;

/* Takes as long for equal as for different bytes. */
bool chap_equal(const uint8_t *a, const uint8_t *b, size_t len);

/* "0x..." or "0b..." (base64) to bytes; -EINVAL when malformed or above max. */
int chap_decode(const char *text, uint8_t *buf, size_t max, size_t *ret_len)
    MUST_CHECK;
/* Bytes to "0x..."; text has room for 2 * len + 3. */
void chap_encode(const uint8_t *buf, size_t len, char *text);

#endif
