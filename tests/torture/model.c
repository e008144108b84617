/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which stamps a block may carry, from the journal.
 *
 * A block carries its floor or one of the later writes that were under way.
 * A flush lifts the floor to the last write it covers.  What a new writer
 * finds is the floor from then on, and nothing of an older writer may appear
 * any more: that would be a write that landed after its host lost the disk.
 * Records are taken by epoch, as a writer that was stopped may note a flush
 * later than its successor opened the disk.
 */
#include <stdlib.h>

#include "tests/torture/history.h"

struct pending {
	struct stamp *stamps;	/* ascending */
	size_t count, room;
};

struct model {
	struct stamp floor[HISTORY_BLOCKS];
	struct pending pending[HISTORY_BLOCKS];
	unsigned violations;
};

static void
pending_add(struct pending *p, const struct stamp *s)
{
	if (p->count == p->room) {
		p->room = p->room * 2 + 4;
		p->stamps = realloc(p->stamps, p->room * sizeof(*s));
		if (p->stamps == NULL)
			abort();
	}
	p->stamps[p->count++] = *s;
}

/* Drops the first n. */
static void
pending_drop(struct pending *p, size_t n)
{
	for (size_t i = n; i < p->count; i++)
		p->stamps[i - n] = p->stamps[i];
	p->count -= n;
}

static void
violation(struct model *m, FILE *out, uint32_t block, const struct stamp *s)
{
	const struct pending *p = &m->pending[block];

	m->violations++;
	fprintf(out, "block %u carries epoch %u seq %llu; allowed: epoch %u "
	    "seq %llu", block, s->epoch, (unsigned long long)s->seq,
	    m->floor[block].epoch, (unsigned long long)m->floor[block].seq);
	for (size_t i = 0; i < p->count; i++)
		fprintf(out, ", epoch %u seq %llu", p->stamps[i].epoch,
		    (unsigned long long)p->stamps[i].seq);
	fputc('\n', out);
}

bool
model_allows(struct model *m, uint32_t block, const struct stamp *s, FILE *out)
{
	const struct pending *p = &m->pending[block];
	bool ok = stamp_eq(&m->floor[block], s);

	for (size_t i = 0; i < p->count && !ok; i++)
		ok = stamp_eq(&p->stamps[i], s);
	if (!ok)
		violation(m, out, block, s);
	return ok;
}

static void
take_found(struct model *m, const struct record *r, FILE *out)
{
	struct stamp s = { r->found_epoch, r->seq };

	if (!model_allows(m, r->block, &s, out))
		fprintf(out, "  as host %u found it when it opened the disk "
		    "(epoch %u)\n", r->host, r->epoch);
	m->floor[r->block] = s;
	m->pending[r->block].count = 0;
}

static void
take_flushed(struct model *m, const struct record *r)
{
	for (uint32_t b = r->block; b < r->block + r->count; b++) {
		struct pending *p = &m->pending[b];
		size_t n = 0;

		for (size_t i = 0; i < p->count; i++)
			if (p->stamps[i].epoch == r->epoch &&
			    p->stamps[i].seq <= r->seq)
				n = i + 1;
		if (n == 0)
			continue;
		m->floor[b] = p->stamps[n - 1];
		pending_drop(p, n);
	}
}

static void
take(struct model *m, const struct record *r, FILE *out)
{
	struct stamp s = { r->epoch, r->seq };

	if (r->block + r->count > HISTORY_BLOCKS) {
		fprintf(out, "the journal is damaged\n");
		m->violations++;
		return;
	}
	switch ((enum record_type)r->type) {
	case RECORD_OPEN:
		break;
	case RECORD_FOUND:
		take_found(m, r, out);
		break;
	case RECORD_INTENT:
		for (uint32_t i = 0; i < r->count; i++)
			pending_add(&m->pending[r->block + i], &s);
		break;
	case RECORD_FLUSHED:
		take_flushed(m, r);
		break;
	}
}

struct model *
model_new(const struct record *r, size_t count, FILE *out)
{
	struct model *m = calloc(1, sizeof(*m));
	uint32_t last = 0;

	if (m == NULL)
		abort();
	for (size_t i = 0; i < count; i++)
		if (r[i].epoch > last)
			last = r[i].epoch;
	for (uint32_t epoch = 1; epoch <= last; epoch++)
		for (size_t i = 0; i < count; i++)
			if (r[i].epoch == epoch)
				take(m, &r[i], out);
	return m;
}

void
model_free(struct model *m)
{
	if (m == NULL)
		return;
	for (uint32_t b = 0; b < HISTORY_BLOCKS; b++)
		free(m->pending[b].stamps);
	free(m);
}

unsigned
model_violations(const struct model *m)
{
	return m->violations;
}
