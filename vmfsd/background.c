/* SPDX-License-Identifier: BSD-2-Clause */
/* The two processes of --daemon. */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmfsd/background.h"

static _Noreturn void
wait_for_child(int fd, pid_t child)
{
	char byte;
	int status;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(0);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFEXITED(status) && WEXITSTATUS(status) != 0 ?
	    WEXITSTATUS(status) : 1);
}

int
background_enter(void)
{
	int fd[2];
	pid_t child;

	if (pipe2(fd, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child < 0)
		return -errno;
	if (child > 0) {
		(void)close(fd[1]);
		wait_for_child(fd[0], child);
	}
	(void)close(fd[0]);
	(void)setsid();
	return fd[1];
}

void
background_detach(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0) {
		for (int i = 0; i <= 2; i++)
			(void)dup2(null, i);
		if (null > 2)
			(void)close(null);
	}
}

void
background_ready(int fd)
{
	background_detach();
	if (write(fd, "", 1) != 1)
		_exit(1);	/* the parent was killed: so is the start */
	(void)close(fd);
}
