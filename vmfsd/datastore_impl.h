/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the list of datastores and their mounting. */
#ifndef VMFS_VMFSD_DATASTORE_IMPL_H
#define VMFS_VMFSD_DATASTORE_IMPL_H

#include "vmfsd/datastore.h"

/* Keeps the struct, locks nothing; NULL when there is no such name. */
struct datastore *datastore_ref(struct datastores *all, const char *name);
/* Finishes unmounting one that was unmounted from outside. */
int datastore_reap(struct datastores *all, const char *name) MUST_CHECK;

#endif
