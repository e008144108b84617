/* SPDX-License-Identifier: BSD-2-Clause */
/* What requests do with the disk. */
#include <string.h>

#include "nbd/impl.h"

/* Shorter reads are not worth a look at the map. */
#define LOOK_FOR_HOLES 65536u
#define PIECES_MAX 64u

static struct disk *
disk_of(struct nbd_conn *c)
{
	return c->export->conf.disk;
}

static int
move(struct disk *d, enum disk_op op, unsigned flags, uint64_t offset,
    uint8_t *data, size_t len)
{
	size_t max = d->info.max_transfer != 0 ? d->info.max_transfer : len;
	int rc = 0;

	while (rc == 0 && len > 0) {
		size_t n = len < max ? len : max;
		struct iovec iov = { data, n };
		struct disk_req req = {
			.op = op, .flags = flags, .offset = offset,
			.length = n, .iov = &iov, .iovcnt = 1,
		};

		rc = disk_run(d, &req);
		offset += n;
		data += n;
		len -= n;
	}
	return rc;
}

/* ---- read ---- */

static bool
send_hole(struct nbd_conn *c, struct nbd_job *job, bool done, uint64_t offset,
    uint64_t length)
{
	struct nbd_chunk_hole hole = { be64(offset), be32((uint32_t)length) };
	struct iovec body = { &hole, sizeof(hole) };

	return nbd_send_chunk(c, job, done, NBD_CHUNK_OFFSET_HOLE, &body, 1);
}

static bool
send_piece(struct nbd_conn *c, struct nbd_job *job, bool done,
    uint64_t offset, uint64_t length)
{
	be64_t at = be64(offset);
	struct iovec body[2] = {
		{ &at, sizeof(at) },
		{ job->data + (offset - job->req.offset), length },
	};

	return nbd_send_chunk(c, job, done, NBD_CHUNK_OFFSET_DATA, body, 2);
}

/* Data and holes of the range; one piece of data where nobody knows. */
static void
look(struct nbd_conn *c, const struct nbd_job *job, struct disk_map *map)
{
	const struct nbd_req *r = &job->req;
	struct disk *d = disk_of(c);
	uint64_t known = 0;

	map->count = 0;
	if (r->flags & NBD_CMD_DF || r->length < LOOK_FOR_HOLES ||
	    !(d->info.caps & DISK_CAP_MAP) ||
	    disk_map(d, r->offset, r->length, map) < 0)
		map->count = 0;
	for (size_t i = 0; i < map->count; i++)
		known += map->extents[i].length;
	/* More pieces than there is room for: the rest as data. */
	if (known < r->length && map->count == map->max) {
		map->count--;
		known -= map->extents[map->count].length;
	}
	if (known < r->length)
		map->extents[map->count++] =
		    (struct disk_extent){ r->length - known, true };
}

static int
read_pieces(struct nbd_conn *c, struct nbd_job *job,
    const struct disk_map *map)
{
	uint64_t at = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < map->count; i++) {
		const struct disk_extent *x = &map->extents[i];

		if (x->allocated)
			rc = move(disk_of(c), DISK_READ, 0,
			    job->req.offset + at, job->data + at, x->length);
		at += x->length;
	}
	return rc;
}

static void
send_pieces(struct nbd_conn *c, struct nbd_job *job,
    const struct disk_map *map)
{
	uint64_t at = job->req.offset;
	bool going = true;

	for (size_t i = 0; going && i < map->count; i++) {
		const struct disk_extent *x = &map->extents[i];
		bool done = i + 1 == map->count;

		going = x->allocated ?
		    send_piece(c, job, done, at, x->length) :
		    send_hole(c, job, done, at, x->length);
		at += x->length;
	}
}

static void
do_read(struct nbd_conn *c, struct nbd_job *job)
{
	struct disk_extent extents[PIECES_MAX];
	struct disk_map map = { .extents = extents, .max = PIECES_MAX };
	int rc;

	if (c->structured) {
		look(c, job, &map);
		rc = read_pieces(c, job, &map);
	} else {
		rc = move(disk_of(c), DISK_READ, 0, job->req.offset,
		    job->data, job->req.length);
	}
	tell_add(&c->export->stats.reads, 1);
	if (rc < 0) {
		nbd_send_result(c, job, nbd_error_of(rc), rc);
		return;
	}
	tell_add(&c->export->stats.read_bytes,
	    job->req.length);
	if (c->structured)
		send_pieces(c, job, &map);
	else
		nbd_send_data(c, job);
}

/* ---- all others ---- */

static int
do_write(struct nbd_conn *c, struct nbd_job *job)
{
	int rc = move(disk_of(c), DISK_WRITE,
	    job->req.flags & NBD_CMD_FUA ? DISK_FUA : 0, job->req.offset,
	    job->data, job->req.length);

	tell_add(&c->export->stats.writes, 1);
	if (rc == 0)
		tell_add(&c->export->stats.written_bytes,
		    job->req.length);
	return rc;
}

static int
flush_if_asked(struct nbd_conn *c, const struct nbd_job *job, int rc)
{
	if (rc == 0 && job->req.flags & NBD_CMD_FUA)
		rc = disk_flush(disk_of(c));
	return rc;
}

static int
do_trim(struct nbd_conn *c, struct nbd_job *job)
{
	int rc = disk_unmap(disk_of(c), job->req.offset, job->req.length);

	/* It is a hint, no reason for QEMU to stop a guest. */
	if (rc == -EOPNOTSUPP || rc == -ENOSPC)
		rc = 0;
	return flush_if_asked(c, job, rc);
}

static int
do_zero(struct nbd_conn *c, struct nbd_job *job)
{
	struct disk *d = disk_of(c);
	bool hole = !(job->req.flags & NBD_CMD_NO_HOLE) &&
	    d->info.caps & DISK_CAP_UNMAP;

	/* Only what is no longer allocated costs no writing. */
	if (job->req.flags & NBD_CMD_FAST_ZERO && !hole)
		return -EOPNOTSUPP;
	return flush_if_asked(c, job, disk_write_zeroes(d, job->req.offset,
	    job->req.length, hole ? DISK_MAY_UNMAP : 0));
}

/* Where data is becomes known; that is what the first read would wait for. */
static int
do_cache(struct nbd_conn *c, struct nbd_job *job)
{
	struct disk_extent extents[PIECES_MAX];
	struct disk_map map = { .extents = extents, .max = PIECES_MAX };

	if (!(disk_of(c)->info.caps & DISK_CAP_MAP))
		return 0;
	return disk_map(disk_of(c), job->req.offset, job->req.length, &map);
}

static void
do_other(struct nbd_conn *c, struct nbd_job *job,
    int (*fn)(struct nbd_conn *c, struct nbd_job *job))
{
	int rc = fn(c, job);

	if (job->req.type != NBD_CMD_WRITE)
		tell_add(&c->export->stats.others, 1);
	nbd_send_result(c, job, nbd_error_of(rc), rc);
}

static int
do_flush(struct nbd_conn *c, struct nbd_job *job)
{
	(void)job;
	return disk_flush(disk_of(c));
}

void
nbd_execute(struct nbd_conn *c, struct nbd_job *job)
{
	static int (*const fns[NBD_CMDS])(struct nbd_conn *c,
	    struct nbd_job *job) = {
		[NBD_CMD_WRITE] = do_write,
		[NBD_CMD_FLUSH] = do_flush,
		[NBD_CMD_TRIM] = do_trim,
		[NBD_CMD_CACHE] = do_cache,
		[NBD_CMD_WRITE_ZEROES] = do_zero,
	};

	if (job->req.type == NBD_CMD_READ)
		do_read(c, job);
	else if (job->req.type == NBD_CMD_BLOCK_STATUS)
		nbd_block_status(c, job);
	else
		do_other(c, job, fns[job->req.type]);
}
