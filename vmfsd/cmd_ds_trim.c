/* SPDX-License-Identifier: BSD-2-Clause */
/* ds.trim: the LUN is told of all that is free, by and by. */
#include <stdio.h>

#include "vmfsd/call.h"
#include "vmfsd/cmd.h"

static int
run_trim(void *arg)
{
	struct datastore *d = arg;

	return ds_trim(d->ds);
}

static int
cmd_ds_trim(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	struct datastore *d;
	int rc = cmd_datastore(dm, args, true, &d, msg);

	(void)ret_result;
	if (rc < 0)
		return rc;
	rc = call_on(d->env.sched, run_trim, d);
	if (rc == -EOPNOTSUPP)
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "datastore '%s' does not "
		    "tell its LUN what is free: the LUN does not say that it "
		    "is thin, or 'unmap' is off; with 'unmap = on' in its "
		    "section of vmfsd.conf, mount it again", d->name);
	else if (rc < 0)
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "the LUN of datastore "
		    "'%s' was not told what is free: %s", d->name,
		    vmfs_strerror(rc));
	else
		log_info(dm->log, "datastore: %s: the LUN is told of all that "
		    "is free", d->name);
	datastore_put(d);
	return rc;
}

const struct command commands_ds_trim[] = {
	{ "ds.trim", cmd_ds_trim },
	{ NULL, NULL },
};
