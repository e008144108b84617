/* SPDX-License-Identifier: BSD-2-Clause */
/* vmfs-crash: power cuts in sequences of operations; see doc/TESTING.md. */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/campaign.h"

static const struct option options[] = {
	{ "sequence", required_argument, NULL, 's' },
	{ "round", required_argument, NULL, 'r' },
	{ "state", required_argument, NULL, 'c' },
	{ "states", required_argument, NULL, 'n' },
	{ "effort", required_argument, NULL, 'e' },
	{ "share", required_argument, NULL, 'S' },
	{ "list", no_argument, NULL, 'l' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
"usage: vmfs-crash [option]...\n"
"  --sequence A,B,..  only this one; without: all pairs of operations\n"
"  --round N          where to begin (default 0); each round draws anew\n"
"  --states N         rounds until so many states were looked at\n"
"  --effort N         how much is drawn by chance (default 1)\n"
"  --share I/N        only every N-th sequence, from the I-th on\n"
"  --state S          only this one, as a failure prints it\n"
"  --list             the operations\n"
"  --verbose          a line for each sequence\n";

static uint64_t
number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (end == text || *end != '\0')
		errx(2, "%s: not a number", text);
	return n;
}

static void
share(struct campaign *c, const char *text)
{
	if (sscanf(text, "%u/%u", &c->share, &c->shares) != 2 ||
	    c->shares == 0 || c->share >= c->shares)
		errx(2, "%s: not a share", text);
}

static void
list_ops(void)
{
	for (unsigned i = 0; script_op_name(i) != NULL; i++)
		puts(script_op_name(i));
}

int
main(int argc, char **argv)
{
	struct campaign c = { .shares = 1, .effort = 1, .out = stdout };
	struct cut only;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 's':
			c.sequence = optarg;
			break;
		case 'r':
			c.round = number(optarg);
			break;
		case 'n':
			c.states = number(optarg);
			break;
		case 'e':
			c.effort = (unsigned)number(optarg);
			break;
		case 'S':
			share(&c, optarg);
			break;
		case 'c':
			if (cut_parse(optarg, &only) < 0)
				errx(2, "%s: not a state", optarg);
			c.only = &only;
			break;
		case 'v':
			c.verbose = true;
			break;
		case 'l':
			list_ops();
			return 0;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			fputs(help, stderr);
			return 2;
		}
	}
	if (optind < argc || (c.only != NULL && c.sequence == NULL)) {
		fputs(help, stderr);
		return 2;
	}
	return campaign_run(&c) == 0 ? 0 : 1;
}
