/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The world as a host sees it, besides its disks and its scheduler: random
 * bytes, wall-clock time for humans, a log.  One struct env per host.
 */
#ifndef VMFS_ENV_ENV_H
#define VMFS_ENV_ENV_H

#include <stddef.h>
#include <stdint.h>

#include "libvmfs/base/log.h"
#include "libvmfs/base/uuid.h"
#include "libvmfs/env/sched.h"

struct env {
	struct sched *sched;	/* owner thread of what was given this env */
	struct log *log;	/* may be NULL */
	/* Unpredictable bytes (seeded in the simulator). */
	void (*random)(struct env *env, void *buf, size_t len);
	/* Microseconds since 1970 for timestamps shown to people, never for
	 * decisions. */
	uint64_t (*wall_us)(struct env *env);
	void *arg;		/* of the implementation */
};

static inline uint64_t
env_now(struct env *env)
{
	return sched_now(env->sched);
}

static inline uint64_t
env_random_u64(struct env *env)
{
	uint64_t v;

	env->random(env, &v, sizeof(v));
	return v;
}

/* New random UUID. */
void env_uuid(struct env *env, struct uuid *ret_u);

/* The production env: getrandom(2), CLOCK_REALTIME. */
void env_posix_init(struct env *env, struct sched *sched, struct log *log);

#endif
