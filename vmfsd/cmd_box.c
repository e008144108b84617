/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands that change what the target exports. */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvmfs/base/lun_text.h"
#include "libvmfs/base/units.h"
#include "vmfsd/call.h"
#include "vmfsd/cmd.h"
#include "vmfsd/conf_allow.h"

#define SETTINGS_MAX 8

/* A line of the file is made of it. */
static int
get(json_t *args, const char *key, const char **ret_s, char *msg)
{
	int rc = cmd_string(args, key, ret_s, msg);

	for (const char *p = rc == 0 ? *ret_s : ""; *p != '\0'; p++)
		if (iscntrl((unsigned char)*p)) {
			(void)snprintf(msg, CTL_MESSAGE_SIZE,
			    "argument '%s' has a control character", key);
			return -EINVAL;
		}
	return rc;
}

static int
get_lun(json_t *args, char ret_key[16], unsigned *ret_lun, char *msg)
{
	const char *text;
	char *end;
	unsigned long n;
	int rc = get(args, "lun", &text, msg);

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

static bool
forced(json_t *args)
{
	return json_is_true(json_object_get(args, "force"));
}

/* object: what is missing, or there already. */
static int PRINTF_LIKE(6, 7)
change(struct daemon *d, json_t *args, const struct conf_edit *e,
    size_t count, char *msg, const char *object, ...)
{
	char why[BOX_WHY_SIZE], name[512];
	int rc = box_change(&d->box, e, count, forced(args), why);
	va_list ap;

	if (rc >= 0)
		return rc;
	va_start(ap, object);
	(void)vsnprintf(name, sizeof(name), object, ap);
	va_end(ap);
	if (why[0] != '\0')
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "%s", why);
	else if (rc == -ENOENT)
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "there is no %s in '%s'",
		    name, d->box.path);
	else if (rc == -EEXIST)
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "%s exists already",
		    name);
	return rc;
}

/* ---- portals ---- */

static int
portal_edit(struct daemon *d, json_t *args, enum conf_edit_what what,
    char *msg)
{
	struct conf_edit e = {
		.what = what, .section = "portal", .key = "listen",
	};
	int rc = get(args, "address", &e.value, msg);

	e.match = e.value;
	return rc < 0 ? rc : change(d, args, &e, 1, msg, "portal '%s'",
	    e.value);
}

static int
cmd_portal_create(struct daemon *d, json_t *args, json_t **ret_result,
    char *msg)
{
	(void)ret_result;
	return portal_edit(d, args, CONF_EDIT_ADD, msg);
}

static int
cmd_portal_remove(struct daemon *d, json_t *args, json_t **ret_result,
    char *msg)
{
	(void)ret_result;
	return portal_edit(d, args, CONF_EDIT_REMOVE, msg);
}

struct list_call {
	struct exports *e;
	json_t *list;
};

static int
list_portals(void *arg)
{
	struct list_call *c = arg;

	for (size_t i = 0; i < c->e->addresses; i++)
		(void)json_array_append_new(c->list, json_pack("{s:s, s:s}",
		    "portal", c->e->conf->portal[i],
		    "address", c->e->address[i]));
	return 0;
}

static int
list(struct daemon *d, int (*fn)(void *arg), const char *key,
    json_t **ret_result)
{
	struct list_call c = { &d->exports, json_array() };
	int rc = d->exports.reactor == NULL ? 0 :
	    call_on(d->exports.env.sched, fn, &c);

	*ret_result = json_pack("{s:o}", key, c.list);
	return rc;
}

static int
cmd_portal_ls(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	(void)args;
	(void)msg;
	return list(d, list_portals, "portals", ret_result);
}

/* ---- targets ---- */

static int
section_edit(struct daemon *d, json_t *args, enum conf_edit_what what,
    char *msg)
{
	struct conf_edit e = { .what = what, .section = "target" };
	int rc = get(args, "iqn", &e.argument, msg);

	return rc < 0 ? rc : change(d, args, &e, 1, msg, "target '%s'",
	    e.argument);
}

static int
cmd_target_create(struct daemon *d, json_t *args, json_t **ret_result,
    char *msg)
{
	(void)ret_result;
	return section_edit(d, args, CONF_EDIT_ADD_SECTION, msg);
}

static int
cmd_target_remove(struct daemon *d, json_t *args, json_t **ret_result,
    char *msg)
{
	(void)ret_result;
	return section_edit(d, args, CONF_EDIT_REMOVE_SECTION, msg);
}

/* KEY=VALUE; without a value the line goes. */
static int
setting(const char *text, const char *iqn, char *key, size_t key_size,
    struct conf_edit *ret_e, char *msg)
{
	const char *eq = strchr(text, '=');
	size_t len = eq != NULL ? (size_t)(eq - text) : 0;

	if (len == 0 || len >= key_size || strncmp(text, "lun.", 4) == 0 ||
	    strncmp(text, "allow=", 6) == 0) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "'%.200s': expected "
		    "KEY=VALUE with a key of vmfsd.conf(5) but lun and allow, "
		    "which have commands of their own", text);
		return -EINVAL;
	}
	memcpy(key, text, len);
	key[len] = '\0';
	*ret_e = (struct conf_edit){
		.what = eq[1] != '\0' ? CONF_EDIT_SET : CONF_EDIT_REMOVE,
		.section = "target", .argument = iqn, .key = key,
		.value = eq + 1,
	};
	return 0;
}

static int
cmd_target_change(struct daemon *d, json_t *args, json_t **ret_result,
    char *msg)
{
	struct conf_edit e[SETTINGS_MAX];
	char key[SETTINGS_MAX][64];
	const char *iqn;
	json_t *all = json_object_get(args, "settings"), *one;
	size_t i;
	int rc = get(args, "iqn", &iqn, msg);

	(void)ret_result;
	if (rc == 0 && (!json_is_array(all) || json_array_size(all) == 0 ||
	    json_array_size(all) > SETTINGS_MAX)) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "expected 1 to %d "
		    "settings KEY=VALUE", SETTINGS_MAX);
		return -EINVAL;
	}
	json_array_foreach(all, i, one) {
		const char *text = json_string_value(one);

		if (rc == 0)
			rc = setting(text != NULL ? text : "", iqn, key[i],
			    sizeof(key[i]), &e[i], msg);
	}
	return rc < 0 ? rc : change(d, args, e, json_array_size(all), msg,
	    "target '%s', or such a line,", iqn);
}

/* ---- access ---- */

static int
acl_edit(struct daemon *d, json_t *args, enum conf_edit_what what, char *msg)
{
	struct conf_edit e = {
		.what = what, .section = "target", .key = "allow",
	};
	char pattern[SCSI_NAME_MAX + 1];
	int rc = get(args, "iqn", &e.argument, msg);

	if (rc == 0)
		rc = get(args, "initiator", &e.value, msg);
	if (rc < 0)
		return rc;
	if (what != CONF_EDIT_ADD) {
		(void)snprintf(pattern, sizeof(pattern), "%.*s",
		    (int)strcspn(e.value, ","), e.value);
		e.match = pattern;
	}
	return change(d, args, &e, 1, msg, "target '%s' that allows '%s'",
	    e.argument, e.value);
}

static int
cmd_acl_create(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	(void)ret_result;
	return acl_edit(d, args, CONF_EDIT_ADD, msg);
}

static int
cmd_acl_change(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	(void)ret_result;
	return acl_edit(d, args, CONF_EDIT_SET, msg);
}

static int
cmd_acl_remove(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	(void)ret_result;
	return acl_edit(d, args, CONF_EDIT_REMOVE, msg);
}

static int
list_acl(void *arg)
{
	struct list_call *c = arg;
	const struct conf *conf = c->e->conf;

	for (size_t i = 0; i < conf->targets; i++) {
		const struct conf_target *t = &conf->target[i];

		for (size_t j = 0; j < t->allows; j++) {
			size_t len = strcspn(t->allow[j], ",");
			bool own = t->allow_in[j].user != NULL;
			const char *chap = own ? t->allow_in[j].user :
			    t->in.user;
			const char *mutual = own ? t->allow_out[j].user :
			    t->out.user;
			char sees[2048];

			conf_allow_sees(t->allow[j], sees, sizeof(sees));
			(void)json_array_append_new(c->list, json_pack(
			    "{s:s, s:s%, s:s, s:s, s:s}", "target", t->iqn,
			    "initiator", t->allow[j], len, "sees", sees,
			    "chap", chap != NULL ? chap : "",
			    "mutual", mutual != NULL ? mutual : ""));
		}
	}
	return 0;
}

static int
cmd_acl_ls(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	(void)args;
	(void)msg;
	return list(d, list_acl, "acl", ret_result);
}

/* ---- LUNs ---- */

/* A file that is not there yet; *ret_made: it is ours to remove. */
static int
make_file(const char *source, const char *text, bool *ret_made, char *msg)
{
	uint64_t size;
	char path[4096];
	int fd, rc = 0;

	(void)snprintf(path, sizeof(path), "%.*s", (int)strcspn(source, ","),
	    source);
	if (size_parse(text, &size) < 0 || size == 0 || size % 4096 != 0 ||
	    path[0] != '/') {
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

static void
unmake_file(const char *source)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%.*s", (int)strcspn(source, ","),
	    source);
	(void)unlink(path);
}

static int
lun_edit(struct daemon *d, json_t *args, enum conf_edit_what what, char *msg)
{
	struct conf_edit e = { .what = what, .section = "target" };
	const char *size = json_string_value(json_object_get(args, "size"));
	char key[16];
	unsigned lun;
	bool made = false;
	int rc = get(args, "iqn", &e.argument, msg);

	e.key = key;
	if (rc == 0)
		rc = get_lun(args, key, &lun, msg);
	if (rc == 0 && what != CONF_EDIT_REMOVE)
		rc = get(args, "source", &e.value, msg);
	if (rc == 0 && size != NULL)
		rc = make_file(e.value, size, &made, msg);
	if (rc < 0)
		return rc;
	rc = change(d, args, &e, 1, msg, "target '%s' with LUN %u",
	    e.argument, lun);
	if (rc < 0 && made)
		unmake_file(e.value);
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
	return lun_edit(d, args, CONF_EDIT_SET, msg);
}

static int
cmd_lun_remove(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	(void)ret_result;
	return lun_edit(d, args, CONF_EDIT_REMOVE, msg);
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

/* Other units of the same source are told as well. */
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

static int
cmd_lun_resize(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	struct resize r = { .e = &d->exports };
	const char *size = json_string_value(json_object_get(args, "size"));
	char key[16];
	int rc = get(args, "iqn", &r.iqn, msg);

	if (rc == 0)
		rc = get_lun(args, key, &r.lun, msg);
	if (rc < 0)
		return rc;
	rc = r.e->reactor != NULL ?
	    call_on(r.e->env.sched, resize_fiber, &r) : -ENOENT;
	if (rc == 0 && size != NULL)
		rc = grow_file(&r, size, msg);
	r.refresh = true;
	if (rc == 0)
		rc = call_on(r.e->env.sched, resize_fiber, &r);
	if (rc < 0 && msg[0] == '\0')
		(void)snprintf(msg, CTL_MESSAGE_SIZE, rc == -ENOENT ?
		    "there is no LUN %u in target '%.223s'%s" :
		    "cannot read the size of LUN %u of '%.223s': %s",
		    r.lun, r.iqn, rc == -ENOENT ? "" : vmfs_strerror(rc));
	if (rc == 0)
		*ret_result = json_pack("{s:I}", "size",
		    (json_int_t)r.info.size_bytes);
	return rc;
}

/* ---- reload ---- */

static int
cmd_reload(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	bool dry = json_is_true(json_object_get(args, "dry_run"));
	char why[BOX_WHY_SIZE];
	struct conf_changes c;
	json_t *rows;
	int rc = box_reload(&d->box, forced(args), dry, &c, why);

	if (rc < 0) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "%s", why);
		return rc;
	}
	rows = json_array();
	for (size_t i = 0; i < c.count; i++)
		(void)json_array_append_new(rows, json_pack(
		    "{s:s, s:s, s:s}", "change", c.at[i].text,
		    "status", c.at[i].result < 0 ? "refused" :
		    dry ? "to do" : "done", "why", c.at[i].why));
	conf_changes_fini(&c);
	*ret_result = json_pack("{s:o}", "changes", rows);
	return 0;
}

const struct command commands_box[] = {
	{ "portal.create", cmd_portal_create },
	{ "portal.remove", cmd_portal_remove },
	{ "portal.ls", cmd_portal_ls },
	{ "target.create", cmd_target_create },
	{ "target.change", cmd_target_change },
	{ "target.remove", cmd_target_remove },
	{ "lun.create", cmd_lun_create },
	{ "lun.change", cmd_lun_change },
	{ "lun.resize", cmd_lun_resize },
	{ "lun.remove", cmd_lun_remove },
	{ "acl.create", cmd_acl_create },
	{ "acl.change", cmd_acl_change },
	{ "acl.remove", cmd_acl_remove },
	{ "acl.ls", cmd_acl_ls },
	{ "reload", cmd_reload },
	{ NULL, NULL },
};
