/* SPDX-License-Identifier: BSD-2-Clause */
/* What is in an area of softlog.h: for its writer and its reader. */
#ifndef VMFS_CORE_SOFTLOG_IMPL_H
#define VMFS_CORE_SOFTLOG_IMPL_H

#include "libvmfs/core/softlog.h"
#include "libvmfs/format/journal.h"

/* Before the records of a commit; this machine's byte order. */
struct soft_commit {
	uint32_t length;	/* with this header */
	uint32_t crc;		/* CRC32C of what follows it */
	uint64_t lsn;
	uint32_t records;
	uint32_t reserved;
};

/*
 * Seals `c`, whose records are in buf behind the header, and writes it to the
 * empty journal of `dead`, durable.  buf has whole blocks.  -VMFS_ELIMIT: the
 * journal is too small.  Suspends.
 */
int recover_append(struct disk *disk, const struct super *super,
    const struct heartbeat *dead, uint8_t *buf, struct journal_commit *c)
    MUST_CHECK;

#endif
