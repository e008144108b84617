/* SPDX-License-Identifier: BSD-2-Clause */
/* AES-256-XTS (IEEE 1619): data units, each under its number as tweak. */
#ifndef VMFS_BASE_XTS_H
#define VMFS_BASE_XTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libvmfs/base/err.h"

#define XTS_KEY_SIZE 64u
#define XTS_UNIT_MULTIPLE 512u

/* One key and direction.  Any number of threads at a time. */
struct xts;

/* -EINVAL: the halves of the key are equal; -EOPNOTSUPP: libcrypto has no such
 * cipher; -ENOMEM. */
int xts_new(const uint8_t key[XTS_KEY_SIZE], bool encrypt, struct xts **ret_x)
    MUST_CHECK;
/* NULL is fine. */
void xts_free(struct xts *x);
/* One data unit of len bytes, a multiple of XTS_UNIT_MULTIPLE (-EINVAL); dst
 * may be src.  -EIO, -ENOMEM. */
int xts_turn(struct xts *x, uint64_t unit, const void *src, void *dst,
    size_t len) MUST_CHECK;

#endif
