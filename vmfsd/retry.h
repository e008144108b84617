/* SPDX-License-Identifier: BSD-2-Clause */
/* What could not be had at start is tried again. */
#ifndef VMFS_VMFSD_RETRY_H
#define VMFS_VMFSD_RETRY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "libvmfs/base/err.h"

struct retry {
	/* Once more, until *stop; how many are left. */
	unsigned (*again)(void *arg, const atomic_bool *stop);
	void *arg;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	atomic_bool stop;
	bool running;
};

/*
 * A thread that tries until none is left: after 2 s first, later every 30 s.
 * Without the thread (-EAGAIN) nothing is lost but that.
 */
int retry_start(struct retry *r, unsigned (*again)(void *arg,
    const atomic_bool *stop), void *arg) MUST_CHECK;
/* Waits for what is under way.  A struct of zeroes is fine. */
void retry_stop(struct retry *r);

#endif
