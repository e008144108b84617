/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading and writing the three copies of the superblock. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/core/ds.h"
#include "libvmfs/core/volume.h"
#include "libvmfs/format/cluster.h"

/* What was seen while looking for a copy. */
struct search {
	struct disk *disk;
	void *buf;
	struct super best;
	bool found;
	unsigned copies;	/* that are as good as the best */
	int error;		/* the most telling one so far */
};

/* Damage tells more than absence, unknown features more than damage. */
static int
worse(int a, int b)
{
	static const int rank[] = { -VMFS_ENOTVMFS, -VMFS_ECORRUPT,
	    -VMFS_EFURTHER, -VMFS_EFEATURE };
	int ra = 4, rb = 4;

	for (int i = 0; i < 4; i++) {
		ra = rank[i] == a ? i : ra;
		rb = rank[i] == b ? i : rb;
	}
	return rb > ra ? b : a;
}

static void
search_copy(struct search *q, uint64_t block)
{
	struct super s;
	int r;

	r = disk_read(q->disk, block << BLOCK_SHIFT, q->buf, BLOCK_SIZE);
	if (r == 0)
		r = super_decode(q->buf, block, &s);
	if (r < 0) {
		q->error = worse(q->error, r);
		return;
	}
	if (!q->found || s.generation > q->best.generation) {
		q->best = s;
		q->copies = 0;
	}
	q->copies += s.generation == q->best.generation;
	q->found = true;
}

/* Is there a cluster table, and so a third copy behind it? */
static bool
has_cluster_table(struct search *q)
{
	const struct block_hdr_disk *h = (const void *)((uint8_t *)q->buf +
	    LOCK_RECORD_SIZE);

	return disk_read(q->disk, (uint64_t)CLUSTER_TABLE_BLOCK << BLOCK_SHIFT,
	    q->buf, BLOCK_SIZE) == 0 && le32_get(h->magic) == BLOCK_MAGIC &&
	    le16_get(h->type) == BLOCK_CLUSTER &&
	    le64_get(h->addr) == CLUSTER_TABLE_BLOCK;
}

/*
 * The third copy of a volume that has grown stands where it did when the volume
 * was made, behind as many clusters as it had.  Nothing older can stand before
 * it: there the table is.
 */
static void
search_behind_table(struct search *q, uint64_t blocks)
{
	uint64_t last = CLUSTER_TABLE_BLOCK + blocks /
	    (CLUSTER_CHUNKS_MIN * CHUNK_BLOCKS) + 1;

	if (!has_cluster_table(q))
		return;
	for (uint64_t b = CLUSTER_TABLE_BLOCK + 1; !q->found && b <= last &&
	    b < blocks; b++)
		search_copy(q, b);
}

static void
search_third(struct search *q, uint64_t blocks)
{
	uint64_t at[VOLUME_COPY2_MAX];
	unsigned n;

	if (q->found) {
		if (q->best.copy2_block < blocks)
			search_copy(q, q->best.copy2_block);
		return;
	}
	/* As mkfs places it, for each size of a cluster. */
	n = volume_copy2_candidates(blocks / CHUNK_BLOCKS * CHUNK_BLOCKS, at);
	for (unsigned i = 0; i < n; i++)
		search_copy(q, at[i]);
	if (!q->found)
		search_behind_table(q, blocks);
}

int
super_find(struct disk *disk, struct super *ret_s, unsigned *ret_copies)
{
	cleanup_free void *buf = disk_buf_alloc(BLOCK_SIZE);
	struct search q = { .disk = disk, .buf = buf,
	    .error = -VMFS_ENOTVMFS };
	uint64_t blocks = disk->info.size_bytes >> BLOCK_SHIFT;

	if (buf == NULL)
		return -ENOMEM;
	if (blocks <= CLUSTER_TABLE_BLOCK)
		return -VMFS_ENOTVMFS;
	search_copy(&q, SUPER_BLOCK_0);
	search_copy(&q, SUPER_BLOCK_1);
	search_third(&q, blocks);
	if (!q.found)
		return q.error;
	*ret_s = q.best;
	*ret_copies = q.copies;
	/* The other extents have LUNs of their own. */
	return q.best.extent[0].blocks > blocks ? -ERANGE : 0;
}

int
super_read(struct disk *disk, struct super *ret_s)
{
	unsigned copies;

	return super_find(disk, ret_s, &copies);
}

int
super_reload(struct disk *disk, struct super *ret_s, unsigned *ret_copies)
{
	int r = super_find(disk, ret_s, ret_copies);

	if (r != -ERANGE)
		return r;
	/* The LUN grew as well, and we have not looked at it since. */
	r = disk_refresh(disk);
	return r < 0 ? r : super_find(disk, ret_s, ret_copies);
}

static int
write_copies(struct disk *disk, const struct super *s)
{
	const uint64_t at[] = { SUPER_BLOCK_0, SUPER_BLOCK_1, s->copy2_block };
	cleanup_free void *buf = disk_buf_alloc(BLOCK_SIZE);
	int r;

	if (buf == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < SUPER_COPIES; i++) {
		super_encode(buf, at[i], s);
		r = disk_write(disk, at[i] << BLOCK_SHIFT, buf, BLOCK_SIZE, 0);
		if (r == 0)
			r = disk_flush(disk);
		if (r < 0)
			return r;
	}
	return 0;
}

int
super_write(struct disk *disk, struct super *s)
{
	s->generation++;
	return write_copies(disk, s);
}

int
super_mend(struct disk *disk)
{
	struct super s;
	unsigned copies;
	int r = super_find(disk, &s, &copies);

	if (r < 0 || copies == SUPER_COPIES)
		return r;
	return write_copies(disk, &s);
}
