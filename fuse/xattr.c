/* SPDX-License-Identifier: BSD-2-Clause */
/* FUSE requests on extended attributes. */
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "fuse/mount_impl.h"
#include "libvmfs/base/cleanup.h"

static void
reply_done(fuse_req_t req, int rc, const char *what, fuse_ino_t node,
    const struct lock_holder *holder)
{
	if (rc < 0)
		reply_error(req, rc, what, ino_of(mount_of(req), node), NULL,
		    holder);
	else
		(void)fuse_reply_err(req, 0);
}

void
op_setxattr(fuse_req_t req, fuse_ino_t node, const char *name,
    const char *value, size_t size, int flags)
{
	struct fuse_mount *m = mount_of(req);
	struct lock_holder holder = { .mode = LOCK_FREE };
	struct patience p = { 0 };
	unsigned how = 0;
	struct fs_attr a;
	struct change c;
	int rc = 0;

	how |= flags & XATTR_CREATE ? FS_XATTR_CREATE : 0;
	how |= flags & XATTR_REPLACE ? FS_XATTR_REPLACE : 0;
	if (change_begin(req, &c))
		do {
			rc = node_attr(m, node, &a);
			if (rc == 0)
				rc = fs_xattr_set(m->conf.fs, a.ino,
				    a.generation, name, value, size, how,
				    &holder);
		} while (patience_left(req, &p, rc));
	rc = change_end(&c, rc);
	reply_done(req, rc, "setxattr", node, &holder);
}

void
op_removexattr(fuse_req_t req, fuse_ino_t node, const char *name)
{
	struct fuse_mount *m = mount_of(req);
	struct lock_holder holder = { .mode = LOCK_FREE };
	struct patience p = { 0 };
	struct fs_attr a;
	struct change c;
	int rc = 0;

	if (change_begin(req, &c))
		do {
			rc = node_attr(m, node, &a);
			if (rc == 0)
				rc = fs_xattr_remove(m->conf.fs, a.ino,
				    a.generation, name, &holder);
		} while (patience_left(req, &p, rc));
	rc = change_end(&c, rc);
	reply_done(req, rc, "removexattr", node, &holder);
}

/* size 0: only how much there is. */
static void
reply_bytes(fuse_req_t req, const void *buf, size_t len, size_t size)
{
	if (size == 0)
		(void)fuse_reply_xattr(req, len);
	else
		(void)fuse_reply_buf(req, buf, len);
}

void
op_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size)
{
	struct fuse_mount *m = mount_of(req);
	cleanup_free char *buf = malloc(size + 1);
	size_t len = 0;
	int rc = buf == NULL ? -ENOMEM : fs_xattr_get(m->conf.fs,
	    ino_of(m, node), name, buf, size, &len);

	if (rc < 0)
		reply_done(req, rc, "getxattr", node, NULL);
	else
		reply_bytes(req, buf, len, size);
}

struct names {
	char *buf;
	size_t size, used;
	bool all;
};

static bool
add_name(void *arg, const char *name)
{
	struct names *n = arg;
	size_t len = strlen(name) + 1;

	/* As other file systems do: what only root may read. */
	if (!n->all && strncmp(name, "trusted.", 8) == 0)
		return true;
	if (n->used + len <= n->size)
		memcpy(n->buf + n->used, name, len);
	n->used += len;
	return true;
}

void
op_listxattr(fuse_req_t req, fuse_ino_t node, size_t size)
{
	struct fuse_mount *m = mount_of(req);
	cleanup_free char *buf = malloc(size + 1);
	struct names n = {
		.buf = buf, .size = size, .all = fuse_req_ctx(req)->uid == 0,
	};
	int rc = buf == NULL ? -ENOMEM : fs_xattr_list(m->conf.fs,
	    ino_of(m, node), add_name, &n);

	if (rc == 0 && size != 0 && n.used > size)
		rc = -ERANGE;
	if (rc < 0)
		reply_done(req, rc, "listxattr", node, NULL);
	else
		reply_bytes(req, buf, n.used, size);
}
