/* SPDX-License-Identifier: BSD-2-Clause */
/* See lba_status.h. */
#include "libvmfs/env/lba_status.h"

#include "libvmfs/base/be.h"

enum { HEAD_LEN = 8, DESCRIPTOR_LEN = 16 };
/* PROVISIONING STATUS, SBC-3 table 45; others count as allocated. */
enum { STATUS_MASK = 0x0f, STATUS_DEALLOCATED = 1 };

void
lba_status_cdb(uint8_t cdb[16], uint64_t lba, uint32_t allocation)
{
	cdb[0] = 0x9e;
	cdb[1] = 0x12;
	be64_store(cdb + 2, lba);
	be32_store(cdb + 10, allocation);
	cdb[14] = cdb[15] = 0;
}

/* One descriptor; a device may begin before the block that was asked for. */
static int
descriptor_add(const uint8_t *d, uint32_t block_size, uint64_t end,
    uint64_t *lba, struct disk_map *map)
{
	bool allocated = (d[12] & STATUS_MASK) != STATUS_DEALLOCATED;
	uint64_t first = be64_load(d), stop;

	if (first > *lba ||
	    __builtin_add_overflow(first, be32_load(d + 8), &stop) ||
	    stop <= *lba)
		return -VMFS_EPROTO;
	if (stop > end)
		stop = end;
	*lba = disk_map_add(map, (stop - *lba) * block_size, allocated) ?
	    stop : end;
	return 0;
}

int
lba_status_add(const uint8_t *data, size_t len, uint32_t block_size,
    uint64_t end, uint64_t *lba, struct disk_map *map)
{
	uint64_t start = *lba;
	size_t told;
	int rc = 0;

	if (len < HEAD_LEN)
		return -VMFS_EPROTO;
	told = (size_t)be32_load(data) + 4;
	if (told < len)
		len = told;
	for (size_t at = HEAD_LEN; at + DESCRIPTOR_LEN <= len && *lba < end &&
	    rc == 0; at += DESCRIPTOR_LEN)
		rc = descriptor_add(data + at, block_size, end, lba, map);
	return rc == 0 && *lba == start ? -VMFS_EPROTO : rc;
}
