/* SPDX-License-Identifier: BSD-2-Clause */
/* Virtual clock and seeded choice. */
#include <assert.h>
#include <string.h>

#include "tests/sim/sim_sched.h"

static uint64_t
sim_now(struct sched *s)
{
	const struct sim *sim = s->arg;

	return sim->now_ns;
}

static size_t
sim_choose(struct sched *s, size_t n)
{
	return (size_t)sim_below(s->arg, n);
}

static const struct sched_ops sim_ops = {
	.now = sim_now,
	.choose = sim_choose,
};

#define PPM 1000000

static uint64_t
clock_now(struct sched *s)
{
	const struct sim_clock *c = s->arg;

	return c->zero_ns + (uint64_t)((__int128)c->sim->now_ns *
	    (PPM + c->drift_ppm) / PPM);
}

static size_t
clock_choose(struct sched *s, size_t n)
{
	const struct sim_clock *c = s->arg;

	return (size_t)sim_below(c->sim, n);
}

static const struct sched_ops clock_ops = {
	.now = clock_now,
	.choose = clock_choose,
};

void
sim_clock_init(struct sim *s, struct sim_clock *c, uint64_t zero_ns,
    int64_t drift_ppm)
{
	assert(s->clocks < SIM_CLOCKS_MAX);
	c->sim = s;
	c->zero_ns = zero_ns;
	c->drift_ppm = drift_ppm;
	sched_init(&c->sched, &clock_ops, c);
	s->clock[s->clocks++] = c;
}

uint64_t
sim_clock_span(const struct sim_clock *c, uint64_t ns)
{
	return (uint64_t)(((__int128)ns * PPM + PPM + c->drift_ppm - 1) /
	    (PPM + c->drift_ppm));
}

size_t
sim_fibers(const struct sim *s)
{
	size_t n = sched_fibers(&s->sched);

	for (unsigned i = 0; i < s->clocks; i++)
		n += sched_fibers(&s->clock[i]->sched);
	return n;
}

void
sim_init(struct sim *s, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	prng_seed(&s->prng, seed);
	s->now_ns = 1000000000;
	s->hash = 0xcbf29ce484222325u;
	sched_init(&s->sched, &sim_ops, s);
}

void
sim_fini(struct sim *s)
{
	for (unsigned i = 0; i < s->clocks; i++)
		sched_fini(&s->clock[i]->sched);
	sched_fini(&s->sched);
}

static bool
run_some(struct sched *s)
{
	bool any = sched_run_posted(s);

	any |= sched_run_timers(s);
	any |= sched_run_fiber(s);
	return any;
}

/* True time of the earliest timer, UINT64_MAX: there is none. */
static uint64_t
next_deadline(const struct sim *s)
{
	uint64_t first = sched_next_deadline(&s->sched);

	for (unsigned i = 0; i < s->clocks; i++) {
		const struct sim_clock *c = s->clock[i];
		uint64_t local = sched_next_deadline(&c->sched), at;

		if (local == UINT64_MAX)
			continue;
		at = local <= c->zero_ns ? 0 :
		    sim_clock_span(c, local - c->zero_ns);
		if (at < first)
			first = at;
	}
	return first;
}

static void
sim_main(void *arg)
{
	struct sim *s = arg;

	s->main_fn(s->main_arg);
	s->ended = true;
}

enum sim_end
sim_run(struct sim *s, uint64_t limit_ns, void (*main_fn)(void *arg),
    void *arg)
{
	uint64_t end = s->now_ns + limit_ns;

	s->ended = false;
	s->main_fn = main_fn;
	s->main_arg = arg;
	if (sched_spawn(&s->sched, "main", sim_main, s) < 0)
		return SIM_STUCK;
	while (!s->ended) {
		bool any = run_some(&s->sched);
		uint64_t next;

		for (unsigned i = 0; i < s->clocks; i++)
			any |= run_some(&s->clock[i]->sched);
		s->events++;
		if (any)
			continue;
		next = next_deadline(s);
		if (next == UINT64_MAX)
			return SIM_STUCK;
		if (next > s->now_ns)
			s->now_ns = next;
		if (s->now_ns > end)
			return SIM_TIMEOUT;
	}
	return sim_fibers(s) == 0 ? SIM_DONE : SIM_LEFTOVERS;
}

static void
sim_random(struct env *env, void *buf, size_t len)
{
	struct sim *s = env->arg;

	prng_fill(&s->prng, buf, len);
}

static uint64_t
sim_wall_us(struct env *env)
{
	const struct sim *s = env->arg;

	return 1700000000000000u + s->now_ns / 1000;
}

void
sim_env_init(struct sim *s, struct env *env, struct log *log)
{
	*env = (struct env){
		.sched = &s->sched, .log = log, .random = sim_random,
		.wall_us = sim_wall_us, .arg = s,
	};
}

static void
mix(struct sim *s, uint64_t v)
{
	s->hash = (s->hash ^ v) * 0x100000001b3u;
	s->hash ^= s->hash >> 29;
}

void
sim_trace(struct sim *s, uint64_t a, uint64_t b, uint64_t c)
{
	mix(s, s->now_ns);
	mix(s, a);
	mix(s, b);
	mix(s, c);
}

uint64_t
sim_below(struct sim *s, uint64_t bound)
{
	return prng_below(&s->prng, bound);
}

bool
sim_chance(struct sim *s, unsigned ppm)
{
	return ppm > 0 && prng_below(&s->prng, 1000000) < ppm;
}
