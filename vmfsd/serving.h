/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that serve guests and NBD clients of all datastores, beside the
 * datastores' owners.  What is attached stays on the thread that it got.
 */
#ifndef VMFS_VMFSD_SERVING_H
#define VMFS_VMFSD_SERVING_H

#include <stdbool.h>

#include "libvmfs/base/log.h"
#include "libvmfs/env/sched.h"

#define SERVING_THREADS_MAX 16u

struct serving;
struct serving_conf {
	unsigned threads;	/* at most; 0: by processors, 4 at most */
	bool none;		/* the owners do it */
	bool no_busy_wait;	/* do not look out before a sleep: spin.h */
	struct log *log;
};
/* Starts no thread yet.  NULL: no memory. */
struct serving *serving_new(const struct serving_conf *conf);
/* Nobody has one of its threads.  Blocks.  NULL is fine. */
void serving_free(struct serving *p);
/* Whether they are to look out before a sleep; the owners of datastores, too,
 * which serve some guests by themselves.  Any thread. */
bool serving_busy_waits(const struct serving *p);
/* A thread for one more, that with the fewest, or NULL: the owner is to do it.
 * Any thread; p may be NULL. */
struct sched *serving_get(struct serving *p);
void serving_put(struct serving *p, struct sched *s);

#endif
