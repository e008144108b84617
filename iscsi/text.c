/* SPDX-License-Identifier: BSD-2-Clause */
/* Text of Login and Text PDUs, see text.h. */
#include <stdlib.h>
#include <string.h>

#include "iscsi/text.h"

#define TEXT_GROW 1024

void
text_buf_init(struct text_buf *b, size_t max)
{
	*b = (struct text_buf){ .max = max };
}

void
text_buf_fini(struct text_buf *b)
{
	free(b->data);
	text_buf_init(b, b->max);
}

static int
text_buf_grow(struct text_buf *b, size_t need)
{
	size_t size = (need + TEXT_GROW - 1) / TEXT_GROW * TEXT_GROW;
	char *data;

	if (need <= b->size)
		return 0;
	data = realloc(b->data, size);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->size = size;
	return 0;
}

int
text_buf_append(struct text_buf *b, const void *data, size_t len)
{
	int r;

	if (len == 0)
		return 0;
	if (len > b->max - b->len)
		return -VMFS_EPROTO;
	r = text_buf_grow(b, b->len + len);
	if (r < 0)
		return r;
	memcpy(b->data + b->len, data, len);
	b->len += len;
	return 0;
}

int
text_add(struct text_buf *b, const char *key, const char *value)
{
	size_t start = b->len;
	int r;

	r = text_buf_append(b, key, strlen(key));
	if (r == 0)
		r = text_buf_append(b, "=", 1);
	if (r == 0)
		r = text_buf_append(b, value, strlen(value) + 1);
	if (r < 0)
		b->len = start;
	return r;
}

int
text_next(struct text_buf *b, size_t *pos, struct text_pair *ret_p)
{
	char *key, *end, *eq;

	/* Some initiators pad with NULs inside the segment. */
	while (*pos < b->len && b->data[*pos] == '\0')
		(*pos)++;
	if (*pos == b->len)
		return 0;
	key = b->data + *pos;
	end = memchr(key, '\0', b->len - *pos);
	if (!end)
		return -VMFS_EPROTO;
	eq = memchr(key, '=', (size_t)(end - key));
	if (!eq || eq == key || eq - key > TEXT_KEY_MAX ||
	    end - eq - 1 > TEXT_VALUE_MAX)
		return -VMFS_EPROTO;
	*eq = '\0';
	*pos += (size_t)(end + 1 - key);
	*ret_p = (struct text_pair){ .key = key, .value = eq + 1 };
	return 1;
}

int
text_number(const char *value, uint32_t *ret_n)
{
	uint64_t n = 0;
	unsigned base = 10;

	if (value[0] == '0' && (value[1] == 'x' || value[1] == 'X')) {
		base = 16;
		value += 2;
	}
	if (!*value)
		return -EINVAL;
	for (; *value; value++) {
		unsigned digit;

		if (*value >= '0' && *value <= '9')
			digit = (unsigned)(*value - '0');
		else if ((*value | 32) >= 'a' && (*value | 32) <= 'f')
			digit = (unsigned)((*value | 32) - 'a') + 10;
		else
			return -EINVAL;
		if (digit >= base)
			return -EINVAL;
		n = n * base + digit;
		if (n > UINT32_MAX)
			return -EINVAL;
	}
	*ret_n = (uint32_t)n;
	return 0;
}
