/* SPDX-License-Identifier: BSD-2-Clause */
/* What the network says about hosts, on a reactor of its own. */
#ifndef VMFS_VMFSD_MEMBERSHIP_H
#define VMFS_VMFSD_MEMBERSHIP_H

#include "libvmfs/env/env.h"
#include "libvmfs/env/reactor.h"
#include "locking/member.h"

struct membership {
	struct reactor *reactor;	/* NULL: the network is not used */
	struct env env;
	const struct uuid *host;
	struct member *member;		/* for host_conf; NULL likewise */
};

/* Connects to corosync, now or when it comes up.  `host` is the caller's. */
int membership_start(struct membership *m, const struct uuid *host,
    struct log *log) MUST_CHECK;
/* When no datastore is mounted any more; harmless when not started. */
void membership_stop(struct membership *m);

#endif
