/* SPDX-License-Identifier: BSD-2-Clause */
/* Changes to a running target, see conf_apply.h. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/acl.h"
#include "iscsi/portal.h"
#include "vmfsd/call.h"
#include "vmfsd/conf_allow.h"
#include "vmfsd/conf_apply.h"
#include "vmfsd/exports_impl.h"

struct apply {
	struct exports *e;
	struct conf *next;
	struct conf_changes *changes;
	bool force, dry;
	int failed;
};

static int PRINTF_LIKE(3, 4)
refuse(struct conf_change *c, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->why, sizeof(c->why), fmt, ap);
	va_end(ap);
	return error;
}

/* ---- who uses it ---- */

struct users {
	const char *iqn;
	const struct conf_target *now, *next; /* of a change of access */
	const char *portal;		/* real address, of a portal */
	unsigned count;
	char first[SCSI_NAME_MAX + 1];
};

/* False: no line is for the initiator. */
static bool
allow_of(const struct conf_target *t, const char *initiator,
    struct conf_allow *ret_a)
{
	char why[8];

	for (unsigned pattern = 0; pattern < 2; pattern++)
		for (size_t i = 0; i < t->allows; i++)
			if (conf_allow_parse(t->allow[i].text, ret_a, why,
			    sizeof(why)) == 0 && (pattern != 0 ?
			    acl_match(ret_a->pattern, initiator) :
			    strcmp(ret_a->pattern, initiator) == 0))
				return true;
	return false;
}

/* Whether the initiator loses a LUN that it sees now. */
static bool
loses(const struct users *u, const char *initiator)
{
	struct conf_allow old, new;

	if (!allow_of(u->next, initiator, &new))
		return true;
	if (!allow_of(u->now, initiator, &old))
		return false;
	for (unsigned i = 0; i < SCSI_LUNS_MAX; i++) {
		if (!old.view.luns[i].shown ||
		    conf_find_lun((struct conf_target *)(uintptr_t)u->now,
		    old.view.luns[i].lun) == NULL)
			continue;
		if (!new.view.luns[i].shown ||
		    new.view.luns[i].lun != old.view.luns[i].lun)
			return true;
	}
	return false;
}

static void
count_user(void *arg, const struct iscsi_session_info *s)
{
	struct users *u = arg;

	if (strcmp(s->target, u->iqn) != 0 ||
	    (u->next != NULL && !loses(u, s->initiator)))
		return;
	if (u->count++ == 0)
		(void)snprintf(u->first, sizeof(u->first), "%s",
		    s->initiator);
}

/* 0, or -EBUSY with a sentence. */
static int
check_use(struct apply *a, struct conf_change *c, struct users u)
{
	if (a->force || a->e->server == NULL)
		return 0;
	u.iqn = c->name;
	iscsi_server_sessions(a->e->server, count_user, &u);
	if (u.count == 0)
		return 0;
	return refuse(c, -EBUSY, "%s: in use by %u session(s), the first of "
	    "'%s'; log out there (vmfsctl session ls shows all), or add "
	    "--force", c->text, u.count, u.first);
}

/* ---- portals ---- */

static int
portal_add(struct apply *a, struct conf_change *c)
{
	struct conf *now = a->e->conf;
	char *name = strdup(c->name);
	int rc;

	if (name == NULL)
		return -ENOMEM;
	rc = export_listen(a->e, name);
	if (rc < 0)
		free(name);
	else
		now->portal[now->portals++] = name;
	return rc;
}

static void
count_comer(void *arg, const struct iscsi_session_info *s)
{
	struct users *u = arg;
	char told[NET_ADDR_TEXT];

	if (!portal_told(u->portal, s->portal, told) ||
	    strcmp(told, s->portal) != 0)
		return;
	if (u->count++ == 0)
		(void)snprintf(u->first, sizeof(u->first), "%s",
		    s->initiator);
}

/* Sessions would stay, but not come back: 0, or -EBUSY with a sentence. */
static int
check_comers(struct apply *a, struct conf_change *c, const char *address)
{
	struct users u = { .portal = address };

	if (address[0] == '\0')
		return 0;
	for (size_t i = 0; i < a->next->portals; i++)
		if (conf_same_portal(a->next->portal[i], c->name))
			return 0;	/* its group changes */
	iscsi_server_sessions(a->e->server, count_comer, &u);
	if (u.count == 0)
		return 0;
	return refuse(c, -EBUSY, "%s: %u session(s) came by it, the first of "
	    "'%s'; a session that is lost could not come back; give them "
	    "another portal first, or add --force", c->text, u.count, u.first);
}

static int
check_portal(struct apply *a, struct conf_change *c)
{
	const struct exports *e = a->e;

	for (size_t i = 0; !a->force && i < e->addresses; i++)
		if (strcmp(e->conf->portal[i], c->name) == 0)
			return check_comers(a, c, e->address[i]);
	return 0;
}

static int
portal_remove(struct apply *a, struct conf_change *c)
{
	struct conf *now = a->e->conf;
	size_t i = 0;
	int rc;

	while (i < now->portals && strcmp(now->portal[i], c->name) != 0)
		i++;
	if (i == now->portals)
		return -ENOENT;
	rc = export_unlisten(a->e, i);
	if (rc < 0)
		return rc;
	free(now->portal[i]);
	now->portals--;
	memmove(&now->portal[i], &now->portal[i + 1],
	    (now->portals - i) * sizeof(now->portal[i]));
	return 0;
}

static void
chap_swap(struct conf_chap *a, struct conf_chap *b)
{
	struct conf_chap t = *a;

	*a = *b;
	*b = t;
}

static int
portal_settings(struct apply *a, struct conf_change *c)
{
	struct conf *now = a->e->conf, *next = a->next;
	int rc = export_discovery(a->e, next);

	(void)c;
	if (rc < 0)
		return rc;
	chap_swap(&now->discovery_in, &next->discovery_in);
	chap_swap(&now->discovery_out, &next->discovery_out);
	now->limits = next->limits;
	iscsi_server_set_limits(a->e->server, &now->limits);
	return 0;
}

/* ---- targets ---- */

static int
target_add(struct apply *a, struct conf_change *c)
{
	struct conf *now = a->e->conf;
	struct conf_target *from = conf_find_target(a->next, c->name);
	struct conf_target *t;
	struct scsi_target *st;
	int rc;

	if (from == NULL)
		return -ENOENT;
	rc = conf_room(&now->target, now->targets, sizeof(*now->target));
	if (rc < 0)
		return rc;
	t = &now->target[now->targets];
	*t = (struct conf_target){ .iqn = strdup(c->name) };
	if (t->iqn == NULL)
		return -ENOMEM;
	rc = iscsi_server_add_target(a->e->server, t->iqn, &st);
	if (rc < 0) {
		free(t->iqn);
		return rc;
	}
	t->write_log = from->write_log;
	from->write_log = NULL;
	now->targets++;
	return 0;
}

static int
check_idle(struct apply *a, struct conf_change *c)
{
	return check_use(a, c, (struct users){ .count = 0 });
}

static int
target_remove(struct apply *a, struct conf_change *c)
{
	struct conf *now = a->e->conf;
	struct conf_target *t = conf_find_target(now, c->name);
	int rc = t != NULL ? export_remove_target(a->e, t) : -ENOENT;
	size_t i;

	if (rc < 0)
		return rc;
	i = (size_t)(t - now->target);
	conf_target_fini(t);
	now->targets--;
	memmove(t, t + 1, (now->targets - i) * sizeof(*t));
	return 0;
}

static void
access_copy(struct conf_target *to, const struct conf_target *from)
{
	to->allow = from->allow;
	to->allows = from->allows;
	to->in = from->in;
	to->out = from->out;
	to->redirect = from->redirect;
	to->alias = from->alias;
}

static void
access_swap(struct conf_target *a, struct conf_target *b)
{
	struct conf_target t = *a;

	access_copy(a, b);
	access_copy(b, &t);
}

/* Nobody uses a target that is added. */
static int
check_access(struct apply *a, struct conf_change *c)
{
	struct conf_target *now = conf_find_target(a->e->conf, c->name);
	struct conf_target *next = conf_find_target(a->next, c->name);

	return now == NULL || next == NULL ? 0 :
	    check_use(a, c, (struct users){ .now = now, .next = next });
}

static int
access_change(struct apply *a, struct conf_change *c)
{
	struct conf_target *now = conf_find_target(a->e->conf, c->name);
	struct conf_target *next = conf_find_target(a->next, c->name);
	int rc;

	if (now == NULL || next == NULL)
		return -ENOENT;
	rc = export_access(a->e, next);
	if (rc == 0)
		access_swap(now, next);
	return rc;
}

/* ---- LUNs ---- */

static int
lun_add(struct apply *a, struct conf_change *c)
{
	struct conf_target *now = conf_find_target(a->e->conf, c->name);
	struct conf_target *next = conf_find_target(a->next, c->name);
	struct conf_lun *l = next != NULL ? conf_find_lun(next, c->lun) : NULL;
	int rc;

	if (now == NULL || l == NULL)
		return -ENOENT;
	rc = conf_room(&now->lun, now->luns, sizeof(*now->lun));
	if (rc == 0)
		rc = export_map(a->e, now, l);
	if (rc < 0)
		return rc;
	now->lun[now->luns++] = *l;
	l->source = l->text = NULL;
	return 0;
}

/* A virtual disk may wait for its datastore. */
static int
lun_close(struct exports *e, const struct conf_change *c,
    const struct conf_lun *l)
{
	if (exports_find(e, c->name, c->lun) == NULL) {
		export_await(e, c->name, l, false);
		return 0;
	}
	return export_unmap(e, c->name, c->lun);
}

static int
lun_remove(struct apply *a, struct conf_change *c)
{
	struct conf_target *t = conf_find_target(a->e->conf, c->name);
	struct conf_lun *l = t != NULL ? conf_find_lun(t, c->lun) : NULL;
	int rc = l != NULL ? lun_close(a->e, c, l) : -ENOENT;

	if (rc < 0)
		return rc;
	conf_lun_fini(l);
	t->luns--;
	memmove(l, l + 1, (t->luns - (size_t)(l - t->lun)) * sizeof(*l));
	return 0;
}

/* The new one comes first when it can, else what was there comes back. */
static int
lun_change(struct apply *a, struct conf_change *c)
{
	struct conf_target *t = conf_find_target(a->e->conf, c->name);
	struct conf_lun old, *l = t != NULL ? conf_find_lun(t, c->lun) : NULL;
	int rc = l != NULL ? lun_close(a->e, c, l) : -ENOENT;

	if (rc < 0)
		return rc;
	old = *l;
	t->luns--;
	memmove(l, l + 1, (t->luns - (size_t)(l - t->lun)) * sizeof(*l));
	rc = lun_add(a, c);
	if (rc == 0) {
		conf_lun_fini(&old);
		return 0;
	}
	if (a->e->why[0] != '\0')
		(void)refuse(c, rc, "%s", a->e->why);
	t->lun[t->luns++] = old;
	if (export_map(a->e, t, &old) < 0)
		return refuse(c, rc, "%s; and what was there cannot be "
		    "opened again: %s", c->text, a->e->why);
	return rc;
}

/* A virtual disk that waits for its datastore gets them when it is opened. */
static int
lun_settings(struct apply *a, struct conf_change *c)
{
	struct conf_target *now = conf_find_target(a->e->conf, c->name);
	struct conf_target *next = conf_find_target(a->next, c->name);
	struct conf_lun *l = now != NULL ? conf_find_lun(now, c->lun) : NULL;
	struct conf_lun *n = next != NULL ? conf_find_lun(next, c->lun) : NULL;
	struct export_lun *x = exports_find(a->e, c->name, c->lun);
	char *text;
	int rc;

	if (l == NULL || n == NULL)
		return -ENOENT;
	rc = x != NULL ? export_set(a->e, x, n) : 0;
	if (rc < 0)
		return rc;
	l->pool_bytes = n->pool_bytes;
	l->settings = n->settings;
	l->warn_percent = n->warn_percent;
	text = l->text;
	l->text = n->text;
	n->text = text;
	return 0;
}

static int
needs_restart(struct apply *a, struct conf_change *c)
{
	(void)a;
	return refuse(c, -EBUSY, "%s: only a restart changes that; edit the "
	    "file and start vmfsd again", c->text);
}

static int
needs_mount(struct apply *a, struct conf_change *c)
{
	(void)a;
	return refuse(c, -EBUSY, "%s: it is mounted when vmfsd starts again; "
	    "mount.vmfs LUN DIRECTORY mounts it now", c->text);
}

/* ---- all ---- */

/* What refuses a change before anything is done. */
static int (*const checks[])(struct apply *a, struct conf_change *c) = {
	[CHANGE_LUN_REMOVE] = check_idle,
	[CHANGE_TARGET_REMOVE] = check_idle,
	[CHANGE_PORTAL_REMOVE] = check_portal,
	[CHANGE_LUN] = check_idle,
	[CHANGE_ACCESS] = check_access,
	[CHANGE_RESTART] = needs_restart,
	[CHANGE_DATASTORE_ADD] = needs_mount,
};

static int (*const actions[])(struct apply *a, struct conf_change *c) = {
	[CHANGE_LUN_REMOVE] = lun_remove,
	[CHANGE_TARGET_REMOVE] = target_remove,
	[CHANGE_PORTAL_REMOVE] = portal_remove,
	[CHANGE_PORTAL_ADD] = portal_add,
	[CHANGE_PORTAL_SETTINGS] = portal_settings,
	[CHANGE_TARGET_ADD] = target_add,
	[CHANGE_LUN] = lun_change,
	[CHANGE_LUN_ADD] = lun_add,
	[CHANGE_LUN_SETTINGS] = lun_settings,
	[CHANGE_ACCESS] = access_change,
};

/* Where nothing is to be done, only checks. */
static int
apply_one(struct apply *a, struct conf_change *c)
{
	int rc = checks[c->kind] != NULL ? checks[c->kind](a, c) : 0;

	return rc < 0 || a->dry ? rc : actions[c->kind](a, c);
}

static int
apply_fiber(void *arg)
{
	struct apply *a = arg;

	for (size_t i = 0; i < a->changes->count; i++) {
		struct conf_change *c = &a->changes->at[i];

		a->e->why[0] = '\0';
		c->result = apply_one(a, c);
		if (c->result < 0) {
			a->failed++;
			if (c->why[0] == '\0')
				(void)refuse(c, 0, "%s", a->e->why[0] != '\0' ?
				    a->e->why : vmfs_strerror(c->result));
		}
		if (!a->dry)
			log_info(a->e->log, "target: %s: %s", c->text,
			    c->result < 0 ? c->why : "done");
	}
	return a->failed;
}

static bool
touches_target(const struct conf_changes *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->at[i].kind < CHANGE_RESTART)
			return true;
	return false;
}

int
conf_apply(struct exports *e, struct conf *next, struct conf_changes *c,
    bool force, bool dry)
{
	struct apply a = {
		.e = e, .next = next, .changes = c, .force = force,
		.dry = dry,
	};
	int rc;

	if (!touches_target(c) || (dry && e->reactor == NULL))
		return apply_fiber(&a);
	e->why[0] = '\0';
	rc = exports_run(e);
	return rc < 0 ? rc : call_on(e->env.sched, apply_fiber, &a);
}
