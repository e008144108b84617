/* SPDX-License-Identifier: BSD-2-Clause */
/* Who this host is: lasting UUID in a directory that one vmfsd owns. */
#ifndef VMFS_VMFSD_IDENTITY_H
#define VMFS_VMFSD_IDENTITY_H

#include "libvmfs/base/uuid.h"
#include "libvmfs/env/env.h"

#define IDENTITY_WHY_SIZE 512

struct identity {
	char name[64];		/* of the host, for people */
	struct uuid host;	/* made once, kept in DIR/host-uuid */
	struct uuid machine;	/* /etc/machine-id */
	struct uuid boot;	/* /proc/sys/kernel/random/boot_id */
	int lock_fd;		/* DIR/lock, held until identity_close */
	uint64_t home;		/* names DIR/lock and the boot; not 0 */
	uint64_t process;	/* random; not 0 */
};

/*
 * Makes dir when it is missing and locks it against a second vmfsd: -EBUSY.
 * On failure `why` is the sentence for the admin.
 */
int identity_open(struct env *env, const char *dir, const char *name,
    struct identity *ret_id, char why[IDENTITY_WHY_SIZE]) MUST_CHECK;
void identity_close(struct identity *id);

#endif
