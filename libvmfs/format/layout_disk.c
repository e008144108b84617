/* SPDX-License-Identifier: BSD-2-Clause */
/* The header that every metadata block carries. */
#include <string.h>

#include "libvmfs/base/crc32c.h"
#include "libvmfs/format/layout.h"

#define HDR_CRC_OFFSET offsetof(struct block_hdr_disk, crc32c)

static const char *const type_names[BLOCK_TYPE_MAX + 1] = {
	[BLOCK_SUPER] = "super",
	[BLOCK_SLOT] = "slot",
	[BLOCK_CLUSTER] = "cluster",
	[BLOCK_METACHUNK] = "metachunk",
	[BLOCK_INODE] = "inode",
	[BLOCK_MAP_LEAF] = "map leaf",
	[BLOCK_MAP_NODE] = "map node",
	[BLOCK_DIR_NODE] = "directory node",
	[BLOCK_DIR_LEAF] = "directory leaf",
	[BLOCK_SNAPTAB] = "snapshot table",
	[BLOCK_REMOTE_FREE] = "remote-free log",
	[BLOCK_JOURNAL_HEAD] = "journal head",
	[BLOCK_EXTENT] = "extent",
	[BLOCK_XATTR] = "extended attributes",
};

const char *
block_type_name(enum block_type type)
{
	if ((unsigned)type > BLOCK_TYPE_MAX || type_names[type] == NULL)
		return "?";
	return type_names[type];
}

bool
bytes_are_zero(const void *buf, size_t len)
{
	const uint8_t *p = buf;

	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

uint32_t
crc32c_with_hole(const void *buf, size_t len, size_t hole)
{
	static const uint8_t zero[4];
	const uint8_t *p = buf;
	uint32_t crc = crc32c(0, p, hole);

	crc = crc32c(crc, zero, sizeof(zero));
	return crc32c(crc, p + hole + 4, len - hole - 4);
}

static const struct block_hdr_disk *
hdr_at(const void *block, unsigned offset)
{
	return (const void *)((const uint8_t *)block + offset);
}

/* The offset at which a block of unknown type has its header. */
static unsigned
hdr_find(const void *block)
{
	const struct block_hdr_disk *d = hdr_at(block, 0);

	if (le32_get(d->magic) == BLOCK_MAGIC &&
	    block_hdr_offset((enum block_type)le16_get(d->type)) == 0)
		return 0;
	return LOCK_RECORD_SIZE;
}

int
block_hdr_decode(const void *block, enum block_type type,
    const struct uuid *volume, uint64_t addr, struct block_hdr *ret_h)
{
	unsigned offset = type ? block_hdr_offset(type) : hdr_find(block);
	const struct block_hdr_disk *d = hdr_at(block, offset);
	enum block_type found = (enum block_type)le16_get(d->type);
	unsigned length = BLOCK_SIZE - offset;

	if (le32_get(d->magic) != BLOCK_MAGIC || le16_get(d->reserved) != 0 ||
	    le32_get(d->length) != length || found == 0 ||
	    found > BLOCK_TYPE_MAX || block_hdr_offset(found) != offset ||
	    (type != 0 && found != type))
		return -VMFS_ECORRUPT;
	if (memcmp(d->volume, volume->b, sizeof(d->volume)) != 0 ||
	    le64_get(d->addr) != addr)
		return -VMFS_ECORRUPT;
	if (le32_get(d->crc32c) != crc32c_with_hole(d, length, HDR_CRC_OFFSET))
		return -VMFS_ECORRUPT;
	*ret_h = (struct block_hdr) {
		.type = found,
		.addr = addr,
		.owner = le64_get(d->owner),
		.lockver = le64_get(d->lockver),
		.lsn = le64_get(d->lsn),
	};
	return 0;
}

void
block_hdr_encode(void *block, const struct block_hdr *h,
    const struct uuid *volume)
{
	unsigned offset = block_hdr_offset(h->type);
	struct block_hdr_disk *d = (void *)((uint8_t *)block + offset);
	unsigned length = BLOCK_SIZE - offset;

	d->magic = le32(BLOCK_MAGIC);
	d->type = le16((uint16_t)h->type);
	d->reserved = le16(0);
	d->length = le32(length);
	memcpy(d->volume, volume->b, sizeof(d->volume));
	d->addr = le64(h->addr);
	d->owner = le64(h->owner);
	d->lockver = le64(h->lockver);
	d->lsn = le64(h->lsn);
	d->crc32c = le32(crc32c_with_hole(d, length, HDR_CRC_OFFSET));
}
