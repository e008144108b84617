/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket and the commands behind it. */
#ifndef VMFS_VMFSD_CONTROL_H
#define VMFS_VMFSD_CONTROL_H

#include "vmfsd/box.h"
#include "vmfsd/ctl_msg.h"
#include "vmfsd/datastore.h"
#include "vmfsd/exports.h"
#include "vmfsd/task.h"

#define CONTROL_CLIENTS_MAX 64

/* What commands work on: the whole daemon. */
struct daemon {
	struct log *log;
	struct identity identity;
	struct datastores datastores;
	struct exports exports;
	struct box box;
	struct tasks tasks;
	const char *control;		/* path of the socket */
};

/*
 * One command.  Returns 0 with *ret_result (a new object; "api" is added) or
 * a negative error with a sentence in msg (CTL_MESSAGE_SIZE).  Runs on the
 * client's own thread and may block.
 */
struct command {
	const char *name;
	int (*run)(struct daemon *d, json_t *args, json_t **ret_result,
	    char *msg);
};

/* Each table ends with a NULL name. */
extern const struct command commands_host[], commands_path[],
    commands_daemon[];
extern const struct command commands_box[], commands_lun[], commands_stats[];
extern const struct command commands_quota[];
extern const struct command commands_ds[], commands_ds_copy[],
    commands_ds_scrub[], commands_ds_set[], commands_ds_trim[], commands_ds_extent[],
    commands_ds_evacuate[];
extern const struct command commands_disk[], commands_key[], commands_lock[],
    commands_target[], commands_task[];

struct control;
/*
 * Listens on d->control (mode 0600, directory made) and serves each client
 * on a thread.  -EBUSY: another vmfsd answers there; `why` says so.
 */
int control_start(struct daemon *d, struct control **ret_c, char *why)
    MUST_CHECK;
/* No new client; waits for commands under way; removes the socket. */
void control_stop(struct control *c);

#endif
