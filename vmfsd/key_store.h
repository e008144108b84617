/* SPDX-License-Identifier: BSD-2-Clause */
/* The key of an encrypted LUN: a file in the host's directory. */
#ifndef VMFS_VMFSD_KEY_STORE_H
#define VMFS_VMFSD_KEY_STORE_H

#include <stdint.h>

#include "iscsi/disk_crypt.h"
#include "vmfsd/pr_store.h"

/*
 * Reads the key of the unit.  -ENOKEY where there is none, -VMFS_ECORRUPT for a
 * file that holds none.
 */
int key_store_open(struct pr_store *s, const char *dir,
    const struct uuid *unit, uint8_t ret_key[DISK_CRYPT_KEY_SIZE]) MUST_CHECK;
/* Then makes one, which is durable when this returns 0.  Suspends. */
int key_store_make(struct pr_store *s, struct env *env,
    uint8_t ret_key[DISK_CRYPT_KEY_SIZE]) MUST_CHECK;
/* For disk_crypt_conf.save; arg is the store.  The file of the key before is
 * written over, then removed.  Suspends. */
int key_store_save(void *arg, const void *key, size_t len);

#endif
