/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the log of the daemon goes. */
#ifndef VMFS_VMFSD_LOG_OPEN_H
#define VMFS_VMFSD_LOG_OPEN_H

#include "vmfsd/options.h"

/*
 * To stderr, or appended to the file of the options; says on stderr why not.
 * goes_on: where another process has died; without the file the log goes to
 * stderr, of one in the background to syslog, and says so.
 */
int log_open(const struct options *o, bool goes_on, struct log *ret_log)
    MUST_CHECK;
/* Of a process that has no terminal any more. */
void log_to_syslog(struct log *log);
void log_close(struct log *log);

#endif
