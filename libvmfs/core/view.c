/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of view.h and its gate. */
#include <stdatomic.h>
#include <stdlib.h>

#include "libvmfs/core/view.h"
#include "libvmfs/env/gate.h"

#define MIB_SIZE ((uint64_t)1 << MAP_L1_SHIFT)
#define FANOUT 256u
#define TOP 1024u			/* of 64 GiB each: 64 TiB */

/* A word for a MiB: 0 is unknown, or the lowest bits tell. */
#define WORD_HOLE 1u
#define WORD_HUGE 2u			/* | block << WORD_SHIFT */
#define WORD_SPLIT 3u			/* | address of a struct split */
#define WORD_KIND 3u
#define WORD_WRITABLE 4u
#define WORD_SHIFT 3

/* Words for a chunk: base, and own << OWN_SHIFT | valid << VALID_SHIFT | flags */
#define CHUNK_KNOWN 1u
#define CHUNK_WRITABLE 2u
#define VALID_SHIFT 8
#define OWN_SHIFT 24

struct split {
	_Atomic uint32_t seq;		/* odd: being changed */
	struct {
		_Atomic uint64_t own, base;
	} c[CHUNK_BLOCKS];
};

struct node {				/* of 256 MiB */
	_Atomic uint64_t word[FANOUT];
};

struct mid {				/* of 64 GiB */
	_Atomic(struct node *) node[FANOUT];
};

struct view {
	struct gate gate;
	_Atomic uint64_t size;
	_Atomic uint32_t generation;
	_Atomic uint64_t wrote_us;
	_Atomic(struct mid *) top[TOP];
	/* Of the table; the owner's.  2 KiB for 256 MiB, 264 bytes for a MiB
	 * that is shattered. */
	size_t bytes, bytes_max;
};

/* ---- the gate ---- */

bool
view_enter(struct view *v)
{
	return gate_enter(&v->gate);
}

void
view_leave(struct view *v)
{
	gate_leave(&v->gate);
}

void
view_close(struct view *v)
{
	gate_close(&v->gate);
}

void
view_open(struct view *v)
{
	gate_open(&v->gate);
}

/* ---- the table: the owner writes, all others only read ---- */

static struct split *
split_of(uint64_t word)
{
	return (struct split *)(uintptr_t)(word & ~(uint64_t)WORD_KIND);
}

static struct node *
node_at(struct view *v, uint64_t off)
{
	uint64_t i = off >> (MAP_L1_SHIFT + 8);
	struct mid *m = i / FANOUT < TOP ? atomic_load(&v->top[i / FANOUT]) :
	    NULL;

	return m != NULL ? atomic_load(&m->node[i % FANOUT]) : NULL;
}

static _Atomic uint64_t *
word_in(struct node *n, uint64_t off)
{
	return &n->word[(off >> MAP_L1_SHIFT) % FANOUT];
}

static void *
room(struct view *v, size_t size)
{
	void *p = calloc(1, size);

	if (p != NULL)
		v->bytes += size;
	return p;
}

static struct node *
node_make(struct view *v, uint64_t off)
{
	uint64_t i = off >> (MAP_L1_SHIFT + 8);
	struct node *n = node_at(v, off);
	struct mid *m;

	if (n != NULL || i / FANOUT >= TOP)
		return n;
	m = atomic_load(&v->top[i / FANOUT]);
	if (m == NULL) {
		m = room(v, sizeof(*m));
		if (m == NULL)
			return NULL;
		atomic_store(&v->top[i / FANOUT], m);
	}
	n = room(v, sizeof(*n));
	if (n != NULL)
		atomic_store(&m->node[i % FANOUT], n);
	return n;
}

static void
split_set(struct split *s, unsigned k, uint64_t own, uint64_t base)
{
	if (atomic_load(&s->c[k].own) == own &&
	    atomic_load(&s->c[k].base) == base)
		return;
	atomic_fetch_add(&s->seq, 1);
	atomic_store(&s->c[k].own, own);
	atomic_store(&s->c[k].base, base);
	atomic_fetch_add(&s->seq, 1);
}

static void
chunk_set(struct split *s, unsigned k, const struct map_chunk *c,
    bool writable)
{
	split_set(s, k, c->own << OWN_SHIFT |
	    (c->own != 0 ? (uint64_t)c->valid << VALID_SHIFT : 0) |
	    (writable ? CHUNK_WRITABLE : 0) | CHUNK_KNOWN, c->base);
}

/* Of the MiB at mib, what of it is in [off, end). */
static void
forget_word(_Atomic uint64_t *w, uint64_t mib, uint64_t off, uint64_t end)
{
	uint64_t word = atomic_load(w);

	if ((word & WORD_KIND) != WORD_SPLIT) {
		if (word != 0)
			atomic_store(w, 0);
		return;
	}
	for (unsigned k = 0; k < CHUNK_BLOCKS; k++, mib += CHUNK_SIZE)
		if (mib < end && off < mib + CHUNK_SIZE)
			split_set(split_of(word), k, 0, 0);
}

void
view_forget(struct view *v, uint64_t off, uint64_t len)
{
	uint64_t end = len < UINT64_MAX - off ? off + len : UINT64_MAX;
	const uint64_t span = MIB_SIZE * FANOUT;
	uint64_t mib = off & ~(MIB_SIZE - 1);

	while (mib < end) {
		struct node *n = node_at(v, mib);

		if (mib >= span * FANOUT * TOP)
			return;
		if (n == NULL) {
			mib = (mib & ~(span - 1)) + span;
			continue;
		}
		forget_word(word_in(n, mib), mib, off, end);
		mib += MIB_SIZE;
	}
}

static void
table_free(struct view *v)
{
	for (unsigned i = 0; i < TOP; i++) {
		struct mid *m = atomic_exchange(&v->top[i], NULL);

		for (unsigned j = 0; m != NULL && j < FANOUT; j++) {
			struct node *n = atomic_load(&m->node[j]);

			for (unsigned k = 0; n != NULL && k < FANOUT; k++) {
				uint64_t w = atomic_load(&n->word[k]);

				if ((w & WORD_KIND) == WORD_SPLIT)
					free(split_of(w));
			}
			free(n);
		}
		free(m);
	}
	v->bytes = 0;
}

/* The split of the MiB at *w; what was known of it as a whole is split. */
static struct split *
split_make(struct view *v, _Atomic uint64_t *w)
{
	uint64_t word = atomic_load(w);
	struct split *s;

	if ((word & WORD_KIND) == WORD_SPLIT)
		return split_of(word);
	s = room(v, sizeof(*s));
	if (s != NULL)
		atomic_store(w, (uintptr_t)s | WORD_SPLIT);
	return s;
}

/* A MiB that was split stays so: its room is there. */
static void
learn_mib(_Atomic uint64_t *w, const struct view_entry *e)
{
	uint64_t old = atomic_load(w), new = WORD_HOLE;
	struct map_chunk c = e->c;

	if ((old & WORD_KIND) == WORD_SPLIT) {
		for (unsigned k = 0; k < CHUNK_BLOCKS; k++) {
			chunk_set(split_of(old), k, &c, e->writable);
			c.own += c.own != 0;
		}
		return;
	}
	if (e->state == MAP_HUGE)
		new = c.own * CHUNK_BLOCKS << WORD_SHIFT | WORD_HUGE |
		    (e->writable ? WORD_WRITABLE : 0);
	if (old != new)
		atomic_store(w, new);
}

void
view_learn(struct view *v, uint64_t off, const struct view_entry *e)
{
	struct split *s;
	struct node *n;

	if (v->bytes > v->bytes_max) {
		view_close(v);
		table_free(v);
		view_open(v);
	}
	n = node_make(v, off);
	if (n == NULL)
		return;
	if (e->state != MAP_SPLIT) {
		learn_mib(word_in(n, off), e);
		return;
	}
	s = split_make(v, word_in(n, off));
	if (s != NULL)
		chunk_set(s, (unsigned)(off / CHUNK_SIZE % CHUNK_BLOCKS),
		    &e->c, e->writable);
}

void
view_set_size(struct view *v, uint64_t size)
{
	/* Only the owner stores it, and mostly nothing has changed. */
	if (atomic_load(&v->size) != size)
		atomic_store(&v->size, size);
}

void
view_set_generation(struct view *v, uint32_t generation)
{
	if (atomic_load(&v->generation) != generation)
		atomic_store(&v->generation, generation);
}

uint32_t
view_generation(const struct view *v)
{
	return atomic_load(&v->generation);
}

uint64_t
view_written(struct view *v)
{
	return atomic_load(&v->wrote_us) != 0 ?
	    atomic_exchange(&v->wrote_us, 0) : 0;
}

void
view_wrote(struct view *v, uint64_t wall_us)
{
	atomic_store(&v->wrote_us, wall_us);
}

struct view *
view_new(struct sched *owner, size_t bytes_max)
{
	struct view *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	v->bytes_max = bytes_max;
	gate_init(&v->gate, owner);
	return v;
}

void
view_free(struct view *v)
{
	if (v == NULL)
		return;
	table_free(v);
	free(v);
}

/* ---- looking up ---- */

struct find {
	uint64_t off, end;
	bool write;
	unsigned count;
	struct view_part *part;
};

static bool
add(struct find *f, bool data, uint64_t phys, uint64_t len)
{
	struct view_part *last = f->count > 0 ? &f->part[f->count - 1] : NULL;

	f->off += len;
	if (last != NULL && last->data == data &&
	    (!data || last->phys + last->len == phys)) {
		last->len += len;
		return true;
	}
	if (f->count == VIEW_PARTS_MAX)
		return false;
	f->part[f->count++] = (struct view_part){ data, phys, len };
	return true;
}

static uint64_t
to_end(const struct find *f, uint64_t unit)
{
	uint64_t n = unit - f->off % unit;

	return n < f->end - f->off ? n : f->end - f->off;
}

static bool
find_chunk(struct find *f, struct split *s)
{
	unsigned k = (unsigned)(f->off / CHUNK_SIZE % CHUNK_BLOCKS);
	uint64_t stop = f->off + to_end(f, CHUNK_SIZE);
	uint32_t seq = atomic_load(&s->seq);
	uint64_t own = atomic_load(&s->c[k].own);
	uint64_t base = atomic_load(&s->c[k].base);

	if ((seq & 1) != 0 || atomic_load(&s->seq) != seq ||
	    (own & CHUNK_KNOWN) == 0 ||
	    (f->write && (own & CHUNK_WRITABLE) == 0))
		return false;
	while (f->off < stop) {
		uint64_t in = f->off % CHUNK_SIZE;
		bool valid = (own >> VALID_SHIFT >> (in / BLOCK_SIZE) & 1) != 0;
		uint64_t at = valid ? own >> OWN_SHIFT : base;

		if ((f->write && !valid) || !add(f, at != 0,
		    at != 0 ? at * CHUNK_SIZE + in : 0, to_end(f, BLOCK_SIZE)))
			return false;
	}
	return true;
}

static bool
find_mib(struct find *f, uint64_t word)
{
	switch (word & WORD_KIND) {
	case WORD_HOLE:
		return !f->write && add(f, false, 0, to_end(f, MIB_SIZE));
	case WORD_HUGE:
		return (!f->write || (word & WORD_WRITABLE) != 0) &&
		    add(f, true, (word >> WORD_SHIFT) * BLOCK_SIZE +
		    f->off % MIB_SIZE, to_end(f, MIB_SIZE));
	case WORD_SPLIT:
		return find_chunk(f, split_of(word));
	default:
		return false;
	}
}

unsigned
view_find(struct view *v, uint64_t off, uint64_t len, bool write,
    struct view_part parts[VIEW_PARTS_MAX])
{
	struct find f = {
		.off = off, .end = off + len, .write = write, .part = parts,
	};
	uint64_t size = atomic_load(&v->size);

	if (len > size || off > size - len)
		return 0;
	while (f.off < f.end) {
		struct node *n = node_at(v, f.off);

		if (n == NULL || !find_mib(&f, atomic_load(word_in(n, f.off))))
			return 0;
	}
	return f.count;
}
