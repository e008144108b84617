/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters of LUNs and sessions; vmfsctl makes rates of them. */
#include <stdio.h>

#include "vmfsd/call.h"
#include "vmfsd/control.h"
#include "vmfsd/stats_row.h"

struct stats_call {
	struct exports *e;
	json_t *rows;
};

static void
add_lun(struct stats_call *c, const char *iqn, unsigned n)
{
	struct export_lun *x = exports_find(c->e, iqn, n);
	struct io_stats st;
	char id[300];
	json_t *row;

	if (x == NULL)
		return;
	scsi_lu_stats(x->lu, &st);
	(void)snprintf(id, sizeof(id), "%s/%u", iqn, n);
	row = json_pack("{s:s, s:s, s:i, s:I}", "id", id, "target", iqn,
	    "lun", (int)n, "since_us", (json_int_t)x->since_us);
	stats_row_set(row, &st);
	(void)json_array_append_new(c->rows, row);
}

static int
lun_rows(void *arg)
{
	struct stats_call *c = arg;
	const struct conf *conf = c->e->conf;

	for (size_t i = 0; i < conf->targets; i++)
		for (size_t j = 0; j < conf->target[i].luns; j++)
			add_lun(c, conf->target[i].iqn,
			    conf->target[i].lun[j].number);
	return 0;
}

static void
add_session(void *arg, const struct iscsi_session_info *s)
{
	struct stats_call *c = arg;
	char id[48];
	json_t *row;

	/* A number is used again when its session is gone. */
	(void)snprintf(id, sizeof(id), "%u/%llu", s->tsih,
	    (unsigned long long)s->since_us);
	row = json_pack("{s:s, s:i, s:s, s:s, s:I}", "id", id,
	    "tsih", (int)s->tsih, "target", s->target,
	    "initiator", s->initiator, "since_us", (json_int_t)s->since_us);
	(void)json_object_set_new(row, "in_flight",
	    json_integer((json_int_t)s->commands));
	(void)json_object_set_new(row, "conflicts",
	    json_integer((json_int_t)s->scsi.conflicts));
	stats_row_set(row, &s->scsi.io);
	(void)json_array_append_new(c->rows, row);
}

static int
session_rows(void *arg)
{
	struct stats_call *c = arg;

	iscsi_server_sessions(c->e->server, add_session, c);
	return 0;
}

static int
stats(struct daemon *d, int (*fn)(void *arg), json_t **ret_result)
{
	struct stats_call c = { &d->exports, json_array() };
	struct env *env = &d->exports.env;
	int rc = d->exports.reactor != NULL ? call_on(env->sched, fn, &c) : 0;
	uint64_t now = d->exports.reactor != NULL ? env->wall_us(env) : 0;

	*ret_result = json_pack("{s:I, s:o}", "at_us", (json_int_t)now,
	    "stats", c.rows);
	return rc;
}

static int
cmd_lun_stats(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	(void)args;
	(void)msg;
	return stats(d, lun_rows, ret_result);
}

static int
cmd_session_stats(struct daemon *d, json_t *args, json_t **ret_result,
    char *msg)
{
	(void)args;
	(void)msg;
	return stats(d, session_rows, ret_result);
}

const struct command commands_stats[] = {
	{ "lun.stats", cmd_lun_stats },
	{ "session.stats", cmd_session_stats },
	{ NULL, NULL },
};
