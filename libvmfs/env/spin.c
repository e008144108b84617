/* SPDX-License-Identifier: BSD-2-Clause */
/* When to look for work before a sleep, see spin.h. */
#include "libvmfs/env/spin.h"

bool
spin_begin(struct spin *s)
{
	if (s->pause > 0) {
		s->pause--;
		return false;
	}
	return s->short_waits >= SPIN_SHORT_WAITS;
}

static unsigned
twice(unsigned pause)
{
	if (pause == 0)
		return 1;
	return pause < SPIN_PAUSE_MAX / 2 ? pause * 2 : SPIN_PAUSE_MAX;
}

static void
leave_to_others(struct spin *s)
{
	s->pause = SPIN_PREEMPTED_PAUSE;
	s->short_waits = 0;
	s->shares = 0;
}

void
spin_end(struct spin *s, enum spin_end end)
{
	switch (end) {
	case SPIN_FOUND:
		s->next_pause /= 2;
		s->shares -= s->shares > 0;
		break;
	case SPIN_SHARED:
		s->shares += SPIN_SHARE;
		if (s->shares >= SPIN_SHARES_MAX)
			leave_to_others(s);
		break;
	case SPIN_VAIN:
		s->next_pause = twice(s->next_pause);
		s->pause = s->next_pause;
		s->short_waits = 0;
		break;
	case SPIN_PREEMPTED:
		leave_to_others(s);
		break;
	}
}

void
spin_slept(struct spin *s, uint64_t ns)
{
	if (ns > (s->short_ns != 0 ? s->short_ns : SPIN_MAX_NS))
		s->short_waits = 0;
	else if (s->short_waits < SPIN_SHORT_WAITS)
		s->short_waits++;
}
