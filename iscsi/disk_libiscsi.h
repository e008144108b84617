/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The initiator: a LUN of an iSCSI target as a struct disk, on libiscsi.
 * The session belongs to the reactor that opened it; requests from other
 * reactors are handed over.  Automatic reconnect of the library is off: it
 * resends blindly.  After a lost connection requests in flight end with
 * -VMFS_EUNKNOWN, we log in again by ourselves and new requests wait for it
 * until their timeout.
 */
#ifndef VMFS_ISCSI_DISK_LIBISCSI_H
#define VMFS_ISCSI_DISK_LIBISCSI_H

#include <stdint.h>

#include "libvmfs/base/err.h"
#include "libvmfs/env/disk.h"
#include "libvmfs/env/env.h"

#define DISK_LIBISCSI_TIMEOUT_MS 8000

struct disk_libiscsi_conf {
	const char *initiator;	/* iqn; NULL: iqn.2026-11.io.vmfsd:<hostname> */
	uint64_t isid;		/* low 40 bits: 24 of "random" ISID, 16 of
				 * qualifier (RFC 7143 11.12.5); 0: drawn.  Two
				 * sessions of one host need different ones */
	uint32_t timeout_ms;	/* of one command; 0: 8000 */
};

/*
 * iscsi://[user[%secret]@]portal[:port][,portal[:port]].../iqn/lun, see
 * disk_libiscsi_url.h; several portals are paths to one LUN (mpath.h).  The
 * secret may also stand in the environment variable LIBISCSI_CHAP_PASSWORD or
 * be @file.  conf may be NULL.  Suspends.  -VMFS_EAUTH, -VMFS_EINITIATOR,
 * -VMFS_ENOTARGET, -ECONNREFUSED and other errors of connect(2), -ETIMEDOUT,
 * -ENXIO (no such LUN), -ENOTBLK (not a disk), -VMFS_EPROTO (not an iSCSI server), -EINVAL (not a URL),
 * -E2BIG (more than 8 portals), -EXDEV (portals of different LUNs).
 *
 * SIGPIPE is set to be ignored when nobody did anything about it: libiscsi
 * writes to its sockets without MSG_NOSIGNAL.
 */
int disk_libiscsi_open(struct env *env, const char *url,
    const struct disk_libiscsi_conf *conf, struct disk **ret_d) MUST_CHECK;

/* ---- any LUN by its name, wherever a LUN is expected ---- */

/* A path (regular file, block device) or an iscsi:// URL. */
int lun_open(struct env *env, const char *name, unsigned disk_open_flags,
    const struct disk_libiscsi_conf *conf, struct disk **ret_d) MUST_CHECK;

#endif
