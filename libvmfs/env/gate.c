/* SPDX-License-Identifier: BSD-2-Clause */
/* The count of those inside and the bit that closes it are one word. */
#include <assert.h>

#include "libvmfs/env/gate.h"

#define CLOSED ((uint64_t)1 << 63)

static void
all_left(void *arg)
{
	struct gate *g = arg;

	g->left = true;
	fiber_cond_broadcast(&g->cond);
}

void
gate_init(struct gate *g, struct sched *owner)
{
	*g = (struct gate){
		.owner = owner, .work = { .fn = all_left, .arg = g },
	};
	fiber_cond_init(&g->cond);
}

bool
gate_enter(struct gate *g)
{
	uint64_t word = atomic_load(&g->word);

	/* Nobody gets in for a moment only: the count of a closed gate falls,
	 * and one comes out last. */
	while ((word & CLOSED) == 0)
		if (atomic_compare_exchange_weak(&g->word, &word, word + 1))
			return true;
	return false;
}

void
gate_leave(struct gate *g)
{
	if (atomic_fetch_sub(&g->word, 1) == (CLOSED | 1))
		sched_post(g->owner, &g->work);
}

void
gate_close(struct gate *g)
{
	if (g->closers++ == 0)
		g->left = atomic_fetch_or(&g->word, CLOSED) == 0;
	/* Not by the count: whoever made it 0 has yet to post. */
	while (!g->left)
		fiber_cond_wait(&g->cond);
}

void
gate_open(struct gate *g)
{
	assert(g->closers > 0 && g->left);
	if (--g->closers == 0)
		atomic_fetch_and(&g->word, ~CLOSED);
}
