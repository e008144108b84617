/* SPDX-License-Identifier: BSD-2-Clause */
/* What the requests of a dead process have left. */
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fuse/fuse_keep.h"

void
fuse_keep_replayed(struct fuse_keep *k, uint64_t replayed_lsn)
{
	for (unsigned i = 0; i < FUSE_KEEP_REQUESTS; i++) {
		struct fs_note *n = &k->note[i];

		if (n->lsn < NOTE_WRITTEN && n->lsn >= replayed_lsn)
			n->lsn = 0;
	}
}

void
fuse_keep_touch(struct fuse_keep *k, unsigned i, size_t bytes)
{
	(void)madvise(fuse_keep_message(k, i), bytes, MADV_POPULATE_WRITE);
}

void
fuse_keep_note_init(struct fuse_keep *k, const struct fuse_in_header *h)
{
	if (h->opcode != FUSE_INIT || h->len < sizeof(*h) ||
	    h->len > sizeof(k->init))
		return;
	memcpy(k->init, h, h->len);
	atomic_store(&k->init_size, h->len);
}

void
fuse_keep_find_init(struct fuse_keep *k)
{
	for (unsigned i = 0; i < FUSE_KEEP_REQUESTS &&
	    atomic_load(&k->init_size) == 0; i++)
		fuse_keep_note_init(k, fuse_keep_header(k, i));
}

/* INIT has been answered before all others. */
static bool
is_left(const struct fuse_in_header *h)
{
	return h->len >= sizeof(*h) &&
	    h->len <= FUSE_KEEP_MESSAGE - FUSE_KEEP_PAGE &&
	    h->opcode != FUSE_INIT;
}

static int
by_turn(const void *a, const void *b, void *keep)
{
	const struct fuse_in_header *x =
	    fuse_keep_header(keep, *(const unsigned *)a);
	const struct fuse_in_header *y =
	    fuse_keep_header(keep, *(const unsigned *)b);
	bool x_closes = x->opcode == FUSE_RELEASE;
	bool y_closes = y->opcode == FUSE_RELEASE;

	if (x_closes != y_closes)
		return x_closes ? -1 : 1;
	return (x->unique > y->unique) - (x->unique < y->unique);
}

unsigned
fuse_keep_left(struct fuse_keep *k, unsigned ret_i[FUSE_KEEP_REQUESTS])
{
	unsigned n = 0;

	for (unsigned i = 0; i < FUSE_KEEP_REQUESTS; i++)
		if (is_left(fuse_keep_header(k, i)))
			ret_i[n++] = i;
	qsort_r(ret_i, n, sizeof(ret_i[0]), by_turn, k);
	return n;
}
