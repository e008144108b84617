/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a thread that was woken should first let the others of its processor
 * run.  Who woke it may be among them, about to sleep: if the thread wakes
 * another meanwhile, that one is sent to a processor that sleeps, which takes
 * longer than the work.  Not for a while where the others then ran for long,
 * longer each time.
 */
#ifndef VMFS_ENV_YIELD_H
#define VMFS_ENV_YIELD_H

#include <stdbool.h>
#include <stdint.h>

#define YIELD_SHORT_NS ((uint64_t)20000)	/* others may run for so long */
#define YIELD_PAUSE_MIN 64
#define YIELD_PAUSE_MAX 16384	/* waits */

struct yield {
	unsigned pause;		/* waits that shall go by without */
	unsigned next_pause;
};

/* After a wait.  True: let them, and tell yield_took. */
bool yield_begin(struct yield *y);
/* ns: until the thread ran again. */
void yield_took(struct yield *y, uint64_t ns);

#endif
