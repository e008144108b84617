/* SPDX-License-Identifier: BSD-2-Clause */
/* Line editor of configurations, see conf_edit.h. */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmfsd/conf_edit.h"

enum line_kind { LINE_BLANK, LINE_COMMENT, LINE_HEADER, LINE_KEY };

struct span {
	const char *p;
	size_t len;
};

struct line {
	struct span text;	/* with its newline */
	enum line_kind kind;
	struct span name, value; /* key and value; section and argument */
	bool in;		/* belongs to the section looked for */
};

struct lines {
	struct line *at;
	size_t count;
};

static struct span
trim(const char *p, const char *end)
{
	while (p < end && isspace((unsigned char)*p))
		p++;
	while (end > p && isspace((unsigned char)end[-1]))
		end--;
	return (struct span){ p, (size_t)(end - p) };
}

static bool
span_is(struct span s, const char *text)
{
	return strlen(text) == s.len && memcmp(s.p, text, s.len) == 0;
}

static struct line
line_parse(const char *p, size_t len)
{
	struct line l = { .text = { p, len } };
	struct span s = trim(p, p + len);
	const char *end = s.p + s.len, *sep;

	if (s.len == 0)
		return l;
	if (*s.p == '#' || *s.p == ';') {
		l.kind = LINE_COMMENT;
	} else if (*s.p == '[') {
		l.kind = LINE_HEADER;
		if (end[-1] == ']')
			end--;
		s = trim(s.p + 1, end);
		for (sep = s.p; sep < s.p + s.len && *sep != ' ' &&
		    *sep != '\t'; sep++)
			;
		l.name = (struct span){ s.p, (size_t)(sep - s.p) };
		l.value = trim(sep, s.p + s.len);
	} else {
		sep = memchr(s.p, '=', s.len);
		l.kind = LINE_KEY;
		l.name = trim(s.p, sep != NULL ? sep : end);
		l.value = sep != NULL ? trim(sep + 1, end) :
		    (struct span){ end, 0 };
	}
	return l;
}

static bool
header_is(const struct line *l, const struct conf_edit *e)
{
	return span_is(l->name, e->section) &&
	    span_is(l->value, e->argument != NULL ? e->argument : "");
}

static int
split(const char *text, const struct conf_edit *e, struct lines *ret_l)
{
	struct lines l = { .count = 1 };
	bool in = false;

	for (const char *p = text; *p != '\0'; p++)
		l.count += *p == '\n';
	l.at = calloc(l.count, sizeof(*l.at));
	if (l.at == NULL)
		return -ENOMEM;
	l.count = 0;
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		struct line *line = &l.at[l.count++];

		len += text[len] == '\n';
		*line = line_parse(text, len);
		text += len;
		if (line->kind == LINE_HEADER)
			in = header_is(line, e);
		line->in = in;
	}
	*ret_l = l;
	return 0;
}

/* What stands before the next header is said of that one. */
static void
leave_comments(struct lines *l)
{
	for (size_t i = l->count; i-- > 1;) {
		if (l->at[i].kind == LINE_HEADER || (!l->at[i].in &&
		    l->at[i].kind == LINE_COMMENT)) {
			if (l->at[i - 1].kind == LINE_COMMENT)
				l->at[i - 1].in = false;
		}
	}
}

static bool
value_matches(struct span value, const char *match)
{
	size_t len = match != NULL ? strlen(match) : 0;

	if (match == NULL)
		return true;
	return value.len >= len && memcmp(value.p, match, len) == 0 &&
	    (value.len == len || value.p[len] == ',');
}

/* Index of the line to change, or count. */
static size_t
find_line(const struct lines *l, const struct conf_edit *e)
{
	size_t i;

	for (i = 0; i < l->count; i++)
		if (l->at[i].in && l->at[i].kind == LINE_KEY &&
		    span_is(l->at[i].name, e->key) &&
		    value_matches(l->at[i].value, e->match))
			break;
	return i;
}

/* Alike as far as the first dot: lun.0 and lun.1. */
static bool
same_kind(struct span name, const char *key)
{
	size_t len = strcspn(key, ".") + (strchr(key, '.') != NULL);

	return name.len >= len && memcmp(name.p, key, len) == 0 &&
	    (key[len - 1] == '.' || name.len == len);
}

/* Behind the last line of its kind, else behind the last of the section. */
static size_t
find_place(const struct lines *l, const struct conf_edit *e)
{
	size_t place = 0, like = 0;

	for (size_t i = 0; i < l->count; i++) {
		const struct line *line = &l->at[i];

		if (!line->in || line->kind == LINE_BLANK ||
		    line->kind == LINE_COMMENT)
			continue;
		place = i + 1;
		if (line->kind == LINE_KEY && same_kind(line->name, e->key))
			like = i + 1;
	}
	return like != 0 ? like : place;
}

static void
put_line(FILE *out, const struct line *l)
{
	(void)fwrite(l->text.p, 1, l->text.len, out);
}

/* The last line of a file may lack its newline. */
static void
put_newline(FILE *out, const struct lines *l, size_t before)
{
	const struct span *s = before > 0 ? &l->at[before - 1].text : NULL;

	if (s != NULL && s->p[s->len - 1] != '\n')
		(void)fputc('\n', out);
}

static void
put_header(FILE *out, const struct lines *l, const struct conf_edit *e)
{
	for (size_t i = 0; i < l->count; i++)
		put_line(out, &l->at[i]);
	put_newline(out, l, l->count);
	(void)fprintf(out, "%s[%s%s%s]\n", l->count > 0 ? "\n" : "",
	    e->section, e->argument != NULL ? " " : "",
	    e->argument != NULL ? e->argument : "");
}

static void
put_inserted(FILE *out, const struct lines *l, const struct conf_edit *e,
    size_t place)
{
	for (size_t i = 0; i <= l->count; i++) {
		if (i == place) {
			put_newline(out, l, i);
			(void)fprintf(out, "%s = %s\n", e->key, e->value);
		}
		if (i < l->count)
			put_line(out, &l->at[i]);
	}
}

/* skip: the line that is replaced, by nothing when value is NULL. */
static void
put_replaced(FILE *out, const struct lines *l, const struct conf_edit *e,
    size_t skip, const char *value)
{
	for (size_t i = 0; i < l->count; i++)
		if (i != skip)
			put_line(out, &l->at[i]);
		else if (value != NULL)
			(void)fprintf(out, "%s = %s\n", e->key, value);
}

static void
put_outside(FILE *out, struct lines *l)
{
	leave_comments(l);
	for (size_t i = 0; i < l->count; i++)
		if (!l->at[i].in)
			put_line(out, &l->at[i]);
}

static int
edit_line(FILE *out, const struct lines *l, const struct conf_edit *e)
{
	size_t place = find_place(l, e), at = find_line(l, e);

	if (at == l->count && (e->what == CONF_EDIT_REMOVE ||
	    e->what == CONF_EDIT_CHANGE))
		return -ENOENT;
	if (place == 0 && e->argument == NULL) {
		put_header(out, l, e);
		(void)fprintf(out, "%s = %s\n", e->key, e->value);
		return 0;
	}
	if (place == 0)
		return -ENOENT;
	if (e->what == CONF_EDIT_ADD || at == l->count)
		put_inserted(out, l, e, place);
	else
		put_replaced(out, l, e, at,
		    e->what != CONF_EDIT_REMOVE ? e->value : NULL);
	return 0;
}

static int
edit(FILE *out, struct lines *l, const struct conf_edit *e)
{
	bool there = false;

	for (size_t i = 0; i < l->count; i++)
		there |= l->at[i].in;
	switch (e->what) {
	case CONF_EDIT_ADD_SECTION:
		if (there)
			return -EEXIST;
		put_header(out, l, e);
		return 0;
	case CONF_EDIT_REMOVE_SECTION:
		if (!there)
			return -ENOENT;
		put_outside(out, l);
		return 0;
	case CONF_EDIT_ADD:
	case CONF_EDIT_SET:
	case CONF_EDIT_CHANGE:
	case CONF_EDIT_REMOVE:
		return edit_line(out, l, e);
	}
	return -EINVAL;
}

int
conf_edit(const char *text, const struct conf_edit *e, char **ret_text)
{
	struct lines l;
	char *new = NULL;
	size_t size = 0;
	FILE *out;
	int rc = split(text, e, &l);

	if (rc < 0)
		return rc;
	out = open_memstream(&new, &size);
	rc = out != NULL ? edit(out, &l, e) : -ENOMEM;
	if (out != NULL && fclose(out) != 0 && rc == 0)
		rc = -ENOMEM;
	free(l.at);
	if (rc < 0)
		free(new);
	else
		*ret_text = new;
	return rc;
}
