/* SPDX-License-Identifier: BSD-2-Clause */
/* What a LUN is and can do, asked once after the first log-in. */
#ifndef VMFS_ISCSI_DISK_LIBISCSI_PROBE_H
#define VMFS_ISCSI_DISK_LIBISCSI_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "iscsi/disk_libiscsi_sess.h"
#include "iscsi/mpath.h"

/* Stays the same as long as the target has lost no cached write. */
struct lcache_id {
	bool known;
	uint64_t id;
};

struct lprobe {
	uint64_t blocks;
	uint32_t block_size;	/* 512 to 4096 */
	uint32_t phys_block_size;
	uint32_t max_transfer_blocks;	/* this and below: 0 = no limit told */
	uint32_t max_unmap_blocks;
	uint64_t max_write_same_blocks;
	uint32_t max_caw_blocks;	/* 0 = no COMPARE AND WRITE */
	uint32_t unmap_granularity;	/* blocks, 0 = unknown */
	unsigned caps;			/* DISK_CAP_ */
	bool fua;
	bool thin;
	bool unmapped_zero;		/* thin, unmapped blocks read zeroes */
	bool write_same_unmap;		/* ... and WRITE SAME unmaps */
	bool volatile_cache;		/* WCE, or not told */
	bool modes_hidden;		/* by a reservation: ask again */
	struct lcache_id cache;
	char serial[64];
};

/*
 * Unit attentions of the new nexus are taken in here.  Only what the LUN
 * really answers becomes a capability: COMPARE AND WRITE of no blocks, a
 * PREEMPT AND ABORT that must be refused, RELEASE of what is not held; none
 * has an effect.  -ENXIO: no such LUN; -ENOTBLK: not a disk.  Suspends.
 */
int lprobe_lun(struct lsess *s, struct lprobe *ret_probe) MUST_CHECK;
/*
 * Size and block size alone, into *probe, past unit attentions: one of them may
 * tell of the new size.  One about reservations is left in *news.
 */
int lprobe_capacity(struct lsess *s, struct lprobe *probe,
    struct disk_sense *news) MUST_CHECK;
/*
 * FUA, cache and write protection out of what lcdb_mode_sense6(LPROBE_PAGES,
 * LPROBE_MODES) brought.
 */
#define LPROBE_PAGES 0x3f	/* all */
#define LPROBE_MODES 192
void lprobe_modes(struct lprobe *probe, const uint8_t *data, size_t len);
/* Identity alone; works while the session is VERIFYING, takes no unit
 * attention.  serial[64] is "" when the LUN has none. */
int lprobe_identity(struct lsess *s, char *serial, struct lcache_id *ret_id)
    MUST_CHECK;

/*
 * Through which target port the LUN is seen, and how well: INQUIRY, and REPORT
 * TARGET PORT GROUPS where the LUN has asymmetric access.  A unit attention
 * that tells of reservations is kept in *ret_look.  Suspends.
 */
int lprobe_port(struct lsess *s, struct lport *ret_port,
    struct mpath_look *ret_look) MUST_CHECK;

#endif
