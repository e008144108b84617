/* SPDX-License-Identifier: BSD-2-Clause */
/* Processes of a group and what they say of hosts. */
#include "locking/member_table.h"

#include <string.h>

void
member_table_reset(struct member_table *t)
{
	t->count = 0;
}

static struct member_entry *
find(struct member_table *t, struct member_proc proc)
{
	for (unsigned i = 0; i < t->count; i++) {
		struct member_entry *e = &t->entry[i];

		if (e->proc.node == proc.node && e->proc.pid == proc.pid)
			return e;
	}
	return NULL;
}

/* The place of what has been gone for longest; NULL: all are present. */
static struct member_entry *
oldest_gone(struct member_table *t)
{
	struct member_entry *oldest = NULL;

	for (unsigned i = 0; i < t->count; i++) {
		struct member_entry *e = &t->entry[i];

		if (e->presence != MEMBER_PRESENT &&
		    (oldest == NULL || e->order < oldest->order))
			oldest = e;
	}
	return oldest;
}

void
member_table_present(struct member_table *t, struct member_proc proc)
{
	struct member_entry *e = find(t, proc);

	if (e != NULL && e->presence == MEMBER_PRESENT)
		return;
	/* Who comes back says anew which host it is. */
	if (e == NULL)
		e = t->count < MEMBER_TABLE_MAX ? &t->entry[t->count++] :
		    oldest_gone(t);
	if (e != NULL)
		*e = (struct member_entry){
			.proc = proc, .order = ++t->order,
		};
}

void
member_table_left(struct member_table *t, struct member_proc proc,
    bool with_its_node)
{
	struct member_entry *e = find(t, proc);

	if (e == NULL)
		return;
	e->presence = with_its_node ? MEMBER_NODE_LOST : MEMBER_LEFT;
	e->order = ++t->order;
}

void
member_table_announced(struct member_table *t, struct member_proc proc,
    const struct uuid *host)
{
	struct member_entry *e = find(t, proc);

	if (e == NULL || e->presence != MEMBER_PRESENT)
		return;
	e->announced = true;
	e->host = *host;
}

static enum member_word
word_of(const struct member_table *t, const struct member_entry *e)
{
	switch (e->presence) {
	case MEMBER_PRESENT:
		return MEMBER_UP;
	case MEMBER_LEFT:
		return MEMBER_GONE;
	case MEMBER_NODE_LOST:
		break;
	}
	return t->quorate ? MEMBER_GONE : MEMBER_NO_WORD;
}

/* Of several processes of one host the one that is there counts, else the
 * last that left. */
enum member_word
member_table_word(const struct member_table *t, const struct uuid *host)
{
	const struct member_entry *last = NULL;

	for (unsigned i = 0; i < t->count; i++) {
		const struct member_entry *e = &t->entry[i];

		if (!e->announced || !uuid_equal(&e->host, host))
			continue;
		if (e->presence == MEMBER_PRESENT)
			return MEMBER_UP;
		if (last == NULL || e->order > last->order)
			last = e;
	}
	return last == NULL ? MEMBER_NO_WORD : word_of(t, last);
}
