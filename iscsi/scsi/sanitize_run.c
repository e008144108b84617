/* SPDX-License-Identifier: BSD-2-Clause */
/* The sanitize operation at work, on a fiber of the unit's own scheduler. */
#include <stdlib.h>
#include <string.h>

#include "iscsi/scsi/cmd.h"
#include "iscsi/scsi/sanitize.h"
#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/log.h"

#define STEP ((uint64_t)1 << 20)
/* A request without data: it cannot be stopped half way. */
#define ERASE_STEP ((uint64_t)1 << 30)
#define EXTENTS 64
#define ATTENTIONS 8		/* in a row */

static bool
stopped(struct scsi_lu *lu)
{
	bool stop;

	shared_enter(&lu->lock);
	stop = lu->sanitize.stop;
	shared_leave(&lu->lock);
	return stop;
}

/* `part` of `parts` passes is at byte `at` of `size`. */
static void
tell_progress(struct sanitize *sz, unsigned part, unsigned parts, uint64_t at,
    uint64_t size)
{
	double done = (part + (double)at / (double)size) / parts;

	sz->progress = (uint16_t)(done * 65535);
}

static uint64_t
step_max(const struct scsi_lu *lu)
{
	uint32_t max = lu->disk->info.max_transfer;

	return max != 0 && max < STEP ? max : STEP;
}

/* What the disk did not do because it had something to say is done again. */
static int
write_step(struct scsi_lu *lu, uint64_t at, const uint8_t *buf, size_t len)
{
	int rc = -VMFS_EATTENTION;

	for (unsigned i = 0; rc == -VMFS_EATTENTION && i < ATTENTIONS; i++)
		rc = disk_write(lu->disk, at, buf, len, 0);
	return rc;
}

/* ---- OVERWRITE ---- */

/* Each logical block begins with the pattern. */
static void
pattern_fill(const struct sanitize_job *job, uint8_t *buf, size_t len,
    uint32_t bs)
{
	uint8_t invert = job->invert && job->pass % 2 == 1 ? 0xff : 0;

	for (size_t i = 0; i < len; i++)
		buf[i] = job->pattern[i % bs % job->pattern_len] ^ invert;
}

static int
overwrite_pass(struct scsi_lu *lu, uint8_t *buf, uint64_t step)
{
	struct sanitize *sz = &lu->sanitize;
	uint64_t size = lu->disk->info.size_bytes;
	int rc = 0;

	pattern_fill(&sz->job, buf, step, lu->block_size);
	for (uint64_t at = 0; at < size && rc == 0; at += step) {
		if (stopped(lu))
			return -ECANCELED;
		if (size - at < step)
			step = size - at;
		rc = write_step(lu, at, buf, step);
		tell_progress(sz, sz->job.pass, sz->job.passes, at, size);
	}
	return rc != 0 ? rc : disk_flush(lu->disk);
}

static int
overwrite(struct scsi_lu *lu)
{
	struct sanitize_job *job = &lu->sanitize.job;
	uint64_t step = step_max(lu);
	cleanup_free uint8_t *buf = disk_buf_alloc(step);
	int rc = buf != NULL ? 0 : -ENOMEM;

	while (rc == 0 && job->pass < job->passes) {
		rc = overwrite_pass(lu, buf, step);
		if (rc != 0 || ++job->pass == job->passes)
			break;
		rc = sanitize_save(lu, SANITIZE_RUNNING, job);
	}
	return rc;
}

/* ---- BLOCK ERASE ---- */

static int
zero_extent(struct scsi_lu *lu, const uint8_t *zeroes, uint64_t at,
    uint64_t end)
{
	uint64_t step = step_max(lu);
	int rc = 0;

	for (; at < end && rc == 0; at += step) {
		if (stopped(lu))
			return -ECANCELED;
		if (end - at < step)
			step = end - at;
		rc = write_step(lu, at, zeroes, step);
		tell_progress(&lu->sanitize, 0, 1, at,
		    lu->disk->info.size_bytes);
	}
	return rc;
}

/* What is allocated from *at on, as far as the disk tells at once. */
static int
zero_some(struct scsi_lu *lu, const uint8_t *zeroes, uint64_t *at)
{
	uint64_t size = lu->disk->info.size_bytes;
	struct disk_extent e[EXTENTS] = { { size - *at, true } };
	struct disk_map map = { .extents = e, .max = EXTENTS, .count = 1 };
	int rc = 0;

	if (lu->caps & DISK_CAP_MAP)
		rc = disk_map(lu->disk, *at, size - *at, &map);
	if (rc == 0 && map.count == 0)
		rc = -EIO;
	for (size_t i = 0; i < map.count && rc == 0; i++) {
		if (e[i].allocated)
			rc = zero_extent(lu, zeroes, *at, *at + e[i].length);
		*at += e[i].length;
	}
	return rc;
}

/*
 * Deallocating alone would leave the bytes where they were, for whoever gets
 * the space next: they are written over first.
 */
static int
block_erase(struct scsi_lu *lu)
{
	cleanup_free uint8_t *zeroes = disk_buf_alloc(STEP);
	uint64_t size = lu->disk->info.size_bytes, at = 0;
	int rc = zeroes != NULL ? 0 : -ENOMEM;

	while (rc == 0 && at < size)
		rc = zero_some(lu, zeroes, &at);
	if (rc == 0)
		rc = disk_flush(lu->disk);
	for (at = 0; rc == 0 && at < size; at += ERASE_STEP)
		rc = disk_write_zeroes(lu->disk, at,
		    size - at < ERASE_STEP ? size - at : ERASE_STEP,
		    DISK_MAY_UNMAP);
	return rc != 0 ? rc : disk_flush(lu->disk);
}

/* ---- CRYPTO ERASE ---- */

static int
crypto_erase(struct scsi_lu *lu)
{
	struct disk_req req = { .op = DISK_CRYPTO_ERASE };

	return disk_run(lu->disk, &req);
}

/* ---- life ---- */

static void
job_leave(struct scsi_lu *lu, enum sanitize_state state)
{
	struct sanitize *sz = &lu->sanitize;

	shared_enter(&lu->lock);
	sz->ended += state != SANITIZE_RUNNING;
	sz->state = state;
	sz->at_work = false;
	shared_broadcast(&lu->left);
	shared_leave(&lu->lock);
}

/* Into the image, then the state; the one must not be better than the other. */
static void
job_end(struct scsi_lu *lu, int rc)
{
	enum sanitize_state state = rc == 0 ? SANITIZE_NONE : SANITIZE_FAILED;
	int saved = sanitize_save(lu, state, &lu->sanitize.job);

	/* The next start would erase what is written from now on. */
	if (saved != 0)
		state = SANITIZE_FAILED;
	log_info(lu->env->log, "scsi: sanitize ended lu=%s error=%s",
	    lu->serial, vmfs_strerror(rc != 0 ? rc : saved));
	job_leave(lu, state);
}

static void
job_fiber(void *arg)
{
	struct scsi_lu *lu = arg;
	struct sanitize *sz = &lu->sanitize;
	int rc;

	if (sz->job.service == SANITIZE_OVERWRITE)
		rc = overwrite(lu);
	else if (sz->job.service == SANITIZE_CRYPTO_ERASE)
		rc = crypto_erase(lu);
	else
		rc = block_erase(lu);
	if (rc == -ECANCELED)
		job_leave(lu, SANITIZE_RUNNING);
	else
		job_end(lu, rc);
}

static void
start_work(void *arg)
{
	struct scsi_lu *lu = arg;

	/* The image says "running": the next start of the program tries. */
	if (sched_spawn(lu->env->sched, "sanitize", job_fiber, lu) != 0)
		job_leave(lu, SANITIZE_FAILED);
}

void
sanitize_start(struct scsi_lu *lu)
{
	struct sanitize *sz = &lu->sanitize;

	sz->progress = 0;
	sz->at_work = true;
	sz->start = (struct sched_work){ .fn = start_work, .arg = lu };
	log_info(lu->env->log, "scsi: sanitize started lu=%s service=0x%x",
	    lu->serial, sz->job.service);
	sched_post(lu->env->sched, &sz->start);
}

void
sanitize_stop(struct scsi_lu *lu)
{
	shared_enter(&lu->lock);
	lu->sanitize.stop = true;
	while (lu->sanitize.at_work)
		shared_wait(&lu->left, &lu->lock);
	shared_leave(&lu->lock);
}
