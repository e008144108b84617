/* SPDX-License-Identifier: BSD-2-Clause */
/* An iSCSI LUN as the files disk_libiscsi{,_open,_path}.c see it. */
#ifndef VMFS_ISCSI_DISK_LIBISCSI_DISK_H
#define VMFS_ISCSI_DISK_LIBISCSI_DISK_H

#include "iscsi/disk_libiscsi.h"
#include "iscsi/disk_libiscsi_probe.h"
#include "iscsi/disk_libiscsi_sess.h"

/*
 * Writes that the LUN has acknowledged, and how many of them a flush has made
 * durable.  A log-in that finds the cache gone counts as a loss; the flush
 * that would have covered it must fail.  Paths to one LUN share an account.
 */
struct ldisk_account {
	struct list members;		/* struct ldisk */
	uint64_t written, durable;
	unsigned losses, losses_told;
	struct lcache_id cache;
};

struct ldisk {
	struct disk disk;
	struct env *env;
	struct sched *home;
	struct lsess *sess;
	uint64_t isid;
	uint32_t timeout_ms;
	struct lprobe lun;
	bool write_same;	/* until the LUN says it has none */
	uint64_t reserved;	/* nexus of the last RESERVE; 0: none */
	struct disk_sense attention;	/* to be told with the next request */
	struct ldisk_account *account, own;
	struct list node;		/* in account->members */
	struct lport port;		/* as lprobe_port found it */
};

extern const struct disk_ops ldisk_ops;
/* As disk_libiscsi_open.  With an account the LUN is one of several paths:
 * commands do not wait for a lost session but end with -ENOTCONN. */
int ldisk_open(struct env *env, const struct lurl *url,
    const struct disk_libiscsi_conf *conf, struct ldisk_account *account,
    struct disk **ret_d) MUST_CHECK;
void ldisk_submit(struct disk *d, struct disk_req *req);

#endif
