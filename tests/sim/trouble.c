/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens to hosts and their LUN, and how it ends. */
#include <inttypes.h>
#include <stdio.h>

#include "libvmfs/base/units.h"
#include "locking/lease.h"
#include "locking/watchdog.h"
#include "tests/sim/vsim.h"

#define OUTAGE_NS (300 * NSEC_PER_SEC)

static uint64_t
below(struct vsim *v, uint64_t bound)
{
	return sim_below(&v->w.sim, bound);
}

static enum path_state
path_of(const struct vsim *v, unsigned host, bool heartbeat)
{
	return v->w.lun.nexus[2 * host + heartbeat].path;
}

static bool
is_well(const struct vsim *v, unsigned host)
{
	const struct world_host *wh = &v->w.host[host];

	return wh->host != NULL && wh->status == HOST_OK &&
	    path_of(v, host, false) == PATH_UP &&
	    path_of(v, host, true) == PATH_UP && v->guest[host].running;
}

/* ---- coming and going ---- */

/* What may end a mount among faults; it is tried again. */
static bool
mount_excused(const struct vsim *v, int rc)
{
	return !v->calm && (rc == -VMFS_EUNKNOWN || rc == -EIO ||
	    rc == -VMFS_EFENCED || rc == -VMFS_EATTENTION || rc == -ENOSPC ||
	    rc == -VMFS_EINUSE || rc == -VMFS_ECONFLICT ||
	    rc == -VMFS_EMISCOMPARE ||
	    ((rc == -VMFS_ECORRUPT || rc == -EUCLEAN) && rot_felt(v)) ||
	    ((v->mask & TROUBLE_BIT(TROUBLE_STRIKE)) &&
	    (rc == -VMFS_EGONE || rc == -EBUSY || rc == -ENOLCK)));
}

void
trouble_enter(struct vsim *v, unsigned host)
{
	struct world_host *wh = &v->w.host[host];
	int rc = world_mount(&v->w, host);

	if (rc == 0)
		guest_start(v, host);
	else if (!mount_excused(v, rc))
		world_fail(&v->w, "host%u: mount: %s: %s", host,
		    vmfs_strerror(rc), wh->why);
}

/* In good order as far as that is possible. */
void
trouble_quit(struct vsim *v, unsigned host)
{
	struct world_host *wh = &v->w.host[host];
	bool fenced, sick;
	int rc;

	guest_stop(v, host);
	fenced = wh->status == HOST_FENCED;
	sick = v->guest[host].sick;
	rc = world_unmount(&v->w, host);
	if (rc < 0 && v->calm && !fenced && !sick && wh->status == HOST_OK)
		world_fail(&v->w, "host%u: unmount: %s", host,
		    vmfs_strerror(rc));
}

static void
crash(struct vsim *v, unsigned host)
{
	v->guest[host].crashed = true;
	world_crash_begin(&v->w, host);
	guest_stop(v, host);
	world_crash(&v->w, host);
}

static void
heal(struct vsim *v, unsigned host)
{
	for (unsigned n = 2 * host; n < 2 * host + 2; n++) {
		if (v->w.lun.nexus[n].path == PATH_LOST)
			sim_path_heal(&v->w.lun, n);
		else if (v->w.lun.nexus[n].path == PATH_PAUSED)
			sim_path_resume(&v->w.lun, n);
	}
}

void
trouble_relieve(struct vsim *v, unsigned host)
{
	struct world_host *wh = &v->w.host[host];

	heal(v, host);
	if (wh->host == NULL) {
		if (path_of(v, host, false) == PATH_CUT)
			world_boot(&v->w, host);
		trouble_enter(v, host);
	} else if (wh->status == HOST_FENCED || v->guest[host].sick ||
	    ds_health(wh->ds) < 0 || !v->guest[host].running) {
		trouble_quit(v, host);
		trouble_enter(v, host);
	}
}

/* ---- troubles ---- */

static uint64_t
fences(const struct vsim *v)
{
	uint64_t n = v->w.lun.preempts;

	for (unsigned i = 0; i < v->w.hosts; i++)
		n += v->w.host[i].fenced_times;
	return n;
}

/* I11: whatever its length, nobody is fenced for it. */
static void
outage(struct vsim *v)
{
	uint64_t before;

	rot_mend(v, true);
	for (unsigned i = 0; i < v->w.hosts; i++) {
		heal(v, i);
		if (!is_well(v, i))
			return;
	}
	/* Till everybody has seen everybody pulse. */
	fiber_sleep(v->w.super.timers.fence_ms * NSEC_PER_MSEC);
	for (unsigned i = 0; i < v->w.hosts; i++)
		if (!is_well(v, i))
			return;
	v->w.lun.strike = (struct sim_strike){ 0 };
	before = fences(v);
	for (unsigned i = 0; i < v->w.hosts; i++)
		world_lose_paths(&v->w, i);
	fiber_sleep(OUTAGE_NS);
	for (unsigned i = 0; i < v->w.hosts; i++)
		world_heal_paths(&v->w, i);
	fiber_sleep(2 * v->w.super.timers.fence_ms * NSEC_PER_MSEC);
	if (fences(v) != before && !(v->mask & (TROUBLE_BIT(TROUBLE_SLOW) |
	    TROUBLE_BIT(TROUBLE_NETWORK) | TROUBLE_BIT(TROUBLE_LOST))))
		world_fail(&v->w, "I11: an outage of all hosts fenced "
		    "somebody");
}

static void
pool(struct vsim *v)
{
	v->w.lun.pool_full = true;
	fiber_sleep(below(v, 5 * NSEC_PER_SEC));
	v->w.lun.pool_full = false;
}

/* A host that stands still: it goes on in time, or its watchdog ends it. */
static void
bitten(struct vsim *v, unsigned host)
{
	uint64_t ms = below(v, 2 * LEASE_WATCHDOG_MS), ns;
	bool bites = ms > LEASE_WATCHDOG_MS;

	ns = (bites ? LEASE_WATCHDOG_MS : ms) * NSEC_PER_MSEC;
	world_pause(&v->w, host);
	/* The watchdog runs by the host's clock. */
	fiber_sleep(v->wc.drift_ppm == 0 ? ns :
	    sim_clock_span(&v->w.clock[host], ns));
	if (bites)
		crash(v, host);
	else
		heal(v, host);
}

/* A second machine with the identity of a member must be refused. */
static void
twin(struct vsim *v, unsigned host)
{
	struct world *w = &v->w;
	struct world_host *other = &w->host[w->hosts];
	int rc;

	if (w->hosts == WORLD_HOSTS_MAX || other->host != NULL)
		return;
	*other = (struct world_host){ .world = w, .index = w->hosts };
	other->env = w->host[host].env;
	(void)snprintf(other->name, sizeof(other->name), "twin");
	other->uuid = w->host[host].uuid;
	env_uuid(&w->env, &other->machine);
	env_uuid(&w->env, &other->boot);
	sim_path_reset(&w->lun, 2 * w->hosts);
	sim_path_reset(&w->lun, 2 * w->hosts + 1);
	rc = world_join(w, w->hosts);
	if (rc == 0) {
		if (is_well(v, host))
			world_fail(w, "a twin of host%u was let in", host);
		(void)!world_leave(w, w->hosts);
	}
	watchdog_share_free(other->watchdog);
	other->watchdog = NULL;
}

/* Some statuses say that nothing was executed. */
static bool
may_be_done(int result)
{
	return result == -VMFS_EUNKNOWN || result == -VMFS_EMISCOMPARE ||
	    result == -EIO;
}

/* Some of the next commands of a host, on one of its paths or on both, fail:
 * those of a moment, or of what it does next in its life. */
static void
strike(struct vsim *v, unsigned host)
{
#define OPS(a, b, c) (1u << DISK_##a | 1u << DISK_##b | 1u << DISK_##c)
	static const struct {
		unsigned ops;
		int result;
	} kinds[] = {
		{ OPS(READ, READ, READ), -EIO },
		{ OPS(READ, READ, READ), -VMFS_EUNKNOWN },
		{ OPS(READ, CAW, WRITE), -VMFS_EATTENTION },
		{ OPS(READ, CAW, WRITE), -VMFS_EUNKNOWN },
		{ OPS(CAW, CAW, CAW), -VMFS_EUNKNOWN },
		{ OPS(CAW, CAW, CAW), -VMFS_EMISCOMPARE },
		{ OPS(CAW, CAW, CAW), -VMFS_ECONFLICT },
		{ OPS(CAW, CAW, CAW), -EIO },
		{ OPS(WRITE, WRITE_ZEROES, UNMAP), -EIO },
		{ OPS(WRITE, FLUSH, CAW), -VMFS_ECONFLICT },
		{ OPS(FLUSH, FLUSH, FLUSH), -EIO },
		{ OPS(PR_OUT, PR_OUT, PR_OUT), -VMFS_EUNKNOWN },
		{ OPS(PR_OUT, PR_OUT, PR_OUT), -VMFS_ECONFLICT },
		{ OPS(PR_OUT, PR_OUT, PR_OUT), -VMFS_EATTENTION },
		{ OPS(PR_OUT, PR_READ_KEYS, PR_READ_RESERVATION), -EIO },
		{ OPS(PR_READ_KEYS, PR_READ_KEYS, PR_READ_RESERVATION),
		    -VMFS_EUNKNOWN },
		{ OPS(PR_READ_KEYS, PR_READ_KEYS, PR_READ_RESERVATION),
		    -VMFS_EATTENTION },
		{ OPS(HOLD, UNHOLD, HOLD_TEST), -EIO },
		{ OPS(RESERVE, RELEASE, READ), -VMFS_EUNKNOWN },
		{ OPS(RESERVE, RELEASE, RELEASE), -VMFS_EATTENTION },
		{ OPS(RESERVE, READ, WRITE), -VMFS_ECONFLICT },
		{ OPS(READ, CAW, PR_READ_KEYS), -VMFS_EGONE },
	};
#undef OPS
	size_t k = below(v, sizeof(kinds) / sizeof(*kinds));
	unsigned path = (unsigned)below(v, 3);

	v->w.lun.strike = (struct sim_strike){
		.result = kinds[k].result, .ops = kinds[k].ops,
		.first = 2 * host + (path == 1), .last = 2 * host + (path > 0),
		.times = 1u << below(v, 7), .skip = below(v, 8),
		.done = below(v, 2) == 0 && may_be_done(kinds[k].result),
	};
	if (below(v, 2) == 0) {
		crash(v, host);
		world_boot(&v->w, host);
		trouble_enter(v, host);
	}
}

/* What is in a cache nobody misses: mostly a host has to read it again. */
static void
rot(struct vsim *v, unsigned host)
{
	for (uint64_t n = 1 + below(v, 6); n > 0; n--)
		rot_begin(v);
	switch (below(v, 4)) {
	case 0:
		return;
	case 1:
		trouble_quit(v, host);
		trouble_enter(v, host);
		return;
	default:
		crash(v, host);
		world_boot(&v->w, host);
		trouble_enter(v, host);
		return;
	}
}

static void
power_loss(struct vsim *v)
{
	for (unsigned i = 0; i < ORACLE_DISKS; i++)
		if (v->oracle.disk[i].sector != NULL)
			oracle_power_loss(&v->oracle.disk[i]);
	sim_lun_power_loss(&v->w.lun);
	sim_lun_attention(&v->w.lun, 0x29, 0x01);
}

static void
pause_host(struct vsim *v, unsigned host)
{
	if (lease_by_time(v->wc.protocol)) {
		bitten(v, host);
		return;
	}
	world_pause(&v->w, host);
	if (below(v, 4) == 0)
		fiber_sleep(below(v, 600 * NSEC_PER_SEC));
}

static void
starve(struct vsim *v, unsigned host)
{
	sim_path_pause(&v->w.lun, 2 * host + 1);
	if (lease_by_time(v->wc.protocol)) {
		fiber_sleep(below(v, LEASE_WATCHDOG_MS) * NSEC_PER_MSEC);
		heal(v, host);
	}
}

static void
relogins(struct vsim *v)
{
	for (unsigned n = 0; n < 20; n++) {
		sim_path_relogin(&v->w.lun, 2 * (unsigned)below(v,
		    v->w.hosts) + (unsigned)below(v, 2), 100 * NSEC_PER_MSEC);
		fiber_sleep(below(v, NSEC_PER_SEC));
	}
}

static void
attention(struct vsim *v)
{
	static const uint8_t codes[][2] = {
		{ 0x29, 0x00 }, { 0x29, 0x02 }, { 0x3f, 0x0e }, { 0x2a, 0x09 },
	};
	uint64_t code = below(v, 4);

	sim_lun_attention(&v->w.lun, codes[code][0], codes[code][1]);
}

static void
apply(struct vsim *v, enum trouble k, unsigned host)
{
	switch (k) {
	case TROUBLE_CRASH:
		crash(v, host);
		return;
	case TROUBLE_LEAVE:
		trouble_quit(v, host);
		return;
	case TROUBLE_PATHS:
		world_lose_paths(&v->w, host);
		return;
	case TROUBLE_DATA_PATH:
		sim_path_lose(&v->w.lun, 2 * host);
		return;
	case TROUBLE_PULSE_PATH:
		sim_path_lose(&v->w.lun, 2 * host + 1);
		return;
	case TROUBLE_PAUSE:
		pause_host(v, host);
		return;
	case TROUBLE_STARVE:
		starve(v, host);
		return;
	case TROUBLE_SESSION:
		relogins(v);
		return;
	case TROUBLE_OUTAGE:
		outage(v);
		return;
	case TROUBLE_POWER:
		power_loss(v);
		return;
	case TROUBLE_ATTENTION:
		attention(v);
		return;
	case TROUBLE_POOL:
		pool(v);
		return;
	case TROUBLE_TWIN:
		twin(v, host);
		return;
	case TROUBLE_STRIKE:
		strike(v, host);
		return;
	case TROUBLE_ROT:
		rot(v, host);
		return;
	case TROUBLE_IMAGE:
		if (!rot_now(v))
			image_check(v, v->wc.protocol != LOCK_FILE &&
			    below(v, 2) == 0);
		return;
	default:
		return;
	}
}

void
trouble_one(struct vsim *v)
{
	unsigned host = (unsigned)below(v, v->w.hosts);
	enum trouble k = (enum trouble)below(v, TROUBLE_EVENTS);

	rot_mend(v, false);
	/* Mostly troubles are over before the next one strikes the host. */
	if (!is_well(v, host)) {
		trouble_relieve(v, host);
		return;
	}
	if (!(v->mask & TROUBLE_BIT(k)))
		return;
	v->totals.troubles[k]++;
	apply(v, k, host);
}
