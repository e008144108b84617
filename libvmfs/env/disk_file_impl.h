/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the file and block device source share. */
#ifndef VMFS_ENV_DISK_FILE_IMPL_H
#define VMFS_ENV_DISK_FILE_IMPL_H

#include <pthread.h>
#include <sys/types.h>

#include "libvmfs/base/units.h"
#include "libvmfs/env/disk.h"
#include "libvmfs/env/mapped.h"
#include "libvmfs/env/reactor.h"
#include "libvmfs/env/spare.h"

#define FILE_MAX_TRANSFER ((uint32_t)(32 * MIB))
#define FILE_MAX_CAW ((uint32_t)(64 * KIB))
#define FILE_MAX_HOLDS 64
/* Of a file in memory: the mapping is used from here on, the reactor copies
 * up to there by itself, and by a call up to there. */
#define FILE_COPY_MAPPED ((uint64_t)(16 * KIB))
#define FILE_COPY_SOON ((uint64_t)(128 * KIB))
#define FILE_CALL_SOON ((uint64_t)(64 * KIB))
#define FILE_COPIES_MAX 4		/* helper threads that copy */
#define FILE_CAW_SPARE ((size_t)4096)
#define FILE_CALLS_MAX 4		/* helper threads of one disk */

struct disk_file {
	struct disk disk;
	int fd;
	bool direct;		/* fd is O_DIRECT */
	bool block_device;
	bool memory;		/* on tmpfs: its I/O never waits */
	struct mapped mapped;	/* when memory, and may be written */
	uint32_t mem_align;	/* of buffers when direct */

	/* Threads of one description do not exclude each other by its locks:
	 * one compare-and-write at a time. */
	struct offload_group caws;
	struct offload_group copies; /* long ones of memory */
	struct offload_group calls; /* all other blocking calls */
	struct spare call;	/* struct file_call */
	struct spare caw_buf;	/* FILE_CAW_SPARE bytes */

	pthread_mutex_t lock;	/* guards all below */
	uint64_t holds[FILE_MAX_HOLDS];
	size_t n_holds;
};

static inline struct disk_file *
disk_file_of(struct disk *d)
{
	return container_of(d, struct disk_file, disk);
}

/* Result of a request for a negative errno of a system call. */
int file_error(int error);

/* ---- disk_file.c ---- */

void file_submit(struct disk *d, struct disk_req *req);
int file_refresh(struct disk *d);
void file_close(struct disk *d);

/* A READ or WRITE that needs no bounce goes, or goes on, by the ring. */
void file_rw_queue(struct disk_req *req);

/* ---- disk_file_memory.c ---- */

/* A READ or WRITE of a file in memory.  False: the ring has to do it. */
bool file_memory_rw(struct disk_file *f, struct disk_req *req) MUST_CHECK;

/* ---- disk_file_call.c: blocking, on helper threads ---- */

/* Moves len bytes or fails: 0, or the negative result of a request. */
int file_pread(int fd, void *buf, size_t len, uint64_t offset) MUST_CHECK;
int file_pwrite(int fd, const void *buf, size_t len, uint64_t offset)
    MUST_CHECK;
int file_unmap(struct disk_file *f, const struct disk_req *req) MUST_CHECK;
int file_write_zeroes(struct disk_file *f, const struct disk_req *req)
    MUST_CHECK;
/* The file system's word on a regular file. */
int file_map(const struct disk_file *f, struct disk_req *req) MUST_CHECK;

/* Has the kernel ask a SCSI device for its size again. */
void file_rescan(const struct disk_file *f);

/* ---- disk_file_lock.c ---- */

/*
 * Locks (F_WRLCK, F_RDLCK) or frees (F_UNLCK) bytes of the open file
 * description of fd; waits if told to.  -VMFS_EINUSE when another has them.
 */
int file_range_lock(int fd, short type, uint64_t start, uint64_t len,
    bool wait) MUST_CHECK;
/* The byte that says in which way a disk is open: see disk_file_open.c. */
#define FILE_OPEN_BYTE (((uint64_t)1 << 62) - 1)
/* Compare and write; blocks. */
int file_caw(struct disk_file *f, struct disk_req *req) MUST_CHECK;
/* HOLD, UNHOLD, HOLD_TEST; blocks. */
int file_hold(struct disk_file *f, const struct disk_req *req) MUST_CHECK;

#endif
