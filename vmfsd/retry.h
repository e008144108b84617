/* SPDX-License-Identifier: BSD-2-Clause */
/* Datastores that could not be mounted at start are tried again. */
#ifndef VMFS_VMFSD_RETRY_H
#define VMFS_VMFSD_RETRY_H

#include "vmfsd/datastore.h"

struct retry {
	struct datastores *all;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	atomic_bool stop;
	bool running;
};

/*
 * A thread that tries those that are wanted until none is left: after 2 s
 * first, later every 30 s.  Without the thread (-EAGAIN) nothing is lost but
 * that.
 */
int retry_start(struct retry *r, struct datastores *all) MUST_CHECK;
/* Waits for a mount that is under way.  A struct of zeroes is fine. */
void retry_stop(struct retry *r);

#endif
