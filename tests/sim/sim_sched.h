/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulator's driver of fibers: a virtual clock, and one seed that decides
 * which fiber runs next.  The same seed gives the same run, to the bit.
 */
#ifndef VMFS_SIM_SCHED_H
#define VMFS_SIM_SCHED_H

#include "libvmfs/base/prng.h"
#include "libvmfs/env/env.h"
#include "libvmfs/env/sched_impl.h"

#define SIM_CLOCKS_MAX 16u

/* A machine's clock, which has its own zero and rate, and what runs by it. */
struct sim_clock {
	struct sched sched;
	struct sim *sim;
	uint64_t zero_ns;	/* what it shows at true time 0 */
	int64_t drift_ppm;	/* it gains so much */
};

struct sim {
	struct sched sched;	/* by the true time */
	struct sim_clock *clock[SIM_CLOCKS_MAX];
	unsigned clocks;
	struct prng prng;
	uint64_t now_ns;
	uint64_t hash;		/* of all that reached a disk, and when */
	uint64_t events;
	bool ended;		/* the main fiber has returned */
	void (*main_fn)(void *arg);
	void *main_arg;
};

/* What sim_run tells. */
enum sim_end {
	SIM_DONE,		/* main_fn returned, nothing is left */
	SIM_LEFTOVERS,		/* main_fn returned, fibers still live */
	SIM_STUCK,		/* nothing can happen any more */
	SIM_TIMEOUT,		/* the virtual time limit passed */
};

void sim_init(struct sim *s, uint64_t seed);
void sim_fini(struct sim *s);
/* Runs main_fn as a fiber, and all it starts. */
enum sim_end sim_run(struct sim *s, uint64_t limit_ns,
    void (*main_fn)(void *arg), void *arg);
/* Adds a clock to s, which is driven with it and ended by sim_fini. */
void sim_clock_init(struct sim *s, struct sim_clock *c, uint64_t zero_ns,
    int64_t drift_ppm);
/* How long a span of that clock really is. */
uint64_t sim_clock_span(const struct sim_clock *c, uint64_t ns);
/* Of all schedulers. */
size_t sim_fibers(const struct sim *s);
/* A host's env on s. */
void sim_env_init(struct sim *s, struct env *env, struct log *log);
/* Mixes an event into the trace hash. */
void sim_trace(struct sim *s, uint64_t a, uint64_t b, uint64_t c);
/* Uniform in [0, bound). */
uint64_t sim_below(struct sim *s, uint64_t bound);
/* True in `ppm` of a million cases. */
bool sim_chance(struct sim *s, unsigned ppm);

#endif
