/* SPDX-License-Identifier: BSD-2-Clause */
/* Turns the dirty blocks of the running transaction into one commit. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/core/ds_priv.h"

#define IMAGE_AT 2048u		/* so many dirty bytes make it an image */

static struct journal_record
record_of(const struct journal_record *block, const uint8_t *data,
    enum journal_record_type type, unsigned offset, unsigned length)
{
	struct journal_record r = *block;

	r.type = type;
	r.offset = offset;
	r.length = length;
	r.bytes = data + offset;
	return r;
}

/* Next run of dirty bytes at or behind *offset; false: none. */
static bool
next_run(uint64_t dirty, unsigned *offset, unsigned *ret_length)
{
	unsigned i = *offset / DIRTY_UNIT, end;

	while (i < 64 && (dirty >> i & 1) == 0)
		i++;
	if (i == 64)
		return false;
	for (end = i; end < 64 && (dirty >> end & 1) != 0; end++)
		;
	*offset = i * DIRTY_UNIT;
	*ret_length = (end - i) * DIRTY_UNIT;
	return true;
}

size_t
log_known(const struct journal_record *block, const uint8_t *data,
    uint64_t dirty, bool image, uint8_t *buf, size_t pos, uint32_t *records)
{
	unsigned offset = block_hdr_offset(block->block_type), length;
	struct journal_record r;
	size_t start = pos;

	if (dirty == 0)
		return 0;
	if (image) {
		r = record_of(block, data, JOURNAL_IMAGE, offset,
		    BLOCK_SIZE - offset);
		++*records;
		return journal_record_put(buf, pos, &r);
	}
	for (; next_run(dirty, &offset, &length); offset += length) {
		r = record_of(block, data, JOURNAL_DELTA, offset, length);
		pos += journal_record_put(buf, pos, &r);
		++*records;
	}
	return pos - start;
}

size_t
log_block(const struct mb *mb, uint64_t dirty, bool image, uint8_t *buf,
    size_t pos, uint32_t *records)
{
	struct journal_record block = {
		.block_type = mb->pub.type, .addr = mb->pub.addr,
		.owner = mb->pub.owner, .lockver = mb->lockver,
	};

	image = image || (size_t)__builtin_popcountll(dirty) * DIRTY_UNIT >=
	    IMAGE_AT;
	return log_known(&block, mb->pub.data, dirty, image, buf, pos,
	    records);
}

size_t
log_size(struct ds *ds)
{
	size_t size = 0;
	uint32_t records = 0;

	list_for_each(node, tmp, &ds->txn.dirty) {
		struct mb *mb = list_entry(node, struct mb, dirty_link);

		/* The sector of the lock record is not ours to log. */
		if (block_hdr_offset(mb->pub.type) != 0)
			mb->dirty &= ~(uint64_t)0xff;
		if (!mb->freed)
			size += log_block(mb, mb->dirty, mb->image, NULL, 0,
			    &records);
	}
	return size == 0 ? 0 : size + sizeof(struct journal_commit_disk);
}

void
log_build(struct ds *ds, uint8_t *buf, struct journal_commit *c)
{
	size_t pos = sizeof(struct journal_commit_disk);

	list_for_each(node, tmp, &ds->txn.dirty) {
		struct mb *mb = list_entry(node, struct mb, dirty_link);

		if (mb->freed) {
			mb_detach(mb);
			continue;
		}
		list_del(&mb->dirty_link);
		ds->txn.n_dirty--;
		if (mb->dirty != 0) {
			pos += log_block(mb, mb->dirty, mb->image, buf, pos,
			    &c->records);
			mb->lsn = c->lsn;
			mb->image = false;
			mb->dirty = 0;
			if (!mb->logged)
				list_add_tail(&ds->logged, &mb->logged_link);
			mb->logged = true;
		}
		mb_settle(mb);
	}
	c->length = (uint32_t)pos;
}
