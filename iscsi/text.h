/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * key=value text of Login and Text PDUs (RFC 7143 clause 6): pieces joined
 * while the C bit is set, pairs taken apart within bounds, answers built.
 */
#ifndef VMFS_ISCSI_TEXT_H
#define VMFS_ISCSI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libvmfs/base/err.h"

#define TEXT_KEY_MAX 63		/* bytes of a key name, 6.1 */
#define TEXT_VALUE_MAX 8192	/* bytes of a value; binary ones can be long */
#define TEXT_IN_MAX 16384	/* bytes of one request, all its PDUs */

/* A growing text, bounded by `max`; used for what came and what goes. */
struct text_buf {
	char *data;
	size_t len, size, max;
};

void text_buf_init(struct text_buf *b, size_t max);
/* Frees the bytes; b can be used again. */
void text_buf_fini(struct text_buf *b);
/* -ENOMEM, or -VMFS_EPROTO past the bound: the peer sends without end. */
int text_buf_append(struct text_buf *b, const void *data, size_t len)
    MUST_CHECK;
/* Adds "key=value" and the NUL.  -ENOMEM, -VMFS_EPROTO as above. */
int text_add(struct text_buf *b, const char *key, const char *value)
    MUST_CHECK;

struct text_pair {
	const char *key;	/* both end with a NUL inside the text */
	const char *value;
};

/*
 * Next pair of a complete text; *pos starts at 0.  Changes the text: '='
 * becomes NUL.  1: a pair; 0: the end; -VMFS_EPROTO: no '=', an empty or long
 * key, a long value, no NUL at the end.
 */
int text_next(struct text_buf *b, size_t *pos, struct text_pair *ret_p)
    MUST_CHECK;

/* Decimal or 0x hexadecimal number, 6.1; -EINVAL for anything else. */
int text_number(const char *value, uint32_t *ret_n) MUST_CHECK;

#endif
