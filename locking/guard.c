/* SPDX-License-Identifier: BSD-2-Clause */
/* The lease check in front of the LUN: states, and the fiber that thaws. */
#include <string.h>

#include "libvmfs/base/units.h"
#include "locking/guard_req.h"

static const char *const status_names[] = {
	[HOST_OK] = "ok",
	[HOST_FROZEN] = "frozen",
	[HOST_FENCED] = "fenced",
	[HOST_LEFT] = "left",
};

const char *
host_status_name(enum host_status s)
{
	return (unsigned)s < sizeof(status_names) / sizeof(*status_names) ?
	    status_names[s] : "unknown";
}

static const bool moves[4][4] = {
	[HOST_OK] = { [HOST_FROZEN] = true, [HOST_FENCED] = true,
	    [HOST_LEFT] = true },
	[HOST_FROZEN] = { [HOST_OK] = true, [HOST_FENCED] = true,
	    [HOST_LEFT] = true },
	[HOST_FENCED] = { [HOST_LEFT] = true },
};

bool
guard_move_ok(enum host_status from, enum host_status to)
{
	return (unsigned)from < 4 && (unsigned)to < 4 && moves[from][to];
}

/* Takes the edge if the table has it; false when it has not, or no longer. */
static bool
move(struct guard *g, enum host_status to)
{
	int from = atomic_load(&g->status);

	while (guard_move_ok((enum host_status)from, to))
		if (atomic_compare_exchange_weak(&g->status, &from, (int)to))
			return true;
	return false;
}

enum host_status
guard_status(const struct guard *g)
{
	return (enum host_status)atomic_load(&g->status);
}

bool
guard_lease_good(struct guard *g, struct sched *s)
{
	uint64_t good = atomic_load(&g->good_ns);
	uint64_t now = sched_now(s);

	return now < good || now - good < g->conf.freeze_ns;
}

void
guard_pulse(struct guard *g, uint64_t submit_ns)
{
	/* The heartbeat is the only writer: no older one can overtake. */
	atomic_store(&g->good_ns, submit_ns);
}

static void
poked(void *arg)
{
	struct guard *g = arg;

	atomic_flag_clear(&g->poked);
	fiber_cond_broadcast(&g->wake);
}

static void
poke(struct guard *g)
{
	if (!atomic_flag_test_and_set(&g->poked))
		sched_post(g->conf.env->sched, &g->poke);
}

void
guard_fence(struct guard *g, int error, const char *why)
{
	/* First the reason: whoever sees FENCED finds it. */
	atomic_store(&g->error, error);
	if (why != NULL)
		atomic_store(&g->fence_why, why);
	if (move(g, HOST_FENCED))
		poke(g);
}

void
guard_doubt(struct guard *g, const char *why)
{
	atomic_store(&g->doubt, why);
	(void)move(g, HOST_FROZEN);
	poke(g);
}

static void
tell(struct guard *g, enum host_status status)
{
	log_line(g->conf.env->log, status == HOST_OK ? LOG_LEVEL_INFO :
	    LOG_LEVEL_WARN, "guard: status=%s why=\"%s\"",
	    host_status_name(status), g->why);
	g->conf.on_status(g->conf.arg, status, g->why);
}

/* A doubt that is settled at once is not worth an admin's attention. */
static void
tell_frozen(struct guard *g)
{
	if (g->told_frozen)
		return;
	g->told_frozen = true;
	tell(g, HOST_FROZEN);
}

static void
thaw(struct guard *g)
{
	if (!move(g, HOST_OK))
		return;
	if (atomic_load(&g->doubt) != NULL) {
		(void)move(g, HOST_FROZEN);
		return;
	}
	fiber_cond_broadcast(&g->settled);
	guard_release_parked(g);
	if (!g->told_frozen)
		return;
	g->told_frozen = false;
	why_say(g->why, "pulse is good again");
	tell(g, HOST_OK);
}

/* FROZEN: may it end? */
static void
try_thaw(struct guard *g)
{
	bool good = guard_lease_good(g, g->conf.env->sched);
	const char *doubt = atomic_exchange(&g->doubt, NULL);
	char why[WHY_SIZE] = "";
	int rc;

	if (!good)
		tell_frozen(g);
	/* Also without a lease: that the LUN is gone shows only by asking. */
	rc = g->conf.validate(g->conf.arg, why);
	if (rc == -VMFS_EFENCED || rc == -VMFS_EGONE) {
		why_say(g->why, "%s", why);
		guard_fence(g, rc, NULL);
	} else if (rc < 0) {
		atomic_store(&g->doubt, doubt != NULL ? doubt :
		    "the own slot cannot be read");
		tell_frozen(g);
	} else if (good && atomic_load(&g->doubt) == NULL) {
		thaw(g);
	}
}

static void
guard_step(struct guard *g)
{
	const char *doubt = atomic_load(&g->doubt);

	if (doubt != NULL && !g->told_frozen)
		why_say(g->why, "%s", doubt);
	if (doubt != NULL)
		(void)move(g, HOST_FROZEN);
	if (guard_status(g) == HOST_OK &&
	    !guard_lease_good(g, g->conf.env->sched) && move(g, HOST_FROZEN))
		why_say(g->why, "no pulse reached the "
		    "LUN for %llu ms; I/O waits until one does",
		    (unsigned long long)(g->conf.freeze_ns / NSEC_PER_MSEC));
	if (guard_status(g) == HOST_FROZEN)
		try_thaw(g);
}

static void
tell_fenced(struct guard *g)
{
	const char *why = atomic_load(&g->fence_why);

	if (why != NULL)
		why_say(g->why, "%s", why);
	fiber_cond_broadcast(&g->settled);
	guard_release_parked(g);
	tell(g, HOST_FENCED);
}

static void
guard_main(void *arg)
{
	struct guard *g = arg;
	struct sched *s = g->conf.env->sched;

	while (!g->stopping && guard_status(g) != HOST_FENCED) {
		guard_step(g);
		if (!g->stopping && guard_status(g) != HOST_FENCED)
			(void)fiber_cond_wait_until(&g->wake,
			    sched_now(s) + g->conf.retry_ns);
	}
	if (guard_status(g) == HOST_FENCED)
		tell_fenced(g);
	g->running = false;
	fiber_cond_broadcast(&g->wake);
}

int
guard_start(struct guard *g, const struct guard_conf *conf)
{
	int rc;

	*g = (struct guard){ .conf = *conf };
	g->disk.ops = &guard_disk_ops;
	g->disk.info = conf->below->info;
	g->replay.ops = &guard_replay_ops;
	g->replay.info = conf->below->info;
	list_init(&g->parked);
	fiber_cond_init(&g->wake);
	fiber_cond_init(&g->settled);
	g->poke = (struct sched_work){ .fn = poked, .arg = g };
	atomic_flag_clear(&g->poked);
	atomic_store(&g->good_ns, sched_now(conf->env->sched));
	g->running = true;
	rc = sched_spawn(conf->env->sched, "guard", guard_main, g);
	if (rc < 0)
		g->running = false;
	return rc;
}

void
guard_stop(struct guard *g, int error)
{
	struct sched *s = g->conf.env->sched;

	if (guard_status(g) != HOST_FENCED)
		atomic_store(&g->error, error);
	(void)move(g, HOST_LEFT);
	g->stopping = true;
	fiber_cond_broadcast(&g->wake);
	fiber_cond_broadcast(&g->settled);
	guard_release_parked(g);
	while (g->running || atomic_load(&g->in_flight) > 0 ||
	    atomic_flag_test_and_set(&g->poked)) {
		guard_release_parked(g);
		(void)fiber_cond_wait_until(&g->wake,
		    sched_now(s) + NSEC_PER_MSEC);
	}
}
