/* SPDX-License-Identifier: BSD-2-Clause */
/* One run: trouble first, then calm in which everything has to come right. */
#include <inttypes.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "tests/sim/vsim.h"

/* I10: how long after the last trouble all may take, virtual. */
#define CALM_MS 300000u
/* I14: more fibers than this at once are a leak. */
#define FIBERS_MAX 2000u

static struct vsim *
vsim_of(struct world *w)
{
	return container_of(w, struct vsim, w);
}

static void
safety_phase(struct vsim *v)
{
	uint64_t rest = v->conf.ops * NSEC_PER_MSEC / 15 * v->slow;

	for (unsigned i = 0; i < v->w.hosts; i++)
		trouble_enter(v, i);
	while (v->ops < v->conf.ops && !world_failed(&v->w)) {
		fiber_sleep(sim_below(&v->w.sim, rest + 1));
		trouble_one(v);
		if (sim_fibers(&v->w.sim) > FIBERS_MAX)
			world_fail(&v->w, "I14: %zu fibers",
			    sim_fibers(&v->w.sim));
	}
}

static bool
settled(struct world *w, unsigned i)
{
	struct vsim *v = vsim_of(w);

	if (world_failed(w))
		return true;
	trouble_relieve(v, i);
	return world_failed(w) || (w->host[i].host != NULL &&
	    w->host[i].status == HOST_OK && v->guest[i].running);
}

static void
liveness_phase(struct vsim *v)
{
	struct world *w = &v->w;

	w->lun.faults = (struct sim_faults){ 0 };
	w->lun.strike = (struct sim_strike){ 0 };
	rot_mend(v, true);
	w->net = NET_SILENT;
	w->lun.pool_full = false;
	for (unsigned i = 0; i < w->hosts; i++)
		if (!world_wait(w, settled, i, CALM_MS))
			world_fail(w, "I10: host%u does not come back", i);
	/* Whoever was silent till now may still be fenced for it, by a clock
	 * that is slow. */
	fiber_sleep(w->super.timers.fence_ms * NSEC_PER_MSEC * 5 / 4);
	v->calm = true;
	for (unsigned i = 0; i < w->hosts; i++)
		if (!world_wait(w, settled, i, CALM_MS))
			world_fail(w, "I10: host%u does not come back", i);
	fiber_sleep(10 * NSEC_PER_SEC);
}

/* I12: what rots costs nobody his mount. */
static void
judge_rot(struct vsim *v)
{
	const unsigned rot = TROUBLE_BIT(TROUBLE_ROT) |
	    TROUBLE_BIT(TROUBLE_FLIP) | TROUBLE_BIT(TROUBLE_IMAGE) |
	    TROUBLE_BIT(TROUBLE_LEAVE);

	for (unsigned i = 0; i < v->w.hosts; i++)
		if ((v->mask & ~rot) == 0 && v->w.host[i].fenced_times > 0)
			world_fail(&v->w, "I12: host%u was fenced for what "
			    "is rotten: %s", i, v->w.host[i].why);
}

static void
last_look(struct vsim *v)
{
	for (unsigned i = 0; i < v->w.hosts && !world_failed(&v->w); i++)
		guest_stop(v, i);
	for (unsigned i = 0; i < v->w.hosts && !world_failed(&v->w); i++)
		guest_look_at_all(v, i);
	for (unsigned i = 0; i < v->w.hosts && !world_failed(&v->w); i++)
		trouble_quit(v, i);
	if (!world_failed(&v->w))
		image_check(v, false);
}

/* What a failed run left behind, so that it can be taken apart. */
static void
clean_up(struct vsim *v)
{
	for (unsigned i = 0; i < v->w.hosts; i++) {
		if (v->w.host[i].host == NULL)
			continue;
		v->guest[i].crashed = true;
		world_crash_begin(&v->w, i);
		guest_stop(v, i);
	}
}

static void
play(struct world *w)
{
	struct vsim *v = vsim_of(w);

	judge_init(&v->judge, w);
	safety_phase(v);
	if (!world_failed(w))
		liveness_phase(v);
	if (!world_failed(w))
		judge_rot(v);
	if (!world_failed(w))
		last_look(v);
	if (world_failed(w))
		clean_up(v);
}

static void
add_up(const struct vsim *v, struct vsim_totals *t)
{
	t->runs++;
	t->ops += v->ops;
	for (unsigned k = 0; k < TROUBLE_KINDS; k++)
		t->troubles[k] += v->totals.troubles[k];
	t->images += v->totals.images;
	t->leaky_images += v->totals.leaky_images;
	t->takeovers += v->judge.takeovers;
	t->fences += v->w.lun.preempts;
	t->flips += v->w.lun.flips;
	t->torn += v->w.lun.torn;
	t->unmaps += v->w.lun.unmaps;
	t->damaged += v->totals.damaged;
	t->virtual_ns += v->w.sim.now_ns;
	t->events += v->w.sim.events;
}

int
vsim_run(struct vsim *v, const struct vsim_conf *conf,
    struct vsim_totals *totals, uint64_t *ret_hash)
{
	int rc;

	memset(v, 0, sizeof(*v));
	v->conf = *conf;
	oracle_init(&v->oracle);
	plan_make(v);
	rc = world_run(&v->w, &v->wc, play, ret_hash);
	add_up(v, totals);
	oracle_fini(&v->oracle);
	judge_fini(&v->judge);
	return rc;
}
