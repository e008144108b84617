/* SPDX-License-Identifier: BSD-2-Clause */
/* Signals by the completions of a ring, see bell.h. */
#include <liburing.h>
#include <stdlib.h>

#include "libvmfs/env/bell.h"

struct bell {
	struct io_uring ring;
};

int
bell_new(int fd, struct bell **ret_b)
{
	struct bell *b = calloc(1, sizeof(*b));
	int rc;

	if (b == NULL)
		return -ENOMEM;
	/* Linux 6.1: it takes no lock then, a third of the time. */
	rc = io_uring_queue_init(1, &b->ring, IORING_SETUP_SINGLE_ISSUER |
	    IORING_SETUP_DEFER_TASKRUN);
	if (rc == -EINVAL)
		rc = io_uring_queue_init(1, &b->ring, 0);
	if (rc < 0) {
		free(b);
		return rc;
	}
	rc = io_uring_register_eventfd(&b->ring, fd);
	if (rc < 0) {
		bell_free(b);
		return rc;
	}
	/* Spares each call a look-up; the first few of a thread have it. */
	(void)io_uring_register_ring_fd(&b->ring);
	*ret_b = b;
	return 0;
}

void
bell_ring(struct bell *b)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);

	/* NULL: for want of memory the last one did not go; it does now. */
	if (sqe != NULL)
		io_uring_prep_nop(sqe);
	(void)io_uring_submit(&b->ring);
	io_uring_cq_advance(&b->ring, io_uring_cq_ready(&b->ring));
}

void
bell_free(struct bell *b)
{
	if (b == NULL)
		return;
	io_uring_queue_exit(&b->ring);
	free(b);
}

int
bell_check(int fd)
{
	struct bell *b;
	int rc = bell_new(fd, &b);

	if (rc == 0)
		bell_free(b);
	return rc;
}
