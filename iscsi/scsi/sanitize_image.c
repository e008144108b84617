/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The image in which a sanitize operation outlives the program.
 *
 *   offset size
 *        0    8 magic "VMFSSAN1"
 *        8    1 state: 0 none, 1 running, 2 failed
 *        9    1 service action
 *       10    1 bit 0 AUSE, bit 1 INVERT
 *       11    1 passes
 *       12    1 the pass at work
 *       13    1 zero
 *       14    2 length of the pattern
 *       16      pattern
 *      end    4 CRC32C of all before
 *
 * Integers are big-endian.
 */
#include <string.h>

#include "iscsi/scsi/sanitize.h"
#include "libvmfs/base/be.h"
#include "libvmfs/base/crc32c.h"

enum { HEAD_LEN = 16, CRC_LEN = 4 };
enum { FLAG_AUSE = 1, FLAG_INVERT = 2 };
static const uint8_t magic[8] = "VMFSSAN1";

size_t
sanitize_image_encode(enum sanitize_state state,
    const struct sanitize_job *job, uint8_t *buf)
{
	size_t len = HEAD_LEN + job->pattern_len;

	memset(buf, 0, HEAD_LEN);
	memcpy(buf, magic, sizeof(magic));
	buf[8] = (uint8_t)state;
	buf[9] = job->service;
	buf[10] = (uint8_t)((job->unrestricted ? FLAG_AUSE : 0) |
	    (job->invert ? FLAG_INVERT : 0));
	buf[11] = job->passes;
	buf[12] = job->pass;
	be16_store(buf + 14, job->pattern_len);
	memcpy(buf + HEAD_LEN, job->pattern, job->pattern_len);
	be32_store(buf + len, crc32c(0, buf, len));
	return len + CRC_LEN;
}

static bool
job_valid(const struct sanitize_job *job)
{
	switch (job->service) {
	case SANITIZE_OVERWRITE:
		return job->pattern_len > 0 && job->passes > 0 &&
		    job->passes < 32 && job->pass < job->passes;
	case SANITIZE_BLOCK_ERASE:
	case SANITIZE_CRYPTO_ERASE:
		return job->pattern_len == 0;
	default:
		return false;
	}
}

int
sanitize_image_decode(const uint8_t *p, size_t len,
    enum sanitize_state *ret_state, struct sanitize_job *ret_job)
{
	struct sanitize_job job = { 0 };

	if (len < HEAD_LEN + CRC_LEN || len > SANITIZE_IMAGE_MAX ||
	    memcmp(p, magic, sizeof(magic)) != 0 ||
	    be32_load(p + len - CRC_LEN) != crc32c(0, p, len - CRC_LEN))
		return -VMFS_ECORRUPT;
	job.service = p[9];
	job.unrestricted = p[10] & FLAG_AUSE;
	job.invert = p[10] & FLAG_INVERT;
	job.passes = p[11];
	job.pass = p[12];
	job.pattern_len = be16_load(p + 14);
	if (p[8] > SANITIZE_FAILED || (size_t)HEAD_LEN +
	    job.pattern_len + CRC_LEN != len || (p[8] != SANITIZE_NONE && !job_valid(&job)))
		return -VMFS_ECORRUPT;
	memcpy(job.pattern, p + HEAD_LEN, job.pattern_len);
	*ret_state = (enum sanitize_state)p[8];
	*ret_job = job;
	return 0;
}
