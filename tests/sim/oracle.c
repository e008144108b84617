/* SPDX-License-Identifier: BSD-2-Clause */
/* Bookkeeping of what sectors may show. */
#include "tests/sim/oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SECTORS 128u
#define WORDS (ORACLE_SECTOR / sizeof(uint64_t))

static void *
must(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

void
oracle_init(struct oracle *o)
{
	memset(o, 0, sizeof(*o));
}

void
oracle_snap_forget(struct oracle_snap *s)
{
	free(s->word);
	memset(s, 0, sizeof(*s));
}

void
oracle_forget(struct oracle_disk *d)
{
	for (unsigned i = 0; i < ORACLE_SNAPS; i++)
		oracle_snap_forget(&d->snap[i]);
	free(d->sector);
	memset(d, 0, sizeof(*d));
	d->writer = -1;
}

void
oracle_fini(struct oracle *o)
{
	for (unsigned i = 0; i < ORACLE_DISKS; i++)
		oracle_forget(&o->disk[i]);
}

struct oracle_disk *
oracle_new(struct oracle *o, unsigned sectors)
{
	for (unsigned i = 0; i < ORACLE_DISKS; i++) {
		struct oracle_disk *d = &o->disk[i];

		if (d->being != BEING_NOT || d->busy)
			continue;
		oracle_forget(d);
		d->being = BEING_MAYBE;
		d->id = ++o->last_id & 0xfff;
		snprintf(d->name, sizeof(d->name), "disk%u", o->last_id);
		d->sectors = sectors;
		d->sector = must(calloc(sectors, sizeof(*d->sector)));
		for (unsigned n = 0; n < sectors; n++)
			d->sector[n].since = o->writes;
		return d;
	}
	return NULL;
}

struct oracle_disk *
oracle_clone(struct oracle *o, const struct oracle_snap *s)
{
	struct oracle_disk *d = oracle_new(o, s->sectors);

	for (unsigned n = 0; d != NULL && n < s->sectors; n++)
		d->sector[n].flushed = s->word[n];
	return d;
}

static uint64_t
word_of(const struct oracle_disk *d, unsigned sector, uint32_t write)
{
	return (uint64_t)write << 32 | (uint64_t)d->id << 20 | sector;
}

void
oracle_write(struct oracle *o, struct oracle_disk *d, unsigned first,
    unsigned count, void *buf)
{
	uint64_t *p = buf;

	o->writes++;
	for (unsigned n = first; n < first + count; n++) {
		struct oracle_sector *s = &d->sector[n];

		s->issued = o->writes;
		s->unsure = s->lost = false;
		s->last = word_of(d, n, o->writes);
		for (size_t k = 0; k < WORDS; k++)
			*p++ = s->last;
	}
}

void
oracle_punch(struct oracle *o, struct oracle_disk *d, unsigned first,
    unsigned count)
{
	o->writes++;
	for (unsigned n = first; n < first + count; n++) {
		d->sector[n].issued = o->writes;
		d->sector[n].last = 0;
		d->sector[n].zeroed = true;
		d->sector[n].unsure = d->sector[n].lost = false;
	}
}

static void
settle(struct oracle *o, struct oracle_sector *s, uint64_t word)
{
	*s = (struct oracle_sector){ .flushed = word, .since = o->writes };
}

void
oracle_flushed(struct oracle *o, struct oracle_disk *d)
{
	for (unsigned n = 0; n < d->sectors; n++)
		if (d->sector[n].issued != 0 && !d->sector[n].unsure)
			settle(o, &d->sector[n], d->sector[n].last);
}

static bool
uniform(const uint64_t *p)
{
	for (size_t k = 1; k < WORDS; k++)
		if (p[k] != p[0])
			return false;
	return true;
}

static bool
may_show(const struct oracle_disk *d, unsigned n, uint64_t word)
{
	const struct oracle_sector *s = &d->sector[n];
	uint32_t write = (uint32_t)(word >> 32);

	if (word == s->flushed || (word == 0 && s->zeroed))
		return true;
	for (unsigned i = 0; i < s->alts; i++)
		if (word == s->alt[i])
			return true;
	return write > s->since && write <= s->issued &&
	    word == word_of(d, n, write);
}

void
oracle_failed(struct oracle_disk *d, unsigned first, unsigned count)
{
	for (unsigned n = first; n < first + count; n++)
		d->sector[n].unsure = true;
}

void
oracle_unsure(struct oracle_disk *d)
{
	for (unsigned n = 0; n < d->sectors; n++)
		d->sector[n].unsure = d->sector[n].issued != 0;
}

static void
lose_chunk(struct oracle_disk *d, unsigned first)
{
	for (unsigned k = first; k < first + CHUNK_SECTORS &&
	    k < d->sectors; k++)
		d->sector[k].lost = true;
}

void
oracle_power_loss(struct oracle_disk *d)
{
	oracle_unsure(d);
	/* A write of a part may take its whole chunk to another place. */
	for (unsigned n = 0; n < d->sectors; n++)
		if (d->sector[n].issued != 0)
			lose_chunk(d, n / CHUNK_SECTORS * CHUNK_SECTORS);
}

static bool
fits(const struct oracle_disk *d, unsigned n, uint64_t word)
{
	const struct oracle_sector *s = &d->sector[n];

	if (s->issued == 0)
		return word == s->flushed;
	return s->unsure ? may_show(d, n, word) : word == s->last;
}

static void
hold_to(struct oracle *o, const struct oracle_disk *d,
    struct oracle_sector *s, uint64_t word)
{
	if (!s->unsure)
		return;
	if (d->opening && !o->volatile_lun) {
		settle(o, s, word);
		return;
	}
	s->last = word;
	s->unsure = s->lost = false;
}

bool
oracle_read(struct oracle *o, struct oracle_disk *d, unsigned first,
    unsigned count, const void *buf, unsigned *ret_bad, uint64_t *ret_word)
{
	const uint64_t *p = buf;

	for (unsigned n = first; n < first + count; n++, p += WORDS) {
		if (d->opening)
			d->sector[n].lost = false;
		if (d->sector[n].lost)
			continue;
		if (!uniform(p) || !fits(d, n, p[0])) {
			*ret_bad = n;
			*ret_word = p[0];
			return false;
		}
		hold_to(o, d, &d->sector[n], p[0]);
	}
	return true;
}

static bool
is_settled(const struct oracle_disk *d)
{
	for (unsigned n = 0; n < d->sectors; n++)
		if (d->sector[n].issued != 0)
			return false;
	return true;
}

struct oracle_snap *
oracle_snapshot(struct oracle *o, struct oracle_disk *d)
{
	if (!is_settled(d))
		return NULL;
	for (unsigned i = 0; i < ORACLE_SNAPS; i++) {
		struct oracle_snap *s = &d->snap[i];

		if (s->being != BEING_NOT)
			continue;
		s->being = BEING_MAYBE;
		s->sectors = d->sectors;
		s->word = must(calloc(d->sectors, sizeof(*s->word)));
		for (unsigned n = 0; n < d->sectors; n++)
			s->word[n] = d->sector[n].flushed;
		snprintf(s->name, sizeof(s->name), "s%u", ++o->last_snap);
		return s;
	}
	return NULL;
}

bool
oracle_snap_read(const struct oracle_snap *s, unsigned first, unsigned count,
    const void *buf, unsigned *ret_bad, uint64_t *ret_word)
{
	const uint64_t *p = buf;

	for (unsigned n = first; n < first + count; n++, p += WORDS)
		if (!uniform(p) || p[0] != s->word[n]) {
			*ret_bad = n;
			*ret_word = p[0];
			return false;
		}
	return true;
}

static uint64_t
snap_word(const struct oracle_snap *s, unsigned n)
{
	return n < s->sectors ? s->word[n] : 0;
}

void
oracle_reverted(struct oracle *o, struct oracle_disk *d,
    const struct oracle_snap *s)
{
	for (unsigned n = 0; n < d->sectors; n++)
		settle(o, &d->sector[n], snap_word(s, n));
}

void
oracle_maybe_reverted(struct oracle *o, struct oracle_disk *d,
    const struct oracle_snap *s)
{
	o->writes++;
	for (unsigned n = 0; n < d->sectors; n++) {
		struct oracle_sector *q = &d->sector[n];

		q->issued = o->writes;
		if (q->alts == ORACLE_ALTS)
			q->alts--;
		q->alt[q->alts++] = snap_word(s, n);
		q->unsure = true;
	}
}

void
oracle_not_reverted(struct oracle_disk *d, const struct oracle_snap *s)
{
	for (unsigned n = 0; n < d->sectors; n++) {
		struct oracle_sector *q = &d->sector[n];

		for (unsigned i = q->alts; i-- > 0;) {
			if (q->alt[i] != snap_word(s, n))
				continue;
			q->alt[i] = q->alt[--q->alts];
			break;
		}
	}
}
