/* SPDX-License-Identifier: BSD-2-Clause */
/* The built-in iSCSI target with a reactor of its own, as configured. */
#ifndef VMFS_VMFSD_EXPORTS_H
#define VMFS_VMFSD_EXPORTS_H

#include "iscsi/target.h"
#include "libvmfs/env/net.h"
#include "libvmfs/env/reactor.h"
#include "vmfsd/conf.h"
#include "vmfsd/identity.h"
#include "vmfsd/pr_store.h"
#include "vmfsd/write_log.h"

#define EXPORTS_WHY_SIZE 1024
#define EXPORTS_WORKERS_MAX 16

struct export_lun {
	const struct conf_target *target;
	const struct conf_lun *conf;
	struct disk *disk;
	struct scsi_lu *lu;
	struct pr_store pr;
	struct pr_store sanitize;
	struct write_log writes;
};

struct exports {
	const struct conf *conf;
	const struct identity *identity;
	struct log *log;
	struct reactor *reactor;	/* NULL: no target is configured */
	struct reactor *worker[EXPORTS_WORKERS_MAX];	/* connections */
	unsigned workers;
	struct env env;
	struct iscsi_server *server;
	struct export_lun *lun;
	size_t luns;
	char address[CONF_LIST_MAX][NET_ADDR_TEXT];	/* real ones */
	size_t addresses;
	char why[EXPORTS_WHY_SIZE];
};

/* Opens every LUN, then listens.  On failure e->why tells the admin, and
 * exports_stop must still be called. */
int exports_start(struct exports *e, const struct conf *conf,
    const struct identity *identity, struct log *log) MUST_CHECK;
void exports_stop(struct exports *e);

#endif
