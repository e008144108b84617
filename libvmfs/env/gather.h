/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a reader who has answered all should let requests gather for a
 * moment before it receives again.  A peer with many under way sends them one
 * by one; who takes each as it comes pays a receive, an answer and the peer's
 * wake-up for each, and so does the peer.  But one that waits for its answers
 * would be kept waiting, so it is tried now and then, and gone on with while
 * many come at once.  Where many come without, as from a peer that has the same
 * processor, there is nothing to gain.
 */
#ifndef VMFS_ENV_GATHER_H
#define VMFS_ENV_GATHER_H

#include <stdbool.h>

/*
 * Reads that one receive has to serve.  A write is two, so that 6 of those in
 * SPIN_MAX_NS and the time to do them are more than come one by one.
 */
#define GATHER_MANY 8
#define GATHER_PAUSE_MIN 16	/* receives until the next try */
#define GATHER_PAUSE_MAX 8192
#define GATHER_RUN 32		/* in a row, then one receive without */

struct gather {
	unsigned served;	/* reads without a receive of their own */
	bool gathered;		/* they had the time to */
	unsigned pause, next_pause;
	unsigned run;
	bool resumes;		/* after the one without */
};

void gather_init(struct gather *g);
/* A read was answered from what had been received. */
void gather_served(struct gather *g);
/* All of that is used up.  True: let requests gather, tell gather_done. */
bool gather_pays(struct gather *g);
void gather_done(struct gather *g);

#endif
