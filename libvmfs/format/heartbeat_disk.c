/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes of a heartbeat record and of the slot info behind it. */
#include <string.h>

#include "libvmfs/format/heartbeat.h"
#include "libvmfs/format/journal.h"

#define HEARTBEAT_CRC_OFFSET offsetof(struct heartbeat_disk, crc32c)

static const char *const state_names[] = {
	[SLOT_FREE] = "free",
	[SLOT_LIVE] = "live",
	[SLOT_STOPPING] = "stopping",
	[SLOT_RECOVERING] = "recovering",
};

const char *
slot_state_name(enum slot_state s)
{
	return (unsigned)s <= SLOT_RECOVERING ? state_names[s] : "?";
}

static bool
journal_range_ok(const struct heartbeat_disk *d)
{
	uint64_t block = le64_get(d->journal_block);
	uint32_t blocks = le32_get(d->journal_blocks);

	if (block == 0)
		return blocks == 0;
	return blocks >= JOURNAL_BLOCKS_MIN && blocks <= JOURNAL_BLOCKS_MAX;
}

static int
heartbeat_check(const struct heartbeat_disk *d, const struct uuid *volume,
    unsigned slot)
{
	if (le32_get(d->magic) != HEARTBEAT_MAGIC ||
	    memcmp(d->volume, volume->b, sizeof(d->volume)) != 0 ||
	    le16_get(d->slot) != slot)
		return -VMFS_ECORRUPT;
	if (le32_get(d->crc32c) !=
	    crc32c_with_hole(d, sizeof(*d), HEARTBEAT_CRC_OFFSET))
		return -VMFS_ECORRUPT;
	if (le16_get(d->state) > SLOT_RECOVERING ||
	    le16_get(d->recoverer) >= SLOTS_MAX ||
	    d->name[HOST_NAME_MAX_BYTES] != 0 || !journal_range_ok(d) ||
	    le32_get(d->reserved0) != 0 ||
	    !bytes_are_zero(d->reserved1, sizeof(d->reserved1)) ||
	    !bytes_are_zero(d->reserved2, sizeof(d->reserved2)))
		return -VMFS_ECORRUPT;
	return 0;
}

bool
heartbeat_was(const void *sector, const struct uuid *volume, unsigned slot)
{
	const struct heartbeat_disk *d = sector;

	return memcmp(d->volume, volume->b, sizeof(d->volume)) == 0 &&
	    (le32_get(d->magic) == HEARTBEAT_MAGIC ||
	    le16_get(d->slot) == slot);
}

int
heartbeat_decode(const void *sector, const struct uuid *volume,
    unsigned slot, struct heartbeat *ret_h)
{
	const struct heartbeat_disk *d = sector;
	int r;

	if (bytes_are_zero(sector, sizeof(*d))) {
		*ret_h = (struct heartbeat) { .slot = slot };
		return 0;
	}
	r = heartbeat_check(d, volume, slot);
	if (r < 0)
		return r;
	*ret_h = (struct heartbeat) {
		.slot = slot,
		.state = (enum slot_state)le16_get(d->state),
		.incarnation = le64_get(d->incarnation),
		.pulse = le64_get(d->pulse),
		.nonce = le64_get(d->nonce),
		.pr_key = le64_get(d->pr_key),
		.mounted_us = le64_get(d->mounted_us),
		.recoverer = le16_get(d->recoverer),
		.recoverer_incarnation = le64_get(d->recoverer_incarnation),
		.timers = {
			.pulse_ms = le32_get(d->pulse_ms),
			.io_ms = le32_get(d->io_ms),
			.freeze_ms = le32_get(d->freeze_ms),
			.fence_ms = le32_get(d->fence_ms),
			.fence_hint_ms = le32_get(d->fence_hint_ms),
		},
		.super_generation = le64_get(d->super_generation),
		.journal_block = le64_get(d->journal_block),
		.journal_blocks = le32_get(d->journal_blocks),
		.lsn = le64_get(d->lsn),
		.home = le64_get(d->home),
		.process = le64_get(d->process),
		.space_asked = le64_get(d->space_asked),
	};
	memcpy(ret_h->host.b, d->host, sizeof(d->host));
	memcpy(ret_h->machine.b, d->machine, sizeof(d->machine));
	memcpy(ret_h->boot.b, d->boot, sizeof(d->boot));
	memcpy(ret_h->name, d->name, sizeof(d->name));
	return 0;
}

void
heartbeat_encode(void *sector, const struct uuid *volume,
    const struct heartbeat *h)
{
	struct heartbeat_disk *d = sector;

	memset(d, 0, sizeof(*d));
	d->magic = le32(HEARTBEAT_MAGIC);
	memcpy(d->volume, volume->b, sizeof(d->volume));
	d->slot = le16((uint16_t)h->slot);
	d->state = le16((uint16_t)h->state);
	memcpy(d->host, h->host.b, sizeof(d->host));
	d->incarnation = le64(h->incarnation);
	d->pulse = le64(h->pulse);
	d->nonce = le64(h->nonce);
	d->pr_key = le64(h->pr_key);
	d->mounted_us = le64(h->mounted_us);
	d->recoverer = le16((uint16_t)h->recoverer);
	d->recoverer_incarnation = le64(h->recoverer_incarnation);
	d->pulse_ms = le32(h->timers.pulse_ms);
	d->io_ms = le32(h->timers.io_ms);
	d->freeze_ms = le32(h->timers.freeze_ms);
	d->fence_ms = le32(h->timers.fence_ms);
	d->fence_hint_ms = le32(h->timers.fence_hint_ms);
	d->super_generation = le64(h->super_generation);
	memcpy(d->machine, h->machine.b, sizeof(d->machine));
	memcpy(d->boot, h->boot.b, sizeof(d->boot));
	memcpy(d->name, h->name, strnlen(h->name, HOST_NAME_MAX_BYTES));
	d->journal_block = le64(h->journal_block);
	d->journal_blocks = le32(h->journal_blocks);
	d->lsn = le64(h->lsn);
	d->home = le64(h->home);
	d->process = le64(h->process);
	d->space_asked = le64(h->space_asked);
	d->crc32c = le32(crc32c_with_hole(d, sizeof(*d), HEARTBEAT_CRC_OFFSET));
}

int
slot_info_check(const void *block)
{
	const struct slot_info_disk *d =
	    (const void *)((const uint8_t *)block + LOCK_RECORD_SIZE);
	uint32_t orphans = le32_get(d->orphans);

	if (orphans > SLOT_ORPHANS_MAX || le32_get(d->reserved) != 0 ||
	    !bytes_are_zero(d->reserved1, sizeof(d->reserved1)))
		return -VMFS_ECORRUPT;
	for (uint32_t i = 0; i < SLOT_ORPHANS_MAX; i++)
		if ((le64_get(d->orphan[i]) != 0) != (i < orphans))
			return -VMFS_ECORRUPT;
	return 0;
}
