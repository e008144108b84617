/* SPDX-License-Identifier: BSD-2-Clause */
/* Encrypted disks of a datastore and the key files of this host. */
#ifndef VMFS_VMFSD_DISK_KEY_H
#define VMFS_VMFSD_DISK_KEY_H

#include "vmfsd/cmd_disk.h"

/* Disks of d open by the key files of this host. */
void disk_keys_attach(struct datastore *d);
/* args["key"], the name of a key file: the new disk is encrypted under it; 0
 * when there is no such argument.  Suspends. */
int disk_encrypt(struct fs_call *c, uint64_t ino) MUST_CHECK;
/* Another key is asked for than that of a clone's template. */
bool disk_key_given(const struct fs_call *c);
/* A new disk in dir that shares nothing with the snapshot of `like`, under
 * args["key"] or, when that is "none", clear.  Undone on error.  Suspends. */
int disk_copy(struct fs_call *c, const struct fs_snapshot *from,
    const struct fs_attr *like, uint64_t dir, const char *flat,
    struct fs_attr *ret_a) MUST_CHECK;
/* What disk ls and info tell: "none", or the cipher and the key. */
void disk_key_show(struct fs_call *c, const struct fs_attr *a, json_t *row);

int cmd_disk_rekey(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);

#endif
