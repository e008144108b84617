/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One freed piece of memory kept for the next who needs one of that size: a
 * heartbeat, which has one command at a time, allocates nothing after the
 * first.  Any thread.
 */
#ifndef VMFS_ENV_SPARE_H
#define VMFS_ENV_SPARE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

struct spare {
	_Atomic(void *) kept;	/* NULL: none */
};

/* What was kept last, or NULL: allocate it. */
static inline void *
spare_take(struct spare *s)
{
	return atomic_exchange(&s->kept, NULL);
}

/* Keeps p, or frees it when there is one already. */
static inline void
spare_give(struct spare *s, void *p)
{
	free(atomic_exchange(&s->kept, p));
}

static inline void
spare_fini(struct spare *s)
{
	free(spare_take(s));
}

#endif
