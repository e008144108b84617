/* SPDX-License-Identifier: BSD-2-Clause */
/* LUNs that come and go, most with the datastores of this host. */
#include <stdio.h>
#include <string.h>

#include "libvmfs/base/lun_text.h"
#include "vmfsd/call.h"
#include "vmfsd/disk_ds.h"
#include "vmfsd/exports_impl.h"
#include "vmfsd/keep.h"

struct each {
	struct exports *e;
	const char *datastore;
	char *why;
	size_t why_size;
	bool check;		/* only whether they are in use */
	const char *iqn;	/* of the target looked at */
	unsigned users;
};

static bool
is_mounted(struct exports *e, const char *datastore)
{
	enum datastore_state state;
	struct datastore *d;

	if (datastore_try(e->datastores, datastore, &d) < 0)
		return false;
	state = atomic_load(&d->state);
	datastore_put(d);
	return state == DATASTORE_MOUNTED || state == DATASTORE_FROZEN;
}

bool
export_is_to_come(struct exports *e, const struct conf_lun *cl)
{
	const char *at = cl->source + strlen(DISK_DS_PREFIX);
	char name[KEEP_NAME_MAX];
	const struct conf *c = e->conf;

	if (!disk_ds_is(cl->source, NULL))
		return e->goes_on;
	(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(at, ":"), at);
	/* Whoever has the disk may let go of it. */
	if (is_mounted(e, name))
		return e->goes_on;
	for (size_t i = 0; i < c->datastores && !e->goes_on; i++)
		if (strcmp(c->datastore[i].name, name) == 0 &&
		    !c->datastore[i].noauto)
			return true;
	return ds_keep_is_left(name) ||
	    datastore_is_wanted(e->datastores, name);
}

void
export_await(struct exports *e, const char *iqn, const struct conf_lun *cl,
    bool awaited)
{
	struct scsi_target *t = iscsi_server_target(e->server, iqn);

	if (t != NULL)
		scsi_target_await(t, cl->number, awaited);
	if (!awaited && disk_ds_is(cl->source, NULL))
		disk_ds_forget(e->datastores, cl->source);
}

/* ---- after a mount, or after some time ---- */

struct again {
	struct exports *e;
	bool timed;
	unsigned left;
};

static void
retry_lun(struct again *a, const struct conf_target *t,
    const struct conf_lun *l)
{
	struct exports *e = a->e;
	char text[LUN_TEXT_SIZE];

	if (exports_find(e, t->iqn, l->number) != NULL ||
	    (a->timed && disk_ds_is(l->source, NULL) &&
	    !export_is_to_come(e, l)))
		return;
	e->why[0] = '\0';
	if (export_map(e, t, l) == 0) {
		log_info(e->log, "target: LUN %u of %s: opened %s", l->number,
		    t->iqn, lun_text(l->source, text));
		return;
	}
	a->left++;
	if (!a->timed)
		log_warn(e->log, "target: LUN %u of %s: %s", l->number,
		    t->iqn, e->why);
	if (!export_is_to_come(e, l))
		export_await(e, t->iqn, l, false);
}

static int
retry_fiber(void *arg)
{
	struct again *a = arg;
	const struct conf *c = a->e->conf;

	for (size_t i = 0; i < c->targets; i++)
		for (size_t j = 0; j < c->target[i].luns; j++)
			retry_lun(a, &c->target[i], &c->target[i].lun[j]);
	if (a->timed)
		a->left += export_listen_again(a->e);
	return 0;
}

void
exports_retry(struct exports *e)
{
	struct again a = { .e = e };

	if (e->server != NULL)
		(void)!call_on(e->env.sched, retry_fiber, &a);
}

unsigned
exports_look_again(struct exports *e)
{
	struct again a = { .e = e, .timed = true };

	if (e->server != NULL)
		(void)!call_on(e->env.sched, retry_fiber, &a);
	return a.left;
}

/* ---- before an unmount ---- */

static void
count_user(void *arg, const struct iscsi_session_info *s)
{
	struct each *x = arg;

	x->users += strcmp(s->target, x->iqn) == 0;
}

static int
let_go_lun(struct each *x, const struct conf_target *t,
    const struct conf_lun *l)
{
	if (!disk_ds_is(l->source, x->datastore))
		return 0;
	if (exports_find(x->e, t->iqn, l->number) == NULL) {
		if (!x->check)
			export_await(x->e, t->iqn, l, false);
		return 0;
	}
	if (!x->check)
		return export_unmap(x->e, t->iqn, l->number);
	x->iqn = t->iqn;
	x->users = 0;
	iscsi_server_sessions(x->e->server, count_user, x);
	if (x->users == 0)
		return 0;
	(void)snprintf(x->why, x->why_size, "'%s' is LUN %u of %s, which %u "
	    "session(s) use; log out there, or use --force", l->source,
	    l->number, t->iqn, x->users);
	return -EBUSY;
}

static int
let_go_fiber(void *arg)
{
	struct each *x = arg;
	const struct conf *c = x->e->conf;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->targets; i++)
		for (size_t j = 0; rc == 0 && j < c->target[i].luns; j++)
			rc = let_go_lun(x, &c->target[i], &c->target[i].lun[j]);
	return rc;
}

int
exports_let_go(struct exports *e, const char *datastore, bool force,
    char *why, size_t why_size)
{
	struct each x = {
		.e = e, .datastore = datastore, .why = why,
		.why_size = why_size, .check = true,
	};
	int rc = 0;

	if (e->server == NULL)
		return 0;
	if (!force)
		rc = call_on(e->env.sched, let_go_fiber, &x);
	x.check = false;
	return rc < 0 ? rc : call_on(e->env.sched, let_go_fiber, &x);
}
