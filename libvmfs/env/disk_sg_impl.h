/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside of the SCSI block device source. */
#ifndef VMFS_ENV_DISK_SG_IMPL_H
#define VMFS_ENV_DISK_SG_IMPL_H

#include <scsi/sg.h>

#include "libvmfs/env/disk.h"
#include "libvmfs/env/reactor.h"
#include "libvmfs/env/spare.h"

/*
 * Executes the command of h as ioctl(SG_IO) does: 0, or negative errno when it
 * could not be sent.  Blocks; any thread.  Tests answer from a script.
 */
typedef int sg_io_fn(void *arg, struct sg_io_hdr *h);

#define SG_CALLS_MAX 8		/* helper threads of one disk */

#define SG_CAW_SPARE ((uint32_t)8192)	/* two images of a block */

struct disk_sg {
	struct disk disk;
	struct disk *below;	/* the block layer: READ, WRITE, FLUSH */
	sg_io_fn *io;
	void *io_arg;
	uint64_t first_lba;	/* of a partition; else 0 */
	struct offload_group calls;
	struct spare call;	/* struct sg_call */
	struct spare caw_buf;	/* SG_CAW_SPARE bytes */
	/* from VPD pages; blocks of the disk, 0: unknown or none */
	uint32_t max_unmap_blocks;
	uint64_t max_same_blocks;
	bool write_same;	/* WRITE SAME(16) works */
	bool unmap_zeroes;	/* WRITE SAME with UNMAP reads zeroes after */
};

/* Data phase of a command. */
struct sg_data {
	int direction;		/* SG_DXFER_NONE, _TO_DEV, _FROM_DEV */
	void *buf;
	uint32_t len;
	uint32_t received;	/* out: bytes the device sent */
};

/*
 * One command; the result of a request (disk.h) and, at *sense, its detail.
 * BUSY and TASK SET FULL are tried again for a while.
 */
int sg_command(struct disk_sg *s, const uint8_t *cdb, size_t cdb_len,
    struct sg_data *data, struct disk_sense *sense) MUST_CHECK;

/* Executes CAW, RESERVE, RELEASE, PR_*, UNMAP, WRITE_ZEROES, MAP. */
int sg_execute(struct disk_sg *s, struct disk_req *req) MUST_CHECK;

/*
 * Asks the device what it is and fills s->disk.info.  -EOPNOTSUPP when it
 * does not speak SCSI, or is an ATA disk, which no other host can reach.
 */
int sg_discover(struct disk_sg *s) MUST_CHECK;

/*
 * A disk that sends to `below` what the block layer can do, and the rest by
 * io.  Byte 0 of `below` is byte `start` of the LUN.  Owns `below` on success.
 * -EOPNOTSUPP as above.  Suspends.
 */
int disk_sg_open(struct disk *below, uint64_t start, sg_io_fn *io,
    void *io_arg, struct disk **ret_d) MUST_CHECK;

#endif
