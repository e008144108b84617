/* SPDX-License-Identifier: BSD-2-Clause */
/* Mappings of guest memory, see mem.h. */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "vhost/mem.h"

#define LOG_PAGE 4096u

static int
map_file(int fd, uint64_t offset, uint64_t size, void **ret_map,
    size_t *ret_size)
{
	struct stat st;
	void *p;

	if (size == 0 || offset > INT64_MAX || size > INT64_MAX - offset)
		return -EINVAL;
	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size < offset + size)
		return -EINVAL;
	/* From 0: huge pages want their own alignment. */
	p = mmap(NULL, offset + size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	    0);
	if (p == MAP_FAILED)
		return -errno;
	*ret_map = p;
	*ret_size = offset + size;
	return 0;
}

static bool
meets(uint64_t a, uint64_t b, uint64_t a_len, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

static bool
region_fits(const struct vhost_mem *m, const struct vhost_region *r)
{
	if (r->size == 0 || r->guest > UINT64_MAX - r->size ||
	    r->user > UINT64_MAX - r->size)
		return false;
	for (unsigned i = 0; i < m->count; i++) {
		const struct vhost_region *o = &m->slot[i].region;

		if (meets(r->guest, o->guest, r->size, o->size))
			return false;
	}
	return true;
}

int
vhost_mem_add(struct vhost_mem *m, const struct vhost_region *r, int fd)
{
	struct vhost_mapping *s = &m->slot[m->count];
	int rc;

	if (m->count == VHOST_MEM_SLOTS)
		return -ENOSPC;
	if (!region_fits(m, r))
		return -EINVAL;
	rc = map_file(fd, r->offset, r->size, &s->map, &s->map_size);
	if (rc < 0)
		return rc;
	s->region = *r;
	s->base = (uint8_t *)s->map + r->offset;
	m->count++;
	return 0;
}

int
vhost_mem_remove(struct vhost_mem *m, const struct vhost_region *r)
{
	for (unsigned i = 0; i < m->count; i++) {
		struct vhost_mapping *s = &m->slot[i];

		if (s->region.guest != r->guest || s->region.user != r->user ||
		    s->region.size != r->size)
			continue;
		munmap(s->map, s->map_size);
		*s = m->slot[--m->count];
		return 0;
	}
	return -ENOENT;
}

void
vhost_mem_unmap(struct vhost_mem *m)
{
	while (m->count > 0) {
		m->count--;
		munmap(m->slot[m->count].map, m->slot[m->count].map_size);
	}
}

static void
log_drop(struct vhost_mem *m)
{
	if (m->log_map != NULL)
		munmap(m->log_map, m->log_map_size);
	m->log_map = m->log = NULL;
	m->log_size = 0;
}

void
vhost_mem_clear(struct vhost_mem *m)
{
	vhost_mem_unmap(m);
	log_drop(m);
}

void *
vhost_mem_at(const struct vhost_mem *m, uint64_t guest, uint64_t len,
    uint64_t *ret_len)
{
	for (unsigned i = 0; i < m->count; i++) {
		const struct vhost_region *r = &m->slot[i].region;
		uint64_t off = guest - r->guest;

		if (guest < r->guest || off >= r->size)
			continue;
		*ret_len = len < r->size - off ? len : r->size - off;
		return m->slot[i].base + off;
	}
	return NULL;
}

void *
vhost_mem_user(const struct vhost_mem *m, uint64_t user, uint64_t len)
{
	for (unsigned i = 0; i < m->count; i++) {
		const struct vhost_region *r = &m->slot[i].region;
		uint64_t off = user - r->user;

		if (user >= r->user && off < r->size && len <= r->size - off)
			return m->slot[i].base + off;
	}
	return NULL;
}

/* ---- the log ---- */

int
vhost_mem_set_log(struct vhost_mem *m, int fd, uint64_t size,
    uint64_t offset)
{
	size_t map_size;
	void *map;
	int rc = map_file(fd, offset, size, &map, &map_size);

	if (rc < 0)
		return rc;
	log_drop(m);
	m->log_map = map;
	m->log_map_size = map_size;
	m->log = (uint8_t *)map + offset;
	m->log_size = size;
	return 0;
}

void
vhost_mem_dirty(const struct vhost_mem *m, uint64_t guest, uint64_t len)
{
	if (m->log == NULL || len == 0 || guest > UINT64_MAX - len)
		return;
	for (uint64_t page = guest / LOG_PAGE;
	    page <= (guest + len - 1) / LOG_PAGE; page++) {
		if (page / 8 >= m->log_size)
			return;
		__atomic_fetch_or(&m->log[page / 8],
		    (uint8_t)(1u << page % 8), __ATOMIC_SEQ_CST);
	}
}

void
vhost_mem_dirty_at(const struct vhost_mem *m, const void *p, uint64_t len)
{
	const uint8_t *at = p;

	for (unsigned i = 0; m->log != NULL && i < m->count; i++) {
		const struct vhost_mapping *s = &m->slot[i];

		if (at >= s->base && at < s->base + s->region.size) {
			vhost_mem_dirty(m, s->region.guest +
			    (uint64_t)(at - s->base), len);
			return;
		}
	}
}
