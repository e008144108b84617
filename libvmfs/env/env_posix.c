/* SPDX-License-Identifier: BSD-2-Clause */
/* Random bytes and wall-clock time of the operating system. */
#include <sys/random.h>
#include <time.h>

#include "libvmfs/env/env.h"

static void
posix_random(struct env *env, void *buf, size_t len)
{
	char *p = buf;

	(void)env;
	while (len > 0) {
		/* Fails only when a signal comes before the pool is ready. */
		ssize_t n = getrandom(p, len, 0);

		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

static uint64_t
posix_wall_us(struct env *env)
{
	struct timespec ts;

	(void)env;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void
env_posix_init(struct env *env, struct sched *sched, struct log *log)
{
	*env = (struct env){
		.sched = sched,
		.log = log,
		.random = posix_random,
		.wall_us = posix_wall_us,
	};
}

void
env_uuid(struct env *env, struct uuid *ret_u)
{
	uint8_t random[16];

	env->random(env, random, sizeof(random));
	uuid_from_random(ret_u, random);
}
