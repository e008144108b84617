/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blocks in and out.  Reads can be announced: those are in flight together, so
 * that a check is not one round trip after another.
 */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/check/check_priv.h"
#include "libvmfs/core/volume.h"
#include "libvmfs/format/lockrec.h"

/* What a damaged lock may have been ahead of all that was read. */
#define VERSION_MARGIN (1ull << 20)
#define AHEAD_BATCH 64u

/* ---- reading ahead ---- */

int
check_ahead_init(struct check *c)
{
	c->ahead = calloc(1, sizeof(*c->ahead));
	if (c->ahead == NULL)
		return -ENOMEM;
	c->ahead->data = disk_buf_alloc((size_t)AHEAD_SLOTS * BLOCK_SIZE);
	return c->ahead->data != NULL ? 0 : -ENOMEM;
}

void
check_ahead_fini(struct check *c)
{
	if (c->ahead != NULL)
		free(c->ahead->data);
	free(c->ahead);
}

void
check_ahead_forget(struct check *c)
{
	if (c->ahead != NULL)
		memset(c->ahead->block, 0, sizeof(c->ahead->block));
}

static uint8_t *
ahead_find(struct check *c, uint64_t block, unsigned *ret_slot)
{
	struct check_ahead *a = c->ahead;
	unsigned slot;

	if (a == NULL)
		return NULL;
	slot = a->bucket[block % AHEAD_BUCKETS];
	if (slot == 0 || a->block[slot - 1] != block)
		return NULL;
	*ret_slot = slot - 1;
	return a->data + (size_t)(slot - 1) * BLOCK_SIZE;
}

static void
ahead_forget_one(struct check *c, uint64_t block)
{
	unsigned slot;

	if (ahead_find(c, block, &slot) != NULL)
		c->ahead->block[slot] = 0;
}

struct ahead_wait {
	struct fiber *fiber;
	unsigned pending;
	bool parked;
};

struct ahead_req {
	struct disk_req req;
	struct iovec iov;
	struct ahead_wait *wait;
	unsigned slot;
};

static void
ahead_done(struct disk_req *req)
{
	struct ahead_req *a = container_of(req, struct ahead_req, req);

	if (--a->wait->pending == 0 && a->wait->parked)
		fiber_unpark(a->wait->fiber);
}

static void
ahead_submit(struct check *c, struct ahead_req *r, uint64_t block)
{
	struct check_ahead *a = c->ahead;

	r->slot = a->next++ % AHEAD_SLOTS;
	a->block[r->slot] = 0;
	r->iov = (struct iovec){
		a->data + (size_t)r->slot * BLOCK_SIZE, BLOCK_SIZE,
	};
	r->req = (struct disk_req){
		.op = DISK_READ, .offset = block * BLOCK_SIZE,
		.length = BLOCK_SIZE, .iov = &r->iov, .iovcnt = 1,
		.done = ahead_done,
	};
	r->wait->pending++;
	disk_submit(c->conf->disk, &r->req);
}

static void
ahead_batch(struct check *c, const uint64_t *blocks, unsigned n)
{
	cleanup_free struct ahead_req *r = calloc(n, sizeof(*r));
	struct ahead_wait wait = { .fiber = fiber_self() };
	unsigned used = 0, slot;

	if (r == NULL)
		return;
	for (unsigned i = 0; i < n; i++) {
		if (blocks[i] == 0 ||
		    !volume_has_block(&c->super, blocks[i]) ||
		    ahead_find(c, blocks[i], &slot) != NULL)
			continue;
		r[used].wait = &wait;
		ahead_submit(c, &r[used++], blocks[i]);
	}
	wait.parked = true;
	while (wait.pending > 0)
		fiber_park();
	/* What failed is read again by whoever wants it, and reported. */
	for (unsigned i = 0; i < used; i++) {
		uint64_t block = r[i].req.offset / BLOCK_SIZE;

		if (r[i].req.result != 0)
			continue;
		c->ahead->block[r[i].slot] = block;
		c->ahead->bucket[block % AHEAD_BUCKETS] =
		    (uint16_t)(r[i].slot + 1);
	}
}

void
check_read_ahead(struct check *c, const uint64_t *blocks, unsigned n)
{
	for (unsigned i = 0; i < n; i += AHEAD_BATCH)
		ahead_batch(c, blocks + i,
		    n - i < AHEAD_BATCH ? n - i : AHEAD_BATCH);
}

/* ---- one block ---- */

int
check_read(struct check *c, uint64_t block, void *buf)
{
	const uint8_t *ahead;
	unsigned slot;

	ahead = ahead_find(c, block, &slot);
	if (ahead == NULL)
		return disk_read(c->conf->disk, block * BLOCK_SIZE, buf,
		    BLOCK_SIZE);
	memcpy(buf, ahead, BLOCK_SIZE);
	return 0;
}

/* Newest stamps; a lie must not make the next one wrap around. */
static void
note(uint64_t *max, uint64_t value)
{
	if (value > *max && value < UINT64_MAX / 4)
		*max = value;
}

int
check_block(struct check *c, uint64_t block, enum block_type type, void *buf)
{
	struct block_hdr h;
	int rc;

	if (block == 0 || !volume_has_block(&c->super, block))
		return -VMFS_ECORRUPT;
	rc = check_read(c, block, buf);
	if (rc == 0)
		rc = block_hdr_decode(buf, type, &c->super.uuid, block, &h);
	if (rc != 0)
		return rc;
	note(&c->memory->max_lsn, h.lsn);
	note(&c->memory->max_version, h.lockver);
	return 0;
}

int
check_write_sector(struct check *c, uint64_t block, void *buf)
{
	ahead_forget_one(c, block);
	return disk_write(c->conf->disk, block * BLOCK_SIZE, buf,
	    c->super.sector_size == BLOCK_SIZE ? BLOCK_SIZE : LOCK_RECORD_SIZE,
	    DISK_FUA);
}

/* What the header covers, where sectors allow: a heartbeat in front of it
 * beats on. */
static int
write_covered(struct check *c, uint64_t block, enum block_type type,
    const uint8_t *buf)
{
	unsigned at = c->super.sector_size == BLOCK_SIZE ? 0 :
	    block_hdr_offset(type);

	ahead_forget_one(c, block);
	return disk_write(c->conf->disk, block * BLOCK_SIZE + at, buf + at,
	    BLOCK_SIZE - at, 0);
}

int
check_rewrite(struct check *c, uint64_t block, enum block_type type, void *buf)
{
	const struct block_hdr_disk *d = (const void *)((uint8_t *)buf +
	    block_hdr_offset(type));
	struct block_hdr h = {
		.type = type, .addr = block, .owner = le64_get(d->owner),
		.lockver = le64_get(d->lockver), .lsn = le64_get(d->lsn),
	};

	block_hdr_encode(buf, &h, &c->super.uuid);
	return write_covered(c, block, type, buf);
}

int
check_write_new(struct check *c, uint64_t block, enum block_type type,
    uint64_t owner, void *buf)
{
	struct block_hdr h = {
		.type = type, .addr = block, .owner = owner,
		.lockver = c->memory->max_version,
		.lsn = c->memory->max_lsn + 1,
	};

	block_hdr_encode(buf, &h, &c->super.uuid);
	return write_covered(c, block, type, buf);
}

int
check_lock(struct check *c, uint64_t block, void *buf, const char *object)
{
	struct lockrec l;
	int rc;

	rc = lockrec_decode(buf, &c->super.uuid, block, &l);
	if (rc == 0) {
		note(&c->memory->max_lsn, l.lsn);
		note(&c->memory->max_version, l.version);
		return 0;
	}
	check_report(c, CHECK_LOCK, CHECK_DAMAGE, block, c->conf->repair,
	    "the lock of %s (block %llu) is damaged: no host can take it",
	    object, (unsigned long long)block);
	if (!c->conf->repair)
		return 0;
	l = (struct lockrec){
		.addr = block, .lsn = c->memory->max_lsn,
		.nonce = env_random_u64(c->conf->env),
	};
	l.version = (c->memory->max_version > l.lsn ?
	    c->memory->max_version : l.lsn) + VERSION_MARGIN;
	lockrec_encode(buf, &c->super.uuid, &l);
	return check_write_sector(c, block, buf);
}
