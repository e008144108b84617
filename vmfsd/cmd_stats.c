/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters of LUNs and sessions; vmfsctl makes rates of them. */
#include <stdio.h>

#include "libvmfs/base/lun_text.h"
#include "vmfsd/call.h"
#include "vmfsd/control.h"

struct stats_call {
	struct exports *e;
	json_t *rows;
};

static void
set(json_t *row, const char *key, uint64_t value)
{
	(void)json_object_set_new(row, key, json_integer((json_int_t)value));
}

static void
set_latency(json_t *row, const char *key,
    const uint64_t latency[IO_LATENCY_BUCKETS])
{
	json_t *list = json_array();

	for (unsigned i = 0; i < IO_LATENCY_BUCKETS; i++)
		(void)json_array_append_new(list,
		    json_integer((json_int_t)latency[i]));
	(void)json_object_set_new(row, key, list);
}

static void
set_stats(json_t *row, const struct io_stats *st)
{
	set(row, "reads", st->reads);
	set(row, "writes", st->writes);
	set(row, "other", st->other);
	set(row, "errors", st->errors);
	set(row, "read_bytes", st->read_bytes);
	set(row, "write_bytes", st->write_bytes);
	set(row, "read_ns", st->read_ns);
	set(row, "write_ns", st->write_ns);
	set_latency(row, "read_latency", st->read_latency);
	set_latency(row, "write_latency", st->write_latency);
}

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
	set_stats(row, &st);
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
	set(row, "in_flight", s->commands);
	set(row, "conflicts", s->scsi.conflicts);
	set_stats(row, &s->scsi.io);
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
