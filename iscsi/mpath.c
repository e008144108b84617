/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening and closing a multipath disk, and the fiber that looks after it. */
#include <stdlib.h>
#include <string.h>

#include "iscsi/home_call.h"
#include "iscsi/mpath_int.h"

#define OTHERS_NS (2 * NSEC_PER_SEC)	/* once one leg has answered */

static void
manager_main(void *arg)
{
	struct mpath *mp = arg;

	while (!mp->stopping) {
		mpath_exorcise(mp);
		mpath_expire(mp);
		mpath_pump(mp);
		if (!mp->stopping)
			(void)fiber_cond_wait_until(&mp->changed,
			    env_now(mp->env) + MPATH_POLL_NS);
	}
	mp->fibers--;
	fiber_cond_broadcast(&mp->changed);
}

static int
start(struct mpath *mp)
{
	int rc = sched_spawn(mp->home, "mpath", manager_main, mp);

	if (rc < 0)
		return rc;
	mp->fibers++;
	for (unsigned i = 0; rc == 0 && i < mp->count; i++)
		rc = leg_start(&mp->legs[i]);
	return rc;
}

/* All fibers end, all legs are closed. */
static void
stop(struct mpath *mp)
{
	mp->stopping = true;
	fiber_cond_broadcast(&mp->changed);
	while (mp->fibers > 0)
		fiber_cond_wait(&mp->changed);
	for (unsigned i = 0; i < mp->count; i++)
		disk_close(mp->legs[i].disk);
}

static void
release(struct mpath *mp)
{
	void (*closed)(void *arg) = mp->conf.closed;
	void *arg = mp->conf.arg;

	free(mp);
	if (closed != NULL)
		closed(arg);
}

static int
close_home(void *arg)
{
	stop(arg);
	return 0;
}

static void
mpath_close(struct disk *d)
{
	struct mpath *mp = mpath_of(d);

	/* Without memory for a fiber there its sessions outlive it. */
	if (home_call(mp->home, close_home, mp) == 0)
		release(mp);
}

static int
refresh_home(void *arg)
{
	struct mpath *mp = arg;
	struct leg *l = mpath_pick(mp, DISK_READ, 0);
	int rc;

	if (l == NULL || l->disk == NULL)
		return -VMFS_EUNKNOWN;
	rc = disk_refresh(l->disk);
	if (rc == 0) {
		mp->disk.info.size_bytes = l->disk->info.size_bytes;
		mp->disk.info.phys_block_size = l->disk->info.phys_block_size;
	}
	return rc;
}

static int
mpath_refresh(struct disk *d)
{
	struct mpath *mp = mpath_of(d);

	return home_call(mp->home, refresh_home, mp);
}

static unsigned
mpath_late(struct disk *d)
{
	return atomic_load(&mpath_of(d)->late);
}

/* ---- for people ---- */

struct listing {
	struct mpath *mp;
	struct disk_path *p;
	unsigned max;
};

static int
list_home(void *arg)
{
	struct listing *g = arg;

	for (unsigned i = 0; i < g->mp->count && i < g->max; i++) {
		const struct leg *l = &g->mp->legs[i];
		struct disk_path *p = &g->p[i];

		*p = (struct disk_path){
			.state = mpath_state_name(l->state),
			.access = mpath_access_name(l->look.access),
			.group = l->look.group,
			.preferred = l->look.preferred,
			.since_us = l->since_us, .errors = l->errors,
			.losses = l->losses,
		};
		(void)strncpy(p->portal, l->conf.portal,
		    sizeof(p->portal) - 1);
	}
	return (int)g->mp->count;
}

static int
mpath_paths(struct disk *d, struct disk_path *p, unsigned max)
{
	struct listing g = { mpath_of(d), p, max };

	return home_call(g.mp->home, list_home, &g);
}

static const struct disk_ops mpath_ops = {
	.submit = mpath_submit,
	.refresh = mpath_refresh,
	.close = mpath_close,
	.late = mpath_late,
	.paths = mpath_paths,
};

/* ---- open ---- */

static struct mpath *
mpath_new(struct env *env, const struct mpath_conf *conf)
{
	struct mpath *mp = calloc(1, sizeof(*mp));

	if (mp == NULL)
		return NULL;
	mp->env = env;
	mp->home = sched_current();
	mp->disk.ops = &mpath_ops;
	mp->conf = *conf;
	(void)strncpy(mp->name, conf->name, sizeof(mp->name) - 1);
	mp->count = conf->count;
	for (unsigned i = 0; i < mp->count; i++) {
		mp->legs[i].mp = mp;
		mp->legs[i].conf = conf->legs[i];
		mp->legs[i].index = i;
		mp->legs[i].since_us = env->wall_us(env);
	}
	list_init(&mp->waiting);
	list_init(&mp->unknown);
	fiber_cond_init(&mp->changed);
	fiber_cond_init(&mp->drained);
	fiber_mutex_init(&mp->keys);
	return mp;
}

/* Counts legs with an answer, and good ones. */
static unsigned
tried(const struct mpath *mp, unsigned *ret_good)
{
	unsigned n = 0, good = 0;

	for (unsigned i = 0; i < mp->count; i++) {
		const struct leg *l = &mp->legs[i];

		n += l->tried;
		good += l->tried && (l->state == MPATH_ACTIVE ||
		    l->state == MPATH_INACTIVE);
	}
	*ret_good = good;
	return n;
}

/* The worst that a leg has to tell about the LUN, or why there is none. */
static int
verdict(const struct mpath *mp)
{
	unsigned good;

	(void)tried(mp, &good);
	for (unsigned i = 0; i < mp->count; i++)
		if (mp->legs[i].error == -EXDEV ||
		    mp->legs[i].error == -ENOTUNIQ)
			return mp->legs[i].error;
	if (good > 0)
		return 0;
	return mp->legs[0].error < 0 ? mp->legs[0].error : -ETIMEDOUT;
}

static void
wait_tried(struct mpath *mp)
{
	uint64_t until = UINT64_MAX;
	unsigned good;

	while (tried(mp, &good) < mp->count && env_now(mp->env) < until) {
		if (good > 0 && until == UINT64_MAX)
			until = env_now(mp->env) + OTHERS_NS;
		(void)fiber_cond_wait_until(&mp->changed,
		    env_now(mp->env) + MPATH_POLL_NS);
	}
}

int
mpath_open(struct env *env, const struct mpath_conf *conf,
    struct disk **ret_d)
{
	struct mpath *mp = mpath_new(env, conf);
	int rc;

	if (mp == NULL)
		return -ENOMEM;
	rc = start(mp);
	if (rc == 0) {
		wait_tried(mp);
		rc = verdict(mp);
	}
	if (rc < 0) {
		stop(mp);
		free(mp);
		return rc;
	}
	mp->opened = true;
	*ret_d = &mp->disk;
	return 0;
}
