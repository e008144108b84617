/* SPDX-License-Identifier: BSD-2-Clause */
/* GET LBA STATUS, SBC-3 5.6, from the disk's own map. */
#include <stdlib.h>

#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"
#include "libvmfs/base/cleanup.h"

enum { LIST_HEAD_LEN = 8, DESCRIPTOR_LEN = 16 };
enum { DESCRIPTORS_MAX = 256 };
/* PROVISIONING STATUS, SBC-3 table 45. */
enum { STATUS_MAPPED = 0, STATUS_DEALLOCATED = 1 };

/* The answer while it grows.  Blocks up to `lba` are described. */
struct lba_list {
	uint8_t *p;
	unsigned count;
	uint64_t lba;
};

/* The blocks up to `end`; false when the list is full. */
static bool
blocks_add(struct lba_list *l, uint64_t end, uint8_t status)
{
	while (l->lba < end) {
		uint8_t *d = l->p + LIST_HEAD_LEN + l->count * DESCRIPTOR_LEN;
		uint64_t blocks = end - l->lba;

		if (l->count == DESCRIPTORS_MAX)
			return false;
		if (blocks > UINT32_MAX)
			blocks = UINT32_MAX;
		be64_store(d, l->lba);
		be32_store(d + 8, (uint32_t)blocks);
		d[12] = status;
		l->lba += blocks;
		l->count++;
	}
	return true;
}

/*
 * Extents of the disk, whose blocks may be smaller: one of ours is deallocated
 * when all of it is.
 */
static void
map_add(struct lba_list *l, const struct disk_map *map, uint64_t offset,
    uint32_t bs)
{
	bool room = true;

	for (size_t i = 0; i < map->count && room; i++) {
		const struct disk_extent *e = &map->extents[i];
		uint64_t first = (offset + bs - 1) / bs;

		offset += e->length;
		if (e->allocated || offset / bs <= first)
			continue;
		room = blocks_add(l, first, STATUS_MAPPED) &&
		    blocks_add(l, offset / bs, STATUS_DEALLOCATED);
	}
	if (room)
		(void)blocks_add(l, (offset + bs - 1) / bs, STATUS_MAPPED);
}

/* False: status is set. */
static bool
list_from_map(struct scsi_cmd *c, struct lba_list *l)
{
	uint32_t bs = c->lu->block_size;
	uint64_t offset = l->lba * bs;
	cleanup_free struct disk_extent *extents =
	    calloc(DESCRIPTORS_MAX, sizeof(*extents));
	struct disk_map map = { .extents = extents, .max = DESCRIPTORS_MAX };
	struct disk_req req = {
		.op = DISK_MAP, .offset = offset,
		.length = c->lu->blocks * bs - offset, .map = &map,
	};

	if (extents == NULL) {
		scsi_cmd_status(c, SCSI_BUSY);
		return false;
	}
	if (scsi_cmd_disk(c, &req) != 0)
		return false;
	map_add(l, &map, offset, bs);
	return true;
}

/*
 * What is not thin, or on a disk that does not tell, is mapped to the end
 * (SBC-3: "mapped or unknown").  A list that does not reach the end is asked
 * for anew from there.
 */
bool
scsi_get_lba_status(struct scsi_cmd *c)
{
	const uint8_t *cdb = c->task->cdb;
	const struct scsi_lu *lu = c->lu;
	struct lba_list l = { .lba = be64_load(cdb + 2) };
	size_t len;

	if (l.lba >= lu->blocks)
		return scsi_cmd_fail(c, SENSE_LBA_OUT_OF_RANGE);
	l.p = scsi_cmd_reply(c,
	    LIST_HEAD_LEN + DESCRIPTORS_MAX * DESCRIPTOR_LEN);
	if (l.p == NULL)
		return true;
	if (lu->thin && (lu->caps & DISK_CAP_MAP)) {
		if (!list_from_map(c, &l))
			return true;
	} else {
		(void)blocks_add(&l, lu->blocks, STATUS_MAPPED);
	}
	len = LIST_HEAD_LEN + (size_t)l.count * DESCRIPTOR_LEN;
	be32_store(l.p, (uint32_t)(len - 4));
	return scsi_cmd_replied(c, len, be32_load(cdb + 10));
}
