/* SPDX-License-Identifier: BSD-2-Clause */
/* The LUN's view. */
#include "tests/sim/judge.h"

#include "locking/lease.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Nexus 2 i and 2 i + 1 are host i's. */
static unsigned
host_of(unsigned nexus)
{
	return nexus / 2;
}

/* Data or heartbeat, see fence_hold.c. */
static bool
holds_slot(const struct sim_nexus *x, unsigned slot)
{
	for (unsigned i = 0; i < x->n_holds; i++)
		if (x->holds[i] % SLOTS_MAX == slot)
			return x->path != PATH_CUT || x->in_flight > 0;
	return false;
}

/* The incarnation, that is: a path that has the key of the host's next one, or
 * holds its slot, carries nothing of it any more. */
static bool
could_write(const struct world *w, unsigned host, unsigned slot, uint64_t key)
{
	/* Time is the proof: I1 has to tell. */
	if (lease_by_time(w->super.protocol))
		return false;
	for (unsigned n = 2 * host; n < 2 * host + 2; n++) {
		const struct sim_nexus *x = &w->lun.nexus[n];

		if (w->super.protocol == LOCK_ATS_PR ? x->key == key :
		    holds_slot(x, slot))
			return true;
	}
	return false;
}

static unsigned
host_with(const struct world *w, const struct uuid *uuid)
{
	for (unsigned i = 0; i < w->hosts; i++)
		if (uuid_equal(&w->host[i].uuid, uuid))
			return i;
	return w->hosts;
}

static void
slot_landed(struct judge *j, unsigned slot, unsigned nexus,
    const uint8_t *data)
{
	struct world *w = j->w;
	struct heartbeat hb;
	unsigned owner;

	if (heartbeat_decode(data, &w->super.uuid, slot, &hb) < 0)
		return;
	owner = host_with(w, &hb.host);
	if (owner == w->hosts)
		return;
	if (hb.state == SLOT_LIVE && host_of(nexus) == owner) {
		j->slot[owner] = slot;
		j->incarnation[owner] = hb.incarnation;
		j->ended[owner] = 0;
	}
	if (hb.state != SLOT_RECOVERING || j->slot[owner] != slot ||
	    hb.incarnation != j->incarnation[owner] + 1)
		return;
	if (could_write(w, owner, slot, heartbeat_pr_key(slot,
	    hb.incarnation - 1)))
		world_fail(w, "I9: slot %u of host%u goes to recovering while "
		    "the host could still write", slot, owner);
	j->takeovers += j->ended[owner] != j->incarnation[owner];
	j->ended[owner] = j->incarnation[owner];
}

/* Blocks are no locks for ever; one that is again has a larger version. */
static void
record_landed(struct judge *j, uint64_t block, unsigned nexus,
    const uint8_t *data)
{
	struct lockrec rec;

	if (lockrec_decode(data, &j->w->super.uuid, block, &rec) < 0 ||
	    rec.version == 0)
		return;
	if (rec.version < j->version[block])
		world_fail(j->w, "I2: host%u: lock %" PRIu64 " goes from "
		    "version %" PRIu64 " back to %" PRIu64, host_of(nexus),
		    block, j->version[block], rec.version);
	j->version[block] = rec.version;
}

static void
landed(void *arg, unsigned nexus, uint64_t offset, const uint8_t *data,
    uint64_t length)
{
	struct judge *j = arg;
	unsigned host = host_of(nexus);
	uint64_t block = offset / BLOCK_SIZE;

	j->landed++;
	if (host < j->w->hosts && j->incarnation[host] != 0 &&
	    j->ended[host] == j->incarnation[host] &&
	    (block < SLOT_TABLE_BLOCK || block >= SLOT_TABLE_BLOCK +
	    SLOTS_MAX))
		world_fail(j->w, "I1: host%u: a write of incarnation %" PRIu64
		    " lands in block %" PRIu64 " after it was taken over",
		    host, j->incarnation[host], block);
	if (offset % BLOCK_SIZE != 0 || length < LOCK_RECORD_SIZE)
		return;
	if (block >= SLOT_TABLE_BLOCK && block < SLOT_TABLE_BLOCK + SLOTS_MAX)
		slot_landed(j, (unsigned)(block - SLOT_TABLE_BLOCK), nexus,
		    data);
	else if (block < j->blocks)
		record_landed(j, block, nexus, data);
}

static void
sent(void *arg, unsigned nexus, const struct disk_req *req)
{
	struct judge *j = arg;
	const struct world_host *wh = &j->w->host[host_of(nexus)];

	if (host_of(nexus) >= j->w->hosts || nexus % 2 != 0 ||
	    wh->host == NULL || (req->op != DISK_WRITE &&
	    req->op != DISK_WRITE_ZEROES && req->op != DISK_UNMAP))
		return;
	if (host_status(wh->host) != HOST_OK)
		world_fail(j->w, "I8: host%u sends a write while it is not "
		    "sure of itself", host_of(nexus));
}

void
judge_init(struct judge *j, struct world *w)
{
	*j = (struct judge){
		.w = w, .blocks = w->lun.info.size_bytes / BLOCK_SIZE,
	};
	j->version = calloc(j->blocks, sizeof(*j->version));
	if (j->version == NULL)
		abort();
	for (unsigned i = 0; i < WORLD_HOSTS_MAX; i++)
		j->slot[i] = SLOTS_MAX;
	w->lun.landed = landed;
	w->lun.sent = sent;
	w->lun.landed_arg = j;
}

void
judge_fini(struct judge *j)
{
	free(j->version);
	j->version = NULL;
}
