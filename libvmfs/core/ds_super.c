/* SPDX-License-Identifier: BSD-2-Clause */
/* A mounted datastore goes by changes of its superblock. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/volume.h"

uint64_t
ds_open_clusters(const struct ds *ds)
{
	return (ds->open_blocks + ds->super.cluster_blocks - 1) /
	    ds->super.cluster_blocks;
}

uint32_t
ds_open_chunks(const struct ds *ds, uint64_t cluster)
{
	return volume_chunks_below(&ds->super, ds->open_blocks, cluster);
}

/* A change may add space and alter names, nothing else. */
static bool
follows(const struct super *a, const struct super *b)
{
	return uuid_equal(&a->uuid, &b->uuid) &&
	    uuid_equal(&a->new_uuid, &b->new_uuid) && b->blocks >= a->blocks &&
	    b->cluster_blocks == a->cluster_blocks &&
	    b->sector_size == a->sector_size && b->protocol == a->protocol &&
	    b->root_ino == a->root_ino && b->copy2_block == a->copy2_block;
}

static int
adopt(struct ds *ds, const struct super *s)
{
	uint64_t had = volume_clusters(&ds->super), has = volume_clusters(s);
	uint16_t *seen = ds->cluster_free;
	int r;

	if (!follows(&ds->super, s)) {
		log_error(ds->conf.env->log, "core: superblock of generation "
		    "%llu does not follow ours",
		    (unsigned long long)s->generation);
		return -VMFS_ECORRUPT;
	}
	r = ds_extents_follow(ds, s, true);
	if (r < 0)
		return r;
	if (seen != NULL) {
		seen = reallocarray(seen, has, sizeof(*seen));
		if (seen == NULL)
			return -ENOMEM;
		memset(seen + had, 0, (has - had) * sizeof(*seen));
		ds->cluster_free = seen;
		ds->cluster_scan_ns = 0;
	}
	ds->super = *s;
	lease_mark_leaving(ds);
	log_info(ds->conf.env->log, "core: superblock generation=%llu "
	    "blocks=%llu label=\"%s\"", (unsigned long long)s->generation,
	    (unsigned long long)s->blocks, s->label);
	return 0;
}

int
ds_super_reload(struct ds *ds)
{
	struct super s;
	unsigned copies;
	int r = super_reload(ds->conf.disk, &s, &copies);

	if (r == 0 && s.generation > ds->super.generation)
		r = adopt(ds, &s);
	return r;
}

static void
open_space(struct ds *ds)
{
	const struct lockops *l = ds->conf.locks;

	if (ds->open_blocks == ds->super.blocks ||
	    l->super_all < ds->super.generation)
		return;
	ds->open_blocks = ds->super.blocks;
	ds->full_until_ns[0] = ds->full_until_ns[1] = 0;
	lease_extend(ds);
	log_info(ds->conf.env->log, "core: all members know the new space: "
	    "blocks=%llu", (unsigned long long)ds->open_blocks);
}

bool
ds_space_opens(struct ds *ds)
{
	open_space(ds);
	return ds->open_blocks == ds->super.blocks;
}

int
ds_super_keep(struct ds *ds)
{
	struct lockops *l = ds->conf.locks;
	struct super s;
	int r = 0;

	if (l->super_seen > ds->super.generation)
		r = ds_super_reload(ds);
	if (r == 0 && l->super_told < ds->super.generation) {
		s = ds->super;
		r = l->vt->set_super(l, &s);
	}
	open_space(ds);
	if (r < 0 && r != ds->super_error && ds->health == 0)
		log_warn(ds->conf.env->log, "core: superblock not followed "
		    "error=%s", vmfs_strerror(r));
	ds->super_error = r;
	return r;
}

void
ds_super_mend(struct ds *ds, unsigned copies)
{
	struct lockops *l = ds->conf.locks;
	struct lock_grant g;
	int r;

	if (copies == SUPER_COPIES)
		return;
	/* Whoever has the lock may be in the middle of it. */
	r = l->vt->acquire(l, ds->super.root_ino, LOCK_EXCLUSIVE, LOCK_NOWAIT,
	    env_now(ds->conf.env), &g, NULL);
	if (r == 0) {
		int r2;

		r = super_mend(ds->conf.disk);
		r2 = l->vt->release(l, &g);
		r = r < 0 ? r : r2;
	}
	log_warn(ds->conf.env->log, "core: %u of %u copies of the superblock "
	    "were damaged or old: %s", SUPER_COPIES - copies, SUPER_COPIES,
	    r == 0 ? "written anew" : vmfs_strerror(r));
}

bool
ds_has_block(struct ds *ds, uint64_t block)
{
	if (volume_has_block(&ds->super, block))
		return true;
	return ds_super_reload(ds) == 0 && volume_has_block(&ds->super, block);
}
