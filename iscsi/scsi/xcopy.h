/* SPDX-License-Identifier: BSD-2-Clause */
/* Limits of EXTENDED COPY, told in several places. */
#ifndef VMFS_ISCSI_SCSI_XCOPY_H
#define VMFS_ISCSI_SCSI_XCOPY_H

#define COPY_TARGETS_MAX 8
#define COPY_SEGMENTS_MAX 16
#define COPY_LIST_MAX 4096		/* bytes of all descriptors */
#define COPY_CONCURRENT_MAX 64
#define COPY_SEGMENT_BLOCK 0x02		/* block device to block device */
#define COPY_TARGET_IDENT 0xe4		/* identification descriptor */

#endif
