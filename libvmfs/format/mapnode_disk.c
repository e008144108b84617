/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes of map entries. */
#include <string.h>

#include "libvmfs/format/mapnode.h"

void
map_chunk_get(const struct map_chunk_disk *d, struct map_chunk *ret_c)
{
	ret_c->own = le40_get(d->own);
	ret_c->base = le40_get(d->base);
	ret_c->birth = le24_get(d->birth);
	ret_c->valid = le16_get(d->valid);
}

void
map_chunk_put(struct map_chunk_disk *d, const struct map_chunk *c)
{
	d->own = le40(c->own);
	d->base = le40(c->base);
	d->birth = le24(c->birth);
	d->valid = le16(c->valid);
}

static bool
state_is_valid(const struct map_entry *e, unsigned level)
{
	switch (e->state) {
	case MAP_HOLE:
		return e->block == 0;
	case MAP_HUGE:
		return e->block != 0;
	case MAP_SPLIT:
		return level == 1 && e->block == 0;
	case MAP_CHILD:
		return level > 1 && e->block != 0;
	}
	return false;
}

int
map_entry_get(const struct map_entry_disk *d, unsigned level,
    struct map_entry *ret_e)
{
	struct map_entry e = {
		.block = le48_get(d->block),
		.birth = le32_get(d->birth),
		.state = (enum map_state)d->state,
	};

	if (!state_is_valid(&e, level) ||
	    !bytes_are_zero(d->reserved, sizeof(d->reserved)))
		return -VMFS_ECORRUPT;
	*ret_e = e;
	return 0;
}

void
map_entry_put(struct map_entry_disk *d, const struct map_entry *e)
{
	memset(d, 0, sizeof(*d));
	d->block = le48(e->block);
	d->birth = le32(e->birth);
	d->state = (uint8_t)e->state;
}
