/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands on the process itself. */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "vmfsd/cmd.h"
#include "vmfsd/keep.h"
#include "vmfsd/supervise.h"

/* Until the supervisor has looked at the new program. */
#define UPGRADE_WAIT_S (SUPERVISE_CHECK_S + 2)

static int
cmd_daemon_ls(struct daemon *d, json_t *args, json_t **ret_result, char *msg)
{
	char program[PATH_MAX] = "";
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

	(void)args;
	(void)msg;
	program[n < 0 ? 0 : n] = '\0';
	*ret_result = json_pack("{s:[{s:s, s:s, s:i, s:b, s:s}]}", "daemon",
	    "host", d->identity.name, "version", VMFS_VERSION, "pid",
	    (int)getpid(), "supervised", keep_is_worker(), "program", program);
	return 0;
}

/* When all goes well nobody answers: the next process does. */
static int
cmd_daemon_upgrade(struct daemon *d, json_t *args, json_t **ret_result,
    char *msg)
{
	int rc = keep_upgrade();

	(void)d;
	(void)args;
	(void)ret_result;
	if (rc == -EOPNOTSUPP) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "this vmfsd has no "
		    "supervisor that could start another; start it with "
		    "--supervise");
		return rc;
	}
	if (rc < 0)
		return rc;
	(void)sleep(UPGRADE_WAIT_S);
	(void)snprintf(msg, CTL_MESSAGE_SIZE, "the program on the disk does "
	    "not start, or cannot go on with what this one has open; the log "
	    "tells more");
	return -ENOEXEC;
}

const struct command commands_daemon[] = {
	{ "daemon.ls", cmd_daemon_ls },
	{ "daemon.upgrade", cmd_daemon_upgrade },
	{ NULL, NULL },
};
