/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands on the built-in iSCSI target; and ping. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmfsd/box_keep.h"
#include "vmfsd/call.h"
#include "vmfsd/control.h"
#include "vmfsd/lun_row.h"
#include "vmfsd/lun_settings.h"

#define LOGOUT_S 10	/* what initiators get when nobody says so */

struct target_call {
	struct exports *exports;
	json_t *list, *targets, *portals;
	const char *initiator;
	uint16_t tsih;
	unsigned seconds;
};

static int
need_target(struct daemon *d, char *msg)
{
	if (d->exports.reactor != NULL)
		return 0;
	(void)snprintf(msg, CTL_MESSAGE_SIZE, "this vmfsd exports nothing: "
	    "its configuration has no [portal] section");
	return -ENODEV;
}

/* Without a portal there is nothing to list, which is no error. */
static int
exports_call(struct daemon *d, int (*fn)(void *arg), struct target_call *c)
{
	return d->exports.reactor != NULL ?
	    call_on(d->exports.env.sched, fn, c) : 0;
}

static void
list_target(struct target_call *c, const struct conf_target *t)
{
	(void)json_array_append_new(c->targets, json_pack(
	    "{s:s, s:i, s:i, s:s, s:s, s:s}", "target", t->iqn,
	    "luns", (int)t->luns, "allows", (int)t->allows,
	    "chap", t->in.user != NULL ? t->in.user : "",
	    "alias", t->alias != NULL ? t->alias : "",
	    "redirect", t->redirect != NULL ? t->redirect : ""));
	for (size_t i = 0; i < t->luns; i++) {
		unsigned n = t->lun[i].number;
		const struct export_lun *x = exports_find(c->exports, t->iqn,
		    n);

		(void)json_array_append_new(c->list,
		    lun_row(t->iqn, &t->lun[i], x));
	}
}

static int
list_targets(void *arg)
{
	struct target_call *c = arg;
	const struct exports *e = c->exports;

	for (size_t i = 0; i < e->conf->targets; i++)
		list_target(c, &e->conf->target[i]);
	for (size_t i = 0; i < e->addresses; i++)
		if (e->address[i][0] != '\0')
			(void)json_array_append_new(c->portals,
			    json_string(e->address[i]));
	return 0;
}

static int
cmd_target_ls(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	struct target_call c = { .exports = &d->exports };
	int rc;

	(void)args;
	(void)msg;
	c.list = json_array();
	c.targets = json_array();
	c.portals = json_array();
	rc = exports_call(d, list_targets, &c);
	*ret_result = json_pack("{s:o, s:o, s:o}", "portals", c.portals,
	    "targets", c.targets, "luns", c.list);
	return rc;
}

static json_t *
session_row(const struct iscsi_session_info *s)
{
	json_t *row = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:i, s:I}",
	    "tsih", (int)s->tsih, "target", s->target,
	    "initiator", s->initiator, "alias", s->alias, "peer", s->peer,
	    "portal", s->portal, "group", (int)s->group,
	    "since_us", (json_int_t)s->since_us);

	(void)json_object_set_new(row, "header_digest",
	    json_boolean(s->header_digest));
	(void)json_object_set_new(row, "data_digest",
	    json_boolean(s->data_digest));
	(void)json_object_set_new(row, "commands", json_integer(s->commands));
	(void)json_object_set_new(row, "commands_done",
	    json_integer((json_int_t)s->commands_done));
	(void)json_object_set_new(row, "bytes_in",
	    json_integer((json_int_t)s->bytes_in));
	(void)json_object_set_new(row, "bytes_out",
	    json_integer((json_int_t)s->bytes_out));
	(void)json_object_set_new(row, "writes",
	    json_integer((json_int_t)s->scsi.writes));
	(void)json_object_set_new(row, "conflicts",
	    json_integer((json_int_t)s->scsi.conflicts));
	return row;
}

static void
add_session(void *arg, const struct iscsi_session_info *s)
{
	(void)json_array_append_new(arg, session_row(s));
}

static int
list_sessions(void *arg)
{
	struct target_call *c = arg;

	iscsi_server_sessions(c->exports->server, add_session, c->list);
	return 0;
}

static int
cmd_session_ls(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	struct target_call c = { .exports = &d->exports };
	int rc;

	(void)args;
	(void)msg;
	c.list = json_array();
	rc = exports_call(d, list_sessions, &c);
	*ret_result = json_pack("{s:o}", "sessions", c.list);
	return rc;
}

/* ---- one session ---- */

static void
set_agreed(json_t *row, const struct iscsi_session_info *s)
{
	const uint8_t *i = s->isid;
	json_t *agreed = json_pack("{s:b, s:b, s:I, s:I, s:I, s:I}",
	    "initial_r2t", s->initial_r2t,
	    "immediate_data", s->immediate_data,
	    "max_burst", (json_int_t)s->max_burst,
	    "first_burst", (json_int_t)s->first_burst,
	    "max_r2t", (json_int_t)s->max_r2t,
	    "window", (json_int_t)s->window);

	(void)json_object_update(row, agreed);
	json_decref(agreed);
	(void)json_object_set_new(row, "isid", json_sprintf(
	    "0x%02x%02x%02x%02x%02x%02x", i[0], i[1], i[2], i[3], i[4], i[5]));
	(void)json_object_set_new(row, "chap", json_sprintf("%s%s",
	    s->chap != NULL ? s->chap : "none",
	    s->mutual ? ", both ways" : ""));
	(void)json_object_set_new(row, "digests", json_string(
	    s->header_digest && s->data_digest ? "header, data" :
	    s->header_digest ? "header" : s->data_digest ? "data" : "none"));
}

static void
take_session(void *arg, const struct iscsi_session_info *s)
{
	struct target_call *c = arg;

	if (s->tsih != c->tsih || c->list != NULL)
		return;
	c->list = session_row(s);
	set_agreed(c->list, s);
}

static int
find_session(void *arg)
{
	struct target_call *c = arg;

	iscsi_server_sessions(c->exports->server, take_session, c);
	return c->list != NULL ? 0 : -ENOENT;
}

static int
cmd_session_info(struct daemon *d, json_t *args, json_t **ret_result,
    char *msg)
{
	struct target_call c = { .exports = &d->exports };
	json_int_t tsih = json_integer_value(json_object_get(args, "tsih"));
	int rc = need_target(d, msg);

	if (rc < 0)
		return rc;
	c.tsih = tsih > 0 && tsih <= UINT16_MAX ? (uint16_t)tsih : 0;
	rc = call_on(d->exports.env.sched, find_session, &c);
	if (rc < 0) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "there is no session %lld;"
		    " see vmfsctl session ls", (long long)tsih);
		return rc;
	}
	*ret_result = json_pack("{s:o}", "session", c.list);
	return 0;
}

static int
drop_session(void *arg)
{
	struct target_call *c = arg;

	return iscsi_server_drop_session(c->exports->server, c->initiator,
	    c->tsih);
}

static int
kill_session(void *arg)
{
	struct target_call *c = arg;

	return iscsi_server_kill_session(c->exports->server, c->initiator,
	    c->tsih);
}

static int
logout_session(void *arg)
{
	struct target_call *c = arg;

	return iscsi_server_logout_session(c->exports->server, c->initiator,
	    c->tsih, c->seconds);
}

static int
end_session(struct daemon *d, json_t *args, int (*how)(void *arg), char *msg)
{
	struct target_call c = { .exports = &d->exports };
	int tsih = 0, seconds = LOGOUT_S, rc = need_target(d, msg);

	if (rc < 0)
		return rc;
	if (json_unpack(args, "{s:s, s?i, s?i}", "initiator", &c.initiator,
	    "tsih", &tsih, "for", &seconds) < 0 || tsih < 0 ||
	    tsih > UINT16_MAX || seconds < 1 || seconds > ISCSI_LOGOUT_MAX) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "expected the name of an "
		    "initiator, or a pattern with '*', perhaps the number of a "
		    "session (TSIH), and for logout 1 to %d seconds by --for",
		    ISCSI_LOGOUT_MAX);
		return -EINVAL;
	}
	c.tsih = (uint16_t)tsih;
	c.seconds = (unsigned)seconds;
	rc = call_on(d->exports.env.sched, how, &c);
	if (rc == -ENOENT)
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "no session of '%s' is "
		    "logged in; see vmfsctl session ls", c.initiator);
	return rc;
}

/* ---- asymmetric access ---- */

struct access_call {
	struct exports *exports;
	const char *iqn;
	unsigned lun, group, state;
};

static int
set_access(void *arg)
{
	struct access_call *c = arg;
	struct export_lun *x = exports_find(c->exports, c->iqn, c->lun);

	return x == NULL ? -ENOENT : scsi_lu_set_access(x->lu, c->group,
	    c->state);
}

static bool
number_parse(const char *text, unsigned *ret_n)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	*ret_n = (unsigned)n;
	return *text >= '0' && *text <= '9' && *end == '\0' &&
	    n < SCSI_LUNS_MAX;
}

static int
cmd_lun_access(struct daemon *d, json_t *args, json_t **ret_result,
    char *msg)
{
	struct access_call c = { .exports = &d->exports };
	const char *lun, *group, *state;
	char why[BOX_WHY_SIZE];
	int n, rc = need_target(d, msg);

	(void)ret_result;
	if (rc < 0)
		return rc;
	if (json_unpack(args, "{s:s, s:s, s:s, s:s}", "iqn", &c.iqn, "lun", &lun,
	    "group", &group, "state", &state) < 0 ||
	    !number_parse(lun, &c.lun) || (n = lun_access_state(state)) < 0 ||
	    !number_parse(group, &c.group) || c.group == 0 ||
	    c.group > SCSI_GROUPS_MAX) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "lun access needs "
		    "IQN, LUN, a portal group from 1 to %d, and optimized, "
		    "non-optimized, standby or unavailable", SCSI_GROUPS_MAX);
		return -EINVAL;
	}
	c.state = (unsigned)n;
	rc = call_on(d->exports.env.sched, set_access, &c);
	if (rc == -ENOENT)
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "target '%s' has no LUN "
		    "%u; see vmfsctl lun ls", c.iqn, c.lun);
	if (rc < 0)
		return rc;
	rc = box_keep(&d->box, why);
	if (rc < 0)
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "changed until the next "
		    "start only: %.900s", why[0] != '\0' ? why :
		    vmfs_strerror(rc));
	return rc;
}

static int
cmd_session_drop(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	(void)ret_result;
	return end_session(d, args, drop_session, msg);
}

static int
cmd_session_logout(struct daemon *d, json_t *args, json_t **ret_result,
    char *msg)
{
	(void)ret_result;
	return end_session(d, args, logout_session, msg);
}

static int
cmd_session_kill(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	(void)ret_result;
	return end_session(d, args, kill_session, msg);
}

static int
cmd_ping(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	char uuid[UUID_TEXT_SIZE];

	(void)args;
	(void)msg;
	*ret_result = json_pack("{s:s, s:s, s:s, s:i}", "host",
	    d->identity.name, "uuid", uuid_text(&d->identity.host, uuid),
	    "version", VMFS_VERSION, "pid", (int)getpid());
	return 0;
}

const struct command commands_target[] = {
	{ "ping", cmd_ping },
	{ "target.ls", cmd_target_ls },
	{ "lun.ls", cmd_target_ls },
	{ "lun.access", cmd_lun_access },
	{ "session.ls", cmd_session_ls },
	{ "session.info", cmd_session_info },
	{ "session.drop", cmd_session_drop },
	{ "session.logout", cmd_session_logout },
	{ "session.kill", cmd_session_kill },
	{ NULL, NULL },
};
