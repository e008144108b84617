/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Places of a table that all users of a host have in common, of which none may
 * take all: when half of them are taken, one who is not root gets another only
 * while more are free than he has, beside a part that is kept for root.  So the
 * first who wants all gets half, and the next one half of what is left.
 */
#ifndef VMFS_FUSE_SHARE_H
#define VMFS_FUSE_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "libvmfs/base/err.h"

/* For root: one of so many. */
#define SHARE_ROOT 16u
/* Whose a place is that is free, or that a dead process has left. */
#define SHARE_NOBODY UINT32_MAX

struct share {
	uint32_t *uid;		/* of each place */
	uint32_t count, taken;
	bool refused, told;
};

/* Who has `own` of `count` places may have one of the last half, of which `left`
 * are free. */
bool share_fits(uint32_t count, uint32_t left, uint32_t own, uint32_t uid);
/* -ENOMEM. */
int share_init(struct share *s, uint32_t count) MUST_CHECK;
void share_fini(struct share *s);
/* May he have one more?  That he may not is remembered for share_is_news. */
bool share_allows(struct share *s, uint32_t uid);
/* `place`, below count, is free, and is his from now on; and the reverse. */
void share_take(struct share *s, uint32_t place, uint32_t uid);
void share_give(struct share *s, uint32_t place);
/* So many has a user. */
uint32_t share_of(const struct share *s, uint32_t uid);
/* Somebody was refused: true once, until less than half are taken again. */
bool share_is_news(struct share *s);

#endif
