/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands that change targets, portals and access; cmd_lun.c has LUNs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmfsd/call.h"
#include "vmfsd/cmd_box.h"
#include "vmfsd/conf_allow.h"

#define SETTINGS_MAX 8

/* A line of the file is made of it. */
static int
one_line(const char *text, const char *what, char *msg)
{
	if (cmd_is_line(text))
		return 0;
	(void)snprintf(msg, CTL_MESSAGE_SIZE, "argument '%s' has a control "
	    "character", what);
	return -EINVAL;
}

int
cmd_box_get(json_t *args, const char *key, const char **ret_s, char *msg)
{
	int rc = cmd_string(args, key, ret_s, msg);

	return rc < 0 ? rc : one_line(*ret_s, key, msg);
}

static bool
forced(json_t *args)
{
	return json_is_true(json_object_get(args, "force"));
}

int
cmd_box_change(struct daemon *d, json_t *args, const struct conf_edit *e,
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

/* ---- settings ---- */

/* KEY=VALUE of section and argument in *e; without a value the line goes. */
static int
setting(const char *text, struct conf_edit *e, char *key, size_t key_size,
    char *msg)
{
	const char *eq = strchr(text, '=');
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz-");

	if (eq == NULL || len != (size_t)(eq - text) || len >= key_size ||
	    len == 0 || strncmp(text, "allow=", 6) == 0 ||
	    strncmp(text, "listen=", 7) == 0) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "'%.200s': expected "
		    "KEY=VALUE with a key of vmfsd.conf(5) but lun, allow and "
		    "listen, which have commands of their own", text);
		return -EINVAL;
	}
	memcpy(key, text, len);
	key[len] = '\0';
	e->what = eq[1] != '\0' ? CONF_EDIT_SET : CONF_EDIT_REMOVE;
	e->key = key;
	e->value = eq + 1;
	return one_line(e->value, key, msg);
}

/* args["settings"] become lines of a section. */
static int
change_settings(struct daemon *d, json_t *args, const char *section,
    const char *argument, char *msg)
{
	struct conf_edit e[SETTINGS_MAX];
	char key[SETTINGS_MAX][64];
	json_t *all = json_object_get(args, "settings"), *one;
	size_t i;
	int rc = 0;

	if (!json_is_array(all) || json_array_size(all) == 0 ||
	    json_array_size(all) > SETTINGS_MAX) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "expected 1 to %d "
		    "settings KEY=VALUE", SETTINGS_MAX);
		return -EINVAL;
	}
	json_array_foreach(all, i, one) {
		const char *text = json_string_value(one);

		e[i] = (struct conf_edit){
			.section = section, .argument = argument,
		};
		if (rc == 0)
			rc = setting(text != NULL ? text : "", &e[i], key[i],
			    sizeof(key[i]), msg);
	}
	return rc < 0 ? rc : cmd_box_change(d, args, e, json_array_size(all),
	    msg, "%s%s%s%s, or such a line,", section,
	    argument != NULL ? " '" : "", argument != NULL ? argument : "",
	    argument != NULL ? "'" : "");
}

/* ---- portals ---- */

static int
portal_edit(struct daemon *d, json_t *args, struct conf_edit e, char *msg)
{
	e.section = "portal";
	e.key = "listen";
	return cmd_box_change(d, args, &e, 1, msg, "portal '%s'", e.value);
}

static int
cmd_portal_create(struct daemon *d, json_t *args, json_t **ret_result,
    char *msg)
{
	struct conf_edit e = { .what = CONF_EDIT_ADD };
	int rc = cmd_box_get(args, "address", &e.value, msg);

	(void)ret_result;
	return rc < 0 ? rc : portal_edit(d, args, e, msg);
}

struct listed_call {
	const struct exports *e;
	const char *portal;
	char *listed;		/* to be freed; NULL: it is not */
};

static int
find_portal(void *arg)
{
	struct listed_call *c = arg;
	const struct conf *conf = c->e->conf;

	for (size_t i = 0; i < conf->portals; i++)
		if (conf_same_portal(conf->portal[i], c->portal)) {
			c->listed = strdup(conf->portal[i]);
			return c->listed != NULL ? 0 : -ENOMEM;
		}
	return 0;
}

/* As `portal ls` shows it, which need not be as the file has it. */
static int
cmd_portal_remove(struct daemon *d, json_t *args, json_t **ret_result,
    char *msg)
{
	struct conf_edit e = { .what = CONF_EDIT_REMOVE };
	struct listed_call c = { &d->exports, NULL, NULL };
	int rc = cmd_box_get(args, "address", &c.portal, msg);

	(void)ret_result;
	if (rc == 0 && d->exports.reactor != NULL)
		rc = call_on(d->exports.env.sched, find_portal, &c);
	if (rc < 0)
		return rc;
	e.value = c.listed != NULL ? c.listed : c.portal;
	e.match = e.value;
	rc = portal_edit(d, args, e, msg);
	free(c.listed);
	return rc;
}

static int
cmd_portal_change(struct daemon *d, json_t *args, json_t **ret_result,
    char *msg)
{
	(void)ret_result;
	return change_settings(d, args, "portal", NULL, msg);
}

struct list_call {
	struct exports *e;
	json_t *list, *limits;
};

static json_t *
limits_json(const struct exports *e)
{
	const struct conf *conf = e->conf;
	struct iscsi_limits l;

	iscsi_server_limits(e->server, &l);
	return json_pack("{s:i, s:i, s:i, s:i, s:I, s:b, s:s*, s:s*}",
	    "sessions", (int)l.sessions_max, "commands", (int)l.commands_max,
	    "login-timeout", (int)l.login_timeout_s,
	    "keep-alive", (int)l.nop_interval_s,
	    "write-buffers", (json_int_t)l.data_max,
	    "busy-wait", !conf->no_busy_wait,
	    "discovery-chap", conf->discovery_in.user,
	    "discovery-mutual", conf->discovery_out.user);
}

static int
list_portals(void *arg)
{
	struct list_call *c = arg;

	for (size_t i = 0; i < c->e->addresses; i++)
		(void)json_array_append_new(c->list, json_pack("{s:s, s:s}",
		    "portal", c->e->conf->portal[i],
		    "address", c->e->address[i]));
	if (c->e->server != NULL)
		c->limits = limits_json(c->e);
	return 0;
}

static int
list(struct daemon *d, int (*fn)(void *arg), struct list_call *c)
{
	return d->exports.reactor == NULL ? 0 :
	    call_on(d->exports.env.sched, fn, c);
}

static int
cmd_portal_ls(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	struct list_call c = { &d->exports, json_array(), NULL };
	int rc = list(d, list_portals, &c);

	(void)args;
	(void)msg;
	*ret_result = json_pack("{s:o, s:o*}", "portals", c.list,
	    "limits", c.limits);
	return rc;
}

/* ---- targets ---- */

static int
section_edit(struct daemon *d, json_t *args, enum conf_edit_what what,
    char *msg)
{
	struct conf_edit e = { .what = what, .section = "target" };
	int rc = cmd_box_get(args, "iqn", &e.argument, msg);

	return rc < 0 ? rc : cmd_box_change(d, args, &e, 1, msg, "target '%s'",
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

static int
cmd_target_change(struct daemon *d, json_t *args, json_t **ret_result,
    char *msg)
{
	const char *iqn;
	int rc = cmd_box_get(args, "iqn", &iqn, msg);

	(void)ret_result;
	return rc < 0 ? rc : change_settings(d, args, "target", iqn, msg);
}

/* ---- access ---- */

static int
acl_edit(struct daemon *d, json_t *args, enum conf_edit_what what, char *msg)
{
	struct conf_edit e = {
		.what = what, .section = "target", .key = "allow",
	};
	char pattern[SCSI_NAME_MAX + 1];
	int rc = cmd_box_get(args, "iqn", &e.argument, msg);

	if (rc == 0)
		rc = cmd_box_get(args, "initiator", &e.value, msg);
	if (rc < 0)
		return rc;
	(void)snprintf(pattern, sizeof(pattern), "%.*s",
	    (int)strcspn(e.value, ","), e.value);
	/* A file may have it: an initiator may be called so.  It hardly is. */
	if (what == CONF_EDIT_ADD && strchr(pattern, '*') == NULL &&
	    !conf_iqn_ok(pattern)) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "'%s' is no initiator's "
		    "name (iqn.YYYY-MM.reversed.domain:name, eui. or naa.), "
		    "nor a pattern with '*'", pattern);
		return -EINVAL;
	}
	if (what != CONF_EDIT_ADD)
		e.match = pattern;
	return cmd_box_change(d, args, &e, 1, msg, "target '%s'%s%s%s",
	    e.argument, e.match != NULL ? " that allows '" : "",
	    e.match != NULL ? e.match : "", e.match != NULL ? "'" : "");
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
	return acl_edit(d, args, CONF_EDIT_CHANGE, msg);
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
			size_t len = strcspn(t->allow[j].text, ",");
			bool own = t->allow[j].in.user != NULL;
			const char *chap = own ? t->allow[j].in.user :
			    t->in.user;
			const char *mutual = own ? t->allow[j].out.user :
			    t->out.user;
			char sees[2048];

			conf_allow_sees(t->allow[j].text, sees, sizeof(sees));
			(void)json_array_append_new(c->list, json_pack(
			    "{s:s, s:s%, s:s, s:s, s:s}", "target", t->iqn,
			    "initiator", t->allow[j].text, len, "sees", sees,
			    "chap", chap != NULL ? chap : "",
			    "mutual", mutual != NULL ? mutual : ""));
		}
	}
	return 0;
}

static int
cmd_acl_ls(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	struct list_call c = { &d->exports, json_array(), NULL };
	int rc = list(d, list_acl, &c);

	(void)args;
	(void)msg;
	*ret_result = json_pack("{s:o}", "acl", c.list);
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
	{ "portal.change", cmd_portal_change },
	{ "portal.remove", cmd_portal_remove },
	{ "portal.ls", cmd_portal_ls },
	{ "target.create", cmd_target_create },
	{ "target.change", cmd_target_change },
	{ "target.remove", cmd_target_remove },
	{ "acl.create", cmd_acl_create },
	{ "acl.change", cmd_acl_change },
	{ "acl.remove", cmd_acl_remove },
	{ "acl.ls", cmd_acl_ls },
	{ "reload", cmd_reload },
	{ NULL, NULL },
};
