/* SPDX-License-Identifier: BSD-2-Clause */
/* Three hosts of the simulator play in turn; see fsx.h. */
#include <stdlib.h>

#include "libvmfs/base/units.h"
#include "tests/crash/fsx.h"
#include "tests/crash/verify.h"
#include "tests/sim/world.h"

#define HOSTS 3u
#define PATIENCE_MS 120000u	/* virtual: until a dead host is taken over */
#define KEEP_MS 5000u
#define CHECK_NEXUS (SIM_NEXUS_MAX - 1)

struct cluster {
	struct world w;
	struct fsx *x;
	unsigned at;		/* host that plays */
	bool dead[HOSTS];	/* to be started again */
};

static struct cluster *
cluster_of(const struct script *s)
{
	return s->hosts_arg;
}

/* As long as it takes until the lock of a dead host is free. */
static int
play_on(struct script *s, unsigned i)
{
	struct cluster *c = cluster_of(s);
	struct world *w = &c->w;
	uint64_t end = w->sim.now_ns + PATIENCE_MS * NSEC_PER_MSEC;
	int r;

	c->at = i;
	s->box.fs = w->host[i].fs;
	s->box.ds = w->host[i].ds;
	s->box.env = w->host[i].env;
	while ((r = script_open_disk(s)) == -VMFS_ELOCKED &&
	    w->sim.now_ns < end)
		fiber_sleep(100 * NSEC_PER_MSEC);
	return r;
}

/* Another one, which is started when it is down. */
static int
next_host(struct script *s, unsigned *ret_i)
{
	struct cluster *c = cluster_of(s);
	unsigned i = (c->at + 1 + (unsigned)prng_below(&s->prng, HOSTS - 1)) %
	    HOSTS;
	int r = 0;

	if (c->dead[i]) {
		world_boot(&c->w, i);
		r = world_mount(&c->w, i);
	}
	if (r == 0) {
		c->dead[i] = false;
		*ret_i = i;
	}
	return r;
}

static int
hosts_remount(struct script *s)
{
	struct cluster *c = cluster_of(s);
	int r = script_close_disk(s);

	if (r == 0)
		r = world_unmount(&c->w, c->at);
	if (r == 0)
		r = world_mount(&c->w, c->at);
	return r == 0 ? play_on(s, c->at) : r;
}

static int
hosts_move(struct script *s)
{
	unsigned i = 0;
	int r = script_close_disk(s);

	if (r == 0)
		r = next_host(s, &i);
	return r == 0 ? play_on(s, i) : r;
}

static int
hosts_takeover(struct script *s)
{
	struct cluster *c = cluster_of(s);
	unsigned dead = c->at, i = 0;
	int r = next_host(s, &i);

	if (r < 0)
		return r;
	s->f = NULL;		/* closed with its host */
	world_crash(&c->w, dead);
	c->dead[dead] = true;
	return play_on(s, i);
}

static void
hosts_keep(struct script *s)
{
	(void)s;
	fiber_sleep(KEEP_MS * NSEC_PER_MSEC);
}

static int
hosts_begin(struct script *s)
{
	struct cluster *c = cluster_of(s);
	int r = 0;

	for (unsigned i = 0; i < HOSTS && r == 0; i++)
		r = world_mount(&c->w, i);
	s->box.fs = c->w.host[0].fs;
	s->box.ds = c->w.host[0].ds;
	s->box.env = c->w.host[0].env;
	return r;
}

static const struct script_hosts hosts = {
	.remount = hosts_remount, .move = hosts_move,
	.takeover = hosts_takeover, .keep = hosts_keep, .begin = hosts_begin,
};

/* ---- fsck ---- */

static int
unmount_all(struct cluster *c)
{
	int r = script_close_disk(&c->x->script), e;

	for (unsigned i = 0; i < HOSTS; i++) {
		e = c->dead[i] ? 0 : world_unmount(&c->w, i);
		c->dead[i] = true;
		r = r < 0 ? r : e;
	}
	return r;
}

static int
look(struct cluster *c, char *what, size_t size)
{
	struct disk *d;
	int r = sim_disk_open(&c->w.lun, CHECK_NEXUS, &d);

	if (r < 0)
		return r;
	/* What a host frees on a full volume in a cluster of another may find
	 * no room to be noted. */
	r = verify_unused(&c->w.env, d, c->x->script.full, what, size);
	disk_close(d);
	return r;
}

static int
hosts_check(struct fsx *x)
{
	struct cluster *c = x->arg;
	char what[400];
	int r = unmount_all(c);

	if (r == 0)
		r = look(c, what, sizeof(what));
	if (r == -EPROTO)
		fsx_fail(x, what);
	for (unsigned i = 0; i < HOSTS && r == 0; i++) {
		world_boot(&c->w, i);
		r = world_mount(&c->w, i);
		c->dead[i] = r < 0;
	}
	return r == 0 ? play_on(&x->script, c->at) : r;
}

static int
hosts_end(struct fsx *x)
{
	return x->result == 0 ? unmount_all(x->arg) : 0;
}

static void
play(struct world *w)
{
	struct cluster *c = container_of(w, struct cluster, w);

	fsx_play(c->x);
}

void
fsx_hosts(struct fsx *x)
{
	const struct world_conf conf = {
		.seed = x->conf.seed, .hosts = HOSTS,
		.protocol = LOCK_ATS_PR, .limit_ns = UINT64_MAX / 2,
		.block_size = x->script.variant.block_size,
		.lun_bytes = 256 * MIB,	/* clusters enough for all */
	};
	struct cluster *c = calloc(1, sizeof(*c));
	uint64_t hash;

	if (c == NULL)
		abort();
	c->x = x;
	x->arg = c;
	x->check = hosts_check;
	x->end = hosts_end;
	x->script.hosts = &hosts;
	x->script.hosts_arg = c;
	if (world_run(&c->w, &conf, play, &hash) < 0)
		fsx_fail(x, c->w.problem);
	free(c);
}
