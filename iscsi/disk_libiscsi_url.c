/* SPDX-License-Identifier: BSD-2-Clause */
/* Parser of iscsi:// URLs. */
#include "iscsi/disk_libiscsi_url.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"

#define LURL_SCHEME "iscsi://"
#define LURL_DEFAULT_PORT 3260

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

/* Copies len bytes with %XX undone; refuses NUL bytes and broken escapes. */
static int
unescape(const char *from, size_t len, char *to, size_t to_size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)from[i];

		if (c == '%') {
			int hi = i + 1 < len ? hex_value(from[i + 1]) : -1;
			int lo = i + 2 < len ? hex_value(from[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				return -EINVAL;
			c = hi << 4 | lo;
			i += 2;
		}
		if (c == '\0' || n + 1 >= to_size)
			return -EINVAL;
		to[n++] = (char)c;
	}
	to[n] = '\0';
	return 0;
}

static int
parse_number(const char *text, size_t len, unsigned long max,
    unsigned long *ret_value)
{
	unsigned long v = 0;

	if (len == 0 || len > 6)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]))
			return -EINVAL;
		v = v * 10 + (unsigned long)(text[i] - '0');
	}
	if (v > max)
		return -EINVAL;
	*ret_value = v;
	return 0;
}

static int
secret_from_file(const char *path, char *secret, size_t size)
{
	FILE *f = fopen(path, "re");
	int rc = 0;

	if (f == NULL)
		return -errno;
	if (fgets(secret, (int)size, f) == NULL)
		rc = ferror(f) ? -EIO : -EINVAL;
	else
		secret[strcspn(secret, "\r\n")] = '\0';
	fclose(f);
	return rc;
}

static int
parse_user(struct lurl *u, const char *text, size_t len)
{
	const char *percent = memchr(text, '%', len);
	size_t user_len = percent ? (size_t)(percent - text) : len;
	const char *env;
	int rc;

	if (user_len == 0 || user_len >= sizeof(u->user))
		return -EINVAL;
	memcpy(u->user, text, user_len);
	if (percent != NULL) {
		rc = unescape(percent + 1, len - user_len - 1, u->secret,
		    sizeof(u->secret));
		if (rc == 0 && u->secret[0] == '@') {
			char path[sizeof(u->secret)];

			strcpy(path, u->secret + 1);
			rc = secret_from_file(path, u->secret,
			    sizeof(u->secret));
		}
		if (rc < 0)
			return rc;
	} else {
		env = getenv("LIBISCSI_CHAP_PASSWORD");
		if (env == NULL || strlen(env) >= sizeof(u->secret))
			return -EINVAL;
		strcpy(u->secret, env);
	}
	return u->secret[0] != '\0' ? 0 : -EINVAL;
}

/* "host", "host:port", "[v6]", "[v6]:port" */
static int
parse_portal(struct lurl *u, const char *text, size_t len)
{
	const char *end = text + len;
	const char *port = NULL;
	size_t host_len;
	unsigned long v;
	int rc;

	if (len > 0 && text[0] == '[') {
		const char *close = memchr(text, ']', len);

		if (close == NULL || (close + 1 < end && close[1] != ':'))
			return -EINVAL;
		text++;
		host_len = (size_t)(close - text);
		if (close + 1 < end)
			port = close + 2;
	} else {
		const char *colon = memchr(text, ':', len);

		host_len = colon ? (size_t)(colon - text) : len;
		if (colon != NULL)
			port = colon + 1;
	}
	rc = unescape(text, host_len, u->host, sizeof(u->host));
	if (rc < 0 || u->host[0] == '\0')
		return -EINVAL;
	u->port = LURL_DEFAULT_PORT;
	if (port != NULL) {
		rc = parse_number(port, (size_t)(end - port), 65535, &v);
		if (rc < 0 || v == 0)
			return -EINVAL;
		u->port = (uint16_t)v;
	}
	return 0;
}

static int
parse_target(struct lurl *u, const char *text, size_t len)
{
	int rc = unescape(text, len, u->target, sizeof(u->target));

	if (rc < 0)
		return rc;
	if (strncmp(u->target, "iqn.", 4) != 0 &&
	    strncmp(u->target, "eui.", 4) != 0 &&
	    strncmp(u->target, "naa.", 4) != 0)
		return -EINVAL;
	return 0;
}

static void
make_name(struct lurl *u)
{
	bool v6 = strchr(u->host, ':') != NULL;
	int n;

	n = snprintf(u->name, sizeof(u->name), LURL_SCHEME "%s%s%s%s%s:%u/%s/%d",
	    u->user, u->user[0] ? "@" : "", v6 ? "[" : "", u->host,
	    v6 ? "]" : "", u->port, u->target, u->lun);
	if (n < 0 || (size_t)n >= sizeof(u->name))
		strcpy(u->name + sizeof(u->name) - 4, "...");
}

/* The URL taken apart; portals are still one text. */
struct parts {
	struct lurl u;
	const char *portals;
	size_t portals_len;
};

/* Its body up to the target; false: it is none. */
static bool
split(const char *url, const char **ret_body, const char **ret_target,
    const char **ret_lun)
{
	if (strncmp(url, LURL_SCHEME, strlen(LURL_SCHEME)) != 0)
		return false;
	*ret_body = url + strlen(LURL_SCHEME);
	/* From the end: the path of a secret's file may hold slashes. */
	*ret_lun = strrchr(*ret_body, '/');
	if (*ret_lun == NULL)
		return false;
	*ret_target = memrchr(*ret_body, '/', (size_t)(*ret_lun - *ret_body));
	return *ret_target != NULL;
}

const char *
lurl_secret(const char *url, size_t *ret_len)
{
	const char *body, *lun, *target, *at, *percent;

	if (!split(url, &body, &target, &lun))
		return NULL;
	at = memrchr(body, '@', (size_t)(target - body));
	percent = at != NULL ? memchr(body, '%', (size_t)(at - body)) : NULL;
	if (percent != NULL)
		*ret_len = (size_t)(at - percent);
	return percent;
}

static int
parse_parts(const char *url, struct parts *p)
{
	const char *body, *lun, *target, *at;
	unsigned long v;
	int rc;

	if (!split(url, &body, &target, &lun))
		return -EINVAL;
	at = memrchr(body, '@', (size_t)(target - body));
	if (at != NULL) {
		rc = parse_user(&p->u, body, (size_t)(at - body));
		if (rc < 0)
			return rc;
		body = at + 1;
	}
	p->portals = body;
	p->portals_len = (size_t)(target - body);
	rc = parse_target(&p->u, target + 1, (size_t)(lun - target - 1));
	if (rc == 0)
		rc = parse_number(lun + 1, strlen(lun + 1), LURL_LUN_MAX, &v);
	if (rc < 0)
		return rc;
	p->u.lun = (int)v;
	return 0;
}

int
lurl_parse_list(const char *url, struct lurl *ret_urls, unsigned max,
    unsigned *ret_count)
{
	cleanup_free struct parts *p = calloc(1, sizeof(*p));
	const char *text, *end;
	unsigned n = 0;
	int rc;

	if (p == NULL)
		return -ENOMEM;
	rc = parse_parts(url, p);
	if (rc < 0)
		return rc;
	text = p->portals;
	end = text + p->portals_len;
	for (;;) {
		const char *comma = memchr(text, ',', (size_t)(end - text));
		size_t len = (size_t)((comma ? comma : end) - text);

		if (n == max)
			return -E2BIG;
		rc = parse_portal(&p->u, text, len);
		if (rc < 0)
			return rc;
		make_name(&p->u);
		ret_urls[n++] = p->u;
		if (comma == NULL)
			break;
		text = comma + 1;
	}
	*ret_count = n;
	return 0;
}

int
lurl_parse(const char *url, struct lurl *ret_url)
{
	cleanup_free struct lurl *u = calloc(1, sizeof(*u));
	unsigned n;
	int rc;

	if (u == NULL)
		return -ENOMEM;
	rc = lurl_parse_list(url, u, 1, &n);
	if (rc < 0)
		return rc == -E2BIG ? -EINVAL : rc;
	*ret_url = *u;
	return 0;
}

void
lurl_portal(const struct lurl *u, char *buf, size_t size)
{
	bool v6 = strchr(u->host, ':') != NULL;

	(void)snprintf(buf, size, "%s%s%s:%u", v6 ? "[" : "", u->host,
	    v6 ? "]" : "", u->port);
}
