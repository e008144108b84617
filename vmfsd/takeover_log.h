/* SPDX-License-Identifier: BSD-2-Clause */
/* Reports of take-overs as JSON, and the file that keeps them. */
#ifndef VMFS_VMFSD_TAKEOVER_LOG_H
#define VMFS_VMFSD_TAKEOVER_LOG_H

#include <jansson.h>

#include "locking/host.h"

/* A new object; NULL when memory is short. */
json_t *takeover_json(const struct takeover_report *r);
/*
 * Appends a line to DIR/takeovers.json; when that has grown large it becomes
 * DIR/takeovers.json.old first.  0, or an errno that is not worth more than a
 * line in the log.
 */
int takeover_log_append(const char *dir, const char *datastore,
    const struct takeover_report *r) MUST_CHECK;

#endif
