/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands on the hosts of a datastore. */
#include <stdio.h>
#include <string.h>

#include "fuse/refusal.h"
#include "vmfsd/call.h"
#include "vmfsd/cmd.h"
#include "vmfsd/takeover_log.h"

struct host_call {
	struct datastore *d;
	json_t *rows;
	const char *name;
	bool force;
	struct takeover_report report;
	unsigned slots;
	char *msg;
};

static void
set(json_t *o, const char *key, json_t *value)
{
	(void)json_object_set_new(o, key, value);
}

/* ---- host.ls ---- */

static const char *
state_name(const struct datastore *d, const struct host_info *i)
{
	enum datastore_state own = atomic_load(&d->state);

	if (i->self && own != DATASTORE_MOUNTED)
		return datastore_state_name(own);
	if (i->at_large)
		return "fenced";
	if (i->unheard)
		return "unknown";
	if (i->state == SLOT_STOPPING && i->seen == HOLDER_LIVE)
		return slot_state_name(i->state);
	return refusal_state_name(i->seen);
}

static void
fill_note(const struct datastore *d, const struct host_info *i, char *note,
    size_t size)
{
	const char *by = i->recoverer[0] != '\0' ? i->recoverer :
	    "another host";

	note[0] = '\0';
	if (i->self)
		(void)snprintf(note, size, "%s", d->why);
	else if (i->stuck[0] != '\0')
		(void)snprintf(note, size, "cannot be taken over: %s",
		    i->stuck);
	else if (i->at_large)
		(void)snprintf(note, size, "by %s; it has not come back", by);
	else if (i->unheard)
		(void)snprintf(note, size, "this host does not hear it");
	else if (i->seen == HOLDER_RECOVERING)
		(void)snprintf(note, size, "%s replays its journal", by);
	else if (i->seen == HOLDER_SUSPECT)
		(void)snprintf(note, size, "fenced in %u s if it stays silent",
		    (unsigned)((i->fence_in_ms + 999) / 1000));
}

static void
add_host(void *arg, const struct host_info *i)
{
	struct host_call *c = arg;
	char uuid[UUID_TEXT_SIZE], key[24], note[DATASTORE_WHY_SIZE];
	json_t *row = json_pack("{s:i, s:s, s:s, s:s, s:b, s:s}",
	    "slot", (int)i->slot, "host", i->name,
	    "slot_state", slot_state_name(i->state),
	    "state", state_name(c->d, i), "self", i->self,
	    "uuid", uuid_text(&i->host, uuid));

	(void)snprintf(key, sizeof(key), "0x%016llx",
	    (unsigned long long)i->pr_key);
	fill_note(c->d, i, note, sizeof(note));
	set(row, "incarnation", json_integer((json_int_t)i->incarnation));
	set(row, "pulse", json_integer((json_int_t)i->pulse));
	set(row, "silent_ms", i->at_large ? json_null() :
	    json_integer((json_int_t)i->silent_ms));
	set(row, "fence_in_ms", json_integer((json_int_t)i->fence_in_ms));
	set(row, "since_us", i->since_us == 0 ? json_null() :
	    json_integer((json_int_t)i->since_us));
	set(row, "pr_key", json_string(key));
	set(row, "recoverer", json_string(i->recoverer));
	set(row, "network", json_string(member_word_name(i->net)));
	set(row, "note", json_string(note));
	(void)json_array_append_new(c->rows, row);
}

static int
list_hosts(void *arg)
{
	struct host_call *c = arg;

	if (c->d->host != NULL)
		host_list(c->d->host, add_host, c);
	return 0;
}

static int
cmd_host_ls(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	struct host_call c = { 0 };
	int rc = cmd_datastore(dm, args, true, &c.d, msg);

	if (rc < 0)
		return rc;
	c.rows = json_array();
	rc = call_on(c.d->env.sched, list_hosts, &c);
	*ret_result = json_pack("{s:s, s:s, s:o}", "datastore", c.d->name,
	    "status", datastore_state_name(atomic_load(&c.d->state)),
	    "hosts", c.rows);
	datastore_put(c.d);
	return rc;
}

/* ---- host.takeovers ---- */

static void
add_takeover(void *arg, const struct takeover_report *r)
{
	(void)json_array_append_new(arg, takeover_json(r));
}

static int
list_takeovers(void *arg)
{
	struct host_call *c = arg;

	if (c->d->host != NULL)
		host_takeovers(c->d->host, add_takeover, c->rows);
	return 0;
}

static int
cmd_host_takeovers(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	struct host_call c = { 0 };
	int rc = cmd_datastore(dm, args, true, &c.d, msg);

	if (rc < 0)
		return rc;
	c.rows = json_array();
	rc = call_on(c.d->env.sched, list_takeovers, &c);
	*ret_result = json_pack("{s:s, s:o}", "datastore", c.d->name,
	    "takeovers", c.rows);
	datastore_put(c.d);
	return rc;
}

/* ---- host.fence, host.forget ---- */

static int
run_fence(void *arg)
{
	struct host_call *c = arg;

	return host_fence(c->d->host, c->name, c->force, &c->report, c->msg);
}

static int
run_forget(void *arg)
{
	struct host_call *c = arg;

	return host_forget(c->d->host, c->name, c->force, &c->slots, c->msg);
}

/* Orders of an admin; the datastore is to be put back when it is not NULL. */
static int
order(struct daemon *dm, json_t *args, struct host_call *c,
    int (*run)(void *arg))
{
	int force = 0, rc = cmd_string(args, "host", &c->name, c->msg);

	if (rc == 0)
		rc = cmd_datastore(dm, args, true, &c->d, c->msg);
	if (rc < 0)
		return rc;
	(void)json_unpack(args, "{s?b}", "force", &force);
	c->force = force != 0;
	if (c->d->host == NULL) {
		(void)snprintf(c->msg, CTL_MESSAGE_SIZE, "datastore '%s' is "
		    "mounted read-only: this host is no member", c->d->name);
		return -EROFS;
	}
	return call_on(c->d->env.sched, run, c);
}

static int
cmd_host_fence(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	struct host_call c = { .msg = msg };
	int rc = order(dm, args, &c, run_fence);

	if (rc == 0)
		*ret_result = json_pack("{s:s, s:o}", "datastore", c.d->name,
		    "takeover", takeover_json(&c.report));
	if (c.d != NULL)
		datastore_put(c.d);
	return rc;
}

static int
cmd_host_forget(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	struct host_call c = { .msg = msg };
	int rc = order(dm, args, &c, run_forget);

	if (rc == 0)
		*ret_result = json_pack("{s:s, s:s, s:i}", "datastore",
		    c.d->name, "host", c.name, "slots", (int)c.slots);
	if (c.d != NULL)
		datastore_put(c.d);
	return rc;
}

const struct command commands_host[] = {
	{ "host.ls", cmd_host_ls },
	{ "host.takeovers", cmd_host_takeovers },
	{ "host.fence", cmd_host_fence },
	{ "host.forget", cmd_host_forget },
	{ NULL, NULL },
};
