/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SANITIZE, SBC-3 4.11: a unit that forgets all it holds.
 *
 * The operation is the unit's, not the command's: it outlives aborts, resets,
 * sessions and, by an image kept like that of reservations, the program.  The
 * image says "running" before the first block changes and "none" before the
 * first command is let in again, so half-erased data is never served.
 */
#ifndef VMFS_ISCSI_SCSI_SANITIZE_H
#define VMFS_ISCSI_SCSI_SANITIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libvmfs/base/err.h"
#include "libvmfs/env/sched.h"

#define SANITIZE_PATTERN_MAX 4096U

struct scsi_cmd;
struct scsi_lu;
struct scsi_lu_conf;
struct scsi_sense;

/* Service actions, SBC-3 table 96. */
enum sanitize_service {
	SANITIZE_OVERWRITE = 0x01,
	SANITIZE_BLOCK_ERASE = 0x02,
	SANITIZE_CRYPTO_ERASE = 0x03,
	SANITIZE_EXIT_FAILURE_MODE = 0x1f,
};

enum sanitize_state {
	SANITIZE_NONE = 0,
	SANITIZE_RUNNING = 1,
	SANITIZE_FAILED = 2,	/* until the next one succeeds */
};

/* What is to be done. */
struct sanitize_job {
	uint8_t service;	/* enum sanitize_service */
	bool unrestricted;	/* AUSE: a failure may be left by a command */
	/* OVERWRITE */
	bool invert;		/* every other pass writes the complement */
	uint8_t passes;		/* 1 to 31 */
	uint8_t pass;		/* the one that is at work */
	uint16_t pattern_len;	/* 1 to block size; repeated in each block */
	uint8_t pattern[SANITIZE_PATTERN_MAX];
};

struct sanitize {
	int (*save)(void *arg, const void *image, size_t len);
	void *save_arg;
	/* Under the unit's lock. */
	enum sanitize_state state;
	unsigned ended;		/* operations, whether they failed or not */
	bool at_work;		/* a fiber is, or will be */
	bool stop;		/* the unit goes away */
	/* Of the operation. */
	struct sanitize_job job;
	struct sched_work start;
	_Atomic uint16_t progress;	/* parts of 65536 */
};

/*
 * Sets an idle state up from the configuration; -VMFS_ECORRUPT for a damaged
 * image.  An operation that was under way goes on.
 */
int sanitize_load(struct scsi_lu *lu, const struct scsi_lu_conf *conf)
    MUST_CHECK;
/* Has the operation stop and waits for that; the image keeps it.  Suspends
 * when there is one. */
void sanitize_stop(struct scsi_lu *lu);
/*
 * Has the saved job done on the unit's own scheduler.  The unit's lock is
 * held, but in sanitize_load.
 */
void sanitize_start(struct scsi_lu *lu);
/* Durable when it returns 0.  Suspends; without the unit's lock. */
int sanitize_save(struct scsi_lu *lu, enum sanitize_state state,
    const struct sanitize_job *job) MUST_CHECK;
/* What the state says of itself, if anything.  The unit's lock is held. */
void sanitize_sense(const struct scsi_lu *lu, struct scsi_sense *s);
/*
 * Whether the state lets the command in; false: its sense is set.  The
 * unit's lock is held.
 */
bool sanitize_admits(struct scsi_cmd *c);

/* sanitize_image.c */
#define SANITIZE_IMAGE_MAX (20U + SANITIZE_PATTERN_MAX)
size_t sanitize_image_encode(enum sanitize_state state,
    const struct sanitize_job *job, uint8_t *buf);
/* -VMFS_ECORRUPT. */
int sanitize_image_decode(const uint8_t *p, size_t len,
    enum sanitize_state *ret_state, struct sanitize_job *ret_job) MUST_CHECK;

#endif
