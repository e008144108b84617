/* SPDX-License-Identifier: BSD-2-Clause */
/* See cow_disk.h: the kernel copies pages when they are written. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/cow_disk.h"
#include "tests/fuzz/fuzz.h"

struct cow_disk {
	struct disk disk;
	int fd;
	bool copy;		/* fd is the original's */
	uint8_t *data;
};

static struct cow_disk *
cow_of(struct disk *d)
{
	return container_of(d, struct cow_disk, disk);
}

static void
move(uint8_t *p, const struct disk_req *req)
{
	for (int i = 0; i < req->iovcnt; i++) {
		const struct iovec *v = &req->iov[i];

		if (req->op == DISK_READ)
			memcpy(v->iov_base, p, v->iov_len);
		else
			memcpy(p, v->iov_base, v->iov_len);
		p += v->iov_len;
	}
}

static int
execute(struct cow_disk *c, struct disk_req *req)
{
	uint8_t *p = c->data + req->offset;

	switch (req->op) {
	case DISK_CAW:
		if (memcmp(p, req->expect, req->length) != 0)
			return -VMFS_EMISCOMPARE;
		move(p, req);
		return 0;
	case DISK_READ:
	case DISK_WRITE:
		move(p, req);
		return 0;
	case DISK_UNMAP:
	case DISK_WRITE_ZEROES:
		memset(p, 0, req->length);
		return 0;
	case DISK_HOLD:
	case DISK_UNHOLD:
	case DISK_HOLD_TEST:
	case DISK_FLUSH:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static void
cow_submit(struct disk *d, struct disk_req *req)
{
	disk_complete(req, execute(cow_of(d), req));
}

static void
cow_close(struct disk *d)
{
	struct cow_disk *c = cow_of(d);

	munmap(c->data, d->info.size_bytes);
	if (!c->copy)
		close(c->fd);
	free(c);
}

static struct disk *
cow_map(int fd, bool copy, uint64_t size)
{
	static const struct disk_ops ops = {
		.submit = cow_submit, .close = cow_close,
	};
	struct cow_disk *c = calloc(1, sizeof(*c));

	FUZZ_CHECK(c != NULL);
	c->fd = fd;
	c->copy = copy;
	c->data = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    copy ? MAP_PRIVATE : MAP_SHARED, fd, 0);
	FUZZ_CHECK(c->data != MAP_FAILED);
	c->disk.ops = &ops;
	c->disk.info = (struct disk_info){
		.size_bytes = size, .block_size = 512, .phys_block_size = 512,
		.max_caw = 512, .caps = DISK_CAP_CAW | DISK_CAP_UNMAP | DISK_CAP_HOLD,
		.kind = "fuzz", .name = "fuzz",
	};
	return &c->disk;
}

struct disk *
cow_disk_new(uint64_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	FUZZ_CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	return cow_map(fd, false, size);
}

struct disk *
cow_disk_copy(struct disk *d)
{
	return cow_map(cow_of(d)->fd, true, d->info.size_bytes);
}
