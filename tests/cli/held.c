/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opens a file, says so, and does something with what it has open, never with
 * its name, when a line comes.
 *
 * usage: held FILE truncate	to nothing
 *	held FILE chmod UID	to 0666; as this user, who could open it
 * Exit status 1: refused, with the error.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
become(const char *user)
{
	unsigned id = (unsigned)atoi(user);

	return setgid(id) < 0 || setuid(id) < 0 ? -1 : 0;
}

int
main(int argc, char **argv)
{
	char line[80];
	int fd, truncates;

	if (argc < 3)
		return 2;
	truncates = strcmp(argv[2], "truncate") == 0;
	fd = open(argv[1], truncates ? O_RDWR : O_RDONLY);
	if (fd < 0 || (argc > 3 && become(argv[3]) < 0)) {
		perror(argv[1]);
		return 2;
	}
	printf("held\n");
	fflush(stdout);
	if (fgets(line, sizeof(line), stdin) == NULL)
		return 2;
	if ((truncates ? ftruncate(fd, 0) : fchmod(fd, 0666)) < 0) {
		printf("%s\n", strerror(errno));
		return 1;
	}
	printf("done\n");
	return 0;
}
