/* SPDX-License-Identifier: BSD-2-Clause */
/* What to do first after a sleep, see yield.h. */
#include "libvmfs/env/yield.h"

bool
yield_begin(struct yield *y)
{
	if (y->pause == 0)
		return true;
	y->pause--;
	return false;
}

void
yield_took(struct yield *y, uint64_t ns)
{
	if (ns <= YIELD_SHORT_NS) {
		y->next_pause /= 2;
		return;
	}
	if (y->next_pause < YIELD_PAUSE_MIN)
		y->next_pause = YIELD_PAUSE_MIN;
	else if (y->next_pause < YIELD_PAUSE_MAX)
		y->next_pause *= 2;
	y->pause = y->next_pause;
}
