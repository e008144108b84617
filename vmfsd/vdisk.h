/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual disk as admins see it: the descriptor `vm.vmdk` and its flat
 * extent `vm-flat.vmdk` as one thing (F11).  Fiber context; all suspend.
 */
#ifndef VMFS_VMFSD_VDISK_H
#define VMFS_VMFSD_VDISK_H

#include "vmfsd/cmd.h"

struct vdisk {
	uint64_t dir;			/* directory of both */
	char descriptor[256];		/* file name, "" when there is none */
	char flat[256];			/* file name of the extent */
	struct fs_attr attr;		/* of the extent */
};

bool vdisk_is_flat(const char *name);
/* "vm-flat.vmdk" -> "vm.vmdk"; false when name has not that form. */
bool vdisk_descriptor_name(const char *flat, char *buf, size_t size);
/* The disk that c->path names by descriptor, extent or plain file. */
int vdisk_find(struct fs_call *c, const char *path, struct vdisk *ret_v)
    MUST_CHECK;
/*
 * What takes long to make has no name meanwhile, so that a crash leaves nothing
 * of it: an extent for dir, under args["key"]; or one that was made so; and
 * its name, before fs_file_close, which without one removes it.
 */
int vdisk_make(struct fs_call *c, uint64_t dir, uint64_t size,
    const struct fs_attr *like, struct fs_file **ret_f) MUST_CHECK;
int vdisk_open(struct fs_call *c, const struct fs_attr *a,
    struct fs_file **ret_f) MUST_CHECK;
int vdisk_show(struct fs_call *c, struct fs_file *f, uint64_t dir,
    const char *flat) MUST_CHECK;
/*
 * Makes descriptor `name` in dir for the extent `ino`, called `flat`, of that
 * size.  It has a copy of the key of an encrypted one, wrapped as in the inode.
 */
int vdisk_write_descriptor(struct fs_call *c, uint64_t dir, const char *name,
    uint64_t ino, const char *flat, uint64_t size, const struct fs_attr *like)
    MUST_CHECK;
/* Makes a new descriptor beside v's, if that has one ... */
int vdisk_new_descriptor(struct fs_call *c, const struct vdisk *v,
    uint64_t size) MUST_CHECK;
/* ... that takes its place when rc is 0, else goes.  Returns rc or an error. */
int vdisk_use_descriptor(struct fs_call *c, const struct vdisk *v, int rc)
    MUST_CHECK;
/* What the descriptor of v says: its size and key; cipher 0: none.  -ENOENT. */
int vdisk_read_descriptor(struct fs_call *c, const struct vdisk *v,
    uint64_t *ret_size, struct inode_crypt *ret_key) MUST_CHECK;

#endif
