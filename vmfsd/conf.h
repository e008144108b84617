/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration of one vmfsd process; vmfsd.conf(5) has the syntax. */
#ifndef VMFS_VMFSD_CONF_H
#define VMFS_VMFSD_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "iscsi/target.h"
#include "libvmfs/base/err.h"
#include "libvmfs/format/super.h"

#define CONF_LIST_MAX 64	/* portals, datastores */
#define CONF_TARGETS_MAX 1024
#define CONF_GRANTS_MAX 1024	/* allow lines of a target */
#define CONF_MESSAGE_SIZE 512

/* A name and its secret; user NULL: none. */
struct conf_chap {
	char *user, *secret;
};

struct conf_lun {
	unsigned number;
	char *text;		/* source and options as they stand */
	char *source;		/* path, iscsi:// URL or ram:SIZE */
	bool readonly, thin, same_to_end, encrypted, removable;
	uint32_t block_size;	/* 512 or 4096; 0: the source's */
	unsigned warn_percent;	/* of the pool in use; 0: the default */
	uint64_t pool_bytes;	/* that it may take at most; 0: no limit */
	struct scsi_lu_settings settings;
	int line;
};

/* An allow line: pattern of initiator names and options. */
struct conf_grant {
	char *text;
	/* Their own secrets, in place of those of the target. */
	struct conf_chap in, out;
};

struct conf_target {
	char *iqn;
	struct conf_lun *lun;
	size_t luns;
	struct conf_grant *allow;
	size_t allows;
	struct conf_chap in, out;
	char *write_log;	/* NULL: none */
	char *alias;		/* what people call it; NULL: nothing */
	char *redirect;		/* where to log in instead; NULL: here */
	int line;
};

enum unmap_when {
	UNMAP_AUTO,		/* when the LUN says that it is thin */
	UNMAP_OFF,
	UNMAP_ON,
};

struct conf_datastore {
	char *name, *lun, *mount;
	char *extent[SUPER_EXTENTS_MAX];	/* names of further LUNs */
	size_t extents;
	bool readonly, noauto;
	unsigned threads;	/* of its mount; 0: by processors */
	uint64_t map_cache;	/* bytes; 0: the default */
	bool no_io_uring;	/* requests of the mount by /dev/fuse */
	enum unmap_when unmap;	/* tell the LUN what is free ... */
	uint64_t unmap_rate;	/* ... so many bytes of it a second; 0: all */
	int line;
};

struct conf {
	char *host_name, *host_dir, *initiator;
	bool corosync;		/* tells who is gone; else the LUN alone */
	char *watchdog;		/* path or "process"; NULL: none */
	unsigned watchdog_ms;	/* 0: the default */
	unsigned guest_threads;	/* 0: by processors, unless ... */
	bool no_guest_threads;
	bool no_guest_busy_wait;
	char *control;
	char *portal[CONF_LIST_MAX];
	size_t portals;
	struct iscsi_limits limits;	/* 0: the default of each */
	bool no_busy_wait;		/* of the target's threads */
	struct conf_chap discovery_in, discovery_out;
	int discovery_line;
	struct conf_target *target;
	size_t targets;
	struct conf_datastore datastore[CONF_LIST_MAX];
	size_t datastores;
};

/*
 * Reads `in`, called `name` in messages.  -VMFS_ECONFIG with one sentence
 * "NAME:LINE: what is wrong, what is expected" in msg, nothing else changed;
 * -ENOMEM.  *ret_c is the caller's, conf_fini frees its content.
 */
int conf_read(FILE *in, const char *name, struct conf *ret_c,
    char msg[CONF_MESSAGE_SIZE]) MUST_CHECK;
/*
 * The same of a text; with `secrets`, a line each, instead of the files that it
 * names for them, one after the other.
 */
int conf_read_text(const char *text, const char *secrets, const char *name,
    struct conf *ret_c, char msg[CONF_MESSAGE_SIZE]) MUST_CHECK;
void conf_fini(struct conf *c);
/*
 * Room for one more entry of `size` bytes, zeroed, behind `count` of a list
 * above that is a pointer, at *list, which may move.  -ENOMEM.
 */
int conf_room(void *list, size_t count, size_t size) MUST_CHECK;
/* The content of single ones. */
void conf_target_fini(struct conf_target *t);
void conf_lun_fini(struct conf_lun *l);

/* True for what may stand as host or datastore name: 1 to 63 characters out
 * of letters, digits, '.', '_' and '-', the first no '.' or '-'. */
bool conf_name_ok(const char *name);
/* An iSCSI name (RFC 7143 4.2.7)? */
bool conf_iqn_ok(const char *name);
/* One address and port, whatever their groups are; both are portals.  Port 0
 * is another each time. */
bool conf_same_portal(const char *a, const char *b);

#endif
