/* SPDX-License-Identifier: BSD-2-Clause */
/* A path of the simulator as the multipath disk wants it. */
#include "tests/sim/sim_paths.h"

#include <stdlib.h>

#include "libvmfs/base/units.h"

#define LOGIN_NS (2 * NSEC_PER_MSEC)

/* A leg's disk: forwards to the path, so that its state can be asked. */
struct sim_leg {
	struct disk disk;
	struct disk *below;
	struct sim_lun *lun;
	unsigned nexus;
};

struct sim_pair {
	struct sim_lun *lun;
	struct leg_arg {
		struct sim_pair *pair;
		unsigned nexus;
	} leg[2];
};

static struct sim_leg *
leg_of(struct disk *d)
{
	return container_of(d, struct sim_leg, disk);
}

static void
forward(struct disk *d, struct disk_req *req)
{
	struct sim_leg *l = leg_of(d);

	l->below->ops->submit(l->below, req);
}

static void
leg_close(struct disk *d)
{
	disk_close(leg_of(d)->below);
	free(leg_of(d));
}

static const struct disk_ops leg_disk_ops = {
	.submit = forward,
	.close = leg_close,
};

static enum path_state
path_of(const struct sim_leg *l)
{
	return l->lun->nexus[l->nexus].path;
}

static int
leg_open(void *arg, struct disk **ret_d)
{
	struct leg_arg *a = arg;
	struct sim_leg *l;
	int rc;

	if (a->pair->lun->nexus[a->nexus].path == PATH_LOST)
		return -ETIMEDOUT;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	l->lun = a->pair->lun;
	l->nexus = a->nexus;
	rc = sim_disk_open(l->lun, l->nexus, &l->below);
	if (rc < 0) {
		free(l);
		return rc;
	}
	l->disk.ops = &leg_disk_ops;
	l->disk.info = l->below->info;
	*ret_d = &l->disk;
	return 0;
}

/* A path that is cut answers too, in a session of its own: that the LUN is
 * gone. */
static bool
leg_alive(struct disk *d, uint64_t *ret_epoch)
{
	struct sim_leg *l = leg_of(d);

	*ret_epoch = l->lun->nexus[l->nexus].sessions + 1 +
	    (path_of(l) == PATH_CUT);
	return path_of(l) != PATH_LOST;
}

static int
leg_look(struct disk *d, struct mpath_look *ret_look)
{
	*ret_look = (struct mpath_look){ .access = MPATH_OPTIMIZED };
	return path_of(leg_of(d)) == PATH_LOST ? -ENOTCONN : 0;
}

static int
leg_reset(struct disk *d)
{
	struct sim_leg *l = leg_of(d);

	do
		fiber_sleep(LOGIN_NS);
	while (path_of(l) == PATH_PAUSED);
	if (path_of(l) != PATH_UP)
		return -VMFS_EUNKNOWN;
	sim_lun_reset(l->lun, l->nexus);
	return 0;
}

static void
leg_expect_reset(struct disk *d)
{
	(void)d;
}

static int
leg_reinstate(struct disk *d, struct disk *dead)
{
	struct sim_leg *via = leg_of(d), *gone = leg_of(dead);

	do
		fiber_sleep(LOGIN_NS);
	while (path_of(via) == PATH_PAUSED);
	if (path_of(via) != PATH_UP)
		return -ENOTCONN;
	sim_path_exorcise(gone->lun, gone->nexus);
	return 0;
}

static void
leg_drop(struct disk *d)
{
	struct sim_leg *l = leg_of(d);

	if (path_of(l) != PATH_UP)
		return;
	sim_path_lose(l->lun, l->nexus);
	sim_path_heal(l->lun, l->nexus);
}

static const struct mpath_leg_ops leg_ops = {
	.open = leg_open,
	.alive = leg_alive,
	.look = leg_look,
	.reset = leg_reset,
	.expect_reset = leg_expect_reset,
	.reinstate = leg_reinstate,
	.drop = leg_drop,
};

int
sim_paths_open(struct env *env, struct sim_lun *lun, unsigned first,
    unsigned second, struct disk **ret_d)
{
	struct sim_pair *p = calloc(1, sizeof(*p));
	struct mpath_conf conf = { .name = "sim:paths", .count = 2,
		.timeout_ms = 4000, .closed = free, .arg = p };
	int rc;

	if (p == NULL)
		return -ENOMEM;
	p->lun = lun;
	p->leg[0] = (struct leg_arg){ p, first };
	p->leg[1] = (struct leg_arg){ p, second };
	for (unsigned i = 0; i < 2; i++)
		conf.legs[i] = (struct mpath_leg_conf){ .ops = &leg_ops,
			.arg = &p->leg[i], .portal = i == 0 ? "a" : "b" };
	rc = mpath_open(env, &conf, ret_d);
	if (rc < 0)
		free(p);
	return rc;
}
