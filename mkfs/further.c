/* SPDX-License-Identifier: BSD-2-Clause */
/* A LUN is added as to a datastore that is mounted, by its only host. */
#include "libvmfs/core/ds.h"
#include "libvmfs/core/extents.h"
#include "mkfs/further.h"

/* The first LUN stays its owner's. */
struct borrowed {
	struct disk disk;
	struct disk *below;
};

static void
borrowed_submit(struct disk *d, struct disk_req *req)
{
	disk_submit(container_of(d, struct borrowed, disk)->below, req);
}

static void
borrowed_close(struct disk *d)
{
	(void)d;
}

static const struct disk_ops borrowed_ops = {
	.submit = borrowed_submit, .close = borrowed_close,
};

/* What was added before has nothing that is needed here. */
static int
add(struct ds_conf *conf, struct disk *lun, const char *place,
    struct super *s, char *why)
{
	struct ds *ds;
	int rc = ds_open(conf, &ds), rc2;

	if (rc < 0) {
		disk_close(lun);
		return rc;
	}
	rc = ds_extent_add(ds, lun, place, why);
	*s = *ds_super(ds);
	rc2 = ds_close(ds);
	return rc < 0 ? rc : rc2;
}

int
further_add(struct env *env, struct disk *first, struct disk *lun,
    const char *place, struct super *s, char *why)
{
	struct borrowed b = {
		.disk = { .ops = &borrowed_ops, .info = first->info },
		.below = first,
	};
	struct ds_conf conf = { .env = env };
	int rc = extents_open(&b.disk, &conf.extents);

	if (rc < 0) {
		disk_close(lun);
		return rc;
	}
	conf.disk = conf.extents;
	rc = lock_local_new(env, conf.disk, s, &conf.locks);
	if (rc == 0)
		rc = add(&conf, lun, place, s, why);
	else
		disk_close(lun);
	lock_local_free(conf.locks);
	disk_close(conf.extents);
	return rc;
}
