/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Proof of death by time (doc/LOCKING.md section 6; fence_watchdog.c, guard.c,
 * watchdog.c, lease.h), for LUNs that cannot fence.
 *
 * Time is discrete and one clock; no step of the owner takes a bounded time,
 * only the watchdog and the bound hold time back.  The owner pulses, looks at
 * its lease, sleeps, submits.  The petter of its machine may stop as well.
 *
 * Left out: the drift of two clocks (the pulse in lease_proof_ms is the
 * margin), the join of a host that comes back.
 *
 * MODE 0 is what the code does and must be safe; the others must not be:
 *   1 no watchdog			2 no wait for the bound
 *   3 no wait for the watchdog		4 petted while a request stands
 *   5 counted as standing after the look	6 the network's word shortens
 *   7 the lease starts when a pulse is answered
 */
#ifndef MODE
#define MODE 0
#endif

#define PULSE 1
#define FREEZE 2
#define DOG 2
#define BOUND 2
#if MODE == 2
#define PROOF (PULSE + FREEZE + DOG)
#elif MODE == 3
#define PROOF (PULSE + FREEZE + BOUND)
#elif MODE == 6
#define PROOF (2 * PULSE)
#else
#define PROOF (PULSE + FREEZE + DOG + BOUND)
#endif
#define END 16

byte now = 0;
byte good = 0;			/* when the last good pulse was submitted */
byte petted = 0;
byte landed = 0;		/* when the image on the LUN last changed */
bool entering = false;		/* guard.entering */
bool inflight = false;
byte until = 0;			/* it lands or is lost until then */
bool reset = false;
bool taken = false;

#define lease (now < good + FREEZE)

active proctype clock()
{
end:	do
	:: atomic { now < END && (reset || MODE == 1 || now < petted + DOG) &&
	    (!inflight || now < until) -> now++ }
	:: atomic { MODE != 1 && !reset && now >= petted + DOG ->
	    reset = true }
	od
}

active proctype lun()
{
end:	do
	:: atomic { inflight -> assert(!taken); inflight = false }
	:: atomic { inflight -> inflight = false }
	od
}

active proctype petter()
{
end:	do
#if MODE == 4
	:: atomic { !reset && petted != now -> petted = now }
#else
	:: atomic { !reset && petted != now && (lease || !entering) ->
	    petted = now }
#endif
	od
}

active proctype heartbeat()
{
	byte sent;

end:	do
	/* A pulse against the image of a successor is refused. */
	:: atomic { !reset && !taken && landed != now -> sent = now;
	    landed = now }
#if MODE == 7
		atomic { !reset -> good = now }
#else
		atomic { !reset -> good = sent }
#endif
	od
}

active proctype owner()
{
	bool may;

end:	do
	:: !reset && !inflight ->
#if MODE != 5
		entering = true;
#endif
		may = lease;
#if MODE == 5
		entering = true;
#endif
		if
		:: may -> atomic {
			if
			:: !reset -> inflight = true; until = now + BOUND
			:: else -> skip
			fi }
		:: else -> skip
		fi;
		entering = false
	od
}

/* It saw the last image when that landed, at the earliest. */
active proctype survivor()
{
end:	atomic { now >= landed + PROOF -> taken = true }
}
