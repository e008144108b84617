/* SPDX-License-Identifier: BSD-2-Clause */
/* One target with one unit over memory, driven like a transport would. */
#ifndef VMFS_TESTS_UNIT_SCSI_RIG_H
#define VMFS_TESTS_UNIT_SCSI_RIG_H

#include <stddef.h>
#include <stdint.h>

#include "iscsi/scsi/scsi.h"
#include "libvmfs/env/disk.h"
#include "libvmfs/env/env.h"

#define RIG_BLOCK 512U
#define RIG_BLOCKS 2048U
#define RIG_IQN "iqn.2026-01.org.example:disk"
#define RIG_NEXUSES 3

/* A disk over memory that holds back reads and writes while told to. */
struct rig_disk {
	struct disk disk;
	struct disk *below;
	bool hold;		/* keep READ, WRITE, CAW, WRITE_ZEROES */
	struct disk_req *held[64];
	unsigned held_count;
	uint64_t writes;	/* that reached the disk below */
	int error;		/* when not 0: fail everything with it */
	struct disk_space space;	/* of its pool; size 0: unknown */
	/* Told of each request that goes to the disk below; may be NULL. */
	void (*on_forward)(const struct disk_req *req);
	struct sched_work work[64];
};

struct rig {
	struct env env;
	struct rig_disk disk;
	struct scsi_lu_conf conf;
	struct scsi_lu *lu;
	struct scsi_target *target;
	struct scsi_nexus *nexus[RIG_NEXUSES];	/* ports "...:host0" and on */
};

/* A task and whether it is done. */
struct rig_task {
	struct scsi_task task;
	bool done;
	struct fiber *waiter;
};

/*
 * Runs body on a rig, inside a fiber; `setup` (may be NULL) adjusts r->conf
 * and r->disk.disk.info before the unit is made.  Unit attentions of power on
 * are already taken.
 */
void rig_run(void (*setup)(struct rig *r), void (*body)(struct rig *r));

/* Lets the loop run until nothing is left to do at once. */
void rig_settle(void);
/* Completes what the disk holds back, in order. */
void rig_disk_let_go(struct rig *r);
/* Completes one of them, and goes on holding back. */
void rig_disk_let_go_one(struct rig *r, unsigned i);

void rig_start(struct rig_task *t, struct scsi_nexus *n, const void *cdb,
    size_t cdb_len, const void *out, size_t out_len);
void rig_start_attr(struct rig_task *t, struct scsi_nexus *n,
    enum scsi_attr attr, const void *cdb, size_t cdb_len, const void *out,
    size_t out_len);
/* A command without data-out to another LUN than 0. */
void rig_start_lun(struct rig_task *t, struct scsi_nexus *n,
    const uint8_t lun[8], const void *cdb, size_t cdb_len);
/* Suspends until it is done. */
void rig_wait(struct rig_task *t);
void rig_fini(struct rig_task *t);

/* Runs a command; the result is status, or key << 16 | asc << 8 | ascq. */
uint32_t rig_cmd(struct scsi_nexus *n, const void *cdb, size_t cdb_len,
    const void *out, size_t out_len);
/* The same, with the data-in copied to in; *ret_len bytes of it. */
uint32_t rig_cmd_in(struct scsi_nexus *n, const void *cdb, size_t cdb_len,
    void *in, size_t in_size, size_t *ret_len);
uint32_t rig_result(const struct rig_task *t);

/* READ(16) and WRITE(16) of whole blocks. */
uint32_t rig_read(struct scsi_nexus *n, uint64_t lba, uint32_t blocks,
    void *buf);
uint32_t rig_write(struct scsi_nexus *n, uint64_t lba, uint32_t blocks,
    const void *buf);
/* CDBs of 16 bytes in static storage. */
const uint8_t *rig_cdb16(uint8_t opcode, uint64_t lba, uint32_t blocks);
/* COMPARE AND WRITE of blocks; data holds both halves. */
uint32_t rig_caw(struct scsi_nexus *n, uint64_t lba, uint8_t blocks,
    const void *data);
uint32_t rig_tur(struct scsi_nexus *n);
/* PERSISTENT RESERVE OUT. */
uint32_t rig_pr_out(struct scsi_nexus *n, uint8_t action, uint8_t type,
    uint64_t key, uint64_t new_key);
void rig_pr_out_start(struct rig_task *t, struct scsi_nexus *n, uint8_t action,
    uint8_t type, uint64_t key, uint64_t new_key);

extern const uint8_t rig_lun0[8];

#define RIG_GOOD 0U
#define RIG_CONFLICT ((uint32_t)SCSI_RESERVATION_CONFLICT)

#define RIG_TEST(name, setup, body, text)				\
	ATF_TC(name);							\
	ATF_TC_HEAD(name, tc) { atf_tc_set_md_var(tc, "descr", text); }	\
	ATF_TC_BODY(name, tc) { (void)tc; rig_run(setup, body); }

#endif
