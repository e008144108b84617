/* SPDX-License-Identifier: BSD-2-Clause */
/* Between lockmgr.c (what to do) and lockrec.c (what a record means). */
#ifndef VMFS_LOCKING_LOCK_INT_H
#define VMFS_LOCKING_LOCK_INT_H

#include "locking/host_int.h"

/*
 * May we take the lock in `mode`?  0; -VMFS_ELOCKED with *ret_holder.
 * Suspends.
 */
int lock_judge(struct host *h, const struct lockrec *rec, enum lock_mode mode,
    struct lock_holder *ret_holder) MUST_CHECK;
/* Makes us a holder: the next version, a fresh nonce. */
void lock_stamp(struct host *h, struct lockrec *rec, enum lock_mode mode);
/* Takes us out; false when we are not a holder. */
bool lock_unstamp(struct host *h, struct lockrec *rec);
/* Calls fn for each holder, also those that are over.  Suspends. */
int lock_each(struct host *h, const struct lockrec *rec,
    void (*fn)(void *arg, const struct lock_holder *one), void *arg)
    MUST_CHECK;
/* Who holds it.  Suspends. */
int lock_describe(struct host *h, const struct lockrec *rec,
    struct lock_holder *ret_holder) MUST_CHECK;

#endif
