/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The LUNs of a mounted datastore.  A further one is added as a volume grows:
 * first what makes it an extent and the blocks of its clusters, then the
 * superblocks, and nobody allocates there before all members know it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/extents.h"
#include "libvmfs/core/volume.h"

#define LOOK_AGAIN_NS (4 * NSEC_PER_SEC)	/* for what is missing */

static void why_say(char *why, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
why_say(char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, LOCKOPS_WHY, fmt, ap);
	va_end(ap);
}

/* ---- following the superblock ---- */

/* The LUN of extent i, one that can be fenced. */
static int
bring_in(struct ds *ds, const struct super *s, unsigned i)
{
	struct lockops *l = ds->conf.locks;
	struct disk *lun = NULL;
	char why[LOCKOPS_WHY] = "";
	int r = -VMFS_EEXTENT;

	if (ds->conf.find_extent != NULL)
		r = ds->conf.find_extent(ds->conf.arg, s, i, &lun);
	if (r < 0)
		return r;
	if (!ds->conf.readonly)
		r = l->vt->add_lun(l, lun, why);
	if (r == 0)
		r = extents_attach(ds->conf.extents, &s->extent[i].uuid, lun);
	if (r < 0) {
		log_error(ds->conf.env->log, "core: extent %u cannot be used: "
		    "%s", i, why[0] != '\0' ? why : vmfs_strerror(r));
		disk_close(lun);
	}
	return r;
}

static bool
is_new(const struct ds *ds, const struct uuid *uuid)
{
	for (unsigned i = 1; i < ds->super.extents; i++)
		if (uuid_equal(&ds->super.extent[i].uuid, uuid))
			return false;
	return true;
}

/* Those that leave are used no more; the disk closes them. */
static void
let_go(struct ds *ds, const struct super *s)
{
	struct lockops *l = ds->conf.locks;

	for (unsigned i = 1; i < ds->super.extents; i++) {
		const struct uuid *uuid = &ds->super.extent[i].uuid;
		struct disk *lun = extents_lun(ds->conf.extents, uuid);
		bool stays = false;

		for (unsigned k = 1; k < s->extents; k++)
			stays |= uuid_equal(&s->extent[k].uuid, uuid);
		if (stays || lun == NULL || ds->conf.readonly)
			continue;
		if (ds->removing && extent_erase(lun) < 0)
			log_warn(ds->conf.env->log, "core: LUN %s still says "
			    "that it is an extent", lun->info.name);
		l->vt->del_lun(l, lun);
	}
}

int
ds_extents_follow(struct ds *ds, const struct super *s, bool all)
{
	struct disk *x = ds->conf.extents;
	int r;

	if (x == NULL)
		return s->extents > 1 ? -VMFS_EEXTENT : 0;
	ds->lacks_extents = false;
	ds->extents_again_ns = env_now(ds->conf.env) + LOOK_AGAIN_NS;
	for (unsigned i = 1; i < s->extents; i++) {
		if (extents_has(x, &s->extent[i].uuid))
			continue;
		r = bring_in(ds, s, i);
		ds->lacks_extents |= r < 0;
		if (r < 0 && all && is_new(ds, &s->extent[i].uuid))
			return r;
		if (r < 0 && !all)
			log_warn(ds->conf.env->log, "core: extent %u is "
			    "missing: what lies there gives I/O errors "
			    "error=%s", i, vmfs_strerror(r));
	}
	extents_hold(x);
	let_go(ds, s);
	r = extents_follow(x, s);
	extents_release(x);
	return r < 0 ? r : disk_refresh(ds->conf.disk);
}

static void
is_back(struct ds *ds, unsigned i)
{
	log_info(ds->conf.env->log, "core: extent %u is there again", i);
	lease_mark_leaving(ds);
	ds->full_until_ns[0] = ds->full_until_ns[1] = 0;
}

/* Beside other work: a LUN that is silent takes its time to be so. */
static void
probe_main(void *arg)
{
	struct ds *ds = arg;
	struct disk *x = ds->conf.extents;
	struct super s = ds->super;

	extents_hold(x);
	for (unsigned i = 1; i < s.extents && !ds->stopping; i++) {
		const struct uuid *uuid = &s.extent[i].uuid;
		struct disk *lun = extents_lun(x, uuid);

		if (lun == NULL || extents_has(x, uuid) ||
		    extent_check(lun, &s, i) < 0 || extents_lun(x, uuid) != lun)
			continue;
		extents_back(x, uuid);
		is_back(ds, i);
	}
	extents_release(x);
	ds->probing = false;
	fiber_cond_broadcast(&ds->changed);
}

/* Those that never came are looked for, those that were lost are asked. */
static void
look_for(struct ds *ds)
{
	for (unsigned i = 1; i < ds->super.extents; i++) {
		const struct uuid *uuid = &ds->super.extent[i].uuid;

		if (extents_lun(ds->conf.extents, uuid) == NULL &&
		    bring_in(ds, &ds->super, i) == 0)
			is_back(ds, i);
	}
	if (ds->probing || !extents_lost(ds->conf.extents))
		return;
	ds->probing = sched_spawn(ds->conf.env->sched, "extents", probe_main,
	    ds) == 0;
}

static bool
lacks_any(const struct ds *ds)
{
	for (unsigned i = 1; i < ds->super.extents; i++)
		if (!extents_has(ds->conf.extents, &ds->super.extent[i].uuid))
			return true;
	return false;
}

void
ds_extents_keep(struct ds *ds)
{
	bool lacks = ds->super.extents > 1 && lacks_any(ds);

	if (lacks && !ds->lacks_extents) {
		lease_mark_leaving(ds);
		log_error(ds->conf.env->log, "core: a LUN of the datastore is "
		    "lost: what lies on it gives I/O errors until it is back");
	}
	ds->lacks_extents = lacks;
	if (!lacks || env_now(ds->conf.env) < ds->extents_again_ns)
		return;
	ds->extents_again_ns = env_now(ds->conf.env) + LOOK_AGAIN_NS;
	look_for(ds);
}

bool
ds_extent_is_here(const struct ds *ds, uint64_t cluster)
{
	int i = volume_extent_of(&ds->super, cluster *
	    ds->super.cluster_blocks);

	return i == 0 || (i > 0 && extents_has(ds->conf.extents,
	    &ds->super.extent[i].uuid));
}

struct disk *
ds_extent_lun(const struct ds *ds, unsigned i)
{
	const struct uuid *uuid = &ds->super.extent[i].uuid;
	struct disk *lun[EXTENTS_SEEN_MAX];

	if (i > 0)
		return ds->conf.extents != NULL &&
		    extents_has(ds->conf.extents, uuid) ?
		    extents_lun(ds->conf.extents, uuid) : NULL;
	if (ds->conf.extents == NULL)
		return ds->conf.disk;
	(void)extents_luns(ds->conf.extents, lun);
	return lun[0];
}

bool
ds_has_lost(const struct ds *ds)
{
	return ds->super.extents > 1 && extents_lost(ds->conf.extents);
}

uint64_t
ds_losses(const struct ds *ds)
{
	return ds->super.extents == 1 ? 0 : extents_losses(ds->conf.extents);
}

bool
ds_block_lost_since(const struct ds *ds, uint64_t block, uint64_t losses)
{
	return ds->super.extents > 1 &&
	    extents_lost_since(ds->conf.extents, block, losses);
}

bool
ds_block_is_here(const struct ds *ds, uint64_t block)
{
	return ds->super.extents == 1 ||
	    extents_has_block(ds->conf.extents, block);
}

bool
ds_extent_is_usable(const struct ds *ds, uint64_t cluster)
{
	int i = volume_extent_of(&ds->super, cluster *
	    ds->super.cluster_blocks);

	return i == 0 || (i > 0 && ds_extent_is_here(ds, cluster) &&
	    (ds->super.extent[i].flags & EXTENT_LEAVING) == 0);
}

/* ---- adding ---- */

static int
check_lun(const struct ds *ds, const struct disk *lun, char *why)
{
	if (ds->conf.extents == NULL || ds->super.protocol == LOCK_RESERVE) {
		why_say(why, "a datastore with the lock protocol \"%s\" has "
		    "one LUN", lock_protocol_name(ds->super.protocol));
		return -EOPNOTSUPP;
	}
	if ((lun->info.caps & DISK_CAP_READONLY) != 0) {
		why_say(why, "LUN %s is read-only", lun->info.name);
		return -EROFS;
	}
	if (lun->info.block_size != ds->conf.extents->info.block_size) {
		why_say(why, "LUN %s has sectors of %u bytes, those of the "
		    "datastore have %u", lun->info.name, lun->info.block_size,
		    ds->conf.extents->info.block_size);
		return -EOPNOTSUPP;
	}
	if (!uuid_is_null(&ds->super.new_uuid)) {
		why_say(why, "the datastore was made of a copy of another one "
		    "and cannot get further LUNs");
		return -EOPNOTSUPP;
	}
	return 0;
}

/* Another host may have been faster, or this is the first LUN itself. */
static int
is_ours(const struct ds *ds, struct disk *lun)
{
	struct extent_info e;
	struct super s;
	int r = extent_read(lun, &e);

	if (r == 0 && uuid_equal(&e.volume, &ds->super.uuid) &&
	    !is_new(ds, &e.uuid))
		return -EEXIST;
	if (r == 0 || r == -VMFS_ENOTVMFS || r == -VMFS_ECORRUPT)
		r = super_read(lun, &s) == 0 &&
		    uuid_equal(&s.uuid, &ds->super.uuid) ? -EEXIST : 0;
	return r;
}

static void
describe(const struct ds *ds, const struct super *s, const struct disk *lun,
    const char *place, struct extent_info *ret_e)
{
	const struct super_extent *x = &s->extent[s->extents - 1];
	struct extent_info e = {
		.volume = s->uuid, .uuid = x->uuid,
		.first_block = x->first_block,
		.created_us = ds->conf.env->wall_us(ds->conf.env),
	};

	memcpy(e.label, s->label, sizeof(e.label));
	(void)snprintf(e.lun_serial, sizeof(e.lun_serial), "%.60s",
	    lun->info.serial);
	(void)snprintf(e.place, sizeof(e.place), "%s", place);
	*ret_e = e;
}

/* It is ours, if to no use yet, and can be fenced. */
static int
prepare(struct ds *ds, const struct super *s, struct disk *lun,
    const char *place)
{
	struct extent_info e;
	int r;

	describe(ds, s, lun, place, &e);
	r = extent_write(lun, &e);
	if (r == 0)
		r = extent_note_write(ds->conf.disk, &ds->super, &e);
	if (r == 0)
		r = extents_attach(ds->conf.extents, &e.uuid, lun);
	return r;
}

static int
take_in(struct ds *ds, const struct super *s)
{
	int r = extents_follow(ds->conf.extents, s);

	if (r == 0)
		r = disk_refresh(ds->conf.disk);
	if (r == 0)
		r = ds_write_clusters(ds->conf.disk, s,
		    volume_clusters(&ds->super), volume_clusters(s));
	return r;
}

/* All of it that can fail and leave things as they were. */
static int
add(struct ds *ds, struct disk *lun, const char *place, char *why,
    struct super *ret_s)
{
	struct lockops *l = ds->conf.locks;
	struct uuid uuid;
	int r = check_lun(ds, lun, why);

	if (r == 0)
		r = is_ours(ds, lun);
	if (r < 0)
		return r;
	env_uuid(ds->conf.env, &uuid);
	r = volume_plan_extent(&ds->super, lun->info.size_bytes >> BLOCK_SHIFT,
	    &uuid, ret_s);
	if (r < 0)
		return r;
	r = l->vt->add_lun(l, lun, why);
	if (r < 0)
		return r;
	r = prepare(ds, ret_s, lun, place);
	if (r == 0)
		r = take_in(ds, ret_s);
	if (r == 0)
		return 0;
	extents_detach(ds->conf.extents, &uuid);
	if (extents_follow(ds->conf.extents, &ds->super) < 0 ||
	    extent_erase(lun) < 0)
		log_warn(ds->conf.env->log, "core: LUN %s may still say that "
		    "it is an extent", lun->info.name);
	l->vt->del_lun(l, lun);
	return r;
}

int
ds_extent_add(struct ds *ds, struct disk *lun, const char *place, char *why)
{
	struct super s;
	int r = ds_super_begin(ds);

	if (r == 0)
		r = add(ds, lun, place, why, &s);
	if (r < 0) {
		disk_close(lun);
		return r;
	}
	/* From the first copy on it may be one for good. */
	return ds_super_change(ds, &s);
}
