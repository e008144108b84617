/* SPDX-License-Identifier: BSD-2-Clause */
/* What vmfsctl tells of a LUN of the target. */
#ifndef VMFS_VMFSD_LUN_ROW_H
#define VMFS_VMFSD_LUN_ROW_H

#include <jansson.h>

#include "vmfsd/exports.h"

/*
 * LUN l of target iqn for lists, as a new object; x NULL: a virtual disk that
 * could not be opened as yet.  On the target's reactor.
 */
json_t *lun_row(const char *iqn, const struct conf_lun *l,
    const struct export_lun *x);
/* The same with all that is known. */
json_t *lun_record(const char *iqn, const struct conf_lun *l,
    const struct export_lun *x);

#endif
