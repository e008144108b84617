/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes of extended attributes. */
#include <string.h>

#include "libvmfs/format/xattr.h"

int
xattr_next(const uint8_t *data, size_t used, size_t *pos, struct xattr *ret_x)
{
	const struct xattr_entry_disk *d = (const void *)(data + *pos);
	size_t size;

	if (*pos == used)
		return -ENOENT;
	if (*pos > used || used - *pos < sizeof(*d))
		return -VMFS_ECORRUPT;
	size = xattr_size(d->name_len, le16_get(d->value_len));
	if (used - *pos < size || d->name_len == 0 || d->reserved != 0 ||
	    memchr(d->bytes, '\0', d->name_len) != NULL)
		return -VMFS_ECORRUPT;
	*ret_x = (struct xattr){
		.name = (const char *)d->bytes, .name_len = d->name_len,
		.value = d->bytes + d->name_len,
		.value_len = le16_get(d->value_len),
	};
	*pos += size;
	return 0;
}

void
xattr_put(uint8_t *data, size_t pos, const struct xattr *x)
{
	struct xattr_entry_disk *d = (void *)(data + pos);

	d->value_len = le16((uint16_t)x->value_len);
	d->name_len = (uint8_t)x->name_len;
	d->reserved = 0;
	memcpy(d->bytes, x->name, x->name_len);
	if (x->value_len > 0)
		memcpy(d->bytes + x->name_len, x->value, x->value_len);
}

int
xattr_check(const void *block)
{
	const struct xattr_disk *d = block;
	size_t used = le16_get(d->used), pos = 0;
	struct xattr x;
	int r;

	if (used > XATTR_ROOM ||
	    !bytes_are_zero(d->reserved, sizeof(d->reserved)) ||
	    !bytes_are_zero(d->data + used, XATTR_ROOM - used))
		return -VMFS_ECORRUPT;
	while ((r = xattr_next(d->data, used, &pos, &x)) == 0)
		;
	return r == -ENOENT ? 0 : r;
}
