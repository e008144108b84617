/* SPDX-License-Identifier: BSD-2-Clause */
/* Between lockmgr.c (what to do) and lockrec.c (what a record means). */
#ifndef VMFS_LOCKING_LOCK_INT_H
#define VMFS_LOCKING_LOCK_INT_H

#include "locking/host_int.h"

/* The record at addr, which c is of.  Suspends. */
int lock_load(struct host *h, struct caw *c, uint64_t addr,
    struct lockrec *ret_rec) MUST_CHECK;
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

/* A fiber of ours takes the lock or gives it back. */
bool lock_busy(struct host *h, uint64_t addr);
/* Our offer of it, which is not busy, becomes free; meanwhile it is busy.
 * 0 also when it is not on the LUN any more.  Suspends. */
int lock_take_back(struct host *h, uint64_t addr) MUST_CHECK;

/* The slot of another host that has this mounted; -ENOENT, -EBUSY with a
 * sentence.  Suspends. */
int admin_member(struct host *h, const char *name, unsigned *ret_slot,
    char *why) MUST_CHECK;

/* ---- handover.c; between two calls for one lock it is held or given back ---- */

/* An offer of ours whose time is up, or that nobody remembers, becomes free. */
bool handover_withdraw(struct host *h, struct lockrec *rec);
/* What becomes free is offered to the heir, if there is one. */
void handover_offer(struct host *h, struct lockrec *rec);
/* That is on the LUN, but nobody wants it to be there any more. */
bool handover_ended(struct host *h, const struct lockrec *rec);
/* We have given it back, to whom the record says. */
void handover_given(struct host *h, const struct lockrec *rec);
/* We have it again. */
void handover_over(struct host *h, uint64_t addr);
/* Takes back what was offered for too long.  Suspends. */
void handover_tidy(struct host *h);
void handover_fini(struct host *h);

#endif
