/* SPDX-License-Identifier: BSD-2-Clause */
/* Targets, their logical unit numbers and the nexuses to them. */
#include "iscsi/scsi/nexus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "iscsi/scsi/lu.h"
#include "iscsi/scsi/rod.h"
#include "iscsi/scsi/sense.h"

/* ---- targets ---- */

int
scsi_target_new(struct env *env, const char *iqn, struct scsi_target **ret_t)
{
	struct scsi_target *t;

	if (strlen(iqn) > SCSI_NAME_MAX)
		return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	t->rods = rod_store_new(env);
	if (t->rods == NULL) {
		free(t);
		return -ENOMEM;
	}
	t->groups = 1;
	t->env = env;
	strcpy(t->iqn, iqn);
	shared_lock_init(&t->lock);
	list_init(&t->nexuses);
	*ret_t = t;
	return 0;
}

void
scsi_target_share(struct scsi_target *t, struct scsi_target *with)
{
	rod_store_drop(t->rods);
	t->rods = rod_store_ref(with->rods);
}

void
scsi_target_free(struct scsi_target *t)
{
	if (t == NULL)
		return;
	for (unsigned lun = 0; lun < SCSI_LUNS_MAX; lun++) {
		if (t->luns[lun] != NULL)
			t->luns[lun]->mappings--;
	}
	rod_store_drop(t->rods);
	shared_lock_fini(&t->lock);
	free(t);
}

const char *
scsi_target_iqn(const struct scsi_target *t)
{
	return t->iqn;
}

struct scsi_lu *
scsi_target_lu(const struct scsi_target *t, unsigned lun)
{
	return lun < SCSI_LUNS_MAX ? t->luns[lun] : NULL;
}

/* ---- nexus and logical unit ---- */

static int
itl_new(struct scsi_nexus *n, unsigned number, struct scsi_lu *lu)
{
	struct scsi_itl *itl = calloc(1, sizeof(*itl));

	if (itl == NULL)
		return -ENOMEM;
	itl->nexus = n;
	itl->lu = lu;
	itl->readonly = n->view.luns[number].readonly;
	list_init(&itl->gone_node);
	ua_add(&itl->ua, SENSE_POWER_ON);
	lu_ref(lu);
	shared_enter(&lu->lock);
	list_add_tail(&lu->itls, &itl->lu_node);
	shared_leave(&lu->lock);
	n->itls[number] = itl;
	return 0;
}

static void
itl_free(struct scsi_itl *itl)
{
	if (itl == NULL)
		return;
	shared_enter(&itl->lu->lock);
	list_del(&itl->lu_node);
	if (!itl->gone)
		io_stats_add(&itl->lu->stats, &itl->stats);
	shared_leave(&itl->lu->lock);
	list_del(&itl->gone_node);
	lu_unref(itl->lu);
	free(itl);
}

/* The nexus may still have it under another number. */
static bool
nexus_has(const struct scsi_nexus *n, const struct scsi_lu *lu)
{
	for (unsigned i = 0; i < SCSI_LUNS_MAX; i++) {
		const struct scsi_itl *itl = n->itls[i];

		if (itl != NULL && itl->lu == lu)
			return true;
	}
	return false;
}

/* The nexus no longer sees the unit; with the target's lock. */
static void
itl_lose(struct scsi_nexus *n, unsigned number)
{
	struct scsi_itl *itl = n->itls[number];
	struct scsi_lu *lu = itl->lu;

	n->itls[number] = NULL;
	list_add_tail(&n->gone, &itl->gone_node);
	shared_enter(&lu->lock);
	list_del(&itl->lu_node);
	itl->gone = true;
	io_stats_add(&lu->stats, &itl->stats);
	list_for_each(node, tmp, &lu->cmds) {
		struct scsi_cmd *c = list_entry(node, struct scsi_cmd, node);

		if (c->itl == itl)
			scsi_cmd_abort(c, true);
	}
	if (lu->reserved_by == n && !nexus_has(n, lu))
		lu->reserved_by = NULL;
	shared_broadcast(&lu->left);
	shared_leave(&lu->lock);
}

static bool
view_shows(const struct scsi_view *v, unsigned number, unsigned lun)
{
	return v->luns[number].shown && v->luns[number].lun == lun;
}

static void
nexus_lose(struct scsi_nexus *n, unsigned lun)
{
	for (unsigned i = 0; i < SCSI_LUNS_MAX; i++) {
		if (view_shows(&n->view, i, lun) && n->itls[i] != NULL)
			itl_lose(n, i);
	}
}

static int
nexus_gain(struct scsi_nexus *n, unsigned lun, struct scsi_lu *lu)
{
	int rc = 0;

	for (unsigned i = 0; i < SCSI_LUNS_MAX && rc == 0; i++) {
		if (view_shows(&n->view, i, lun))
			rc = itl_new(n, i, lu);
	}
	return rc;
}

/* On all units but the target's LUN `except`, which is new. */
static void
nexus_luns_changed(struct scsi_nexus *n, unsigned except)
{
	for (unsigned i = 0; i < SCSI_LUNS_MAX; i++) {
		struct scsi_itl *itl = n->itls[i];

		if (itl == NULL || view_shows(&n->view, i, except))
			continue;
		shared_enter(&itl->lu->lock);
		ua_add(&itl->ua, SENSE_LUNS_CHANGED);
		shared_leave(&itl->lu->lock);
	}
}

static int
target_map(struct scsi_target *t, unsigned lun, struct scsi_lu *lu)
{
	if (t->luns[lun] != NULL)
		return -EEXIST;
	list_for_each(node, tmp, &t->nexuses) {
		struct scsi_nexus *n =
		    list_entry(node, struct scsi_nexus, node);

		if (nexus_gain(n, lun, lu) == 0)
			continue;
		list_for_each(lose, tmp2, &t->nexuses)
			nexus_lose(list_entry(lose, struct scsi_nexus, node),
			    lun);
		return -ENOMEM;
	}
	list_for_each(node, tmp, &t->nexuses)
		nexus_luns_changed(list_entry(node, struct scsi_nexus, node),
		    lun);
	t->luns[lun] = lu;
	t->awaited[lun] = false;
	if (lu->rod_store == NULL)
		lu->rod_store = rod_store_ref(t->rods);
	lu->mappings++;
	return 0;
}

int
scsi_target_map(struct scsi_target *t, unsigned lun, struct scsi_lu *lu)
{
	int rc;

	if (lun >= SCSI_LUNS_MAX)
		return -EINVAL;
	shared_enter(&t->lock);
	rc = target_map(t, lun, lu);
	shared_leave(&t->lock);
	return rc;
}

void
scsi_target_await(struct scsi_target *t, unsigned lun, bool awaited)
{
	shared_enter(&t->lock);
	if (t->luns[lun] == NULL && t->awaited[lun] != awaited) {
		t->awaited[lun] = awaited;
		list_for_each(node, tmp, &t->nexuses)
			nexus_luns_changed(list_entry(node, struct scsi_nexus,
			    node), lun);
	}
	shared_leave(&t->lock);
}

bool
nexus_awaits(struct scsi_nexus *n, unsigned number)
{
	struct scsi_target *t = n->target;
	unsigned lun;
	bool awaits;

	shared_enter(&t->lock);
	lun = n->view.luns[number].lun;
	awaits = n->view.luns[number].shown &&
	    (t->awaited[lun] || t->luns[lun] != NULL);
	shared_leave(&t->lock);
	return awaits;
}

/* Whether a command of a nexus that lost the unit is still in the task set. */
static bool
lu_has_gone(const struct scsi_lu *lu)
{
	list_for_each(node, tmp, &lu->cmds) {
		if (list_entry(node, struct scsi_cmd, node)->itl->gone)
			return true;
	}
	return false;
}

int
scsi_target_unmap(struct scsi_target *t, unsigned lun)
{
	struct scsi_lu *lu;

	if (lun >= SCSI_LUNS_MAX)
		return -ENOENT;
	shared_enter(&t->lock);
	lu = t->luns[lun];
	if (lu == NULL) {
		shared_leave(&t->lock);
		return -ENOENT;
	}
	t->luns[lun] = NULL;
	lu->mappings--;
	list_for_each(node, tmp, &t->nexuses) {
		struct scsi_nexus *n =
		    list_entry(node, struct scsi_nexus, node);

		nexus_lose(n, lun);
		nexus_luns_changed(n, SCSI_LUNS_MAX);
	}
	shared_leave(&t->lock);
	shared_enter(&lu->lock);
	while (lu_has_gone(lu))
		shared_wait(&lu->left, &lu->lock);
	shared_leave(&lu->lock);
	return 0;
}

/* ---- views ---- */

void
scsi_view_all(struct scsi_view *v, bool readonly)
{
	for (unsigned i = 0; i < SCSI_LUNS_MAX; i++) {
		v->luns[i].shown = true;
		v->luns[i].readonly = readonly;
		v->luns[i].lun = (uint8_t)i;
	}
}

static void
view_copy(struct scsi_view *v, const struct scsi_view *from)
{
	if (from != NULL)
		*v = *from;
	else
		scsi_view_all(v, false);
}

static void
itl_set_readonly(struct scsi_itl *itl, bool readonly)
{
	shared_enter(&itl->lu->lock);
	if (itl->readonly != readonly)
		ua_add(&itl->ua, SENSE_MODE_CHANGED);
	itl->readonly = readonly;
	shared_leave(&itl->lu->lock);
}

/* What stands at a number after the view changed; true: another unit. */
static bool
nexus_adapt(struct scsi_nexus *n, unsigned number, int *rc)
{
	const struct scsi_target *t = n->target;
	unsigned lun = n->view.luns[number].lun;
	struct scsi_lu *lu = n->view.luns[number].shown ? t->luns[lun] : NULL;
	struct scsi_itl *itl = n->itls[number];

	if (itl != NULL && itl->lu == lu) {
		itl_set_readonly(itl, n->view.luns[number].readonly);
		return false;
	}
	if (itl != NULL)
		itl_lose(n, number);
	if (lu != NULL && itl_new(n, number, lu) != 0)
		*rc = -ENOMEM;
	return itl != NULL || lu != NULL;
}

int
scsi_nexus_set_view(struct scsi_nexus *n, const struct scsi_view *view)
{
	struct scsi_target *t = n->target;
	bool changed = false;
	int rc = 0;

	shared_enter(&t->lock);
	view_copy(&n->view, view);
	for (unsigned i = 0; i < SCSI_LUNS_MAX; i++)
		changed |= nexus_adapt(n, i, &rc);
	if (changed)
		nexus_luns_changed(n, SCSI_LUNS_MAX);
	shared_leave(&t->lock);
	return rc;
}

/* ---- nexuses ---- */

/* ---- data held until it is sent ---- */

static uint64_t
beyond_free(uint64_t bytes)
{
	return bytes > NEXUS_BUFFERED_FREE ? bytes - NEXUS_BUFFERED_FREE : 0;
}

bool
nexus_data_take(struct nexus_data *d, uint64_t bytes)
{
	uint64_t more = beyond_free(d->bytes + bytes) - beyond_free(d->bytes);
	struct scsi_target *t = d->target;

	if (d->bytes + bytes > NEXUS_BUFFERED_MAX)
		return false;
	if (atomic_fetch_add(&t->buffered, more) + more >
	    TARGET_BUFFERED_MAX && more > 0) {
		atomic_fetch_sub(&t->buffered, more);
		return false;
	}
	d->bytes += bytes;
	d->users++;
	return true;
}

static void
nexus_data_put(struct nexus_data *d)
{
	if (--d->users == 0)
		free(d);
}

void
nexus_data_drop(struct nexus_data *d, uint64_t bytes)
{
	uint64_t less = beyond_free(d->bytes) - beyond_free(d->bytes - bytes);

	d->bytes -= bytes;
	atomic_fetch_sub(&d->target->buffered, less);
	nexus_data_put(d);
}

static int
nexus_data_new(struct scsi_nexus *n)
{
	n->data = calloc(1, sizeof(*n->data));
	if (n->data == NULL)
		return -ENOMEM;
	n->data->target = n->target;
	n->data->users = 1;
	return 0;
}

/* ---- nexuses ---- */

static void
nexus_free(struct scsi_nexus *n)
{
	struct scsi_target *t = n->target;

	shared_enter(&t->lock);
	for (unsigned lun = 0; lun < SCSI_LUNS_MAX; lun++)
		itl_free(n->itls[lun]);
	list_for_each(node, tmp, &n->gone)
		itl_free(list_entry(node, struct scsi_itl, gone_node));
	list_del(&n->node);
	shared_leave(&t->lock);
	nexus_data_put(n->data);
	free(n);
}

int
scsi_nexus_open(struct scsi_target *t, const char *initiator_name,
    const char *initiator_port, struct scsi_nexus **ret_n)
{
	return scsi_nexus_open_view(t, initiator_name, initiator_port, NULL,
	    ret_n);
}

int
scsi_nexus_open_view(struct scsi_target *t, const char *initiator_name,
    const char *initiator_port, const struct scsi_view *view,
    struct scsi_nexus **ret_n)
{
	struct scsi_nexus *n;
	int rc = 0;

	if (strlen(initiator_name) >= sizeof(n->name) ||
	    strlen(initiator_port) >= sizeof(n->port))
		return -EINVAL;
	n = calloc(1, sizeof(*n));
	if (n == NULL)
		return -ENOMEM;
	n->target = t;
	strcpy(n->name, initiator_name);
	strcpy(n->port, initiator_port);
	scsi_nexus_set_group(n, 1);
	fiber_cond_init(&n->idle);
	list_init(&n->gone);
	view_copy(&n->view, view);
	if (nexus_data_new(n) < 0) {
		free(n);
		return -ENOMEM;
	}
	shared_enter(&t->lock);
	list_add_tail(&t->nexuses, &n->node);
	for (unsigned i = 0; i < SCSI_LUNS_MAX && rc == 0; i++)
		(void)nexus_adapt(n, i, &rc);
	shared_leave(&t->lock);
	if (rc != 0) {
		nexus_free(n);
		return rc;
	}
	*ret_n = n;
	return 0;
}

void
scsi_nexus_set_group(struct scsi_nexus *n, unsigned group)
{
	n->group = group;
	(void)snprintf(n->target_port, sizeof(n->target_port), "%s,t,0x%04x",
	    n->target->iqn, group);
}

/* Where it has no task its RESERVE(6) ends at once, else with the last. */
static void
nexus_abort_tasks(const struct scsi_nexus *n, struct scsi_lu *lu)
{
	bool any = false;

	shared_enter(&lu->lock);
	list_for_each(node, tmp, &lu->cmds) {
		struct scsi_cmd *c = list_entry(node, struct scsi_cmd, node);

		if (c->nexus != n)
			continue;
		scsi_cmd_give_up(c);
		any = true;
	}
	if (!any && lu->reserved_by == n)
		lu->reserved_by = NULL;
	shared_broadcast(&lu->left);
	shared_leave(&lu->lock);
}

void
scsi_nexus_abort(struct scsi_nexus *n)
{
	n->closing = true;
	for (unsigned lun = 0; lun < SCSI_LUNS_MAX; lun++) {
		const struct scsi_itl *itl = n->itls[lun];

		if (itl != NULL)
			nexus_abort_tasks(n, itl->lu);
	}
}

static void
nexus_unreserve(const struct scsi_nexus *n, struct scsi_lu *lu)
{
	shared_enter(&lu->lock);
	if (lu->reserved_by == n)
		lu->reserved_by = NULL;
	shared_leave(&lu->lock);
}

void
scsi_nexus_close(struct scsi_nexus *n)
{
	if (n == NULL)
		return;
	scsi_nexus_abort(n);
	while (n->pending > 0)
		fiber_cond_wait(&n->idle);
	for (unsigned lun = 0; lun < SCSI_LUNS_MAX; lun++) {
		const struct scsi_itl *itl = n->itls[lun];

		if (itl != NULL)
			nexus_unreserve(n, itl->lu);
	}
	nexus_free(n);
}

void
nexus_hold(struct scsi_nexus *n)
{
	n->pending++;
}

void
nexus_drop(struct scsi_nexus *n)
{
	if (--n->pending == 0)
		fiber_cond_broadcast(&n->idle);
}

bool
nexus_is(const struct scsi_nexus *n, const char *initiator_port,
    const char *target_port)
{
	return strcmp(n->port, initiator_port) == 0 &&
	    strcmp(n->target_port, target_port) == 0;
}

int
scsi_lun_decode(const uint8_t lun[8])
{
	unsigned number;

	for (unsigned i = 2; i < 8; i++) {
		if (lun[i] != 0)
			return -1;
	}
	switch (lun[0] >> 6) {
	case 0:		/* peripheral device addressing, bus 0 */
		number = lun[0] == 0 ? lun[1] : SCSI_LUNS_MAX;
		break;
	case 1:		/* flat space addressing */
		number = (unsigned)(lun[0] & 0x3f) << 8 | lun[1];
		break;
	default:
		number = SCSI_LUNS_MAX;
	}
	return number < SCSI_LUNS_MAX ? (int)number : -1;
}

static void
nexus_add_stats(struct scsi_itl *itl, struct scsi_nexus_stats *st)
{
	if (itl == NULL)
		return;
	shared_enter(&itl->lu->lock);
	io_stats_add(&st->io, &itl->stats);
	shared_leave(&itl->lu->lock);
}

void
scsi_nexus_stats(struct scsi_nexus *n, struct scsi_nexus_stats *ret_st)
{
	struct scsi_nexus_stats st = { .conflicts = n->conflicts };

	shared_enter(&n->target->lock);
	for (unsigned i = 0; i < SCSI_LUNS_MAX; i++)
		nexus_add_stats(n->itls[i], &st);
	list_for_each(node, tmp, &n->gone)
		nexus_add_stats(list_entry(node, struct scsi_itl, gone_node),
		    &st);
	shared_leave(&n->target->lock);
	st.writes = st.io.writes;
	*ret_st = st;
}
