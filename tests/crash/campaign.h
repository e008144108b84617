/* SPDX-License-Identifier: BSD-2-Clause */
/* Many sequences, by rounds. */
#ifndef TESTS_CRASH_CAMPAIGN_H
#define TESTS_CRASH_CAMPAIGN_H

#include <stdio.h>

#include "tests/crash/states.h"

struct campaign {
	const char *sequence;	/* NULL: all pairs of operations */
	uint64_t round;		/* the first */
	uint64_t states;	/* rounds until then; 0: one */
	unsigned effort;
	unsigned share, shares;	/* every shares-th, from share on */
	const struct cut *only;
	bool verbose;
	FILE *out;
	struct totals totals;
};

/*
 * 0, or -EPROTO when a sequence failed; all are tried, and each failure ends
 * with the command that shows it again.  A crash of the program shows the
 * sequence.
 */
int campaign_run(struct campaign *c) MUST_CHECK;

#endif
