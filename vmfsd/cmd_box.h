/* SPDX-License-Identifier: BSD-2-Clause */
/* What commands that change the storage box share. */
#ifndef VMFS_VMFSD_CMD_BOX_H
#define VMFS_VMFSD_CMD_BOX_H

#include "vmfsd/cmd.h"

/* args[key], of which a line of the file is made; -EINVAL with msg. */
int cmd_box_get(json_t *args, const char *key, const char **ret_s, char *msg)
    MUST_CHECK;
/*
 * box_change with all that is said when it refuses; object and what follows,
 * as for printf, is what is missing then, or there already.
 */
int cmd_box_change(struct daemon *d, json_t *args, const struct conf_edit *e,
    size_t count, char *msg, const char *object, ...) PRINTF_LIKE(6, 7)
    MUST_CHECK;

#endif
