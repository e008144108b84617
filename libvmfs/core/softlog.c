/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing the log of softlog.h, from the blocks of the running transaction. */
#include <string.h>

#include "libvmfs/base/crc32c.h"
#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/softlog_impl.h"

void
softlog_clear(struct softlog *s)
{
	for (unsigned i = 0; i < 2; i++)
		atomic_store(&s->area[i].used, 0);
	atomic_store(&s->active, 0);
}

/* Stored before the map's entries are told to other threads, and taken back
 * after the log has them. */
void
soft_tell(struct ds *ds)
{
	bool behind = ds->soft_gap || !list_empty(&ds->soft_dirty);

	if (atomic_load(&ds->soft_behind) != behind)
		atomic_store(&ds->soft_behind, behind);
}

bool
ds_is_behind(const struct ds *ds)
{
	return atomic_load(&ds->soft_behind);
}

/* What of the block this log does not have. */
static uint64_t
news_of(const struct mb *mb)
{
	/* The sector of the lock record is not ours to log. */
	return block_hdr_offset(mb->pub.type) != 0 ?
	    mb->soft & ~(uint64_t)0xff : mb->soft;
}

static size_t
all_news(struct ds *ds, uint8_t *buf, size_t pos, uint32_t *records)
{
	list_for_each(node, tmp, &ds->soft_dirty) {
		struct mb *mb = list_entry(node, struct mb, soft_link);

		if (!mb->freed)
			pos += log_block(mb, news_of(mb), false, buf, pos,
			    records);
	}
	return pos;
}

static void
all_told(struct ds *ds)
{
	list_for_each(node, tmp, &ds->soft_dirty) {
		struct mb *mb = list_entry(node, struct mb, soft_link);

		list_del(&mb->soft_link);
		mb->soft = 0;
	}
	soft_tell(ds);
}

void
soft_append(struct ds *ds)
{
	struct softlog *s = ds->conf.soft;
	struct softlog_area *a;
	struct soft_commit *c;
	uint64_t used;
	uint32_t records = 0;
	size_t size;

	ds->soft_wanted = false;
	if (s == NULL || ds->soft_gap || list_empty(&ds->soft_dirty))
		return;
	a = &s->area[atomic_load(&s->active)];
	used = atomic_load(&a->used);
	size = all_news(ds, NULL, sizeof(*c), &records);
	if (size > sizeof(a->bytes) - used) {
		/* Until the journal has what is missing here. */
		ds->soft_gap = true;
		soft_tell(ds);
		return;
	}
	c = (void *)(a->bytes + used);
	*c = (struct soft_commit){
		.length = (uint32_t)size, .lsn = ++ds->conf.locks->lsn,
	};
	(void)all_news(ds, (uint8_t *)c, sizeof(*c), &c->records);
	c->crc = crc32c(0, c + 1, size - sizeof(*c));
	a->lsn = c->lsn;
	atomic_store(&a->used, used + size);
	all_told(ds);
	ds->soft_count++;
}

void
soft_switch(struct ds *ds)
{
	struct softlog *s = ds->conf.soft;
	uint32_t other;

	if (s == NULL)
		return;
	soft_append(ds);
	/* What has no room goes to the journal with all that is dirty. */
	all_told(ds);
	other = 1 - atomic_load(&s->active);
	atomic_store(&s->area[other].used, 0);
	atomic_store(&s->active, other);
}

void
soft_durable(struct ds *ds, uint64_t lsn)
{
	struct softlog *s = ds->conf.soft;

	if (s == NULL)
		return;
	if (lsn != 0)
		atomic_store(&s->durable_lsn, lsn);
	atomic_store(&s->area[1 - atomic_load(&s->active)].used, 0);
	ds->soft_gap = false;
	soft_tell(ds);
}

int
ds_soften(struct ds *ds)
{
	uint64_t count = ds->soft_count;

	if (ds->conf.soft == NULL || ds->conf.readonly)
		return 0;
	while (ds->health == 0 && !ds->soft_gap && ds->soft_count == count &&
	    !list_empty(&ds->soft_dirty)) {
		if (ds->txn.handles == 0) {
			soft_append(ds);
			continue;
		}
		ds->soft_wanted = true;
		fiber_cond_wait(&ds->changed);
	}
	if (ds->health < 0)
		return ds->health;
	return ds->soft_gap ? ds_commit(ds) : 0;
}
