/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UNMAP, SBC-3 5.28.  The unit promises LBPRZ: what it unmaps reads zeroes
 * afterwards, so blocks are zeroed with leave to deallocate them.
 */
#include "iscsi/scsi/cmd.h"
#include "libvmfs/base/be.h"

enum { UNMAP_HEAD_LEN = 8, UNMAP_DESCRIPTOR_LEN = 16 };

struct extent {
	uint64_t lba;
	uint32_t blocks;
};

static struct extent
descriptor_decode(const uint8_t *list, size_t i)
{
	const uint8_t *d = list + UNMAP_HEAD_LEN + i * UNMAP_DESCRIPTOR_LEN;

	return (struct extent){ be64_load(d), be32_load(d + 8) };
}

/* All of the list is checked before anything is unmapped. */
static bool
descriptors_ok(struct scsi_cmd *c, const uint8_t *list, size_t count)
{
	uint64_t blocks = 0;

	for (size_t i = 0; i < count; i++) {
		struct extent e = descriptor_decode(list, i);

		if (!scsi_cmd_in_range(c, e.lba, e.blocks))
			return false;
		blocks += e.blocks;
	}
	if (count > LU_UNMAP_DESCRIPTORS_MAX ||
	    blocks > LU_UNMAP_BLOCKS_MAX) {
		scsi_cmd_bad_parameter(c, 2);
		return false;
	}
	return true;
}

static int
unmap_extent(struct scsi_cmd *c, struct extent e)
{
	uint32_t bs = c->lu->block_size;
	struct disk_req req = {
		.op = DISK_WRITE_ZEROES, .offset = e.lba * bs,
		.length = (uint64_t)e.blocks * bs, .flags = DISK_MAY_UNMAP,
	};
	int rc;

	if (e.blocks == 0)
		return 0;
	rc = scsi_cmd_lock(c, e.lba, e.blocks, false);
	if (rc == 0)
		rc = scsi_cmd_disk(c, &req);
	scsi_cmd_unlock(c);
	return rc;
}

bool
scsi_unmap(struct scsi_cmd *c)
{
	const uint8_t *list = c->task->data_out;
	size_t len = c->task->data_out_wanted, count;

	if (c->task->cdb[1] & 0x01)		/* ANCHOR */
		return scsi_cmd_bad_cdb(c, 1);
	if (len == 0)
		return true;
	if (len < UNMAP_HEAD_LEN)
		return scsi_cmd_fail(c, SENSE_PARAMETER_LIST_LENGTH);
	count = be16_load(list + 2);
	if (count > len - UNMAP_HEAD_LEN)
		return scsi_cmd_fail(c, SENSE_PARAMETER_LIST_LENGTH);
	count /= UNMAP_DESCRIPTOR_LEN;
	if (!descriptors_ok(c, list, count))
		return true;
	for (size_t i = 0; i < count; i++) {
		if (unmap_extent(c, descriptor_decode(list, i)) != 0)
			return true;
	}
	return true;
}
