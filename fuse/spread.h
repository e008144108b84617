/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which threads do the short requests of a mount by io_uring.  Each comes by the
 * queue of the processor where it was asked for, and mostly the thread there
 * does it, so that nobody else has to be woken: right for a program that waits
 * for its requests.  A single one that has many under way shares its processor
 * with that thread and gets half of it.  While there is such a one, the two
 * threads next to its own do its requests, wherever it runs.
 */
#ifndef VMFS_FUSE_SPREAD_H
#define VMFS_FUSE_SPREAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SPREAD_OF 64u		/* requests of a thread are judged together */
#define SPREAD_DEEP 8u		/* under way there for half of them: spread */
#define SPREAD_SHALLOW 2u	/* for less than a quarter: no more */
#define SPREAD_PATIENCE 8u	/* as often in a row */
#define SPREAD_MAX 16u		/* threads; with less than 3 none is spread */

/* Of a mount. */
struct spread {
	unsigned threads;
	_Atomic bool out;
	_Atomic uint32_t asked[SPREAD_MAX];	/* of each; it wraps */
};

/* A thread's. */
struct spread_view {
	unsigned came, deep;		/* of SPREAD_OF */
	uint32_t of[SPREAD_MAX];	/* them, by the thread that was asked */
	uint32_t seen[SPREAD_MAX];	/* spread.asked when last judged */
	unsigned doubts;		/* in a row */
};

/*
 * A request has come that is to be done here, and so many are under way here
 * with it; thread `asked`, from 0 on, has the queue.
 */
void spread_came(struct spread *s, struct spread_view *v, unsigned asked,
    unsigned under_way);

/* Who does those that come by entry k of its queue, or of all. */
unsigned spread_place(const struct spread *s, unsigned asked, unsigned k);

#endif
