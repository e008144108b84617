/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies of LUNs, see lun_copy.h. */
#include <stdio.h>
#include <string.h>

#include "iscsi/disk_libiscsi.h"
#include "libvmfs/base/lun_text.h"
#include "libvmfs/core/volume.h"
#include "vmfsd/call.h"
#include "vmfsd/lun_copy.h"

/* ---- at a mount ---- */

static int
is_copy(struct datastore *d, const struct super *s,
    const struct disk_info *info)
{
	char lun[LUN_TEXT_SIZE], uuid[UUID_TEXT_SIZE];

	(void)snprintf(d->why, sizeof(d->why), "LUN '%s' carries a copy of "
	    "datastore '%s' (%s): its superblock was made for LUN %s, and this "
	    "is %s. To use the copy as a datastore of its own: vmfsctl ds "
	    "resignature LUN. If the datastore has moved here and the old LUN "
	    "is gone: vmfsctl --keep ds resignature LUN. Both need a vmfsd that "
	    "runs: mount.vmfs(8), THE COPY OF A LUN, has one",
	    lun_text(d->lun, lun), s->label, uuid_text(super_uuid(s), uuid),
	    s->lun_serial, info->serial);
	return -VMFS_ESTALE_VOLUME;
}

/* Who else of us has the volume mounted, and from where. */
struct twin {
	const struct datastore *me;
	const char *serial;
	struct uuid volume;
	char name[64], lun[LUN_TEXT_SIZE];
};

static void
look_for_twin(void *arg, struct datastore *d)
{
	struct twin *t = arg;
	bool same_lun = (*t->serial != '\0' &&
	    strcmp(t->serial, d->serial) == 0) ||
	    strcmp(t->me->lun, d->lun) == 0;

	if (d == t->me || same_lun || uuid_is_null(&d->volume) ||
	    !uuid_equal(&d->volume, &t->volume))
		return;
	(void)snprintf(t->name, sizeof(t->name), "%s", d->name);
	(void)lun_text(d->lun, t->lun);
}

/* Both under the list's mutex, so that of two one is first. */
static void
enter(void *arg, struct datastore *d)
{
	struct twin *t = arg;

	if (d != t->me || t->name[0] != '\0')
		return;
	d->volume = t->volume;
	(void)snprintf(d->serial, sizeof(d->serial), "%s", t->serial);
}

static void
look_and_enter(struct datastores *all, struct twin *t)
{
	(void)pthread_mutex_lock(&all->mutex);
	list_for_each(node, tmp, &all->list)
		look_for_twin(t, list_entry(node, struct datastore, node));
	list_for_each(node, tmp, &all->list)
		enter(t, list_entry(node, struct datastore, node));
	(void)pthread_mutex_unlock(&all->mutex);
}

int
lun_copy_check(struct datastore *d, const struct super *s,
    const struct disk_info *info)
{
	struct twin t = { .me = d, .serial = info->serial,
		.volume = *super_uuid(s) };
	char lun[LUN_TEXT_SIZE], uuid[UUID_TEXT_SIZE];

	if (volume_is_copy(s, info))
		return is_copy(d, s, info);
	look_and_enter(d->all, &t);
	if (t.name[0] == '\0')
		return 0;
	(void)snprintf(d->why, sizeof(d->why), "LUN '%s' and LUN '%s' carry "
	    "the same datastore (%s): one is a copy of the other. '%s' is "
	    "mounted; to use the other beside it, make it a datastore of its "
	    "own by vmfsctl ds resignature LUN", t.lun, lun_text(d->lun, lun),
	    uuid_text(&t.volume, uuid), t.name);
	return -VMFS_ESTALE_VOLUME;
}

void
lun_copy_forget(struct datastore *d)
{
	(void)pthread_mutex_lock(&d->all->mutex);
	d->volume = (struct uuid){ 0 };
	d->serial[0] = '\0';
	(void)pthread_mutex_unlock(&d->all->mutex);
}

/* ---- resignature ---- */

struct job {
	struct datastores *all;
	struct env env;
	struct resign *r;
	struct disk *disk;
	char *why;
};

static int
nobody_uses_it(struct job *j)
{
	char names[256], lun[LUN_TEXT_SIZE];
	unsigned alive = 0;
	int rc = hosts_alive(&j->env, j->disk, &j->r->before, &alive, names,
	    sizeof(names));

	if (rc == 0 && alive > 0) {
		(void)snprintf(j->why, DATASTORE_WHY_SIZE, "'%s' is mounted by "
		    "%u host%s: %s; unmount it there first",
		    lun_text(j->r->lun, lun), alive, alive == 1 ? "" : "s",
		    names);
		return -VMFS_EINUSE;
	}
	return rc;
}

static int
change(struct job *j)
{
	struct resign *r = j->r;
	struct uuid uuid;
	int rc = 0;

	r->after = r->before;
	env_uuid(&j->env, &uuid);
	if (r->keep)
		volume_rehome(&r->after, &j->disk->info);
	else
		rc = volume_resign(&r->after, &j->disk->info, &uuid, r->label);
	return rc < 0 ? rc : super_write(j->disk, &r->after);
}

static int
resign_main(void *arg)
{
	struct job *j = arg;
	struct disk_libiscsi_conf conf = { .initiator = j->all->initiator };
	int rc = lun_open(&j->env, j->r->lun, 0, &conf, &j->disk);

	if (rc < 0) {
		(void)lun_open_text(j->r->lun, rc, j->why, DATASTORE_WHY_SIZE);
		return rc;
	}
	rc = super_read(j->disk, &j->r->before);
	if (rc < 0)
		(void)lun_super_text(j->r->lun, rc, j->why,
		    DATASTORE_WHY_SIZE);
	if (rc == 0)
		rc = nobody_uses_it(j);
	if (rc == 0)
		rc = change(j);
	disk_close(j->disk);
	return rc;
}

int
lun_resign(struct datastores *all, struct resign *r, char *why)
{
	struct job j = { .all = all, .r = r, .why = why };
	char lun[LUN_TEXT_SIZE];
	struct reactor *reactor;
	int rc = reactor_new("resignature", &reactor);

	why[0] = '\0';
	if (rc == 0) {
		rc = reactor_start(reactor);
		if (rc == 0) {
			env_posix_init(&j.env, reactor_sched(reactor),
			    all->log);
			rc = call_on(j.env.sched, resign_main, &j);
			reactor_stop(reactor);
			reactor_join(reactor);
		}
		reactor_free(reactor);
	}
	if (rc < 0 && why[0] == '\0')
		(void)snprintf(why, DATASTORE_WHY_SIZE, "'%s' was not changed: "
		    "%s", lun_text(r->lun, lun), rc == -VMFS_ECONFLICT ?
		    "it is reserved for the hosts of its datastore; see "
		    "vmfsctl host forget" : vmfs_strerror(rc));
	return rc;
}
