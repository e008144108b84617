/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a thread that is out of work should look for more for a moment
 * before it sleeps.  To be woken costs more than a short wait: two switches,
 * and on a virtual machine a processor that the host has to start again.  But
 * looking takes a processor from others, so it is done only
 *
 * - after several waits in a row that were short,
 * - not for a while after one that was in vain, longer each time,
 * - not for long after others have wanted the processor meanwhile, or when what
 *   was found had been waiting for this processor itself.
 */
#ifndef VMFS_ENV_SPIN_H
#define VMFS_ENV_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#define SPIN_MAX_NS ((uint64_t)20000)	/* of one look-out */
/* Between two looks at the clock: more, and the thread has not run. */
#define SPIN_GAP_NS ((uint64_t)10000)
#define SPIN_SWITCH_NS ((uint64_t)2000)	/* as long as a peer may take */
#define SPIN_SHORT_WAITS 4	/* in a row, before the first */
/* A share counts so much, what is found without so much less; so many are too
 * many: an interrupt now and then is no other thread. */
#define SPIN_SHARE 8
#define SPIN_SHARES_MAX 64
#define SPIN_PAUSE_MAX 4096	/* waits that follow without */
#define SPIN_PREEMPTED_PAUSE 256	/* when others want to run */

enum spin_end {
	SPIN_FOUND,		/* work */
	SPIN_SHARED,		/* work, while another had the processor */
	SPIN_VAIN,		/* none in SPIN_MAX_NS */
	SPIN_PREEMPTED,		/* others want the processor */
};

struct spin {
	/* As long as a wait may have been that is taken for a short one, being
	 * woken included; 0: SPIN_MAX_NS. */
	uint64_t short_ns;
	unsigned short_waits;	/* in a row, at most SPIN_SHORT_WAITS */
	unsigned pause;		/* waits that shall go by without */
	unsigned next_pause;	/* after one in vain */
	unsigned shares;
};

/* Before a wait.  False: sleep at once, and tell spin_slept. */
bool spin_begin(struct spin *s);
void spin_end(struct spin *s, enum spin_end end);
/* After a wait without, of ns. */
void spin_slept(struct spin *s, uint64_t ns);

#endif
