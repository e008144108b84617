/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading the log of softlog.h.  All commits of an area become one commit of
 * the journal, with the whole image of each block as it was at the end: what is
 * torn while it is written in place has nothing else to be mended from.
 */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/crc32c.h"
#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/softlog_impl.h"

#define BUCKETS 1024u

/* A block as far as the area knows it. */
struct known {
	struct known *next;
	struct journal_record last;	/* whose block type, owner, version */
	uint64_t have;			/* DIRTY_UNITs */
	bool image;
	uint8_t data[BLOCK_SIZE];
};

struct merge {
	struct known *bucket[BUCKETS];
	uint32_t records;
	uint64_t commits, lsn;
};

static void
merge_fini(struct merge *m)
{
	for (size_t i = 0; i < BUCKETS; i++)
		while (m->bucket[i] != NULL) {
			struct known *k = m->bucket[i];

			m->bucket[i] = k->next;
			free(k);
		}
}

static struct known *
known_get(struct merge *m, uint64_t addr)
{
	struct known **head = &m->bucket[addr * 0x9e3779b97f4a7c15ull >> 54];
	struct known *k = *head;

	while (k != NULL && k->last.addr != addr)
		k = k->next;
	if (k != NULL)
		return k;
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		return NULL;
	k->last.addr = addr;
	k->next = *head;
	*head = k;
	return k;
}

static int
merge_record(struct merge *m, const struct journal_record *r)
{
	struct known *k = known_get(m, r->addr);

	if (k == NULL)
		return -ENOMEM;
	/* Freed and made anew: what was there before is over. */
	if (r->type == JOURNAL_IMAGE || k->last.owner != r->owner ||
	    k->last.lockver != r->lockver ||
	    k->last.block_type != r->block_type) {
		k->have = 0;
		k->image = r->type == JOURNAL_IMAGE;
	}
	memcpy(k->data + r->offset, r->bytes, r->length);
	for (size_t i = r->offset / DIRTY_UNIT;
	    i < (r->offset + r->length) / DIRTY_UNIT; i++)
		k->have |= 1ull << i;
	k->last = *r;
	return 0;
}

static int
merge_commit(struct merge *m, const uint8_t *at, size_t room,
    size_t *ret_length)
{
	const struct soft_commit *c = (const void *)at;
	size_t pos = sizeof(*c);
	struct journal_record rec;
	int r;

	if (room < sizeof(*c) || c->length < sizeof(*c) || c->length > room ||
	    crc32c(0, c + 1, c->length - sizeof(*c)) != c->crc)
		return -VMFS_ECORRUPT;
	while ((r = journal_record_next(at, c->length, &pos, &rec)) == 0) {
		r = merge_record(m, &rec);
		if (r < 0)
			return r;
	}
	if (r != -ENOENT)
		return r;
	m->lsn = c->lsn;
	m->commits++;
	*ret_length = c->length;
	return 0;
}

static int
merge_area(struct merge *m, const struct softlog_area *a)
{
	size_t used = (size_t)atomic_load(&a->used), at = 0, length;
	int r = 0;

	if (used > sizeof(a->bytes))
		return -VMFS_ECORRUPT;
	for (; r == 0 && at < used; at += r == 0 ? length : 0)
		r = merge_commit(m, a->bytes + at, used - at, &length);
	return r;
}

/* All records at buf, or only their size. */
static size_t
put_all(struct merge *m, uint8_t *buf)
{
	size_t pos = sizeof(struct journal_commit_disk);

	m->records = 0;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct known *k = m->bucket[i]; k != NULL; k = k->next)
			pos += log_known(&k->last, k->data, k->have, k->image,
			    buf, pos, &m->records);
	return pos;
}

/* What the area does not know is in place.  One that is newer or no such block
 * there stays as it is: the replay will not touch it. */
static int
complete(struct merge *m, struct known *k, struct disk *disk,
    const struct super *super, uint8_t *buf)
{
	struct block_hdr h;
	int r;

	if (k->image || k->last.addr >= super->blocks)
		return 0;
	r = disk_read(disk, k->last.addr << BLOCK_SHIFT, buf, BLOCK_SIZE);
	if (r < 0)
		return r;
	if (block_hdr_decode(buf, k->last.block_type, &super->uuid,
	    k->last.addr, &h) < 0 || h.lsn >= m->lsn)
		return 0;
	for (size_t i = 0; i < 64; i++)
		if ((k->have >> i & 1) == 0)
			memcpy(k->data + i * DIRTY_UNIT, buf + i * DIRTY_UNIT,
			    DIRTY_UNIT);
	k->have = UINT64_MAX;
	k->image = true;
	return 0;
}

static int
complete_all(struct merge *m, struct disk *disk, const struct super *super)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	int r = buf == NULL ? -ENOMEM : 0;

	for (size_t i = 0; i < BUCKETS; i++)
		for (struct known *k = m->bucket[i]; r == 0 && k != NULL;
		    k = k->next)
			r = complete(m, k, disk, super, buf);
	return r;
}

static int
commit(struct merge *m, struct disk *disk, const struct super *super,
    const struct heartbeat *dead)
{
	struct journal_commit c = { .lsn = m->lsn };
	size_t size = put_all(m, NULL);
	size_t room = (size + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE;
	cleanup_free uint8_t *buf = disk_buf_alloc(room);

	if (buf == NULL)
		return -ENOMEM;
	memset(buf, 0, room);
	c.length = (uint32_t)put_all(m, buf);
	c.records = m->records;
	return recover_append(disk, super, dead, buf, &c);
}

static int
replay_area(const struct softlog_area *a, struct env *env, struct disk *disk,
    const struct super *super, const struct heartbeat *dead,
    struct recover_report *report)
{
	struct recover_report one = { 0 };
	struct merge m = { .lsn = 0 };
	int r = merge_area(&m, a);

	if (r == 0 && m.commits > 0)
		r = complete_all(&m, disk, super);
	if (r == 0 && m.commits > 0) {
		r = commit(&m, disk, super, dead);
		if (r == 0)
			r = recover_journal(env, disk, super, dead, &one);
	}
	merge_fini(&m);
	if (r < 0)
		return r;
	report->commits += m.commits;
	report->applied += one.applied;
	report->stale += one.stale;
	if (m.lsn > report->last_lsn)
		report->last_lsn = m.lsn;
	return 0;
}

int
softlog_replay(struct softlog *s, struct env *env, struct disk *disk,
    const struct super *super, const struct heartbeat *dead,
    struct recover_report *report)
{
	uint32_t active = atomic_load(&s->active) & 1;
	int r;

	r = replay_area(&s->area[1 - active], env, disk, super, dead, report);
	if (r == 0)
		r = replay_area(&s->area[active], env, disk, super, dead,
		    report);
	if (r < 0)
		return r;
	if (report->last_lsn > atomic_load(&s->durable_lsn))
		atomic_store(&s->durable_lsn, report->last_lsn);
	s->replayed_lsn = atomic_load(&s->durable_lsn);
	softlog_clear(s);
	return 0;
}
