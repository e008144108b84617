/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The disk port: the only way the program touches storage.
 *
 * Sources (file, SCSI device, iSCSI LUN, a virtual disk of a datastore)
 * implement struct disk_ops; sinks and the file system submit requests.  Disks
 * stack: a disk whose ops forward to another disk adds faults, logging or a
 * lease check (locking/guard.h) without anyone noticing.
 */
#ifndef VMFS_ENV_DISK_H
#define VMFS_ENV_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "libvmfs/base/err.h"
#include "libvmfs/base/uuid.h"
#include "libvmfs/env/sched.h"

enum disk_op {
	DISK_READ,
	DISK_WRITE,
	DISK_FLUSH,		/* all writes completed before it are durable */
	DISK_UNMAP,		/* a hint; what it reads then nobody knows */
	DISK_WRITE_ZEROES,	/* afterwards reads zeroes; DISK_MAY_UNMAP */
	DISK_CAW,		/* compare and write, SBC-4 5.3 */
	DISK_RESERVE,		/* SCSI-2 RESERVE(6) */
	DISK_RELEASE,
	DISK_PR_OUT,		/* SPC-4 6.14, see disk_pr */
	DISK_PR_READ_KEYS,	/* SPC-4 6.13.2 */
	DISK_PR_READ_RESERVATION, /* SPC-4 6.13.3 */
	DISK_HOLD,		/* file LUN: hold sign-of-life `id` while this
				 * process has the file open: DISK_CAP_HOLD */
	DISK_UNHOLD,
	DISK_HOLD_TEST,		/* 0: nobody holds `id`; -VMFS_EINUSE: held,
				 * by this opener or another */
	DISK_MAP,		/* what of the range is allocated: disk_map */
	DISK_CRYPTO_ERASE,	/* nobody can read what was written before */
	DISK_SHARE,		/* the range becomes that of `from` at the same
				 * place, by sharing space: disk_req.shared */
};

/* Ranges of DISK_SHARE begin and end at multiples of it. */
#define DISK_SHARE_UNIT ((uint64_t)1 << 20)

enum {
	DISK_FUA = 1 << 0,	/* WRITE, CAW: durable before completion */
	DISK_MAY_UNMAP = 1 << 1, /* WRITE_ZEROES may deallocate */
	/*
	 * READ, WRITE: only while the nexus of the last DISK_RESERVE stands.
	 * Another path or a new session has no reservation: -VMFS_EATTENTION.
	 */
	DISK_RESERVED = 1 << 2,
	/* FLUSH: a LUN that is lost, of several, is not left out; the result is
	 * -VMFS_EEXTENT then. */
	DISK_ALL_LUNS = 1 << 3,
};

/* What a disk can do. */
enum {
	DISK_CAP_CAW = 1 << 0,
	DISK_CAP_PR = 1 << 1,	/* with PREEMPT AND ABORT */
	DISK_CAP_RESERVE = 1 << 2,
	/*
	 * A hold dies with the last file descriptor of its holder, when no
	 * I/O of it can be in flight any more: the fence of file LUNs.
	 */
	DISK_CAP_HOLD = 1 << 3,
	DISK_CAP_UNMAP = 1 << 4,
	DISK_CAP_READONLY = 1 << 5,
	DISK_CAP_MAP = 1 << 6,
	DISK_CAP_CRYPTO_ERASE = 1 << 7,
	DISK_CAP_SHARE = 1 << 8,	/* with some disks of its kind */
};

/* PERSISTENT RESERVE OUT service actions (SPC-4 table 214). */
enum disk_pr_action {
	DISK_PR_REGISTER = 0,
	DISK_PR_RESERVE = 1,
	DISK_PR_RELEASE = 2,
	DISK_PR_CLEAR = 3,
	DISK_PR_PREEMPT = 4,
	DISK_PR_PREEMPT_AND_ABORT = 5,
	DISK_PR_REGISTER_IGNORE = 6,
	/*
	 * Only for disks of several paths, see disk_late: sa_key is registered
	 * on the paths that came up late; then they are let in, or the key is
	 * taken away from them again.
	 */
	DISK_PR_LATE_REGISTER = 0x100,
	DISK_PR_LATE_ADMIT = 0x101,
	DISK_PR_LATE_REVOKE = 0x102,
};
/* Reservation types (SPC-4 table 208). */
enum disk_pr_type {
	DISK_PR_WRITE_EXCLUSIVE = 1,
	DISK_PR_EXCLUSIVE_ACCESS = 3,
	DISK_PR_WRITE_EXCLUSIVE_RO = 5,
	DISK_PR_EXCLUSIVE_ACCESS_RO = 6,
	DISK_PR_WRITE_EXCLUSIVE_AR = 7,
	DISK_PR_EXCLUSIVE_ACCESS_AR = 8,
};

struct disk_pr {
	/* PR_OUT in */
	enum disk_pr_action action;
	enum disk_pr_type type;
	uint64_t key;		/* RESERVATION KEY: mine */
	uint64_t sa_key;	/* SERVICE ACTION RESERVATION KEY: new or
				 * victim's */
	bool aptpl;
	/* READ_KEYS, READ_RESERVATION out */
	uint32_t generation;
	uint64_t *keys;		/* the caller's array ... */
	size_t keys_max;	/* ... of so many; */
	size_t keys_count;	/* how many the LUN has (may be more) */
	bool reserved;		/* READ_RESERVATION: there is one, of `type` */
};

/* A piece of a disk.  What is not allocated reads zeroes. */
struct disk_extent {
	uint64_t length;	/* bytes; multiple of the disk's block_size */
	bool allocated;
};
/*
 * Result of MAP: extents that follow each other from the request's offset,
 * two neighbours never alike.  They end where the range does, or earlier when
 * there are more than max.
 */
struct disk_map {
	struct disk_extent *extents;	/* the caller's array ... */
	size_t max;			/* ... of so many, at least 1 */
	size_t count;
};

/* SCSI detail of a failed request, when the source knows it; else zero. */
struct disk_sense {
	uint8_t status;		/* SAM-5 status byte, 0 = none */
	uint8_t key, asc, ascq;
	uint64_t info;		/* CAW: offset of the first miscompare */
};

/*
 * One request.  The submitter fills the first part, keeps request and
 * buffers alive until done is called, and may reuse them in done.
 */
struct disk_req {
	enum disk_op op;
	unsigned flags;
	uint64_t offset;	/* bytes; multiple of the disk's block_size */
	uint64_t length;	/* bytes, likewise; sum of iov for READ/WRITE */
	struct iovec *iov;	/* data; CAW: the new image */
	int iovcnt;
	const void *expect;	/* CAW: the old image, `length` bytes */
	struct disk_pr *pr;
	struct disk_map *map;
	uint64_t id;		/* HOLD, UNHOLD, HOLD_TEST */
	/* SHARE: stays open until the request is done; -EOPNOTSUPP when the
	 * two have no space in common. */
	struct disk *from;
	/* Called once, on the submitter's scheduler, never within submit. */
	void (*done)(struct disk_req *req);
	void *arg;

	/*
	 * Result: 0 or negative.  -VMFS_EMISCOMPARE, -VMFS_ECONFLICT,
	 * -VMFS_EATTENTION (not executed; sense says why), -VMFS_EUNKNOWN
	 * (transport lost or timed out: may or may not have been, or still
	 * be, executed), -VMFS_EGONE (PDL), -ENOSPC (thin pool full), -EROFS,
	 * -EIO, -EINVAL (beyond the end, misaligned), -EOPNOTSUPP.
	 */
	int result;
	struct disk_sense sense;
	uint64_t shared;	/* SHARE: bytes done; the rest is to be copied */

	/* Of the disk that has the request. */
	struct sched *home;
	union {
		struct sched_work work;
		void *priv[6];
	};
};

struct disk_info {
	uint64_t size_bytes;
	uint32_t block_size;	/* logical: 512 or 4096 */
	uint32_t phys_block_size;
	uint32_t max_transfer;	/* bytes of one READ or WRITE; 0 = no limit */
	uint32_t max_caw;	/* bytes of one CAW */
	/*
	 * Of a write within an aligned piece of so many bytes either all or
	 * nothing is there after a crash of the machine; 0 = not known.
	 */
	uint32_t max_atomic;
	uint32_t unmap_granularity; /* bytes, 0 = unknown */
	/* What is not in use takes no space where it lies: a SCSI disk that
	 * says so (LBPME, SBC-4 5.20.2), or a file with holes. */
	bool thin;
	unsigned caps;
	char kind[12];		/* "file", "sg", "iscsi", "vdisk", "sim" ... */
	char name[256];		/* as the user named it, secrets removed */
	char serial[64];	/* identity of the LUN when it has one */
};

/* One of several paths to a LUN, for people. */
struct disk_path {
	char portal[96];
	const char *state;	/* static strings */
	const char *access;	/* asymmetric access state, SPC-4 6.35 */
	unsigned group;		/* target port group, 0 = not told */
	bool preferred;
	uint64_t since_us;	/* wall clock of the last change of state */
	uint64_t errors;	/* commands that ended without a status */
	uint64_t losses;	/* times that the path was lost */
};

/* Where a disk that is allocated when written takes its space from, bytes. */
struct disk_space {
	uint64_t size, available;
	uint64_t used;		/* by this disk */
};

struct disk;
struct disk_ops {
	/* Takes the request; done follows, always asynchronously. */
	void (*submit)(struct disk *d, struct disk_req *req);
	/* Reads size and capacity again into d->info (after a LUN grew).
	 * Suspends.  May be NULL. */
	int (*refresh)(struct disk *d);
	/* See disk_late; any thread.  May be NULL. */
	unsigned (*late)(struct disk *d);
	/* See disk_paths.  Suspends.  May be NULL. */
	int (*paths)(struct disk *d, struct disk_path *p, unsigned max);
	/* See disk_space; any thread.  May be NULL. */
	int (*space)(struct disk *d, struct disk_space *ret_space);
	/* See disk_is_current; any thread.  May be NULL. */
	bool (*current)(struct disk *d);
	/* The disk below that has the same blocks at the same places, which is
	 * what DISK_SHARE shares with.  NULL: there is none. */
	struct disk *(*same)(struct disk *d);
	/* Frees d.  No request may be in flight.  Suspends. */
	void (*close)(struct disk *d);
};

struct disk {
	const struct disk_ops *ops;
	struct disk_info info;
};

/*
 * For sources: sets the result and has done called on the submitter's
 * scheduler, soon.  Any thread; uses req->work.
 */
void disk_complete(struct disk_req *req, int result);

/*
 * For sources that other threads use: the disk is now like this.  What has not
 * changed is not written, for they look at it meanwhile.
 */
void disk_info_follow(struct disk *d, const struct disk_info *now);

/*
 * Submits from a reactor or simulator thread.  Requests that are misaligned
 * or beyond the end complete with -EINVAL without reaching the source.
 */
void disk_submit(struct disk *d, struct disk_req *req);
/* NULL is fine. */
void disk_close(struct disk *d);
int disk_refresh(struct disk *d) MUST_CHECK;
/*
 * Paths that wait until the user's reservation key is registered on them.
 * They carry at most reads until DISK_PR_LATE_ADMIT: whoever owns the key may
 * have lost it meanwhile and has to look first (doc/LOCKING.md).  Any thread.
 */
unsigned disk_late(struct disk *d);
/*
 * Does what is known of it hold without asking it?  False: others may write it
 * by now, as far as we know; a request waits until that is settled, or fails.
 * Any thread; takes moments.
 */
bool disk_is_current(struct disk *d);
/* Fills p; the number of paths, which may be more than max; 0: the disk has
 * just one that nobody looks after.  Suspends. */
int disk_paths(struct disk *d, struct disk_path *p, unsigned max);

/*
 * What the disk and others beside it can still allocate.  -EOPNOTSUPP when that
 * is not known or has nothing to do with writes.  Any thread; takes moments.
 */
int disk_space(struct disk *d, struct disk_space *ret_space) MUST_CHECK;

/* ---- for fibers: each suspends until the request is done ---- */

int disk_run(struct disk *d, struct disk_req *req) MUST_CHECK;
int disk_read(struct disk *d, uint64_t offset, void *buf, size_t len)
    MUST_CHECK;
int disk_write(struct disk *d, uint64_t offset, const void *buf, size_t len,
    unsigned flags) MUST_CHECK;
int disk_flush(struct disk *d) MUST_CHECK;
int disk_unmap(struct disk *d, uint64_t offset, uint64_t len) MUST_CHECK;
int disk_write_zeroes(struct disk *d, uint64_t offset, uint64_t len,
    unsigned flags) MUST_CHECK;
/* One attempt, durable (FUA): a lock that a power loss takes back would be
 * held twice.  -VMFS_EMISCOMPARE and -VMFS_EUNKNOWN need read-back (L3). */
int disk_caw(struct disk *d, uint64_t offset, const void *expect,
    const void *image, size_t len) MUST_CHECK;
int disk_pr_out(struct disk *d, struct disk_pr *pr) MUST_CHECK;
int disk_pr_read_keys(struct disk *d, struct disk_pr *pr) MUST_CHECK;
int disk_pr_read_reservation(struct disk *d, struct disk_pr *pr) MUST_CHECK;
int disk_hold(struct disk *d, uint64_t id) MUST_CHECK;
int disk_unhold(struct disk *d, uint64_t id) MUST_CHECK;
int disk_hold_test(struct disk *d, uint64_t id) MUST_CHECK;
int disk_map(struct disk *d, uint64_t offset, uint64_t len,
    struct disk_map *map) MUST_CHECK;

/* For sources: adds a piece at the end; false when there is no room.  0 bytes
 * are no piece. */
bool disk_map_add(struct disk_map *map, uint64_t len, bool allocated);

/* Buffers for I/O: zeroed, aligned to 4 KiB, freed with free(). */
void *disk_buf_alloc(size_t len);

/* ---- sources of this directory; each suspends (fiber context) ---- */

enum {
	DISK_OPEN_READONLY = 1 << 0,
	DISK_OPEN_EXCLUSIVE = 1 << 1,	/* refuse what is mounted or in use */
};

/*
 * Regular file or block device by path.  Files: O_DIRECT where it works; CAW
 * under an OFD lock on the blocks, atomic between processes; 512-byte blocks.
 * SCSI block devices get their commands by SG_IO (disk_sg.c).
 *
 * -EISDIR, -ENOTBLK (neither file nor block device), -ENODATA (empty),
 * -EMEDIUMTYPE (blocks of neither 512 nor 4096 bytes), -VMFS_EGONE,
 * -VMFS_EINUSE (mounted, or opened exclusively by another; with
 * DISK_OPEN_EXCLUSIVE: opened at all), errno of open(2).
 */
int disk_file_open(const char *path, unsigned flags, struct disk **ret_d)
    MUST_CHECK;
/* `size` bytes of memory (4 KiB or 512 B blocks), all caps; tests, RAM LUNs. */
int disk_mem_open(uint64_t size, uint32_t block_size, struct disk **ret_d)
    MUST_CHECK;
/* `size` bytes, a multiple of 4096, that forget what is written and read as
 * zeroes: for measurements. */
int disk_null_open(uint64_t size, struct disk **ret_d) MUST_CHECK;

/* ---- stacking ---- */

/* A disk that fails the n-th request of an op and on; takes ownership. */
struct disk_fault {
	struct disk disk;
	struct disk *below;
	int op;			/* enum disk_op, or -1 for any */
	uint64_t countdown;	/* requests let through before */
	uint64_t repeat;	/* requests then failed */
	int error;		/* negative */
};
int disk_fault_open(struct disk *below, struct disk_fault **ret_f) MUST_CHECK;

/*
 * A disk that allocates at most about `limit` bytes of its pool (0: no limit):
 * what is under way when the limit is reached may go beyond it.  Writes to what
 * is not allocated then end with -ENOSPC, and disk_space tells of the limit.
 * Owns `below` on success.  Errors of disk_space, -ENOMEM.
 */
int disk_quota_open(struct disk *below, uint64_t limit, struct disk **ret_d)
    MUST_CHECK;
/* Of such a disk; any thread. */
void disk_quota_set(struct disk *d, uint64_t limit);

#endif
