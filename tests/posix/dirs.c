/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps on directories as a whole: many names, and changes while one reads. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/posix/play.h"

/* Long enough that a leaf has few. */
static const char *
entry_name(struct play *p, char *buf, unsigned i)
{
	(void)snprintf(buf, PATH_SIZE + 64, "%s/entry-%06u-of-many", p->path[0],
	    i);
	return buf;
}

static unsigned
entries(const struct play *p)
{
	return p->step->n != 0 ? (unsigned)p->step->n : p->r->entries;
}

static void
next_host(struct play *p)
{
	if (p->hosts > 1)
		p->host = p->r->host[p->turn++ % p->hosts];
}

/* The hosts take turns of many: each time the directory moves. */
#define AT_A_TIME 64u

static int
fill(struct play *p)
{
	char name[PATH_SIZE + 64];
	void *f;
	int rc = 0;

	for (unsigned i = 0; i < entries(p) && rc == 0; i++) {
		if (i % AT_A_TIME == 0)
			next_host(p);
		rc = VT(p, open, entry_name(p, name, i),
		    O_WRONLY | O_CREAT | O_EXCL, 0644, &f);
		if (rc == 0)
			rc = VT(p, close, f);
	}
	return rc;
}

static int
drain(struct play *p)
{
	char name[PATH_SIZE + 64];
	int rc = 0;

	for (unsigned i = 0; i < entries(p) && rc == 0; i++) {
		if (i % AT_A_TIME == 0)
			next_host(p);
		rc = VT(p, unlink, entry_name(p, name, i));
	}
	return rc;
}

/* Number in a name of entry_name; -1: none of them. */
static int
entry_of(const char *name)
{
	unsigned i;
	int end = 0;

	if (sscanf(name, "entry-%06u-of-many%n", &i, &end) != 1 ||
	    end == 0 || name[end] != '\0')
		return -1;
	return (int)i;
}

/* Everything in a directory, each number of entry_name counted in seen. */
static int
read_dir(struct play *p, uint8_t *seen, unsigned max, unsigned *ret_others)
{
	char name[256];
	void *d;
	int rc = VT(p, dir_open, p->path[0], &d), i;

	*ret_others = 0;
	if (rc < 0)
		return rc;
	while ((rc = VT(p, dir_next, d, name)) > 0) {
		i = entry_of(name);
		if (i >= 0 && (unsigned)i < max)
			seen[i]++;
		else
			++*ret_others;
	}
	VT(p, dir_close, d);
	return rc;
}

/* All entries are found by their names, and listed once. */
static int
look_all(struct play *p)
{
	unsigned max = entries(p), others;
	uint8_t *seen = calloc(max, 1);
	char name[PATH_SIZE + 64];
	struct posix_stat st;
	int rc;

	if (seen == NULL)
		abort();
	rc = read_dir(p, seen, max, &others);
	for (unsigned i = 0; i < max && rc == 0; i++)
		if (seen[i] != 1)
			rc = posix_wrong(p, "entry %u is listed %u times", i,
			    seen[i]);
	if (rc == 0 && others != 0)
		rc = posix_wrong(p, "%u names are none of ours", others);
	for (unsigned i = 0; i < max && rc == 0; i++)
		rc = VT(p, stat, entry_name(p, name, i), &st);
	free(seen);
	return rc;
}

/*
 * Reads a full directory while every second name goes and as many new ones
 * come: what stays is listed once, nothing is listed twice.
 */
static int
churn(struct play *p)
{
	unsigned max = entries(p), listed = 0;
	uint8_t *seen = calloc(2 * (size_t)max, 1);
	char name[256], path[PATH_SIZE + 64];
	void *d, *f;
	int rc, e = 0;

	if (seen == NULL)
		abort();
	rc = VT(p, dir_open, p->path[0], &d);
	if (rc < 0) {
		free(seen);
		return rc;
	}
	while (e == 0 && (rc = VT(p, dir_next, d, name)) > 0) {
		int i = entry_of(name);

		if (i >= 0 && (unsigned)i < 2 * max)
			seen[i]++;
		if (listed >= max || listed++ % 2 != 0)
			continue;
		e = VT(p, unlink, entry_name(p, path, listed - 1));
		if (e == 0)
			e = VT(p, open, entry_name(p, path, max + listed - 1),
			    O_WRONLY | O_CREAT | O_EXCL, 0644, &f);
		if (e == 0)
			e = VT(p, close, f);
	}
	VT(p, dir_close, d);
	rc = rc < 0 ? rc : e;
	for (unsigned i = 0; i < 2 * max && rc == 0; i++)
		if (seen[i] > 1 || (i < max && i % 2 != 0 && seen[i] != 1))
			rc = posix_wrong(p, "entry %u is listed %u times", i,
			    seen[i]);
	free(seen);
	return rc;
}

int
posix_dir_change(struct play *p, const struct posix_step *s)
{
	switch (s->op) {
	case OP_FILL:
		return fill(p);
	case OP_DRAIN:
		return drain(p);
	default:
		return churn(p);
	}
}

/* s->b: all names, in any order, with a blank behind each. */
static int
look_list(struct play *p, const struct posix_step *s)
{
	size_t want = 0, found = 0;
	char name[256];
	void *d;
	int rc = VT(p, dir_open, p->path[0], &d);

	if (rc < 0)
		return rc;
	for (const char *c = s->b; *c != '\0'; c++)
		want += *c == ' ';
	while ((rc = VT(p, dir_next, d, name)) > 0) {
		const char *at = s->b;
		size_t len = strlen(name);

		while (strncmp(at, name, len) != 0 || at[len] != ' ') {
			at += strcspn(at, " ");
			if (*at == '\0')
				break;
			at++;
		}
		if (*at == '\0')
			rc = posix_wrong(p, "it lists %s", name);
		found++;
		if (rc < 0)
			break;
	}
	VT(p, dir_close, d);
	if (rc == 0 && found != want)
		rc = posix_wrong(p, "lists %zu names", found);
	return rc;
}

int
posix_dir_look(struct play *p, const struct posix_step *s)
{
	return s->op == OP_LIST ? look_list(p, s) : look_all(p);
}

/* One name after the other, from the beginning each time. */
int
posix_remove_all(struct play *p, const char *path)
{
	char name[256], *sub = malloc(PATH_SIZE + 256);
	struct posix_stat st;
	void *d;
	int rc = 0;

	if (sub == NULL)
		abort();
	for (;;) {
		rc = VT(p, dir_open, path, &d);
		if (rc < 0)
			break;
		rc = VT(p, dir_next, d, name);
		VT(p, dir_close, d);
		if (rc <= 0)
			break;
		(void)snprintf(sub, PATH_SIZE + 256, "%s/%s", path, name);
		rc = VT(p, stat, sub, &st);
		if (rc == 0)
			rc = st.type == S_IFDIR ? posix_remove_all(p, sub) :
			    VT(p, unlink, sub);
		if (rc < 0)
			break;
	}
	free(sub);
	return rc < 0 ? rc : VT(p, rmdir, path);
}
