/* SPDX-License-Identifier: BSD-2-Clause */
/* Arguments of commands, paths in datastores, words for refusals. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fuse/refusal.h"
#include "libvmfs/base/units.h"
#include "vmfsd/call.h"
#include "vmfsd/cmd.h"

int
cmd_string(json_t *args, const char *key, const char **ret_s, char *msg)
{
	const char *s = json_string_value(json_object_get(args, key));

	if (s == NULL || *s == '\0') {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "argument '%s' is "
		    "missing", key);
		return -EINVAL;
	}
	*ret_s = s;
	return 0;
}

static int
get_datastore(struct daemon *dm, const char *name, bool need_mounted,
    struct datastore **ret_d, char *msg)
{
	int rc = datastore_get(&dm->datastores, name, need_mounted, ret_d);

	if (rc == -ENOENT)
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "there is no datastore "
		    "'%s'; see vmfsctl ds ls", name);
	else if (rc == -ENODEV)
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "datastore '%s' is not "
		    "mounted; run vmfsctl ds mount %s", name, name);
	return rc;
}

int
cmd_datastore(struct daemon *dm, json_t *args, bool need_mounted,
    struct datastore **ret_d, char *msg)
{
	const char *name;
	int rc = cmd_string(args, "name", &name, msg);

	return rc < 0 ? rc : get_datastore(dm, name, need_mounted, ret_d, msg);
}

int
cmd_answers(struct datastore *d, char *msg)
{
	if (atomic_load(&d->state) != DATASTORE_FROZEN)
		return 0;
	(void)snprintf(msg, CTL_MESSAGE_SIZE, "datastore '%s' waits for its "
	    "LUN; the command would hang", d->name);
	return -EBUSY;
}

void
cmd_wait_for_space(struct datastore *d)
{
	const struct super *s = ds_super(d->ds);

	for (int i = 0; i < CMD_PULSES_MAX && !ds_space_opens(d->ds); i++)
		fiber_sleep(s->timers.pulse_ms * NSEC_PER_MSEC);
}

/* ---- paths ---- */

/* Cuts trailing slashes, splits off the last component. */
static void
split(struct cmd_path *p)
{
	size_t len = strlen(p->path);
	char *slash;

	while (len > 1 && p->path[len - 1] == '/')
		p->path[--len] = '\0';
	(void)snprintf(p->dir, sizeof(p->dir), "%s", p->path);
	slash = strrchr(p->dir, '/');
	(void)snprintf(p->name, sizeof(p->name), "%s",
	    p->path + (slash - p->dir) + 1);
	slash[slash == p->dir ? 1 : 0] = '\0';
}

bool
cmd_is_line(const char *text)
{
	while (*text != '\0' && !iscntrl((unsigned char)*text))
		text++;
	return *text == '\0';
}

int
cmd_path_parse(const char *text, bool snapshot, struct cmd_path *ret_p,
    char *msg)
{
	const char *colon = strchr(text, ':'), *at;
	size_t ds_len = colon != NULL ? (size_t)(colon - text) : 0, len;

	*ret_p = (struct cmd_path){ 0 };
	if (ds_len == 0 || ds_len >= sizeof(ret_p->ds) ||
	    strlen(text) >= sizeof(ret_p->path) - 1) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "'%.200s': expected "
		    "DATASTORE:/PATH%s", text, snapshot ? "[@SNAPSHOT]" : "");
		return -EINVAL;
	}
	memcpy(ret_p->ds, text, ds_len);
	at = snapshot ? strrchr(colon, '@') : NULL;
	if (at != NULL && strchr(at, '/') != NULL)
		at = NULL;
	if (at != NULL && (strlen(at + 1) >= sizeof(ret_p->snapshot) ||
	    at[1] == '\0')) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "'%.200s': the snapshot's "
		    "name behind '@' has 1 to 63 characters", text);
		return -EINVAL;
	}
	if (at != NULL)
		(void)snprintf(ret_p->snapshot, sizeof(ret_p->snapshot), "%s",
		    at + 1);
	colon++;
	len = at != NULL ? (size_t)(at - colon) : strlen(colon);
	(void)snprintf(ret_p->path, sizeof(ret_p->path), "%s%.*s",
	    *colon == '/' ? "" : "/", (int)len, colon);
	split(ret_p);
	return 0;
}

/* ---- fibers of a datastore ---- */

static int
run_fiber(void *arg)
{
	struct fs_call *c = arg;
	int rc = c->run(c);

	if (rc < 0 && c->msg[0] == '\0')
		(void)cmd_refuse(c, rc, c->path.path);
	return rc;
}

int
cmd_fiber(struct fs_call *c, int (*run)(struct fs_call *c))
{
	struct fs_call *call = c;

	call->run = run;
	return call_on(c->d->env.sched, run_fiber, call);
}

static int
call_run(struct fs_call *c, enum task_place place)
{
	int (*run)(struct fs_call *c) = c->run;
	int rc = cmd_answers(c->d, c->msg);

	if (rc < 0)
		return rc;
	rc = place & TASK_THREAD ? run(c) : cmd_fiber(c, run);
	/* On the task's thread. */
	if (rc < 0 && c->msg[0] == '\0')
		(void)cmd_fail(c, rc, "%s: %s", c->path.path,
		    rc == -ECANCELED ? "cancelled" : vmfs_strerror(rc));
	return rc;
}

static int
fs_call(struct fs_call *c, bool snapshot, enum task_place place,
    json_t **ret_result)
{
	const char *text;
	int rc = cmd_string(c->args, "path", &text, c->msg);

	if (rc == 0)
		rc = cmd_path_parse(text, snapshot, &c->path, c->msg);
	if (rc == 0)
		rc = get_datastore(c->dm, c->path.ds, true, &c->d,
		    c->msg);
	if (rc < 0)
		return rc;
	task_on(c->task, c->d);
	rc = call_run(c, place);
	task_on(c->task, NULL);
	datastore_put(c->d);
	if (rc < 0)
		json_decref(c->result);
	else
		*ret_result = c->result;
	return rc;
}

int
cmd_fs(struct daemon *dm, json_t *args, json_t **ret_result, char *msg,
    bool snapshot, int (*run)(struct fs_call *c))
{
	struct fs_call c = {
		.dm = dm, .args = args, .msg = msg, .run = run,
	};

	return fs_call(&c, snapshot, TASK_FIBER, ret_result);
}

int
cmd_fs_task(struct daemon *dm, json_t *args, json_t **ret_result, char *msg,
    enum task_place place, int (*run)(struct fs_call *c), struct task *task)
{
	struct fs_call c = {
		.dm = dm, .args = args, .msg = msg, .run = run, .task = task,
	};

	return fs_call(&c, place & TASK_SNAPSHOT, place, ret_result);
}

int
cmd_fail(struct fs_call *c, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->msg, CTL_MESSAGE_SIZE, fmt, ap);
	va_end(ap);
	return error;
}

/* Is it the quota of this directory that has no more space? */
static bool
quota_is_full(struct fs_call *c, const char *dir)
{
	struct fs_statfs here, all;
	struct fs_attr a;

	return fs_resolve(c->d->fs, dir, &a) == 0 && a.account != 0 &&
	    fs_statfs(c->d->fs, a.ino, &here) == 0 &&
	    fs_statfs(c->d->fs, 0, &all) == 0 &&
	    here.free_bytes < all.free_bytes;
}

static int
refuse_space(struct fs_call *c, int error, const char *object)
{
	const char *text = json_string_value(json_object_get(c->args, "to"));
	char unused[CTL_MESSAGE_SIZE];
	struct cmd_path to = c->path;

	/* What is new may lie elsewhere. */
	if (text != NULL && cmd_path_parse(text, false, &to, unused) < 0)
		to = c->path;
	if (quota_is_full(c, to.dir))
		return cmd_fail(c, error, "%s: the quota of directory %s has "
		    "not so much left; see vmfsctl quota ls %s:%s", object,
		    to.dir, c->d->name, to.dir);
	return cmd_fail(c, error, "datastore '%s' is full; delete disks or "
	    "snapshots, or make it larger (%s)", c->d->name, object);
}

int
cmd_refuse(struct fs_call *c, int error, const char *object)
{
	char text[REFUSAL_SIZE];

	switch (error) {
	case -VMFS_ELOCKED:
		return cmd_fail(c, error, "%s", refusal_text(object, &c->holder,
		    &c->d->super.timers, text));
	case -ENOENT:
		return cmd_fail(c, error, "%s: no such file in datastore '%s'",
		    object, c->d->name);
	case -EEXIST:
		return cmd_fail(c, error, "%s exists already", object);
	case -ECANCELED:
		return cmd_fail(c, error, "%s: cancelled", object);
	case -ENOSPC:
		return refuse_space(c, error, object);
	case -VMFS_EINUSE:
		return cmd_fail(c, error, "%s: a host of datastore '%s' has not "
		    "seen the last change of the superblock yet; see vmfsctl "
		    "host ls, and try again", object, c->d->name);
	case -EXDEV:
		return cmd_fail(c, error, "%s: what is in a directory with a "
		    "quota stays there, and nothing else comes in; copy it by "
		    "vmfsctl disk clone --full, then remove this one", object);
	case -ENOKEY:
		return cmd_fail(c, error, "%s is encrypted, and its key is not "
		    "in %s/keys; vmfsctl disk info tells the key's id, vmfsctl "
		    "key ls those of this host", object, c->d->all->dir);
	case -EKEYREJECTED:
		return cmd_fail(c, error, "%s is encrypted, and its key does "
		    "not fit: the inode is damaged", object);
	case -VMFS_EFENCED:
		return cmd_fail(c, error, "this host was fenced from datastore "
		    "'%s': %s; run vmfsctl ds unmount --force and ds mount",
		    c->d->name, c->d->why);
	case -VMFS_ECORRUPT:
		return cmd_fail(c, error, "%s: damaged metadata; run fsck.vmfs "
		    "on the LUN when no host has it mounted", object);
	default:
		return cmd_fail(c, error, "%s: %s", object,
		    vmfs_strerror(error));
	}
}

int
cmd_resolve(struct fs_call *c, const char *path, struct fs_attr *ret_a)
{
	int rc = fs_resolve(c->d->fs, path, ret_a);

	return rc < 0 ? cmd_refuse(c, rc, path) : 0;
}

json_t *
cmd_holder_json(const struct lock_holder *h)
{
	if (h->mode == LOCK_FREE)
		return json_pack("{s:s}", "mode", "free");
	return json_pack("{s:s, s:s, s:s*, s:s, s:i, s:i, s:I, s:I, s:I, s:I}",
	    "mode", refusal_mode_name(h->mode), "host", h->name,
	    "handed_over_by", h->from[0] != '\0' ? h->from : NULL,
	    "state", refusal_state_name(h->state), "slot", (int)h->slot,
	    "holders", (int)h->count,
	    "incarnation", (json_int_t)h->incarnation,
	    "since_us", (json_int_t)h->since_us,
	    "silent_ms", (json_int_t)h->silent_ms,
	    "fence_in_ms", (json_int_t)h->fence_in_ms);
}
