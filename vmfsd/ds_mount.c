/* SPDX-License-Identifier: BSD-2-Clause */
/* Mounting and unmounting one datastore, step by step and back. */
#include <stdlib.h>
#include <string.h>
#include <stdio.h>

#include "iscsi/disk_libiscsi.h"
#include "libvmfs/base/lun_text.h"
#include "libvmfs/base/units.h"
#include "libvmfs/core/extents.h"
#include "locking/lease.h"
#include "vmfsd/attach.h"
#include "vmfsd/call.h"
#include "vmfsd/datastore_impl.h"
#include "vmfsd/disk_key.h"
#include "vmfsd/ds_extents.h"
#include "vmfsd/ds_fuse.h"
#include "vmfsd/keep.h"
#include "vmfsd/ds_space.h"
#include "vmfsd/lun_copy.h"
#include "vmfsd/takeover_log.h"

#define UNMAP_AUTO_RATE (256 * MIB)	/* a second */

/* What the admin is told; d->why is logged and kept for `vmfsctl ds info`. */
static int
fail(struct datastore *d, int error, const char *what)
{
	(void)snprintf(d->why, sizeof(d->why), "%s: %s", what,
	    vmfs_strerror(error));
	return error;
}

/* ---- on the reactors ---- */

static int
open_lun(struct datastore *d, struct env *env, struct disk **ret_disk)
{
	struct disk_libiscsi_conf conf = {
		.initiator = d->all->initiator,
		.isid = d->keep->isid[env == &d->beat_env],
	};
	int rc = lun_open(env, d->lun, d->readonly ? DISK_OPEN_READONLY : 0,
	    &conf, ret_disk);

	if (rc < 0)
		(void)lun_open_text(d->lun, rc, d->why, sizeof(d->why));
	return rc;
}

/* A busy machine must not look like a dead one. */
static void
tell_realtime(const struct datastore *d)
{
	const struct realtime *rt = &d->beat_rt;
	bool good = rt->cpu == REALTIME_CPU_FIRST &&
	    rt->memory == REALTIME_MEMORY_ALL;

	log_line(d->all->log, good ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
	    "datastore: %s: heartbeat priority=%s memory-locked=%s%s", d->name,
	    realtime_cpu_name(rt->cpu), realtime_memory_name(rt->memory),
	    good ? "" : " note=\"CAP_SYS_NICE and CAP_IPC_LOCK keep a "
	    "heartbeat from starving\"");
}

static int
beat_up(void *arg)
{
	struct datastore *d = arg;

	d->beat_rt = reactor_realtime(d->beat);
	tell_realtime(d);
	return open_lun(d, &d->beat_env, &d->beat_disk);
}

static int
beat_down(void *arg)
{
	struct datastore *d = arg;

	disk_close(d->beat_disk);
	d->beat_disk = NULL;
	return 0;
}

static void
note(struct datastore *d, enum datastore_state state, const char *why)
{
	(void)snprintf(d->why, sizeof(d->why), "%s", why);
	d->since_us = d->env.wall_us(&d->env);
	atomic_store(&d->state, state);
}

static void
fenced(struct datastore *d, const char *why)
{
	/* While it joins there is none yet. */
	bool lost = d->host != NULL && host_error(d->host) == -VMFS_EGONE;

	note(d, lost ? DATASTORE_LOST : DATASTORE_FENCED, why);
	if (d->ds != NULL)
		ds_abandon(d->ds);
	log_error(d->env.log, "datastore: %s: %s: %s; all I/O fails now. When "
	    "the cause is gone, run vmfsctl ds unmount --force %s and vmfsctl "
	    "ds mount %s", d->name, lost ? "the LUN is lost" :
	    "this host was fenced", why, d->name, d->name);
}

static void
status_changed(void *arg, enum host_status status, const char *why)
{
	struct datastore *d = arg;

	switch (status) {
	case HOST_OK:
		log_info(d->env.log, "datastore: %s: I/O goes on: %s", d->name,
		    why);
		note(d, DATASTORE_MOUNTED, "");
		break;
	case HOST_FROZEN:
		log_warn(d->env.log, "datastore: %s: I/O waits for the LUN: %s",
		    d->name, why);
		note(d, DATASTORE_FROZEN, why);
		break;
	case HOST_FENCED:
		fenced(d, why);
		break;
	case HOST_LEFT:
		break;
	}
}

static void
taken_over(void *arg, const struct takeover_report *r)
{
	struct datastore *d = arg;
	int rc = takeover_log_append(d->all->dir, d->name, r);

	if (rc < 0)
		log_warn(d->env.log, "datastore: %s: cannot note a take-over in "
		    "%s/takeovers.json: %s", d->name, d->all->dir,
		    vmfs_strerror(rc));
}

/* Who has no successor needs no log for it. */
static struct softlog *
softlog_of(struct datastore *d)
{
	return d->readonly || !keep_is_worker() ? NULL : &d->keep->soft;
}

static int
join(struct datastore *d)
{
	const struct identity *id = d->all->identity;
	struct host_conf conf = {
		.name = id->name,
		.host = id->host,
		.machine = id->machine,
		.boot = id->boot,
		.home = id->home,
		.process = id->process,
		.member = d->all->member,
		.on_status = status_changed,
		.on_takeover = taken_over,
		.arg = d,
		.watchdog = d->all->watchdog,
		.keep = &d->keep->host,
		.soft = softlog_of(d),
	};
	char why[256] = "";
	int rc = host_join(&d->env, &d->beat_env, d->disk, d->beat_disk,
	    &d->super, &conf, &d->host, why);

	if (rc < 0 && why[0] != '\0')
		(void)snprintf(d->why, sizeof(d->why),
		    "cannot join datastore '%s': %s", d->name, why);
	else if (rc < 0)
		return fail(d, rc, "cannot join the datastore");
	else
		d->locks = host_locks(d->host);
	return rc;
}

/* Who only reads takes no lock and needs no slot; it sees what the others
 * have checkpointed. */
static int
look_on(struct datastore *d)
{
	int rc = lock_local_new(&d->env, d->disk, &d->super, &d->locks);

	return rc < 0 ? fail(d, rc, "cannot read the datastore") : 0;
}

/* The first one, as the disk of all that are to come. */
static int
open_luns(struct datastore *d)
{
	struct disk *first;
	int rc = open_lun(d, &d->env, &first);

	if (rc < 0)
		return rc;
	rc = extents_open(first, &d->disk);
	if (rc < 0)
		disk_close(first);
	return rc < 0 ? fail(d, rc, "cannot use its LUN") : 0;
}

/*
 * Is the LUN told what is free?  By itself only where it says that it is thin,
 * and not where nothing but time proves that a dead host's commands have
 * ended: nobody has promised how long an array takes for an UNMAP.
 */
static bool
tells_lun(const struct datastore *d, uint64_t *ret_rate)
{
	*ret_rate = d->unmap == UNMAP_AUTO ? UNMAP_AUTO_RATE : d->unmap_rate;
	return d->unmap == UNMAP_ON || (d->unmap == UNMAP_AUTO &&
	    d->disk->info.thin && !lease_by_time(d->super.protocol));
}

static int
owner_up(void *arg)
{
	struct datastore *d = arg;
	struct ds_conf conf = {
		.env = &d->env, .readonly = d->readonly,
		.cache_bytes = (size_t)d->map_cache,
		.find_extent = ds_extents_find, .arg = d,
	};
	int rc = open_luns(d);

	if (rc < 0)
		return rc;
	rc = super_read(d->disk, &d->super);
	if (rc < 0) {
		(void)lun_super_text(d->lun, rc, d->why, sizeof(d->why));
		return rc;
	}
	rc = lun_copy_check(d, &d->super, &d->disk->info);
	if (rc < 0)
		return rc;
	rc = ds_extents_bring(d);
	if (rc < 0)
		return fail(d, rc, "cannot use its LUNs");
	rc = d->readonly ? look_on(d) : join(d);
	if (rc < 0)
		return rc;
	conf.extents = d->disk;
	conf.disk = d->host != NULL ? host_disk(d->host) : d->disk;
	conf.locks = d->locks;
	conf.soft = softlog_of(d);
	conf.discard = !d->readonly && tells_lun(d, &conf.discard_rate);
	if (d->host != NULL && host_resumed(d->host))
		fuse_keep_replayed(&d->keep->fuse, d->keep->soft.replayed_lsn);
	rc = ds_open(&conf, &d->ds);
	if (rc < 0)
		return fail(d, rc, "cannot open the datastore");
	if (d->host != NULL && host_status(d->host) == HOST_FENCED) {
		ds_abandon(d->ds);
		return fail(d, -VMFS_EFENCED, "while mounting");
	}
	/* Who only reads had nothing that others could have taken. */
	d->again = (d->host != NULL ? host_resumed(d->host) : d->left) &&
	    atomic_load(&d->keep->ending) == 0;
	rc = d->again ? fs_open_again(d->ds, ds_keep_is_open, d->keep,
	    &d->fs) : fs_open(d->ds, &d->fs);
	if (rc < 0)
		return fail(d, rc, "cannot open the file system");
	disk_keys_attach(d);
	attach_hold(d);
	rc = ds_space_start(d);
	return rc < 0 ? fail(d, rc, "cannot watch its space") : 0;
}

/* Goes on after errors; the first one counts. */
static int
owner_down(void *arg)
{
	struct datastore *d = arg;
	bool fenced = d->host != NULL && host_status(d->host) == HOST_FENCED;
	/* Who had it open waits for the next try, with its locks. */
	bool resumes = d->host != NULL && host_resumed(d->host) && !d->served;
	int rc = 0, rc2;

	if (resumes && d->ds != NULL)
		ds_abandon(d->ds);
	if (resumes)
		host_fall_silent(d->host);
	ds_space_stop(d);
	ds_extents_stop(d);
	attach_let_go(d);
	if (d->fs != NULL)
		rc = fs_close(d->fs);
	d->fs = NULL;
	if (d->ds != NULL) {
		rc2 = ds_close(d->ds);
		rc = rc < 0 ? rc : rc2;
	}
	d->ds = NULL;
	if (d->host != NULL) {
		/* What could not be written is left to replay. */
		rc2 = host_leave(d->host, fenced || resumes || rc < 0);
		/* Others have replayed what a fenced host could not write. */
		rc = fenced ? 0 : rc < 0 ? rc : rc2;
	} else if (d->locks != NULL)
		lock_local_free(d->locks);
	d->host = NULL;
	d->locks = NULL;
	disk_close(d->disk);
	d->disk = NULL;
	return rc;
}

/* ---- steps, on a thread that may block ---- */

static void
stop_reactor(struct reactor **r)
{
	if (*r == NULL)
		return;
	reactor_stop(*r);
	reactor_join(*r);
	reactor_free(*r);
	*r = NULL;
}

static int
start_reactor(struct datastore *d, const char *kind, bool realtime,
    struct reactor **ret_r, struct env *ret_env)
{
	struct reactor *r;
	char name[16];
	int rc;

	(void)snprintf(name, sizeof(name), "%s:%.10s", kind, d->name);
	rc = reactor_new(name, &r);
	if (rc < 0)
		return fail(d, rc, "cannot start a thread");
	if (realtime)
		rc = reactor_want_realtime(r);
	else if (serving_busy_waits(d->all->serving))
		reactor_want_spin(r);
	if (rc == 0)
		rc = reactor_start(r);
	if (rc < 0) {
		reactor_free(r);
		return fail(d, rc, "cannot start a thread");
	}
	env_posix_init(ret_env, reactor_sched(r), d->all->log);
	*ret_r = r;
	return 0;
}

static int
bring_down(struct datastore *d)
{
	int rc = 0;

	ds_fuse_down(d);
	if (d->owner != NULL)
		rc = call_on(d->env.sched, owner_down, d);
	if (d->beat != NULL)
		(void)!call_on(d->beat_env.sched, beat_down, d);
	lun_copy_forget(d);
	stop_reactor(&d->owner);
	stop_reactor(&d->beat);
	atomic_store(&d->gone, false);
	atomic_store(&d->state, DATASTORE_UNMOUNTED);
	return rc;
}

static int
bring_up(struct datastore *d)
{
	int rc;

	d->why[0] = '\0';
	d->space_asked = d->space_watched = d->served = false;
	atomic_store(&d->gone, false);
	rc = ds_keep_check_dir(d);
	if (rc < 0)
		return rc;
	rc = ds_keep_begin(d);
	if (rc < 0)
		return fail(d, rc, "no memory that outlives this process");
	rc = start_reactor(d, "ds", false, &d->owner, &d->env);
	if (rc == 0)
		rc = start_reactor(d, "hb", true, &d->beat,
		    &d->beat_env);
	if (rc == 0)
		rc = call_on(d->beat_env.sched, beat_up, d);
	if (rc < 0)
		return rc;
	/* Before the join, which may report a status at any time. */
	atomic_store(&d->state, DATASTORE_MOUNTED);
	rc = call_on(d->env.sched, owner_up, d);
	if (rc < 0)
		return rc;
	if (atomic_load(&d->keep->ending) == 0)
		return ds_fuse_up(d);
	/* Nobody is left to be served: it only has to be closed. */
	d->served = true;
	return 0;
}

static uint64_t
now_us(const struct datastore *d)
{
	struct env env;

	/* Its own may never have been made. */
	env_posix_init(&env, NULL, d->all->log);
	return env.wall_us(&env);
}

static int
attach_fiber(void *arg)
{
	attach_again(arg, true);
	return 0;
}

static int
resumed_fiber(void *arg)
{
	struct datastore *d = arg;

	attach_told(d);
	if (d->host != NULL)
		host_resume_done(d->host);
	return 0;
}

static int
take_down(struct datastore *d, char *why)
{
	int rc = bring_down(d);

	ds_keep_end(d);
	d->why[0] = '\0';
	if (rc < 0) {
		(void)snprintf(why, DATASTORE_WHY_SIZE, "datastore '%s' was "
		    "not closed cleanly: %s; its journal is replayed at the "
		    "next mount", d->name, vmfs_strerror(rc));
		log_error(d->all->log, "datastore: %s", why);
		return rc;
	}
	log_info(d->all->log, "datastore: %s: unmounted", d->name);
	d->all->on_unmounted(d->all->arg);
	return 0;
}

/* goes_on: for a dead process, and only if that has not unmounted it. */
static int
mount_locked(struct datastore *d, bool goes_on, char *why)
{
	char lun[LUN_TEXT_SIZE];
	int rc;

	if (atomic_load(&d->state) != DATASTORE_UNMOUNTED) {
		(void)snprintf(why, DATASTORE_WHY_SIZE, "datastore '%s' is "
		    "already mounted on '%s'", d->name, d->mount);
		return -EBUSY;
	}
	rc = bring_up(d);
	if (rc < 0) {
		(void)snprintf(why, DATASTORE_WHY_SIZE, "%s", d->why);
		(void)!bring_down(d);
		ds_keep_unused(d);
		d->since_us = now_us(d);
		return rc;
	}
	atomic_store(&d->wanted, false);
	if (atomic_load(&d->keep->ending) != 0) {
		rc = take_down(d, why);
		return rc < 0 || goes_on ? rc : mount_locked(d, false, why);
	}
	d->resumed = false;
	(void)!call_on(d->env.sched, attach_fiber, d);
	d->mounted_us = d->env.wall_us(&d->env);
	log_info(d->all->log, "datastore: %s: mounted dir=%s lun=%s slot=%u "
	    "incarnation=%llu", d->name, d->mount, lun_text(d->lun, lun),
	    d->locks->slot, (unsigned long long)d->locks->incarnation);
	return 0;
}

static int
not_mounted(struct datastore *d, char *why)
{
	/* That nobody wants it any more is news, though. */
	if (atomic_exchange(&d->wanted, false)) {
		ds_keep_end(d);
		d->why[0] = '\0';
		d->all->on_unmounted(d->all->arg);
		return 0;
	}
	(void)snprintf(why, DATASTORE_WHY_SIZE, "datastore '%s' is not mounted",
	    d->name);
	return -ENODEV;
}

static int
let_go(struct datastore *d, bool force, char *why)
{
	struct datastores *all = d->all;

	return all->before_unmount != NULL ?
	    all->before_unmount(all->users, d->name, force, why) : 0;
}

struct guests {
	struct datastore *d;
	bool force;
	char *why;
};

static int
guests_fiber(void *arg)
{
	struct guests *g = arg;

	return attach_may_go(g->d, g->force, g->why);
}

static int
guests_may_go(struct datastore *d, bool force, char *why)
{
	struct guests g = { d, force, why };

	return call_on(d->env.sched, guests_fiber, &g);
}

static int
guests_go(void *arg)
{
	attach_unmounted(arg);
	return 0;
}

static int
guests_stay(void *arg)
{
	attach_not_unmounted(arg);
	return 0;
}

/* Whoever has used it before has it open again: then what is not in use of the
 * locks of a dead process is given back. */
static void
tell_mounted(struct datastores *all, const char *name)
{
	struct datastore *d;

	if (all->on_mounted != NULL)
		all->on_mounted(all->users);
	if (datastore_get(all, name, true, &d) < 0)
		return;
	(void)!call_on(d->env.sched, resumed_fiber, d);
	datastore_put(d);
}

static int
unmount_locked(struct datastore *d, bool force, char *why)
{
	int rc;

	if (atomic_load(&d->state) == DATASTORE_UNMOUNTED)
		return not_mounted(d, why);
	rc = let_go(d, force, why);
	if (rc == 0)
		rc = guests_may_go(d, force, why);
	if (rc < 0)
		return rc;
	rc = fuse_mount_umount(d->fuse);
	if (call_on(d->env.sched, rc < 0 && !force ? guests_stay : guests_go,
	    d) < 0)
		log_error(d->all->log, "datastore: %s: out of memory",
		    d->name);
	if (rc < 0 && !force) {
		(void)snprintf(why, DATASTORE_WHY_SIZE, "cannot unmount '%s': "
		    "files are open there; close them (fuser -vm '%s' lists "
		    "their processes) or use --force", d->mount, d->mount);
		return rc;
	}
	/* By this a successor knows, however long the LUN takes. */
	if (rc == 0)
		atomic_store(&d->keep->ending, 1);
	return take_down(d, why);
}

/* ---- for everybody ---- */

/* To mount or unmount it; NULL with a sentence. */
static struct datastore *
take(struct datastores *all, const char *name, const char *doing, char *why)
{
	struct datastore *d = datastore_ref(all, name);

	if (d == NULL) {
		(void)snprintf(why, DATASTORE_WHY_SIZE, "there is no datastore "
		    "'%s'; see vmfsctl ds ls", name);
		return NULL;
	}
	(void)pthread_rwlock_wrlock(&d->use);
	atomic_store(&d->doing, doing);
	return d;
}

static void
give_back(struct datastore *d)
{
	atomic_store(&d->doing, NULL);
	datastore_put(d);
}

static int
mount_by_name(struct datastores *all, const char *name, bool goes_on,
    char *why)
{
	struct datastore *d = take(all, name, "mounting", why);
	int rc;

	if (d == NULL)
		return -ENOENT;
	rc = mount_locked(d, goes_on, why);
	if (rc < 0)
		log_error(all->log, "datastore: %s: not mounted: %s", name,
		    why);
	give_back(d);
	if (rc == 0)
		tell_mounted(all, name);
	return rc;
}

int
datastore_mount(struct datastores *all, const char *name, char *why)
{
	return mount_by_name(all, name, false, why);
}

int
datastore_go_on(struct datastores *all, const char *name, char *why)
{
	return mount_by_name(all, name, true, why);
}

int
datastore_unmount(struct datastores *all, const char *name, bool force,
    char *why)
{
	struct datastore *d = take(all, name, "unmounting", why);
	bool stays;
	int rc;

	if (d == NULL)
		return -ENOENT;
	rc = unmount_locked(d, force, why);
	stays = rc < 0 && atomic_load(&d->state) != DATASTORE_UNMOUNTED;
	/* It may have been ended for this. */
	if (stays)
		d->resumed = false;
	give_back(d);
	/* Who has let go already, before others refused, has it again. */
	if (stays && all->on_mounted != NULL)
		all->on_mounted(all->users);
	return rc;
}

int
datastore_reap(struct datastores *all, const char *name)
{
	char why[DATASTORE_WHY_SIZE];
	struct datastore *d = take(all, name, "unmounting", why);
	int rc = 0;

	if (d == NULL)
		return -ENOENT;
	/* Whoever was faster may have mounted it again. */
	if (atomic_load(&d->gone))
		rc = unmount_locked(d, true, why);
	give_back(d);
	return rc;
}

/* ---- once more ---- */

void
datastore_want(struct datastores *all, const char *name)
{
	char why[DATASTORE_WHY_SIZE];
	struct datastore *d = take(all, name, "mounting", why);

	if (d == NULL)
		return;
	if (atomic_load(&d->state) == DATASTORE_UNMOUNTED) {
		atomic_store(&d->wanted, true);
		/* By this a successor knows, too. */
		if (ds_keep_begin(d) < 0)
			log_warn(all->log, "datastore: %s: no memory that "
			    "outlives this process", name);
	}
	give_back(d);
}

/* 1: it is still wanted. */
static unsigned
retry_one(struct datastores *all, const char *name)
{
	char why[DATASTORE_WHY_SIZE], before[DATASTORE_WHY_SIZE];
	struct datastore *d = take(all, name, "mounting", why);
	unsigned left;

	if (d == NULL)
		return 0;
	(void)snprintf(before, sizeof(before), "%s", d->why);
	if (atomic_load(&d->wanted) && mount_locked(d, true, why) < 0 &&
	    strcmp(before, why) != 0)
		log_error(all->log, "datastore: %s: not mounted: %s", name,
		    why);
	left = atomic_load(&d->wanted);
	give_back(d);
	if (left == 0)
		tell_mounted(all, name);
	return left;
}

static int
attach_more_fiber(void *arg)
{
	attach_again(arg, false);
	return 0;
}

/* How many of its attachments are left. */
static unsigned
retry_attach(struct datastores *all, const char *name)
{
	struct datastore *d;
	unsigned left = 0;

	if (datastore_get(all, name, true, &d) < 0)
		return 0;
	if (atomic_load(&d->attach_waits) > 0)
		(void)!call_on(d->env.sched, attach_more_fiber, d);
	left = atomic_load(&d->attach_waits);
	datastore_put(d);
	return left;
}

/* Datastores that are wanted, or not whole; copied, as the list may change. */
struct wanted {
	char name[CONF_LIST_MAX][64];
	unsigned n;
};

static void
note_wanted(void *arg, struct datastore *d)
{
	struct wanted *w = arg;

	/* Under the list's mutex alone: retry_one looks again. */
	if (w->n < CONF_LIST_MAX &&
	    (atomic_load(&d->state) == DATASTORE_UNMOUNTED ||
	    atomic_load(&d->attach_waits) > 0))
		(void)snprintf(w->name[w->n++], sizeof(w->name[0]), "%s",
		    d->name);
}

unsigned
datastores_retry(struct datastores *all, const atomic_bool *stop)
{
	struct wanted w = { .n = 0 };
	unsigned left = 0;

	datastores_each(all, note_wanted, &w);
	for (unsigned i = 0; i < w.n && !atomic_load(stop); i++)
		left += (datastore_is_wanted(all, w.name[i]) ?
		    retry_one(all, w.name[i]) : 0) +
		    retry_attach(all, w.name[i]);
	return left;
}
