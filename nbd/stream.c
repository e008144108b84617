/* SPDX-License-Identifier: BSD-2-Clause */
/* See stream.h. */
#include "libvmfs/base/units.h"
#include "nbd/stream.h"
#include "nbd/tls.h"

#define BYE_NS NSEC_PER_SEC
#define WRITE_TIMEOUT_NS (60 * NSEC_PER_SEC)

static uint64_t
time_left(const struct stream *s, uint64_t otherwise)
{
	uint64_t now;

	if (s->deadline_ns == 0)
		return otherwise;
	now = sched_now(sched_current());
	return now < s->deadline_ns ? s->deadline_ns - now : 1;
}

int
stream_read_raw(struct stream *s, void *buf, size_t len)
{
	return net_read(s->c, buf, len, time_left(s, 0));
}

int
stream_write_raw(struct stream *s, void *buf, size_t len)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };

	return net_writev(s->c, &iov, 1, time_left(s, WRITE_TIMEOUT_NS));
}

int
stream_read(struct stream *s, void *buf, size_t len)
{
	if (s->tls != NULL)
		return tls_read(s->tls, buf, len);
	return stream_read_raw(s, buf, len);
}

int
stream_writev(struct stream *s, struct iovec *iov, int iovcnt)
{
	if (s->tls != NULL)
		return tls_writev(s->tls, iov, iovcnt);
	return net_writev(s->c, iov, iovcnt, time_left(s, WRITE_TIMEOUT_NS));
}

void
stream_close(struct stream *s)
{
	if (s->tls != NULL) {
		s->deadline_ns = sched_now(sched_current()) + BYE_NS;
		tls_bye(s->tls);
	}
	tls_free(s->tls);
	net_conn_close(s->c);
	*s = (struct stream){ .c = NULL };
}
