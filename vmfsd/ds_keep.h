/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What of a mounted datastore outlives its process: memory that the supervisor
 * keeps (keep.h).  Without a supervisor it is memory like any other.
 */
#ifndef VMFS_VMFSD_DS_KEEP_H
#define VMFS_VMFSD_DS_KEEP_H

#include "fuse/fuse_keep.h"
#include "libvmfs/core/softlog.h"
#include "locking/host_keep.h"

struct datastore;
struct datastores;

/* Another layout is another version: what it left is not understood. */
#define DS_KEEP_VERSION 5u

enum attach_served {
	SERVED_NEVER,
	SERVED_RUNS,
	SERVED_STOPPED,		/* it has run, and needs no lock until it does */
};

/* A disk that is attached: how to attach it again; or which one a LUN is:
 * lun_keep.h. */
struct attach_keep {
	_Atomic uint32_t used;
	/* Since its guest ran it has lost nothing. */
	_Atomic uint32_t served;	/* enum attach_served */
	char args[1016];	/* of the command, JSON */
};
#define ATTACH_KEEP_MAX 128u

#define DS_KEEP_TEXT 1024u

struct ds_keep {
	uint64_t version;	/* DS_KEEP_VERSION */
	uint64_t size;		/* of this struct */
	/* Initiator ports of data and heartbeat: the same again, a log-in ends
	 * what the dead process had under way (RFC 7143 6.3.5). */
	uint64_t isid[2];
	/* How it was mounted, for whom no configuration tells; "": the texts
	 * are too long. */
	char lun[DS_KEEP_TEXT], mount[DS_KEEP_TEXT];
	uint32_t readonly;
	_Atomic uint32_t ending;	/* it is unmounted, and being closed */
	struct host_keep host;
	struct attach_keep attach[ATTACH_KEEP_MAX];
	struct softlog soft;
	struct fuse_keep fuse;
};

/* How a dead process had one mounted. */
struct ds_keep_how {
	char lun[DS_KEEP_TEXT], mount[DS_KEEP_TEXT];
	bool readonly;
};

/*
 * Takes what a predecessor left, or makes it where there is none or another
 * layout: d->keep, d->left.  It stays until ds_keep_end.  -errno: no memory.
 */
int ds_keep_begin(struct datastore *d) MUST_CHECK;
/* A dead process had it mounted, or tried to for as long as it lived; and this
 * one has not yet. */
bool ds_keep_is_left(const char *name);
/* The same, and how.  -ENOENT: it is not left; -ESTALE: in another layout;
 * -ENAMETOOLONG: the texts had no room. */
int ds_keep_how(const char *name, struct ds_keep_how *ret_how) MUST_CHECK;
/*
 * Is something of a dead process mounted where d is to be mounted, or above
 * that?  Then who looks there waits for a process that reads its requests;
 * -EBUSY with a sentence in d->why.
 */
int ds_keep_check_dir(struct datastore *d) MUST_CHECK;
/* The next one that was left, listed or not, from *at on: its name
 * (KEEP_NAME_MAX). */
bool ds_keep_next(unsigned *at, char *ret_name);
/* Adds it, not listed, unless it is there; the caller uses it from then on
 * (datastore_unref).  Errors of ds_keep_how and datastore_add. */
int ds_keep_adopt(struct datastores *all, const char *name,
    struct datastore **ret_d) MUST_CHECK;
/* By which name its /dev/fuse is kept (KEEP_NAME_MAX). */
void ds_keep_connection(const char *datastore, char *ret_name);
/* Who uses its mount has ENOTCONN. */
void ds_keep_give_up(const char *name);
/* Is a file open, as far as the dead process knew? */
bool ds_keep_is_open(void *keep, uint64_t ino);
/* The datastore is not mounted any more, and not to be: nobody goes on with it,
 * and who still uses the mount of a dead process has ENOTCONN. */
void ds_keep_end(struct datastore *d);
/* It could not be mounted: the same, if it is not tried again and nothing is to
 * go on with. */
void ds_keep_unused(struct datastore *d);

#endif
