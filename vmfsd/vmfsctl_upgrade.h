/* SPDX-License-Identifier: BSD-2-Clause */
/* vmfsctl daemon upgrade: the process that is asked does not live to answer. */
#ifndef VMFS_VMFSD_VMFSCTL_UPGRADE_H
#define VMFS_VMFSD_VMFSCTL_UPGRADE_H

#include <jansson.h>

/* The answer of the next process, or the refusal of this one; NULL: nobody
 * answers, and that has been said. */
json_t *upgrade(const char *socket_path);

#endif
