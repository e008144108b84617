/* SPDX-License-Identifier: BSD-2-Clause */
/* See pages.h. */
#include <stdlib.h>
#include <string.h>

#include "tests/crash/pages.h"

static const uint8_t zeroes[PAGE_BYTES];

static void *
must(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

/* Grows an array by half as much again. */
static void *
grown(void *p, size_t count, size_t *max, size_t each)
{
	if (count < *max)
		return p;
	*max += *max / 2 + 64;
	return must(reallocarray(p, *max, each));
}

/* ---- events ---- */

static void
events_clear(struct events *ev)
{
	for (size_t i = 0; i < ev->count; i++)
		free(ev->e[i].data);
	ev->count = 0;
}

void
events_fini(struct events *ev)
{
	events_clear(ev);
	free(ev->e);
	*ev = (struct events){ 0 };
}

static struct event *
event_add(struct events *ev)
{
	ev->e = grown(ev->e, ev->count, &ev->max, sizeof(*ev->e));
	return &ev->e[ev->count++];
}

static void
event_write(struct events *ev, uint64_t offset, const uint8_t *data,
    size_t length, bool durable)
{
	struct event *e = event_add(ev);

	*e = (struct event){
		.durable = durable, .offset = offset, .length = length,
		.data = must(malloc(length)),
	};
	memcpy(e->data, data, length);
}

/* ---- content ---- */

uint64_t
content_hash(const uint8_t *b)
{
	const uint64_t k = 0x9e3779b97f4a7c15u;
	uint64_t h[4] = { 1, 2, 3, 4 }, w[4];

	for (size_t i = 0; i < HASH_BYTES; i += sizeof(w)) {
		memcpy(w, b + i, sizeof(w));
		for (unsigned n = 0; n < 4; n++) {
			h[n] = (h[n] ^ w[n]) * k;
			h[n] ^= h[n] >> 29;
		}
	}
	h[0] = (h[0] ^ (h[1] << 7)) * k + h[2];
	h[0] ^= h[0] >> 31;
	return (h[0] ^ (h[3] >> 5)) * k + h[3];
}

/* What the piece at `at` adds to the whole. */
static uint64_t
piece_hash(uint64_t at, const uint8_t *b)
{
	uint64_t h = content_hash(b) ^ (at * 0xd6e8feb86659fd93u);

	h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93u;
	return h ^ (h >> 32);
}

static const uint8_t *
page_read(const struct pages *p, size_t i)
{
	for (; p != NULL; p = p->below)
		if (p->page[i] != NULL)
			return p->page[i];
	return zeroes;
}

static uint8_t *
page_own(struct pages *p, size_t i)
{
	uint8_t *page;

	if (p->page[i] != NULL)
		return p->page[i];
	page = p->n_spare > 0 ? p->spare[--p->n_spare] :
	    must(malloc(PAGE_BYTES));
	memcpy(page, page_read(p, i), PAGE_BYTES);
	p->own = grown(p->own, p->n_own, &p->max_own, sizeof(*p->own));
	p->own[p->n_own++] = (uint32_t)i;
	p->page[i] = page;
	return page;
}

/* Pieces of a page that [at, at + len) touches, as a difference. */
static uint64_t
page_hash(size_t i, const uint8_t *page, size_t at, size_t len)
{
	uint64_t sum = 0;

	for (size_t k = at / HASH_BYTES * HASH_BYTES; k < at + len;
	    k += HASH_BYTES)
		sum += piece_hash(i * PAGE_BYTES + k, page + k);
	return sum;
}

void
pages_write(struct pages *p, uint64_t offset, const uint8_t *data,
    size_t length)
{
	size_t n;

	for (; length > 0; offset += n, data += n, length -= n) {
		size_t i = offset / PAGE_BYTES, at = offset % PAGE_BYTES;
		uint8_t *page = page_own(p, i);

		n = PAGE_BYTES - at < length ? PAGE_BYTES - at : length;
		if (p->unhashed) {
			memcpy(page + at, data, n);
			continue;
		}
		if (memcmp(page + at, data, n) == 0)
			continue;
		p->hash -= page_hash(i, page, at, n);
		memcpy(page + at, data, n);
		p->hash += page_hash(i, page, at, n);
	}
}

static void
pages_read(const struct pages *p, uint64_t offset, uint8_t *buf,
    size_t length)
{
	size_t n;

	for (; length > 0; offset += n, buf += n, length -= n) {
		size_t at = offset % PAGE_BYTES;

		n = PAGE_BYTES - at < length ? PAGE_BYTES - at : length;
		memcpy(buf, page_read(p, offset / PAGE_BYTES) + at, n);
	}
}

void
pages_reset(struct pages *p)
{
	for (size_t k = 0; k < p->n_own; k++) {
		p->spare = grown(p->spare, p->n_spare, &p->max_spare,
		    sizeof(*p->spare));
		p->spare[p->n_spare++] = p->page[p->own[k]];
		p->page[p->own[k]] = NULL;
	}
	p->n_own = 0;
	p->hash = p->below != NULL ? p->below->hash : 0;
	if (p->events != NULL)
		events_clear(p->events);
}

/* ---- the disk ---- */

/* The request's data in one piece; zeroes when it has none.  To be freed. */
static uint8_t *
gather(const struct disk_req *req)
{
	uint8_t *buf = must(calloc(1, req->length)), *at = buf;

	for (int i = 0; i < req->iovcnt; i++) {
		memcpy(at, req->iov[i].iov_base, req->iov[i].iov_len);
		at += req->iov[i].iov_len;
	}
	return buf;
}

static void
do_read(const struct pages *p, const struct disk_req *req)
{
	uint64_t offset = req->offset;

	for (int i = 0; i < req->iovcnt; i++) {
		pages_read(p, offset, req->iov[i].iov_base,
		    req->iov[i].iov_len);
		offset += req->iov[i].iov_len;
	}
}

static bool
is_expected(const struct pages *p, const struct disk_req *req)
{
	uint8_t *old = must(malloc(req->length));
	bool same;

	pages_read(p, req->offset, old, req->length);
	same = memcmp(old, req->expect, req->length) == 0;
	free(old);
	return same;
}

static int
do_write(struct pages *p, const struct disk_req *req)
{
	bool durable = req->op == DISK_CAW || (req->flags & DISK_FUA) != 0;
	uint8_t *data;

	if (req->op == DISK_CAW && !is_expected(p, req))
		return -VMFS_EMISCOMPARE;
	data = gather(req);
	pages_write(p, req->offset, data, req->length);
	if (p->events != NULL)
		event_write(p->events, req->offset, data, req->length,
		    durable);
	free(data);
	return 0;
}

static void
pages_submit(struct disk *d, struct disk_req *req)
{
	struct pages *p = container_of(d, struct pages, disk);
	int r = 0;

	switch (req->op) {
	case DISK_READ:
		do_read(p, req);
		break;
	case DISK_WRITE:
	case DISK_WRITE_ZEROES:
	case DISK_UNMAP:
	case DISK_CAW:
		r = do_write(p, req);
		break;
	case DISK_FLUSH:
		if (p->events != NULL)
			*event_add(p->events) = (struct event){ .flush = true };
		break;
	default:
		r = -EOPNOTSUPP;
	}
	disk_complete(req, r);
}

void
pages_init(struct pages *p, const struct pages *below, uint64_t size,
    uint32_t block_size)
{
	static const struct disk_ops ops = { .submit = pages_submit };

	*p = (struct pages){
		.disk.ops = &ops,
		.disk.info = {
			.size_bytes = size,
			.block_size = block_size,
			.phys_block_size = block_size,
			.max_caw = 65536,
			.caps = DISK_CAP_CAW | DISK_CAP_UNMAP,
			.kind = "crash",
			.name = "crash",
		},
		.below = below,
		.n_pages = (size + PAGE_BYTES - 1) / PAGE_BYTES,
		.hash = below != NULL ? below->hash : 0,
	};
	p->page = must(calloc(p->n_pages, sizeof(*p->page)));
}

static void
image_close(struct disk *d)
{
	struct pages *p = container_of(d, struct pages, disk);

	pages_fini(p);
	free(p);
}

struct disk *
pages_image(const struct disk_info *info, struct pages **ret_p)
{
	static const struct disk_ops ops = {
		.submit = pages_submit, .close = image_close,
	};
	struct pages *p = must(malloc(sizeof(*p)));

	pages_init(p, NULL, info->size_bytes, info->block_size);
	p->disk.ops = &ops;
	p->unhashed = true;
	*ret_p = p;
	return &p->disk;
}

void
pages_fini(struct pages *p)
{
	pages_reset(p);
	for (size_t i = 0; i < p->n_spare; i++)
		free(p->spare[i]);
	free(p->spare);
	free(p->own);
	free(p->page);
}
