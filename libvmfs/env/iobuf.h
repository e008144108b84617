/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Buffers for data on its way: aligned to 4 KiB, not zeroed.  Each reactor's
 * thread keeps some that were given back, because fresh memory costs a page
 * fault each 4 KiB, more than the data's own copy.  Those of 64 KiB to 1 MiB lie
 * in huge pages (hugepage.h), up to 64 MiB of a process.
 */
#ifndef VMFS_ENV_IOBUF_H
#define VMFS_ENV_IOBUF_H

#include <stddef.h>

/* The bytes that iobuf_get gives for `len`. */
size_t iobuf_size(size_t len);
/* At least `len` bytes, len > 0; their number in *ret_size.  NULL: no memory,
 * or more than half of the address space. */
void *iobuf_get(size_t len, size_t *ret_size);
/* Any thread; `size` as iobuf_get told it.  NULL is fine. */
void iobuf_put(void *buf, size_t size);

/* ---- for the reactor ---- */

/* From now on, this thread keeps buffers; and no more, and frees them. */
void iobuf_thread_begin(void);
void iobuf_thread_end(void);

#endif
