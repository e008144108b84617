/* SPDX-License-Identifier: BSD-2-Clause */
/* Configuration file and running target together, see box.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libvmfs/base/cleanup.h"
#include "vmfsd/box.h"
#include "vmfsd/conf_apply.h"
#include "vmfsd/keep.h"

static int PRINTF_LIKE(3, 4)
fail(char *why, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, BOX_WHY_SIZE, fmt, ap);
	va_end(ap);
	return error;
}

static int
parse(const char *text, const char *secrets, const char *name,
    struct conf **ret_c, char *why)
{
	struct conf *c = calloc(1, sizeof(*c));
	int rc = c != NULL ? conf_read_text(text, secrets, name, c, why) :
	    -ENOMEM;

	if (rc < 0)
		free(c);
	else
		*ret_c = c;
	return rc;
}

static void
conf_free(struct conf *c)
{
	if (c != NULL)
		conf_fini(c);
	free(c);
}

/* All of it is known or nothing: without, nothing can be changed. */
static void
start_with(struct box *b, const char *text, const char *secrets)
{
	char why[BOX_WHY_SIZE];

	if (parse(text, secrets, b->path, &b->start, why) == 0)
		b->start_text = strdup(text);
	if (b->start_text != NULL)
		return;
	conf_free(b->start);
	b->start = NULL;
	free(b->text);
	b->text = NULL;
}

void
box_init(struct box *b, const char *path, const struct conf_kept *kept,
    struct exports *e, struct log *log)
{
	*b = (struct box){ .exports = e, .log = log };
	/* The working directory changes in the background. */
	b->path = realpath(path, NULL);
	if (b->path == NULL)
		b->path = strdup(path);
	(void)pthread_mutex_init(&b->mutex, NULL);
	if (b->path != NULL && kept->text != NULL) {
		b->text = strdup(kept->file);
		b->next = kept->next != NULL ? strdup(kept->next) : NULL;
		start_with(b, kept->text, kept->secrets);
	} else if (b->path != NULL && conf_file_read(b->path, &b->text) == 0) {
		start_with(b, b->text, NULL);
	}
}

void
box_fini(struct box *b)
{
	free(b->path);
	free(b->text);
	free(b->next);
	free(b->start_text);
	conf_free(b->start);
	(void)pthread_mutex_destroy(&b->mutex);
}

/* Under the mutex. */
static void
leave(const struct box *b)
{
	int fd, rc;

	if (!keep_is_worker() || b->text == NULL || b->start_text == NULL)
		return;
	rc = conf_kept_make(b->start_text, b->exports->conf, b->text, b->next,
	    &fd);
	if (rc == 0) {
		rc = keep_put(CONF_KEPT_NAME, fd);
		(void)close(fd);
	}
	if (rc < 0)
		log_warn(b->log, "vmfsd: the next worker would not know of "
		    "the last change of the configuration: %s",
		    vmfs_strerror(rc));
}

void
box_leave(struct box *b)
{
	(void)pthread_mutex_lock(&b->mutex);
	leave(b);
	(void)pthread_mutex_unlock(&b->mutex);
}

/* The file is text, which is the box's now, and nothing else. */
static void
know(struct box *b, char *text)
{
	free(b->text);
	b->text = text;
	free(b->next);
	b->next = NULL;
}

static int
read_file(const struct box *b, char **ret_text, char *why)
{
	int rc = conf_file_read(b->path, ret_text);

	if (rc == 0 && b->text != NULL)
		return 0;
	return fail(why, rc < 0 ? rc : -ENOENT, "cannot read the "
	    "configuration '%s'%s%s: nothing can be changed", b->path,
	    rc < 0 ? ": " : "", rc < 0 ? vmfs_strerror(rc) : "");
}

/* ---- changes by command ---- */

/* What the admin wrote by hand is not put in force by another command. */
static int
check_unchanged(const struct box *b, const char *text, char *why)
{
	if (strcmp(text, b->text) == 0 ||
	    (b->next != NULL && strcmp(text, b->next) == 0))
		return 0;
	return fail(why, -EBUSY, "'%s' was changed since it was read; run "
	    "vmfsctl reload first (--dry-run shows what it would do)",
	    b->path);
}

static int
edit_all(const struct conf_edit *edits, size_t count, const char *text,
    char **ret_text)
{
	char *now = strdup(text), *next;
	int rc = now != NULL ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < count; i++) {
		rc = conf_edit(now, &edits[i], &next);
		if (rc < 0)
			break;
		free(now);
		now = next;
	}
	if (rc < 0)
		free(now);
	else
		*ret_text = now;
	return rc;
}

static int
apply_all(struct box *b, struct conf *next, bool force, char *why)
{
	struct conf_changes c;
	int rc = conf_diff(b->exports->conf, next, &c);

	if (rc < 0)
		return rc;
	rc = conf_apply(b->exports, next, &c, force, false);
	if (rc < 0)
		(void)fail(why, rc, "%s", b->exports->why);
	for (size_t i = 0; rc > 0 && i < c.count; i++)
		if (c.at[i].result < 0)
			rc = fail(why, c.at[i].result, "%s", c.at[i].why);
	conf_changes_fini(&c);
	return rc;
}

static int
commit(struct box *b, const char *text)
{
	/* If we die in between: nobody has edited it. */
	free(b->next);
	b->next = strdup(text);
	leave(b);
	return conf_file_commit(b->path);
}

/* The file is ready before the target changes, and in place after it did. */
static int
change_both(struct box *b, const char *text, bool force, char *why)
{
	struct conf *next;
	int rc = parse(text, NULL, b->path, &next, why);

	if (rc < 0)
		return rc;
	rc = conf_file_prepare(b->path, text);
	if (rc < 0) {
		(void)fail(why, rc, "cannot write '%s.new': %s; nothing was "
		    "changed", b->path, vmfs_strerror(rc));
	} else {
		rc = apply_all(b, next, force, why);
		if (rc >= 0)
			rc = commit(b, text);
		if (rc < 0)
			conf_file_drop(b->path);
		if (rc < 0 && why[0] == '\0')
			(void)fail(why, rc, "changed until the next start "
			    "only: cannot replace '%s': %s", b->path,
			    vmfs_strerror(rc));
	}
	conf_free(next);
	return rc;
}

static int
change(struct box *b, const struct conf_edit *edits, size_t count,
    bool force, char *why)
{
	cleanup_free char *text = NULL;
	char *new = NULL;
	int rc = read_file(b, &text, why);

	if (rc == 0)
		rc = check_unchanged(b, text, why);
	if (rc == 0)
		rc = edit_all(edits, count, text, &new);
	if (rc < 0)
		return rc;
	rc = change_both(b, new, force, why);
	if (rc < 0) {
		free(new);
		return rc;
	}
	know(b, new);
	return 0;
}

int
box_change_held(struct box *b, const struct conf_edit *edits, size_t count,
    bool force, char *why)
{
	int rc;

	why[0] = '\0';
	rc = change(b, edits, count, force, why);
	/* Some of it may be in force although it failed. */
	leave(b);
	return rc;
}

int
box_change(struct box *b, const struct conf_edit *edits, size_t count,
    bool force, char *why)
{
	int rc;

	(void)pthread_mutex_lock(&b->mutex);
	rc = box_change_held(b, edits, count, force, why);
	(void)pthread_mutex_unlock(&b->mutex);
	return rc;
}

/* ---- changes by hand ---- */

static int
reload(struct box *b, bool force, bool dry, struct conf_changes *c, char *why)
{
	struct conf *next = NULL;
	char *text = NULL;
	int rc = read_file(b, &text, why);

	if (rc == 0)
		rc = parse(text, NULL, b->path, &next, why);
	if (rc == 0)
		rc = conf_diff(b->exports->conf, next, c);
	if (rc == 0)
		rc = conf_diff_restart(b->start, next, c);
	if (rc == 0) {
		rc = conf_apply(b->exports, next, c, force, dry);
		if (rc < 0)
			(void)fail(why, rc, "%s", b->exports->why);
	}
	if (rc >= 0 && !dry) {
		exports_retry(b->exports);
		know(b, text);
		text = NULL;
	}
	free(text);
	conf_free(next);
	return rc < 0 ? rc : 0;
}

int
box_reload(struct box *b, bool force, bool dry, struct conf_changes *ret_c,
    char *why)
{
	struct conf_changes c = { .count = 0 };
	int rc;

	why[0] = '\0';
	(void)pthread_mutex_lock(&b->mutex);
	rc = reload(b, force, dry, &c, why);
	if (!dry)
		leave(b);
	(void)pthread_mutex_unlock(&b->mutex);
	if (rc < 0)
		conf_changes_fini(&c);
	else
		*ret_c = c;
	return rc;
}
