/* SPDX-License-Identifier: BSD-2-Clause */
/* See truth.h: what may be there after a power cut. */
#include <stdlib.h>
#include <string.h>

#include "tests/crash/truth.h"

static uint64_t
zero_hash(void)
{
	static const uint8_t zeroes[HASH_BYTES];

	return content_hash(zeroes);
}

bool
cell_allows(const struct cell *c, uint64_t value)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->v[i] == value)
			return true;
	return c->any;
}

static void
cell_add(struct cell *c, uint64_t value)
{
	if (cell_allows(c, value))
		return;
	if (c->n == CELL_VALUES)
		c->any = true;
	else
		c->v[c->n++] = value;
}

static void
cell_settle(struct cell *c)
{
	c->v[0] = c->now;
	c->n = 1;
	c->any = false;
}

/* The cell of a piece; made when it is not there, as yet without a value. */
static struct cell *
cell_get(struct cells *s, uint64_t at)
{
	size_t lo = 0, hi = s->count;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->c[mid].at < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < s->count && s->c[lo].at == at)
		return &s->c[lo];
	if (s->count == s->max) {
		s->max += s->max / 2 + 64;
		s->c = reallocarray(s->c, s->max, sizeof(*s->c));
		if (s->c == NULL)
			abort();
	}
	memmove(s->c + lo + 1, s->c + lo, (s->count - lo) * sizeof(*s->c));
	s->count++;
	s->c[lo] = (struct cell){ .at = at };
	return &s->c[lo];
}

void
promise_begin(struct promise *p, const struct deed *d)
{
	for (size_t i = 0; i < d->effects; i++) {
		const struct effect *e = &d->effect[i];
		struct cells *s = &p->object[e->object];
		struct cell *c;

		if (e->kind == EFFECT_MADE) {
			s->count = 0;
			s->size = (struct cell){ 0 };
			continue;
		}
		if (e->kind == EFFECT_SIZE) {
			cell_add(&s->size, e->value);
			continue;
		}
		c = cell_get(s, e->at);
		if (c->n == 0 && e->kind != EFFECT_NEW) {
			c->now = zero_hash();
			cell_settle(c);
		}
		if (e->kind != EFFECT_FOUND)
			cell_add(c, e->value);
	}
	p->next = d->space;
}

bool
promise_end(struct promise *p, const struct deed *d)
{
	bool kept = true;

	for (size_t i = 0; i < d->effects; i++) {
		const struct effect *e = &d->effect[i];
		struct cells *s = &p->object[e->object];
		struct cell *c = NULL;

		if (e->kind == EFFECT_SIZE)
			s->size.now = e->value;
		else if (e->kind != EFFECT_MADE)
			c = cell_get(s, e->at);
		if (c != NULL && e->kind == EFFECT_FOUND)
			kept = kept && cell_allows(c, e->value);
		if (c != NULL)
			c->now = e->value;
	}
	if (d->space != NULL)
		p->space = *d->space;
	p->next = NULL;
	for (unsigned o = 0; d->settles && o < TRUTH_OBJECTS; o++) {
		if (p->object[o].size.n == 0)
			continue;	/* not made yet */
		cell_settle(&p->object[o].size);
		for (size_t i = 0; i < p->object[o].count; i++)
			cell_settle(&p->object[o].c[i]);
	}
	return kept;
}

void
promise_fini(struct promise *p)
{
	for (unsigned o = 0; o < TRUTH_OBJECTS; o++)
		free(p->object[o].c);
	*p = (struct promise){ 0 };
}
