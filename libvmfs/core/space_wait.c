/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The volume has room, but other hosts lease it.  Who needs some asks by its
 * heartbeat; the others give back what they do not use and stand back for a
 * pulse, so that the one who asked gets it.  What dead hosts lease comes free
 * when they are taken over: that is waited for, too.
 */
#include "libvmfs/base/units.h"
#include "libvmfs/core/ds_priv.h"

#define POLL_DIV 16		/* of a pulse */
#define HOPELESS_PULSES 10	/* after which it is tried again */

static uint64_t
pulse_ns(const struct ds *ds)
{
	return ds->super.timers.pulse_ms * NSEC_PER_MSEC;
}

/* They see it within a pulse, and answer in a round of the housekeeper. */
static uint64_t
answer_ns(const struct ds *ds)
{
	uint64_t round = ds->conf.checkpoint_ms != 0 ? ds->conf.checkpoint_ms :
	    CHECKPOINT_MS_DEFAULT;

	return 3 * pulse_ns(ds) + 2 * round * NSEC_PER_MSEC;
}

static bool
worth_waiting(const struct ds *ds, uint64_t began)
{
	uint64_t waited = env_now(ds->conf.env) - began;
	uint64_t fence = ds->super.timers.fence_ms * NSEC_PER_MSEC;

	if (!ds->locked_room || ds->health < 0 || ds->stopping)
		return false;
	return waited < answer_ns(ds) || (ds->conf.locks->dying > 0 &&
	    waited < 2 * fence + answer_ns(ds));
}

static int
ask_and_wait(struct ds *ds, uint32_t chunks)
{
	struct lockops *l = ds->conf.locks;
	uint64_t began = env_now(ds->conf.env);
	struct lease *found;
	int r = l->vt->ask_space(l);

	if (r == -EOPNOTSUPP)
		return -ENOSPC;
	if (r < 0)
		return r;
	log_info(ds->conf.env->log, "core: no space left but what other hosts "
	    "lease: asked for it");
	do {
		fiber_sleep(pulse_ns(ds) / POLL_DIV);
		r = ds->health < 0 ? ds->health :
		    lease_more(ds, chunks, &found);
	} while (r == -ENOSPC && worth_waiting(ds, began));
	if (r == -ENOSPC)
		ds->hopeless_until_ns = env_now(ds->conf.env) +
		    HOPELESS_PULSES * pulse_ns(ds);
	return r;
}

int
space_wait(struct ds *ds, uint32_t chunks)
{
	struct lease *found;
	int r = -ENOSPC;

	if (ds->conf.locks->vt->ask_space == NULL || !ds->locked_room ||
	    env_now(ds->conf.env) < ds->hopeless_until_ns)
		return -ENOSPC;
	/* One asks for all; the next may find what he has got. */
	fiber_mutex_lock(&ds->asking);
	if (ds->health < 0)
		r = ds->health;
	else
		r = lease_more(ds, chunks, &found);
	if (r == -ENOSPC && env_now(ds->conf.env) >= ds->hopeless_until_ns)
		r = ask_and_wait(ds, chunks);
	fiber_mutex_unlock(&ds->asking);
	return r;
}

int
space_answer(struct ds *ds)
{
	uint64_t asked = ds->conf.locks->space_asked;
	int r;

	if (asked == ds->asked_seen)
		return 0;
	r = lease_yield(ds);
	ds->yield_until_ns = env_now(ds->conf.env) + pulse_ns(ds) / 2;
	ds->asked_seen = asked;
	return r;
}

void
space_stand_back(struct ds *ds)
{
	uint64_t now = env_now(ds->conf.env);

	if (now < ds->yield_until_ns)
		fiber_sleep(ds->yield_until_ns - now);
}
