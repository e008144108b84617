/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A compare-and-write made of RESERVE, read, compare, write, RELEASE by two
 * hosts (locking/reserve.c).
 *
 * A host may stop between any two steps.  Its session may end at any time: the
 * LUN ends the session's commands, then drops its reservation; the next command
 * opens another session, which has no reservation.
 *
 * Left out: time, lost status of RESERVE and RELEASE, other blocks.
 *
 * MODE 0 is what the code does and must be safe; the others must not be:
 *   1 no RESERVE, or beside persistent reservations, where it locks nothing
 *   2 commands of a lost session outlive its reservation
 *   3 a section goes on over a new session
 *   4 a reservation ends with a reset, and its holder does not hear of it
 *   5 RELEASE before the write has ended
 */
#ifndef MODE
#define MODE 0
#endif

byte holder = 0;		/* of the reservation: host + 1 */
byte session[2];
byte record = 0;		/* version of the record */
bool inflight[2];		/* an accepted write */
byte expects[2];		/* what its host has compared */
byte losses = 0;

/* A write that lands on something else than what was compared. */
inline land(i)
{
	assert(record == expects[i]);
	record++;
	inflight[i] = false
}

inline lose(i)
{
	session[i]++;
#if MODE != 2
	inflight[i] = false;
#endif
	if
	:: holder == i + 1 -> holder = 0
	:: else -> skip
	fi
}

active proctype lun()
{
end:	do
	:: atomic { inflight[0] -> land(0) }
	:: atomic { inflight[1] -> land(1) }
	:: atomic { losses < 2 -> losses++;
		if	/* which session ends */
		:: true -> lose(0)
		:: true -> lose(1)
		fi }
#if MODE == 4
	:: atomic { losses < 2 && holder != 0 -> losses++; holder = 0;
	    inflight[0] = false; inflight[1] = false }
#endif
	od
}

active [2] proctype host()
{
	byte me = _pid - 1;
	byte turns = 0, mine;

end:	do
	:: turns < 2 ->
		turns++;
#if MODE != 1
		atomic { holder == 0 || holder == me + 1 ->
		    holder = me + 1; mine = session[me] }
#else
		mine = session[me];
#endif
		/* Reads are refused by another's reservation, too. */
		atomic {
			if
			:: holder != 0 && holder != me + 1 -> goto release
			:: else -> expects[me] = record
			fi
		}
		atomic {
			if
			:: holder != 0 && holder != me + 1 -> goto release
#if MODE != 3
			:: session[me] != mine -> goto release
#endif
			:: else -> inflight[me] = true
			fi
		}
#if MODE != 5
		!inflight[me];
#endif
release:	atomic {
			if
			:: holder == me + 1 -> holder = 0
			:: else -> skip
			fi
		}
#if MODE == 5
		!inflight[me];
#endif
	:: else -> break
	od
}
