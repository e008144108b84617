/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A path that comes up while its host is taken over (doc/LOCKING.md section 5,
 * step 6; pr_late_enter, takeover.c look_again).
 *
 * The victim registers its key on a new path at any moment, looks at its slot,
 * and only then lets the path carry I/O.  It may stop between any two steps.
 *
 * MODE 0 is what the code does and must be safe; the others must not be:
 *   1 the survivor does not look again	2 the path carries without a look
 *   3 the slot is looked at first	4 looked again before the mark
 */
#ifndef MODE
#define MODE 0
#endif

bool registered = false;	/* on the late path */
bool recovering = false;	/* the victim's slot */
bool replaying = false;
bool inflight = false;

active proctype lun()
{
end:	do
	:: atomic { inflight -> assert(!replaying); inflight = false }
	:: atomic { inflight -> inflight = false }
	od
}

active proctype path()
{
	bool mine = true;

#if MODE == 3
	mine = !recovering;
#endif
	registered = true;
#if MODE != 2 && MODE != 3
	mine = !recovering;
#endif
	if
	:: mine ->
		atomic {
			if
			:: registered -> inflight = true
			:: else -> skip
			fi
		}
	:: else -> registered = false
	fi
}

inline fence()
{
	atomic { registered = false; inflight = false }
}

active proctype survivor()
{
	fence();
#if MODE == 4
	fence();
#endif
	recovering = true;
#if MODE != 1 && MODE != 4
	fence();
#endif
	replaying = true
}
