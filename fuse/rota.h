/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of the readers of /dev/fuse wait for requests.  The kernel wakes the one
 * that has waited longest: a program that waits for each of its requests would
 * have them done by all readers in turn, mostly by one whose processor sleeps.
 * While there are only such programs, one reader waits, the one on duty; the
 * others rest until it calls them.
 */
#ifndef VMFS_FUSE_ROTA_H
#define VMFS_FUSE_ROTA_H

#include <stdbool.h>

#define ROTA_DEEP 4u	/* requests under way at the one on duty: it calls */
#define ROTA_CALM 64u	/* in a row that come alone: one of the others rests */

/* Of one of the others. */
struct rota {
	unsigned calm;		/* requests that came alone, in a row */
	bool rests;		/* it shall, when no more come */
};

/*
 * The one on duty has taken a request; so many are under way at it with this
 * one, which keeps a thread busy for a while if it is long.  Whether the others
 * are needed.
 */
bool rota_calls(unsigned under_way, bool is_long);
/* The same of one of the others. */
void rota_came(struct rota *r, unsigned under_way, bool is_long);

#endif
