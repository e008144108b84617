/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes blocks in place.  Of a lockable block only what is behind the lock
 * record is ours; where a sector is the whole block, the record is written
 * back as it stands, by a compare-and-write where there is one: a heartbeat
 * changes by itself, and the block of a deleted inode may get a new lock.
 */
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/core/ds_priv.h"

#define WINDOW 32u		/* requests in flight */
#define SECTOR_TRIES 16

struct window {
	struct fiber *fiber;
	unsigned pending;
	int error;
};

struct block_io {
	struct disk_req req;
	struct iovec iov;
	struct shadow *shadow;
	struct window *window;
};

static void
write_done(struct disk_req *req)
{
	struct block_io *io = req->arg;
	struct window *w = io->window;

	io->shadow->lost = req->result == -VMFS_EEXTENT;
	if (req->result < 0 && !io->shadow->lost && w->error == 0)
		w->error = req->result;
	if (--w->pending == 0)
		fiber_unpark(w->fiber);
}

/* Lockable block on a LUN with sectors of 4 KiB. */
static int
write_with_lock_sector(struct ds *ds, struct shadow *s)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(BLOCK_SIZE);
	uint64_t at = s->hdr.addr << BLOCK_SHIFT;
	int r = -ENOMEM;

	for (int i = 0; buf != NULL && i < SECTOR_TRIES; i++) {
		r = disk_read(ds->conf.disk, at, buf, BLOCK_SIZE);
		if (r < 0)
			return r;
		memcpy(s->data, buf, LOCK_RECORD_SIZE);
		if ((ds->conf.disk->info.caps & DISK_CAP_CAW) == 0)
			return disk_write(ds->conf.disk, at, s->data,
			    BLOCK_SIZE, 0);
		r = disk_caw(ds->conf.disk, at, buf, s->data, BLOCK_SIZE);
		if (r != -VMFS_EMISCOMPARE && r != -VMFS_EUNKNOWN)
			return r;
	}
	return r;
}

static int
write_one(struct ds *ds, struct shadow *s, struct window *w,
    struct block_io *io)
{
	unsigned skip = block_hdr_offset(s->hdr.type);

	block_hdr_encode(s->data, &s->hdr, &ds->super.uuid);
	if (skip != 0 && ds->super.sector_size > LOCK_RECORD_SIZE) {
		int r = write_with_lock_sector(ds, s);

		s->lost = r == -VMFS_EEXTENT;
		return s->lost ? 0 : r;
	}
	io->shadow = s;
	io->window = w;
	io->iov = (struct iovec) { s->data + skip, BLOCK_SIZE - skip };
	io->req = (struct disk_req) {
		.op = DISK_WRITE,
		.offset = (s->hdr.addr << BLOCK_SHIFT) + skip,
		.length = BLOCK_SIZE - skip,
		.iov = &io->iov,
		.iovcnt = 1,
		.done = write_done,
		.arg = io,
	};
	w->pending++;
	disk_submit(ds->conf.disk, &io->req);
	return 0;
}

int
writeback_run(struct ds *ds, struct shadow *s, size_t count)
{
	struct block_io io[WINDOW];
	struct window w = { .fiber = fiber_self() };
	int r = 0;

	for (size_t i = 0; i < count && r == 0; ) {
		size_t n = count - i < WINDOW ? count - i : WINDOW;

		for (size_t k = 0; k < n && r == 0; k++)
			r = ds->health < 0 ? ds->health :
			    write_one(ds, &s[i + k], &w, &io[k]);
		while (w.pending > 0)
			fiber_park();
		if (r == 0)
			r = w.error;
		i += n;
	}
	return r;
}
