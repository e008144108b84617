/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of commands that a lost leg may have left at the target.
 *
 * Best is session reinstatement through another portal of the same target
 * port: the target closes the old session with all that lies in its buffers,
 * and nobody else notices.  Where the port is another one, a LOGICAL UNIT RESET
 * has to do; it comes after a pause, so that the old session has read what
 * still reaches it.  See doc/adr/0005-ghost-writes.md.
 */
#include "iscsi/mpath_int.h"

bool
mpath_haunted(const struct mpath *mp)
{
	for (unsigned i = 0; i < mp->count; i++)
		if (mp->legs[i].haunted)
			return true;
	return mp->reset_due;
}

/* A leg that has a session, the best first. */
static struct leg *
exorcist(struct mpath *mp)
{
	struct leg *best = NULL;

	for (unsigned i = 0; i < mp->count; i++) {
		struct leg *l = &mp->legs[i];

		if (l->haunted || (l->state != MPATH_ACTIVE &&
		    l->state != MPATH_INACTIVE && l->state != MPATH_LATE &&
		    l->state != MPATH_PROBATION))
			continue;
		if (l->state == MPATH_ACTIVE)
			return l;
		best = l;
	}
	return best;
}

static void
reinstate_all(struct mpath *mp, struct leg *by)
{
	for (unsigned i = 0; i < mp->count; i++) {
		struct leg *l = &mp->legs[i];
		uint64_t lost = l->lost_ns;

		if (!l->haunted || by->conf.ops->reinstate(by->disk,
		    l->disk) < 0 || l->lost_ns != lost)
			continue;
		l->haunted = false;
		log_info(mp->env->log, "mpath: lun=%s path=%s: its last "
		    "commands were ended through %s", mp->name, l->conf.portal,
		    by->conf.portal);
	}
}

static uint64_t
last_loss(const struct mpath *mp)
{
	uint64_t last = 0;

	for (unsigned i = 0; i < mp->count; i++)
		if (mp->legs[i].haunted && mp->legs[i].lost_ns > last)
			last = mp->legs[i].lost_ns;
	return last;
}

static bool
busy(const struct mpath *mp)
{
	for (unsigned i = 0; i < mp->count; i++)
		if (mp->legs[i].in_flight > 0)
			return true;
	return false;
}

static void
reset_ended_all(struct mpath *mp, struct leg *by)
{
	mp->reset_due = false;
	mp->reset_refused = false;
	for (unsigned i = 0; i < mp->count; i++) {
		struct leg *l = &mp->legs[i];

		l->haunted = false;
		/* Who had reserved must hear that it is over. */
		if (l != by && l->disk != NULL && mp->reserver == NULL)
			l->conf.ops->expect_reset(l->disk);
	}
	log_warn(mp->env->log, "mpath: lun=%s: reset through %s, to end the "
	    "commands of a lost path", mp->name, by->conf.portal);
}

static void
reset(struct mpath *mp, struct leg *by)
{
	uint64_t not_before = last_loss(mp) + MPATH_GRACE_NS;
	int rc;

	if (env_now(mp->env) < not_before)
		fiber_sleep(not_before - env_now(mp->env));
	/* Its own commands would be ended as well, without a status. */
	while (busy(mp))
		fiber_cond_wait(&mp->drained);
	/* The path may have come back, or this one gone, meanwhile. */
	if (!mpath_haunted(mp) || by->haunted || last_loss(mp) +
	    MPATH_GRACE_NS > env_now(mp->env))
		return;
	rc = by->conf.ops->reset(by->disk);
	if (rc == 0) {
		reset_ended_all(mp, by);
	} else if (!mp->reset_refused) {
		mp->reset_refused = true;
		log_error(mp->env->log, "mpath: lun=%s: the target does not end "
		    "the commands of a lost path (%s): I/O waits until that "
		    "path is back", mp->name, vmfs_strerror(rc));
	}
}

void
mpath_exorcise(struct mpath *mp)
{
	struct leg *by = exorcist(mp);

	if (by == NULL || !mpath_haunted(mp))
		return;
	mp->killing = true;
	if (!mp->reset_due)
		reinstate_all(mp, by);
	if (mpath_haunted(mp))
		reset(mp, by);
	mp->killing = false;
	fiber_cond_broadcast(&mp->changed);
}
