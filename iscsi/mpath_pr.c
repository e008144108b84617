/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registrations: each leg is a nexus of its own to the LUN and needs the user's
 * key.  A leg that had none when the user registered is late: its key is
 * registered by order of the user, who then looks whether he may still use it,
 * and only then it is let in.
 */
#include <stdlib.h>
#include <string.h>

#include "iscsi/mpath_int.h"

#define COMPARE_PAUSE_NS (20 * NSEC_PER_MSEC)

bool
mpath_pr_for_all(const struct disk_req *req)
{
	if (req->op == DISK_PR_READ_KEYS)
		return true;
	if (req->op != DISK_PR_OUT)
		return false;
	switch (req->pr->action) {
	case DISK_PR_REGISTER:
	case DISK_PR_REGISTER_IGNORE:
	case DISK_PR_LATE_REGISTER:
	case DISK_PR_LATE_ADMIT:
	case DISK_PR_LATE_REVOKE:
		return true;
	default:
		return false;
	}
}

static int
leg_register(struct leg *l, struct disk_pr pr)
{
	struct disk_req req = { .op = DISK_PR_OUT, .pr = &pr };

	return leg_run(l, &req);
}

/*
 * Registering the key over itself changes nothing and is refused where it is
 * not registered: in no case does it bring a key back.
 */
int
mpath_pr_confirm(struct leg *l)
{
	return leg_register(l, (struct disk_pr){ .action = DISK_PR_REGISTER,
	    .key = l->mp->key, .sa_key = l->mp->key,
	    .aptpl = l->mp->aptpl });
}

/* Until nothing of a lost leg can land any more; false when time is up. */
static bool
quiet(struct mreq *r)
{
	struct mpath *mp = r->mp;

	while (mp->killing || mpath_haunted(mp)) {
		if (env_now(mp->env) >= r->deadline_ns || mp->stopping)
			return false;
		(void)fiber_cond_wait_until(&mp->changed, r->deadline_ns);
	}
	return true;
}

/* ---- to all ---- */

struct tally {
	unsigned done;
	int error;		/* the first that is an answer */
	struct disk_sense sense;
};

static void
count(struct tally *t, int rc, const struct disk_sense *sense)
{
	if (rc == 0)
		t->done++;
	else if (rc != -VMFS_EUNKNOWN && rc != -ENOTCONN && t->error == 0) {
		t->error = rc;
		t->sense = *sense;
	}
}

static bool
any_registrable(const struct mpath *mp)
{
	for (unsigned i = 0; i < mp->count; i++)
		if (leg_registrable(&mp->legs[i]))
			return true;
	return false;
}

static bool
wait_registrable(struct mreq *r)
{
	struct mpath *mp = r->mp;

	while (!any_registrable(mp)) {
		if (env_now(mp->env) >= r->deadline_ns || mp->stopping)
			return false;
		(void)fiber_cond_wait_until(&mp->changed, r->deadline_ns);
	}
	return true;
}

/* Legs that are away are checked against the key when they come back. */
static int
register_all(struct mreq *r)
{
	struct mpath *mp = r->mp;
	struct disk_pr *pr = r->parent->pr;
	struct tally t = { 0 };

	if (!wait_registrable(r))
		return -VMFS_EUNKNOWN;
	for (unsigned i = 0; i < mp->count; i++) {
		struct leg *l = &mp->legs[i];
		struct disk_req req = { .op = DISK_PR_OUT,
			.pr = &(struct disk_pr){ 0 } };

		if (!quiet(r))
			return -VMFS_EUNKNOWN;
		if (!leg_registrable(l))
			continue;
		*req.pr = *pr;
		count(&t, leg_run(l, &req), &req.sense);
	}
	r->req.sense = t.sense;
	if (t.error < 0 || t.done == 0)
		return t.error < 0 ? t.error : -VMFS_EUNKNOWN;
	mp->key = pr->sa_key;
	mp->aptpl = pr->aptpl;
	for (unsigned i = 0; mp->key == 0 && i < mp->count; i++) {
		mp->legs[i].unchecked = false;
		mp->legs[i].stale = true;
	}
	return 0;
}

static int
late(struct mreq *r)
{
	struct mpath *mp = r->mp;
	struct disk_pr *pr = r->parent->pr;
	bool entering = pr->action == DISK_PR_LATE_REGISTER;

	for (unsigned i = 0; i < mp->count; i++) {
		struct leg *l = &mp->legs[i];

		if (l->state != (entering ? MPATH_LATE : MPATH_PROBATION) ||
		    !quiet(r))
			continue;
		if (pr->action == DISK_PR_LATE_ADMIT) {
			l->unchecked = false;
			leg_settle(l);
		} else if (entering && leg_register(l, (struct disk_pr){
		    .action = DISK_PR_REGISTER_IGNORE, .sa_key = pr->sa_key,
		    .aptpl = mp->aptpl }) == 0) {
			leg_state_set(l, MPATH_PROBATION);
		} else if (!entering) {
			(void)leg_register(l, (struct disk_pr){
			    .action = DISK_PR_REGISTER, .key = pr->sa_key });
			if (l->state == MPATH_PROBATION)
				leg_state_set(l, MPATH_LATE);
		}
	}
	return 0;
}

/* ---- READ KEYS: every leg must tell the same ---- */

static int
compare_keys(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
sort_keys(struct disk_pr *pr)
{
	size_t n = pr->keys_count < pr->keys_max ? pr->keys_count :
	    pr->keys_max;

	qsort(pr->keys, n, sizeof(*pr->keys), compare_keys);
}

static bool
same_keys(const struct disk_pr *a, const struct disk_pr *b)
{
	size_t n = a->keys_count < a->keys_max ? a->keys_count : a->keys_max;

	return a->keys_count == b->keys_count &&
	    memcmp(a->keys, b->keys, n * sizeof(*a->keys)) == 0;
}

/* -EAGAIN: two legs differ, maybe because somebody registers just now. */
static int
read_keys_once(struct mreq *r, struct disk_pr *other, bool late_too)
{
	struct mpath *mp = r->mp;
	struct disk_pr *pr = r->parent->pr;
	struct tally t = { 0 };

	for (unsigned i = 0; i < mp->count; i++) {
		struct leg *l = &mp->legs[i];
		struct disk_pr *into = t.done == 0 ? pr : other;
		struct disk_req req = { .op = DISK_PR_READ_KEYS, .pr = into };

		if (!leg_registrable(l) && !(late_too &&
		    (l->state == MPATH_LATE || l->state == MPATH_PROBATION)))
			continue;
		count(&t, leg_run(l, &req), &req.sense);
		if (t.error < 0)
			break;
		if (req.result == 0)
			sort_keys(into);
		if (req.result == 0 && into == other && !same_keys(pr, other))
			return -EAGAIN;
	}
	r->req.sense = t.sense;
	return t.error < 0 ? t.error : t.done > 0 ? 0 : -VMFS_EUNKNOWN;
}

static int
read_keys_all(struct mreq *r)
{
	struct disk_pr *pr = r->parent->pr;
	struct disk_pr other = { .keys_max = pr->keys_max };
	int rc = -EAGAIN;

	other.keys = calloc(pr->keys_max + 1, sizeof(*other.keys));
	if (other.keys == NULL)
		return -ENOMEM;
	for (int i = 0; rc == -EAGAIN && i < MPATH_TRIES; i++) {
		if (i > 0)
			fiber_sleep(COMPARE_PAUSE_NS);
		rc = read_keys_once(r, &other, !any_registrable(r->mp));
	}
	free(other.keys);
	if (rc == -EAGAIN) {
		log_error(r->mp->env->log, "mpath: lun=%s: its paths tell "
		    "different reservation keys; they do not lead to one LUN, "
		    "or its controllers do not share reservations",
		    r->mp->name);
		return -VMFS_EPROTO;
	}
	return rc;
}

static int
run(struct mreq *r)
{
	if (!quiet(r))
		return -VMFS_EUNKNOWN;
	if (r->parent->op == DISK_PR_READ_KEYS)
		return read_keys_all(r);
	switch (r->parent->pr->action) {
	case DISK_PR_LATE_REGISTER:
	case DISK_PR_LATE_ADMIT:
	case DISK_PR_LATE_REVOKE:
		return late(r);
	default:
		return register_all(r);
	}
}

static void
pr_main(void *arg)
{
	struct mreq *r = arg;
	struct mpath *mp = r->mp;
	int rc;

	fiber_mutex_lock(&mp->keys);
	rc = run(r);
	fiber_mutex_unlock(&mp->keys);
	mp->fibers--;
	fiber_cond_broadcast(&mp->changed);
	mreq_end(r, rc);
}

void
mpath_pr_start(struct mreq *r)
{
	int rc = sched_spawn(r->mp->home, "mpath-keys", pr_main, r);

	if (rc < 0)
		mreq_end_soon(r, rc);
	else
		r->mp->fibers++;
}
