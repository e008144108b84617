/* SPDX-License-Identifier: BSD-2-Clause */
/* A disk whose writes stay in memory, over one that is only read. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/check/check.h"
#include "libvmfs/format/layout.h"

#define OVERLAY_BUCKETS 4096u

struct overlay_block {
	struct overlay_block *next;
	uint64_t number;
	uint8_t data[BLOCK_SIZE];
};

struct overlay {
	struct disk disk;
	struct disk *below;
	struct overlay_block *bucket[OVERLAY_BUCKETS];
};

static struct overlay *
overlay_of(struct disk *d)
{
	return (struct overlay *)(void *)d;
}

static struct overlay_block *
overlay_find(struct overlay *o, uint64_t number)
{
	struct overlay_block *b = o->bucket[number % OVERLAY_BUCKETS];

	while (b != NULL && b->number != number)
		b = b->next;
	return b;
}

/* The block in memory, read from below when it is new. */
static int
overlay_get(struct overlay *o, uint64_t number, struct overlay_block **ret_b)
{
	struct overlay_block *b = overlay_find(o, number);
	int rc;

	if (b == NULL) {
		b = malloc(sizeof(*b));
		if (b == NULL)
			return -ENOMEM;
		rc = disk_read(o->below, number * BLOCK_SIZE, b->data,
		    BLOCK_SIZE);
		if (rc != 0) {
			free(b);
			return rc;
		}
		b->number = number;
		b->next = o->bucket[number % OVERLAY_BUCKETS];
		o->bucket[number % OVERLAY_BUCKETS] = b;
	}
	*ret_b = b;
	return 0;
}

/* Copies len bytes at offset out of, or into, blocks in memory. */
static int
overlay_copy(struct overlay *o, uint64_t offset, uint8_t *out,
    const uint8_t *in, size_t len)
{
	while (len > 0) {
		size_t at = offset % BLOCK_SIZE;
		size_t n = BLOCK_SIZE - at < len ? BLOCK_SIZE - at : len;
		struct overlay_block *b;
		int rc;

		rc = overlay_get(o, offset / BLOCK_SIZE, &b);
		if (rc != 0)
			return rc;
		if (out != NULL) {
			memcpy(out, b->data + at, n);
			out += n;
		} else if (in != NULL) {
			memcpy(b->data + at, in, n);
			in += n;
		} else {
			memset(b->data + at, 0, n);
		}
		offset += n;
		len -= n;
	}
	return 0;
}

/* Reads from below, then lays the blocks in memory over it. */
static int
overlay_read(struct overlay *o, uint64_t offset, uint8_t *buf, size_t len)
{
	uint64_t end = offset + len;
	int rc;

	rc = disk_read(o->below, offset, buf, len);
	if (rc != 0)
		return rc;
	for (uint64_t n = offset / BLOCK_SIZE; n * BLOCK_SIZE < end; n++) {
		struct overlay_block *b = overlay_find(o, n);
		uint64_t from = n * BLOCK_SIZE, to = from + BLOCK_SIZE;

		if (b == NULL)
			continue;
		if (from < offset)
			from = offset;
		if (to > end)
			to = end;
		memcpy(buf + (from - offset), b->data + from % BLOCK_SIZE,
		    to - from);
	}
	return 0;
}

static int
overlay_iov(struct overlay *o, struct disk_req *req)
{
	uint64_t offset = req->offset;
	int rc = 0;

	for (int i = 0; i < req->iovcnt && rc == 0; i++) {
		uint8_t *p = req->iov[i].iov_base;
		size_t n = req->iov[i].iov_len;

		rc = req->op == DISK_READ ? overlay_read(o, offset, p, n) :
		    overlay_copy(o, offset, NULL, p, n);
		offset += n;
	}
	return rc;
}

static int
overlay_caw(struct overlay *o, struct disk_req *req)
{
	uint8_t *now = malloc(req->length);
	int rc;

	if (now == NULL)
		return -ENOMEM;
	rc = overlay_copy(o, req->offset, now, NULL, req->length);
	if (rc == 0 && memcmp(now, req->expect, req->length) != 0)
		rc = -VMFS_EMISCOMPARE;
	free(now);
	return rc != 0 ? rc : overlay_iov(o, req);
}

static void
overlay_fiber(void *arg)
{
	struct disk_req *req = arg;
	struct overlay *o = req->priv[0];

	switch (req->op) {
	case DISK_READ:
	case DISK_WRITE:
		req->result = overlay_iov(o, req);
		break;
	case DISK_WRITE_ZEROES:
		req->result = overlay_copy(o, req->offset, NULL, NULL,
		    req->length);
		break;
	case DISK_CAW:
		req->result = overlay_caw(o, req);
		break;
	case DISK_FLUSH:
	case DISK_UNMAP:
		req->result = 0;
		break;
	default:
		req->result = -EOPNOTSUPP;
		break;
	}
	req->done(req);
}

static void
overlay_submit(struct disk *d, struct disk_req *req)
{
	req->priv[0] = overlay_of(d);
	if (sched_spawn(sched_current(), "overlay", overlay_fiber, req) != 0)
		disk_complete(req, -ENOMEM);
}

static void
overlay_close(struct disk *d)
{
	struct overlay *o = overlay_of(d);

	for (size_t i = 0; i < OVERLAY_BUCKETS; i++) {
		while (o->bucket[i] != NULL) {
			struct overlay_block *b = o->bucket[i];

			o->bucket[i] = b->next;
			free(b);
		}
	}
	free(o);
}

static const struct disk_ops overlay_ops = {
	.submit = overlay_submit,
	.close = overlay_close,
};

int
disk_overlay_open(struct disk *below, struct disk **ret_d)
{
	struct overlay *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return -ENOMEM;
	o->disk.ops = &overlay_ops;
	o->disk.info = below->info;
	o->disk.info.caps = (o->disk.info.caps | DISK_CAP_CAW) &
	    ~(unsigned)(DISK_CAP_READONLY | DISK_CAP_PR | DISK_CAP_HOLD);
	o->below = below;
	*ret_d = &o->disk;
	return 0;
}
