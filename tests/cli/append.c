/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Appends its standard input to a file by one write of AIO, which the kernel
 * divides and sends the parts of at once.
 *
 * usage: append FILE [direct]
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INPUT_MAX ((size_t)16 << 20)

static char buf[INPUT_MAX] __attribute__((aligned(4096)));

static size_t
input(void)
{
	size_t n = 0;
	ssize_t got;

	while (n < INPUT_MAX && (got = read(0, buf + n, INPUT_MAX - n)) > 0)
		n += (size_t)got;
	return n;
}

/* What was written, or negative. */
static int64_t
write_at_once(int fd, size_t n)
{
	struct iocb cb = {
		.aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = (uint32_t)fd,
		.aio_buf = (uintptr_t)buf, .aio_nbytes = n,
	}, *one = &cb;
	struct io_event e = { .res = -1 };
	aio_context_t ctx = 0;

	if (syscall(SYS_io_setup, 1, &ctx) < 0 ||
	    syscall(SYS_io_submit, ctx, 1, &one) != 1 ||
	    syscall(SYS_io_getevents, ctx, 1, 1, &e, NULL) != 1)
		return -1;
	return e.res;
}

int
main(int argc, char **argv)
{
	int direct = argc > 2 && strcmp(argv[2], "direct") == 0;
	size_t n;
	int fd;

	if (argc < 2)
		return 2;
	n = input();
	fd = open(argv[1], O_WRONLY | O_APPEND | (direct ? O_DIRECT : 0));
	if (fd < 0) {
		perror(argv[1]);
		return 2;
	}
	if (write_at_once(fd, n) == (int64_t)n)
		return 0;
	fputs("not all was written\n", stderr);
	return 1;
}
