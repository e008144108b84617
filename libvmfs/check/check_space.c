/* SPDX-License-Identifier: BSD-2-Clause */
/* Clusters and metachunks: what is marked used, against what was reached. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/units.h"
#include "libvmfs/check/check_priv.h"
#include "libvmfs/core/volume.h"

static uint64_t
cluster_count(const struct check *c)
{
	return (c->super.blocks + c->super.cluster_blocks - 1) /
	    c->super.cluster_blocks;
}

/* Chunks of a cluster: the last one may be short. */
static uint32_t
cluster_chunks(const struct check *c, uint64_t n)
{
	uint32_t per = c->super.cluster_blocks / CHUNK_BLOCKS;
	uint64_t left = c->chunks - n * per;

	return left < per ? (uint32_t)left : per;
}

static int
check_metachunk_add(struct check *c, uint64_t chunk,
    const struct metachunk_disk *d)
{
	struct check_metachunk *m;

	if (c->mc_count == c->mc_max) {
		size_t max = c->mc_max == 0 ? 256 : c->mc_max * 2;
		void *p = realloc(c->mc, max * sizeof(*c->mc));

		if (p == NULL)
			return -ENOMEM;
		c->mc = p;
		c->mc_max = max;
	}
	m = &c->mc[c->mc_count++];
	*m = (struct check_metachunk){
		.chunk = chunk, .used = le16_get(d->used), .found = 1,
	};
	memcpy(m->type, d->type, sizeof(m->type));
	bit_set(c->seen, chunk);
	bit_set(c->alone, chunk);
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

/* Reads the head of a chunk that may be a metachunk. */
static int
check_metachunk(struct check *c, uint64_t cluster, uint64_t chunk, void *buf,
    bool *ret_is)
{
	int rc;

	*ret_is = false;
	rc = check_block(c, chunk * CHUNK_BLOCKS, BLOCK_METACHUNK, buf);
	if (rc == -VMFS_ECORRUPT) {
		if (metachunk_remains(c, chunk * CHUNK_BLOCKS, buf))
			check_report(c, CHECK_METACHUNK, CHECK_DAMAGE,
			    chunk * CHUNK_BLOCKS, false, "the head of "
			    "metachunk %llu of cluster %llu is damaged",
			    (unsigned long long)chunk,
			    (unsigned long long)cluster);
		return 0;
	}
	if (rc != 0)
		return rc;
	/* The head of one that was given back, beside one that was not. */
	if (le16_get(((const struct metachunk_disk *)buf)->used) == 0)
		return 0;
	*ret_is = true;
	if (!bit_get(c->used, chunk))
		check_report(c, CHECK_SPACE_FREE, CHECK_DAMAGE,
		    chunk * CHUNK_BLOCKS, c->conf->repair, "metachunk %llu of "
		    "cluster %llu is marked free", (unsigned long long)chunk,
		    (unsigned long long)cluster);
	return check_metachunk_add(c, chunk, buf);
}

static int
check_cluster_meta(struct check *c, uint64_t n, const struct cluster_disk *d,
    void *buf)
{
	uint64_t first = n * (c->super.cluster_blocks / CHUNK_BLOCKS);
	uint32_t chunks = cluster_chunks(c, n);
	int rc;

	for (uint32_t b = 0; b < (chunks + 1) / 2; b++) {
		bool a = false, z = false;

		if (!bit_get(d->meta, b))
			continue;
		rc = check_metachunk(c, n, first + 2 * b, buf, &a);
		if (rc == 0 && 2 * b + 1 < chunks)
			rc = check_metachunk(c, n, first + 2 * b + 1, buf, &z);
		if (rc != 0)
			return rc;
		if (!a && !z)
			check_report(c, CHECK_METACHUNK, CHECK_DAMAGE,
			    (first + 2 * b) * CHUNK_BLOCKS, false,
			    "the metachunk at chunk %llu or %llu of cluster "
			    "%llu is damaged", (unsigned long long)(first +
			    2 * b), (unsigned long long)(first + 2 * b + 1),
			    (unsigned long long)n);
	}
	return 0;
}

/* One that was not changed since the volume grew knows fewer than it has. */
static uint32_t
chunks_known(const struct check *c, uint64_t n, const struct cluster_disk *d)
{
	uint32_t chunks = cluster_chunks(c, n), known = le32_get(d->chunks);

	return (c->super.ro_compat & FEATURE_RO_COMPAT_GROWN) != 0 &&
	    known > 0 && known < chunks ? known : chunks;
}

static int
check_cluster(struct check *c, uint64_t n, uint64_t block, const void *buf,
    void *scratch)
{
	const struct cluster_disk *d = (const void *)((const uint8_t *)buf +
	    LOCK_RECORD_SIZE);
	uint64_t first = n * (c->super.cluster_blocks / CHUNK_BLOCKS);
	uint32_t chunks = cluster_chunks(c, n), nfree = 0;
	struct block_hdr h;
	struct lockrec l;

	if (lockrec_decode(buf, &c->super.uuid, block, &l) != 0)
		check_report(c, CHECK_CLUSTER, CHECK_HARMLESS, block, false,
		    "the lock of cluster %llu is damaged: no host can "
		    "allocate in it", (unsigned long long)n);
	if (block_hdr_decode(buf, BLOCK_CLUSTER, &c->super.uuid, block,
	    &h) != 0 || le64_get(d->cluster) != n) {
		check_report(c, CHECK_CLUSTER, CHECK_DAMAGE, block, false,
		    "cluster block %llu (%llu MiB of space) is damaged",
		    (unsigned long long)n, (unsigned long long)chunks / 16);
		bit_set(c->unknown, n);
		return 0;
	}
	chunks = chunks_known(c, n, d);
	for (uint32_t i = 0; i < chunks; i++) {
		if (bit_get(d->used, i))
			bit_set(c->used, first + i);
		else
			nfree++;
	}
	if (le32_get(d->chunks) != chunks || le32_get(d->free_chunks) != nfree)
		check_report(c, CHECK_CLUSTER_COUNT, CHECK_HARMLESS, block,
		    c->conf->repair, "cluster %llu counts %u free of %u "
		    "chunks, its bitmap %u of %u", (unsigned long long)n,
		    le32_get(d->free_chunks), le32_get(d->chunks), nfree,
		    chunks);
	if (le32_get(d->chunks) != chunks || le32_get(d->free_chunks) != nfree)
		bit_set(c->recount, n);
	return check_cluster_meta(c, n, d, scratch);
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
			bit_set(c->seen, b / CHUNK_BLOCKS);
	}
	for (uint64_t b = 0; b < end && b < c->super.blocks; b += CHUNK_BLOCKS)
		bit_set(c->seen, b / CHUNK_BLOCKS);
	bit_set(c->seen, c->super.copy2_block / CHUNK_BLOCKS);
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
		if (block == 0) {
			check_report(c, CHECK_CLUSTER, CHECK_DAMAGE, 0, false,
			    "no cluster table covers cluster %llu",
			    (unsigned long long)n);
			continue;
		}
		rc = disk_read(c->conf->disk, block * BLOCK_SIZE, buf,
		    BLOCK_SIZE);
		if (rc == 0)
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

/* Metadata blocks marked used that nothing reached, and the reverse. */
static int
check_metachunk_final(struct check *c, struct check_metachunk *m, void *buf)
{
	uint16_t leak = (uint16_t)(m->used & ~m->found);
	bool stray = has_stray_types(m);
	struct metachunk_disk *d = buf;
	int rc;

	c->res->meta_bytes += (uint64_t)__builtin_popcount(m->used) *
	    BLOCK_SIZE;
	if (leak != 0)
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
	if (!c->conf->repair || (m->used == m->found && !m->retyped && !stray))
		return 0;
	rc = check_block(c, m->chunk * CHUNK_BLOCKS, BLOCK_METACHUNK, buf);
	if (rc != 0)
		return rc;
	d->type[0] = BLOCK_METACHUNK;
	for (unsigned i = 1; i < CHUNK_BLOCKS; i++)
		d->type[i] = m->found >> i & 1 ? m->type[i] : 0;
	d->used = le16(m->found);
	m->used = m->found;
	return check_rewrite(c, m->chunk * CHUNK_BLOCKS, BLOCK_METACHUNK, buf);
}

/* Writes bitmap and counters of a cluster anew from what was reached. */
static int
check_cluster_rebuild(struct check *c, uint64_t n, uint64_t block, void *buf)
{
	struct cluster_disk *d = (void *)((uint8_t *)buf + LOCK_RECORD_SIZE);
	uint64_t first = n * (c->super.cluster_blocks / CHUNK_BLOCKS);
	uint32_t chunks = cluster_chunks(c, n), nfree = 0, meta = 0, room = 0;
	int rc;

	rc = check_block(c, block, BLOCK_CLUSTER, buf);
	if (rc != 0)
		return rc == -VMFS_ECORRUPT ? 0 : rc;
	memset(d->used, 0, sizeof(d->used));
	memset(d->meta, 0, sizeof(d->meta));
	for (uint32_t i = 0; i < chunks; i++) {
		struct check_metachunk *m;

		if (!bit_get(c->seen, first + i)) {
			nfree++;
			continue;
		}
		bit_set(d->used, i);
		m = check_metachunk_of(c, (first + i) * CHUNK_BLOCKS);
		if (m == NULL)
			continue;
		bit_set(d->meta, i / 2);
		meta++;
		room += CHUNK_BLOCKS - (uint32_t)__builtin_popcount(m->used);
	}
	d->chunks = le32(chunks);
	d->free_chunks = le32(nfree);
	d->metachunks = le32(meta);
	d->free_meta_blocks = le32(room);
	return check_rewrite(c, block, BLOCK_CLUSTER, buf);
}

static int
check_cluster_final(struct check *c, uint64_t n, void *buf)
{
	uint64_t first = n * (c->super.cluster_blocks / CHUNK_BLOCKS);
	uint64_t block = check_cluster_block(&c->super, n), leak = 0, lost = 0;
	char size[SIZE_TEXT_SIZE];

	/* Its bitmap cannot be read: no chunk of it is marked anything. */
	if (block == 0 || bit_get(c->unknown, n))
		return 0;
	for (uint64_t i = first; i < first + cluster_chunks(c, n); i++) {
		bool used = bit_get(c->used, i), seen = bit_get(c->seen, i);

		leak += used && !seen;
		lost += seen && !used;
		c->res->used_bytes += (uint64_t)used * CHUNK_SIZE;
	}
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
	if (!c->conf->repair ||
	    (leak == 0 && lost == 0 && !bit_get(c->recount, n)))
		return 0;
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
	c->res->total_bytes = c->super.blocks * BLOCK_SIZE;
	for (size_t i = 0; i < c->mc_count && rc == 0; i++)
		rc = check_metachunk_final(c, &c->mc[i], buf);
	for (uint64_t n = 0; n < count && rc == 0; n++)
		rc = check_cluster_final(c, n, buf);
	return rc;
}
