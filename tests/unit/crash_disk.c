/* SPDX-License-Identifier: BSD-2-Clause */
/* See crash_disk.h. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/prng.h"
#include "tests/unit/crash_disk.h"

#define PAGE_SIZE ((uint64_t)4096)

/* A disk made of pages; NULL is a page of zeroes. */
struct paged {
	struct disk disk;
	size_t n_pages;
	uint8_t **page;
	bool *owned;			/* else another's: copy to change */
	struct crash_disk *recorder;	/* NULL in images */
};

struct record {
	uint64_t offset;
	size_t length;
	uint8_t *data;
	bool durable;			/* FUA, or a flush came after it */
	size_t flushed_at;		/* records there were at that flush */
};

struct crash_disk {
	struct paged live;
	struct record *records;
	size_t n_records, max_records;
};

static struct paged *
paged_of(struct disk *d)
{
	return container_of(d, struct paged, disk);
}

static uint8_t *
page_for_write(struct paged *p, size_t i)
{
	uint8_t *page;

	if (p->owned[i])
		return p->page[i];
	page = calloc(1, PAGE_SIZE);
	if (page == NULL)
		abort();
	if (p->page[i] != NULL)
		memcpy(page, p->page[i], PAGE_SIZE);
	p->page[i] = page;
	p->owned[i] = true;
	return page;
}

/* Moves bytes between buf and the pages; `write` says which way. */
static void
paged_copy(struct paged *p, uint64_t offset, uint8_t *buf, size_t len,
    bool write)
{
	size_t n;

	for (; len > 0; offset += n, buf += n, len -= n) {
		size_t i = offset / PAGE_SIZE, at = offset % PAGE_SIZE;

		n = PAGE_SIZE - at < len ? PAGE_SIZE - at : len;
		if (write)
			memcpy(page_for_write(p, i) + at, buf, n);
		else if (p->page[i] != NULL)
			memcpy(buf, p->page[i] + at, n);
		else
			memset(buf, 0, n);
	}
}

static void
record_write(struct crash_disk *c, uint64_t offset, const uint8_t *data,
    size_t length, bool fua)
{
	struct record *r;

	if (c->n_records == c->max_records) {
		c->max_records = c->max_records * 2 + 256;
		c->records = reallocarray(c->records, c->max_records,
		    sizeof(*r));
		if (c->records == NULL)
			abort();
	}
	r = &c->records[c->n_records++];
	*r = (struct record) { .offset = offset, .length = length,
	    .data = malloc(length), .durable = fua,
	    .flushed_at = c->n_records };
	if (r->data == NULL)
		abort();
	memcpy(r->data, data, length);
}

static void
paged_write(struct paged *p, uint64_t offset, uint8_t *data, size_t length,
    bool fua)
{
	paged_copy(p, offset, data, length, true);
	if (p->recorder != NULL)
		record_write(p->recorder, offset, data, length, fua);
}

static void
record_flush(struct crash_disk *c)
{
	for (size_t i = c->n_records; i-- > 0; ) {
		if (c->records[i].durable)
			continue;
		c->records[i].durable = true;
		c->records[i].flushed_at = c->n_records;
	}
}

/* The request's data in one piece; the caller frees. */
static uint8_t *
gather(const struct disk_req *req)
{
	uint8_t *buf = calloc(1, req->length), *at = buf;

	if (buf == NULL)
		abort();
	for (int i = 0; i < req->iovcnt; i++) {
		memcpy(at, req->iov[i].iov_base, req->iov[i].iov_len);
		at += req->iov[i].iov_len;
	}
	return buf;
}

static int
do_read(struct paged *p, struct disk_req *req)
{
	uint64_t offset = req->offset;

	for (int i = 0; i < req->iovcnt; i++) {
		paged_copy(p, offset, req->iov[i].iov_base,
		    req->iov[i].iov_len, false);
		offset += req->iov[i].iov_len;
	}
	return 0;
}

static int
do_write(struct paged *p, struct disk_req *req)
{
	uint8_t *buf = gather(req);	/* zeroes when there is no iov */
	uint8_t *old = malloc(req->length);
	int r = 0;

	if (old == NULL)
		abort();
	if (req->op == DISK_CAW) {
		paged_copy(p, req->offset, old, req->length, false);
		if (memcmp(old, req->expect, req->length) != 0)
			r = -VMFS_EMISCOMPARE;
	}
	if (r == 0)
		paged_write(p, req->offset, buf, req->length,
		    (req->flags & DISK_FUA) != 0 || req->op == DISK_CAW);
	free(old);
	free(buf);
	return r;
}

static void
paged_submit(struct disk *d, struct disk_req *req)
{
	struct paged *p = paged_of(d);
	int r = 0;

	switch (req->op) {
	case DISK_READ:
		r = do_read(p, req);
		break;
	case DISK_WRITE:
	case DISK_WRITE_ZEROES:
	case DISK_UNMAP:
	case DISK_CAW:
		r = do_write(p, req);
		break;
	case DISK_FLUSH:
		if (p->recorder != NULL)
			record_flush(p->recorder);
		break;
	default:
		r = -EOPNOTSUPP;
	}
	disk_complete(req, r);
}

static void
paged_fini(struct paged *p)
{
	for (size_t i = 0; p->page != NULL && i < p->n_pages; i++)
		if (p->owned[i])
			free(p->page[i]);
	free(p->page);
	free(p->owned);
}

static void
image_close(struct disk *d)
{
	struct paged *p = paged_of(d);

	paged_fini(p);
	free(p);
}

static const struct disk_ops paged_ops = {
	.submit = paged_submit,
	.close = image_close,
};

static int
paged_init(struct paged *p, uint64_t size, uint32_t block_size)
{
	p->disk.ops = &paged_ops;
	p->disk.info = (struct disk_info) {
		.size_bytes = size,
		.block_size = block_size,
		.phys_block_size = block_size,
		.max_caw = 65536,
		.caps = DISK_CAP_CAW | DISK_CAP_UNMAP,
		.kind = "crash",
		.name = "crash",
	};
	p->n_pages = (size + PAGE_SIZE - 1) / PAGE_SIZE;
	p->page = calloc(p->n_pages, sizeof(*p->page));
	p->owned = calloc(p->n_pages, sizeof(*p->owned));
	if (p->page != NULL && p->owned != NULL)
		return 0;
	paged_fini(p);
	return -ENOMEM;
}

int
crash_disk_open(uint64_t size, uint32_t block_size, struct crash_disk **ret_c)
{
	struct crash_disk *c = calloc(1, sizeof(*c));
	int r;

	if (c == NULL)
		return -ENOMEM;
	r = paged_init(&c->live, size, block_size);
	if (r < 0) {
		free(c);
		return r;
	}
	c->live.recorder = c;
	*ret_c = c;
	return 0;
}

struct disk *
crash_disk_disk(struct crash_disk *c)
{
	return &c->live.disk;
}

void
crash_disk_close(struct crash_disk *c)
{
	for (size_t i = 0; i < c->n_records; i++)
		free(c->records[i].data);
	free(c->records);
	paged_fini(&c->live);
	free(c);
}

size_t
crash_disk_writes(const struct crash_disk *c)
{
	return c->n_records;
}

/* Some of its sectors, each with even chance. */
static void
apply_torn(struct paged *p, const struct record *r, struct prng *prng)
{
	size_t sector = p->disk.info.block_size;

	for (size_t at = 0; at < r->length; at += sector)
		if ((prng_u64(prng) & 1) != 0)
			paged_copy(p, r->offset + at, r->data + at, sector,
			    true);
}

int
crash_disk_image(struct crash_disk *c, size_t n, enum crash_kind kind,
    uint64_t seed, struct disk **ret_d)
{
	struct paged *p = calloc(1, sizeof(*p));
	struct prng prng;
	int r;

	if (p == NULL)
		return -ENOMEM;
	r = paged_init(p, c->live.disk.info.size_bytes,
	    c->live.disk.info.block_size);
	if (r < 0) {
		free(p);
		return r;
	}
	p->disk.info = c->live.disk.info;
	prng_seed(&prng, seed);
	for (size_t i = 0; i < n; i++) {
		const struct record *w = &c->records[i];
		bool durable = w->durable && w->flushed_at <=
		    (kind == CRASH_UNFLUSHED ? n - 1 : n);

		if (kind == CRASH_TORN && i + 1 == n)
			apply_torn(p, w, &prng);
		else if (kind < CRASH_LOST || durable ||
		    (prng_u64(&prng) & 1) != 0)
			paged_copy(p, w->offset, w->data, w->length, true);
	}
	*ret_d = &p->disk;
	return 0;
}
