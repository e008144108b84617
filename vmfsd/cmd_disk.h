/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands on disks, in three files. */
#ifndef VMFS_VMFSD_CMD_DISK_H
#define VMFS_VMFSD_CMD_DISK_H

#include "vmfsd/vdisk.h"

/* Checks the name of a disk to be made and finds its directory. */
int disk_names(struct fs_call *c, const struct cmd_path *p, char *flat,
    size_t size, uint64_t *ret_dir) MUST_CHECK;
/* The same for args["to"], which must be in the same datastore. */
int disk_target(struct fs_call *c, struct cmd_path *ret_p, char *flat,
    size_t size, uint64_t *ret_dir) MUST_CHECK;

/* Allocates and zeroes what a thin disk has not; c->holder on -VMFS_ELOCKED. */
int disk_inflate(struct fs_call *c, uint64_t ino) MUST_CHECK;

int cmd_disk_attach(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_detach(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_attached(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_set(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_inflate(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_snapshot(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_snapshots(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_revert(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_clone(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_rm_snapshot(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);

#endif
