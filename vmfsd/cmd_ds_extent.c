/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands on the LUNs of a datastore. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "iscsi/disk_libiscsi.h"
#include "libvmfs/base/lun_text.h"
#include "libvmfs/base/units.h"
#include "libvmfs/core/extents.h"
#include "mkfs/probe.h"
#include "vmfsd/call.h"
#include "vmfsd/cmd.h"

struct extent_call {
	struct datastore *d;
	const char *lun;
	bool force;
	char *msg;
	char why[LOCKOPS_WHY];
	struct lock_holder holder;
	json_t *rows;
};

static int say(struct extent_call *c, int error, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static int
say(struct extent_call *c, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->msg, CTL_MESSAGE_SIZE, fmt, ap);
	va_end(ap);
	return error;
}

/* ---- adding ---- */

static int
refused(struct extent_call *c, int error)
{
	char name[LUN_TEXT_SIZE];
	const char *ds = c->d->name, *lun = lun_text(c->lun, name);

	switch (error) {
	case -VMFS_EINUSE:
		return say(c, error, "a host has not yet taken note of the "
		    "last change of datastore '%s'; see vmfsctl host ls %s, "
		    "and try again when all of them are alive and have all "
		    "its LUNs", ds, ds);
	case -VMFS_ELOCKED:
		return say(c, error, "host '%s' holds the lock of the root "
		    "directory of datastore '%s'; try again in a moment",
		    c->holder.name, ds);
	case -VMFS_ELIMIT:
		return say(c, error, "datastore '%s' has %u LUNs already, or "
		    "its superblock has no room for one more time of growing",
		    ds, SUPER_EXTENTS_MAX);
	case -ENOSPC:
		return say(c, error, "'%s' is too small: an extent needs "
		    "17 MiB at least", lun);
	case -EEXIST:
		return say(c, error, "'%s' is a LUN of datastore '%s' already",
		    lun, ds);
	case -EROFS:
		if (c->why[0] == '\0')
			return say(c, error, "datastore '%s' is mounted "
			    "read-only", ds);
		break;
	default:
		break;
	}
	return say(c, error, "'%s' was not added to datastore '%s': %s", lun,
	    ds, c->why[0] != '\0' ? c->why : vmfs_strerror(error));
}

static int
check_extent(struct extent_call *c, struct disk *lun)
{
	const struct super *s = ds_super(c->d->ds);
	char name[LUN_TEXT_SIZE];
	struct extent_info e;
	int rc = extent_read(lun, &e);

	if (rc == -VMFS_ENOTVMFS)
		return 0;
	if (rc < 0 && rc != -VMFS_ECORRUPT)
		return rc;
	for (unsigned i = 1; rc == 0 && i < s->extents; i++)
		if (uuid_equal(&s->extent[i].uuid, &e.uuid))
			return say(c, -EEXIST, "'%s' is extent %u of datastore "
			    "'%s' already", lun_text(c->lun, name), i,
			    c->d->name);
	/* What a crash has left of an attempt is nobody's. */
	if (c->force || (rc == 0 && uuid_equal(&e.volume, &s->uuid)))
		return 0;
	return say(c, -EEXIST, "'%s' is a LUN of datastore '%s'; --force "
	    "takes it away from there, with all that lies on it",
	    lun_text(c->lun, name), rc == 0 ? e.label : "(damaged)");
}

static int
check_content(struct extent_call *c, struct disk *lun)
{
	char name[LUN_TEXT_SIZE];
	const char *what = NULL;
	struct super old = { 0 };
	int rc = check_extent(c, lun);

	if (rc < 0)
		return rc;
	rc = super_read(lun, &old);
	if (rc == 0 && (!c->force || uuid_equal(&old.uuid,
	    &ds_super(c->d->ds)->uuid)))
		return say(c, -EEXIST, "'%s' carries the datastore '%s'%s",
		    lun_text(c->lun, name), old.label, uuid_equal(&old.uuid,
		    &ds_super(c->d->ds)->uuid) ? "" : "; --force destroys it "
		    "and all disks on it");
	if (c->force || rc == -VMFS_EFURTHER)
		return 0;
	rc = probe_disk(lun, &what);
	if (rc < 0)
		return say(c, rc, "cannot read '%s': %s",
		    lun_text(c->lun, name), vmfs_strerror(rc));
	if (what != NULL)
		return say(c, -EEXIST, "'%s' carries something already: %s; "
		    "--force destroys it", lun_text(c->lun, name), what);
	return 0;
}

static int
open_checked(struct extent_call *c, struct disk **ret_lun)
{
	struct disk_libiscsi_conf conf = { .initiator = c->d->all->initiator };
	struct disk *lun;
	int rc = lun_open(&c->d->env, c->lun, 0, &conf, &lun);

	if (rc < 0) {
		(void)lun_open_text(c->lun, rc, c->msg, CTL_MESSAGE_SIZE);
		return rc;
	}
	rc = check_content(c, lun);
	if (rc < 0) {
		disk_close(lun);
		return rc;
	}
	*ret_lun = lun;
	return 0;
}

static int
add_once(struct extent_call *c)
{
	char place[LUN_TEXT_SIZE];
	struct disk *lun;
	int rc;

	c->msg[0] = c->why[0] = '\0';
	rc = open_checked(c, &lun);
	if (rc == 0)
		rc = fs_extent_add(c->d->fs, lun, lun_text(c->lun, place),
		    c->why, &c->holder);
	return rc;
}

static int
run_add(void *arg)
{
	struct extent_call *c = arg;
	const struct super *s = ds_super(c->d->ds);
	int rc = add_once(c);

	for (int i = 0; i < CMD_PULSES_MAX && rc == -VMFS_EINUSE; i++) {
		fiber_sleep(s->timers.pulse_ms * NSEC_PER_MSEC);
		rc = add_once(c);
	}
	if (rc == 0)
		cmd_wait_for_space(c->d);
	return rc < 0 && c->msg[0] == '\0' ? refused(c, rc) : rc;
}

/* ---- ls ---- */

static void
add_row(struct extent_call *c, const struct super *s, unsigned i)
{
	const struct super_extent *e = &s->extent[i];
	struct datastore *d = c->d;
	char uuid[UUID_TEXT_SIZE], name[LUN_TEXT_SIZE];
	struct disk *lun = extents_lun(d->disk, &e->uuid);
	bool here = i == 0 || extents_has(d->disk, &e->uuid);
	struct extent_info note = { .place = "" };
	uint64_t used = 0;
	json_t *row;

	if (i == 0)
		(void)snprintf(note.place, sizeof(note.place), "%s",
		    lun_text(d->lun, name));
	else if (here)
		(void)snprintf(note.place, sizeof(note.place), "%s",
		    lun->info.name);
	else if (extent_note_read(d->disk, s, i, &note) < 0)
		note.place[0] = '\0';
	if (here && ds_extent_used(d->ds, i, &used) < 0)
		used = 0;
	row = json_pack("{s:i, s:s, s:I, s:s, s:s}", "extent", (int)i,
	    "uuid", uuid_text(&e->uuid, uuid), "size",
	    (json_int_t)(e->blocks << BLOCK_SHIFT), "status", !here ?
	    "missing" : (e->flags & EXTENT_LEAVING) != 0 ? "leaving" : "ok",
	    "lun", note.place);
	if (here)
		(void)json_object_set_new(row, "used",
		    json_integer((json_int_t)used));
	(void)json_array_append_new(c->rows, row);
}

static int
run_ls(void *arg)
{
	struct extent_call *c = arg;
	const struct super *s = ds_super(c->d->ds);

	for (unsigned i = 0; i < s->extents; i++)
		add_row(c, s, i);
	return 0;
}

/* ---- commands ---- */

static int
on_owner(struct daemon *dm, json_t *args, struct extent_call *c, char *msg,
    int (*run)(void *arg))
{
	int rc = cmd_datastore(dm, args, true, &c->d, msg);

	if (rc < 0)
		return rc;
	c->msg = msg;
	rc = call_on(c->d->env.sched, run, c);
	datastore_put(c->d);
	return rc;
}

static int
cmd_extent_add(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	struct extent_call c = { .lun = NULL };
	char name[LUN_TEXT_SIZE];
	int rc = cmd_string(args, "lun", &c.lun, msg);

	(void)ret_result;
	if (rc < 0)
		return rc;
	if (c.lun[0] != '/' && strncmp(c.lun, "iscsi://", 8) != 0) {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "LUN '%s': expected an "
		    "absolute path or an iscsi:// URL", c.lun);
		return -EINVAL;
	}
	c.force = json_is_true(json_object_get(args, "force"));
	rc = on_owner(dm, args, &c, msg, run_add);
	if (rc == 0)
		log_info(dm->log, "datastore: %s: got the LUN %s",
		    json_string_value(json_object_get(args, "name")),
		    lun_text(c.lun, name));
	return rc;
}

static int
cmd_extent_ls(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	struct extent_call c = { .rows = json_array() };
	int rc = on_owner(dm, args, &c, msg, run_ls);

	if (rc < 0) {
		json_decref(c.rows);
		return rc;
	}
	*ret_result = json_pack("{s:o}", "extents", c.rows);
	return 0;
}

const struct command commands_ds_extent[] = {
	{ "ds.extent.add", cmd_extent_add },
	{ "ds.extent.ls", cmd_extent_ls },
	{ NULL, NULL },
};
