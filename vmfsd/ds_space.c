/* SPDX-License-Identifier: BSD-2-Clause */
/* Space of a datastore: asked for, watched, told. */
#include <stdio.h>

#include "libvmfs/base/units.h"
#include "vmfsd/ds_space.h"
#include "vmfsd/walk.h"

#define ASK_WAIT_NS (2 * NSEC_PER_SEC)
#define WATCH_NS (30 * NSEC_PER_SEC)
#define WALK_SHARE 20		/* rests so many times as long as it took */
#define BACK_PERCENT 2		/* below a threshold before it counts as left */

static const struct level {
	unsigned percent;	/* in use */
	const char *name;
} levels[] = {
	{ 0, "ok" }, { 75, "low" }, { 90, "very low" }, { 97, "nearly full" },
};
#define LEVELS (sizeof(levels) / sizeof(*levels))

const char *
ds_space_name(const struct datastore *d)
{
	return levels[d->space_level].name;
}

static unsigned
used_percent(const struct fs_statfs *s)
{
	uint64_t used = s->total_bytes - s->free_bytes;

	return s->total_bytes == 0 ? 0 :
	    (unsigned)(used / (s->total_bytes / 100 + 1));
}

static unsigned
level_of(unsigned percent, unsigned before)
{
	unsigned n = 0;

	for (unsigned i = 1; i < LEVELS; i++)
		if (percent >= levels[i].percent || (i <= before &&
		    percent + BACK_PERCENT >= levels[i].percent))
			n = i;
	return n;
}

static void
tell(struct datastore *d, unsigned level, unsigned percent)
{
	bool worse = level > d->space_level;
	char left[SIZE_TEXT_SIZE];

	log_line(d->env.log, worse ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
	    "datastore: %s: space is %s: %u %% in use, %s free%s", d->name,
	    levels[level].name, percent, size_text(d->space.free_bytes, left),
	    worse ? "; make the LUN larger (vmfsctl ds grow) or remove "
	    "something" : "");
}

static void
look(struct datastore *d)
{
	struct fs_statfs s;
	unsigned level;

	if (fs_statfs(d->fs, 0, &s) < 0)
		return;
	d->space = s;
	d->space_known = true;
	level = level_of(used_percent(&s), d->space_level);
	if (level != d->space_level)
		tell(d, level, used_percent(&s));
	d->space_level = level;
}

/* ---- on request ---- */

struct sum {
	struct fs *fs;
	uint64_t bytes;
};

static int
add_size(void *arg, const struct walk_entry *e)
{
	struct sum *s = arg;
	struct fs_attr a;

	/* What is gone meanwhile, or damaged, has no size. */
	if (e->type == INODE_DIR || fs_getattr(s->fs, e->ino, &a) != 0)
		return 0;
	/* One file can have as much as the sum may show. */
	s->bytes += a.size < INT64_MAX - s->bytes ? a.size :
	    INT64_MAX - s->bytes;
	return 0;
}

/* A walk through many files takes long: not more than a part of the time. */
static void
add_up(struct datastore *d)
{
	struct sum sum = { .fs = d->fs };
	uint64_t began = env_now(&d->env), ended;

	if (d->provisioned_known && began < d->provisioned_until_ns)
		return;
	if (walk_tree(d->fs, "/", add_size, &sum) < 0)
		return;
	d->provisioned = sum.bytes;
	d->provisioned_known = true;
	ended = env_now(&d->env);
	d->provisioned_until_ns = ended + (ended - began) * WALK_SHARE;
}

static void
ask_main(void *arg)
{
	struct datastore *d = arg;

	look(d);
	add_up(d);
	d->space_asked = false;
	fiber_cond_broadcast(&d->space_done);
}

void
ds_space_ask(struct datastore *d)
{
	uint64_t deadline = env_now(&d->env) + ASK_WAIT_NS;

	if (!d->space_asked && !d->space_stop) {
		d->space_asked = true;
		if (sched_spawn(d->env.sched, "space", ask_main, d) < 0)
			d->space_asked = false;
	}
	while (d->space_asked &&
	    fiber_cond_wait_until(&d->space_done, deadline))
		;
}

/* ---- on its own ---- */

static void
watch_main(void *arg)
{
	struct datastore *d = arg;

	while (!d->space_stop) {
		look(d);
		if (!d->space_stop)
			(void)fiber_cond_wait_until(&d->space_wake,
			    env_now(&d->env) + WATCH_NS);
	}
	d->space_watched = false;
	fiber_cond_broadcast(&d->space_done);
}

int
ds_space_start(struct datastore *d)
{
	int rc;

	d->space_level = 0;
	d->space_stop = d->space_known = d->space_asked = false;
	d->provisioned_known = false;
	fiber_cond_init(&d->space_done);
	fiber_cond_init(&d->space_wake);
	d->space_watched = true;
	rc = sched_spawn(d->env.sched, "space", watch_main, d);
	if (rc < 0)
		d->space_watched = false;
	return rc;
}

void
ds_space_stop(struct datastore *d)
{
	d->space_stop = true;
	if (d->space_watched)
		fiber_cond_broadcast(&d->space_wake);
	while (d->space_asked || d->space_watched)
		fiber_cond_wait(&d->space_done);
}
