/* SPDX-License-Identifier: BSD-2-Clause */
/* Blocking calls of the file source, and the meaning of their errors. */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "libvmfs/env/disk_file_impl.h"

#define ZERO_PIECE ((size_t)1 << 20)

/* Block layer statuses: linux/block/blk-core.c, blk_errors. */
int
file_error(int error)
{
	switch (-error) {
	case 0:
	case EROFS:
	case EINVAL:
	case ENOMEM:
	case EOPNOTSUPP:
	case ENOSPC:
		return error;
	case EDQUOT:
	case EFBIG:
		return -ENOSPC;
	case ENODEV:
	case ENXIO:
	case ESTALE:
		return -VMFS_EGONE;
	case EBADE:
		return -VMFS_ECONFLICT;
	case ENOLINK:
	case ETIMEDOUT:
		return -VMFS_EUNKNOWN;
	default:
		return -EIO;
	}
}

int
file_pread(int fd, void *buf, size_t len, uint64_t offset)
{
	char *p = buf;

	while (len > 0) {
		ssize_t n = pread(fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return file_error(-errno);
		if (n == 0)
			return -EIO;	/* the file shrank */
		p += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int
file_pwrite(int fd, const void *buf, size_t len, uint64_t offset)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return file_error(-errno);
		if (n == 0)
			return -EIO;
		p += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int
file_fallocate(const struct disk_file *f, int mode, const struct disk_req *req)
{
	while (fallocate(f->fd, mode | FALLOC_FL_KEEP_SIZE,
	    (off_t)req->offset, (off_t)req->length) < 0)
		if (errno != EINTR)
			return file_error(-errno);
	return 0;
}

int
file_unmap(struct disk_file *f, const struct disk_req *req)
{
	uint64_t range[2] = { req->offset, req->length };

	if (!f->block_device)
		return file_fallocate(f, FALLOC_FL_PUNCH_HOLE, req);
	return ioctl(f->fd, BLKDISCARD, range) < 0 ? file_error(-errno) : 0;
}

static int
write_zeroes_by_hand(const struct disk_file *f, const struct disk_req *req)
{
	uint64_t done = 0;
	void *zeroes = disk_buf_alloc(ZERO_PIECE);
	int rc = 0;

	if (zeroes == NULL)
		return -ENOMEM;
	while (rc == 0 && done < req->length) {
		uint64_t left = req->length - done;
		size_t n = left < ZERO_PIECE ? (size_t)left : ZERO_PIECE;

		rc = file_pwrite(f->fd, zeroes, n, req->offset + done);
		done += n;
	}
	free(zeroes);
	return rc;
}

int
file_write_zeroes(struct disk_file *f, const struct disk_req *req)
{
	int rc = -EOPNOTSUPP;

	/* On a block device, too, a punched hole is certain to read zeroes. */
	if ((req->flags & DISK_MAY_UNMAP) != 0)
		rc = file_fallocate(f, FALLOC_FL_PUNCH_HOLE, req);
	if (rc == -EOPNOTSUPP)
		rc = file_fallocate(f, FALLOC_FL_ZERO_RANGE, req);
	if (rc == -EOPNOTSUPP)
		rc = write_zeroes_by_hand(f, req);
	return rc;
}

/* Where data or a hole begins at or after `from`, at most `end`. */
static int
file_seek(const struct disk_file *f, uint64_t from, uint64_t end, int whence,
    uint64_t *ret_at)
{
	off_t at = lseek(f->fd, (off_t)from, whence);

	/* No more data. */
	if (at < 0 && errno == ENXIO)
		at = (off_t)end;
	if (at < 0)
		return file_error(-errno);
	*ret_at = (uint64_t)at < end ? (uint64_t)at : end;
	return 0;
}

int
file_map(const struct disk_file *f, struct disk_req *req)
{
	uint64_t mask = f->disk.info.block_size - 1;
	uint64_t at = req->offset, end = at + req->length;
	uint64_t data = 0, hole = 0;
	int rc;

	while (at < end) {
		rc = file_seek(f, at, end, SEEK_DATA, &data);
		if (rc == 0)
			rc = file_seek(f, data, end, SEEK_HOLE, &hole);
		if (rc < 0)
			return rc;
		/* A block with a byte of data is allocated. */
		data &= ~mask;
		hole = (hole + mask) & ~mask;
		if (!disk_map_add(req->map, data - at, false) ||
		    !disk_map_add(req->map, hole - data, true))
			return 0;
		at = hole;
	}
	return 0;
}

void
file_rescan(const struct disk_file *f)
{
	struct stat st;
	char path[80];
	FILE *fp;

	if (fstat(f->fd, &st) < 0)
		return;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/device/rescan",
	    major(st.st_rdev), minor(st.st_rdev));
	fp = fopen(path, "we");
	if (fp == NULL)
		return;	/* no SCSI device: its size needs no asking */
	(void)fputs("1", fp);
	(void)fclose(fp);
}
