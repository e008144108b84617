/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See states.h.  The base has what is durable after the events so far; an
 * image is the base with some of the unflushed writes.  A state is known by
 * the hash of its bytes and by what was promised at that moment.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/seen.h"
#include "tests/crash/states.h"
#include "tests/crash/verify.h"
#include "tests/sim/sim_sched.h"

#define SAMPLES 12u		/* of subsets where there are too many */
#define TEARS 4u		/* prefixes, as many suffixes, and by chance */

/* A write that is not durable yet. */
struct unflushed {
	const struct event *e;
	uint8_t *gone;		/* of each sector: newer data is durable */
};

struct states {
	struct sim sim;
	const char *sequence;
	uint64_t round;
	unsigned effort;
	const struct cut *only;
	struct totals *totals;
	struct script *script;
	struct promise promise;
	size_t begun, ended;		/* deeds */
	struct pages base, image, replayed, image2, replayed2, trial;
	struct events log, log2;	/* of the replays */
	struct unflushed u[UNFLUSHED_MAX];
	unsigned n_u;
	struct prng prng;
	struct cut now;			/* what is being tried */
	struct seen states, outcomes, logs;
	char *problem;
	size_t size;
	int result;
};

static void
fail(struct states *t, const char *what)
{
	char text[CUT_TEXT_MAX];

	cut_text(&t->now, text);
	(void)snprintf(t->problem, t->size, "%s\nreproduce: tests/crash/"
	    "vmfs-crash --sequence %s --round %llu --state %s", what,
	    t->sequence, (unsigned long long)t->round, text);
	t->result = -EPROTO;
}

/* ---- the base ---- */

static unsigned
sector_size(const struct states *t)
{
	return t->base.disk.info.block_size;
}

/* Sectors of unflushed writes that a durable one has overtaken. */
static void
overtake(struct states *t, const struct event *e)
{
	size_t unit = sector_size(t);

	for (unsigned i = 0; i < t->n_u; i++) {
		struct unflushed *u = &t->u[i];
		uint64_t from = u->e->offset;

		for (size_t at = 0; at < u->e->length; at += unit) {
			if (from + at < e->offset ||
			    from + at >= e->offset + e->length)
				continue;
			if (u->gone == NULL)
				u->gone = calloc(u->e->length / unit, 1);
			if (u->gone == NULL)
				abort();
			u->gone[at / unit] = 1;
		}
	}
}

static void
put_sectors(struct states *t, struct pages *p, const struct unflushed *u,
    const uint8_t *wanted)
{
	size_t unit = sector_size(t);

	for (size_t at = 0; at < u->e->length; at += unit)
		if ((u->gone == NULL || u->gone[at / unit] == 0) &&
		    (wanted == NULL || wanted[at / unit] != 0))
			pages_write(p, u->e->offset + at, u->e->data + at,
			    unit);
}

static void
settle(struct states *t)
{
	for (unsigned i = 0; i < t->n_u; i++) {
		put_sectors(t, &t->base, &t->u[i], NULL);
		free(t->u[i].gone);
	}
	t->n_u = 0;
}

/* True when there is another unflushed write. */
static bool
advance(struct states *t, const struct event *e)
{
	if (e->flush) {
		settle(t);
		return false;
	}
	if (e->durable) {
		pages_write(&t->base, e->offset, e->data, e->length);
		overtake(t, e);
		return false;
	}
	if (t->n_u == UNFLUSHED_MAX) {
		fail(t, "too many unflushed writes for this program");
		return false;
	}
	t->u[t->n_u++] = (struct unflushed){ .e = e };
	return true;
}

/* The deed that event n is of has begun when some of it may be there. */
static void
begin_next(struct states *t, size_t n)
{
	const struct script *s = t->script;

	if (t->begun == t->ended && t->begun < s->deeds &&
	    s->deed[t->begun].start <= n && s->deed[t->begun].end > n)
		promise_begin(&t->promise, &s->deed[t->begun++]);
}

/* Deeds that began and ended before event n. */
static bool
advance_promise(struct states *t, size_t n)
{
	const struct script *s = t->script;

	for (;;) {
		if (t->ended < t->begun && s->deed[t->ended].end <= n) {
			if (!promise_end(&t->promise, &s->deed[t->ended++])) {
				fail(t, "a survivor found what must not be");
				return false;
			}
		} else if (t->begun == t->ended && t->begun < s->deeds &&
		    (s->deed[t->begun].start < n ||
		    s->deed[t->begun].end <= n)) {
			promise_begin(&t->promise, &s->deed[t->begun++]);
		} else {
			return true;
		}
	}
}

/* ---- images ---- */

/* Which sectors of a torn write are there: a prefix, a suffix, or any. */
static void
tear(unsigned pattern, size_t sectors, uint8_t *wanted)
{
	struct prng p;

	prng_seed(&p, pattern);
	for (size_t i = 0; i < sectors; i++)
		if (pattern < sectors)
			wanted[i] = i < pattern;
		else if (pattern < 2 * sectors)
			wanted[i] = i >= pattern - sectors;
		else
			wanted[i] = prng_u64(&p) & 1;
}

static void
put_torn(struct states *t, struct pages *p, const struct unflushed *u,
    unsigned pattern)
{
	size_t sectors = u->e->length / sector_size(t);
	uint8_t *wanted = malloc(sectors);

	if (wanted == NULL)
		abort();
	tear(pattern, sectors, wanted);
	put_sectors(t, p, u, wanted);
	free(wanted);
}

static void
make_image(struct states *t, const struct cut *c)
{
	const struct events *ev = &t->script->events;

	pages_reset(&t->image);
	for (unsigned i = 0; i < t->n_u; i++) {
		if ((int)i == c->torn)
			put_torn(t, &t->image, &t->u[i], c->pattern);
		else if (c->keep[i / 64] >> (i % 64) & 1)
			put_sectors(t, &t->image, &t->u[i], NULL);
	}
	if (c->torn == (int)t->n_u && c->events < ev->count)
		put_torn(t, &t->image, &(struct unflushed){
		    .e = &ev->e[c->events] }, c->pattern);
}

/*
 * The image after `n` events of its replay.  Of what was not flushed then,
 * mode 0: all is there, 1: nothing but the last write, more: by chance, the
 * next write torn, too.
 */
static void
make_second(struct states *t, const struct events *log, size_t n,
    unsigned mode)
{
	size_t flushed = 0;
	struct prng p;

	pages_reset(&t->image2);
	prng_seed(&p, mode);
	for (size_t i = 0; i < n; i++)
		if (log->e[i].flush)
			flushed = i;
	for (size_t i = 0; i < n; i++) {
		const struct event *e = &log->e[i];

		if (!e->flush && (i < flushed || e->durable || mode == 0 ||
		    (mode == 1 ? i + 1 == n : (prng_u64(&p) & 1) != 0)))
			pages_write(&t->image2, e->offset, e->data, e->length);
	}
	if (mode > 1 && n < log->count && !log->e[n].flush)
		put_torn(t, &t->image2, &(struct unflushed){
		    .e = &log->e[n] }, mode);
}

/* ---- one state ---- */

/* What was promised makes another state of the same bytes. */
static uint64_t
known_as(const struct states *t, const struct pages *p)
{
	return p->hash ^ (t->begun * 0x9e3779b97f4a7c15u) ^
	    (t->ended * 0xc2b2ae3d27d4eb4fu);
}

static int
replay(struct states *t, struct pages *on)
{
	const struct script *s = t->script;
	struct box box;
	int r = 0;

	box_init(&box, &on->disk, 1);
	for (unsigned i = 0; i < BOX_SLOTS && r == 0; i++)
		if (s->incarnation[i] != 0)
			r = box_replay(&box, i, s->incarnation[i]);
	if (r < 0) {
		char what[96];

		(void)snprintf(what, sizeof(what), "replay: %s",
		    vmfs_strerror(r));
		fail(t, what);
	}
	return r;
}

static bool
look(struct states *t, struct pages *replayed)
{
	char what[400];

	if (!seen_add(&t->outcomes, known_as(t, replayed)))
		return false;
	t->totals->outcomes++;
	t->trial.below = replayed;
	pages_reset(&t->trial);
	if (verify(t->script, &t->promise, &t->trial, what, sizeof(what)) < 0)
		fail(t, what);
	return true;
}

static void
try_second(struct states *t, size_t n, unsigned mode)
{
	t->now.again = n;
	t->now.mode = mode;
	make_second(t, &t->log, n, mode);
	t->totals->cuts++;
	if (!seen_add(&t->states, known_as(t, &t->image2)))
		return;
	t->totals->states++;
	pages_reset(&t->replayed2);
	if (replay(t, &t->replayed2) == 0)
		(void)look(t, &t->replayed2);
}

/* What a replay has written. */
static uint64_t
log_hash(const struct events *log)
{
	uint64_t h = log->count;

	for (size_t i = 0; i < log->count; i++) {
		const struct event *e = &log->e[i];

		h = (h ^ e->offset) * 0x9e3779b97f4a7c15u;
		for (size_t at = 0; at < e->length; at += HASH_BYTES)
			h = (h ^ content_hash(e->data + at)) *
			    0xd6e8feb86659fd93u;
	}
	return h;
}

/* Everywhere, but when another image had the same replay: by chance. */
static void
try_seconds(struct states *t)
{
	if (!seen_add(&t->logs, log_hash(&t->log))) {
		try_second(t, prng_below(&t->prng, t->log.count + 1),
		    (unsigned)prng_below(&t->prng, 100000));
		t->now.again = SIZE_MAX;
		return;
	}
	for (size_t n = 0; n <= t->log.count && t->result == 0; n++) {
		if (n > 0 && t->log.e[n - 1].flush)
			continue;
		try_second(t, n, 0);
		if (t->result == 0)
			try_second(t, n, 1);
		for (unsigned i = 0; i < t->effort && t->result == 0; i++)
			try_second(t, n, 2 + (unsigned)prng_below(&t->prng,
			    100000));
	}
	t->now.again = SIZE_MAX;
}

static void
try_cut(struct states *t, const struct cut *c)
{
	if (t->result < 0)
		return;
	t->now = *c;
	t->totals->cuts++;
	make_image(t, c);
	if (!seen_add(&t->states, known_as(t, &t->image)))
		return;
	t->totals->states++;
	pages_reset(&t->replayed);
	if (replay(t, &t->replayed) < 0)
		return;
	if (t->only != NULL && t->only->again != SIZE_MAX)
		try_second(t, t->only->again, t->only->mode);
	else if (look(t, &t->replayed) && t->result == 0 && t->only == NULL)
		try_seconds(t);
}

/* ---- the states after event n ---- */

static void
keep_all(const struct states *t, struct cut *c)
{
	for (unsigned i = 0; i < t->n_u; i++)
		c->keep[i / 64] |= UINT64_C(1) << (i % 64);
}

static void
keep_flip(struct cut *c, unsigned i)
{
	c->keep[i / 64] ^= UINT64_C(1) << (i % 64);
}

/* None, all, each alone, all but each, and some by chance. */
static void
try_sampled(struct states *t, struct cut c)
{
	struct cut all = c;

	try_cut(t, &c);
	keep_all(t, &all);
	try_cut(t, &all);
	for (unsigned n = 0; n < SAMPLES * t->effort && t->result == 0; n++) {
		struct cut d = n % 3 == 0 ? all : c;
		unsigned i = (unsigned)prng_below(&t->prng, t->n_u);

		if (n % 3 < 2)
			keep_flip(&d, i);
		else
			for (i = 0; i < t->n_u; i++)
				if (prng_u64(&t->prng) & 1)
					keep_flip(&d, i);
		try_cut(t, &d);
	}
}

/* With the newest write only what is new is tried. */
static void
try_subsets(struct states *t, struct cut c, bool newest)
{
	uint64_t first = newest && t->n_u > 0 && t->n_u <= SUBSETS_OF ?
	    UINT64_C(1) << (t->n_u - 1) : 0;

	if (t->n_u > SUBSETS_OF) {
		try_sampled(t, c);
		return;
	}
	for (uint64_t m = first; m < UINT64_C(1) << t->n_u; m++) {
		c.keep[0] = m;
		try_cut(t, &c);
	}
}

static void
try_torn(struct states *t, struct cut c, int which, size_t length)
{
	unsigned sectors = (unsigned)(length / sector_size(t));
	struct cut all = c;

	c.torn = all.torn = which;
	keep_all(t, &all);
	for (unsigned n = 0; n < 3 * TEARS * t->effort && t->result == 0;
	    n++) {
		/* Short writes: all prefixes and suffixes. */
		unsigned k = n / 3 + 1;

		if (sectors > TEARS * t->effort)
			k = 1 + (unsigned)prng_below(&t->prng, sectors);
		if (k >= sectors && n % 3 != 2)
			continue;
		c.pattern = n % 3 == 0 ? k : n % 3 == 1 ? sectors + k :
		    2 * sectors + (unsigned)prng_below(&t->prng, 1000000);
		all.pattern = c.pattern;
		try_cut(t, &all);
		if (n % 2 == 0)
			try_cut(t, &c);
	}
}

static void
try_after(struct states *t, size_t n, bool newest)
{
	const struct events *ev = &t->script->events;
	struct cut c = { .events = n, .torn = -1, .again = SIZE_MAX };

	try_subsets(t, c, newest);
	begin_next(t, n);
	if (n < ev->count && !ev->e[n].flush)
		try_torn(t, c, (int)t->n_u, ev->e[n].length);
	if (t->n_u > 1) {
		unsigned i = (unsigned)prng_below(&t->prng, t->n_u);

		try_torn(t, c, (int)i, t->u[i].e->length);
	}
}

static void
try_all(struct states *t)
{
	const struct script *s = t->script;

	for (size_t n = 0; n <= s->events.count && t->result == 0; n++) {
		bool newest = n > 0 && advance(t, &s->events.e[n - 1]);
		size_t ended = t->ended;

		t->now = (struct cut){ .events = n, .torn = -1,
		    .again = SIZE_MAX };
		if (t->result < 0 || !advance_promise(t, n) ||
		    n < s->deed[0].end)
			continue;
		if (t->only == NULL) {
			try_after(t, n, newest && ended == t->ended);
			continue;
		}
		if (t->only->events != n)
			continue;
		if (t->only->torn == (int)t->n_u)
			begin_next(t, n);
		try_cut(t, t->only);
	}
}

/* ---- */

static void
open_pages(struct states *t)
{
	uint64_t size = t->script->lun.disk.info.size_bytes;
	uint32_t unit = t->script->lun.disk.info.block_size;

	pages_init(&t->base, NULL, size, unit);
	pages_init(&t->image, &t->base, size, unit);
	pages_init(&t->replayed, &t->image, size, unit);
	pages_init(&t->image2, &t->image, size, unit);
	pages_init(&t->replayed2, &t->image2, size, unit);
	pages_init(&t->trial, &t->replayed, size, unit);
	t->replayed.events = &t->log;
	t->trial.unhashed = true;
}

static void
close_pages(struct states *t)
{
	pages_fini(&t->trial);
	pages_fini(&t->replayed2);
	pages_fini(&t->image2);
	pages_fini(&t->replayed);
	pages_fini(&t->image);
	pages_fini(&t->base);
	events_fini(&t->log);
}

static void
play(void *arg)
{
	struct states *t = arg;
	int r = script_play(t->script, t->sequence, t->round);

	if (r == -EPROTO)
		fail(t, t->script->problem);
	t->result = r;
	if (r < 0)
		return;
	prng_seed(&t->prng, t->round + 1);
	open_pages(t);
	try_all(t);
	t->totals->sequences++;
	t->totals->events += t->script->events.count - t->script->deed[0].end;
	for (unsigned i = 0; i < t->n_u; i++)
		free(t->u[i].gone);
	close_pages(t);
}

int
states_try(const char *sequence, uint64_t round, unsigned effort,
    const struct cut *only, struct totals *totals, char *problem, size_t size)
{
	struct states *t = calloc(1, sizeof(*t));
	int r;

	if (t == NULL)
		return -ENOMEM;
	t->script = calloc(1, sizeof(*t->script));
	if (t->script == NULL)
		abort();
	t->sequence = sequence;
	t->round = round;
	t->effort = effort;
	t->only = only;
	t->totals = totals;
	t->problem = problem;
	t->size = size;
	sim_init(&t->sim, 1);
	if (sim_run(&t->sim, UINT64_MAX / 2, play, t) != SIM_DONE &&
	    t->result == 0)
		fail(t, "nothing goes on any more");
	sim_fini(&t->sim);
	promise_fini(&t->promise);
	script_fini(t->script);
	seen_fini(&t->states);
	seen_fini(&t->outcomes);
	seen_fini(&t->logs);
	r = t->result;
	free(t->script);
	free(t);
	return r;
}
