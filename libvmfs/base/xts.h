/* SPDX-License-Identifier: BSD-2-Clause */
/* AES-256-XTS (IEEE 1619): data units, each under its number as tweak. */
#ifndef VMFS_BASE_XTS_H
#define VMFS_BASE_XTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libvmfs/base/err.h"

#define XTS_KEY_SIZE 64u

/* One key and direction.  For one thread at a time. */
struct xts;

/* -EINVAL: the halves of the key are equal; -EOPNOTSUPP: libcrypto has no such
 * cipher; -ENOMEM. */
int xts_new(const uint8_t key[XTS_KEY_SIZE], bool encrypt, struct xts **ret_x)
    MUST_CHECK;
void xts_free(struct xts *x);
/* One data unit of len bytes, 16 or more; dst may be src.  -EIO. */
int xts_turn(struct xts *x, uint64_t unit, const void *src, void *dst,
    size_t len) MUST_CHECK;

#endif
