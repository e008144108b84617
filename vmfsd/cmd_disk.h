/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands on disks, in several files. */
#ifndef VMFS_VMFSD_CMD_DISK_H
#define VMFS_VMFSD_CMD_DISK_H

#include "vmfsd/vdisk.h"

/* Checks the name of a disk to be made and finds its directory. */
int disk_names(struct fs_call *c, const struct cmd_path *p, char *flat,
    size_t size, uint64_t *ret_dir) MUST_CHECK;
/* The same for args["to"], which must be in the same datastore. */
int disk_target(struct fs_call *c, struct cmd_path *ret_p, char *flat,
    size_t size, uint64_t *ret_dir) MUST_CHECK;

/* args["size"] in whole sectors. */
int disk_size_wanted(struct fs_call *c, uint64_t *ret_size) MUST_CHECK;

enum disk_format { DISK_THIN, DISK_ZEROEDTHICK, DISK_EAGERZEROEDTHICK };
/* args["format"], or thin. */
int disk_format_wanted(struct fs_call *c, enum disk_format *ret_f) MUST_CHECK;
/*
 * Gives the disk the space that its format asks for, or takes it; c->holder on
 * -VMFS_ELOCKED.
 */
int disk_format_apply(struct fs_call *c, uint64_t ino, enum disk_format f)
    MUST_CHECK;
/*
 * Refuses what clones of v, or only of one snapshot of it, stand in the way of,
 * and names them; or who else has it.
 */
int disk_clones_refuse(struct fs_call *c, const struct vdisk *v,
    const struct fs_snapshot *s);
/* v loses its name now and its space with the last clone. */
int disk_defer(struct fs_call *c, const struct vdisk *v) MUST_CHECK;
/* Removes those that no clone needs any more. */
void disk_deferred_reap(struct fs_call *c);
/* The snapshot of v with that name, or a sentence. */
int disk_snapshot_find(struct fs_call *c, const struct vdisk *v,
    const char *name, struct fs_snapshot *ret_s) MUST_CHECK;

/* args["iops"], ["bandwidth"] or ["shares"]. */
bool disk_limits_given(const struct fs_call *c);
/* What the arguments say goes into *l. */
int disk_limits_wanted(struct fs_call *c, struct inode_limits *l) MUST_CHECK;
int disk_limits_set(struct fs_call *c, const struct vdisk *v,
    const struct inode_limits *l) MUST_CHECK;
/* iops_limit, bandwidth_limit (bytes a second), shares. */
void disk_limits_show(const struct fs_attr *a, json_t *row);

int cmd_disk_stats(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_attach(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_detach(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_attached(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_handover(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_set(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_inflate(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_convert(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_punch(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_recover(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_resize(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_promote(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_diff(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_export(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg);
int cmd_disk_import(struct daemon *dm, json_t *args, json_t **ret_result,
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
