/* SPDX-License-Identifier: BSD-2-Clause */
/* The public face of libvmfs: version and error codes. */
#ifndef VMFS_H
#define VMFS_H

#define VMFS_VERSION "0.1.0"

/*
 * Functions return 0 or a negative number: an errno value, or one of these
 * codes, which lie above every errno.  They are stable.
 */
enum vmfs_error {
	VMFS_ECORRUPT = 10001,	/* a block failed its checks */
	VMFS_EFENCED = 10002,	/* this incarnation lost its right to write */
	VMFS_ELOCKED = 10003,	/* another live host holds the lock */
	VMFS_EMISCOMPARE = 10004, /* compare-and-write found other bytes */
	VMFS_ELIMIT = 10005,	/* a limit of the format is reached */
	VMFS_ECONFLICT = 10006,	/* SCSI RESERVATION CONFLICT */
	VMFS_EUNKNOWN = 10007,	/* outcome of a command unknown: read back */
	VMFS_EATTENTION = 10008, /* unit attention; command was not executed */
	VMFS_EFEATURE = 10009,	/* feature bits this version does not know */
	VMFS_ENOTVMFS = 10010,	/* no datastore on this LUN */
	VMFS_EINUSE = 10011,	/* a live host or another owner uses this */
	VMFS_EAUTH = 10012,	/* log-in refused: user or secret wrong */
	VMFS_EGONE = 10013,	/* the LUN is permanently gone (PDL) */
	VMFS_ESTALE_VOLUME = 10014, /* replica: same UUID seen on two LUNs */
	VMFS_ECONFIG = 10015,	/* configuration line not understood */
	VMFS_EPROTO = 10016,	/* peer broke the protocol */
	VMFS_EEXTENT = 10017,	/* it lies on a LUN of the datastore that is
				 * not there */
	VMFS_EFURTHER = 10018,	/* a further LUN of a datastore, not its first */
	VMFS_EINITIATOR = 10019, /* the target does not allow the initiator */
	VMFS_ENOTARGET = 10020,	/* the portal has no such target */
};

/* Text for 0 or a negative code of either kind; never NULL, static storage. */
const char *vmfs_strerror(int error);

#endif
