/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands that make, change, resize, remove and show LUNs of the target. */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libvmfs/base/units.h"
#include "vmfsd/call.h"
#include "vmfsd/cmd_box.h"
#include "vmfsd/lun_row.h"

static int
get_lun(json_t *args, char ret_key[16], unsigned *ret_lun, char *msg)
{
	const char *text;
	char *end;
	unsigned long n;
	int rc = cmd_box_get(args, "lun", &text, msg);

	if (rc < 0)
		return rc;
	n = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end != '\0' ||
	    n >= SCSI_LUNS_MAX) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "LUN '%.64s': expected "
		    "0 to %d", text, SCSI_LUNS_MAX - 1);
		return -EINVAL;
	}
	(void)snprintf(ret_key, 16, "lun.%lu", n);
	*ret_lun = (unsigned)n;
	return 0;
}

/* ---- lines of the file ---- */

/* A file that is not there yet; *ret_made: it is ours to remove. */
static int
make_file(const char *source, const char *text, bool *ret_made, char *msg)
{
	uint64_t size;
	char path[4096];
	int fd, rc = 0;

	(void)snprintf(path, sizeof(path), "%.*s", (int)strcspn(source, ","),
	    source);
	if (path[0] != '/') {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "'%.200s': only a file, "
		    "named by its whole path, is made; leave the size out, or "
		    "give the path of a new file", path);
		return -EINVAL;
	}
	if (size_parse(text, &size) < 0 || size == 0 || size % 4096 != 0) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "'%.64s': expected the "
		    "size of a new file, as in 40G, whole 4 KiB", text);
		return -EINVAL;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0) {
		rc = -errno;
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "cannot make '%.1000s' "
		    "of %s: %s", path, text, strerror(errno));
		if (fd >= 0)
			(void)unlink(path);
	}
	if (fd >= 0)
		(void)close(fd);
	*ret_made = rc == 0;
	return rc;
}

struct made {
	struct exports *e;
	char path[4096];
};

static int
made_is_used(void *arg)
{
	struct made *m = arg;

	list_for_each(node, tmp, &m->e->luns)
		if (strcmp(list_entry(node, struct export_lun,
		    node)->conf->source, m->path) == 0)
			return 1;
	return 0;
}

/* A command can fail when the target is changed already, as where the
 * configuration cannot be replaced: then initiators may write to it. */
static void
unmake_file(struct exports *e, const char *source)
{
	struct made m = { .e = e };

	(void)snprintf(m.path, sizeof(m.path), "%.*s",
	    (int)strcspn(source, ","), source);
	if (e->reactor == NULL || call_on(e->env.sched, made_is_used, &m) == 0)
		(void)unlink(m.path);
}

static int
lun_edit(struct daemon *d, json_t *args, enum conf_edit_what what, char *msg)
{
	struct conf_edit e = { .what = what, .section = "target" };
	const char *size = json_string_value(json_object_get(args, "size"));
	char key[16], with[24] = "";
	unsigned lun;
	bool made = false;
	int rc = cmd_box_get(args, "iqn", &e.argument, msg);

	e.key = key;
	if (rc == 0)
		rc = get_lun(args, key, &lun, msg);
	if (rc == 0 && what != CONF_EDIT_REMOVE)
		rc = cmd_box_get(args, "source", &e.value, msg);
	if (rc == 0 && size != NULL)
		rc = make_file(e.value, size, &made, msg);
	if (rc < 0)
		return rc;
	if (what != CONF_EDIT_ADD)
		(void)snprintf(with, sizeof(with), " with LUN %u", lun);
	rc = cmd_box_change(d, args, &e, 1, msg, "target '%s'%s", e.argument,
	    with);
	if (rc < 0 && made)
		unmake_file(&d->exports, e.value);
	return rc;
}

static int
cmd_lun_create(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	(void)ret_result;
	return lun_edit(d, args, CONF_EDIT_ADD, msg);
}

static int
cmd_lun_change(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	(void)ret_result;
	return lun_edit(d, args, CONF_EDIT_CHANGE, msg);
}

static int
cmd_lun_remove(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	(void)ret_result;
	return lun_edit(d, args, CONF_EDIT_REMOVE, msg);
}

/* ---- all about one ---- */

struct info_call {
	struct exports *e;
	const char *iqn;
	unsigned lun;
	json_t *record;
};

static void
count_session(void *arg, const struct iscsi_session_info *s)
{
	struct info_call *c = arg;
	json_t *count = json_object_get(c->record, "sessions");

	if (strcmp(s->target, c->iqn) == 0)
		(void)json_integer_set(count, json_integer_value(count) + 1);
}

static int
info_fiber(void *arg)
{
	struct info_call *c = arg;
	struct conf_target *t = conf_find_target(c->e->conf, c->iqn);
	struct conf_lun *l = t != NULL ? conf_find_lun(t, c->lun) : NULL;

	if (l == NULL)
		return -ENOENT;
	c->record = lun_record(c->iqn, l,
	    exports_find(c->e, c->iqn, c->lun));
	(void)json_object_set_new(c->record, "sessions", json_integer(0));
	iscsi_server_sessions(c->e->server, count_session, c);
	return 0;
}

static int
no_lun(const char *iqn, unsigned lun, char *msg)
{
	(void)snprintf(msg, CTL_MESSAGE_SIZE, "there is no LUN %u in target "
	    "'%.223s'; see vmfsctl lun ls", lun, iqn);
	return -ENOENT;
}

static int
cmd_lun_info(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	struct info_call c = { .e = &d->exports };
	char key[16];
	int rc = cmd_box_get(args, "iqn", &c.iqn, msg);

	if (rc == 0)
		rc = get_lun(args, key, &c.lun, msg);
	if (rc < 0)
		return rc;
	rc = c.e->reactor != NULL ?
	    call_on(c.e->env.sched, info_fiber, &c) : -ENOENT;
	if (rc == -ENOENT)
		return no_lun(c.iqn, c.lun, msg);
	if (rc == 0)
		*ret_result = json_pack("{s:o}", "info", c.record);
	return rc;
}

/* ---- size of a LUN ---- */

struct resize {
	struct exports *e;
	const char *iqn;
	unsigned lun;
	bool refresh;
	char source[4096];
	struct disk_info info;
};

/* Other units of the same source are told as well.  Sources are asked, which
 * takes its time: whoever calls has the box's mutex, so that no unit goes. */
static int
resize_fiber(void *arg)
{
	struct resize *r = arg;
	struct export_lun *x = exports_find(r->e, r->iqn, r->lun);
	int rc = 0;

	if (x == NULL)
		return -ENOENT;
	(void)snprintf(r->source, sizeof(r->source), "%s", x->conf->source);
	list_for_each(node, tmp, &r->e->luns) {
		struct export_lun *y = list_entry(node, struct export_lun,
		    node);

		if (r->refresh && rc == 0 &&
		    strcmp(y->conf->source, r->source) == 0)
			rc = scsi_lu_refresh(y->lu);
	}
	r->info = x->disk->info;
	return rc;
}

static int
grow_file(const struct resize *r, const char *text, char *msg)
{
	uint64_t size;
	char now[SIZE_TEXT_SIZE];
	int fd, rc = 0;

	if (strncmp(r->source, "ram:", 4) == 0 ||
	    strncmp(r->source, "null:", 5) == 0) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "a LUN of memory keeps "
		    "its size; make another one by vmfsctl lun create");
		return -EINVAL;
	}
	if (strcmp(r->info.kind, "file") != 0) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "only a file is resized "
		    "here; change '%.1000s' where it is, then run lun resize "
		    "without a size", r->info.name);
		return -EINVAL;
	}
	if (size_parse(text, &size) < 0 || size % r->info.block_size != 0 ||
	    size > INT64_MAX) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "'%.64s': expected a "
		    "size of whole blocks, as in 40G", text);
		return -EINVAL;
	}
	if (size < r->info.size_bytes) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "the LUN has %s already, "
		    "and what shrinks loses data; make a new one",
		    size_text(r->info.size_bytes, now));
		return -EINVAL;
	}
	fd = open(r->source, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0) {
		rc = -errno;
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "cannot grow '%.1000s' "
		    "to %s: %s", r->source, text, strerror(errno));
	}
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

/* With the box's mutex. */
static int
resize(struct resize *r, const char *size, char *msg)
{
	int rc = r->e->reactor != NULL ?
	    call_on(r->e->env.sched, resize_fiber, r) : -ENOENT;

	if (rc == 0 && size != NULL)
		rc = grow_file(r, size, msg);
	r->refresh = true;
	if (rc == 0)
		rc = call_on(r->e->env.sched, resize_fiber, r);
	return rc;
}

static int
cmd_lun_resize(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	struct resize r = { .e = &d->exports };
	const char *size = json_string_value(json_object_get(args, "size"));
	char key[16];
	int rc = cmd_box_get(args, "iqn", &r.iqn, msg);

	if (rc == 0)
		rc = get_lun(args, key, &r.lun, msg);
	if (rc < 0)
		return rc;
	(void)pthread_mutex_lock(&d->box.mutex);
	rc = resize(&r, size, msg);
	(void)pthread_mutex_unlock(&d->box.mutex);
	if (rc == -ENOENT && msg[0] == '\0')
		return no_lun(r.iqn, r.lun, msg);
	if (rc < 0 && msg[0] == '\0')
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "cannot read the size "
		    "of LUN %u of '%.223s': %s", r.lun, r.iqn,
		    vmfs_strerror(rc));
	if (rc == 0)
		*ret_result = json_pack("{s:I}", "size",
		    (json_int_t)r.info.size_bytes);
	return rc;
}

const struct command commands_lun[] = {
	{ "lun.create", cmd_lun_create },
	{ "lun.change", cmd_lun_change },
	{ "lun.info", cmd_lun_info },
	{ "lun.resize", cmd_lun_resize },
	{ "lun.remove", cmd_lun_remove },
	{ NULL, NULL },
};
