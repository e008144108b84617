/* SPDX-License-Identifier: BSD-2-Clause */
/* Sizes in IEC units. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libvmfs/base/units.h"

static const char unit_letters[] = "KMGTPE";

char *
size_text(uint64_t bytes, char text[SIZE_TEXT_SIZE])
{
	unsigned unit = 0;
	uint64_t whole, tenths;

	if (bytes < KIB) {
		snprintf(text, SIZE_TEXT_SIZE, "%" PRIu64 " B", bytes);
		return text;
	}
	while (unit < 5 && bytes >> (10 * (unit + 2)) != 0)
		unit++;
	whole = bytes >> (10 * (unit + 1));
	tenths = (bytes >> (10 * unit) & 1023) * 10 / 1024;
	if (tenths == 0)
		snprintf(text, SIZE_TEXT_SIZE, "%" PRIu64 " %ciB", whole,
		    unit_letters[unit]);
	else
		snprintf(text, SIZE_TEXT_SIZE, "%" PRIu64 ".%" PRIu64 " %ciB",
		    whole, tenths, unit_letters[unit]);
	return text;
}

/* Shift of "", "B", "k", "K", "KiB", "kib" ..; -1 for other texts. */
static int
unit_shift(const char *unit)
{
	const char *letter;

	if (*unit == '\0' || strcmp(unit, "B") == 0)
		return 0;
	letter = strchr(unit_letters, toupper((unsigned char)*unit));
	if (letter == NULL ||
	    (unit[1] != '\0' && strcasecmp(unit + 1, "iB") != 0))
		return -1;
	return 10 * (int)(letter - unit_letters + 1);
}

/* Decimal digits at *p as a number of at most `max` digits. */
static int
digits_parse(const char **p, unsigned max, uint64_t *ret_v, unsigned *ret_n)
{
	uint64_t v = 0;
	unsigned n = 0;

	for (; **p >= '0' && **p <= '9'; (*p)++, n++) {
		if (n == max)
			return -ERANGE;
		v = v * 10 + (uint64_t)(**p - '0');
	}
	*ret_v = v;
	*ret_n = n;
	return 0;
}

int
size_parse(const char *text, uint64_t *ret_bytes)
{
	uint64_t whole, part = 0, scale = 1;
	unsigned n, part_n = 0;
	unsigned __int128 bytes;
	int shift, rc;

	while (*text == '0' && text[1] >= '0' && text[1] <= '9')
		text++;
	rc = digits_parse(&text, 19, &whole, &n);
	if (rc < 0)
		return rc;
	if (n == 0)
		return -EINVAL;
	if (*text == '.') {
		text++;
		if (digits_parse(&text, 9, &part, &part_n) < 0 || part_n == 0)
			return -EINVAL;
	}
	shift = unit_shift(text);
	/* Half a byte cannot be had. */
	if (shift < 0 || (part_n > 0 && shift == 0))
		return -EINVAL;
	while (part_n-- > 0)
		scale *= 10;
	bytes = ((unsigned __int128)whole << shift) +
	    ((unsigned __int128)part << shift) / scale;
	if (bytes > INT64_MAX)
		return -ERANGE;
	*ret_bytes = (uint64_t)bytes;
	return 0;
}
