/* SPDX-License-Identifier: BSD-2-Clause */
/* See fuzz.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

_Noreturn void
fuzz_broken(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: broken: %s\n", file, line, what);
	abort();
}

void
fuzz_fill(struct fuzz_in *in, void *buf, size_t len)
{
	size_t n = len < in->left ? len : in->left;

	if (n > 0)
		memcpy(buf, in->p, n);
	if (len > n)
		memset((uint8_t *)buf + n, 0, len - n);
	in->p += n;
	in->left -= n;
}

uint8_t
fuzz_u8(struct fuzz_in *in)
{
	uint8_t v;

	fuzz_fill(in, &v, sizeof(v));
	return v;
}

uint16_t
fuzz_u16(struct fuzz_in *in)
{
	uint8_t b[2];

	fuzz_fill(in, b, sizeof(b));
	return (uint16_t)(b[0] << 8 | b[1]);
}

uint32_t
fuzz_u32(struct fuzz_in *in)
{
	uint32_t high = fuzz_u16(in);

	return high << 16 | fuzz_u16(in);
}

uint64_t
fuzz_u64(struct fuzz_in *in)
{
	uint64_t high = fuzz_u32(in);

	return high << 32 | fuzz_u32(in);
}

void *
fuzz_take(struct fuzz_in *in, size_t len)
{
	void *buf;

	if (len == 0)
		return NULL;
	buf = malloc(len);
	FUZZ_CHECK(buf != NULL);
	fuzz_fill(in, buf, len);
	return buf;
}
