/* SPDX-License-Identifier: BSD-2-Clause */
/* Extended attributes: what is damaged is lost, nothing else knows it. */
#include "libvmfs/base/cleanup.h"
#include "libvmfs/check/check_priv.h"
#include "libvmfs/format/xattr.h"

static int
xattr_read(struct check *c, const struct inode_info *i,
    const struct check_todo *t, struct xattr_disk *buf)
{
	int rc;

	/* A snapshot's are its disk's. */
	if (i->type == INODE_SNAPSHOT)
		return -VMFS_ECORRUPT;
	rc = check_block(c, i->xattr, BLOCK_XATTR, buf);
	if (rc == 0)
		rc = xattr_check(buf);
	if (rc == 0 && (le64_get(buf->hdr.owner) != t->ino ||
	    check_mark_meta(c, i->xattr, BLOCK_XATTR, t->path) != MARK_NEW))
		rc = -VMFS_ECORRUPT;
	return rc;
}

int
check_xattrs(struct check *c, uint8_t *block, struct inode_info *i,
    const struct check_todo *t)
{
	cleanup_free struct xattr_disk *buf = disk_buf_alloc(BLOCK_SIZE);
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	if (i->xattr == 0)
		return 0;
	rc = xattr_read(c, i, t, buf);
	if (rc != -VMFS_ECORRUPT)
		return rc;
	check_report(c, CHECK_XATTR, CHECK_DAMAGE, i->xattr, c->conf->repair,
	    "the extended attributes of %s (block %llu) are damaged: they are "
	    "lost", t->path, (unsigned long long)i->xattr);
	if (!c->conf->repair)
		return 0;
	i->xattr = 0;
	return check_inode_put(c, t->ino, block, i);
}
