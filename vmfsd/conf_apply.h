/* SPDX-License-Identifier: BSD-2-Clause */
/* Carries out what differs between configurations, while the target runs. */
#ifndef VMFS_VMFSD_CONF_APPLY_H
#define VMFS_VMFSD_CONF_APPLY_H

#include "vmfsd/conf_diff.h"
#include "vmfsd/exports.h"

/*
 * Carries out each change of c, which leads from e->conf to `next`, and notes
 * in it what became of it; what was done is part of e->conf then, and strings
 * of next have moved there.  force: although initiators lose what they use.
 * dry: only what can be refused before anything is done is noted.  Blocks.
 * Returns how many failed, or negative when nothing could be tried, with
 * e->why.
 */
int conf_apply(struct exports *e, struct conf *next, struct conf_changes *c,
    bool force, bool dry) MUST_CHECK;

#endif
