/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands behind "allow =", see conf_allow.h. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "vmfsd/conf_allow.h"

static int PRINTF_LIKE(3, 4)
refuse(char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* LUN number at *p, which moves behind it; -1: there is none. */
static int
number_at(const char **p)
{
	char *end;
	unsigned long n;

	if (!isdigit((unsigned char)**p))
		return -1;
	n = strtoul(*p, &end, 10);
	*p = end;
	return n < SCSI_LUNS_MAX ? (int)n : -1;
}

/* M=N or M=N:ro. */
static bool
map_entry(struct scsi_view *v, const char *p)
{
	int seen = number_at(&p), lun;
	bool readonly;

	if (seen < 0 || *p++ != '=')
		return false;
	lun = number_at(&p);
	readonly = strcmp(p, ":ro") == 0;
	if (lun < 0 || (*p != '\0' && !readonly) || v->luns[seen].shown)
		return false;
	v->luns[seen].shown = true;
	v->luns[seen].lun = (uint8_t)lun;
	v->luns[seen].readonly = readonly;
	return true;
}

/* 1: it is one of these options; 0: it is not; -1: too long, or empty. */
static int
chap_option(struct conf_allow *a, const char *o)
{
	const struct {
		const char *name;
		char *to;
		size_t size;
	} known[] = {
		{ "chap=", a->in.user, sizeof(a->in.user) },
		{ "chap-secret-file=", a->in.file, sizeof(a->in.file) },
		{ "mutual=", a->out.user, sizeof(a->out.user) },
		{ "mutual-secret-file=", a->out.file, sizeof(a->out.file) },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t len = strlen(known[i].name);

		if (strncmp(o, known[i].name, len) != 0)
			continue;
		if (o[len] == '\0' || strlen(o + len) >= known[i].size)
			return -1;
		strcpy(known[i].to, o + len);
		return 1;
	}
	return 0;
}

void
conf_allow_sees(const char *text, char *buf, size_t size)
{
	struct conf_allow scratch;
	const char *p = text + strcspn(text, ",");
	size_t used = 0;
	char option[1100];

	buf[0] = '\0';
	while (*p++ == ',') {
		size_t len = strcspn(p, ",");

		(void)snprintf(option, sizeof(option), "%.*s", (int)len, p);
		if (chap_option(&scratch, option) == 0 && used < size)
			used += (size_t)snprintf(buf + used, size - used,
			    "%s%s", used > 0 ? "," : "", option);
		p += len;
	}
	if (buf[0] == '\0')
		(void)snprintf(buf, size, "all");
}

int
conf_allow_parse(const char *text, struct conf_allow *ret_a, char *why,
    size_t why_size)
{
	cleanup_free char *copy = strdup(text);
	struct conf_allow a = { .all = true };
	bool readonly = false, mapped = false;
	char *save = NULL, *pattern;
	int chap;

	if (copy == NULL)
		return -ENOMEM;
	pattern = strtok_r(copy, ",", &save);
	if (pattern == NULL || strlen(pattern) > SCSI_NAME_MAX ||
	    strcspn(pattern, " \t=") != strlen(pattern))
		return refuse(why, why_size, "'%.200s': expected an "
		    "initiator's name, or a pattern with '*'", text);
	(void)snprintf(a.pattern, sizeof(a.pattern), "%s", pattern);
	for (char *o; (o = strtok_r(NULL, ",", &save)) != NULL;) {
		if (strcmp(o, "readonly") == 0 || strcmp(o, "ro") == 0)
			readonly = true;
		else if ((chap = chap_option(&a, o)) < 0)
			return refuse(why, why_size, "'%.64s': expected a "
			    "user or file name behind '='", o);
		else if (chap == 0 && !map_entry(&a.view, o))
			return refuse(why, why_size, "'%.64s' of '%.200s': "
			    "expected readonly, M=N or M=N:ro for the target's "
			    "LUN N, seen once as M, or chap=, "
			    "chap-secret-file=, mutual=, mutual-secret-file=",
			    o, text);
		else
			mapped |= chap == 0;
	}
	for (unsigned i = 0; i < SCSI_LUNS_MAX; i++) {
		if (!mapped) {
			a.view.luns[i].shown = true;
			a.view.luns[i].lun = (uint8_t)i;
		}
		a.view.luns[i].readonly |= readonly;
	}
	a.all = !mapped && !readonly;
	*ret_a = a;
	return 0;
}
