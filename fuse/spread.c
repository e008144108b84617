/* SPDX-License-Identifier: BSD-2-Clause */
/* Who does short requests, see spread.h. */
#include "fuse/spread.h"

/* Whether of late, three of four were asked for at one place. */
static bool
is_one_program(struct spread *s, struct spread_view *v)
{
	uint32_t most = 0, all = 0;

	for (unsigned t = 0; t < s->threads; t++) {
		uint32_t asked, n;

		asked = atomic_fetch_add(&s->asked[t], v->of[t]) + v->of[t];
		n = asked - v->seen[t];
		v->seen[t] = asked;
		v->of[t] = 0;
		most = n > most ? n : most;
		all += n;
	}
	return most >= all - all / 4;
}

static void
judge(struct spread *s, struct spread_view *v)
{
	bool out = atomic_load(&s->out), one = is_one_program(s, v);
	bool want = one && v->deep >= SPREAD_OF / (out ? 4 : 2);

	v->came = v->deep = 0;
	if (want == out) {
		v->doubts = 0;
	} else if (++v->doubts == SPREAD_PATIENCE) {
		v->doubts = 0;
		atomic_store(&s->out, want);
	}
}

void
spread_came(struct spread *s, struct spread_view *v, unsigned asked,
    unsigned under_way)
{
	bool out = atomic_load_explicit(&s->out, memory_order_relaxed);

	v->of[asked]++;
	v->deep += under_way >= (out ? SPREAD_SHALLOW : SPREAD_DEEP);
	if (++v->came == SPREAD_OF && s->threads >= 3)
		judge(s, v);
}

unsigned
spread_place(const struct spread *s, unsigned asked, unsigned k)
{
	if (!atomic_load_explicit(&s->out, memory_order_relaxed))
		return asked;
	return (asked + 1 + k % 2) % s->threads;
}
