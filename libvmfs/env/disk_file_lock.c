/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compare-and-write and holds on a file, by locks of its open file description
 * (fcntl(2), F_OFD_SETLK).  They work between the processes of one machine,
 * and between machines where a network file system carries them; on a block
 * device they lie on the device node and never leave the machine.
 *
 * A CAW locks exactly its blocks, reads, compares, writes, syncs, unlocks.
 * Locks of one description do not exclude its own threads, so the CAWs of a
 * disk are executed one at a time; thus at most one helper thread waits for a
 * foreign lock.
 *
 * A hold locks one byte far behind the data.  The lock goes away with the last
 * reference to the description: neither close nor death of the process
 * releases it before the last I/O of the process on this disk has ended.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libvmfs/env/disk_file_impl.h"

#define HOLD_BASE ((uint64_t)1 << 62)

int
file_range_lock(int fd, short type, uint64_t start, uint64_t len, bool wait)
{
	struct flock fl = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)start,
		.l_len = (off_t)len,
	};

	while (fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &fl) < 0) {
		if (errno == EINTR)
			continue;
		return errno == EAGAIN || errno == EACCES ? -VMFS_EINUSE :
		    -errno;
	}
	return 0;
}

/* Offset of the first byte that differs, or len. */
static size_t
first_difference(const char *a, const char *b, size_t len)
{
	size_t i = 0;

	if (memcmp(a, b, len) == 0)
		return len;
	while (a[i] == b[i])
		i++;
	return i;
}

static void
gather(char *p, const struct disk_req *req)
{
	for (int i = 0; i < req->iovcnt; i++) {
		if (req->iov[i].iov_len > 0)
			memcpy(p, req->iov[i].iov_base, req->iov[i].iov_len);
		p += req->iov[i].iov_len;
	}
}

static int
caw_write(const struct disk_file *f, const char *buf,
    const struct disk_req *req)
{
	int rc = file_pwrite(f->fd, buf, req->length, req->offset);

	if (rc == 0 && fdatasync(f->fd) < 0)
		rc = file_error(-errno);
	/* Whether the blocks changed only a read can tell. */
	return rc == -EIO ? -VMFS_EUNKNOWN : rc;
}

/* With the blocks locked. */
static int
caw_locked(const struct disk_file *f, struct disk_req *req, char *buf)
{
	size_t at;
	int rc;

	rc = file_pread(f->fd, buf, req->length, req->offset);
	if (rc < 0)
		return rc;
	at = first_difference(buf, req->expect, req->length);
	if (at < req->length) {
		req->sense.info = at;
		return -VMFS_EMISCOMPARE;
	}
	gather(buf, req);
	return caw_write(f, buf, req);
}

int
file_caw(struct disk_file *f, struct disk_req *req)
{
	bool small = req->length <= FILE_CAW_SPARE;
	char *buf = small ? spare_take(&f->caw_buf) : NULL;
	int rc;

	if (buf == NULL)
		buf = disk_buf_alloc(small ? FILE_CAW_SPARE : req->length);
	if (buf == NULL)
		return -ENOMEM;
	rc = file_range_lock(f->fd, F_WRLCK, req->offset, req->length, true);
	if (rc == 0) {
		rc = caw_locked(f, req, buf);
		/* Unlocking cannot fail but for a bad descriptor. */
		(void)!file_range_lock(f->fd, F_UNLCK, req->offset,
		    req->length, false);
	}
	if (small)
		spare_give(&f->caw_buf, buf);
	else
		free(buf);
	return rc;
}

static size_t
hold_find(const struct disk_file *f, uint64_t id)
{
	size_t i;

	for (i = 0; i < f->n_holds; i++)
		if (f->holds[i] == id)
			break;
	return i;
}

static int
hold_test(const struct disk_file *f, uint64_t id)
{
	struct flock fl = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)(HOLD_BASE + id),
		.l_len = 1,
	};

	/* Locks of one's own description do not show. */
	if (hold_find(f, id) < f->n_holds)
		return -VMFS_EINUSE;
	if (fcntl(f->fd, F_OFD_GETLK, &fl) < 0)
		return file_error(-errno);
	return fl.l_type == F_UNLCK ? 0 : -VMFS_EINUSE;
}

static int
hold_take(struct disk_file *f, uint64_t id)
{
	int rc;

	if ((f->disk.info.caps & DISK_CAP_READONLY) != 0)
		return -EROFS;
	if (hold_find(f, id) < f->n_holds)
		return 0;
	if (f->n_holds == FILE_MAX_HOLDS)
		return -ENOLCK;
	rc = file_range_lock(f->fd, F_WRLCK, HOLD_BASE + id, 1, false);
	if (rc == 0)
		f->holds[f->n_holds++] = id;
	return rc;
}

static int
hold_drop(struct disk_file *f, uint64_t id)
{
	size_t i = hold_find(f, id);

	if (i == f->n_holds)
		return 0;
	f->holds[i] = f->holds[--f->n_holds];
	return file_range_lock(f->fd, F_UNLCK, HOLD_BASE + id, 1, false);
}

int
file_hold(struct disk_file *f, const struct disk_req *req)
{
	int rc;

	if (req->id >= HOLD_BASE)
		return -EINVAL;
	pthread_mutex_lock(&f->lock);
	if (req->op == DISK_HOLD)
		rc = hold_take(f, req->id);
	else if (req->op == DISK_UNHOLD)
		rc = hold_drop(f, req->id);
	else
		rc = hold_test(f, req->id);
	pthread_mutex_unlock(&f->lock);
	return rc;
}
