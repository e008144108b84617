/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The key files of this host: each file of a directory is one, by its name, of
 * KEY_SECRET_MIN or more random bytes, and for its owner alone to read.  They
 * are read when a disk is opened and not kept.
 */
#ifndef VMFS_VMFSD_KEYRING_H
#define VMFS_VMFSD_KEYRING_H

#include <stdbool.h>

#include "libvmfs/base/keys.h"

#define KEYRING_PATH_SIZE 4096
#define KEYRING_WHY_SIZE 512
#define KEY_ID_TEXT_SIZE (2 * KEY_ID_SIZE + 1)

void key_id_text(const uint8_t id[KEY_ID_SIZE], char buf[KEY_ID_TEXT_SIZE]);

/* All of these block. */

/* The file of that name.  Errors with a sentence in why. */
int keyring_load(const char *host_dir, const char *name,
    struct wrapping_key *ret_k, char why[KEYRING_WHY_SIZE]) MUST_CHECK;
/* -ENOKEY.  name, 256 bytes, is NULL or gets the file's. */
int keyring_find(const char *host_dir, const uint8_t id[KEY_ID_SIZE],
    struct wrapping_key *ret_k, char *name) MUST_CHECK;
/* fn for each file until it returns false; error and why of one that is no
 * key, id else. */
int keyring_each(const char *host_dir, bool (*fn)(void *arg, const char *name,
    const struct wrapping_key *k, const char *why), void *arg) MUST_CHECK;
/*
 * From now on this process leaves no core dump, in which keys would lie.
 */
void keyring_no_dump(void);

#endif
