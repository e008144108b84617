/* SPDX-License-Identifier: BSD-2-Clause */
/* See campaign.h. */
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tests/crash/campaign.h"

/* Longer takes none: it hangs. */
#define SEQUENCE_SECONDS 600

static char playing[400];

static void
on_signal(int sig)
{
	ssize_t n = write(STDERR_FILENO, playing, strlen(playing));

	(void)n;
	signal(sig, SIG_DFL);
	raise(sig);
}

static void
catch_signals(void)
{
	static const int sigs[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGALRM };

	for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		signal(sigs[i], on_signal);
}

static int
try_one(struct campaign *c, const char *sequence, uint64_t round)
{
	struct totals before = c->totals;
	char problem[2048];
	int r;

	(void)snprintf(playing, sizeof(playing), "vmfs-crash: ended in "
	    "sequence %s\nreproduce: tests/crash/vmfs-crash --sequence %s "
	    "--round %" PRIu64 "\n", sequence, sequence, round);
	alarm(SEQUENCE_SECONDS);
	r = states_try(sequence, round, c->effort, c->only, &c->totals,
	    problem, sizeof(problem));
	alarm(0);
	if (r == -EPROTO)
		fprintf(c->out, "failed: %s\n", problem);
	else if (r < 0)
		fprintf(c->out, "failed: %s: %s\n", sequence,
		    vmfs_strerror(r));
	if (c->verbose)
		fprintf(c->out, "%s round %" PRIu64 ": %" PRIu64 " events, %"
		    PRIu64 " states, %" PRIu64 " outcomes\n", sequence, round,
		    c->totals.events - before.events,
		    c->totals.states - before.states,
		    c->totals.outcomes - before.outcomes);
	fflush(c->out);
	return r;
}

/* In the first round a pair, later with up to three by chance behind it. */
static void
name_sequence(unsigned a, unsigned b, uint64_t round, char *name, size_t size)
{
	unsigned ops = script_ops();
	struct prng p;
	int len;

	prng_seed(&p, (round * ops + a) * ops + b);
	len = snprintf(name, size, "%s,%s", script_op_name(a),
	    script_op_name(b));
	for (uint64_t n = round > 0 ? prng_below(&p, 4) : 0; n > 0; n--)
		len += snprintf(name + len, size - (size_t)len, ",%s",
		    script_op_name((unsigned)prng_below(&p, ops)));
	(void)snprintf(name + len, size - (size_t)len, ",flush");
}

static int
try_pairs(struct campaign *c, uint64_t round)
{
	unsigned ops = script_ops();
	char name[128];
	int r = 0;

	for (unsigned n = c->share; n < ops * ops; n += c->shares) {
		name_sequence(n / ops, n % ops, round, name, sizeof(name));
		if (try_one(c, name, round) < 0)
			r = -EPROTO;
	}
	return r;
}

int
campaign_run(struct campaign *c)
{
	uint64_t round = c->round;
	int r = 0, e;

	catch_signals();
	/* The same few large buffers again and again: no system calls. */
	(void)mallopt(M_MMAP_THRESHOLD, 64 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
	do {
		e = c->sequence != NULL ? try_one(c, c->sequence, round) :
		    try_pairs(c, round);
		r = r < 0 ? r : e;
		round++;
	} while (c->totals.states < c->states);
	fprintf(c->out, "%" PRIu64 " sequences, %" PRIu64 " writes and "
	    "flushes, %" PRIu64 " cuts, %" PRIu64 " different states, %" PRIu64
	    " different ones after replay\n", c->totals.sequences,
	    c->totals.events, c->totals.cuts, c->totals.states,
	    c->totals.outcomes);
	return r < 0 ? -EPROTO : 0;
}
