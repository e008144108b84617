/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control protocol: one JSON object a line over a unix socket.
 *
 *	request   {"cmd": "ds.ls", "args": {...}}
 *	answer    {"ok": true, "result": {"api": 1, ...}}
 *	          {"ok": false, "error": CODE, "message": sentence}
 *
 * A connection may carry any number of requests, one after the other.
 */
#ifndef VMFS_VMFSD_CTL_MSG_H
#define VMFS_VMFSD_CTL_MSG_H

#include <jansson.h>

#include "libvmfs/base/err.h"

#define CTL_SOCKET_DEFAULT "/run/vmfsd/control.sock"
#define CTL_LINE_MAX (1u << 20)	/* bytes of a request */
#define CTL_API 1
#define CTL_MESSAGE_SIZE 1024

/* Exit statuses of vmfsctl; the same numbers for every command. */
enum ctl_exit {
	CTL_EXIT_OK = 0,
	CTL_EXIT_FAILED = 1,
	CTL_EXIT_USAGE = 2,
	CTL_EXIT_NOT_FOUND = 3,
	CTL_EXIT_LOCKED = 4,	/* locked, busy, or refused because of it */
	CTL_EXIT_DEGRADED = 6,	/* it worked, but something is not well */
};

/*
 * A message as a string of JSON, which takes nothing but UTF-8: what was cut
 * within a character, or is the name of a file in another encoding, has '?'.
 */
json_t *ctl_text(const char *text);
/* The objects of an array in the order of a text that each has. */
void ctl_sort(json_t *rows, const char *key);
/* CODE of an answer for a negative error: "not-found", "locked", ... */
const char *ctl_error_code(int error);
/* Exit status for a CODE; CTL_EXIT_FAILED for unknown ones. */
enum ctl_exit ctl_exit_of(const char *code);

#endif
