/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks for clients of the Network Block Device protocol (qemu-img, nbdcopy,
 * backup programs, hypervisors): a server listens at one place and has a list
 * of exports, each a disk with a name.
 *
 * Any number of clients may have an export, each with several connections.
 * Everything runs on the scheduler that started the server; disks must take
 * requests from there.
 */
#ifndef VMFS_NBD_SERVER_H
#define VMFS_NBD_SERVER_H

#include "libvmfs/base/log.h"
#include "libvmfs/env/disk.h"

#define NBD_WHY_SIZE 512

struct nbd_server;
struct nbd_export;

struct nbd_server_conf {
	/* "/path" of a socket for the owner alone, or "addr:port"; port 0 is
	 * any that is free. */
	const char *listen;
	/* Directory of what TLS needs (tls.h): nobody is served without.
	 * NULL: nobody is served with. */
	const char *tls;
	struct log *log;
	uint64_t handshake_ns;	/* a client has so long; 0: 10 s */
	unsigned clients_max;	/* connections; 0: 64 */
};

/* Copies conf.  On failure why (NBD_WHY_SIZE) is a sentence.  Suspends. */
int nbd_server_start(const struct nbd_server_conf *conf,
    struct nbd_server **ret_s, char *why) MUST_CHECK;
/* Where it listens: conf.listen with the real port. */
const char *nbd_server_addr(const struct nbd_server *s);
/* It must have no exports.  Suspends.  NULL is fine. */
void nbd_server_stop(struct nbd_server *s);

/* ---- what contexts beyond base:allocation tell ---- */

/* Extents of a range, in the client's order of bytes. */
struct nbd_map;
/* Adds a piece behind those that are there; false: it took less than that,
 * and takes no more. */
bool nbd_map_add(struct nbd_map *m, uint64_t length, uint32_t flags);

/* All of them suspend. */
struct nbd_contexts {
	/* Calls fn for the name of each. */
	int (*list)(void *arg, void (*fn)(void *fn_arg, const char *name),
	    void *fn_arg);
	/* A client has chosen one: -ENOENT when there is none of that name.
	 * close follows while the export is there. */
	int (*open)(void *arg, const char *name, void **ret_context);
	void (*close)(void *context);
	/*
	 * Tells about a range, from its beginning on, as far as the map takes
	 * it.  -EAGAIN: it changed meanwhile.
	 */
	int (*status)(void *context, uint64_t offset, uint64_t length,
	    struct nbd_map *m);
};

/* ---- exports ---- */

struct nbd_export_conf {
	const char *name;
	const char *description;	/* for people */
	struct disk *disk;		/* borrowed */
	bool readonly;
	const struct nbd_contexts *contexts;	/* NULL: none of its own */
	void *arg;			/* theirs */
};

/* Copies the texts.  -EEXIST: there is one of that name.  Does not suspend. */
int nbd_export_add(struct nbd_server *s, const struct nbd_export_conf *conf,
    struct nbd_export **ret_e) MUST_CHECK;
/* Disconnects its clients; when it returns none uses the disk any more.
 * Suspends.  NULL is fine. */
void nbd_export_remove(struct nbd_export *e);

struct nbd_export_info {
	unsigned clients;			/* connections */
	uint64_t reads, writes, others;		/* requests done */
	uint64_t read_bytes, written_bytes;
	uint64_t errors;			/* of them failed */
};
/* Any thread. */
struct nbd_export_info nbd_export_info(const struct nbd_export *e);

#endif
