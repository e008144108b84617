/* SPDX-License-Identifier: BSD-2-Clause */
/* Settings of LUNs that initiators change are kept in the configuration. */
#ifndef VMFS_VMFSD_BOX_KEEP_H
#define VMFS_VMFSD_BOX_KEEP_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "vmfsd/box.h"

struct box_keeper {
	struct box *box;
	pthread_t thread;
	sem_t wanted;
	atomic_bool stop;
	bool running;
};

/*
 * Writes what units say into the lines of their LUNs, where those say something
 * else.  As box_change; `why` has BOX_WHY_SIZE bytes.  Blocks.
 */
int box_keep(struct box *b, char *why) MUST_CHECK;
/* From now on box_keep is called when an initiator has changed something;
 * before exports_start.  -errno. */
int box_keeper_start(struct box_keeper *k, struct box *b) MUST_CHECK;
/* After exports_stop or while the target runs; harmless when not started. */
void box_keeper_stop(struct box_keeper *k);

#endif
