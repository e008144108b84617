/* SPDX-License-Identifier: BSD-2-Clause */
/* See seen.h: open addressing, 0 is an empty slot. */
#include <stdlib.h>

#include "tests/crash/seen.h"

static uint64_t *
find(const struct seen *s, uint64_t hash)
{
	size_t i = hash & (s->size - 1);

	while (s->slot[i] != 0 && s->slot[i] != hash)
		i = (i + 1) & (s->size - 1);
	return &s->slot[i];
}

static void
grow(struct seen *s)
{
	struct seen old = *s;

	s->size = old.size == 0 ? 1024 : old.size * 2;
	s->slot = calloc(s->size, sizeof(*s->slot));
	if (s->slot == NULL)
		abort();
	for (size_t i = 0; i < old.size; i++)
		if (old.slot[i] != 0)
			*find(s, old.slot[i]) = old.slot[i];
	free(old.slot);
}

bool
seen_add(struct seen *s, uint64_t hash)
{
	uint64_t *slot;

	if (s->count * 2 >= s->size)
		grow(s);
	hash += hash == 0;
	slot = find(s, hash);
	if (*slot != 0)
		return false;
	*slot = hash;
	s->count++;
	return true;
}

void
seen_fini(struct seen *s)
{
	free(s->slot);
	*s = (struct seen){ 0 };
}
