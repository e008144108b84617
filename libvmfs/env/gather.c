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

static void
judge(struct gather *g, bool many)
{
	if (!g->gathered) {
		if (many)
			g->pause = GATHER_PAUSE_MIN;
		else if (g->resumes)
			g->pause = 0;
		g->resumes = false;
	} else if (many) {
		g->next_pause /= 2;
		g->resumes = ++g->run % GATHER_RUN == 0;
		g->pause = g->resumes;
	} else {
		g->next_pause = longer(g->next_pause);
		g->pause = g->next_pause;
	}
}

bool
gather_pays(struct gather *g)
{
	judge(g, g->served >= GATHER_MANY);
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
