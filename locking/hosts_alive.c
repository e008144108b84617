/* SPDX-License-Identifier: BSD-2-Clause */
/* Who lives on a LUN, asked by a tool that is no member. */
#include <stdlib.h>
#include <string.h>

#include "locking/host_int.h"

static int
decode(const uint8_t *table, const struct super *super, unsigned slot,
    struct heartbeat *ret_hb)
{
	return heartbeat_decode(table + (size_t)slot * BLOCK_SIZE,
	    &super->uuid, slot, ret_hb);
}

static void
append(char *names, size_t size, const char *name)
{
	size_t len = strlen(names);

	if (len > 0 && len + 2 < size) {
		memcpy(names + len, ", ", 3);
		len += 2;
	}
	if (len + 1 < size) {
		size_t n = strnlen(name, size - len - 1);

		memcpy(names + len, name, n);
		names[len + n] = '\0';
	}
}

/* Has a sign of life without waiting for its pulse? */
static bool
surely_alive(struct disk *lun, const struct super *super, unsigned slot)
{
	char why[WHY_SIZE];
	const struct fence_ops *f = fence_of(super->protocol, why);
	bool certain = false;

	return f != NULL && (lun->info.caps & f->caps) == f->caps &&
	    f->look(lun, slot, &certain) == -VMFS_EINUSE && certain;
}

static unsigned
count_alive(struct disk *lun, const struct super *super, const uint8_t *first,
    const uint8_t *second, char *names, size_t size)
{
	unsigned alive = 0;

	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		struct heartbeat a, b;

		if (decode(second, super, i, &b) < 0 || b.state == SLOT_FREE)
			continue;
		/* One that was damaged has been mended by its host. */
		if (decode(first, super, i, &a) == 0 && a.pulse == b.pulse &&
		    a.nonce == b.nonce && !surely_alive(lun, super, i))
			continue;
		alive++;
		append(names, size, b.name);
	}
	return alive;
}

/* Or damaged: then it may be. */
static bool
any_claimed(const uint8_t *table, const struct super *super)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		struct heartbeat hb;

		if (decode(table, super, i, &hb) < 0 || hb.state != SLOT_FREE)
			return true;
	}
	return false;
}

int
hosts_alive(struct env *env, struct disk *lun, const struct super *super,
    unsigned *ret_alive, char *names, size_t size)
{
	size_t bytes = (size_t)SLOTS_MAX * BLOCK_SIZE;
	uint8_t *first = disk_buf_alloc(2 * bytes);
	struct lease lease = lease_of(&super->timers);
	unsigned alive = 0;
	int rc;

	(void)env;
	if (first == NULL)
		return -ENOMEM;
	if (size > 0)
		names[0] = '\0';
	rc = slots_read(lun, first);
	if (rc == 0 && any_claimed(first, super)) {
		fiber_sleep(lease.listen_ns);
		rc = slots_read(lun, first + bytes);
		if (rc == 0)
			alive = count_alive(lun, super, first, first + bytes,
			    names, size);
	}
	free(first);
	if (rc == 0)
		*ret_alive = alive;
	return rc;
}
