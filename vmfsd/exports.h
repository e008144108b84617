/* SPDX-License-Identifier: BSD-2-Clause */
/* The built-in iSCSI target with a reactor of its own, as configured. */
#ifndef VMFS_VMFSD_EXPORTS_H
#define VMFS_VMFSD_EXPORTS_H

#include "iscsi/target.h"
#include "libvmfs/base/list.h"
#include "libvmfs/env/net.h"
#include "libvmfs/env/reactor.h"
#include "vmfsd/conf.h"
#include "vmfsd/datastore.h"
#include "vmfsd/identity.h"
#include "vmfsd/pr_store.h"
#include "vmfsd/write_log.h"

#define EXPORTS_WHY_SIZE 1024
#define EXPORTS_WORKERS_MAX 16

/* A unit with its source; several targets may show it. */
struct export_lun {
	struct list node;
	struct uuid uuid;
	struct conf_lun *conf;		/* its own copy ... */
	char *iqn, *write_log;		/* ... of what opened it first */
	unsigned uses;			/* LUNs that are mapped to it */
	uint64_t since_us;		/* wall clock; of its counters */
	struct disk *disk;
	struct disk *quota;		/* in the stack of disk, or NULL */
	struct scsi_lu *lu;
	struct pr_store pr;
	struct pr_store sanitize;
	struct pr_store key;
	struct write_log writes;
};

struct exports {
	struct conf *conf;		/* what is in force; the caller's */
	const struct identity *identity;
	struct datastores *datastores;	/* of virtual disks */
	struct log *log;
	struct reactor *reactor;	/* NULL: no target is configured */
	struct reactor *worker[EXPORTS_WORKERS_MAX];	/* connections */
	unsigned workers;
	struct env env;
	struct iscsi_server *server;
	struct list luns;		/* struct export_lun */
	/* Real ones; "": nobody can listen there yet. */
	char address[CONF_LIST_MAX][NET_ADDR_TEXT];
	size_t addresses;
	char why[EXPORTS_WHY_SIZE];
	/* See scsi_lu_conf; set before the start. */
	void (*on_setting)(void *arg);
	void *on_setting_arg;
	/* A worker has died that had all this: what cannot be had keeps nothing
	 * else from being served.  Set before the start. */
	bool goes_on;
};

/* Opens every LUN, then listens.  On failure e->why tells the admin, and
 * exports_stop must still be called. */
int exports_start(struct exports *e, struct conf *conf,
    const struct identity *identity, struct datastores *datastores,
    struct log *log) MUST_CHECK;
void exports_stop(struct exports *e);
/* Opens the LUNs that could not be opened before.  Blocks. */
void exports_retry(struct exports *e);
/* The same of those that nothing will tell of, and of portals; the log hears
 * only of what is there.  How many still are not. */
unsigned exports_look_again(struct exports *e);
/*
 * Closes the virtual disks of a datastore, for its unmount; -EBUSY when
 * initiators use one (and not force), with a sentence in why.  Blocks.
 */
int exports_let_go(struct exports *e, const char *datastore, bool force,
    char *why, size_t why_size) MUST_CHECK;
/* The unit that a target shows under a number, or NULL.  On e's reactor. */
struct export_lun *exports_find(struct exports *e, const char *iqn,
    unsigned number);

#endif
