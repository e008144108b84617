/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations by chance, one after the other, on one host that remounts, dies
 * and is taken over, or on three hosts of the simulator with the real locks;
 * after each, what it has changed is read back and has to be what the truth
 * says, to the byte.
 */
#ifndef TESTS_CRASH_FSX_H
#define TESTS_CRASH_FSX_H

#include <stdio.h>

#include "tests/crash/script.h"

struct fsx_conf {
	uint64_t seed;
	uint64_t ops;
	unsigned hosts;		/* 1 or 3 */
	uint64_t fsck;		/* operations between two of them */
	FILE *progress;		/* NULL: none */
};

struct fsx_totals {
	uint64_t ops, takeovers, checks;
};

/* 0, or -EPROTO with the sentence, and how to see it again, in `problem`. */
int fsx_run(const struct fsx_conf *conf, struct fsx_totals *ret_totals,
    char *problem, size_t size) MUST_CHECK;

/* ---- between fsx.c and fsx_hosts.c ---- */

struct fsx {
	struct fsx_conf conf;
	struct script script;
	struct promise promise;
	struct fsx_totals totals;
	struct prng prng;
	char problem[768];
	int result;
	/* fsck looks at the volume; nobody has it mounted meanwhile. */
	int (*check)(struct fsx *x);
	/* Everybody goes. */
	int (*end)(struct fsx *x);
	void *arg;
};
void fsx_fail(struct fsx *x, const char *what);
/* Plays all, in a fiber; hosts, check, end are set. */
void fsx_play(struct fsx *x);
/* On three hosts. */
void fsx_hosts(struct fsx *x);

#endif
