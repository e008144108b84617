/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Telling the LUN what is free, so that a thin one becomes smaller: what commits
 * that are durable have freed.  An UNMAP is like a write to space that nobody
 * has: it goes through the lease check, is sent again when nobody knows what
 * became of it, and is ended by a fence.  Until it has ended, its chunks are out
 * of the allocator's reach.
 */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/volume.h"

#define COMMANDS_PER_PASS 32u	/* so that guests are not slowed */
#define COMMAND_CHUNKS 1024u	/* 64 MiB: what one keeps from the allocator */
#define CLUSTERS_PER_PASS 16u	/* that are looked at to tell what is free */
#define LEASES_DISCARDING 16u	/* kept only to tell the LUN what is free */

bool
discard_is_on(const struct ds *ds)
{
	return ds->conf.discard &&
	    (ds->conf.disk->info.caps & DISK_CAP_UNMAP) != 0;
}

static bool
has_news(const struct lease *l)
{
	return !bytes_are_zero(l->discard, sizeof(l->discard));
}

bool
discard_keeps(const struct ds *ds, const struct lease *l, unsigned open)
{
	return open <= LEASES_DISCARDING && discard_is_on(ds) && has_news(l);
}

bool
discard_wait(struct ds *ds)
{
	uint64_t seen = ds->discards;

	if (ds->discarding == 0)
		return false;
	while (ds->health == 0 && ds->discards == seen)
		fiber_cond_wait(&ds->changed);
	return ds->health == 0;
}

/* ---- clusters that the LUN was not told all of ---- */

static bool
untold_fit(struct ds *ds)
{
	uint64_t n = volume_clusters(&ds->super);
	uint8_t *map;

	if (n <= ds->untold_size)
		return true;
	map = calloc(1, n / 8 + 1);
	if (map == NULL)
		return false;
	if (ds->untold != NULL)
		memcpy(map, ds->untold, ds->untold_size / 8 + 1);
	free(ds->untold);
	ds->untold = map;
	ds->untold_size = n;
	return true;
}

static bool
is_untold(const struct ds *ds, uint64_t cluster)
{
	return cluster < ds->untold_size &&
	    bitmap_get(ds->untold, (uint32_t)cluster);
}

static void
set_untold(struct ds *ds, uint64_t cluster, bool on)
{
	if (is_untold(ds, cluster) == on || cluster >= ds->untold_size)
		return;
	bitmap_put(ds->untold, (uint32_t)cluster, on);
	ds->n_untold += on ? 1 : -(uint64_t)1;
}

void
discard_taken(struct ds *ds, struct lease *l)
{
	if (!is_untold(ds, l->cluster))
		return;
	set_untold(ds, l->cluster, false);
	for (uint32_t i = 0; i < l->info.chunks; i++)
		bitmap_put(l->discard, i, !bitmap_get(l->busy, i));
}

void
discard_given(struct ds *ds, const struct lease *l)
{
	/* Without memory the LUN is told by the next trim. */
	if (has_news(l) && untold_fit(ds))
		set_untold(ds, l->cluster, true);
}

/* The next one that can be leased; NULL: none of those that are looked at. */
static struct lease *
next_untold(struct ds *ds, unsigned *tries)
{
	struct lease *l;
	int r;

	for (uint64_t i = 0; ds->n_untold > 0 && *tries > 0 &&
	    i < ds->untold_size; i++) {
		uint64_t c = ds->untold_next++ % ds->untold_size;

		if (!is_untold(ds, c))
			continue;
		/* Its LUN is gone. */
		if (!volume_has_block(&ds->super, c *
		    ds->super.cluster_blocks))
			set_untold(ds, c, false);
		if (!ds_extent_is_usable(ds, c))
			continue;
		(*tries)--;
		r = lease_take(ds, c, &l);
		if (r == 0)
			return l;
		/* What another host leases is asked for again. */
		if (r == -VMFS_ECORRUPT)
			set_untold(ds, c, false);
	}
	return NULL;
}

/* ---- one pass ---- */

struct budget {
	unsigned commands;
	uint64_t chunks;
};

static struct budget
budget_of(const struct ds *ds)
{
	uint64_t ms = ds->conf.checkpoint_ms != 0 ? ds->conf.checkpoint_ms :
	    CHECKPOINT_MS_DEFAULT, rate = ds->conf.discard_rate;
	struct budget b = { COMMANDS_PER_PASS, UINT64_MAX };

	if (rate != 0)
		b.chunks = rate / CHUNK_SIZE * ms / 1000 + 1;
	return b;
}

/* Chunks that the LUN can only forget together. */
static uint32_t
unit_of(const struct ds *ds)
{
	uint32_t n = ds->conf.disk->info.unmap_granularity / CHUNK_SIZE;

	return n < 2 || n > CLUSTER_CHUNKS_MAX ? 1 : n;
}

/* What was told too early, while another chunk of its unit was in use, is told
 * once more with that. */
static void
widen(struct lease *l, uint32_t unit)
{
	for (uint32_t i = 0, end; unit > 1 && i < l->info.chunks; i = end) {
		bool news = false, all_free = true;

		end = i + unit < l->info.chunks ? i + unit : l->info.chunks;
		for (uint32_t k = i; k < end; k++) {
			news |= bitmap_get(l->discard, k);
			all_free &= !bitmap_get(l->busy, k);
		}
		for (uint32_t k = i; news && all_free && k < end; k++)
			bitmap_put(l->discard, k, true);
	}
}

/* Next run of chunks to discard, at or behind *from; made busy.  It is longer
 * than max by what its last unit has. */
static uint32_t
take_run(struct lease *l, uint64_t max, uint32_t unit, uint32_t *from)
{
	uint32_t i = *from, n = 0;

	for (; i < l->info.chunks && (n < max || i % unit != 0); i++) {
		bool want = bitmap_get(l->discard, i) &&
		    !bitmap_get(l->busy, i);

		bitmap_put(l->discard, i, false);
		if (want) {
			bitmap_put(l->busy, i, true);
			n++;
		} else if (n > 0) {
			break;
		}
	}
	*from = i;
	l->n_free -= n;
	return n;
}

static void
give_back_run(struct ds *ds, struct lease *l, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++)
		bitmap_put(l->busy, i, false);
	l->n_free += n;
	ds->discarding -= n;
	ds->discards++;
	fiber_cond_broadcast(&ds->changed);
}

static void
tell(struct ds *ds, struct lease *l, struct budget *b)
{
	uint32_t unit = unit_of(ds), at = 0, n;
	uint64_t max;
	int r;

	if (!has_news(l))
		return;
	l->users++;
	widen(l, unit);
	while (b->commands > 0 && b->chunks > 0 && ds->health == 0) {
		max = b->chunks < COMMAND_CHUNKS ? b->chunks : COMMAND_CHUNKS;
		n = take_run(l, max, unit, &at);
		if (n == 0)
			break;
		b->commands--;
		b->chunks -= n < b->chunks ? n : b->chunks;
		ds->discarding += n;
		r = disk_unmap(ds->conf.disk, (l->first_chunk + at - n) <<
		    CHUNK_SHIFT, (uint64_t)n << CHUNK_SHIFT);
		/* A hint that was not taken is no loss of data. */
		if (r < 0)
			log_debug(ds->conf.env->log, "core: unmap refused "
			    "error=%s", vmfs_strerror(r));
		give_back_run(ds, l, at - n, n);
	}
	l->users--;
}

void
discard_pass(struct ds *ds)
{
	struct budget b = budget_of(ds);
	unsigned tries = CLUSTERS_PER_PASS;
	struct lease *l;

	if (!discard_is_on(ds))
		return;
	list_for_each(node, tmp, &ds->leases) {
		tell(ds, list_entry(node, struct lease, link), &b);
		tmp = node->next;
	}
	while (b.commands > 0 && b.chunks > 0 && ds->health == 0 &&
	    !ds->stopping && ds->n_leases < LEASES_DISCARDING &&
	    (l = next_untold(ds, &tries)) != NULL)
		tell(ds, l, &b);
}

/* ---- for admins ---- */

int
ds_trim(struct ds *ds)
{
	uint64_t n = ds_open_clusters(ds);

	if (!discard_is_on(ds))
		return -EOPNOTSUPP;
	if (!untold_fit(ds))
		return -ENOMEM;
	for (uint64_t c = 0; c < n; c++)
		set_untold(ds, c, true);
	list_for_each(node, tmp, &ds->leases)
		discard_taken(ds, list_entry(node, struct lease, link));
	return 0;
}

struct ds_discards
ds_discards(const struct ds *ds)
{
	struct ds_discards d = {
		.on = discard_is_on(ds), .rate = ds->conf.discard_rate,
		.clusters = ds->n_untold,
	};

	list_for_each(node, tmp, &ds->leases)
		d.clusters += has_news(list_entry(node, struct lease, link));
	return d;
}
