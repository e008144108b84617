/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening the further LUNs of a datastore. */
#include <stdio.h>
#include <string.h>

#include "iscsi/disk_libiscsi.h"
#include "libvmfs/base/lun_text.h"
#include "libvmfs/core/extents.h"
#include "vmfsd/ds_extents.h"

static const char *
misfit(int error)
{
	switch (error) {
	case -VMFS_ENOTVMFS:
		return "it is no extent of any datastore";
	case -VMFS_ECORRUPT:
		return "what it says of itself is damaged; run fsck.vmfs";
	case -VMFS_ESTALE_VOLUME:
		return "it is a copy of the extent";
	case -ENXIO:
		return "it is another extent, or one of another datastore";
	case -ERANGE:
		return "it is smaller than the extent it carries; give the LUN "
		    "its old size back";
	default:
		return vmfs_strerror(error);
	}
}

/* d->hunt.why tells why it is not that LUN. */
static int
try_lun(struct datastore *d, const char *lun, const struct super *s,
    unsigned i, struct disk **ret_lun)
{
	struct disk_libiscsi_conf conf = { .initiator = d->all->initiator };
	char name[LUN_TEXT_SIZE];
	struct disk *disk;
	int rc = lun_open(&d->env, lun, d->readonly ? DISK_OPEN_READONLY : 0,
	    &conf, &disk);

	if (rc < 0) {
		(void)lun_open_text(lun, rc, d->hunt.why,
		    sizeof(d->hunt.why));
		return rc;
	}
	rc = extent_check(disk, s, i);
	if (rc == 0) {
		*ret_lun = disk;
		return 0;
	}
	disk_close(disk);
	(void)snprintf(d->hunt.why, sizeof(d->hunt.why), "LUN '%s': %s",
	    lun_text(lun, name), misfit(rc));
	return rc;
}

/* Those of the configuration, then the place of the note. */
static int
hunt(struct datastore *d, const struct super *s, unsigned i,
    struct disk **ret_lun)
{
	struct extent_info note;
	int rc = -VMFS_EEXTENT, rc2;

	(void)snprintf(d->hunt.why, sizeof(d->hunt.why), "the datastore has "
	    "no note of where it is");
	for (unsigned k = 0; k < d->extents; k++) {
		rc = try_lun(d, d->extent[k], s, i, ret_lun);
		if (rc == 0)
			return 0;
	}
	rc2 = extent_note_read(d->disk, s, i, &note);
	if (rc2 == 0)
		rc2 = try_lun(d, note.place, s, i, ret_lun);
	return rc2 == -ENOENT ? rc : rc2;
}

static void
say_missing(struct datastore *d, unsigned i)
{
	log_error(d->all->log, "datastore: %s: extent %u is missing, what lies "
	    "on it gives I/O errors: %s; name its LUN by extent = in "
	    "vmfsd.conf when it has another name here", d->name, i,
	    d->hunt.why);
}

int
ds_extents_bring(struct datastore *d)
{
	struct disk *lun;
	int rc = 0;

	for (unsigned i = 1; i < d->super.extents && rc == 0; i++) {
		if (hunt(d, &d->super, i, &lun) < 0) {
			say_missing(d, i);
			continue;
		}
		rc = extents_attach(d->disk, &d->super.extent[i].uuid, lun);
		if (rc < 0)
			disk_close(lun);
	}
	return rc < 0 ? rc : extents_follow(d->disk, &d->super);
}

/* ---- while mounted ---- */

static void
hunt_main(void *arg)
{
	struct datastore *d = arg;
	struct extent_hunt *h = &d->hunt;

	h->result = hunt(d, &h->super, h->index, &h->found);
	if (h->result < 0 && h->result != h->told)
		say_missing(d, h->index);
	h->told = h->result;
	h->running = false;
	h->done = true;
	fiber_cond_broadcast(&h->ended);
}

static int
begin(struct datastore *d, const struct super *s, unsigned i)
{
	struct extent_hunt *h = &d->hunt;

	h->super = *s;
	h->index = i;
	h->done = false;
	h->running = true;
	if (sched_spawn(d->env.sched, "extent", hunt_main, d) < 0) {
		h->running = false;
		return -ENOMEM;
	}
	return -EAGAIN;
}

int
ds_extents_find(void *arg, const struct super *s, unsigned i,
    struct disk **ret_lun)
{
	struct datastore *d = arg;
	struct extent_hunt *h = &d->hunt;

	/* While it is being mounted nobody waits for anything else. */
	if (d->ds == NULL)
		return hunt(d, s, i, ret_lun);
	if (h->running)
		return -EAGAIN;
	if (!h->done || !uuid_equal(&h->super.extent[h->index].uuid,
	    &s->extent[i].uuid)) {
		disk_close(h->found);
		h->found = NULL;
		return begin(d, s, i);
	}
	h->done = false;
	if (h->result < 0)
		return h->result;
	*ret_lun = h->found;
	h->found = NULL;
	return 0;
}

void
ds_extents_stop(struct datastore *d)
{
	while (d->hunt.running)
		fiber_cond_wait(&d->hunt.ended);
	disk_close(d->hunt.found);
	d->hunt.found = NULL;
	d->hunt.done = false;
	d->hunt.told = 0;
}
