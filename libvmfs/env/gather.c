/* SPDX-License-Identifier: BSD-2-Clause */
/* When to let requests gather, see gather.h. */
#include "libvmfs/env/gather.h"

void
gather_init(struct gather *g)
{
	*g = (struct gather){ .pause = GATHER_PAUSE_MIN };
}

void
gather_served(struct gather *g)
{
	g->served++;
}

static unsigned
longer(unsigned pause)
{
	if (pause < GATHER_PAUSE_MIN)
		return GATHER_PAUSE_MIN;
	return pause < GATHER_PAUSE_MAX / 2 ? pause * 2 : GATHER_PAUSE_MAX;
}

bool
gather_pays(struct gather *g)
{
	if (g->served >= GATHER_MANY) {
		g->next_pause /= 2;
		g->pause = 0;
	} else if (g->gathered) {
		g->next_pause = longer(g->next_pause);
		g->pause = g->next_pause;
	}
	g->served = 0;
	g->gathered = false;
	if (g->pause == 0)
		return true;
	g->pause--;
	return false;
}

void
gather_done(struct gather *g)
{
	g->gathered = true;
}
