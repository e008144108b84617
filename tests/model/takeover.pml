/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Take-over of a dead incarnation by two survivors, one of which may die in the
 * middle (doc/LOCKING.md section 5, steps 2 to 8; locking/takeover.c,
 * fence_pr.c, guard.c, heartbeat.c, lockrec.c).
 *
 * Host 0 holds the lock and writes; it may stop for any time between any two
 * of its steps.  Hosts 1 and 2 find it silent.  Commands that host 0 has sent
 * land or are lost at any time.  A command of an unregistered host is refused
 * when it arrives at the LUN, a preempted host's commands in flight end with
 * PREEMPT AND ABORT.
 *
 * Left out: time (silence is a free choice), pulses as commands in flight (a
 * pulse is atomic), more than one lock, shared locks.
 *
 * MODE 0 is what the code does and must be safe; the others must not be:
 *   1 PREEMPT without ABORT            2 fenced after the slot is marked
 *   3 host 0 registers its key again   4 slot freed before replay
 *   5 no fence at all                  6 lock broken while recovering
 *   7 a recovery is taken over while its recoverer lives
 *   8 a key that another survivor has ended is taken for proof
 */
#ifndef MODE
#define MODE 0
#endif

#define LIVE 0
#define RECOVERING 1
#define FREE 2

bool registered = true;		/* key of host 0's incarnation */
byte slot = LIVE;		/* of host 0 */
byte inc = 0;			/* in the slot */
byte recoverer = 0;
bool dead[3];			/* its own incarnation is over */
byte inflight = 0;		/* writes of host 0 that the LUN accepted */
bool silent = false;		/* an observer's view of host 0 */
bool replaying[3];
bool replayed = false;
byte holder = 0;		/* of the lock */

/* The next owner reads and writes from here on. */
#define taken (replaying[1] || replaying[2] || replayed || holder != 0)

active proctype lun()
{
end:	do
	:: atomic { inflight > 0 -> assert(!taken); inflight-- }
	:: atomic { inflight > 0 -> inflight-- }	/* lost */
	od
}

active proctype clock()
{
	silent = true
}

active proctype host0()
{
	byte n = 0;
	bool fenced = false;

	do
	:: n < 3 && !fenced ->
		n++;
		/* Lease check; then it may sleep before the submission. */
		if
		:: true -> skip
		:: true ->	/* doubt: own slot and key are read first */
			atomic { fenced = (slot != LIVE || inc != 0 ||
			    !registered) }
		fi;
		if
		:: fenced -> skip
		:: else -> atomic {
			if
			:: registered && inflight < 2 -> inflight++
			:: registered && inflight >= 2 -> skip
			:: !registered ->
#if MODE == 3
				registered = true; inflight++
#else
				fenced = true
#endif
			fi }
		fi;
		/* A late pulse: compare-and-write against its own image. */
		atomic {
			if
			:: registered && slot == LIVE && inc == 0 ->
				silent = false
			:: else -> skip
			fi
		}
	:: n >= 3 || fenced -> break
	od
}

/* Its own incarnation ends in the middle: fenced, or crashed. */
inline maybe_die()
{
	if
	:: me == 1 -> atomic { dead[1] = true; replaying[1] = false; goto over }
	:: true -> skip
	fi
}

/*
 * The key is gone before the commands are: whoever finds it gone waits until the
 * other goes on, or until what the LUN had accepted has had its time.
 */
inline fence()
{
#if MODE == 1
	registered = false
#elif MODE == 5
	skip
#else
	if
	:: atomic { registered -> registered = false };
		maybe_die();
		inflight = 0
	:: else ->
#if MODE != 8
		(slot != LIVE || inflight == 0)
#else
		skip
#endif
	fi
#endif
}

active [2] proctype survivor()
{
	byte me = _pid - 2;	/* 1 or 2 */
	bool won;

	silent;
again:	won = false;
#if MODE != 2
	if
	:: slot == LIVE -> fence()
	:: else -> skip
	fi;
#endif
	maybe_die();
	/* Compare-and-write of the slot: one wins. */
	atomic {
		if
		:: slot == LIVE ->
			slot = RECOVERING; inc++; recoverer = me; won = true
#if MODE == 7
		:: slot == RECOVERING && recoverer != me ->
#else
		:: slot == RECOVERING && recoverer != me && dead[recoverer] ->
#endif
			recoverer = me; won = true
		:: else -> skip
		fi
	}
	if
	:: won ->
#if MODE == 4
		slot = FREE;
#endif
		/* Never two at once. */
		atomic {
			assert(!replaying[3 - me] || dead[3 - me]);
			replaying[me] = true
		}
		maybe_die();
		replayed = true;
		replaying[me] = false;
#if MODE == 2
		fence();
#endif
		maybe_die();
		atomic {
			if
			:: slot == RECOVERING && recoverer == me -> slot = FREE
			:: else -> skip
			fi
		}
	:: else -> skip
	fi;
	/* Whoever wants the lock breaks it when the incarnation is over. */
	atomic {
		if
#if MODE == 6
		:: inc > 0 && holder == 0 ->
#else
		:: inc > 0 && slot == FREE && holder == 0 ->
#endif
			assert(replayed);
			holder = me
		:: slot == RECOVERING && recoverer != me && dead[recoverer] ->
			goto again
		:: else -> skip
		fi
	}
over:	skip
}
