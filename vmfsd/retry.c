/* SPDX-License-Identifier: BSD-2-Clause */
/* A LUN that comes up after its hosts, as when the power comes back. */
#include <time.h>

#include "vmfsd/retry.h"

#define FIRST_S 2
#define LAST_S 30

/* False: it is to stop. */
static bool
rest(struct retry *r, int seconds)
{
	struct timespec until;
	int rc = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	(void)pthread_mutex_lock(&r->mutex);
	while (!atomic_load(&r->stop) && rc == 0)
		rc = pthread_cond_timedwait(&r->wake, &r->mutex, &until);
	(void)pthread_mutex_unlock(&r->mutex);
	return !atomic_load(&r->stop);
}

static void *
retry_main(void *arg)
{
	struct retry *r = arg;
	int wait = FIRST_S;

	while (rest(r, wait) && r->again(r->arg, &r->stop) > 0)
		wait = wait * 2 < LAST_S ? wait * 2 : LAST_S;
	return NULL;
}

int
retry_start(struct retry *r, unsigned (*again)(void *arg,
    const atomic_bool *stop), void *arg)
{
	pthread_condattr_t attr;

	r->again = again;
	r->arg = arg;
	(void)pthread_mutex_init(&r->mutex, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&r->wake, &attr);
	(void)pthread_condattr_destroy(&attr);
	atomic_store(&r->stop, false);
	r->running = pthread_create(&r->thread, NULL, retry_main, r) == 0;
	return r->running ? 0 : -EAGAIN;
}

void
retry_stop(struct retry *r)
{
	if (!r->running)
		return;
	(void)pthread_mutex_lock(&r->mutex);
	atomic_store(&r->stop, true);
	(void)pthread_cond_signal(&r->wake);
	(void)pthread_mutex_unlock(&r->mutex);
	(void)pthread_join(r->thread, NULL);
	r->running = false;
	(void)pthread_cond_destroy(&r->wake);
	(void)pthread_mutex_destroy(&r->mutex);
}
