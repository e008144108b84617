/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk with a history that can be checked.
 *
 * Each 4 KiB block that a writer writes carries a stamp: disk, block, epoch
 * (a new one each time a writer opens the disk) and sequence.  The journal, a
 * file outside of the datastore, has what every writer meant to write, what
 * of it was flushed with success, and what it found when it opened the disk.
 * From it follows for each block which stamps it may carry now.
 */
#ifndef VMFS_TESTS_TORTURE_HISTORY_H
#define VMFS_TESTS_TORTURE_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define HISTORY_BLOCK 4096U
#define HISTORY_BLOCKS 2048U	/* of one disk */

/* Epoch 0, sequence 0: never written, all zeroes. */
struct stamp {
	uint32_t epoch;
	uint64_t seq;
};

enum record_type {
	RECORD_OPEN = 1,	/* a writer got the disk */
	RECORD_FOUND,		/* and found `found`.epoch, seq at block */
	RECORD_INTENT,		/* count blocks are about to be written */
	RECORD_FLUSHED,		/* the epoch's intents up to seq in a range */
};

/* As it stands in the journal, in host order: it never leaves the machine. */
struct record {
	uint32_t type;		/* enum record_type */
	uint32_t epoch;		/* of the writer */
	uint64_t seq;
	uint32_t block, count;
	uint32_t found_epoch;
	uint32_t host;
};

/* Fills a block; block_check is its inverse. */
void block_fill(uint8_t *buf, uint32_t disk, uint32_t block,
    const struct stamp *s);
/* False: torn, or of another disk, block or program. */
bool block_check(const uint8_t *buf, uint32_t disk, uint32_t block,
    struct stamp *ret_s);
bool stamp_eq(const struct stamp *a, const struct stamp *b);

/* Each exits the program when the journal fails: nothing is proven then. */
int journal_open(const char *path);
/* The next epoch, after RECORD_OPEN for it was written. */
uint32_t journal_begin(int fd, uint32_t host);
void journal_put(int fd, const struct record *r, size_t count);
/* All records; *ret_r is the caller's to free. */
size_t journal_read(int fd, struct record **ret_r);

struct model;
/* What the journal says; violations it holds in itself go to `out`. */
struct model *model_new(const struct record *r, size_t count, FILE *out);
void model_free(struct model *m);
unsigned model_violations(const struct model *m);
/* Whether block may carry s now; if not, says why in `out`. */
bool model_allows(struct model *m, uint32_t block, const struct stamp *s,
    FILE *out);

#endif
