/* SPDX-License-Identifier: BSD-2-Clause */
/* What the command tables share: arguments, paths, refusals. */
#ifndef VMFS_VMFSD_CMD_H
#define VMFS_VMFSD_CMD_H

#include "vmfsd/control.h"

/* args[key] as a non-empty string, or -EINVAL with msg. */
int cmd_string(json_t *args, const char *key, const char **ret_s, char *msg)
    MUST_CHECK;
/* The datastore that args["name"] says, locked as by datastore_get, or msg. */
int cmd_datastore(struct daemon *dm, json_t *args, bool need_mounted,
    struct datastore **ret_d, char *msg) MUST_CHECK;
/* -EBUSY with msg while its I/O waits for the LUN. */
int cmd_answers(struct datastore *d, char *msg) MUST_CHECK;
/* The others look once a pulse. */
#define CMD_PULSES_MAX 5
/* That long, or until new space is used: all hosts have to know it.  On its
 * owner, suspends. */
void cmd_wait_for_space(struct datastore *d);
/* Of all LUNs that are there.  On its owner. */
uint64_t cmd_lun_bytes(const struct datastore *d);

/* "DS:/dir/name" taken apart. */
struct cmd_path {
	char ds[64];
	char path[4096];	/* absolute in the datastore */
	char dir[4096];		/* of path; "/" at least */
	char name[256];		/* last component, "" for the root */
	char snapshot[64];	/* after '@', "" when there is none */
};
/* With a snapshot part only when `snapshot`.  -EINVAL with msg. */
int cmd_path_parse(const char *text, bool snapshot, struct cmd_path *ret_p,
    char *msg) MUST_CHECK;

/* A command that runs as a fiber of a datastore. */
struct fs_call {
	struct daemon *dm;
	struct datastore *d;
	json_t *args;
	json_t *result;
	struct cmd_path path;
	struct lock_holder holder;
	char *msg;
	struct task *task;	/* for task_step; NULL: none */
	int (*run)(struct fs_call *c);
};
/*
 * Parses args["path"], locks the datastore, runs c->run as a fiber and fills
 * msg by its error and holder when run left it empty.
 */
int cmd_fs(struct daemon *dm, json_t *args, json_t **ret_result, char *msg,
    bool snapshot, int (*run)(struct fs_call *c)) MUST_CHECK;
/* The same with a task. */
int cmd_fs_task(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg, enum task_place place, int (*run)(struct fs_call *c),
    struct task *task) MUST_CHECK;
/* run on a fiber of c's datastore, for one that is on a thread. */
int cmd_fiber(struct fs_call *c, int (*run)(struct fs_call *c)) MUST_CHECK;
/* printf into c->msg; returns error. */
int cmd_fail(struct fs_call *c, int error, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* One refusal or error in words; returns error.  On a fiber; may suspend. */
int cmd_refuse(struct fs_call *c, int error, const char *object);
/* Has the text no control characters?  For names that are shown in lines. */
bool cmd_is_line(const char *text);
/* Attributes of the path or of its directory. */
int cmd_resolve(struct fs_call *c, const char *path, struct fs_attr *ret_a)
    MUST_CHECK;
/* Holder as an object for --json. */
json_t *cmd_holder_json(const struct lock_holder *h);

#endif
