/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes of a lock record. */
#include <string.h>

#include "libvmfs/format/lockrec.h"

#define LOCKREC_CRC_OFFSET offsetof(struct lockrec_disk, crc32c)

#define NAME_OFFSET offsetof(struct lockrec_disk, name)

static bool
has_holder_map(enum lock_mode mode)
{
	return mode == LOCK_SHARED || mode == LOCK_MULTI_WRITER;
}

static int
lockrec_check(const struct lockrec_disk *d, const struct uuid *volume,
    uint64_t addr)
{
	unsigned mode = le16_get(d->mode);

	if (le32_get(d->magic) != LOCKREC_MAGIC ||
	    memcmp(d->volume, volume->b, sizeof(d->volume)) != 0 ||
	    le64_get(d->addr) != addr)
		return -VMFS_ECORRUPT;
	if (le32_get(d->crc32c) !=
	    crc32c_with_hole(d, sizeof(*d), LOCKREC_CRC_OFFSET))
		return -VMFS_ECORRUPT;
	if (mode > LOCK_MULTI_WRITER || le16_get(d->slot) >= SLOTS_MAX ||
	    le32_get(d->reserved0) != 0 ||
	    !bytes_are_zero(d->reserved1, sizeof(d->reserved1)) ||
	    ((const uint8_t *)d)[NAME_OFFSET + HOST_NAME_MAX_BYTES] != 0)
		return -VMFS_ECORRUPT;
	/* A shared lock without holders would never be let go. */
	if (has_holder_map((enum lock_mode)mode) ==
	    bytes_are_zero(d->holder, sizeof(d->holder)))
		return -VMFS_ECORRUPT;
	return 0;
}

bool
record_is_whole(const void *sector)
{
	const struct lockrec_disk *d = sector;

	return bytes_are_zero(sector, sizeof(*d)) || le32_get(d->crc32c) ==
	    crc32c_with_hole(d, sizeof(*d), LOCKREC_CRC_OFFSET);
}

bool
lockrec_was(const void *sector, const struct uuid *volume, uint64_t addr)
{
	const struct lockrec_disk *d = sector;

	return (le32_get(d->magic) == LOCKREC_MAGIC) + (le64_get(d->addr) ==
	    addr) + (memcmp(d->volume, volume->b, sizeof(d->volume)) == 0) > 1;
}

static void
decode_name(const struct lockrec_disk *d, struct lockrec *l)
{
	unsigned from = le16_get(d->from_slot);

	if (d->name[LOCKREC_OFFER_NAME_MAX] != 0 || from == 0 ||
	    from > SLOTS_MAX || l->mode != LOCK_EXCLUSIVE) {
		memcpy(l->name, (const uint8_t *)d + NAME_OFFSET,
		    sizeof(l->name));
		return;
	}
	memcpy(l->name, d->name, sizeof(d->name));
	l->offered = true;
	l->from_slot = from - 1;
	l->from_incarnation = le64_get(d->from_incarnation);
}

static void
encode_name(struct lockrec_disk *d, const struct lockrec *l)
{
	size_t max = l->offered ? LOCKREC_OFFER_NAME_MAX :
	    HOST_NAME_MAX_BYTES;

	memcpy((uint8_t *)d + NAME_OFFSET, l->name, strnlen(l->name, max));
	if (!l->offered)
		return;
	d->from_slot = le16((uint16_t)(l->from_slot + 1));
	d->from_incarnation = le64(l->from_incarnation);
}

int
lockrec_decode(const void *sector, const struct uuid *volume, uint64_t addr,
    struct lockrec *ret_l)
{
	const struct lockrec_disk *d = sector;
	int r;

	if (bytes_are_zero(sector, sizeof(*d))) {
		*ret_l = (struct lockrec) { .addr = addr };
		return 0;
	}
	r = lockrec_check(d, volume, addr);
	if (r < 0)
		return r;
	*ret_l = (struct lockrec) {
		.addr = addr,
		.version = le64_get(d->version),
		.lsn = le64_get(d->lsn),
		.nonce = le64_get(d->nonce),
		.incarnation = le64_get(d->incarnation),
		.since_us = le64_get(d->since_us),
		.mode = (enum lock_mode)le16_get(d->mode),
		.slot = le16_get(d->slot),
	};
	memcpy(ret_l->host.b, d->host, sizeof(d->host));
	decode_name(d, ret_l);
	memcpy(ret_l->holder, d->holder, sizeof(d->holder));
	return 0;
}

void
lockrec_encode(void *sector, const struct uuid *volume,
    const struct lockrec *l)
{
	struct lockrec_disk *d = sector;

	memset(d, 0, sizeof(*d));
	d->magic = le32(LOCKREC_MAGIC);
	memcpy(d->volume, volume->b, sizeof(d->volume));
	d->addr = le64(l->addr);
	d->version = le64(l->version);
	d->lsn = le64(l->lsn);
	d->nonce = le64(l->nonce);
	d->mode = le16((uint16_t)l->mode);
	d->slot = le16((uint16_t)l->slot);
	d->incarnation = le64(l->incarnation);
	memcpy(d->host, l->host.b, sizeof(d->host));
	d->since_us = le64(l->since_us);
	encode_name(d, l);
	if (has_holder_map(l->mode))
		memcpy(d->holder, l->holder, sizeof(d->holder));
	d->crc32c = le32(crc32c_with_hole(d, sizeof(*d), LOCKREC_CRC_OFFSET));
}
