/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Takes what there is of locks or open files until it gets no more, says how
 * many it has, and keeps them until its standard input ends.
 *
 * usage: fill lock|open FILE...
 *	lock	single bytes of the files
 *	open	the files, for reading
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MOST 100000L

/* Bytes apart from each other, else they become one range. */
static long
lock_all(const char *file)
{
	struct flock fl = { .l_type = F_RDLCK, .l_len = 1 };
	int fd = open(file, O_RDONLY);
	long n = 0;

	if (fd < 0)
		return 0;
	while (n < MOST && fcntl(fd, F_SETLK, &fl) == 0) {
		fl.l_start += 2;
		n++;
	}
	return n;
}

/* The name is looked up only once, which takes longer. */
static long
open_all(const char *file)
{
	char again[64];
	long n = 0;
	int fd = open(file, O_RDONLY);

	(void)snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
	for (; fd >= 0 && n < MOST; n++)
		fd = open(again, O_RDONLY);
	return n;
}

int
main(int argc, char **argv)
{
	long n = 0;
	char c;

	if (argc < 3)
		return 2;
	for (int i = 2; i < argc; i++)
		n += strcmp(argv[1], "lock") == 0 ? lock_all(argv[i]) :
		    open_all(argv[i]);
	printf("full %ld: %s\n", n, strerror(errno));
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	return 0;
}
