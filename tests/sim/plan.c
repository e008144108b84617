/* SPDX-License-Identifier: BSD-2-Clause */
/* The mix of faults of one run. */
#include "libvmfs/base/units.h"
#include "locking/lease.h"
#include "tests/sim/vsim.h"

const char *const trouble_name[TROUBLE_KINDS] = {
	[TROUBLE_CRASH] = "crash",
	[TROUBLE_LEAVE] = "leave",
	[TROUBLE_PATHS] = "paths",
	[TROUBLE_DATA_PATH] = "data-path",
	[TROUBLE_PULSE_PATH] = "pulse-path",
	[TROUBLE_PAUSE] = "pause",
	[TROUBLE_STARVE] = "starve",
	[TROUBLE_OUTAGE] = "outage",
	[TROUBLE_POWER] = "power",
	[TROUBLE_ATTENTION] = "attention",
	[TROUBLE_POOL] = "pool",
	[TROUBLE_TWIN] = "twin",
	[TROUBLE_IMAGE] = "image",
	[TROUBLE_SESSION] = "session",
	[TROUBLE_STRIKE] = "strike",
	[TROUBLE_ROT] = "rot",
	[TROUBLE_STATUS] = "status",
	[TROUBLE_MISCOMPARE] = "miscompare",
	[TROUBLE_SLOW] = "slow",
	[TROUBLE_LOST] = "lost",
	[TROUBLE_TWICE] = "twice",
	[TROUBLE_READ] = "read-error",
	[TROUBLE_NETWORK] = "network",
	[TROUBLE_FLIP] = "flip",
	[TROUBLE_DRIFT] = "drift",
};

static bool
on(const struct vsim *v, enum trouble k)
{
	return v->mask & TROUBLE_BIT(k);
}

static unsigned
rate(const struct vsim *v, struct prng *p, enum trouble k, unsigned max_ppm)
{
	unsigned ppm = 1 + (unsigned)prng_below(p, max_ppm);

	return on(v, k) ? ppm : 0;
}

/* What LOCKING.md counts on, what it has room for, and, where no time is a
 * proof, more than any clock does. */
static unsigned
drift(const struct vsim *v, struct prng *p)
{
	static const unsigned ppm[] = { 1000, 20000, 150000 };
	uint64_t k = prng_below(p, lease_by_time(v->wc.protocol) ? 2 : 3);

	return on(v, TROUBLE_DRIFT) ? ppm[k] : 0;
}

/* Files have no wire that loses things, and no power of their own. */
static const unsigned not_of_files = TROUBLE_BIT(TROUBLE_POWER) |
    TROUBLE_BIT(TROUBLE_ATTENTION) | TROUBLE_BIT(TROUBLE_LOST) |
    TROUBLE_BIT(TROUBLE_STATUS) | TROUBLE_BIT(TROUBLE_MISCOMPARE) |
    TROUBLE_BIT(TROUBLE_PAUSE) | TROUBLE_BIT(TROUBLE_SESSION);

/* Most LUNs are thin; arrays take their time for an UNMAP, and some can only
 * forget a MiB. */
static void
plan_discards(struct vsim *v, struct prng *p)
{
	static const uint32_t units[] = { 4096, 65536, MIB };
	uint64_t most = prng_below(p, 2) == 0 ? 10 * NSEC_PER_SEC : 0;

	v->wc.no_discard = prng_below(p, 8) == 0;
	v->wc.unmap_granularity = units[prng_below(p, 3)];
	v->wc.discard_rate = prng_below(p, 2) == 0 ? 0 : 4 * MIB;
	/* Not longer than what time proves to be over. */
	if (lease_by_time(v->wc.protocol))
		most /= 2;
	v->wc.faults.unmap_ns = most;
}

/*
 * Every draw is made whatever is switched off, so that a mask changes nothing
 * but what it names.  About half of the kinds take part in a run: faults that
 * hide each other are found by runs that lack one of them.
 */
void
plan_make(struct vsim *v)
{
	static const enum lock_protocol protocols[8] = {
		LOCK_ATS_PR, LOCK_ATS_PR, LOCK_ATS_PR, LOCK_ATS_PR, LOCK_FILE,
		LOCK_FILE, LOCK_ATS_WATCHDOG, LOCK_RESERVE,
	};
	struct prng p;
	unsigned drawn;

	prng_seed(&p, v->conf.seed ^ 0x9e3779b97f4a7c15u);
	drawn = (unsigned)prng_below(&p, TROUBLE_ALL) | (unsigned)prng_below(&p,
	    TROUBLE_ALL) % 3;
	v->wc.hosts = 2 + (unsigned)prng_below(&p, 5);
	v->wc.protocol = protocols[prng_below(&p, 8)];
	v->wc.block_size = prng_below(&p, 4) == 0 ? 4096 : 512;
	if (v->conf.hosts != 0)
		v->wc.hosts = v->conf.hosts;
	if (v->conf.protocol >= 0)
		v->wc.protocol = (enum lock_protocol)v->conf.protocol;
	if (v->wc.protocol == LOCK_RESERVE)
		v->wc.block_size = 512;
	v->mask = drawn & v->conf.troubles;
	if (v->wc.protocol == LOCK_FILE)
		v->mask &= ~not_of_files;
	v->wc.seed = v->conf.seed;
	v->wc.lun_bytes = GIB;
	v->wc.limit_ns = 6 * 3600 * NSEC_PER_SEC;
	v->wc.faults = (struct sim_faults){
		.status_lost_ppm = rate(v, &p, TROUBLE_STATUS, 1000),
		.miscompare_ppm = rate(v, &p, TROUBLE_MISCOMPARE, 10000),
		.slow_ppm = rate(v, &p, TROUBLE_SLOW, 1000),
		.slow_ns = prng_below(&p, 8) == 0 ? 60 * NSEC_PER_SEC :
		    5 * NSEC_PER_SEC,
		.lost_ppm = rate(v, &p, TROUBLE_LOST, 300),
		.twice_ppm = rate(v, &p, TROUBLE_TWICE, 5000),
		.read_error_ppm = rate(v, &p, TROUBLE_READ, 50),
		.flip_ppm = rate(v, &p, TROUBLE_FLIP, 2000),
		.late_ns = 600 * NSEC_PER_SEC,
		.torn_ppm = v->wc.protocol == LOCK_FILE ? 500000 : 0,
		.abort_ns = on(v, TROUBLE_SLOW) ?
		    prng_below(&p, 5 * NSEC_PER_SEC) : 0,
	};
	/* What another host has fenced is over within the same bound. */
	if (v->wc.faults.abort_ns > 0)
		v->wc.faults.late_ns = LEASE_BOUND_MS / 2 * NSEC_PER_MSEC;
	/* What time proves is true within the bound of an I/O's life. */
	if (lease_by_time(v->wc.protocol)) {
		v->wc.faults.slow_ns = 5 * NSEC_PER_SEC;
		v->wc.faults.late_ns = LEASE_BOUND_MS / 2 * NSEC_PER_MSEC;
	}
	v->wc.drift_ppm = drift(v, &p);
	v->wc.net = on(v, TROUBLE_NETWORK) ?
	    (enum world_net)(1 + prng_below(&p, 3)) : NET_SILENT;
	v->slow = prng_below(&p, 2) == 0 ? 1 : 1 + (unsigned)prng_below(&p, 40);
	/* Dead hosts must not pile up faster than time proves them dead: each
	 * keeps a journal and a cluster of the small LUN. */
	if (lease_by_time(v->wc.protocol))
		v->slow += 20;
	v->oracle.volatile_lun = on(v, TROUBLE_POWER);
	plan_discards(v, &p);
}
