/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes of the journal: heads, commits, records. */
#include <string.h>

#include "libvmfs/format/journal.h"

#define COMMIT_CRC_OFFSET offsetof(struct journal_commit_disk, crc32c)

int
journal_head_decode(const void *block, const struct uuid *volume,
    uint64_t addr, struct journal_head *ret_h)
{
	const struct journal_head_disk *d = block;
	struct block_hdr hdr;
	struct journal_head h;
	int r;

	r = block_hdr_decode(block, BLOCK_JOURNAL_HEAD, volume, addr, &hdr);
	if (r < 0)
		return r;
	h = (struct journal_head) {
		.addr = addr,
		.incarnation = le64_get(d->incarnation),
		.head_sequence = le64_get(d->head_sequence),
		.tail_block = le64_get(d->tail_block),
		.tail_sequence = le64_get(d->tail_sequence),
		.tail_prev_crc = le32_get(d->tail_prev_crc),
		.blocks = le32_get(d->blocks),
	};
	if (h.blocks < JOURNAL_BLOCKS_MIN || h.blocks > JOURNAL_BLOCKS_MAX ||
	    h.tail_block < JOURNAL_FIRST_BLOCK || h.tail_block >= h.blocks ||
	    !bytes_are_zero(d->reserved, sizeof(d->reserved)))
		return -VMFS_ECORRUPT;
	*ret_h = h;
	return 0;
}

void
journal_head_encode(void *block, const struct uuid *volume,
    uint64_t slot_block, uint64_t lsn, const struct journal_head *h)
{
	struct journal_head_disk *d = block;

	memset(d, 0, sizeof(*d));
	d->incarnation = le64(h->incarnation);
	d->head_sequence = le64(h->head_sequence);
	d->tail_block = le64(h->tail_block);
	d->tail_sequence = le64(h->tail_sequence);
	d->tail_prev_crc = le32(h->tail_prev_crc);
	d->blocks = le32(h->blocks);
	block_hdr_encode(block, &(struct block_hdr) {
		.type = BLOCK_JOURNAL_HEAD,
		.addr = h->addr,
		.owner = slot_block,
		.lockver = h->incarnation,
		.lsn = lsn,
	}, volume);
}

int
journal_commit_decode(const void *buf, const struct uuid *volume,
    size_t max, struct journal_commit *ret_c)
{
	const struct journal_commit_disk *d = buf;
	uint32_t length = le32_get(d->length);
	uint32_t flags = le32_get(d->flags);

	if (le32_get(d->magic) != JOURNAL_COMMIT_MAGIC ||
	    memcmp(d->volume, volume->b, sizeof(d->volume)) != 0 ||
	    length < sizeof(*d) || length > max ||
	    (flags & ~(uint32_t)JOURNAL_WRAP) != 0)
		return -VMFS_ECORRUPT;
	*ret_c = (struct journal_commit) {
		.incarnation = le64_get(d->incarnation),
		.sequence = le64_get(d->sequence),
		.lsn = le64_get(d->lsn),
		.prev_crc = le32_get(d->prev_crc),
		.crc = le32_get(d->crc32c),
		.length = length,
		.records = le32_get(d->records),
		.flags = flags,
	};
	return 0;
}

int
journal_commit_check(const void *buf, const struct journal_commit *c)
{
	if (crc32c_with_hole(buf, c->length, COMMIT_CRC_OFFSET) != c->crc)
		return -VMFS_ECORRUPT;
	return 0;
}

void
journal_commit_encode(void *buf, const struct uuid *volume,
    struct journal_commit *c)
{
	struct journal_commit_disk *d = buf;

	d->magic = le32(JOURNAL_COMMIT_MAGIC);
	d->incarnation = le64(c->incarnation);
	d->sequence = le64(c->sequence);
	d->prev_crc = le32(c->prev_crc);
	d->length = le32(c->length);
	d->records = le32(c->records);
	d->flags = le32(c->flags);
	memcpy(d->volume, volume->b, sizeof(d->volume));
	d->lsn = le64(c->lsn);
	c->crc = crc32c_with_hole(buf, c->length, COMMIT_CRC_OFFSET);
	d->crc32c = le32(c->crc);
}

static bool
record_is_valid(const struct journal_record *r)
{
	unsigned start = block_hdr_offset(r->block_type);

	if (r->block_type == 0 || r->block_type > BLOCK_TYPE_MAX ||
	    r->offset < start || r->offset + r->length > BLOCK_SIZE ||
	    r->addr == 0)
		return false;
	if (r->type == JOURNAL_IMAGE)
		return r->offset == start && r->length == BLOCK_SIZE - start;
	return r->type == JOURNAL_DELTA && r->length > 0;
}

int
journal_record_next(const void *buf, size_t length, size_t *pos,
    struct journal_record *ret_r)
{
	const uint8_t *p = (const uint8_t *)buf + *pos;
	const struct journal_record_disk *d = (const void *)p;
	struct journal_record r;
	size_t size;

	if (*pos == length)
		return -ENOENT;
	if (*pos > length || length - *pos < sizeof(*d))
		return -VMFS_ECORRUPT;
	r = (struct journal_record) {
		.type = (enum journal_record_type)le16_get(d->type),
		.block_type = (enum block_type)le16_get(d->block_type),
		.offset = le16_get(d->offset),
		.length = le16_get(d->length),
		.addr = le64_get(d->addr),
		.owner = le64_get(d->owner),
		.lockver = le64_get(d->lockver),
		.bytes = p + sizeof(*d),
	};
	size = journal_record_put(NULL, 0, &r);
	if (!record_is_valid(&r) || length - *pos < size)
		return -VMFS_ECORRUPT;
	*ret_r = r;
	*pos += size;
	return 0;
}

size_t
journal_record_put(void *buf, size_t pos, const struct journal_record *r)
{
	size_t padded = (r->length + 7u) & ~(size_t)7;
	struct journal_record_disk *d;

	if (buf != NULL) {
		d = (void *)((uint8_t *)buf + pos);
		d->type = le16((uint16_t)r->type);
		d->block_type = le16((uint16_t)r->block_type);
		d->offset = le16((uint16_t)r->offset);
		d->length = le16((uint16_t)r->length);
		d->addr = le64(r->addr);
		d->owner = le64(r->owner);
		d->lockver = le64(r->lockver);
		memcpy(d + 1, r->bytes, r->length);
		memset((uint8_t *)(d + 1) + r->length, 0, padded - r->length);
	}
	return sizeof(*d) + padded;
}
