/* SPDX-License-Identifier: BSD-2-Clause */
/* How much room there is, by looking at clusters without their locks. */
#include <stdlib.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/units.h"
#include "libvmfs/core/ds_priv.h"
#include "libvmfs/core/volume.h"

#define SCAN_LIFE_NS (30 * NSEC_PER_SEC)
#define SCAN_NOW_NS NSEC_PER_SEC
#define SCAN_NOW_CLUSTERS 1024u	/* in that time */

void
space_seen(struct ds *ds, uint64_t cluster, uint32_t free_chunks)
{
	if (ds->cluster_free != NULL)
		ds->cluster_free[cluster] = (uint16_t)free_chunks;
}

/* The volume's end may have moved since the cluster was written. */
static uint32_t
longer_by(const struct ds *ds, const struct cluster_info *c)
{
	uint32_t chunks = volume_cluster_chunks(&ds->super, c->cluster);

	return chunks > c->chunks ? chunks - c->chunks : 0;
}

/* Cluster blocks that follow each other in one table. */
static int
peek_run(struct ds *ds, uint64_t cluster, unsigned count, uint8_t *buf,
    struct cluster_info *ret_c)
{
	uint64_t first = volume_cluster_block(&ds->super, cluster);
	struct block_hdr h;
	int r;

	r = disk_read(ds->conf.disk, first << BLOCK_SHIFT, buf,
	    (size_t)count * BLOCK_SIZE);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *b = buf + (size_t)i * BLOCK_SIZE;

		/* Torn while another host writes it: as last seen. */
		if (block_hdr_decode(b, BLOCK_CLUSTER, &ds->super.uuid,
		    first + i, &h) < 0 ||
		    cluster_decode(b, cluster + i, &ret_c[i]) < 0)
			continue;
		if (lease_find(ds, cluster + i) == NULL)
			space_seen(ds, cluster + i, ret_c[i].free_chunks +
			    longer_by(ds, &ret_c[i]));
	}
	return 0;
}

int
space_peek(struct ds *ds, uint64_t cluster, unsigned count,
    struct cluster_info *ret_c)
{
	cleanup_free uint8_t *buf = disk_buf_alloc((size_t)count * BLOCK_SIZE);
	unsigned done, n;
	int r = 0;

	if (buf == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++)
		ret_c[i] = (struct cluster_info) { 0 };
	/* A batch may cross into another segment's table. */
	for (done = 0; done < count && r == 0; done += n) {
		uint64_t at = cluster + done;
		uint64_t first = volume_cluster_block(&ds->super, at);

		for (n = 1; first != 0 && done + n < count; n++)
			if (volume_cluster_block(&ds->super, at + n) !=
			    first + n)
				break;
		if (first == 0)
			continue;
		r = peek_run(ds, at, n, buf, ret_c + done);
		/* There is no room on a LUN that is missing. */
		if (r == -VMFS_EEXTENT) {
			for (unsigned i = 0; i < n; i++)
				space_seen(ds, at + i, 0);
			r = 0;
		}
	}
	return r;
}

static int
scan(struct ds *ds, uint64_t life_ns)
{
	struct cluster_info c[SPACE_BATCH];
	uint64_t n = volume_clusters(&ds->super);
	uint64_t now = env_now(ds->conf.env);
	int r;

	if (ds->cluster_free == NULL) {
		ds->cluster_free = calloc(n, sizeof(*ds->cluster_free));
		if (ds->cluster_free == NULL)
			return -ENOMEM;
		list_for_each(node, tmp, &ds->leases) {
			struct lease *l = list_entry(node, struct lease, link);

			space_seen(ds, l->cluster, l->info.free_chunks);
		}
	} else if (now - ds->cluster_scan_ns < life_ns) {
		return 0;
	}
	ds->cluster_scan_ns = now;
	for (uint64_t at = 0; at < n; at += SPACE_BATCH) {
		r = space_peek(ds, at, n - at < SPACE_BATCH ?
		    (unsigned)(n - at) : SPACE_BATCH, c);
		if (r < 0)
			return r;
	}
	return 0;
}

static int
space_of(struct ds *ds, uint64_t life_ns, struct ds_space *ret_s)
{
	uint64_t n = volume_clusters(&ds->super), chunks = 0;
	int r;

	r = scan(ds, life_ns);
	if (r < 0)
		return r;
	/* What is free on a LUN that leaves is nobody's to use. */
	for (uint64_t i = 0; i < n; i++)
		if (ds_extent_is_usable(ds, i))
			chunks += ds->cluster_free[i];
	*ret_s = (struct ds_space) {
		.total_bytes = volume_space(&ds->super) << BLOCK_SHIFT,
		.free_bytes = chunks << CHUNK_SHIFT,
	};
	return 0;
}

int
ds_space(struct ds *ds, struct ds_space *ret_s)
{
	return space_of(ds, SCAN_LIFE_NS, ret_s);
}

int
ds_space_now(struct ds *ds, struct ds_space *ret_s)
{
	uint64_t n = volume_clusters(&ds->super) / SCAN_NOW_CLUSTERS;

	return space_of(ds, (n + 1) * SCAN_NOW_NS, ret_s);
}
