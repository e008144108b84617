/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding the further LUNs of a datastore, by name or by its notes. */
#include <stdio.h>
#include <string.h>

#include "fsck/luns.h"
#include "iscsi/disk_libiscsi.h"
#include "libvmfs/base/lun_text.h"

static int
open_lun(const struct luns_conf *conf, const char *name, struct disk **ret_d,
    char *why)
{
	struct disk_libiscsi_conf iscsi = { .initiator = conf->initiator };
	int rc = lun_open(conf->env, name, conf->flags, &iscsi, ret_d);

	if (rc < 0)
		(void)lun_open_text(name, rc, why, LUNS_WHY_SIZE);
	return rc;
}

/* The LUN is extent i; it is closed, unless it is attached. */
static int
attach(struct disk *extents, const struct super *s,
    const struct luns_conf *conf, unsigned i, struct disk *lun)
{
	const struct uuid *uuid = &s->extent[i].uuid;
	int rc = extents_lun(extents, uuid) != NULL ? -EEXIST : 0;

	if (rc == 0 && conf->over != NULL)
		rc = conf->over(conf->arg, i, lun, &lun);
	if (rc == 0)
		rc = extents_attach(extents, uuid, lun);
	if (rc < 0)
		disk_close(lun);
	return rc;
}

/*
 * Is it the extent, though it cannot say so itself?  It has the name that the
 * note on the first LUN has of it.
 */
static int
check_lun(struct disk *extents, struct disk *lun, const struct super *s,
    unsigned i)
{
	const struct super_extent *x = &s->extent[i];
	struct extent_info note;
	int rc = extent_check(lun, s, i);

	if ((rc != -VMFS_ENOTVMFS && rc != -VMFS_ECORRUPT) ||
	    extent_note_read(extents, s, i, &note) != 0)
		return rc;
	if (lun->info.serial[0] == '\0' || strncmp(note.lun_serial,
	    lun->info.serial, sizeof(note.lun_serial) - 1) != 0)
		return rc;
	return lun->info.size_bytes >> BLOCK_SHIFT < x->lun_block + x->blocks ?
	    -ERANGE : 0;
}

/* Whichever extent it is. */
static int
attach_any(struct disk *extents, const struct super *s,
    const struct luns_conf *conf, struct disk *lun)
{
	int rc = -ENXIO, one;

	for (unsigned i = 1; i < s->extents; i++) {
		one = check_lun(extents, lun, s, i);
		if (one == 0)
			return attach(extents, s, conf, i, lun);
		if (one != -ENXIO)
			rc = one;
	}
	disk_close(lun);
	return rc;
}

static const char *
what_is_wrong(int error)
{
	switch (error) {
	case -EEXIST:
		return "was named twice";
	case -ERANGE:
		return "is smaller than the extent it carries; give the LUN "
		    "its old size back";
	case -VMFS_ESTALE_VOLUME:
		return "is a copy of an extent of this datastore";
	case -ENXIO:
	case -VMFS_ENOTVMFS:
		return "is no extent of this datastore";
	default:
		return NULL;
	}
}

static int
by_name(struct disk *extents, const struct super *s,
    const struct luns_conf *conf, const char *name, char *why)
{
	char text[LUN_TEXT_SIZE];
	const char *what;
	struct disk *lun;
	int rc = open_lun(conf, name, &lun, why);

	if (rc < 0)
		return rc;
	rc = attach_any(extents, s, conf, lun);
	if (rc == 0)
		return 0;
	what = what_is_wrong(rc);
	(void)snprintf(why, LUNS_WHY_SIZE, "'%s'%s %s", lun_text(name, text),
	    what != NULL ? "" : ":", what != NULL ? what : vmfs_strerror(rc));
	return rc;
}

static int
by_note(struct disk *extents, const struct super *s,
    const struct luns_conf *conf, unsigned i, char *why)
{
	struct extent_info note = { .place = "" };
	char uuid[UUID_TEXT_SIZE];
	struct disk *lun;
	int rc = extent_note_read(extents, s, i, &note);

	if (rc == 0)
		rc = open_lun(conf, note.place, &lun, why);
	if (rc == 0) {
		rc = check_lun(extents, lun, s, i);
		if (rc < 0)
			disk_close(lun);
		else
			rc = attach(extents, s, conf, i, lun);
	}
	if (rc < 0)
		(void)snprintf(why, LUNS_WHY_SIZE, "extent %u (%s, added as "
		    "'%s') is missing: %s; name its LUN behind the first one", i,
		    uuid_text(&s->extent[i].uuid, uuid), note.place[0] != '\0' ?
		    note.place : "?", vmfs_strerror(rc));
	return rc;
}

int
luns_find(struct disk *extents, const struct super *s,
    const struct luns_conf *conf, char *why)
{
	int rc = 0;

	for (int i = 0; i < conf->n && rc == 0; i++)
		rc = by_name(extents, s, conf, conf->names[i], why);
	for (unsigned i = 1; i < s->extents && rc == 0; i++)
		if (!extents_has(extents, &s->extent[i].uuid))
			rc = by_note(extents, s, conf, i, why);
	if (rc < 0)
		return rc;
	rc = extents_follow(extents, s);
	if (rc < 0)
		(void)snprintf(why, LUNS_WHY_SIZE, "its LUNs cannot be used: "
		    "%s", vmfs_strerror(rc));
	return rc;
}
