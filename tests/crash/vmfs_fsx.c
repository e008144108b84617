/* SPDX-License-Identifier: BSD-2-Clause */
/* vmfs-fsx: operations by chance against a model; see doc/TESTING.md. */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>

#include "tests/crash/fsx.h"

static const struct option options[] = {
	{ "seed", required_argument, NULL, 's' },
	{ "ops", required_argument, NULL, 'o' },
	{ "fsck", required_argument, NULL, 'f' },
	{ "hosts", required_argument, NULL, 'h' },
	{ "progress", no_argument, NULL, 'p' },
	{ "help", no_argument, NULL, '?' },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
"usage: vmfs-fsx [option]...\n"
"  --seed N    what is done (default 1)\n"
"  --ops N     how many (default 10000)\n"
"  --fsck N    after so many (default 1024)\n"
"  --hosts N   1 (default), or 3 of the simulator\n"
"  --progress  a line now and then\n";

static uint64_t
number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (end == text || *end != '\0')
		errx(2, "%s: not a number", text);
	return n;
}

int
main(int argc, char **argv)
{
	struct fsx_conf conf = { .seed = 1, .ops = 10000, .hosts = 1,
		.fsck = 1024 };
	struct fsx_totals totals = { 0 };
	char problem[1024];
	int opt, r;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 's':
			conf.seed = number(optarg);
			break;
		case 'o':
			conf.ops = number(optarg);
			break;
		case 'f':
			conf.fsck = number(optarg);
			break;
		case 'h':
			conf.hosts = (unsigned)number(optarg);
			break;
		case 'p':
			conf.progress = stdout;
			break;
		default:
			fputs(help, optopt == 0 ? stdout : stderr);
			return optopt == 0 ? 0 : 2;
		}
	}
	if (optind < argc || conf.fsck == 0 || (conf.hosts != 1 && conf.hosts != 3)) {
		fputs(help, stderr);
		return 2;
	}
	r = fsx_run(&conf, &totals, problem, sizeof(problem));
	if (r < 0)
		printf("failed: %s\n", problem);
	printf("seed %" PRIu64 ", %u host%s: %" PRIu64 " operations, %" PRIu64
	    " take-overs, %" PRIu64 " fscks\n", conf.seed, conf.hosts,
	    conf.hosts == 1 ? "" : "s", totals.ops, totals.takeovers,
	    totals.checks);
	return r < 0;
}
