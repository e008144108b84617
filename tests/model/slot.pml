/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Acquisition of one heartbeat slot by two joiners, while a survivor takes over
 * whoever it finds silent there (locking/slot.c, fence_pr.c, takeover.c).
 *
 * A joiner may stop for any time between any two of its steps; what it wrote
 * lands or is lost at any time.  Both joiners ask for the same key when they
 * start from the same image: a registration belongs to a nexus.
 *
 * Left out: time, the choice between slots, the death of the survivor, several
 * paths, lost status (caw.c reads back).
 *
 * MODE 0 is what the code does and must be safe; the others must not be:
 *   1 claimed by a write, no compare	2 the incarnation does not grow
 *   3 claimed before the key is registered
 *   4 claimed while it is recovering	5 compared without nonce
 */
#ifndef MODE
#define MODE 0
#endif

#define FREE 0
#define LIVE 1
#define RECOVERING 2

byte slot = FREE;
byte inc = 0;			/* in the slot */
byte image = 0;			/* its nonce: each store makes another one */
byte reg[2];			/* key's incarnation + 1 of a nexus; 0: none */
byte inflight[2];		/* incarnation + 1 of an accepted write */
byte claims[8];			/* of an incarnation */
bool over[8];			/* its journal may be replayed */
bool replaying = false;		/* the slot's journal is read and reset */

active proctype lun()
{
end:	do
	:: atomic { inflight[0] > 0 ->
	    assert(!over[inflight[0] - 1] && !replaying);
	    inflight[0] = 0 }
	:: atomic { inflight[1] > 0 ->
	    assert(!over[inflight[1] - 1] && !replaying);
	    inflight[1] = 0 }
	:: atomic { inflight[0] > 0 -> inflight[0] = 0 }	/* lost */
	:: atomic { inflight[1] > 0 -> inflight[1] = 0 }
	od
}

active [2] proctype joiner()
{
	byte me = _pid - 1;
	byte saw, mine, old, tries = 0;
	bool won;

again:	tries++;
	atomic { saw = slot; old = inc; mine = inc; won = false }
	byte nonce;
	nonce = image;
	if
#if MODE == 4
	:: saw != LIVE -> skip
#else
	:: saw == FREE -> skip
#endif
	:: else -> goto out
	fi;
#if MODE != 2
	mine++;
#endif
#if MODE != 3
	reg[me] = mine + 1;
#endif
	atomic {
		if
#if MODE == 1
		:: true ->
#elif MODE == 5
		:: slot == saw ->
#else
		:: slot == saw && inc == old && image == nonce ->
#endif
			slot = LIVE; inc = mine; image++; won = true;
			claims[mine]++;
			assert(claims[mine] == 1)
		:: else -> skip
		fi
	}
	if
	:: !won -> reg[me] = 0; goto out
	:: else -> skip
	fi;
#if MODE == 3
	reg[me] = mine + 1;
#endif
	/* A write; refused on arrival without a registration. */
	atomic {
		if
		:: reg[me] != 0 -> inflight[me] = mine + 1
		:: else -> goto out
		fi
	}
	/* Sleeps for ever, or leaves in good order. */
	if
	:: true -> goto dead
	:: true -> skip
	fi;
	inflight[me] == 0;
	atomic {
		if
		:: slot == LIVE && inc == mine -> slot = FREE; image++
		:: else -> skip
		fi
	}
	reg[me] = 0;
out:	if
	:: tries < 2 -> goto again
	:: else -> skip
	fi;
dead:	skip
}

inline fence()
{
	atomic {
		if
		:: reg[0] == victim + 1 -> reg[0] = 0; inflight[0] = 0
		:: else -> skip
		fi;
		if
		:: reg[1] == victim + 1 -> reg[1] = 0; inflight[1] = 0
		:: else -> skip
		fi
	}
}

active proctype survivor()
{
	byte victim, rounds = 0;
	bool marked;

end:	do
	:: rounds < 2 && slot == LIVE ->	/* and silent */
		rounds++;
		victim = inc;
		fence();
		atomic {
			marked = slot == LIVE && inc == victim;
			if
			:: marked -> slot = RECOVERING; image++;
#if MODE != 2
				inc++
#endif
			:: else -> skip
			fi
		}
		if
		:: marked ->
			fence();	/* looks again */
			atomic { over[victim] = true; replaying = true }
			replaying = false;
			atomic {
				if
				:: slot == RECOVERING -> slot = FREE; image++
				:: else -> assert(MODE != 0)
				fi
			}
		:: else -> skip
		fi
	od
}
