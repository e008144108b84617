/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes of directory entries. */
#include <string.h>

#include "libvmfs/base/crc32c.h"
#include "libvmfs/format/dirent.h"
#include "libvmfs/format/inode.h"

uint32_t
dirent_hash(uint32_t seed, const char *name, size_t len)
{
	return crc32c(seed, name, len);
}

static bool
name_is_valid(const uint8_t *name, size_t len)
{
	return len > 0 && memchr(name, '/', len) == NULL &&
	    memchr(name, '\0', len) == NULL;
}

int
dirent_next(const uint8_t *data, size_t used, size_t *pos,
    struct dirent *ret_e)
{
	const struct dirent_disk *d = (const void *)(data + *pos);
	size_t size;

	if (*pos == used)
		return -ENOENT;
	if (*pos > used || used - *pos < sizeof(*d))
		return -VMFS_ECORRUPT;
	size = dirent_size(d->name_len);
	if (used - *pos < size || !name_is_valid(d->name, d->name_len) ||
	    !bytes_are_zero(d->name + d->name_len,
	    size - sizeof(*d) - d->name_len))
		return -VMFS_ECORRUPT;
	if (le64_get(d->ino) == 0 || d->type == INODE_FREE ||
	    d->type > INODE_SNAPSHOT ||
	    !bytes_are_zero(d->reserved, sizeof(d->reserved)))
		return -VMFS_ECORRUPT;
	*ret_e = (struct dirent) {
		.ino = le64_get(d->ino),
		.generation = le32_get(d->generation),
		.type = d->type,
		.name_len = d->name_len,
		.name = (const char *)d->name,
	};
	*pos += size;
	return 0;
}

void
dirent_put(uint8_t *data, size_t pos, const struct dirent *e)
{
	struct dirent_disk *d = (void *)(data + pos);

	memset(d, 0, dirent_size(e->name_len));
	d->ino = le64(e->ino);
	d->generation = le32(e->generation);
	d->type = (uint8_t)e->type;
	d->name_len = (uint8_t)e->name_len;
	memcpy(d->name, e->name, e->name_len);
}
