/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * State of units that outlives the target, reservations and SANITIZE under
 * way: a file for each.
 */
#ifndef VMFS_VMFSD_PR_STORE_H
#define VMFS_VMFSD_PR_STORE_H

#include <limits.h>
#include <stddef.h>

#include "libvmfs/base/uuid.h"

#define PR_STORE_MAX ((size_t)1 << 20)	/* bytes of an image */

struct pr_store {
	char path[PATH_MAX];	/* DIR/KIND-UUID */
};

/*
 * Reads what was saved last; *ret_image is the caller's to free, NULL when
 * there is nothing.  -EFBIG: no image is so long.
 */
int pr_store_open(struct pr_store *s, const char *dir, const char *kind,
    const struct uuid *unit, void **ret_image, size_t *ret_len) MUST_CHECK;
/* For scsi_lu_conf.pr_save, .sanitize_save; arg is the store.  Suspends. */
int pr_store_save(void *arg, const void *image, size_t len);

#endif
