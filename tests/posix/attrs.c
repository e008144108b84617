/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps on extended attributes. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "tests/posix/play.h"

#define VALUE_MAX 65536

/* s->n bytes that depend on the name and s->mode. */
static void
value_of(const struct posix_step *s, uint8_t *buf)
{
	for (int64_t i = 0; i < s->n; i++)
		buf[i] = (uint8_t)(s->mode + (unsigned char)s->b[5] +
		    (uint64_t)i * 7);
}

int
posix_attr_change(struct play *p, const struct posix_step *s)
{
	static uint8_t buf[VALUE_MAX];

	if (s->op == OP_RMX)
		return VT(p, removexattr, p->path[0], s->b);
	value_of(s, buf);
	return VT(p, setxattr, p->path[0], s->b, buf, (size_t)s->n,
	    (int)s->at);
}

static int
look_value(struct play *p, const struct posix_step *s)
{
	static uint8_t buf[VALUE_MAX], want[VALUE_MAX];
	int64_t n = VT(p, getxattr, p->path[0], s->b, buf, sizeof(buf));

	if (n < 0)
		return (int)n;
	value_of(s, want);
	if (n != s->n || memcmp(buf, want, (size_t)n) != 0)
		return posix_wrong(p, "%s has another value of %" PRId64
		    " bytes", s->b, n);
	n = VT(p, getxattr, p->path[0], s->b, buf, 0);
	if (n != s->n)
		return posix_wrong(p, "%s is said to have %" PRId64 " bytes",
		    s->b, n);
	if (s->n > 1 && VT(p, getxattr, p->path[0], s->b, buf, 1) != -ERANGE)
		return posix_wrong(p, "%s fits into 1 byte", s->b);
	return 0;
}

/* Names of ours: a machine may have added labels of its own. */
static bool
is_ours(const char *name)
{
	return strncmp(name, "user.", 5) == 0 ||
	    strncmp(name, "trusted.", 8) == 0;
}

static int
look_names(struct play *p, const struct posix_step *s)
{
	static char buf[VALUE_MAX];
	int64_t n = VT(p, listxattr, p->path[0], buf, sizeof(buf));
	size_t found = 0, want = 0;

	if (n < 0)
		return (int)n;
	for (const char *c = s->b; *c != '\0'; c++)
		want += *c == ' ';
	for (const char *at = buf; at < buf + n; at += strlen(at) + 1) {
		const char *in = strstr(s->b, at);

		if (!is_ours(at))
			continue;
		found++;
		if (in == NULL || in[strlen(at)] != ' ')
			return posix_wrong(p, "it has %s", at);
	}
	return found == want ? 0 : posix_wrong(p, "it has %zu names", found);
}

int
posix_attr_look(struct play *p, const struct posix_step *s)
{
	return s->op == OP_GETX ? look_value(p, s) : look_names(p, s);
}
