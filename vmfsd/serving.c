/* SPDX-License-Identifier: BSD-2-Clause */
/* See serving.h. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libvmfs/env/reactor.h"
#include "vmfsd/serving.h"

#define THREADS_DEFAULT_MAX 4u

struct serving {
	struct serving_conf conf;
	unsigned most;
	pthread_mutex_t mutex;
	unsigned started;
	struct {
		struct reactor *reactor;
		unsigned users;
	} thread[SERVING_THREADS_MAX];
};

static unsigned
threads_of(const struct serving_conf *conf)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (conf->none)
		return 0;
	if (conf->threads != 0)
		return conf->threads;
	return cpus > 0 && cpus < (long)THREADS_DEFAULT_MAX ?
	    (unsigned)cpus : THREADS_DEFAULT_MAX;
}

struct serving *
serving_new(const struct serving_conf *conf)
{
	struct serving *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->conf = *conf;
	p->most = threads_of(conf);
	(void)pthread_mutex_init(&p->mutex, NULL);
	return p;
}

void
serving_free(struct serving *p)
{
	if (p == NULL)
		return;
	for (unsigned i = 0; i < p->started; i++) {
		reactor_stop(p->thread[i].reactor);
		reactor_join(p->thread[i].reactor);
		reactor_free(p->thread[i].reactor);
	}
	(void)pthread_mutex_destroy(&p->mutex);
	free(p);
}

bool
serving_busy_waits(const struct serving *p)
{
	return p != NULL && !p->conf.no_busy_wait;
}

static int
start_one(struct serving *p)
{
	struct reactor *r;
	char name[16];
	int rc;

	(void)snprintf(name, sizeof(name), "guests-%u", p->started);
	rc = reactor_new(name, &r);
	if (rc < 0)
		return rc;
	if (!p->conf.no_busy_wait)
		reactor_want_spin(r);
	rc = reactor_start(r);
	if (rc < 0)
		reactor_free(r);
	else
		p->thread[p->started++].reactor = r;
	return rc;
}

/* Where the fewest are; a new one rather than one that serves another. */
static unsigned
pick(struct serving *p)
{
	unsigned best = 0;
	int rc;

	for (unsigned i = 1; i < p->started; i++)
		if (p->thread[i].users < p->thread[best].users)
			best = i;
	if (p->started == p->most ||
	    (p->started > 0 && p->thread[best].users == 0))
		return best;
	rc = start_one(p);
	if (rc == 0)
		return p->started - 1;
	log_warn(p->conf.log, "serving: cannot start a thread for guests: %s",
	    vmfs_strerror(rc));
	return best;
}

struct sched *
serving_get(struct serving *p)
{
	struct sched *s = NULL;
	unsigned i;

	if (p == NULL || p->most == 0)
		return NULL;
	(void)pthread_mutex_lock(&p->mutex);
	i = pick(p);
	if (i < p->started) {
		p->thread[i].users++;
		s = reactor_sched(p->thread[i].reactor);
	}
	(void)pthread_mutex_unlock(&p->mutex);
	return s;
}

void
serving_put(struct serving *p, struct sched *s)
{
	if (p == NULL)
		return;
	(void)pthread_mutex_lock(&p->mutex);
	for (unsigned i = 0; i < p->started; i++)
		if (reactor_sched(p->thread[i].reactor) == s)
			p->thread[i].users--;
	(void)pthread_mutex_unlock(&p->mutex);
}
