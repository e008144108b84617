/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Says in place of a vmfsd that is stopped that a name is not there: so its
 * kernel goes by what was true before another host made the file.
 *
 * usage: absent PID NAME
 * The directory can be written by all.  Ends with the answer for the name, after
 * which the vmfsd may go on.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define WAIT_MS 30000
#define FDS_MAX 1024

static union {
	struct fuse_in_header h;
	char bytes[FUSE_MIN_READ_BUFFER + (1 << 20)];
} message;

/* The same open file that it has. */
static int
fuse_fd_of(const char *pid)
{
	int process = pidfd_open(atoi(pid), 0);

	for (int fd = 0; fd < FDS_MAX && process >= 0; fd++) {
		char link[64], target[64] = "";

		(void)snprintf(link, sizeof(link), "/proc/%s/fd/%d", pid, fd);
		if (readlink(link, target, sizeof(target) - 1) > 0 &&
		    strcmp(target, "/dev/fuse") == 0)
			return pidfd_getfd(process, fd, 0);
	}
	return -1;
}

static int
answer(int fd, int error, void *data, size_t size)
{
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof(out) + size), .error = -error,
		.unique = message.h.unique,
	};
	struct iovec iov[2] = { { &out, sizeof(out) }, { data, size } };

	return writev(fd, iov, 2) < 0 ? -1 : 0;
}

static int
answer_directory(int fd)
{
	struct fuse_attr_out a = {
		.attr = { .ino = FUSE_ROOT_ID, .nlink = 2,
		    .mode = S_IFDIR | 0777 },
	};

	return answer(fd, 0, &a, sizeof(a));
}

/* 1: the name was asked for. */
static int
answer_next(int fd, const char *name)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, WAIT_MS) != 1)
		return -1;
	if (read(fd, &message, sizeof(message)) < 0)
		return errno == EAGAIN ? 0 : -1;
	if (message.h.opcode == FUSE_FORGET ||
	    message.h.opcode == FUSE_BATCH_FORGET)
		return 0;
	if (message.h.opcode == FUSE_GETATTR)
		return answer_directory(fd);
	if (message.h.opcode != FUSE_LOOKUP ||
	    strcmp((const char *)(&message.h + 1), name) != 0) {
		printf("unexpected request %u\n", (unsigned)message.h.opcode);
		return -1;
	}
	return answer(fd, ENOENT, NULL, 0) < 0 ? -1 : 1;
}

int
main(int argc, char **argv)
{
	int fd, rc = 0;

	if (argc != 3)
		return 2;
	fd = fuse_fd_of(argv[1]);
	if (fd < 0) {
		perror("/dev/fuse");
		return 2;
	}
	while (rc == 0)
		rc = answer_next(fd, argv[2]);
	if (rc < 0)
		perror("absent");
	return rc < 0;
}
