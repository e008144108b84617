/* SPDX-License-Identifier: BSD-2-Clause */
/* How full a mounted datastore is, for people: on request, and on its own. */
#ifndef VMFS_VMFSD_DS_SPACE_H
#define VMFS_VMFSD_DS_SPACE_H

#include "vmfsd/datastore.h"

/*
 * All run on the owner's fibers.  Starts to look every half a minute; the log
 * hears when a threshold is passed, upwards or downwards.
 */
int ds_space_start(struct datastore *d) MUST_CHECK;
/* Suspends until nobody looks any more. */
void ds_space_stop(struct datastore *d);
/*
 * Looks now, but waits for two seconds at most; d->space has the answer, or
 * what was known before.  Suspends.
 */
void ds_space_ask(struct datastore *d);
/* "ok", "low" (75 % in use), "very low" (90 %), "nearly full" (97 %). */
const char *ds_space_name(const struct datastore *d);

#endif
