/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What of a FUSE mount outlives its process, beside /dev/fuse itself: the
 * handles that the kernel knows, the locks of programs, and requests that were
 * read and are not yet answered.  The kernel would wait for those for ever (it
 * can send them again only since 6.9, and then without a word about what was
 * done), so they are read to where the next process finds them.
 */
#ifndef VMFS_FUSE_FUSE_KEEP_H
#define VMFS_FUSE_FUSE_KEEP_H

#include <stdatomic.h>

#include "fuse/ranges.h"
#include "libvmfs/core/fs.h"
#include "libvmfs/env/hugepage.h"

#define FUSE_KEEP_HANDLES 32768u
#define FUSE_KEEP_REQUESTS 256u
/* Of them, the first: used most, and they can become huge pages. */
#define FUSE_KEEP_HUGE 32u
#define FUSE_KEEP_LOCKS 16384u
#define FUSE_KEEP_PAGE 4096u
/* Longest message, 1 MiB of data and a page of headers, and a page in front of
 * it so that data is aligned. */
#define FUSE_KEEP_MESSAGE (258u * FUSE_KEEP_PAGE)
/* struct fuse_in_header and fuse_write_in, which end with that page. */
#define FUSE_KEEP_HEADERS 80u
/* Of it, what most need: 64 KiB of data. */
#define FUSE_KEEP_SHORT (18u * FUSE_KEEP_PAGE)
#define FUSE_KEEP_INIT 256u

/* As the stamp of a note: it has the offset of a write. */
#define NOTE_OFFSET UINT64_MAX
/* The same: it is done, and perhaps told. */
#define NOTE_WRITTEN (UINT64_MAX - 1)

struct fuse_keep_handle {
	uint64_t ino;
	uint64_t unique;	/* of the request that opened it */
	uint32_t flags;		/* FS_READ, FS_WRITE; 0: lost */
	uint32_t generation;
	_Atomic uint32_t may;	/* see locks.c */
	_Atomic uint32_t used;
};

/* Zeroes at first. */
struct fuse_keep {
	/* The kernel's first request, which it sends only once; 0: not yet. */
	_Atomic uint32_t init_size;
	uint8_t init[FUSE_KEEP_INIT];
	struct fuse_keep_handle handle[FUSE_KEEP_HANDLES];
	struct range_kept lock[FUSE_KEEP_LOCKS];
	struct fs_note note[FUSE_KEEP_REQUESTS];
	/* Messages, by fuse_keep_message; a length in the header: it is under
	 * way. */
	uint8_t huge[FUSE_KEEP_HUGE][HUGEPAGE]
	    __attribute__((aligned(HUGEPAGE)));
	uint8_t rest[FUSE_KEEP_REQUESTS - FUSE_KEEP_HUGE][FUSE_KEEP_MESSAGE];
};

/*
 * What is noted as done and was not replayed is lost: it is to be done again,
 * also by those who come after us.  Before anything is committed, whose stamp
 * would seem to have it.
 */
void fuse_keep_replayed(struct fuse_keep *k, uint64_t replayed_lsn);

/* Request h, if it is INIT. */
struct fuse_in_header;
void fuse_keep_note_init(struct fuse_keep *k, const struct fuse_in_header *h);
/* One that a dead process has read, and had no time to note. */
void fuse_keep_find_init(struct fuse_keep *k);

/*
 * Brings in the first pages of message i, of so many bytes.  The kernel copies
 * requests there, and where it would have to bring in a page for a process that
 * is killed meanwhile, it gives up: the request fails with EIO, and half of it is
 * taken for a whole one by those who come after us.
 */
void fuse_keep_touch(struct fuse_keep *k, unsigned i, size_t bytes);

/* FUSE_KEEP_MESSAGE bytes. */
static inline uint8_t *
fuse_keep_message(struct fuse_keep *k, unsigned i)
{
	return i < FUSE_KEEP_HUGE ? k->huge[i] : k->rest[i - FUSE_KEEP_HUGE];
}

/* Of message i; data of a write follows, at the beginning of a page. */
static inline void *
fuse_keep_header(struct fuse_keep *k, unsigned i)
{
	return fuse_keep_message(k, i) + FUSE_KEEP_PAGE - FUSE_KEEP_HEADERS;
}

/*
 * How many requests were read and not answered, and which, in the order in which
 * to do them again: the oldest first, but before all those that give up a
 * handle.  The last process may have got as far as to free its number, which an
 * older request to open would get now, and lose.
 */
unsigned fuse_keep_left(struct fuse_keep *k,
    unsigned ret_i[FUSE_KEEP_REQUESTS]);

#endif
