/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opens files and block devices and finds out what they can do.
 *
 * Every opener keeps a shared lock on FILE_OPEN_BYTE, an exclusive one a write
 * lock: mkfs cannot run over a file that a daemon has open, nor the reverse.
 * A block device is also opened O_EXCL then, which the kernel refuses while
 * it is mounted or part of another device.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "libvmfs/env/disk_file_impl.h"
#include "libvmfs/env/disk_sg_impl.h"

#define DIRECT_ALIGN_MAX 4096

/* Of the file system, as it tells those without privilege. */
static int
file_space(struct disk *d, struct disk_space *ret_space)
{
	const struct disk_file *f = disk_file_of(d);
	struct statfs fs;
	struct stat st;

	if (f->block_device)
		return -EOPNOTSUPP;
	if (fstatfs(f->fd, &fs) < 0 || fstat(f->fd, &st) < 0)
		return -errno;
	*ret_space = (struct disk_space){
		.size = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize,
		.available = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize,
		.used = (uint64_t)st.st_blocks * 512,
	};
	return 0;
}

static const struct disk_ops file_ops = {
	.submit = file_submit,
	.refresh = file_refresh,
	.space = file_space,
	.close = file_close,
};

struct open_call {
	const char *path;
	unsigned flags;
	struct disk_file *f;
};

/* Before open, which for other kinds of file may block or do things. */
static int
check_kind(const char *path, bool *ret_block)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -ENOTBLK;
	*ret_block = S_ISBLK(st.st_mode);
	return 0;
}

static int
open_fd(struct open_call *c)
{
	struct disk_file *f = c->f;
	int mode = O_CLOEXEC;

	mode |= (c->flags & DISK_OPEN_READONLY) != 0 ? O_RDONLY : O_RDWR;
	if ((c->flags & DISK_OPEN_EXCLUSIVE) != 0 && f->block_device)
		mode |= O_EXCL;
	f->fd = open(c->path, mode | O_DIRECT);
	f->direct = f->fd >= 0;
	/* Some file systems know no direct I/O. */
	if (f->fd < 0 && errno == EINVAL)
		f->fd = open(c->path, mode);
	if (f->fd >= 0)
		return 0;
	if (errno == EBUSY)
		return -VMFS_EINUSE;
	return errno == ENXIO || errno == ENODEV ? -VMFS_EGONE : -errno;
}

/* The open byte; file systems without locks get no CAW and no holds. */
static int
lock_open_byte(struct open_call *c)
{
	struct disk_file *f = c->f;
	bool exclusive = (c->flags & DISK_OPEN_EXCLUSIVE) != 0;
	bool readonly = (c->flags & DISK_OPEN_READONLY) != 0;
	struct flock fl = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET,
		.l_start = (off_t)FILE_OPEN_BYTE, .l_len = 1,
	};
	int rc;

	/* A descriptor that cannot write cannot take a write lock. */
	if (exclusive && readonly && fcntl(f->fd, F_OFD_GETLK, &fl) == 0 &&
	    fl.l_type != F_UNLCK)
		return -VMFS_EINUSE;
	rc = file_range_lock(f->fd, exclusive && !readonly ? F_WRLCK :
	    F_RDLCK, FILE_OPEN_BYTE, 1, false);
	if (rc == -VMFS_EINUSE)
		return rc;
	if (rc < 0)
		f->disk.info.caps &= ~(unsigned)(DISK_CAP_CAW | DISK_CAP_HOLD);
	return 0;
}

static bool
direct_read_works(const struct disk_file *f, char *buf, uint64_t offset)
{
	uint32_t n = f->disk.info.block_size;

	return pread(f->fd, buf, n, (off_t)offset) == (ssize_t)n;
}

/*
 * Tries direct reads of one block, at an offset no bigger unit divides, into
 * memory aligned to a block and, if that is not enough, to a page; gives up
 * O_DIRECT if neither is.
 */
static int
probe_direct(struct disk_file *f)
{
	uint32_t block = f->disk.info.block_size;
	uint64_t offset = f->disk.info.size_bytes >= 2 * (uint64_t)block ?
	    block : 0;
	char *buf = disk_buf_alloc((size_t)2 * DIRECT_ALIGN_MAX);
	int flags;

	if (buf == NULL)
		return -ENOMEM;
	f->mem_align = block;
	if (!direct_read_works(f, buf + block, offset)) {
		f->mem_align = DIRECT_ALIGN_MAX;
		f->direct = direct_read_works(f, buf, offset);
	}
	free(buf);
	if (f->direct)
		return 0;
	flags = fcntl(f->fd, F_GETFL);
	if (flags < 0 || fcntl(f->fd, F_SETFL, flags & ~O_DIRECT) < 0)
		return -errno;
	return 0;
}

/* Text of the device's sysfs file `name`; false if there is none. */
static bool
sysfs_read(dev_t dev, const char *name, char *text, int size)
{
	char path[128];
	FILE *fp;
	bool ok;

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s",
	    major(dev), minor(dev), name);
	fp = fopen(path, "re");
	if (fp == NULL)
		return false;
	ok = fgets(text, size, fp) != NULL;
	fclose(fp);
	return ok;
}

static bool
sysfs_number(dev_t dev, const char *name, uint64_t *ret_v)
{
	char text[32], *end;
	uint64_t v;

	if (!sysfs_read(dev, name, text, sizeof(text)))
		return false;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno != 0 || end == text)
		return false;
	*ret_v = v;
	return true;
}

/* A number of the device's request queue, 0 if there is none. */
static uint64_t
queue_limit(dev_t dev, const char *disk_name, const char *part_name)
{
	uint64_t v = 0;

	/* A partition has no queue of its own. */
	if (!sysfs_number(dev, disk_name, &v) &&
	    !sysfs_number(dev, part_name, &v))
		return 0;
	return v;
}

/*
 * The kernel calls the physical block the smallest unit that the device
 * writes atomically (Documentation/ABI/stable/sysfs-block).
 */
static uint32_t
device_atomic(dev_t dev)
{
	return (uint32_t)queue_limit(dev, "queue/physical_block_size",
	    "../queue/physical_block_size");
}

static int
inspect_device(struct disk_file *f, const struct stat *st)
{
	struct disk_info *info = &f->disk.info;
	unsigned int phys = 0;
	int block = 0;

	if (ioctl(f->fd, BLKGETSIZE64, &info->size_bytes) < 0 ||
	    ioctl(f->fd, BLKSSZGET, &block) < 0)
		return file_error(-errno);
	if (block != 512 && block != 4096)
		return -EMEDIUMTYPE;
	info->block_size = (uint32_t)block;
	info->phys_block_size = (uint32_t)block;
	if (ioctl(f->fd, BLKPBSZGET, &phys) == 0)
		info->phys_block_size = phys;
	if (queue_limit(st->st_rdev, "queue/discard_max_bytes",
	    "../queue/discard_max_bytes") > 0)
		info->caps |= DISK_CAP_UNMAP;
	info->unmap_granularity = (uint32_t)queue_limit(st->st_rdev,
	    "queue/discard_granularity", "../queue/discard_granularity");
	info->max_atomic = device_atomic(st->st_rdev);
	return 0;
}

/* What a copy of the file has not, and a move within its file system keeps. */
static void
name_file(int fd, const struct stat *st, char *serial, size_t size)
{
	struct statx x;
	unsigned long long born = 0;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &x) == 0 &&
	    (x.stx_mask & STATX_BTIME) != 0)
		born = (unsigned long long)x.stx_btime.tv_sec * 1000000000 +
		    x.stx_btime.tv_nsec;
	(void)snprintf(serial, size, "file.%llx.%llx",
	    (unsigned long long)st->st_ino, born);
}

static int
inspect_file(struct disk_file *f, const struct stat *st)
{
	struct disk_info *info = &f->disk.info;
	struct statfs fs;

	name_file(f->fd, st, info->serial, sizeof(info->serial));
	info->size_bytes = (uint64_t)st->st_size;
	info->block_size = 512;
	info->phys_block_size = 4096;
	/* File systems lay files out in blocks of 4 KiB at least. */
	info->max_atomic = device_atomic(st->st_dev);
	if (info->max_atomic > 4096)
		info->max_atomic = 4096;
	info->unmap_granularity = (uint32_t)st->st_blksize;
	f->memory = fstatfs(f->fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
	/* A hole behind the end changes nothing, but tells. */
	if (fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	    (off_t)(info->size_bytes + MIB), 4096) == 0)
		info->caps |= DISK_CAP_UNMAP;
	/* One that was allocated as a whole is meant to stay so. */
	info->thin = (uint64_t)st->st_blocks * 512 < info->size_bytes;
	/* Where nobody knows of holes all is data: right, if of no use. */
	info->caps |= DISK_CAP_MAP;
	return 0;
}

static int
inspect(struct open_call *c)
{
	struct disk_file *f = c->f;
	struct disk_info *info = &f->disk.info;
	struct stat st;
	int rc;

	if (fstat(f->fd, &st) < 0)
		return -errno;
	/* The path may have changed its meaning since check_kind. */
	if (S_ISBLK(st.st_mode) != f->block_device)
		return -ESTALE;
	info->caps = DISK_CAP_CAW | DISK_CAP_HOLD;
	info->max_transfer = FILE_MAX_TRANSFER;
	info->max_caw = FILE_MAX_CAW;
	strcpy(info->kind, f->block_device ? "block" : "file");
	(void)snprintf(info->name, sizeof(info->name), "%s", c->path);
	rc = f->block_device ? inspect_device(f, &st) : inspect_file(f, &st);
	if (rc < 0)
		return rc;
	info->size_bytes -= info->size_bytes % info->block_size;
	if (info->size_bytes == 0)
		return -ENODATA;
	if ((c->flags & DISK_OPEN_READONLY) != 0)
		info->caps = DISK_CAP_HOLD | DISK_CAP_READONLY |
		    (info->caps & DISK_CAP_MAP);
	return 0;
}

static int
open_call(void *arg)
{
	struct open_call *c = arg;
	int rc;

	rc = check_kind(c->path, &c->f->block_device);
	if (rc < 0)
		return rc;
	rc = open_fd(c);
	if (rc < 0)
		return rc;
	rc = inspect(c);
	if (rc == 0)
		rc = lock_open_byte(c);
	if (rc == 0 && c->f->direct)
		rc = probe_direct(c->f);
	/* Without a mapping it works as well.  Who may only read is not told
	 * what is in memory (mincore). */
	if (rc == 0 && c->f->memory && (c->flags & DISK_OPEN_READONLY) == 0)
		(void)!mapped_open(c->f->fd, c->f->disk.info.size_bytes,
		    &c->f->mapped);
	/* From the page cache the kernel writes how and when it likes. */
	if (!c->f->direct)
		c->f->disk.info.max_atomic = 0;
	if (rc < 0)
		close(c->f->fd);
	return rc;
}

static int
sg_io(void *arg, struct sg_io_hdr *h)
{
	struct disk_file *f = arg;

	return ioctl(f->fd, SG_IO, h) < 0 ? -errno : 0;
}

struct lun_start {
	const struct disk_file *f;
	uint64_t start;
};

/*
 * Where on its LUN a SCSI disk, a partition of one, or a multipath map of one
 * begins, in bytes.  Other maps (LVM, dm-crypt) pass SG_IO on, too, but their
 * blocks lie elsewhere: no SCSI command may take that way.
 */
static int
find_lun_start(void *arg)
{
	struct lun_start *l = arg;
	char text[64];
	struct stat st;
	uint64_t sectors = 0;

	if (!l->f->block_device || fstat(l->f->fd, &st) < 0)
		return -EOPNOTSUPP;
	l->start = 0;
	if (sysfs_read(st.st_rdev, "dm/uuid", text, sizeof(text)))
		return strncmp(text, "mpath-", 6) == 0 ? 0 : -EOPNOTSUPP;
	if (sysfs_read(st.st_rdev, "device/scsi_level", text, sizeof(text)))
		return 0;
	if (!sysfs_read(st.st_rdev, "../device/scsi_level", text,
	    sizeof(text)) || !sysfs_number(st.st_rdev, "start", &sectors))
		return -EOPNOTSUPP;
	/* In units of 512 bytes whatever the block size is. */
	l->start = sectors * 512;
	return 0;
}

/* A SCSI device gets its SCSI commands; else f itself is the disk. */
static int
hand_over(struct disk_file *f, struct disk **ret_d)
{
	struct lun_start l = { .f = f };
	int rc = offload_call(find_lun_start, &l);

	if (rc == 0)
		rc = disk_sg_open(&f->disk, l.start, sg_io, f, ret_d);
	if (rc == -EOPNOTSUPP) {
		*ret_d = &f->disk;
		rc = 0;
	}
	return rc;
}

int
disk_file_open(const char *path, unsigned flags, struct disk **ret_d)
{
	struct disk_file *f = calloc(1, sizeof(*f));
	struct open_call c = { .path = path, .flags = flags, .f = f };
	int rc;

	if (f == NULL)
		return -ENOMEM;
	f->disk.ops = &file_ops;
	rc = offload_call(open_call, &c);
	if (rc < 0) {
		free(f);
		return rc;
	}
	pthread_mutex_init(&f->lock, NULL);
	f->caws.limit = 1;
	f->copies.limit = FILE_COPIES_MAX;
	f->calls.limit = FILE_CALLS_MAX;
	rc = hand_over(f, ret_d);
	if (rc < 0)
		disk_close(&f->disk);
	return rc;
}
