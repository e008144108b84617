/* SPDX-License-Identifier: BSD-2-Clause */
/* Files on a datastore in memory; fiber context. */
#ifndef TESTS_UNIT_CORE_FS_RIG_H
#define TESTS_UNIT_CORE_FS_RIG_H

#include "libvmfs/base/units.h"
#include "libvmfs/core/fs.h"
#include "tests/unit/core_fixture.h"

struct rig {
	struct fixture f;
	struct fs *fs;
	uint64_t root;
};

/* Runs fn in a fiber over a new datastore of `size` bytes. */
void rig_run(uint64_t size, void (*fn)(struct rig *r));
void rig_mount(struct rig *r);
/* fsck must find nothing afterwards. */
void rig_umount(struct rig *r);
void rig_check(struct rig *r);
void rig_remount(struct rig *r);
/* Inode number of a new file or disk in the root. */
uint64_t rig_create(struct rig *r, const char *name, enum inode_type type,
    uint64_t size);
struct fs_file *rig_open(struct rig *r, uint64_t ino, unsigned flags);
void rig_close(struct fs_file *f);
void rig_unlink(struct rig *r, const char *name);
/* Writes len bytes of value v; checks that they read so. */
void rig_fill(struct fs_file *f, uint64_t off, size_t len, uint8_t v);
/* Writes from that MiB on until there is no space, each MiB its own value; how
 * many were taken. */
unsigned rig_fill_up(struct fs_file *f, unsigned from);
void rig_expect(struct fs_file *f, uint64_t off, size_t len, uint8_t v);
/* As another thread does it, past the owner; false: it was not done. */
bool rig_fast_read(struct fs_file *f, uint64_t off, size_t len);
bool rig_fast_write(struct fs_file *f, uint64_t off, size_t len, uint8_t v);
uint64_t rig_free_bytes(struct rig *r);

extern struct wrapping_key rig_key[2];
/* The mounted file system knows those whose bits are set. */
void rig_keys(struct fs *fs, unsigned which);

#endif
