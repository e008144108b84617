/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A LUN in memory made of pages, over another one that it only reads: so an
 * image of a power cut costs what differs.  It knows a hash of its content,
 * and remembers each write and flush in order when asked to.
 */
#ifndef TESTS_CRASH_PAGES_H
#define TESTS_CRASH_PAGES_H

#include "libvmfs/env/disk.h"

#define PAGE_BYTES 4096u
#define HASH_BYTES 512u		/* what is hashed, and compared, as one */

struct event {
	bool flush;		/* else a write */
	bool durable;		/* when it is completed: FUA, CAW */
	uint64_t offset;	/* bytes */
	size_t length;
	uint8_t *data;
};

struct events {
	struct event *e;
	size_t count, max;
};
/* Forgets them all. */
void events_fini(struct events *ev);

struct pages {
	struct disk disk;	/* to use; closed by disk_close only an image */
	const struct pages *below;	/* NULL: zeroes */
	size_t n_pages;
	uint8_t **page;		/* own ones, else NULL */
	uint32_t *own;		/* which these are */
	size_t n_own, max_own;
	uint8_t **spare;	/* freed pages */
	size_t n_spare, max_spare;
	uint64_t hash;		/* of the content; 0: nothing but zeroes */
	bool unhashed;		/* nobody asks for the hash */
	struct events *events;	/* NULL: what is done to it is forgotten */
};

/* Ends the program without memory, as all of this does. */
void pages_init(struct pages *p, const struct pages *below, uint64_t size,
    uint32_t block_size);
void pages_fini(struct pages *p);
/* What is below, again. */
void pages_reset(struct pages *p);
/* Only its memory is its own: to be closed by disk_close. */
struct disk *pages_image(const struct disk_info *info, struct pages **ret_p);
void pages_write(struct pages *p, uint64_t offset, const uint8_t *data,
    size_t length);

/* Of HASH_BYTES bytes. */
uint64_t content_hash(const uint8_t *b);

#endif
