/* SPDX-License-Identifier: BSD-2-Clause */
/* Magic numbers of file systems, volume managers and partition tables. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mkfs/probe.h"

struct magic {
	size_t offset;
	const char *bytes;
	size_t length;
	const char *name;
};

#define MAGIC(offset, bytes, name) { offset, bytes, sizeof(bytes) - 1, name }

/* A boot sector's signature comes last: many of the others carry it too. */
static const struct magic magics[] = {
	MAGIC(0x438, "\x53\xef", "ext2/3/4 file system"),
	MAGIC(0, "XFSB", "XFS file system"),
	MAGIC(0x10040, "_BHRfS_M", "btrfs file system"),
	MAGIC(0, "LABELONE", "LVM physical volume"),
	MAGIC(0x200, "LABELONE", "LVM physical volume"),
	MAGIC(0x400, "LABELONE", "LVM physical volume"),
	MAGIC(0x600, "LABELONE", "LVM physical volume"),
	MAGIC(0, "LUKS\xba\xbe", "LUKS encrypted volume"),
	MAGIC(4086, "SWAPSPACE2", "swap space"),
	MAGIC(4086, "SWAP-SPACE", "swap space"),
	MAGIC(0x100000, "\x0d\xd0\x01\xc0", "VMFS datastore of VMware"),
	MAGIC(3, "NTFS    ", "NTFS file system"),
	MAGIC(3, "EXFAT   ", "exFAT file system"),
	MAGIC(54, "FAT1", "FAT file system"),
	MAGIC(82, "FAT32", "FAT file system"),
	MAGIC(0x1000, "\xfc\x4e\x2b\xa9", "Linux RAID member"),
	MAGIC(0, "\xfc\x4e\x2b\xa9", "Linux RAID member"),
	MAGIC(0x400, "\x10\x20\xf5\xf2", "F2FS file system"),
	MAGIC(0x10000, "\x01\x16\x19\x70", "GFS2 file system"),
	MAGIC(0x400, "OCFSV2", "OCFS2 file system"),
	MAGIC(0x800, "OCFSV2", "OCFS2 file system"),
	MAGIC(0x1000, "OCFSV2", "OCFS2 file system"),
	MAGIC(0x2000, "OCFSV2", "OCFS2 file system"),
	MAGIC(0x10034, "ReIsEr", "ReiserFS file system"),
	MAGIC(0x8001, "CD001", "ISO 9660 file system"),
	MAGIC(0x1018, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca", "bcache device"),
	MAGIC(0x1018, "\xc6\x85\x73\xf6\x66\xce\x90\xa9",
	    "bcachefs file system"),
	MAGIC(0, "bluestore block device", "Ceph BlueStore device"),
	MAGIC(0, "QFI\xfb", "QEMU disk image"),
	MAGIC(0, "KDMV", "VMDK disk image"),
	MAGIC(0, "conectix", "VHD disk image"),
	MAGIC(0, "vhdxfile", "VHDX disk image"),
	MAGIC(0x200, "EFI PART", "GPT partition table"),
	MAGIC(0x1000, "EFI PART", "GPT partition table"),
	MAGIC(0x1fe, "\x55\xaa", "MBR partition table or boot sector"),
};

/* ZFS keeps 128 uberblocks of either byte order in a label. */
static bool
has_zfs_label(const unsigned char *buf, size_t len)
{
	static const unsigned char big[] = { 0, 0, 0, 0, 0, 0xba, 0xb1, 0x0c };
	static const unsigned char little[] = { 0x0c, 0xb1, 0xba, 0, 0, 0, 0,
		0 };

	for (size_t at = 0x20000; at + 1024 <= len && at < 0x40000; at += 1024)
		if (memcmp(buf + at, big, sizeof(big)) == 0 ||
		    memcmp(buf + at, little, sizeof(little)) == 0)
			return true;
	return false;
}

/*
 * Name of what the first `len` bytes of a LUN look like, "ext2/3/4 file
 * system" ..., NULL for nothing known.  Does not suspend.
 */
static const char *
probe_bytes(const unsigned char *buf, size_t len)
{
	if (has_zfs_label(buf, len))
		return "ZFS pool member";
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		const struct magic *m = &magics[i];

		if (m->offset + m->length <= len &&
		    memcmp(buf + m->offset, m->bytes, m->length) == 0)
			return m->name;
	}
	return NULL;
}

int
probe_disk(struct disk *d, const char **ret_what)
{
	size_t len = d->info.size_bytes < PROBE_BYTES ?
	    (size_t)d->info.size_bytes : PROBE_BYTES;
	unsigned char *buf = disk_buf_alloc(len);
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	rc = disk_read(d, 0, buf, len);
	if (rc == 0)
		*ret_what = probe_bytes(buf, len);
	free(buf);
	return rc;
}
