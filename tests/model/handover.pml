/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A metadata block goes from host A to host B while A's journal still has
 * records of it; A dies and B replays (doc/FORMAT.md section 10,
 * doc/adr/0003, libvmfs/core/{txn,checkpoint,recover,lease}.c).
 *
 * A writes block b under lock X, frees it, uses it again under lock Y, and may
 * let go of Y and of the cluster that b lies in, or die, at any point.  B takes
 * Y and writes b; with the cluster it may make data of it (no header, no LSN).
 * The disk holds what a checkpoint wrote; records stay in A's journal until a
 * checkpoint of everything.
 *
 * Left out: torn blocks, deltas, B's own death, more than one block.
 *
 * MODE 0 is what the code does and must be safe; the others must not be:
 *   1 replay does not compare LSNs     2 LSNs are not Lamport stamps
 *   3 Y is released without a checkpoint of what it covers
 *   4 the cluster is given back without a checkpoint of everything
 */
#ifndef MODE
#define MODE 0
#endif

#define X 0
#define Y 1
#define C 2			/* the cluster's lock */
#define NOBODY 2

byte holder[3] = NOBODY;
byte version[3];
byte stamp[3];			/* LSN in the lock record */
byte clock_a = 5, clock_b = 0;	/* A has been busy for longer */

byte rec_lock[2];		/* A's journal */
byte rec_version[2], rec_lsn[2], rec_value[2];
byte records = 0;

bool has_header = true;		/* block b on the LUN */
byte lsn = 0, value = 0;
byte cached = 0;		/* record of A not yet in place, 0 none */

byte newest = 0;		/* ghost: last value committed by anyone */
bool a_died = false;

/* A commits a value of b under a lock; it is in the journal, not in place. */
inline commit_a(lock)
{
	atomic {
		clock_a++;
		newest++;
		rec_lock[records] = lock;
		rec_version[records] = version[lock];
		rec_lsn[records] = clock_a;
		rec_value[records] = newest;
		records++;
		cached = records
	}
}

inline in_place()
{
	atomic {
		if
		:: cached > 0 ->
			lsn = rec_lsn[cached - 1];
			value = rec_value[cached - 1];
			cached = 0
		:: else -> skip
		fi
	}
}

inline may_die()
{
	if
	:: atomic { true -> a_died = true; goto dead }
	:: true -> skip
	fi
}

active proctype host_a()
{
	atomic {
		holder[X] = 0; version[X] = 1;
		holder[Y] = 0; version[Y] = 1;
		holder[C] = 0; version[C] = 1
	}
	may_die();
	commit_a(X);
	may_die();
	if
	:: true -> in_place()
	:: true -> skip
	fi;
	may_die();
	commit_a(Y);
	may_die();
#if MODE != 3
	in_place();
#endif
	may_die();
	atomic { stamp[Y] = clock_a; holder[Y] = NOBODY };
	may_die();
	/* Everything is in place, then the tail moves, then the lease goes. */
#if MODE != 4
	in_place();
	records = 0;
#endif
	may_die();
	atomic { stamp[C] = clock_a; holder[C] = NOBODY };
	may_die();
dead:	skip
}

inline take(lock)
{
	atomic {
		holder[lock] = 1;
		version[lock]++;
#if MODE != 2
		clock_b = (stamp[lock] > clock_b -> stamp[lock] : clock_b)
#endif
	}
}

#if MODE == 1
#define newer(n) true
#else
#define newer(n) (!has_header || lsn < rec_lsn[n])
#endif
#define still_held(n) (holder[rec_lock[n]] == 0 && version[rec_lock[n]] == rec_version[n])

/* Record n of A's journal, as recover.c applies it. */
inline replay(n)
{
	if
	:: n < records && still_held(n) && newer(n) ->
		has_header = true; lsn = rec_lsn[n]; value = rec_value[n]
	:: else -> skip
	fi
}

inline recover_a()
{
	atomic {
		replay(0);
		replay(1);
		/* What the dead host held is free now, behind its clock. */
		if :: holder[X] == 0 -> stamp[X] = clock_a; holder[X] = NOBODY
		:: else -> skip fi;
		if :: holder[Y] == 0 -> stamp[Y] = clock_a; holder[Y] = NOBODY
		:: else -> skip fi;
		if :: holder[C] == 0 -> stamp[C] = clock_a; holder[C] = NOBODY
		:: else -> skip fi;
		records = 0;
		cached = 0;
		assert(value == newest)
	}
}

active proctype host_b()
{
	bool recovered = false;
	byte n = 0;

end:	do
	:: holder[Y] == NOBODY && version[Y] > 0 && n < 3 ->
		n++;
		take(Y);
		/* Who takes the lock finds what was committed under it. */
		assert(value == newest);
		if
		:: atomic { true -> clock_b++; newest++; has_header = true;
			lsn = clock_b; value = newest }
		:: true -> skip
		fi;
		if
		:: holder[C] == NOBODY ->
			take(C);
			atomic { newest++; has_header = false; lsn = 0;
				value = newest }
		:: true -> skip
		fi;
		n = 3
	:: a_died && !recovered -> recover_a(); recovered = true
	od
}
