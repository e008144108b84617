/* SPDX-License-Identifier: BSD-2-Clause */
/* Opens a file, writes some pages of it and closes it, so many times: who does
 * that at the same time must not be in the way. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 3

/* What failed; NULL. */
static const char *
once(const char *name, const char page[PAGE])
{
	int fd = open(name, O_RDWR | O_DIRECT);

	if (fd < 0)
		return "open";
	for (int i = 0; i < PAGES; i++)
		if (pwrite(fd, page, PAGE, i * PAGE) != PAGE)
			return "write";
	return close(fd) < 0 ? "close" : NULL;
}

int
main(int argc, char **argv)
{
	static char page[PAGE] __attribute__((aligned(PAGE)));
	long times;

	if (argc != 3) {
		fprintf(stderr, "usage: reopen FILE TIMES\n");
		return 2;
	}
	memset(page, 1, sizeof(page));
	times = strtol(argv[2], NULL, 10);
	for (long i = 0; i < times; i++) {
		const char *failed = once(argv[1], page);

		if (failed != NULL) {
			fprintf(stderr, "reopen: %s: %s %ld: %m\n", argv[1],
			    failed, i);
			return 1;
		}
	}
	return 0;
}
