/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes of the block by which a further LUN of a datastore is known. */
#include <string.h>

#include "libvmfs/format/extent.h"

bool
extent_is_here(const void *buf)
{
	const struct extent_disk *d = buf;

	return memcmp(d->magic, EXTENT_MAGIC, sizeof(d->magic)) == 0;
}

int
extent_decode(const void *buf, uint64_t block, struct extent_info *ret_e)
{
	const struct extent_disk *d = buf;
	struct extent_info e = {
		.first_block = le64_get(d->first_block),
		.created_us = le64_get(d->created_us),
	};
	struct block_hdr hdr;
	int r;

	if (!extent_is_here(buf))
		return -VMFS_ENOTVMFS;
	memcpy(e.volume.b, d->hdr.volume, sizeof(e.volume.b));
	r = block_hdr_decode(buf, BLOCK_EXTENT, &e.volume, block, &hdr);
	if (r < 0)
		return r;
	if (!bytes_are_zero(d->reserved0, sizeof(d->reserved0)) ||
	    !bytes_are_zero(d->reserved1, sizeof(d->reserved1)) ||
	    d->place[EXTENT_PLACE_MAX] != 0)
		return -VMFS_ECORRUPT;
	memcpy(e.uuid.b, d->uuid, sizeof(e.uuid.b));
	memcpy(e.label, d->label, sizeof(d->label));
	memcpy(e.lun_serial, d->lun_serial, sizeof(d->lun_serial));
	memcpy(e.place, d->place, sizeof(d->place));
	*ret_e = e;
	return 0;
}

void
extent_encode(void *buf, uint64_t block, const struct extent_info *e)
{
	struct extent_disk *d = buf;

	memset(d, 0, sizeof(*d));
	memcpy(d->magic, EXTENT_MAGIC, sizeof(d->magic));
	memcpy(d->uuid, e->uuid.b, sizeof(d->uuid));
	d->first_block = le64(e->first_block);
	d->created_us = le64(e->created_us);
	memcpy(d->label, e->label, strnlen(e->label, sizeof(d->label)));
	memcpy(d->lun_serial, e->lun_serial,
	    strnlen(e->lun_serial, sizeof(d->lun_serial)));
	memcpy(d->place, e->place, strnlen(e->place, EXTENT_PLACE_MAX));
	block_hdr_encode(buf, &(struct block_hdr) {
		.type = BLOCK_EXTENT, .addr = block,
	}, &e->volume);
}
