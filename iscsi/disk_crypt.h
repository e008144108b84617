/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk encrypted on another one: AES-256-XTS (IEEE 1619) by sectors of 512
 * bytes, the sector's number as tweak.  Who forgets the key erases the disk.
 *
 * A sector of zeroes is stored as zeroes, so that holes stay holes and what is
 * not allocated reads zeroes: who sees the disk below sees which sectors are
 * empty.  XTS does not notice changed sectors, and the same content written to
 * a sector again looks the same.
 */
#ifndef VMFS_ISCSI_DISK_CRYPT_H
#define VMFS_ISCSI_DISK_CRYPT_H

#include <stdint.h>

#include "libvmfs/base/err.h"
#include "libvmfs/env/disk.h"
#include "libvmfs/env/env.h"

#define DISK_CRYPT_KEY_SIZE 64U

struct disk_crypt_conf {
	const uint8_t *key;	/* DISK_CRYPT_KEY_SIZE bytes, copied */
	/*
	 * Keeps a new key in place of the one before, of which nothing is left
	 * when it returns 0.  Suspends.  NULL: the key cannot be changed.
	 */
	int (*save)(void *arg, const void *key, size_t len);
	void *save_arg;
};

/*
 * Random bytes for a key are `env`'s.  -EOPNOTSUPP when libcrypto has no such
 * cipher, -EINVAL for two equal halves of the key; owns `below` when it
 * returns 0.
 */
int disk_crypt_open(struct env *env, struct disk *below,
    const struct disk_crypt_conf *conf, struct disk **ret_d) MUST_CHECK;

#endif
