/* SPDX-License-Identifier: BSD-2-Clause */
/* What reactor.c and offload.c share. */
#ifndef VMFS_ENV_REACTOR_IMPL_H
#define VMFS_ENV_REACTOR_IMPL_H

#include <pthread.h>

#include "libvmfs/env/sched.h"

/* Starts a thread that takes no signals.  0 or negative errno. */
int thread_start(pthread_t *ret_t, void *(*fn)(void *arg), void *arg)
    MUST_CHECK;
/* Sees to it that there is a helper thread.  0 or negative errno. */
int offload_init(void) MUST_CHECK;
/* The same for calls of reactors that shall not starve. */
int offload_realtime_init(void) MUST_CHECK;
/* Was it asked for? */
bool reactor_is_realtime(struct sched *s);
/* Counts offloaded calls that will be posted to s; on s's thread. */
void reactor_offload_count(struct sched *s, int change);

#endif
