/* SPDX-License-Identifier: BSD-2-Clause */
/* Characters, see utf8.h. */
#include "libvmfs/base/utf8.h"

size_t
utf8_character(const char *s, uint32_t *ret_c)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)s;
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	uint32_t c = n == 1 ? p[0] : p[0] & 0xffu >> (n + 1);

	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if ((p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4 || c < least[n] ||
	    c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*ret_c = c;
	return n;
}
