/* SPDX-License-Identifier: BSD-2-Clause */
/* The client's side of the control protocol (ctl_msg.h). */
#ifndef VMFS_VMFSD_CTL_CLIENT_H
#define VMFS_VMFSD_CTL_CLIENT_H

#include "vmfsd/ctl_msg.h"

/*
 * Sends one request (args is borrowed, may be NULL) and waits for its answer,
 * a new object.  -ECONNREFUSED or -ENOENT: no vmfsd answers on that socket;
 * -EACCES; -VMFS_EPROTO: what came back is no answer.
 */
int ctl_request(const char *socket_path, const char *cmd, json_t *args,
    json_t **ret_answer) MUST_CHECK;

#endif
