/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmfs-posix [-n ENTRIES] [-c CASE] [-o] DIR [DIR]: the suite on a directory, or
 * on two that are the same on two hosts.  -o: a file system that is not ours.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/posix/posix.h"

static void
say(const char *line)
{
	puts(line);
	fflush(stdout);
}

static int
usage(void)
{
	fprintf(stderr, "usage: vmfs-posix [-n entries] [-c case] [-o] dir "
	    "[dir]\n");
	return 2;
}

int
main(int argc, char **argv)
{
	static const struct posix_case *const tables[] = {
		posix_names, posix_content, posix_access, posix_dirs,
		posix_attrs,
	};
	/* Its hosts stay to the end. */
	static struct posix_run r = {
		.entries = 1000, .ours = true, .say = say,
	};
	const char *only = NULL;
	unsigned failed = 0;
	int c;

	while ((c = getopt(argc, argv, "n:c:o")) != -1) {
		if (c == 'n')
			r.entries = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'c')
			only = optarg;
		else if (c == 'o')
			r.ours = false;
		else
			return usage();
	}
	for (; optind < argc && r.hosts < 2; optind++) {
		r.host[r.hosts] = posix_mount_new(argv[optind], argv[optind]);
		if (r.host[r.hosts++] == NULL) {
			perror(argv[optind]);
			return 2;
		}
	}
	if (r.hosts == 0 || optind < argc)
		return usage();
	for (unsigned i = 0; i < 5; i++)
		failed += posix_run_table(&r, tables[i], only);
	return failed > 0;
}
