/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands on datastores and their hosts. */
#include <stdio.h>
#include <string.h>

#include "libvmfs/base/lun_text.h"
#include "libvmfs/base/units.h"
#include "locking/watchdog.h"
#include "vmfsd/call.h"
#include "vmfsd/cmd.h"
#include "vmfsd/ds_space.h"
#include "vmfsd/lun_label.h"
#include "vmfsd/takeover_log.h"

#define DS_NAME_SIZE 128

/* ---- ds.ls, ds.info ---- */

static int
set(json_t *o, const char *key, json_t *value)
{
	return json_object_set_new(o, key, value);
}

struct info_call {
	struct datastore *d;
	json_t *row;
};

/* As it is, or when the LUN does not answer soon, as it was. */
static int
add_space(void *arg)
{
	struct info_call *c = arg;
	struct datastore *d = c->d;

	ds_space_ask(d);
	if (d->provisioned_known)
		(void)json_object_set_new(c->row, "provisioned",
		    json_integer((json_int_t)d->provisioned));
	if (!d->space_known)
		return 0;
	(void)json_object_set_new(c->row, "capacity",
	    json_integer((json_int_t)d->space.total_bytes));
	(void)json_object_set_new(c->row, "free",
	    json_integer((json_int_t)d->space.free_bytes));
	(void)json_object_set_new(c->row, "used", json_integer((json_int_t)
	    (d->space.total_bytes - d->space.free_bytes -
	    d->space.reserved_bytes)));
	(void)json_object_set_new(c->row, "reserved",
	    json_integer((json_int_t)d->space.reserved_bytes));
	(void)json_object_set_new(c->row, "space",
	    json_string(ds_space_name(d)));
	return 0;
}

static void
count_host(void *arg, const struct host_info *i)
{
	unsigned *n = arg;

	if (i->state == SLOT_LIVE && i->seen != HOLDER_DEAD)
		(*n)++;
}

/* What to do when it is not well; NULL when it is. */
static const char *
advice(const struct datastore *d)
{
	switch (atomic_load(&d->state)) {
	case DATASTORE_FROZEN:
		return "I/O goes on by itself when the LUN answers; look at its "
		    "paths and its target";
	case DATASTORE_FENCED:
		return "vmfsctl ds unmount --force, then vmfsctl ds mount";
	case DATASTORE_LOST:
		return "give the LUN back, then vmfsctl ds unmount --force and "
		    "vmfsctl ds mount";
	case DATASTORE_UNMOUNTED:
		if (atomic_load(&d->wanted))
			return "it is tried again every 30 s, and by vmfsctl "
			    "ds mount; vmfsctl ds unmount ends that";
		return d->why[0] != '\0' ? "vmfsctl ds mount tries again" :
		    NULL;
	case DATASTORE_MOUNTED:
	case DATASTORE_STATES:
		break;
	}
	return NULL;
}

/* The owner's fiber changes them while it is mounted. */
static int
add_state(void *arg)
{
	struct info_call *c = arg;
	enum datastore_state state = atomic_load(&c->d->state);
	bool failed = state == DATASTORE_UNMOUNTED && c->d->why[0] != '\0';
	const char *todo = advice(c->d);

	(void)set(c->row, "status", json_string(failed ? "failed" :
	    datastore_state_name(state)));
	if (c->d->why[0] == '\0')
		return 0;
	(void)set(c->row, "why", json_string(c->d->why));
	(void)set(c->row, "status_since_us",
	    json_integer((json_int_t)c->d->since_us));
	if (todo != NULL)
		(void)set(c->row, "advice", json_string(todo));
	return 0;
}

static int
add_hosts(void *arg)
{
	struct info_call *c = arg;
	unsigned n = 0;

	(void)add_state(arg);
	if (c->d->host == NULL)
		return 0;
	host_list(c->d->host, count_host, &n);
	(void)json_object_set_new(c->row, "hosts", json_integer(n));
	return 0;
}

static json_t *
ds_row(struct datastore *d)
{
	char lun[LUN_TEXT_SIZE];
	enum datastore_state state = atomic_load(&d->state);
	struct info_call c = { .d = d };

	c.row = json_pack("{s:s, s:s, s:s}", "name", d->name, "mount",
	    d->mount, "lun", lun_text(d->lun, lun));
	if (state != DATASTORE_UNMOUNTED)
		(void)!call_on(d->env.sched, add_hosts, &c);
	else
		(void)add_state(&c);
	/* Space needs the LUN: not while its I/O waits. */
	if (state == DATASTORE_MOUNTED)
		(void)!call_on(d->env.sched, add_space, &c);
	return c.row;
}

/* What can be said without waiting for a mount. */
static void
add_base(void *arg, struct datastore *d)
{
	char lun[LUN_TEXT_SIZE];
	const char *doing = atomic_load(&d->doing);

	(void)json_array_append_new(arg, json_pack("{s:s, s:s, s:s, s:s}",
	    "name", d->name, "mount", d->mount, "lun", lun_text(d->lun, lun),
	    "status", doing != NULL ? doing : "mounting"));
}

static int
cmd_ds_ls(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	json_t *all = json_array(), *rows = json_array(), *base;
	struct datastore *d;
	size_t i;

	(void)args;
	(void)msg;
	datastores_each(&dm->datastores, add_base, all);
	json_array_foreach(all, i, base) {
		int rc = datastore_try(&dm->datastores, json_string_value(
		    json_object_get(base, "name")), &d);

		if (rc == -EBUSY)
			(void)json_array_append(rows, base);
		if (rc < 0)
			continue;
		(void)json_array_append_new(rows, ds_row(d));
		datastore_put(d);
	}
	json_decref(all);
	*ret_result = json_pack("{s:o}", "datastores", rows);
	return 0;
}

static void
add_heartbeat(json_t *row, const struct datastore *d)
{
	const char *cpu = realtime_cpu_name(d->beat_rt.cpu);
	const char *memory = realtime_memory_name(d->beat_rt.memory);
	struct watchdog_share *w = d->all->watchdog;

	(void)set(row, "heartbeat", json_sprintf("priority %s, memory locked: "
	    "%s", cpu, memory));
	(void)set(row, "heartbeat_priority", json_string(cpu));
	(void)set(row, "heartbeat_memory", json_string(memory));
	if (w == NULL)
		return;
	(void)set(row, "watchdog", json_string(watchdog_name(w)));
	(void)set(row, "watchdog_ms", json_integer(watchdog_timeout_ms(w)));
}

static const char *
protocol_reason(enum lock_protocol p)
{
	switch (p) {
	case LOCK_ATS_PR:
		return "the LUN silences a dead host itself, the best there is";
	case LOCK_ATS_WATCHDOG:
		return "the LUN has no persistent reservations: time and the "
		    "watchdog of each host prove that a host is dead";
	case LOCK_RESERVE:
		return "the LUN has no COMPARE AND WRITE: locks are taken under "
		    "RESERVE; time and watchdogs prove that a host is dead";
	case LOCK_FILE:
		break;
	}
	return "the LUN is a file of this machine: the kernel tells when a "
	    "process is gone";
}

static void
add_lockmode(json_t *row, const struct super *s)
{
	uint32_t hint = s->timers.fence_hint_ms < s->timers.fence_ms ?
	    s->timers.fence_hint_ms : s->timers.fence_ms;

	(void)set(row, "protocol", json_string(lock_protocol_name(s->protocol)));
	(void)set(row, "takeover_ms", json_integer(s->timers.fence_ms));
	(void)set(row, "takeover_hint_ms", json_integer(hint));
	(void)set(row, "reason", json_string(protocol_reason(s->protocol)));
}

static void
add_cache(json_t *row, const struct ds *ds)
{
	struct ds_cache c = ds_cache(ds);

	(void)set(row, "map_cache", json_integer((json_int_t)c.max));
	(void)set(row, "map_cache_used", json_integer((json_int_t)c.used));
	(void)set(row, "map_cache_loads", json_integer((json_int_t)c.loads));
}

/* Is the LUN told what is free? */
static void
add_unmap(json_t *row, const struct ds *ds)
{
	struct ds_discards t = ds_discards(ds);
	uint64_t bytes = t.clusters * ((uint64_t)ds_super(ds)->cluster_blocks <<
	    BLOCK_SHIFT);
	char rate[SIZE_TEXT_SIZE], size[SIZE_TEXT_SIZE], left[64] = "";

	(void)set(row, "unmap", json_boolean(t.on));
	(void)set(row, "unmap_rate", json_integer((json_int_t)t.rate));
	(void)set(row, "unmap_clusters", json_integer((json_int_t)t.clusters));
	if (t.clusters > 0)
		(void)snprintf(left, sizeof(left), ", up to %s left",
		    size_text(bytes, size));
	(void)set(row, "unmap_text", !t.on ? json_string("not at all") :
	    t.rate == 0 ? json_sprintf("at once%s", left) :
	    json_sprintf("%s/s%s", size_text(t.rate, rate), left));
}

uint64_t
cmd_lun_bytes(const struct datastore *d)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < ds_super(d->ds)->extents; i++) {
		const struct disk *lun = ds_extent_lun(d->ds, i);

		sum += lun != NULL ? lun->info.size_bytes : 0;
	}
	return sum;
}

static void
add_super(json_t *row, struct datastore *d)
{
	const struct super *s = ds_super(d->ds);
	char uuid[UUID_TEXT_SIZE];
	const struct lockops *l = d->locks;

	(void)set(row, "lun_size",
	    json_integer((json_int_t)cmd_lun_bytes(d)));
	(void)set(row, "uuid", json_string(uuid_text(super_uuid(s), uuid)));
	(void)set(row, "label", json_string(s->label));
	add_lockmode(row, s);
	(void)set(row, "created_us", json_integer((json_int_t)s->created_us));
	(void)set(row, "mounted_us", json_integer((json_int_t)d->mounted_us));
	(void)set(row, "slot", json_integer(l->slot));
	(void)set(row, "incarnation", json_integer((json_int_t)l->incarnation));
	(void)set(row, "readonly", json_boolean(d->readonly));
	add_unmap(row, d->ds);
	add_cache(row, d->ds);
	add_heartbeat(row, d);
	(void)set(row, "timers", json_pack("{s:i, s:i, s:i, s:i}",
	    "pulse_ms", (int)s->timers.pulse_ms, "io_ms", (int)s->timers.io_ms,
	    "freeze_ms", (int)s->timers.freeze_ms,
	    "fence_ms", (int)s->timers.fence_ms));
}

static void
add_luns(json_t *row, struct datastore *d)
{
	const struct super *s = ds_super(d->ds);
	char size[SIZE_TEXT_SIZE];
	uint64_t used;

	(void)set(row, "luns", json_integer(s->extents));
	for (unsigned i = 1; i < s->extents; i++)
		if ((s->extent[i].flags & EXTENT_LEAVING) != 0 &&
		    ds_extent_used(d->ds, i, &used) == 0)
			(void)set(row, "leaving", json_sprintf(used > 0 ?
			    "extent %u, %s left: vmfsctl ds extent evacuate "
			    "%s %u goes on" : "extent %u, empty: vmfsctl ds "
			    "extent rm takes it out", i, size_text(used, size),
			    d->name, i));
}

/* What this host has met of it and changes no more. */
static void
add_damage(struct fs *fs, json_t *row)
{
	json_t *all = json_array(), *names = NULL, *more, *name;
	char path[4096];
	uint64_t ino;

	for (unsigned i = 0; fs_damaged(fs, i, &ino); i++) {
		if (fs_path(fs, ino, path, sizeof(path)) < 0)
			(void)snprintf(path, sizeof(path), "inode %llu",
			    (unsigned long long)ino);
		name = ctl_text(path);
		more = names == NULL ? json_incref(name) : json_sprintf(
		    "%s, %s", json_string_value(names),
		    json_string_value(name));
		(void)json_array_append_new(all, name);
		json_decref(names);
		names = more;
	}
	if (names != NULL)
		(void)set(row, "damaged_names", names);
	(void)set(row, "damaged", all);
}

/* The owner's fiber may be about to change the superblock. */
static int
add_details(void *arg)
{
	struct info_call *c = arg;
	struct takeover_report r;

	add_super(c->row, c->d);
	add_luns(c->row, c->d);
	if (atomic_load(&c->d->state) == DATASTORE_MOUNTED) {
		add_damage(c->d->fs, c->row);
		(void)set(c->row, "requests_by", json_string(
		    fuse_mount_has_ring(c->d->fuse) ? "io_uring" :
		    "/dev/fuse"));
	}
	if (c->d->host == NULL || !host_last_takeover(c->d->host, &r))
		return 0;
	return set(c->row, "last_takeover", takeover_json(&r));
}

static int
cmd_ds_info(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	struct info_call c;
	int rc = cmd_datastore(dm, args, false, &c.d, msg);

	if (rc < 0)
		return rc;
	c.row = ds_row(c.d);
	if (atomic_load(&c.d->state) != DATASTORE_UNMOUNTED)
		(void)!call_on(c.d->env.sched, add_details, &c);
	datastore_put(c.d);
	*ret_result = json_pack("{s:o}", "datastore", c.row);
	return 0;
}

/* ---- ds.mount, ds.unmount ---- */

static bool
name_is_taken(struct daemon *dm, const char *name)
{
	struct datastore *d;

	if (datastore_get(&dm->datastores, name, false, &d) < 0)
		return false;
	datastore_put(d);
	return true;
}

/* That of the caller, else the LUN's label, else the caller's second best. */
static int
pick_name(struct daemon *dm, json_t *args, char name[DS_NAME_SIZE], char *msg)
{
	const char *lun = NULL, *said = NULL, *second = NULL;
	char label[SUPER_LABEL_MAX + 1];

	(void)json_unpack(args, "{s?s, s?s, s?s}", "name", &said, "lun", &lun,
	    "else_name", &second);
	if (said == NULL && second != NULL && lun != NULL) {
		said = second;
		if (lun_label(lun, dm->datastores.initiator, dm->log,
		    label) == 0 && !name_is_taken(dm, label))
			said = label;
	}
	if (said == NULL || *said == '\0') {
		(void)snprintf(msg, CTL_MESSAGE_SIZE,
		    "argument 'name' is missing");
		return -EINVAL;
	}
	(void)snprintf(name, DS_NAME_SIZE, "%s", said);
	return 0;
}

/* A datastore that is not in the configuration, for mount.vmfs.  Held until it
 * is mounted: others may look at it before. */
static int
add_ad_hoc(struct daemon *dm, json_t *args, char *name,
    struct datastore **ret_d, char *msg)
{
	const char *lun = NULL, *dir = NULL;
	int readonly = 0, rc;
	struct conf_datastore conf;

	if (json_unpack(args, "{s:s, s:s, s?b}", "lun", &lun, "mount", &dir,
	    "readonly", &readonly) < 0)
		return 0;
	if (!conf_name_ok(name) || dir[0] != '/') {
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "'%s' cannot be the name "
		    "of a datastore", name);
		return -EINVAL;
	}
	conf = (struct conf_datastore){
		.name = name,
		.lun = (char *)(uintptr_t)lun,
		.mount = (char *)(uintptr_t)dir,
		.readonly = readonly != 0,
	};
	rc = datastore_add(&dm->datastores, &conf, ret_d);
	if (rc == -EEXIST)
		(void)snprintf(msg, CTL_MESSAGE_SIZE, "this vmfsd already has "
		    "a datastore '%s'; choose another name (-o ds=NAME), or "
		    "see vmfsctl ds ls", name);
	return rc;
}

static int
cmd_ds_mount(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	struct datastore *d = NULL;
	char name[DS_NAME_SIZE];
	int rc = pick_name(dm, args, name, msg);

	(void)ret_result;
	if (rc == 0)
		rc = add_ad_hoc(dm, args, name, &d, msg);
	if (rc == 0)
		rc = datastore_mount(&dm->datastores, name, msg);
	if (d != NULL)
		datastore_unref(d);
	return rc;
}

static int
cmd_ds_unmount(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	const char *name;
	int force = 0, rc = cmd_string(args, "name", &name, msg);

	(void)ret_result;
	(void)json_unpack(args, "{s?b}", "force", &force);
	if (rc == 0)
		rc = tasks_stop(&dm->tasks, name, force != 0, msg);
	return rc < 0 ? rc :
	    datastore_unmount(&dm->datastores, name, force != 0, msg);
}

const struct command commands_ds[] = {
	{ "ds.ls", cmd_ds_ls },
	{ "ds.info", cmd_ds_info },
	{ "ds.lockmode", cmd_ds_info },
	{ "ds.mount", cmd_ds_mount },
	{ "ds.unmount", cmd_ds_unmount },
	{ NULL, NULL },
};
