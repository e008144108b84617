/* SPDX-License-Identifier: BSD-2-Clause */
/* Differences between configurations, see conf_diff.h. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/lun_text.h"
#include "vmfsd/conf_diff.h"

struct diff {
	struct conf_changes changes;
	int rc;
};

static void PRINTF_LIKE(5, 6)
add(struct diff *d, enum conf_change_kind kind, const char *name,
    unsigned lun, const char *fmt, ...)
{
	struct conf_changes *c = &d->changes;
	struct conf_change *at = realloc(c->at,
	    (c->count + 1) * sizeof(*c->at));
	va_list ap;

	if (at == NULL) {
		d->rc = -ENOMEM;
		return;
	}
	c->at = at;
	at = &c->at[c->count++];
	*at = (struct conf_change){ .kind = kind, .lun = lun };
	(void)snprintf(at->name, sizeof(at->name), "%s", name);
	va_start(ap, fmt);
	(void)vsnprintf(at->text, sizeof(at->text), fmt, ap);
	va_end(ap);
}

static bool
same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

struct conf_target *
conf_find_target(struct conf *c, const char *iqn)
{
	for (size_t i = 0; i < c->targets; i++)
		if (strcmp(c->target[i].iqn, iqn) == 0)
			return &c->target[i];
	return NULL;
}

struct conf_lun *
conf_find_lun(struct conf_target *t, unsigned number)
{
	for (size_t i = 0; i < t->luns; i++)
		if (t->lun[i].number == number)
			return &t->lun[i];
	return NULL;
}

static const struct conf_target *
target_of(const struct conf *c, const char *iqn)
{
	return conf_find_target((struct conf *)(uintptr_t)c, iqn);
}

static const struct conf_lun *
lun_of(const struct conf_target *t, unsigned number)
{
	return conf_find_lun((struct conf_target *)(uintptr_t)t, number);
}

static bool
has_portal(const struct conf *c, const char *portal)
{
	for (size_t i = 0; i < c->portals; i++)
		if (strcmp(c->portal[i], portal) == 0)
			return true;
	return false;
}

static bool
same_chap(const struct conf_chap *a, const struct conf_chap *b)
{
	return same(a->user, b->user) && same(a->secret, b->secret);
}

static bool
same_access(const struct conf_target *a, const struct conf_target *b)
{
	if (a->allows != b->allows || !same_chap(&a->in, &b->in) ||
	    !same_chap(&a->out, &b->out) || !same(a->redirect, b->redirect) ||
	    !same(a->alias, b->alias))
		return false;
	for (size_t i = 0; i < a->allows; i++)
		if (strcmp(a->allow[i].text, b->allow[i].text) != 0 ||
		    !same_chap(&a->allow[i].in, &b->allow[i].in) ||
		    !same_chap(&a->allow[i].out, &b->allow[i].out))
			return false;
	return true;
}

static void
removals(struct diff *d, const struct conf *now, const struct conf *next)
{
	for (size_t i = 0; i < now->targets; i++) {
		const struct conf_target *t = &now->target[i];
		const struct conf_target *n = target_of(next, t->iqn);

		for (size_t j = 0; n != NULL && j < t->luns; j++)
			if (lun_of(n, t->lun[j].number) == NULL)
				add(d, CHANGE_LUN_REMOVE, t->iqn,
				    t->lun[j].number, "remove LUN %u of %s",
				    t->lun[j].number, t->iqn);
	}
	for (size_t i = 0; i < now->targets; i++)
		if (target_of(next, now->target[i].iqn) == NULL)
			add(d, CHANGE_TARGET_REMOVE, now->target[i].iqn, 0,
			    "remove target %s", now->target[i].iqn);
	for (size_t i = 0; i < now->portals; i++)
		if (!has_portal(next, now->portal[i]))
			add(d, CHANGE_PORTAL_REMOVE, now->portal[i], 0,
			    "remove portal %s", now->portal[i]);
}

bool
conf_same_options(const struct conf_lun *a, const struct conf_lun *b)
{
	return a->readonly == b->readonly &&
	    a->thin == b->thin && a->same_to_end == b->same_to_end &&
	    a->encrypted == b->encrypted && a->removable == b->removable &&
	    a->block_size == b->block_size;
}

/* Do only its settings differ? */
static bool
same_unit(const struct conf_lun *a, const struct conf_lun *b)
{
	return same(a->source, b->source) && conf_same_options(a, b);
}

static void
setting_changes(struct diff *d, const struct conf_target *old,
    const struct conf_target *t)
{
	for (size_t j = 0; old != NULL && j < t->luns; j++) {
		const struct conf_lun *l = &t->lun[j];
		const struct conf_lun *o = lun_of(old, l->number);

		if (o != NULL && !same(o->text, l->text) && same_unit(o, l))
			add(d, CHANGE_LUN_SETTINGS, t->iqn, l->number,
			    "settings of LUN %u of %s", l->number, t->iqn);
	}
}

static void
lun_changes(struct diff *d, const struct conf_target *old,
    const struct conf_target *t, bool changed)
{
	for (size_t j = 0; j < t->luns; j++) {
		const struct conf_lun *l = &t->lun[j];
		const struct conf_lun *o = old != NULL ?
		    lun_of(old, l->number) : NULL;
		char source[LUN_TEXT_SIZE];

		if (changed ? o == NULL || same(o->text, l->text) ||
		    same_unit(o, l) : o != NULL)
			continue;
		add(d, changed ? CHANGE_LUN : CHANGE_LUN_ADD, t->iqn,
		    l->number, "%s LUN %u of %s: %s",
		    changed ? "change" : "add", l->number, t->iqn,
		    lun_text(l->source, source));
	}
}

static bool
same_limits(const struct iscsi_limits *a, const struct iscsi_limits *b)
{
	return a->sessions_max == b->sessions_max &&
	    a->commands_max == b->commands_max &&
	    a->login_timeout_s == b->login_timeout_s &&
	    a->nop_interval_s == b->nop_interval_s &&
	    a->data_max == b->data_max;
}

static void
portal_changes(struct diff *d, const struct conf *now, const struct conf *next)
{
	if (!same_limits(&now->limits, &next->limits) ||
	    !same_chap(&now->discovery_in, &next->discovery_in) ||
	    !same_chap(&now->discovery_out, &next->discovery_out))
		add(d, CHANGE_PORTAL_SETTINGS, "", 0, "settings of [portal]");
	if (now->no_busy_wait != next->no_busy_wait)
		add(d, CHANGE_RESTART, "", 0, "busy-wait of [portal]");
}

static void
additions(struct diff *d, const struct conf *now, const struct conf *next)
{
	for (size_t i = 0; i < next->portals; i++)
		if (!has_portal(now, next->portal[i]))
			add(d, CHANGE_PORTAL_ADD, next->portal[i], 0,
			    "add portal %s", next->portal[i]);
	portal_changes(d, now, next);
	for (size_t i = 0; i < next->targets; i++)
		if (target_of(now, next->target[i].iqn) == NULL)
			add(d, CHANGE_TARGET_ADD, next->target[i].iqn, 0,
			    "add target %s", next->target[i].iqn);
	for (unsigned changed = 2; changed-- > 0;)
		for (size_t i = 0; i < next->targets; i++)
			lun_changes(d, target_of(now, next->target[i].iqn),
			    &next->target[i], changed != 0);
	for (size_t i = 0; i < next->targets; i++)
		setting_changes(d, target_of(now, next->target[i].iqn),
		    &next->target[i]);
	for (size_t i = 0; i < next->targets; i++) {
		const struct conf_target *t = &next->target[i];
		const struct conf_target *o = target_of(now, t->iqn);

		if (o == NULL || !same_access(o, t))
			add(d, CHANGE_ACCESS, t->iqn, 0,
			    "access to target %s", t->iqn);
		if (o != NULL && !same(o->write_log, t->write_log))
			add(d, CHANGE_RESTART, t->iqn, 0,
			    "write-log of target %s", t->iqn);
	}
}

int
conf_diff(const struct conf *now, const struct conf *next,
    struct conf_changes *ret_c)
{
	struct diff d = { .rc = 0 };

	removals(&d, now, next);
	additions(&d, now, next);
	if (d.rc < 0)
		conf_changes_fini(&d.changes);
	else
		*ret_c = d.changes;
	return d.rc;
}

static bool
same_host(const struct conf *a, const struct conf *b)
{
	return same(a->host_name, b->host_name) &&
	    same(a->host_dir, b->host_dir) &&
	    same(a->initiator, b->initiator) && a->corosync == b->corosync &&
	    same(a->watchdog, b->watchdog) &&
	    a->watchdog_ms == b->watchdog_ms && same(a->control, b->control);
}

static bool
same_extents(const struct conf_datastore *x, const struct conf_datastore *y)
{
	bool alike = x->extents == y->extents;

	for (size_t i = 0; alike && i < x->extents; i++)
		alike = same(x->extent[i], y->extent[i]);
	return alike;
}

static bool
same_datastore(const struct conf_datastore *x, const struct conf_datastore *y)
{
	return same(x->lun, y->lun) && same(x->mount, y->mount) &&
	    x->readonly == y->readonly && x->noauto == y->noauto &&
	    x->unmap == y->unmap && x->unmap_rate == y->unmap_rate &&
	    x->threads == y->threads && x->map_cache == y->map_cache &&
	    x->no_io_uring == y->no_io_uring && same_extents(x, y);
}

static const struct conf_datastore *
datastore_of(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->datastores; i++)
		if (same(c->datastore[i].name, name))
			return &c->datastore[i];
	return NULL;
}

static void
datastore_changes(struct diff *d, const struct conf *now,
    const struct conf *next)
{
	for (size_t i = 0; i < now->datastores; i++)
		if (datastore_of(next, now->datastore[i].name) == NULL)
			add(d, CHANGE_RESTART, "", 0, "remove [datastore %s]",
			    now->datastore[i].name);
	for (size_t i = 0; i < next->datastores; i++) {
		const struct conf_datastore *x = &next->datastore[i];
		const struct conf_datastore *o = datastore_of(now, x->name);

		if (o == NULL)
			add(d, CHANGE_DATASTORE_ADD, "", 0,
			    "add [datastore %s]", x->name);
		else if (!same_datastore(o, x))
			add(d, CHANGE_RESTART, "", 0, "[datastore %s]",
			    x->name);
	}
}

int
conf_diff_restart(const struct conf *now, const struct conf *next,
    struct conf_changes *c)
{
	struct diff d = { .changes = *c };

	if (!same_host(now, next))
		add(&d, CHANGE_RESTART, "", 0, "[host] or [control]");
	if (now->guest_threads != next->guest_threads ||
	    now->no_guest_threads != next->no_guest_threads ||
	    now->no_guest_busy_wait != next->no_guest_busy_wait)
		add(&d, CHANGE_RESTART, "", 0, "guest-threads or "
		    "guest-busy-wait of [host]");
	datastore_changes(&d, now, next);
	*c = d.changes;
	return d.rc;
}

void
conf_changes_fini(struct conf_changes *c)
{
	free(c->at);
	*c = (struct conf_changes){ 0 };
}
