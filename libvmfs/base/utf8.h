/* SPDX-License-Identifier: BSD-2-Clause */
/* Text of others, which may be anything (RFC 3629). */
#ifndef VMFS_BASE_UTF8_H
#define VMFS_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at s, not at its end, and its number; 0: it is none,
 * or cut short by the NUL. */
size_t utf8_character(const char *s, uint32_t *ret_c);

#endif
