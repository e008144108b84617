/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks a range of a file as programs do, says so, and keeps it until its
 * standard input ends.
 *
 * usage: locker FILE posix|ofd|flock r|w|t [START [LENGTH]] [-n]
 *	r, w	lock for reading, for writing; -n: or fail at once
 *	t	by whom could it not be locked for writing?
 * After a line of input it opens the file for reading, closes it and says so.
 * SIGUSR1 only interrupts.  Exit status 1: refused, with the error.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct wish {
	const char *kind;
	char what;
	long start, length;
	int at_once;
};

static int
lock(int fd, const struct wish *w)
{
	int ofd = strcmp(w->kind, "ofd") == 0;
	struct flock fl = {
		.l_type = w->what == 'r' ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET, .l_start = w->start,
		.l_len = w->length,
	};

	if (!w->at_once) {
		printf("waiting\n");
		fflush(stdout);
	}
	if (strcmp(w->kind, "flock") == 0)
		return flock(fd, (w->what == 'r' ? LOCK_SH : LOCK_EX) |
		    (w->at_once ? LOCK_NB : 0));
	if (w->at_once)
		return fcntl(fd, ofd ? F_OFD_SETLK : F_SETLK, &fl);
	return fcntl(fd, ofd ? F_OFD_SETLKW : F_SETLKW, &fl);
}

static int
test(int fd, const struct wish *w)
{
	struct flock fl = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET,
		.l_start = w->start, .l_len = w->length,
	};

	if (fcntl(fd, strcmp(w->kind, "ofd") == 0 ? F_OFD_GETLK : F_GETLK,
	    &fl) < 0)
		return -1;
	if (fl.l_type == F_UNLCK)
		printf("free\n");
	else
		printf("%s %ld %ld by %d\n", fl.l_type == F_WRLCK ? "w" : "r",
		    (long)fl.l_start, (long)fl.l_len, (int)fl.l_pid);
	return 0;
}

static void
interrupted(int sig)
{
	(void)sig;
}

int
main(int argc, char **argv)
{
	const struct sigaction sa = { .sa_handler = interrupted };
	struct wish w = { 0 };
	char c;
	int fd, rc;

	w.at_once = argc > 4 && strcmp(argv[argc - 1], "-n") == 0;
	argc -= w.at_once;
	if (argc < 4 || argc > 6) {
		fputs("usage: locker FILE posix|ofd|flock r|w|t "
		    "[START [LENGTH]] [-n]\n", stderr);
		return 2;
	}
	w.kind = argv[2];
	w.what = argv[3][0];
	w.start = argc > 4 ? atol(argv[4]) : 0;
	w.length = argc > 5 ? atol(argv[5]) : 0;
	(void)sigaction(SIGUSR1, &sa, NULL);
	fd = open(argv[1], O_RDWR);
	if (fd < 0) {
		perror(argv[1]);
		return 2;
	}
	rc = w.what == 't' ? test(fd, &w) : lock(fd, &w);
	if (rc < 0) {
		printf("%s\n", strerror(errno));
		return 1;
	}
	if (w.what == 't')
		return 0;
	printf("locked\n");
	fflush(stdout);
	while (read(0, &c, 1) > 0) {
		(void)close(open(argv[1], O_RDONLY));
		printf("closed\n");
		fflush(stdout);
	}
	return 0;
}
