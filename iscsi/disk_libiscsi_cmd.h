/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SCSI commands as an initiator sends them: CDBs, parameter lists and what an
 * answer means in the terms of the disk port.  Pure functions.
 */
#ifndef VMFS_ISCSI_DISK_LIBISCSI_CMD_H
#define VMFS_ISCSI_DISK_LIBISCSI_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libvmfs/env/disk.h"

enum lcdb_dir {
	LCDB_NONE,
	LCDB_IN,
	LCDB_OUT,
};

struct lcdb {
	uint8_t b[16];
	int len;
	enum lcdb_dir dir;
	uint32_t xfer;		/* bytes of data in or out */
};

#define LCDB_FUA 0x08		/* READ, WRITE, CAW: byte 1 */
#define LCDB_WRITE_SAME16 0x93	/* byte 0 */
#define LCDB_WS_UNMAP 0x08	/* WRITE SAME: byte 1 */
#define LCDB_UNMAP_LIST 24	/* bytes of a parameter list of one range */
#define LCDB_PR_LIST 24

/* SBC-4 5.18, 5.43, 5.5: lba and count in logical blocks. */
struct lcdb lcdb_read16(uint64_t lba, uint32_t blocks, uint32_t block_size);
struct lcdb lcdb_write16(uint64_t lba, uint32_t blocks, uint32_t block_size,
    uint8_t flags);
struct lcdb lcdb_caw(uint64_t lba, uint8_t blocks, uint32_t block_size,
    uint8_t flags);
struct lcdb lcdb_sync16(void);
struct lcdb lcdb_write_same16(uint64_t lba, uint32_t blocks,
    uint32_t block_size, uint8_t flags);
/* SBC-4 5.35; fills the parameter list of LCDB_UNMAP_LIST bytes. */
struct lcdb lcdb_unmap(uint64_t lba, uint32_t blocks, uint8_t *list);
struct lcdb lcdb_read_capacity16(void);
struct lcdb lcdb_lba_status(uint64_t lba, uint32_t len);

/* SPC-4 and SPC-2. */
struct lcdb lcdb_test_unit_ready(void);
struct lcdb lcdb_inquiry(bool evpd, uint8_t page, uint16_t len);
struct lcdb lcdb_mode_sense6(uint8_t page, uint8_t len);
struct lcdb lcdb_reserve6(void);
struct lcdb lcdb_release6(void);
struct lcdb lcdb_report_port_groups(uint32_t len);
struct lcdb lcdb_pr_in(uint8_t service_action, uint16_t len);
/* Fills the parameter list of LCDB_PR_LIST bytes. */
struct lcdb lcdb_pr_out(const struct disk_pr *pr, uint8_t *list);

/*
 * Sense data (SPC-4 4.5, fixed or descriptor format) into key, asc, ascq and
 * information; leaves the status byte alone.  Short data leaves zeroes.
 */
void lsense_parse(const uint8_t *data, size_t len, struct disk_sense *sense);
/* Result of the disk port for a status byte with its sense. */
int lsense_result(const struct disk_sense *sense);
/* UNIT ATTENTION that says reservations or registrations changed (2A/03-05). */
bool lsense_is_reservation(const struct disk_sense *sense);
/* UNIT ATTENTION of a reset or a new nexus (29/xx). */
bool lsense_is_reset(const struct disk_sense *sense);

/* The target port through which a LUN is seen. */
struct lport {
	unsigned group;		/* target port group, 0: not told */
	char name[240];		/* iqn,t,0xTPGT; "" when not told */
};
/* From the device identification page (SPC-4 7.8.6), `len` bytes with its
 * header. */
void lport_parse_page83(const uint8_t *data, size_t len,
    struct lport *ret_port);
/*
 * REPORT TARGET PORT GROUPS (SPC-4 6.35): access state of one group.
 * -VMFS_EPROTO: malformed; -ENOENT: the group is not in it.
 */
int lport_parse_groups(const uint8_t *data, size_t len, unsigned group,
    uint8_t *ret_access, bool *ret_preferred) MUST_CHECK;

/*
 * Answers of PERSISTENT RESERVE IN into pr; -VMFS_EPROTO when malformed.  A
 * reservation gives type and, where there is room, its key as keys[0].
 */
int lpr_parse_keys(const uint8_t *data, size_t len, struct disk_pr *pr)
    MUST_CHECK;
int lpr_parse_reservation(const uint8_t *data, size_t len, struct disk_pr *pr)
    MUST_CHECK;

#endif
