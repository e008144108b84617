/* SPDX-License-Identifier: BSD-2-Clause */
/* UUIDs: text form, comparison, version bits. */
#include <string.h>

#include "libvmfs/base/uuid.h"

/* A '-' stands before these bytes. */
static bool
uuid_dash_before(size_t i)
{
	return i == 4 || i == 6 || i == 8 || i == 10;
}

bool
uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool
uuid_is_null(const struct uuid *u)
{
	static const struct uuid null;

	return uuid_equal(u, &null);
}

void
uuid_from_random(struct uuid *ret_u, const uint8_t random[16])
{
	memcpy(ret_u->b, random, sizeof(ret_u->b));
	ret_u->b[6] = (uint8_t)((ret_u->b[6] & 0x0f) | 0x40);
	ret_u->b[8] = (uint8_t)((ret_u->b[8] & 0x3f) | 0x80);
}

char *
uuid_text(const struct uuid *u, char text[UUID_TEXT_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	char *p = text;

	for (size_t i = 0; i < sizeof(u->b); i++) {
		if (uuid_dash_before(i))
			*p++ = '-';
		*p++ = digits[u->b[i] >> 4];
		*p++ = digits[u->b[i] & 15];
	}
	*p = '\0';
	return text;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
uuid_parse(const char *text, struct uuid *ret_u)
{
	struct uuid u;

	if (strlen(text) != UUID_TEXT_SIZE - 1)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(u.b); i++) {
		int hi, lo;

		if (uuid_dash_before(i) && *text++ != '-')
			return -EINVAL;
		hi = hex_value(*text++);
		lo = hex_value(*text++);
		if (hi < 0 || lo < 0)
			return -EINVAL;
		u.b[i] = (uint8_t)(hi << 4 | lo);
	}
	*ret_u = u;
	return 0;
}
