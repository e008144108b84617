/* SPDX-License-Identifier: BSD-2-Clause */
/* Clusters and metachunks: what is marked used, against what was reached. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/units.h"
#include "libvmfs/check/check_priv.h"
#include "libvmfs/core/volume.h"

#define CLUSTERS_AHEAD 64u
#define PAIRS_AHEAD 32u

static uint64_t
cluster_count(const struct check *c)
{
	return volume_clusters(&c->super);
}

/* Chunks of a cluster: the last of a LUN may be short, and between two LUNs
 * there is none. */
static uint32_t
cluster_chunks(const struct check *c, uint64_t n)
{
	return volume_cluster_chunks(&c->super, n);
}

static int
check_metachunk_add(struct check *c, const struct check_metachunk *add)
{
	if (c->mc_count == c->mc_max) {
		size_t max = c->mc_max == 0 ? 256 : c->mc_max * 2;
		void *p = realloc(c->mc, max * sizeof(*c->mc));

		if (p == NULL)
			return -ENOMEM;
		c->mc = p;
		c->mc_max = max;
	}
	c->mc[c->mc_count] = *add;
	c->mc[c->mc_count++].found = 1;
	bit_set(c->seen, add->chunk);
	bit_set(c->alone, add->chunk);
	return 0;
}

/* A head that fails its checks, yet says what and where it is: not data. */
static bool
metachunk_remains(const struct check *c, uint64_t block, const void *buf)
{
	const struct block_hdr_disk *h = buf;

	return le32_get(h->magic) == BLOCK_MAGIC &&
	    le16_get(h->type) == BLOCK_METACHUNK &&
	    le64_get(h->addr) == block &&
	    memcmp(h->volume, c->super.uuid.b, sizeof(h->volume)) == 0;
}

/* Which blocks of a chunk say that they are metadata, and stand there. */
static int
metachunk_survey(struct check *c, struct check_metachunk *m, void *buf)
{
	static const enum block_type types[] = {
		BLOCK_INODE, BLOCK_MAP_LEAF, BLOCK_MAP_NODE, BLOCK_DIR_NODE,
		BLOCK_DIR_LEAF, BLOCK_SNAPTAB, BLOCK_REMOTE_FREE,
		BLOCK_XATTR,
	};
	uint64_t blocks[CHUNK_BLOCKS];
	int rc;

	for (unsigned i = 0; i < CHUNK_BLOCKS; i++)
		blocks[i] = m->chunk * CHUNK_BLOCKS + i;
	check_read_ahead(c, blocks + 1, CHUNK_BLOCKS - 1);
	m->used = 1;
	m->rebuilt = true;
	m->type[0] = BLOCK_METACHUNK;
	for (unsigned i = 1; i < CHUNK_BLOCKS; i++) {
		for (size_t k = 0; k < sizeof(types) / sizeof(types[0]); k++) {
			rc = check_block(c, blocks[i], types[k], buf);
			if (rc != 0 && rc != -VMFS_ECORRUPT)
				return rc;
			if (rc != 0)
				continue;
			m->used = (uint16_t)(m->used | 1u << i);
			m->type[i] = (uint8_t)types[k];
			break;
		}
	}
	return 0;
}

enum head { HEAD_NONE, HEAD_GOOD, HEAD_REMAINS };

/* Reads the head of a chunk that may be a metachunk. */
static int
metachunk_look(struct check *c, uint64_t n, uint64_t chunk, void *buf,
    struct check_metachunk *ret_m, enum head *ret_h)
{
	uint64_t block = chunk * CHUNK_BLOCKS;
	const struct block_hdr_disk *h = buf;
	struct metachunk_info info;
	int rc;

	*ret_m = (struct check_metachunk){ .chunk = chunk };
	*ret_h = HEAD_NONE;
	rc = check_block(c, block, BLOCK_METACHUNK, buf);
	if (rc == 0)
		rc = metachunk_decode(buf, &info);
	if (rc == -VMFS_ECORRUPT) {
		*ret_h = metachunk_remains(c, block, buf) ? HEAD_REMAINS :
		    HEAD_NONE;
		return 0;
	}
	/* The head of one that was given back, beside one that was not. */
	if (rc != 0 || info.used == 0)
		return rc;
	*ret_h = HEAD_GOOD;
	ret_m->used = info.used;
	memcpy(ret_m->type, info.type, sizeof(info.type));
	if (le64_get(h->owner) == check_cluster_block(&c->super, n))
		return 0;
	ret_m->rebuilt = true;
	check_report(c, CHECK_METACHUNK, CHECK_DAMAGE, block, c->conf->repair,
	    "metachunk %llu says that it is of another cluster than %llu",
	    (unsigned long long)chunk, (unsigned long long)n);
	return 0;
}

static int
metachunk_damaged(struct check *c, uint64_t n, struct check_metachunk *m,
    void *buf)
{
	int rc;

	rc = metachunk_survey(c, m, buf);
	if (rc != 0)
		return rc;
	check_report(c, CHECK_METACHUNK, CHECK_DAMAGE,
	    m->chunk * CHUNK_BLOCKS, c->conf->repair, "the head of metachunk "
	    "%llu of cluster %llu is damaged; %d of its blocks say what they "
	    "are", (unsigned long long)m->chunk, (unsigned long long)n,
	    __builtin_popcount(m->used) - 1);
	return check_metachunk_add(c, m);
}

/* No trace of a head in either chunk of a pair that must have one. */
static int
pair_damaged(struct check *c, uint64_t n, struct check_metachunk *a,
    struct check_metachunk *z, void *buf)
{
	struct check_metachunk *m;
	int rc;

	rc = metachunk_survey(c, a, buf);
	if (rc == 0 && z != NULL)
		rc = metachunk_survey(c, z, buf);
	if (rc != 0)
		return rc;
	m = z != NULL && __builtin_popcount(z->used) >
	    __builtin_popcount(a->used) ? z : a;
	check_report(c, CHECK_METACHUNK, CHECK_DAMAGE,
	    m->chunk * CHUNK_BLOCKS, c->conf->repair, "the head of the "
	    "metachunk at chunk %llu or %llu of cluster %llu is lost; %d "
	    "blocks of chunk %llu are metadata", (unsigned long long)a->chunk,
	    (unsigned long long)a->chunk + 1, (unsigned long long)n,
	    __builtin_popcount(m->used) - 1, (unsigned long long)m->chunk);
	bit_set(c->recount, n);
	return m->used == 1 ? 0 : check_metachunk_add(c, m);
}

static int
check_metachunk(struct check *c, uint64_t n, struct check_metachunk *m,
    enum head h, void *buf)
{
	if (h == HEAD_NONE)
		return 0;
	if (!bit_get(c->used, m->chunk))
		check_report(c, CHECK_SPACE_FREE, CHECK_DAMAGE,
		    m->chunk * CHUNK_BLOCKS, c->conf->repair, "metachunk %llu "
		    "of cluster %llu is marked free",
		    (unsigned long long)m->chunk, (unsigned long long)n);
	return h == HEAD_GOOD ? check_metachunk_add(c, m) :
	    metachunk_damaged(c, n, m, buf);
}

/* `told`: by the cluster block; else there may be none in the pair. */
static int
check_pair(struct check *c, uint64_t n, uint64_t first, bool has_second,
    bool told, void *buf)
{
	struct check_metachunk a, z = { .chunk = 0 };
	enum head ha, hz = HEAD_NONE;
	int rc;

	rc = metachunk_look(c, n, first, buf, &a, &ha);
	if (rc == 0 && has_second)
		rc = metachunk_look(c, n, first + 1, buf, &z, &hz);
	if (rc != 0)
		return rc;
	if (told && ha == HEAD_NONE && hz == HEAD_NONE)
		return pair_damaged(c, n, &a, has_second ? &z : NULL, buf);
	rc = check_metachunk(c, n, &a, ha, buf);
	return rc != 0 ? rc : check_metachunk(c, n, &z, hz, buf);
}

static int
check_cluster_meta(struct check *c, uint64_t n, const struct cluster_disk *d,
    void *buf)
{
	uint64_t first = n * (c->super.cluster_blocks / CHUNK_BLOCKS);
	uint32_t chunks = cluster_chunks(c, n), pairs = (chunks + 1) / 2;
	uint64_t ahead[PAIRS_AHEAD * 2];
	uint32_t todo[PAIRS_AHEAD];
	int rc = 0;

	for (uint32_t b = 0; b < pairs && rc == 0; ) {
		unsigned k = 0;

		for (; b < pairs && k < PAIRS_AHEAD; b++)
			if (d == NULL || bit_get(d->meta, b))
				todo[k++] = b;
		for (unsigned i = 0; i < k; i++) {
			ahead[2 * i] = (first + 2ull * todo[i]) * CHUNK_BLOCKS;
			ahead[2 * i + 1] = ahead[2 * i] + CHUNK_BLOCKS;
		}
		check_read_ahead(c, ahead, 2 * k);
		for (unsigned i = 0; i < k && rc == 0; i++)
			rc = check_pair(c, n, first + 2ull * todo[i],
			    2 * todo[i] + 1 < chunks, d != NULL, buf);
	}
	return rc;
}

/* Nothing is known but what lies there: the bitmap comes from the maps. */
static int
cluster_damaged(struct check *c, uint64_t n, uint64_t block, void *scratch)
{
	uint64_t first = n * (c->super.cluster_blocks / CHUNK_BLOCKS);
	uint32_t chunks = cluster_chunks(c, n);

	check_report(c, CHECK_CLUSTER, CHECK_DAMAGE, block, c->conf->repair,
	    "cluster block %llu (%llu MiB of space) is damaged",
	    (unsigned long long)n, (unsigned long long)chunks / 16);
	bit_set(c->unknown, n);
	for (uint32_t i = 0; i < chunks; i++)
		bit_set(c->used, first + i);
	return check_cluster_meta(c, n, NULL, scratch);
}

/* One that was not changed since the volume grew knows fewer than it has. */
static uint32_t
chunks_known(const struct check *c, uint64_t n, const struct cluster_disk *d)
{
	uint32_t chunks = cluster_chunks(c, n), known = le32_get(d->chunks);

	return (c->super.ro_compat & FEATURE_RO_COMPAT_GROWN) != 0 &&
	    known > 0 && known < chunks ? known : chunks;
}

static void
check_cluster_counts(struct check *c, uint64_t n, uint64_t block,
    const void *buf)
{
	const struct cluster_disk *d = (const void *)((const uint8_t *)buf +
	    LOCK_RECORD_SIZE);
	uint32_t chunks = chunks_known(c, n, d), nfree = 0;
	struct cluster_info info;

	for (uint32_t i = 0; i < chunks; i++)
		nfree += !bit_get(d->used, i);
	if (le32_get(d->chunks) != chunks || le32_get(d->free_chunks) != nfree)
		check_report(c, CHECK_CLUSTER_COUNT, CHECK_HARMLESS, block,
		    c->conf->repair, "cluster %llu counts %u free of %u "
		    "chunks, its bitmap %u of %u", (unsigned long long)n,
		    le32_get(d->free_chunks), le32_get(d->chunks), nfree,
		    chunks);
	else if (cluster_decode(buf, n, &info) != 0)
		check_report(c, CHECK_CLUSTER_COUNT, CHECK_HARMLESS, block,
		    c->conf->repair, "what cluster %llu says beside its "
		    "bitmap makes no sense", (unsigned long long)n);
	else
		return;
	bit_set(c->recount, n);
}

static int
check_cluster(struct check *c, uint64_t n, uint64_t block, void *buf,
    void *scratch)
{
	const struct cluster_disk *d = (const void *)((const uint8_t *)buf +
	    LOCK_RECORD_SIZE);
	uint64_t first = n * (c->super.cluster_blocks / CHUNK_BLOCKS);
	char object[40];
	uint32_t chunks;
	int rc, hdr;

	hdr = check_block(c, block, BLOCK_CLUSTER, buf);
	if (hdr != 0 && hdr != -VMFS_ECORRUPT)
		return hdr;
	snprintf(object, sizeof(object), "cluster %llu",
	    (unsigned long long)n);
	rc = check_lock(c, block, buf, object);
	if (rc != 0)
		return rc;
	if (hdr != 0 || le64_get(d->cluster) != n)
		return cluster_damaged(c, n, block, scratch);
	check_cluster_counts(c, n, block, buf);
	chunks = chunks_known(c, n, d);
	for (uint32_t i = 0; i < chunks; i++)
		if (bit_get(d->used, i))
			bit_set(c->used, first + i);
	return check_cluster_meta(c, n, d, scratch);
}

struct check_metachunk *
check_metachunk_untold(struct check *c, uint64_t block)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	struct check_metachunk m;
	enum head h;
	uint64_t n = block / c->super.cluster_blocks;
	size_t at = c->mc_count;

	/* Not where data was found: what stands there is a leftover. */
	if (buf == NULL || !volume_has_block(&c->super, block) ||
	    bit_get(c->seen, block / CHUNK_BLOCKS) ||
	    metachunk_look(c, n, block / CHUNK_BLOCKS, buf, &m, &h) != 0)
		return NULL;
	if (h != HEAD_GOOD && metachunk_survey(c, &m, buf) != 0)
		return NULL;
	if (m.used == 1 || check_metachunk_add(c, &m) != 0)
		return NULL;
	check_report(c, CHECK_METACHUNK, CHECK_DAMAGE,
	    m.chunk * CHUNK_BLOCKS, c->conf->repair, h == HEAD_GOOD ?
	    "cluster %llu does not know of metachunk %llu" :
	    "in cluster %llu the head of metachunk %llu is lost",
	    (unsigned long long)n, (unsigned long long)m.chunk);
	bit_set(c->recount, n);
	m = c->mc[at];
	for (; at > 0 && c->mc[at - 1].chunk > m.chunk; at--)
		c->mc[at] = c->mc[at - 1];
	c->mc[at] = m;
	return &c->mc[at];
}

static void
mark_static(struct check *c, uint64_t block)
{
	bit_set(c->seen, block / CHUNK_BLOCKS);
	bit_set(c->alone, block / CHUNK_BLOCKS);
}

/* What no cluster hands out: head of the volume, cluster tables, copies. */
static void
check_mark_static(struct check *c)
{
	uint64_t end = CLUSTER_TABLE_BLOCK;

	for (unsigned i = 0; i < c->super.segments; i++) {
		const struct super_segment *g = &c->super.segment[i];

		for (uint64_t b = g->table_block; b < g->table_block +
		    volume_table_blocks(&c->super, i) &&
		    b < c->super.blocks; b += 1)
			mark_static(c, b);
	}
	for (uint64_t b = 0; b < end && b < c->super.blocks; b += CHUNK_BLOCKS)
		mark_static(c, b);
	mark_static(c, c->super.copy2_block);
}

static void
clusters_ahead(struct check *c, uint64_t n, uint64_t count)
{
	uint64_t blocks[CLUSTERS_AHEAD];
	unsigned k = 0;

	for (; k < CLUSTERS_AHEAD && n + k < count; k++)
		blocks[k] = check_cluster_block(&c->super, n + k);
	check_read_ahead(c, blocks, k);
}

int
check_clusters(struct check *c)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	cleanup_free uint8_t *scratch = disk_buf_alloc(BLOCK_SIZE);
	uint64_t count = cluster_count(c);
	int rc = 0;

	if (buf == NULL || scratch == NULL)
		return -ENOMEM;
	check_mark_static(c);
	for (uint64_t n = 0; n < count && rc == 0; n++) {
		uint64_t block = check_cluster_block(&c->super, n);

		check_progress(c, "clusters",
		    50 + (unsigned)(n * 250 / count));
		if (n % CLUSTERS_AHEAD == 0)
			clusters_ahead(c, n, count);
		if (block == 0 && cluster_chunks(c, n) > 0)
			check_report(c, CHECK_CLUSTER, CHECK_DAMAGE, 0, false,
			    "no cluster table covers cluster %llu",
			    (unsigned long long)n);
		else if (block != 0)
			rc = check_cluster(c, n, block, buf, scratch);
	}
	return rc;
}

/* ---- the last phase ---- */

/* A type listed for a block that is not in use, or not for the head itself. */
static bool
has_stray_types(const struct check_metachunk *m)
{
	for (unsigned i = 1; i < CHUNK_BLOCKS; i++)
		if (!(m->used >> i & 1) && !(m->found >> i & 1) &&
		    m->type[i] != 0)
			return true;
	return m->type[0] != BLOCK_METACHUNK;
}

static int
metachunk_write(struct check *c, struct check_metachunk *m, void *buf)
{
	uint64_t block = m->chunk * CHUNK_BLOCKS;
	struct metachunk_disk *d = buf;

	memset(buf, 0, BLOCK_SIZE);
	d->type[0] = BLOCK_METACHUNK;
	for (unsigned i = 1; i < CHUNK_BLOCKS; i++)
		d->type[i] = m->found >> i & 1 ? m->type[i] : 0;
	d->used = le16(m->found);
	m->used = m->found;
	bit_set(c->recount, block / c->super.cluster_blocks);
	return check_write_new(c, block, BLOCK_METACHUNK,
	    check_cluster_block(&c->super, block / c->super.cluster_blocks),
	    buf);
}

/* Metadata blocks marked used that nothing reached, and the reverse. */
static int
check_metachunk_final(struct check *c, struct check_metachunk *m, void *buf)
{
	uint16_t leak = (uint16_t)(m->used & ~m->found);
	bool stray = has_stray_types(m);

	c->res->meta_bytes += (uint64_t)__builtin_popcount(m->used) *
	    BLOCK_SIZE;
	if (leak != 0 && !m->rebuilt)
		check_report(c, CHECK_SPACE_LEAK, CHECK_HARMLESS,
		    m->chunk * CHUNK_BLOCKS, c->conf->repair, "%d metadata "
		    "blocks of metachunk %llu are marked used, but nothing "
		    "uses them", __builtin_popcount(leak),
		    (unsigned long long)m->chunk);
	if (stray)
		check_report(c, CHECK_METACHUNK, CHECK_HARMLESS,
		    m->chunk * CHUNK_BLOCKS, c->conf->repair, "metachunk %llu "
		    "lists types of blocks that are not in use",
		    (unsigned long long)m->chunk);
	if (!c->conf->repair || (m->used == m->found && !m->retyped &&
	    !stray && !m->rebuilt))
		return 0;
	return metachunk_write(c, m, buf);
}

/* Metachunks of a cluster, and the free blocks in them, as they are now. */
static void
cluster_meta_count(const struct check *c, uint64_t first, uint32_t chunks,
    uint32_t *ret_meta, uint32_t *ret_room)
{
	size_t lo = 0, hi = c->mc_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->mc[mid].chunk < first)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret_meta = *ret_room = 0;
	for (; lo < c->mc_count && c->mc[lo].chunk < first + chunks; lo++) {
		++*ret_meta;
		*ret_room += CHUNK_BLOCKS -
		    (uint32_t)__builtin_popcount(c->mc[lo].used);
	}
}

/* Writes bitmap and counters of a cluster anew from what was reached. */
static int
check_cluster_rebuild(struct check *c, uint64_t n, uint64_t block, void *buf)
{
	struct cluster_disk *d = (void *)((uint8_t *)buf + LOCK_RECORD_SIZE);
	uint64_t first = n * (c->super.cluster_blocks / CHUNK_BLOCKS);
	struct cluster_info info = {
		.cluster = n, .chunks = cluster_chunks(c, n),
	};
	int rc;

	/* The lock record in front of it stays. */
	rc = check_read(c, block, buf);
	if (rc != 0)
		return rc;
	memset(d, 0, sizeof(*d));
	for (uint32_t i = 0; i < info.chunks; i++) {
		if (!bit_get(c->seen, first + i)) {
			info.free_chunks++;
			continue;
		}
		bit_set(d->used, i);
		if (check_metachunk_of(c, (first + i) * CHUNK_BLOCKS) != NULL)
			bit_set(d->meta, i / 2);
	}
	cluster_meta_count(c, first, info.chunks, &info.metachunks,
	    &info.free_meta_blocks);
	cluster_encode(buf, &info);
	return check_write_new(c, block, BLOCK_CLUSTER, block, buf);
}

/* Counters of a sound block against the metachunks. */
static int
check_cluster_room(struct check *c, uint64_t n, uint64_t block, void *buf)
{
	uint64_t first = n * (c->super.cluster_blocks / CHUNK_BLOCKS);
	struct cluster_info info;
	uint32_t meta, room;
	int rc;

	rc = check_block(c, block, BLOCK_CLUSTER, buf);
	if (rc != 0 || cluster_decode(buf, n, &info) != 0)
		return rc == -VMFS_ECORRUPT ? 0 : rc;
	cluster_meta_count(c, first, info.chunks, &meta, &room);
	if (info.metachunks == meta && info.free_meta_blocks == room)
		return 0;
	check_report(c, CHECK_CLUSTER_COUNT, CHECK_HARMLESS, block,
	    c->conf->repair, "cluster %llu counts %u metachunks with %u free "
	    "blocks, has %u with %u", (unsigned long long)n, info.metachunks,
	    info.free_meta_blocks, meta, room);
	bit_set(c->recount, n);
	return 0;
}

static void
cluster_compare(struct check *c, uint64_t n, uint64_t block)
{
	uint64_t first = n * (c->super.cluster_blocks / CHUNK_BLOCKS);
	uint64_t leak = 0, lost = 0;
	char size[SIZE_TEXT_SIZE];

	for (uint64_t i = first; i < first + cluster_chunks(c, n); i++) {
		bool used = bit_get(c->used, i), seen = bit_get(c->seen, i);

		leak += used && !seen;
		lost += seen && !used;
		c->res->used_bytes += (uint64_t)seen * CHUNK_SIZE;
	}
	/* Of a damaged block nothing is known that could be wrong. */
	if (bit_get(c->unknown, n) || leak + lost > 0)
		bit_set(c->recount, n);
	if (bit_get(c->unknown, n))
		return;
	if (leak > 0)
		check_report(c, CHECK_SPACE_LEAK, CHECK_HARMLESS, block,
		    c->conf->repair, "%s of cluster %llu are marked used, but "
		    "nothing uses them", size_text(leak * CHUNK_SIZE, size),
		    (unsigned long long)n);
	if (lost > 0)
		check_report(c, CHECK_SPACE_FREE, CHECK_DAMAGE, block,
		    c->conf->repair, "%s of cluster %llu are in use, but "
		    "marked free", size_text(lost * CHUNK_SIZE, size),
		    (unsigned long long)n);
}

static int
check_cluster_final(struct check *c, uint64_t n, void *buf)
{
	uint64_t block = check_cluster_block(&c->super, n);
	int rc = 0;

	if (block == 0)
		return 0;
	cluster_compare(c, n, block);
	if (!bit_get(c->recount, n))
		rc = check_cluster_room(c, n, block, buf);
	if (rc != 0 || !c->conf->repair || !bit_get(c->recount, n))
		return rc;
	return check_cluster_rebuild(c, n, block, buf);
}

int
check_space(struct check *c)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	uint64_t count = cluster_count(c);
	int rc = 0;

	if (buf == NULL)
		return -ENOMEM;
	check_progress(c, "space", 900);
	c->res->total_bytes = volume_space(&c->super) * BLOCK_SIZE;
	for (size_t i = 0; i < c->mc_count && rc == 0; i++)
		rc = check_metachunk_final(c, &c->mc[i], buf);
	for (uint64_t n = 0; n < count && rc == 0; n++) {
		if (n % CLUSTERS_AHEAD == 0)
			clusters_ahead(c, n, count);
		rc = check_cluster_final(c, n, buf);
	}
	return rc;
}
