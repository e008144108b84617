/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of inodes for log lines. */
#include <stdio.h>
#include <stdlib.h>

#include "fuse/name_hint.h"

static struct name_hint_slot *
slot_of(const struct name_hint *h, uint64_t ino)
{
	/* Fibonacci hashing: neighbouring numbers spread. */
	return &h->slot[(ino * 0x9e3779b97f4a7c15u) >> 56 &
	    (NAME_HINT_SLOTS - 1)];
}

int
name_hint_init(struct name_hint *h)
{
	h->slot = calloc(NAME_HINT_SLOTS, sizeof(*h->slot));
	return h->slot != NULL ? 0 : -ENOMEM;
}

void
name_hint_fini(struct name_hint *h)
{
	free(h->slot);
	h->slot = NULL;
}

void
name_hint_set(struct name_hint *h, uint64_t ino, const char *name)
{
	struct name_hint_slot *s = slot_of(h, ino);

	s->ino = ino;
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
}

const char *
name_hint_get(const struct name_hint *h, uint64_t ino)
{
	const struct name_hint_slot *s = slot_of(h, ino);

	return s->ino == ino && ino != 0 ? s->name : NULL;
}
