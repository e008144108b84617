/* SPDX-License-Identifier: BSD-2-Clause */
/* Giving back the space of what was written as zeroes. */
#include "libvmfs/core/fs_impl.h"

#define MIB_SIZE ((uint64_t)1 << MAP_L1_SHIFT)

static bool
is_zero(const uint8_t *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* One MiB; no write comes between the look and the punch. */
static int
mib_thin(struct inode *ip, uint64_t off, uint8_t *buf, uint64_t *freed)
{
	uint64_t before = ip->info.chunks, len = MIB_SIZE;
	int r;

	if (len > ip->info.size - off)
		len = ip->info.size - off;
	r = file_read_at(ip, true, &ip->info, off, buf, len);
	for (uint64_t at = 0; r == 0 && at < len; at += CHUNK_SIZE) {
		uint64_t n = len - at < CHUNK_SIZE ? len - at : CHUNK_SIZE;

		if (is_zero(buf + at, n))
			r = map_punch(ip, off + at, CHUNK_SIZE);
	}
	if (ip->info.chunks < before)
		*freed += (before - ip->info.chunks) * CHUNK_SIZE;
	return r;
}

static int
thin_check(const struct fs_file *f)
{
	int r = file_may_write(f);

	if (r != 0)
		return r;
	if (f->mode != LOCK_EXCLUSIVE)
		return -EOPNOTSUPP;
	return f->ip->info.type == INODE_DISK ? 0 : -EINVAL;
}

int
fs_file_punch_zeroes(struct fs_file *f, const struct fs_progress *p,
    uint64_t *ret_freed)
{
	cleanup_free uint8_t *buf = disk_buf_alloc(MIB_SIZE);
	struct inode *ip = f->ip;
	uint64_t off = 0, freed = 0;
	struct map_view v;
	int r;

	r = thin_check(f);
	if (r == 0 && buf == NULL)
		r = -ENOMEM;
	while (r == 0 && off < ip->info.size) {
		if (!progress_step(p, off, ip->info.size))
			return -ECANCELED;
		content_lock(ip);
		r = map_view(ip, true, &ip->info.map, off, &v);
		if (r == 0 && v.state == MAP_HOLE && v.span >= MIB_SIZE) {
			off = v.span < ip->info.size - off ? off + v.span :
			    ip->info.size;
		} else if (r == 0) {
			r = mib_thin(ip, off, buf, &freed);
			off += MIB_SIZE;
		}
		content_unlock(ip);
	}
	if (r == 0)
		*ret_freed = freed;
	return r;
}
