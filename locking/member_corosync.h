/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Membership hint from corosync: every vmfsd joins one process group and says
 * which host it is; corosync tells who left.  Whether we have the quorum comes
 * from votequorum.  Without corosync, or while it restarts, there is no word.
 */
#ifndef VMFS_LOCKING_MEMBER_COROSYNC_H
#define VMFS_LOCKING_MEMBER_COROSYNC_H

#include "libvmfs/env/env.h"
#include "locking/member.h"

/*
 * On env's thread, which must be a reactor of its own: calls of corosync's
 * libraries may block it for a moment.  Starts connecting, for as long as it
 * takes.  -ENOMEM.
 */
int member_corosync_new(struct env *env, const struct uuid *host,
    struct member **ret_m) MUST_CHECK;
/* Leaves the group.  After env's reactor has ended and nobody asks any more;
 * NULL is fine. */
void member_corosync_free(struct member *m);

#endif
