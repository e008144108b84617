/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening and closing a datastore, and its housekeeper. */
#include <limits.h>
#include <stdlib.h>

#include "libvmfs/base/units.h"
#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/softlog.h"

struct env *
ds_env(const struct ds *ds)
{
	return ds->conf.env;
}

struct disk *
ds_disk(const struct ds *ds)
{
	return ds->conf.disk;
}

struct lockops *
ds_locks(const struct ds *ds)
{
	return ds->conf.locks;
}

const struct super *
ds_super(const struct ds *ds)
{
	return &ds->super;
}

bool
ds_readonly(const struct ds *ds)
{
	return ds->conf.readonly;
}

int
ds_health(const struct ds *ds)
{
	return ds->health;
}

static void
stop(struct ds *ds, int error)
{
	ds->health = error;
	fiber_cond_broadcast(&ds->changed);
	fiber_cond_broadcast(&ds->keeper_wake);
}

void
ds_fail(struct ds *ds, int error, const char *what)
{
	if (ds->health < 0)
		return;
	log_error(ds->conf.env->log, "core: datastore stopped at=%s error=%s",
	    what, vmfs_strerror(error));
	/* Whoever is told that there is no space waits until there is. */
	stop(ds, error == -ENOSPC ? -EIO : error);
}

void
ds_abandon(struct ds *ds)
{
	stop(ds, -VMFS_EFENCED);
}

/* ---- the housekeeper ---- */

#define RETIRE_PER_PASS 256u	/* metachunks */

static bool
has_work(const struct ds *ds)
{
	return !list_empty(&ds->txn.dirty) || !list_empty(&ds->logged) ||
	    ds->journal.sequence != ds->journal.tail_sequence;
}

static int
keep_once(struct ds *ds)
{
	int r = 0;

	/* What it could not do it tries again the next time. */
	(void)!ds_super_keep(ds);
	ds_extents_keep(ds);
	if (has_work(ds))
		r = ds_checkpoint(ds, 0);
	if (r == 0)
		discard_pass(ds);
	if (r == 0)
		r = mchunk_retire(ds, RETIRE_PER_PASS);
	if (r == 0)
		r = remote_free_apply(ds);
	if (r == 0)
		r = space_answer(ds);
	if (r == 0)
		r = lease_trim(ds, false);
	return r;
}

/* What commits asked for while nobody waited. */
static void
keep_journal(struct ds *ds)
{
	int r = 0;

	while (r == 0 && ds->health == 0 && !ds->stopping) {
		if (ds->ckpt.armed && !ds->ckpt.running) {
			ckpt_finish(ds);
		} else if (ds->wants_checkpoint) {
			ds->wants_checkpoint = false;
			r = ds_checkpoint(ds, 0);
		} else {
			return;
		}
	}
}

static void
keeper(void *arg)
{
	struct ds *ds = arg;
	uint64_t every = (ds->conf.checkpoint_ms ? ds->conf.checkpoint_ms :
	    CHECKPOINT_MS_DEFAULT) * NSEC_PER_MSEC;
	uint64_t due = env_now(ds->conf.env) + every;
	int r;

	while (!ds->stopping) {
		keep_journal(ds);
		/* Its wake-up may have come just now. */
		if (ds->stopping)
			break;
		if (ds->health < 0)
			fiber_cond_wait(&ds->keeper_wake);
		else if (fiber_cond_wait_until(&ds->keeper_wake, due))
			continue;
		if (ds->stopping || ds->health < 0)
			continue;
		r = keep_once(ds);
		if (r < 0 && ds->health == 0)
			log_warn(ds->conf.env->log, "core: housekeeping put "
			    "off error=%s", vmfs_strerror(r));
		due = env_now(ds->conf.env) + every;
	}
	ds->keeper_runs = false;
	fiber_cond_broadcast(&ds->changed);
}

static void
keeper_stop(struct ds *ds)
{
	ds->stopping = true;
	fiber_cond_broadcast(&ds->keeper_wake);
	while (ds->keeper_runs)
		fiber_cond_wait(&ds->changed);
}

/* ---- open ---- */

/* Hosts start far apart, so that they seldom want the same cluster. */
static uint64_t
first_cluster(const struct ds *ds)
{
	unsigned slot = ds->conf.locks->slot, spread = 0;

	for (unsigned i = 0; i < 8; i++)
		spread |= (slot >> i & 1) << (7 - i);
	return ds_open_clusters(ds) * spread / SLOTS_MAX;
}

static int
open_slot(struct ds *ds)
{
	uint64_t addr = SLOT_TABLE_BLOCK + ds->conf.locks->slot;
	int r;

	ds->slot_grant = (struct lock_grant) {
		addr, LOCK_EXCLUSIVE, ds->conf.locks->incarnation,
	};
	r = mb_read(ds, &ds->slot_grant, addr, BLOCK_SLOT, &ds->slot_block);
	return r < 0 ? r : slot_info_check(ds->slot_block->data);
}

/* A new one may have to wait for what others lease. */
static int
open_journal(struct ds *ds)
{
	int r = journal_open(ds);

	if (r != -ENOSPC)
		return r;
	r = space_wait(ds, ds->super.journal_blocks / CHUNK_BLOCKS);
	return r < 0 ? r : journal_open(ds);
}

static int
open_writable(struct ds *ds)
{
	int r;

	if ((ds->super.ro_compat & ~FEATURE_RO_COMPAT_KNOWN) != 0)
		return -EROFS;
	ds->open_blocks = ds->super.prev_blocks > 0 ? ds->super.prev_blocks :
	    ds->super.blocks;
	r = ds_super_keep(ds);
	if (r < 0)
		return r;
	ds->next_cluster = first_cluster(ds);
	r = open_slot(ds);
	if (r == 0)
		r = open_journal(ds);
	if (r == 0)
		r = sched_spawn(ds->conf.env->sched, "ds keeper", keeper, ds);
	if (r == 0)
		ds->keeper_runs = true;
	return r;
}

static void
ds_init(struct ds *ds, const struct ds_conf *conf)
{
	ds->conf = *conf;
	fiber_cond_init(&ds->changed);
	fiber_cond_init(&ds->keeper_wake);
	fiber_mutex_init(&ds->lease_lock);
	fiber_mutex_init(&ds->asking);
	list_init(&ds->logged);
	list_init(&ds->leases);
	list_init(&ds->lru);
	list_init(&ds->txn.dirty);
	list_init(&ds->soft_dirty);
	ds->txn.ds = ds;
	ds->txn.id = 1;
}

static void
ds_free(struct ds *ds)
{
	if (ds == NULL)
		return;
	ckpt_drop(ds);
	lease_forget_all(ds);
	mb_put(ds->slot_block);
	cache_fini(ds);
	free(ds->cluster_free);
	free(ds->untold);
	free(ds);
}

static void
open_failed(struct ds *ds)
{
	int r = ds->n_leases > 0 ? lease_trim(ds, true) : 0;

	if (r < 0)
		log_warn(ds->conf.env->log, "core: leases not given back "
		    "error=%s", vmfs_strerror(r));
	ds_free(ds);
}

int
ds_open(const struct ds_conf *conf, struct ds **ret_ds)
{
	struct ds *ds = calloc(1, sizeof(*ds));
	unsigned copies = SUPER_COPIES;
	int r;

	if (ds == NULL)
		return -ENOMEM;
	ds_init(ds, conf);
	if (conf->soft != NULL)
		softlog_clear(conf->soft);
	r = super_reload(conf->disk, &ds->super, &copies);
	if (r == 0)
		r = ds_extents_follow(ds, &ds->super, false);
	if (r == 0)
		r = cache_init(ds);
	if (r == 0 && !conf->readonly)
		r = open_writable(ds);
	if (r == 0 && !conf->readonly)
		ds_super_mend(ds, copies);
	if (r < 0) {
		open_failed(ds);
		return r;
	}
	*ret_ds = ds;
	return 0;
}

static int
close_writable(struct ds *ds)
{
	int r = ds->health;

	if (r == 0)
		r = remote_free_apply(ds);
	if (r == 0)
		r = ds_checkpoint(ds, 0);
	/* Where damage is in the way the space stays metadata's. */
	if (r == 0 && mchunk_retire(ds, UINT_MAX) < 0)
		r = ds->health;
	discard_pass(ds);
	if (r == 0)
		r = lease_trim(ds, true);
	/* What lies on a lost LUN is left to a replay when it is back. */
	return r == 0 && !list_empty(&ds->leases) ? -VMFS_EEXTENT : r;
}

int
ds_close(struct ds *ds)
{
	int r = 0;

	keeper_stop(ds);
	while (ds->probing)
		fiber_cond_wait(&ds->changed);
	if (!ds->conf.readonly)
		r = close_writable(ds);
	ds_free(ds);
	return r;
}
