/* SPDX-License-Identifier: BSD-2-Clause */
/* Paths to the LUN of a datastore. */
#include "vmfsd/call.h"
#include "vmfsd/cmd.h"

#define PATHS_MAX 16

struct path_call {
	struct datastore *d;
	json_t *rows;
};

static void
add_path(json_t *rows, const char *use, const struct disk_path *p)
{
	json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:i, s:b}",
	    "portal", p->portal, "use", use, "state", p->state,
	    "access", p->access, "group", (int)p->group,
	    "preferred", p->preferred);

	(void)json_object_set_new(row, "since_us",
	    json_integer((json_int_t)p->since_us));
	(void)json_object_set_new(row, "errors",
	    json_integer((json_int_t)p->errors));
	(void)json_object_set_new(row, "losses",
	    json_integer((json_int_t)p->losses));
	(void)json_array_append_new(rows, row);
}

/* A LUN with one path has none to choose from, and no list. */
static void
add_paths(json_t *rows, const char *use, struct disk *d)
{
	struct disk_path p[PATHS_MAX];
	int n = d != NULL ? disk_paths(d, p, PATHS_MAX) : 0;

	for (int i = 0; i < n && i < PATHS_MAX; i++)
		add_path(rows, use, &p[i]);
}

static int
list_paths(void *arg)
{
	struct path_call *c = arg;

	add_paths(c->rows, "data", c->d->disk);
	add_paths(c->rows, "heartbeat", c->d->beat_disk);
	return 0;
}

static int
cmd_path_ls(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	struct path_call c;
	int rc = cmd_datastore(dm, args, true, &c.d, msg);

	if (rc < 0)
		return rc;
	c.rows = json_array();
	rc = call_on(c.d->env.sched, list_paths, &c);
	*ret_result = json_pack("{s:s, s:o}", "datastore", c.d->name, "paths",
	    c.rows);
	datastore_put(c.d);
	return rc;
}

const struct command commands_path[] = {
	{ "path.ls", cmd_path_ls },
	{ NULL, NULL },
};
