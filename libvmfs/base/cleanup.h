/* SPDX-License-Identifier: BSD-2-Clause */
/* Scoped release of locals: `cleanup_free char *name = NULL;`. */
#ifndef VMFS_BASE_CLEANUP_H
#define VMFS_BASE_CLEANUP_H

#include <stdlib.h>

static inline void
cleanup_free_ptr(void *p)
{
	free(*(void **)p);
}

#define cleanup_free __attribute__((cleanup(cleanup_free_ptr)))

/* Hands a cleanup_free local on to a new owner. */
#define take_ptr(p) ({ __typeof__(p) t_ = (p); (p) = NULL; t_; })

#endif
