/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A LUN in memory with every capability.  All its users are one initiator
 * port (one I_T nexus) to reservations.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libvmfs/base/units.h"
#include "libvmfs/env/disk.h"

#define MEM_MAX_CAW (64 * KIB)
#define MEM_MAX_ATOMIC (16 * MIB)	/* a crash leaves nothing at all */
#define MEM_PAGE ((uint64_t)4096)
#define MEM_HOLDS 16

/* SPC-4: ILLEGAL REQUEST, INVALID RELEASE OF PERSISTENT RESERVATION */
static const struct disk_sense sense_bad_release = {
	.status = 0x02, .key = 0x05, .asc = 0x26, .ascq = 0x04,
};
static const struct disk_sense sense_conflict = { .status = 0x18 };

struct disk_mem {
	struct disk disk;
	pthread_mutex_t lock;	/* guards all below; reactors share a disk */
	char *data;
	uint8_t *pages;		/* a bit for each: written since it was zero */
	uint64_t pr_key;	/* 0: not registered */
	enum disk_pr_type pr_type; /* 0: no reservation */
	uint32_t pr_generation;
	uint64_t holds[MEM_HOLDS];
	size_t n_holds;
};

static void
mem_copy(char *p, const struct disk_req *req)
{
	for (int i = 0; i < req->iovcnt; i++) {
		const struct iovec *v = &req->iov[i];

		if (v->iov_len == 0)
			continue;
		if (req->op == DISK_READ)
			memcpy(v->iov_base, p, v->iov_len);
		else
			memcpy(p, v->iov_base, v->iov_len);
		p += v->iov_len;
	}
}

static int
mem_caw(char *p, struct disk_req *req)
{
	const char *expect = req->expect;
	size_t i;

	for (i = 0; i < req->length; i++)
		if (p[i] != expect[i])
			break;
	if (i < req->length) {
		req->sense.info = i;
		return -VMFS_EMISCOMPARE;
	}
	mem_copy(p, req);
	return 0;
}

static size_t
mem_page_bytes(const struct disk_mem *m)
{
	return (size_t)((m->disk.info.size_bytes / MEM_PAGE + 8) / 8);
}

static bool
mem_page_used(const struct disk_mem *m, uint64_t page)
{
	return m->pages[page / 8] & 1U << page % 8;
}

/* Pages with a byte of [from, to). */
static void
mem_mark(struct disk_mem *m, uint64_t from, uint64_t to)
{
	for (uint64_t p = from / MEM_PAGE; p * MEM_PAGE < to; p++)
		m->pages[p / 8] |= (uint8_t)(1U << p % 8);
}

static int
mem_map(const struct disk_mem *m, struct disk_req *req)
{
	uint64_t at = req->offset, end = at + req->length;

	while (at < end) {
		uint64_t next = (at / MEM_PAGE + 1) * MEM_PAGE;

		if (next > end)
			next = end;
		if (!disk_map_add(req->map, next - at,
		    mem_page_used(m, at / MEM_PAGE)))
			break;
		at = next;
	}
	return 0;
}

/* Whole pages go back to the system, the rest is cleared. */
static void
mem_zero(struct disk_mem *m, uint64_t from, uint64_t to)
{
	uint64_t a = (from + MEM_PAGE - 1) & ~(MEM_PAGE - 1);
	uint64_t b = to & ~(MEM_PAGE - 1);

	if (a >= b || madvise(m->data + a, b - a, MADV_DONTNEED) < 0) {
		memset(m->data + from, 0, to - from);
		return;
	}
	memset(m->data + from, 0, a - from);
	memset(m->data + b, 0, to - b);
	for (uint64_t p = a / MEM_PAGE; p < b / MEM_PAGE; p++)
		m->pages[p / 8] &= (uint8_t)~(1U << p % 8);
}

static int
pr_conflict(struct disk_req *req)
{
	req->sense = sense_conflict;
	return -VMFS_ECONFLICT;
}

static void
pr_set_key(struct disk_mem *m, uint64_t key)
{
	m->pr_key = key;
	if (key == 0)
		m->pr_type = 0;
	m->pr_generation++;
}

/* PREEMPT: the only key there can be is our own (SPC-4 5.13.11.4). */
static int
pr_preempt(struct disk_mem *m, struct disk_req *req)
{
	struct disk_pr *pr = req->pr;

	if (pr->sa_key != m->pr_key)
		return pr_conflict(req);
	if (m->pr_type != 0)
		m->pr_type = pr->type;
	m->pr_generation++;
	return 0;
}

static int
mem_pr_out(struct disk_mem *m, struct disk_req *req)
{
	struct disk_pr *pr = req->pr;

	if (pr->action == DISK_PR_REGISTER_IGNORE) {
		pr_set_key(m, pr->sa_key);
		return 0;
	}
	if (pr->key != m->pr_key ||
	    (m->pr_key == 0 && pr->action != DISK_PR_REGISTER))
		return pr_conflict(req);
	switch (pr->action) {
	case DISK_PR_REGISTER:
		pr_set_key(m, pr->sa_key);
		return 0;
	case DISK_PR_RESERVE:
		if (m->pr_type != 0 && m->pr_type != pr->type)
			return pr_conflict(req);
		m->pr_type = pr->type;
		return 0;
	case DISK_PR_RELEASE:
		if (m->pr_type != 0 && m->pr_type != pr->type) {
			req->sense = sense_bad_release;
			return -EINVAL;
		}
		m->pr_type = 0;
		return 0;
	case DISK_PR_CLEAR:
		pr_set_key(m, 0);
		return 0;
	case DISK_PR_PREEMPT:
	case DISK_PR_PREEMPT_AND_ABORT:
		return pr_preempt(m, req);
	case DISK_PR_REGISTER_IGNORE:
	case DISK_PR_LATE_REGISTER:
	case DISK_PR_LATE_ADMIT:
	case DISK_PR_LATE_REVOKE:
		break;
	}
	return -EINVAL;
}

static int
mem_pr_read(struct disk_mem *m, struct disk_req *req)
{
	struct disk_pr *pr = req->pr;
	bool shown = req->op == DISK_PR_READ_KEYS ? m->pr_key != 0 :
	    m->pr_type != 0;

	pr->generation = m->pr_generation;
	pr->reserved = req->op == DISK_PR_READ_RESERVATION && shown;
	if (pr->reserved)
		pr->type = m->pr_type;
	pr->keys_count = shown ? 1 : 0;
	if (shown && pr->keys_max > 0)
		pr->keys[0] = m->pr_key;
	return 0;
}

static int
mem_hold(struct disk_mem *m, const struct disk_req *req)
{
	size_t i;

	for (i = 0; i < m->n_holds; i++)
		if (m->holds[i] == req->id)
			break;
	if (req->op == DISK_HOLD_TEST)
		return i < m->n_holds ? -VMFS_EINUSE : 0;
	if (req->op == DISK_UNHOLD) {
		if (i < m->n_holds)
			m->holds[i] = m->holds[--m->n_holds];
		return 0;
	}
	if (i == m->n_holds && m->n_holds == MEM_HOLDS)
		return -ENOLCK;
	if (i == m->n_holds)
		m->holds[m->n_holds++] = req->id;
	return 0;
}

static int
mem_execute(struct disk_mem *m, struct disk_req *req)
{
	switch (req->op) {
	case DISK_READ:
	case DISK_WRITE:
		if (req->op == DISK_WRITE)
			mem_mark(m, req->offset, req->offset + req->length);
		mem_copy(m->data + req->offset, req);
		return 0;
	case DISK_UNMAP:
	case DISK_WRITE_ZEROES:
		mem_zero(m, req->offset, req->offset + req->length);
		return 0;
	case DISK_CAW:
		mem_mark(m, req->offset, req->offset + req->length);
		return mem_caw(m->data + req->offset, req);
	case DISK_MAP:
		return mem_map(m, req);
	case DISK_PR_OUT:
		return mem_pr_out(m, req);
	case DISK_PR_READ_KEYS:
	case DISK_PR_READ_RESERVATION:
		return mem_pr_read(m, req);
	case DISK_HOLD:
	case DISK_UNHOLD:
	case DISK_HOLD_TEST:
		return mem_hold(m, req);
	case DISK_CRYPTO_ERASE:
	case DISK_SHARE:
		break;
	case DISK_FLUSH:
	case DISK_RESERVE:	/* one initiator never conflicts */
	case DISK_RELEASE:
		return 0;
	}
	return -EOPNOTSUPP;
}

static void
mem_submit(struct disk *d, struct disk_req *req)
{
	struct disk_mem *m = container_of(d, struct disk_mem, disk);
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = mem_execute(m, req);
	pthread_mutex_unlock(&m->lock);
	disk_complete(req, rc);
}

static void
mem_free(struct disk_mem *m)
{
	if (m->data != NULL)
		munmap(m->data, m->disk.info.size_bytes);
	if (m->pages != NULL)
		munmap(m->pages, mem_page_bytes(m));
	free(m);
}

static void
mem_close(struct disk *d)
{
	struct disk_mem *m = container_of(d, struct disk_mem, disk);

	pthread_mutex_destroy(&m->lock);
	mem_free(m);
}

static const struct disk_ops mem_ops = {
	.submit = mem_submit,
	.close = mem_close,
};

/* Zero pages that come into being when written; NULL when that fails. */
static void *
mem_pages(uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int
disk_mem_open(uint64_t size, uint32_t block_size, struct disk **ret_d)
{
	struct disk_mem *m;

	if ((block_size != 512 && block_size != 4096) || size == 0 ||
	    size % block_size != 0)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	m->disk.ops = &mem_ops;
	m->disk.info = (struct disk_info){
		.size_bytes = size,
		.block_size = block_size,
		.phys_block_size = MEM_PAGE,
		.max_caw = MEM_MAX_CAW,
		.max_atomic = MEM_MAX_ATOMIC,
		.unmap_granularity = MEM_PAGE,
		.caps = DISK_CAP_CAW | DISK_CAP_PR | DISK_CAP_RESERVE |
		    DISK_CAP_HOLD | DISK_CAP_UNMAP | DISK_CAP_MAP,
		.kind = "mem",
		.name = "mem",
	};
	m->data = mem_pages(size);
	m->pages = mem_pages(mem_page_bytes(m));
	if (m->data == NULL || m->pages == NULL) {
		mem_free(m);
		return -ENOMEM;
	}
	pthread_mutex_init(&m->lock, NULL);
	*ret_d = &m->disk;
	return 0;
}
