/* SPDX-License-Identifier: BSD-2-Clause */
/* A state as text: EVENTS/KEEP[/tTORN.PATTERN][/aAGAIN.MODE]. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/states.h"

void
cut_text(const struct cut *c, char *buf)
{
	int top = UNFLUSHED_MAX / 64 - 1;
	char *p = buf;

	while (top > 0 && c->keep[top] == 0)
		top--;
	p += sprintf(p, "%zu/%" PRIx64, c->events, c->keep[top]);
	while (top-- > 0)
		p += sprintf(p, "%016" PRIx64, c->keep[top]);
	if (c->torn >= 0)
		p += sprintf(p, "/t%d.%u", c->torn, c->pattern);
	if (c->again != SIZE_MAX)
		(void)sprintf(p, "/a%zu.%u", c->again, c->mode);
}

static int
keep_parse(const char *text, size_t len, struct cut *c)
{
	char digits[17];

	for (size_t w = 0; len > 0; w++) {
		size_t n = len < 16 ? len : 16;

		if (w == UNFLUSHED_MAX / 64)
			return -EINVAL;
		len -= n;
		memcpy(digits, text + len, n);
		digits[n] = '\0';
		c->keep[w] = strtoull(digits, NULL, 16);
	}
	return 0;
}

int
cut_parse(const char *text, struct cut *ret_c)
{
	struct cut c = { .torn = -1, .again = SIZE_MAX };
	const char *p = text;
	size_t len;
	char *end;

	c.events = strtoull(p, &end, 10);
	if (end == p || *end != '/')
		return -EINVAL;
	p = end + 1;
	len = strspn(p, "0123456789abcdef");
	if (len == 0 || keep_parse(p, len, &c) < 0)
		return -EINVAL;
	p += len;
	if (strncmp(p, "/t", 2) == 0) {
		c.torn = (int)strtol(p + 2, &end, 10);
		if (*end != '.')
			return -EINVAL;
		c.pattern = (unsigned)strtoul(end + 1, &end, 10);
		p = end;
	}
	if (strncmp(p, "/a", 2) == 0) {
		c.again = strtoull(p + 2, &end, 10);
		if (*end != '.')
			return -EINVAL;
		c.mode = (unsigned)strtoul(end + 1, &end, 10);
		p = end;
	}
	if (*p != '\0')
		return -EINVAL;
	*ret_c = c;
	return 0;
}
