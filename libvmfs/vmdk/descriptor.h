/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMDK descriptor files: `vm.vmdk`, createType "vmfs", naming one flat extent
 * `vm-flat.vmdk` (F11).
 */
#ifndef VMFS_VMDK_DESCRIPTOR_H
#define VMFS_VMDK_DESCRIPTOR_H

#include <stddef.h>
#include <stdint.h>

#include "libvmfs/base/err.h"

#define VMDK_KEY_SIZE 192

struct vmdk_descriptor {
	uint64_t size_bytes;	/* multiple of 512 */
	uint32_t cid;		/* content id, any number but 0xffffffff */
	char extent[256];	/* file name of the flat extent */
	const char *adapter;	/* "lsilogic", "ide"; NULL: "lsilogic" */
	/* How an encrypted disk's key is wrapped, as its maker writes it; "". */
	char key[VMDK_KEY_SIZE];
};

/* Text of the descriptor; -ENOSPC when buf is too small. */
int vmdk_descriptor_format(const struct vmdk_descriptor *d, char *buf,
    size_t size, size_t *ret_len) MUST_CHECK;
/* Parses one with a single flat or VMFS extent; -EINVAL otherwise. */
int vmdk_descriptor_parse(const char *text, size_t len,
    struct vmdk_descriptor *ret_d) MUST_CHECK;
/* "vm.vmdk" -> "vm-flat.vmdk"; -EINVAL when name lacks the suffix. */
int vmdk_flat_name(const char *name, char *buf, size_t size) MUST_CHECK;

#endif
