/* SPDX-License-Identifier: BSD-2-Clause */
/* vmfs-sim: runs of the simulator by seed; see doc/TESTING.md. */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/vsim.h"

static const struct option options[] = {
	{ "seed", required_argument, NULL, 's' },
	{ "seeds", required_argument, NULL, 'S' },
	{ "hosts", required_argument, NULL, 'h' },
	{ "ops", required_argument, NULL, 'o' },
	{ "protocol", required_argument, NULL, 'p' },
	{ "faults", required_argument, NULL, 'f' },
	{ "trace", no_argument, NULL, 't' },
	{ "twice", required_argument, NULL, 'w' },
	{ "help", no_argument, NULL, '?' },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
"usage: vmfs-sim --seed N | --seeds A-B [option]...\n"
"  --hosts N        2 to 8 (default: by the seed, 2 to 6)\n"
"  --ops N          of all guests together (default: 3000)\n"
"  --protocol P     ats-pr, ats-watchdog, reserve or file (default: by the seed)\n"
"  --faults LIST    only these kinds, comma-separated; -KIND: without it\n"
"  --twice N        every N-th seed runs twice and must do the same (I13)\n"
"  --trace          log of all hosts to standard error\n"
"Kinds:";

static const char invariants[] =
"Checked: I1 one writer (device, opens), I2 lock versions (device), I3 flushed\n"
"data, I4 foreign data (guests), I5 I6 fsck of crash images, I7 snapshots\n"
"(guests), I8 no write while frozen, I9 fence before mark (device), I10\n"
"liveness, I11 outage, I12 rot, I13 same trace, I14 bounded.\n";

struct program {
	struct vsim_conf conf;
	uint64_t first, last, twice;
	const char *faults, *protocol;
	struct vsim_totals totals;
};

static void
usage(FILE *out)
{
	fputs(help, out);
	for (unsigned k = 0; k < TROUBLE_KINDS; k++)
		fprintf(out, " %s", trouble_name[k]);
	fprintf(out, "\n%s", invariants);
}

static uint64_t
number(const char *text, const char **ret_end)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (end == text || (ret_end == NULL && *end != '\0'))
		errx(2, "%s: not a number", text);
	if (ret_end != NULL)
		*ret_end = end;
	return n;
}

static void
seeds(struct program *p, const char *text)
{
	const char *end;

	p->first = p->last = number(text, &end);
	if (*end == '-')
		p->last = number(end + 1, NULL);
	else if (*end != '\0')
		errx(2, "%s: expected A-B", text);
}

static unsigned
fault(const char *name)
{
	for (unsigned k = 0; k < TROUBLE_KINDS; k++)
		if (strcmp(name, trouble_name[k]) == 0)
			return TROUBLE_BIT(k);
	errx(2, "%s: no kind of fault; --help lists them", name);
}

static void
faults(struct program *p, const char *text)
{
	char *list = strdup(text), *at = list, *name;
	unsigned mask = text[0] == '-' ? TROUBLE_ALL : 0;

	while ((name = strsep(&at, ",")) != NULL) {
		if (name[0] == '-')
			mask &= ~fault(name + 1);
		else if (name[0] != '\0')
			mask |= fault(name);
	}
	free(list);
	p->faults = text;
	p->conf.troubles = mask;
}

static void
protocol(struct program *p, const char *text)
{
	static const struct {
		const char *name;
		enum lock_protocol protocol;
	} table[] = {
		{ "ats-pr", LOCK_ATS_PR }, { "file", LOCK_FILE },
		{ "ats-watchdog", LOCK_ATS_WATCHDOG },
		{ "reserve", LOCK_RESERVE },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		if (strcmp(text, table[i].name) != 0)
			continue;
		p->conf.protocol = (int)table[i].protocol;
		p->protocol = text;
		return;
	}
	errx(2, "%s: expected ats-pr, ats-watchdog, reserve or file", text);
}

static void
parse(struct program *p, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 's': p->first = p->last = number(optarg, NULL); break;
		case 'S': seeds(p, optarg); break;
		case 'h': p->conf.hosts = (unsigned)number(optarg, NULL); break;
		case 'o': p->conf.ops = number(optarg, NULL); break;
		case 'p': protocol(p, optarg); break;
		case 'f': faults(p, optarg); break;
		case 'w': p->twice = number(optarg, NULL); break;
		case 't': (void)setenv("WORLD_LOG", "1", 1); break;
		default:
			usage(optopt == 0 ? stdout : stderr);
			exit(optopt == 0 ? 0 : 2);
		}
	}
	if (p->last == 0 || optind != argc || p->conf.hosts > 8 ||
	    p->conf.hosts == 1) {
		usage(stderr);
		exit(2);
	}
}

/* The command that does it again. */
static void
tell(const struct program *p, const struct vsim *v, const char *problem)
{
	printf("seed %" PRIu64 ": %s\n  again: vmfs-sim --seed %" PRIu64
	    " --ops %" PRIu64, v->conf.seed, problem, v->conf.seed,
	    v->conf.ops);
	if (p->conf.hosts != 0)
		printf(" --hosts %u", p->conf.hosts);
	if (p->protocol != NULL)
		printf(" --protocol %s", p->protocol);
	if (p->faults != NULL)
		printf(" --faults %s", p->faults);
	printf("\n");
	fflush(stdout);
}

static bool
run_seed(struct program *p, uint64_t seed)
{
	static struct vsim v;
	uint64_t hash = 0, again = 0;

	p->conf.seed = seed;
	if (vsim_run(&v, &p->conf, &p->totals, &hash) < 0) {
		tell(p, &v, v.w.problem);
		return false;
	}
	if (p->twice == 0 || seed % p->twice != 0)
		return true;
	if (vsim_run(&v, &p->conf, &p->totals, &again) < 0 || again != hash) {
		tell(p, &v, "I13: the second run does something else");
		return false;
	}
	return true;
}

static double
seconds(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
report(const struct program *p, uint64_t failed, double cpu)
{
	const struct vsim_totals *t = &p->totals;

	printf("%" PRIu64 " runs, %" PRIu64 " failed, %.0f a minute and core; "
	    "%.1f virtual hours, %" PRIu64 " operations, %" PRIu64
	    " crash images (%" PRIu64 " lost space), %" PRIu64 " take-overs, %" PRIu64 " fences, %" PRIu64 " flips, %" PRIu64
	    " torn reads, %" PRIu64 " times told that something is damaged, %" PRIu64 " UNMAPs\n",
	    t->runs, failed, (double)t->runs / cpu * 60,
	    (double)t->virtual_ns / 3600e9, t->ops, t->images, t->leaky_images,
	    t->takeovers,
	    t->fences, t->flips, t->torn, t->damaged, t->unmaps);
	for (unsigned k = 0; k < TROUBLE_EVENTS; k++)
		printf("%s %" PRIu64 "%s", trouble_name[k], t->troubles[k],
		    k + 1 < TROUBLE_EVENTS ? ", " : "\n");
}

int
main(int argc, char **argv)
{
	static struct program p = {
		.conf = { .ops = 3000, .protocol = -1,
		    .troubles = TROUBLE_ALL },
	};
	uint64_t failed = 0;
	double start = seconds(CLOCK_PROCESS_CPUTIME_ID);

	parse(&p, argc, argv);
	for (uint64_t seed = p.first; seed <= p.last; seed++)
		failed += !run_seed(&p, seed);
	report(&p, failed, seconds(CLOCK_PROCESS_CPUTIME_ID) - start);
	return failed > 0;
}
