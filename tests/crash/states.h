/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All that a power cut may leave behind of a script: a cut after each write,
 * with the subsets of what was not flushed, with writes of which only some
 * sectors got there, and a second cut during the replay.
 */
#ifndef TESTS_CRASH_STATES_H
#define TESTS_CRASH_STATES_H

#include "tests/crash/script.h"

#define UNFLUSHED_MAX 512
#define SUBSETS_OF 8	/* unflushed writes of which all subsets are tried */

/* One state. */
struct cut {
	size_t events;		/* that were completed */
	/* Bit i: unflushed write i of those is there.  At least 64 bits. */
	uint64_t keep[UNFLUSHED_MAX / 64];
	/* The unflushed write of which only some sectors are there; behind the
	 * last one: the write that is next.  -1: none. */
	int torn;
	unsigned pattern;	/* which sectors */
	/* Of the replay: events that were completed, SIZE_MAX: all. */
	size_t again;
	unsigned mode;		/* what is there of those not flushed */
};
#define CUT_TEXT_MAX (UNFLUSHED_MAX / 4 + 64)
void cut_text(const struct cut *c, char *buf);
int cut_parse(const char *text, struct cut *ret_c) MUST_CHECK;

struct totals {
	uint64_t sequences;
	uint64_t events;	/* writes and flushes */
	uint64_t cuts;		/* tried, many of them alike */
	uint64_t states;	/* different ones: all replayed */
	uint64_t outcomes;	/* different after replay: all looked at */
};

/*
 * Plays the script and tries its states; `only` not NULL: just that one.
 * Each state counts once.  `effort` of 1 is the least that is more than
 * nothing; it multiplies what is drawn by chance.  0, or -EPROTO with the
 * sentence and the state in s->problem.  Runs a scheduler of its own.
 */
int states_try(const char *sequence, uint64_t round, unsigned effort,
    const struct cut *only, struct totals *totals, char *problem,
    size_t size) MUST_CHECK;

#endif
