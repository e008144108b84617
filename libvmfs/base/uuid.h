/* SPDX-License-Identifier: BSD-2-Clause */
/* 16-byte identities (RFC 4122 version 4), compared and printed, no more. */
#ifndef VMFS_BASE_UUID_H
#define VMFS_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

#include "libvmfs/base/err.h"

struct uuid {
	uint8_t b[16];
};

#define UUID_TEXT_SIZE 37	/* 8-4-4-4-12 and the NUL */

bool uuid_equal(const struct uuid *a, const struct uuid *b);
bool uuid_is_null(const struct uuid *u);
/* Sets version and variant bits on 16 random bytes. */
void uuid_from_random(struct uuid *ret_u, const uint8_t random[16]);
/* Writes the lower-case text form; returns text. */
char *uuid_text(const struct uuid *u, char text[UUID_TEXT_SIZE]);
/* 0 or -EINVAL when text is not 8-4-4-4-12 hexadecimal digits. */
int uuid_parse(const char *text, struct uuid *ret_u) MUST_CHECK;

#endif
