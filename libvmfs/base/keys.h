/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys of disks that are encrypted at rest.  A disk has a random data key,
 * which never changes; on disk it lies wrapped (RFC 3394) under a key that is
 * derived (HKDF, RFC 5869) from the content of a key file.  So another key file
 * costs no copy of the data, and who destroys it destroys the disk.
 */
#ifndef VMFS_BASE_KEYS_H
#define VMFS_BASE_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "libvmfs/base/err.h"
#include "libvmfs/base/xts.h"

#define DATA_KEY_SIZE 32u
#define WRAPPED_KEY_SIZE (DATA_KEY_SIZE + 8u)
#define KEY_ID_SIZE 16u
#define KEY_SECRET_MIN 32u	/* bytes of a key file */

/* What a key file is good for.  Forget it by explicit_bzero. */
struct wrapping_key {
	uint8_t id[KEY_ID_SIZE];	/* tells the file; no secret */
	uint8_t key[DATA_KEY_SIZE];
};

/* -EINVAL: less than KEY_SECRET_MIN bytes; -EOPNOTSUPP. */
int wrapping_key_derive(const void *secret, size_t len,
    struct wrapping_key *ret_k) MUST_CHECK;
int data_key_wrap(const struct wrapping_key *k,
    const uint8_t data_key[DATA_KEY_SIZE],
    uint8_t ret_wrapped[WRAPPED_KEY_SIZE]) MUST_CHECK;
/* -EKEYREJECTED: it is not k that it was wrapped under, or it is damaged. */
int data_key_unwrap(const struct wrapping_key *k,
    const uint8_t wrapped[WRAPPED_KEY_SIZE],
    uint8_t ret_data_key[DATA_KEY_SIZE]) MUST_CHECK;
int data_key_xts(const uint8_t data_key[DATA_KEY_SIZE],
    uint8_t ret_key[XTS_KEY_SIZE]) MUST_CHECK;

#endif
