/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulated cluster. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/ds.h"
#include "libvmfs/core/extents.h"
#include "locking/lease.h"
#include "locking/watchdog.h"
#include "tests/sim/sim_paths.h"
#include "tests/sim/world.h"

#define LUN_BYTES (256 * MIB)
#define CALL_POLL_NS (100 * (uint64_t)1000)
#define ZERO_MAX_NS (100 * 24 * 3600 * NSEC_PER_SEC)

bool
world_failed(const struct world *w)
{
	return w->problem[0] != '\0';
}

void
world_fail(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (world_failed(w))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(w->problem, sizeof(w->problem), fmt, ap);
	va_end(ap);
	log_warn(w->env.log, "sim: at=%llu problem=\"%s\"",
	    (unsigned long long)w->sim.now_ns, w->problem);
}

static void
on_status(void *arg, enum host_status status, const char *why)
{
	struct world_host *wh = arg;

	wh->status = status;
	wh->frozen_times += status == HOST_FROZEN;
	wh->fenced_times += status == HOST_FENCED;
	(void)snprintf(wh->why, sizeof(wh->why), "%s", why);
	if (status == HOST_FENCED && wh->ds != NULL)
		wh->world->abandon(wh);
}

static void
on_takeover(void *arg, const struct takeover_report *r)
{
	struct world_host *wh = arg;

	wh->takeovers += r->result == 0;
	wh->takeover_troubles += r->result != 0;
}

/* Each host has a data and a heartbeat path. */
static unsigned
nexus(unsigned i, bool heartbeat)
{
	return 2 * i + heartbeat;
}

/* With two paths the second ones lie in the upper half. */
static unsigned
second(unsigned n)
{
	return SIM_NEXUS_MAX / 2 + n;
}

static int
open_path(struct world *w, struct world_host *wh, unsigned n,
    struct disk **ret_d)
{
	if (w->paths < 2)
		return sim_disk_open(&w->lun, n, ret_d);
	return sim_paths_open(&wh->env, &w->lun, n, second(n), ret_d);
}

int
world_open_further(struct world *w, unsigned i, struct disk **ret_d)
{
	return w->host[i].lacks_further ? -ENOENT :
	    sim_disk_open(&w->further, nexus(i, false), ret_d);
}

int
world_find_extent(void *arg, const struct super *s, unsigned e,
    struct disk **ret_lun)
{
	const struct world_host *wh = arg;
	struct disk *d;
	int rc = world_open_further(wh->world, wh->index, &d);

	if (rc < 0)
		return rc;
	rc = extent_check(d, s, e);
	if (rc < 0)
		disk_close(d);
	else
		*ret_lun = d;
	return rc;
}

/* As vmfsd does before it joins. */
static int
bring_further(struct world *w, struct world_host *wh)
{
	struct disk *all, *lun;
	int rc = extents_open(wh->lun, &all);

	if (rc < 0)
		return rc;
	wh->lun = all;
	rc = super_read(all, &w->super);
	for (unsigned i = 1; rc == 0 && i < w->super.extents; i++) {
		if (world_find_extent(wh, &w->super, i, &lun) < 0)
			continue;
		rc = extents_attach(all, &w->super.extent[i].uuid, lun);
	}
	return rc < 0 ? rc : extents_follow(all, &w->super);
}

static int
open_paths(struct world *w, struct world_host *wh)
{
	int rc = open_path(w, wh, nexus(wh->index, false), &wh->lun);

	if (rc == 0 && w->has_further)
		rc = bring_further(w, wh);

	if (rc == 0 && wh->tool)
		wh->hb_lun = wh->lun;
	else if (rc == 0)
		rc = open_path(w, wh, nexus(wh->index, true), &wh->hb_lun);
	return rc;
}

static void
each_path(struct world *w, unsigned i,
    void (*fn)(struct sim_lun *l, unsigned nexus))
{
	for (unsigned n = 2 * i; n < 2 * i + 2; n++) {
		fn(&w->lun, n);
		if (w->has_further)
			fn(&w->further, n);
		if (w->paths > 1)
			fn(&w->lun, second(n));
	}
}

void
world_lose_path(struct world *w, unsigned i, unsigned path)
{
	for (unsigned n = 2 * i; n < 2 * i + 2; n++)
		sim_path_lose(&w->lun, path == 0 ? n : second(n));
}

void
world_heal_path(struct world *w, unsigned i, unsigned path)
{
	for (unsigned n = 2 * i; n < 2 * i + 2; n++)
		sim_path_heal(&w->lun, path == 0 ? n : second(n));
}

static void
close_paths(struct world_host *wh)
{
	if (wh->hb_lun != wh->lun)
		disk_close(wh->hb_lun);
	disk_close(wh->lun);
	wh->lun = wh->hb_lun = NULL;
}

/* Its pets do not matter here: what makes it bite ends in world_crash. */
static int
dog_pet(struct watchdog *dog)
{
	(void)dog;
	return 0;
}

static void
dog_close(struct watchdog *dog, bool disarm)
{
	(void)disarm;
	free(dog);
}

static int
dog_open(void *arg, struct watchdog **ret_w)
{
	static const struct watchdog_ops ops = { dog_pet, dog_close };
	const struct world *w = arg;
	struct watchdog *dog = calloc(1, sizeof(*dog));

	if (dog == NULL)
		return -ENOMEM;
	*dog = (struct watchdog){
		.ops = &ops, .can_disarm = true, .name = "sim",
		.timeout_ms = w->super.timers.watchdog_ms,
	};
	*ret_w = dog;
	return 0;
}

/* Where the protocol asks for one. */
static int
give_watchdog(struct world *w, struct world_host *wh)
{
	struct watchdog_share_conf conf = {
		.open = dog_open, .arg = w, .name = "sim",
	};

	if (!lease_by_time(w->super.protocol) || wh->watchdog != NULL ||
	    wh->no_watchdog)
		return 0;
	return watchdog_share_new(&conf, &wh->watchdog);
}

static enum member_word
word(struct member *m, const struct uuid *host)
{
	static const enum member_word words[] = {
		MEMBER_NO_WORD, MEMBER_UP, MEMBER_GONE,
	};
	struct world *w = container_of(m, struct world, member);

	(void)host;
	switch (w->net) {
	case NET_SILENT:
		return MEMBER_NO_WORD;
	case NET_SAYS_UP:
		return MEMBER_UP;
	case NET_SAYS_GONE:
		return MEMBER_GONE;
	case NET_CHATTERS:
		break;
	}
	return words[sim_below(&w->sim, 3)];
}

static const struct member_ops member_ops = { .word = word };

struct call {
	int (*fn)(struct world *w, unsigned i);
	struct world *w;
	unsigned i;
	int rc;
	bool done;
};

static void
call_main(void *arg)
{
	struct call *c = arg;

	c->rc = c->fn(c->w, c->i);
	c->done = true;
}

int
world_call(struct world *w, unsigned i, int (*fn)(struct world *w,
    unsigned i))
{
	struct call c = { .fn = fn, .w = w, .i = i };

	if (w->host[i].env.sched == sched_current())
		return fn(w, i);
	if (sched_spawn(w->host[i].env.sched, "call", call_main, &c) < 0)
		abort();
	while (!c.done)
		fiber_sleep(CALL_POLL_NS);
	return c.rc;
}

static int
join(struct world *w, unsigned i)
{
	struct world_host *wh = &w->host[i];
	int rc = give_watchdog(w, wh);
	struct host_conf conf = {
		.name = wh->name, .host = wh->uuid, .machine = wh->machine,
		.boot = wh->boot, .home = wh->home, .process = wh->process,
		.member = &w->member,
		.on_status = on_status, .on_takeover = on_takeover, .arg = wh,
		.watchdog = wh->watchdog, .keep = wh->keep, .soft = wh->soft,
	};

	conf.repairs = wh->tool;
	if (wh->tool) {
		conf.member = NULL;
		conf.on_status = NULL;
		conf.on_takeover = NULL;
	}
	if (rc == 0)
		rc = open_paths(w, wh);
	if (rc == 0)
		rc = host_join(&wh->env, &wh->env, wh->lun, wh->hb_lun,
		    &w->super, &conf, &wh->host, wh->why);
	if (rc < 0)
		close_paths(wh);
	wh->status = HOST_OK;
	return rc;
}

int
world_join(struct world *w, unsigned i)
{
	return world_call(w, i, join);
}

static int
leave(struct world_host *wh, bool crash)
{
	int rc = host_leave(wh->host, crash);

	wh->host = NULL;
	close_paths(wh);
	return rc;
}

static int
leave_clean(struct world *w, unsigned i)
{
	return leave(&w->host[i], false);
}

int
world_leave(struct world *w, unsigned i)
{
	return world_call(w, i, leave_clean);
}

static int
leave_dirty(struct world *w, unsigned i)
{
	return leave(&w->host[i], true);
}

int
world_leave_dirty(struct world *w, unsigned i)
{
	return world_call(w, i, leave_dirty);
}

void
world_crash_begin(struct world *w, unsigned i)
{
	if (w->lun.nexus[nexus(i, false)].path == PATH_CUT)
		return;
	each_path(w, i, sim_path_cut);
	if (w->host[i].ds != NULL)
		w->abandon(&w->host[i]);
}

static int
drain(struct world *w, unsigned i)
{
	if (w->host[i].ds != NULL)
		w->unmount_dead(&w->host[i]);
	return leave(&w->host[i], true);
}

void
world_crash(struct world *w, unsigned i)
{
	world_crash_begin(w, i);
	(void)world_call(w, i, drain);
}

static uint64_t
number(struct world *w)
{
	return env_random_u64(&w->env) | 1;
}

void
world_boot(struct world *w, unsigned i)
{
	env_uuid(&w->env, &w->host[i].boot);
	w->host[i].home = number(w);
	world_restart(w, i);
}

void
world_restart(struct world *w, unsigned i)
{
	w->host[i].process = number(w);
	each_path(w, i, sim_path_reset);
}

void
world_lose_paths(struct world *w, unsigned i)
{
	each_path(w, i, sim_path_lose);
}

void
world_heal_paths(struct world *w, unsigned i)
{
	each_path(w, i, sim_path_heal);
}

void
world_pause(struct world *w, unsigned i)
{
	each_path(w, i, sim_path_pause);
}

void
world_resume(struct world *w, unsigned i)
{
	each_path(w, i, sim_path_resume);
}

bool
world_wait(struct world *w, bool (*cond)(struct world *w, unsigned i),
    unsigned i, uint64_t ms)
{
	uint64_t end = w->sim.now_ns + ms * NSEC_PER_MSEC;

	while (!cond(w, i)) {
		if (w->sim.now_ns >= end)
			return false;
		fiber_sleep(20 * NSEC_PER_MSEC);
	}
	return true;
}

static int
make_datastore(struct world *w, const struct world_conf *conf)
{
	struct mkds_conf mk = { .label = "sim", .protocol = conf->protocol };
	struct disk *d;
	int rc;

	env_uuid(&w->env, &mk.uuid);
	rc = sim_disk_open(&w->lun, SIM_NEXUS_MAX - 1, &d);
	if (rc < 0)
		return rc;
	rc = mkds_plan(&d->info, &mk, &w->super);
	if (rc == 0)
		rc = mkds_write(&w->env, d, &mk, &w->super);
	disk_close(d);
	return rc;
}

struct run {
	struct world *w;
	const struct world_conf *conf;
};

static void
run_main(void *arg)
{
	struct run *r = arg;
	struct world *w = r->w;
	int rc = make_datastore(w, r->conf);

	if (rc < 0) {
		world_fail(w, "mkfs: %s", vmfs_strerror(rc));
		return;
	}
	w->lun.faults = w->further.faults = r->conf->faults;
	w->play(w);
	/* What a failed play left behind. */
	for (unsigned i = 0; i < w->hosts; i++)
		if (w->host[i].host != NULL)
			world_crash(w, i);
}

/* Mostly the worst; the zero is where a machine of some age is. */
static void
add_clock(struct world *w, unsigned i, unsigned ppm)
{
	int64_t drift = (int64_t)(sim_below(&w->sim, 3) == 0 ?
	    sim_below(&w->sim, ppm) : ppm);

	sim_clock_init(&w->sim, &w->clock[i], sim_below(&w->sim,
	    ZERO_MAX_NS), sim_below(&w->sim, 2) == 0 ? drift : -drift);
	w->host[i].env.sched = &w->clock[i].sched;
}

static void
add_host(struct world *w, unsigned i)
{
	struct world_host *wh = &w->host[i];

	wh->world = w;
	wh->index = i;
	sim_env_init(&w->sim, &wh->env, w->env.log);
	(void)snprintf(wh->name, sizeof(wh->name), "host%u", i);
	env_uuid(&w->env, &wh->uuid);
	env_uuid(&w->env, &wh->machine);
	env_uuid(&w->env, &wh->boot);
	wh->home = number(w);
	wh->process = number(w);
}

static void
judge_end(struct world *w, enum sim_end end)
{
	static const char *const names[] = {
		[SIM_DONE] = "done", [SIM_LEFTOVERS] = "fibers left over",
		[SIM_STUCK] = "stuck: nobody will ever run again",
		[SIM_TIMEOUT] = "virtual time is up",
	};

	if (end != SIM_DONE)
		world_fail(w, "%s", names[end]);
}

static unsigned
caps_of(enum lock_protocol protocol)
{
	switch (protocol) {
	case LOCK_ATS_PR:
		return DISK_CAP_CAW | DISK_CAP_UNMAP | DISK_CAP_PR;
	case LOCK_FILE:
		return DISK_CAP_CAW | DISK_CAP_UNMAP | DISK_CAP_HOLD;
	case LOCK_ATS_WATCHDOG:
		return DISK_CAP_CAW | DISK_CAP_UNMAP;
	case LOCK_RESERVE:
		break;
	}
	return DISK_CAP_RESERVE | DISK_CAP_UNMAP;
}

static void
take_watchdogs(struct world *w)
{
	for (unsigned i = 0; i < WORLD_HOSTS_MAX; i++)
		if (lease_by_time(w->super.protocol))
			watchdog_share_free(w->host[i].watchdog);
}

/* With virtual time. */
static void
log_sink_sim(struct log *log, enum log_level level, const char *line)
{
	const struct world *w = log->arg;

	fprintf(stderr, "%10.3f %s: %s\n", (double)w->sim.now_ns /
	    (double)NSEC_PER_SEC, log_level_name(level), line);
}

int
world_run(struct world *w, const struct world_conf *conf,
    void (*play)(struct world *w), uint64_t *ret_hash)
{
	unsigned caps = caps_of(conf->protocol);
	struct run r = { .w = w, .conf = conf };
	int rc;

	memset(w, 0, sizeof(*w));
	w->seed = conf->seed;
	w->play = play;
	w->log = (struct log){
		.level = LOG_LEVEL_DEBUG,
		.sink = log_sink_sim,
		.arg = w,
	};
	sim_init(&w->sim, conf->seed);
	sim_env_init(&w->sim, &w->env, getenv("WORLD_LOG") != NULL ? &w->log :
	    NULL);
	rc = sim_lun_init(&w->lun, &w->sim,
	    conf->lun_bytes != 0 ? conf->lun_bytes : LUN_BYTES,
	    conf->block_size != 0 ? conf->block_size : 512, caps);
	if (rc < 0)
		return rc;
	w->has_further = conf->further_bytes != 0;
	if (w->has_further)
		rc = sim_lun_init(&w->further, &w->sim, conf->further_bytes,
		    w->lun.info.block_size, caps);
	if (rc < 0)
		return rc;
	if (conf->unmap_granularity != 0)
		w->lun.info.unmap_granularity = conf->unmap_granularity;
	if (conf->first_bytes != 0)
		w->lun.info.size_bytes = conf->first_bytes;
	w->hosts = conf->hosts;
	w->paths = conf->paths;
	w->discard = !conf->no_discard;
	w->discard_rate = conf->discard_rate;
	w->net = conf->net;
	w->member.ops = &member_ops;
	for (unsigned i = 0; i < w->hosts; i++)
		add_host(w, i);
	for (unsigned i = 0; conf->drift_ppm > 0 && i < w->hosts; i++)
		add_clock(w, i, conf->drift_ppm);
	judge_end(w, sim_run(&w->sim, conf->limit_ns != 0 ? conf->limit_ns :
	    3600 * NSEC_PER_SEC, run_main, &r));
	*ret_hash = w->sim.hash;
	take_watchdogs(w);
	sim_lun_fini(&w->lun);
	if (w->has_further)
		sim_lun_fini(&w->further);
	sim_fini(&w->sim);
	return world_failed(w) ? -EPROTO : 0;
}
