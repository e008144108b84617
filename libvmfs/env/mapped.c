/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies through a mapping that survive the loss of its pages. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libvmfs/env/mapped.h"

/* Pages that one mincore looks at. */
#define LOOK_PAGES 256

/* A copy at work: where it may fail, and where it goes on then. */
struct guard {
	sigjmp_buf back;
	const char *start;
	uint64_t len;
};

static _Thread_local struct guard *volatile guard;
static pthread_once_t handler_once = PTHREAD_ONCE_INIT;
static struct sigaction handler_before;

static void
on_sigbus(int sig, siginfo_t *info, void *context)
{
	struct guard *g = guard;
	uintptr_t at = (uintptr_t)info->si_addr;

	(void)context;
	if (g != NULL && info->si_code > 0 && at >= (uintptr_t)g->start &&
	    at - (uintptr_t)g->start < g->len)
		siglongjmp(g->back, 1);
	/* Not ours: as if we were not there.  A fault comes again by itself. */
	(void)sigaction(sig, &handler_before, NULL);
	if (info->si_code <= 0)
		(void)raise(sig);
}

static void
handler_install(void)
{
	struct sigaction sa = {
		.sa_sigaction = on_sigbus,
		/* The jump out of it restores no mask. */
		.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK,
	};

	(void)sigaction(SIGBUS, &sa, &handler_before);
}

int
mapped_open(int fd, uint64_t size, struct mapped *ret_m)
{
	void *base;

	(void)pthread_once(&handler_once, handler_install);
	base = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	/* A core of the daemon shall not hold its LUNs. */
	(void)madvise(base, size, MADV_DONTDUMP);
	*ret_m = (struct mapped){ .base = base, .size = size };
	return 0;
}

void
mapped_close(struct mapped *m)
{
	if (m->base != NULL)
		(void)munmap(m->base, m->size);
	*m = (struct mapped){ .base = NULL };
}

static bool
all_in_memory(char *at, uint64_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t before = (uintptr_t)at % page;
	unsigned char in[LOOK_PAGES], all = 1;

	at -= before;
	len += before;
	while (len > 0) {
		size_t n = len < LOOK_PAGES * page ? len : LOOK_PAGES * page;

		if (mincore(at, n, in) < 0)
			return false;
		for (size_t i = 0; i < (n + page - 1) / page; i++)
			all &= in[i];
		if ((all & 1) == 0)
			return false;
		at += n;
		len -= n;
	}
	return true;
}

static void
copy(char *at, const struct iovec *iov, int iovcnt, bool to_file)
{
	for (int i = 0; i < iovcnt; i++) {
		if (iov[i].iov_len == 0)
			continue;
		if (to_file)
			memcpy(at, iov[i].iov_base, iov[i].iov_len);
		else
			memcpy(iov[i].iov_base, at, iov[i].iov_len);
		at += iov[i].iov_len;
	}
}

int
mapped_copy_blindly(const struct mapped *m, uint64_t offset, uint64_t len,
    const struct iovec *iov, int iovcnt, bool to_file)
{
	struct guard g = { .start = m->base + offset, .len = len };

	if (sigsetjmp(g.back, 0) != 0) {
		guard = NULL;
		return -ENODATA;
	}
	guard = &g;
	atomic_signal_fence(memory_order_seq_cst);
	copy(m->base + offset, iov, iovcnt, to_file);
	atomic_signal_fence(memory_order_seq_cst);
	guard = NULL;
	return 0;
}

int
mapped_copy(const struct mapped *m, uint64_t offset, uint64_t len,
    const struct iovec *iov, int iovcnt, bool to_file)
{
	/* The file may have grown since. */
	if (offset > m->size || len > m->size - offset ||
	    !all_in_memory(m->base + offset, len))
		return -ENODATA;
	return mapped_copy_blindly(m, offset, len, iov, iovcnt, to_file);
}
