/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes of clusters, metachunks and the remote-free log. */
#include <string.h>

#include "libvmfs/format/cluster.h"

static struct cluster_disk *
cluster_at(void *block)
{
	return (void *)((uint8_t *)block + LOCK_RECORD_SIZE);
}

static const struct cluster_disk *
cluster_at_const(const void *block)
{
	return (const void *)((const uint8_t *)block + LOCK_RECORD_SIZE);
}

static bool
bit_get(const uint8_t *map, uint32_t i)
{
	return (map[i / 8] >> (i % 8) & 1) != 0;
}

static void
bit_set(uint8_t *map, uint32_t i, bool on)
{
	if (on)
		map[i / 8] = (uint8_t)(map[i / 8] | 1 << (i % 8));
	else
		map[i / 8] = (uint8_t)(map[i / 8] & ~(1 << (i % 8)));
}

bool
cluster_chunk_used(const void *block, uint32_t chunk)
{
	return bit_get(cluster_at_const(block)->used, chunk);
}

void
cluster_chunk_set_used(void *block, uint32_t chunk, bool used)
{
	bit_set(cluster_at(block)->used, chunk, used);
}

bool
cluster_pair_meta(const void *block, uint32_t pair)
{
	return bit_get(cluster_at_const(block)->meta, pair);
}

void
cluster_pair_set_meta(void *block, uint32_t pair, bool meta)
{
	bit_set(cluster_at(block)->meta, pair, meta);
}

static bool
bits_clear_from(const uint8_t *map, uint32_t first, uint32_t end)
{
	for (; first < end && first % 8 != 0; first++)
		if (map[first / 8] >> (first % 8) & 1)
			return false;
	for (; first < end; first += 8)
		if (map[first / 8] != 0)
			return false;
	return true;
}

/* Clear bits below `chunks`; chunks past the end must be clear as well. */
static int
count_free(const void *block, uint32_t chunks, uint32_t *ret_free)
{
	const struct cluster_disk *d = cluster_at_const(block);
	uint32_t used = 0;

	if (!bits_clear_from(d->used, chunks, CLUSTER_CHUNKS_MAX) ||
	    !bits_clear_from(d->meta, (chunks + 1) / 2,
	    CLUSTER_CHUNKS_MAX / 2))
		return -VMFS_ECORRUPT;
	for (uint32_t i = 0; i < CLUSTER_CHUNKS_MAX / 64; i++) {
		uint64_t word;

		memcpy(&word, d->used + (size_t)i * 8, 8);
		used += (uint32_t)__builtin_popcountll(word);
	}
	*ret_free = chunks - used;
	return 0;
}

static int
cluster_check(const struct cluster_disk *d, const struct cluster_info *c,
    uint64_t cluster)
{
	if (c->cluster != cluster || c->chunks == 0 ||
	    c->chunks > CLUSTER_CHUNKS_MAX || c->meta_hint >= c->chunks ||
	    c->metachunks > c->chunks - c->free_chunks ||
	    c->free_meta_blocks > c->metachunks * (CHUNK_BLOCKS - 1))
		return -VMFS_ECORRUPT;
	if (!bytes_are_zero(d->reserved, sizeof(d->reserved)) ||
	    !bytes_are_zero(d->reserved2, sizeof(d->reserved2)))
		return -VMFS_ECORRUPT;
	return 0;
}

int
cluster_decode(const void *block, uint64_t cluster,
    struct cluster_info *ret_c)
{
	const struct cluster_disk *d = cluster_at_const(block);
	struct cluster_info c = {
		.cluster = le64_get(d->cluster),
		.chunks = le32_get(d->chunks),
		.free_chunks = le32_get(d->free_chunks),
		.metachunks = le32_get(d->metachunks),
		.free_meta_blocks = le32_get(d->free_meta_blocks),
		.meta_hint = le32_get(d->meta_hint),
	};
	uint32_t n_free;
	int r;

	if (c.chunks > CLUSTER_CHUNKS_MAX)
		return -VMFS_ECORRUPT;
	r = count_free(block, c.chunks, &n_free);
	if (r < 0)
		return r;
	if (n_free != c.free_chunks)
		return -VMFS_ECORRUPT;
	r = cluster_check(d, &c, cluster);
	if (r < 0)
		return r;
	*ret_c = c;
	return 0;
}

void
cluster_encode(void *block, const struct cluster_info *c)
{
	struct cluster_disk *d = cluster_at(block);

	d->cluster = le64(c->cluster);
	d->chunks = le32(c->chunks);
	d->free_chunks = le32(c->free_chunks);
	d->metachunks = le32(c->metachunks);
	d->free_meta_blocks = le32(c->free_meta_blocks);
	d->meta_hint = le32(c->meta_hint);
}

int
metachunk_decode(const void *block, struct metachunk_info *ret_m)
{
	const struct metachunk_disk *d = block;
	uint16_t used = le16_get(d->used);

	if (!bytes_are_zero(d->reserved, sizeof(d->reserved)) ||
	    !bytes_are_zero(d->reserved2, sizeof(d->reserved2)))
		return -VMFS_ECORRUPT;
	/* Bit 0 is this block itself; without it the chunk is retired. */
	if ((used & 1) == 0 && used != 0)
		return -VMFS_ECORRUPT;
	for (unsigned i = 0; i < CHUNK_BLOCKS; i++)
		if (d->type[i] > BLOCK_TYPE_MAX ||
		    (d->type[i] != 0) != (used >> i & 1))
			return -VMFS_ECORRUPT;
	if (used != 0 && d->type[0] != BLOCK_METACHUNK)
		return -VMFS_ECORRUPT;
	ret_m->used = used;
	memcpy(ret_m->type, d->type, sizeof(d->type));
	return 0;
}

void
metachunk_encode(void *block, const struct metachunk_info *m)
{
	struct metachunk_disk *d = block;

	d->used = le16(m->used);
	memcpy(d->type, m->type, sizeof(d->type));
}

int
remote_free_check(const void *block)
{
	const struct remote_free_disk *d = block;
	uint32_t count = le32_get(d->count);
	struct remote_free f;

	if (count > REMOTE_FREE_ENTRIES || le32_get(d->reserved) != 0 ||
	    !bytes_are_zero(d->reserved2, sizeof(d->reserved2)))
		return -VMFS_ECORRUPT;
	for (uint32_t i = 0; i < count; i++) {
		remote_free_get(block, i, &f);
		if (f.block == 0 || f.count == 0 ||
		    le32_get(d->entry[i].flags) > 1)
			return -VMFS_ECORRUPT;
		if (!f.meta && (f.block | f.count) % CHUNK_BLOCKS != 0)
			return -VMFS_ECORRUPT;
	}
	return 0;
}

void
remote_free_get(const void *block, unsigned i, struct remote_free *ret_f)
{
	const struct remote_free_disk *d = block;
	const struct remote_free_entry_disk *e = &d->entry[i];

	ret_f->block = le64_get(e->block);
	ret_f->count = le32_get(e->count);
	ret_f->meta = (le32_get(e->flags) & 1) != 0;
}

void
remote_free_put(void *block, unsigned i, const struct remote_free *f)
{
	struct remote_free_disk *d = block;
	struct remote_free_entry_disk *e = &d->entry[i];

	e->block = le64(f->block);
	e->count = le32(f->count);
	e->flags = le32(f->meta ? 1 : 0);
}
