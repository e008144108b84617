/* SPDX-License-Identifier: BSD-2-Clause */
/* FUSE requests on names, attributes and directories. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/mount_impl.h"
#include "libvmfs/base/cleanup.h"

static void
reply_entry(fuse_req_t req, const struct fs_attr *a, const char *name)
{
	struct fuse_mount *m = mount_of(req);
	struct fuse_entry_param e;

	name_hint_set(&m->hints, a->ino, name);
	attr_to_entry(m, a, &e);
	(void)fuse_reply_entry(req, &e);
}

void
op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_mount *m = mount_of(req);
	uint64_t dir = ino_of(m, parent);
	struct fs_attr a;
	int rc = fs_lookup(m->conf.fs, dir, name, &a);

	if (rc < 0)
		reply_error(req, rc, "lookup", dir, name, NULL);
	else
		reply_entry(req, &a, name);
}

int
node_attr(const struct fuse_mount *m, fuse_ino_t node, struct fs_attr *ret_a)
{
	struct fs_attr a;
	int rc = fs_getattr(m->conf.fs, ino_of(m, node), &a);

	if (rc == 0 && !node_means(node, a.generation))
		rc = -ESTALE;
	if (rc == 0)
		*ret_a = a;
	return rc;
}

/* Through the handle when there is one: the name may be gone. */
static int
get_attr(struct fuse_mount *m, fuse_ino_t node, struct fuse_file_info *fi,
    struct fs_attr *ret_a)
{
	const struct handle *h = handle_of(m, fi);

	if (h != NULL && h->file != NULL)
		return fs_file_attr(h->file, ret_a);
	return node_attr(m, node, ret_a);
}

static void
reply_attr(fuse_req_t req, const struct fs_attr *a)
{
	struct stat st;

	attr_to_stat(mount_of(req), a, &st);
	(void)fuse_reply_attr(req, &st, 0);
}

void
op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct fuse_mount *m = mount_of(req);
	struct handle *h = handle_of(m, fi);
	struct fs_attr a;
	int rc;

	if (h != NULL)
		handle_hold(request_of(req), h);
	rc = get_attr(m, node, fi, &a);

	if (rc < 0)
		reply_error(req, rc, "getattr", ino_of(m, node), NULL, NULL);
	else
		reply_attr(req, &a);
}

static unsigned
wanted_attr(struct fuse_mount *m, const struct stat *st, int to_set,
    struct fs_attr *ret_a)
{
	struct env *env = ds_env(fs_ds(m->conf.fs));
	uint64_t now = env->wall_us(env) * 1000;
	unsigned which = 0;

	*ret_a = (struct fs_attr){
		.mode = (uint16_t)(st->st_mode & 07777),
		.uid = st->st_uid,
		.gid = st->st_gid,
		.size = (uint64_t)st->st_size,
		.atime_ns = to_set & FUSE_SET_ATTR_ATIME_NOW ? now :
		    timespec_ns(&st->st_atim),
		.mtime_ns = to_set & FUSE_SET_ATTR_MTIME_NOW ? now :
		    timespec_ns(&st->st_mtim),
	};
	if (to_set & FUSE_SET_ATTR_MODE)
		which |= FS_SET_MODE;
	if (to_set & FUSE_SET_ATTR_UID)
		which |= FS_SET_UID;
	if (to_set & FUSE_SET_ATTR_GID)
		which |= FS_SET_GID;
	if (to_set & FUSE_SET_ATTR_SIZE)
		which |= FS_SET_SIZE;
	if (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW))
		which |= FS_SET_ATIME;
	if (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW))
		which |= FS_SET_MTIME;
	return which;
}

void
op_setattr(fuse_req_t req, fuse_ino_t node, struct stat *st, int to_set,
    struct fuse_file_info *fi)
{
	struct fuse_mount *m = mount_of(req);
	uint64_t ino = ino_of(m, node);
	struct lock_holder holder = { .mode = LOCK_FREE };
	struct patience p = { 0 };
	const struct request *r = request_of(req);
	struct fs_attr want, a;
	unsigned which = wanted_attr(m, st, to_set, &want);
	int rc = 0;

	if (request_was_written(r))
		which = 0;
	/* Not by its number when the handle is lost: others may have written
	 * the file since. */
	if ((which & FS_SET_SIZE) != 0 && fi != NULL) {
		struct handle *h = handle_get(req, fi);

		if (h == NULL)
			return;
		rc = content_truncate(req, h, want.size, &holder);
		which &= ~(unsigned)FS_SET_SIZE;
	}
	if (rc == 0 && which != 0)
		do {
			rc = node_attr(m, node, &a);
			if (rc == 0)
				rc = fs_setattr(m->conf.fs, ino, a.generation,
				    which, &want, &a, &holder);
		} while (patience_left(req, &p, rc));
	else if (rc == 0)
		rc = get_attr(m, node, fi, &a);
	rc = request_settle(r, rc);
	if (rc < 0) {
		reply_error(req, rc, "change", ino, NULL, &holder);
		return;
	}
	request_written(r);
	reply_attr(req, &a);
}

void
op_readlink(fuse_req_t req, fuse_ino_t node)
{
	struct fuse_mount *m = mount_of(req);
	char target[INODE_INLINE_MAX + 1];
	int rc = fs_readlink(m->conf.fs, ino_of(m, node), target,
	    sizeof(target));

	if (rc < 0)
		reply_error(req, rc, "readlink", ino_of(m, node), NULL, NULL);
	else
		(void)fuse_reply_readlink(req, target);
}

static int
made_before(fuse_req_t req, const struct change *c, struct fs_attr *ret_a)
{
	return fs_getattr(mount_of(req)->conf.fs, request_note(c->r)->ino,
	    ret_a);
}

static void
create_node(fuse_req_t req, fuse_ino_t parent, const char *name,
    enum inode_type type, mode_t mode)
{
	struct fuse_mount *m = mount_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	uint64_t dir = ino_of(m, parent);
	struct fs_attr a;
	struct change c;
	int rc = change_begin(req, &c) ? fs_create(m->conf.fs, dir, name, type,
	    (uint16_t)(mode & 07777), ctx->uid, ctx->gid, 0, &a) :
	    made_before(req, &c, &a);

	rc = change_end(&c, rc);
	if (rc < 0)
		reply_error(req, rc, "create", dir, name, NULL);
	else
		reply_entry(req, &a, name);
}

void
op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
    dev_t rdev)
{
	(void)rdev;
	if (!S_ISREG(mode)) {
		(void)fuse_reply_err(req, EPERM);
		return;
	}
	create_node(req, parent, name, INODE_FILE, mode);
}

void
op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	create_node(req, parent, name, INODE_DIR, mode);
}

void
op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
    const char *name)
{
	struct fuse_mount *m = mount_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	uint64_t dir = ino_of(m, parent);
	struct fs_attr a;
	struct change c;
	int rc = change_begin(req, &c) ? fs_symlink(m->conf.fs, dir, name,
	    target, ctx->uid, ctx->gid, &a) : made_before(req, &c, &a);

	rc = change_end(&c, rc);
	if (rc < 0)
		reply_error(req, rc, "symlink", dir, name, NULL);
	else
		reply_entry(req, &a, name);
}

void
op_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t new_parent,
    const char *new_name)
{
	struct fuse_mount *m = mount_of(req);
	struct lock_holder holder = { .mode = LOCK_FREE };
	uint64_t dir = ino_of(m, new_parent);
	struct patience p = { 0 };
	struct fs_attr a;
	struct change c;
	int rc;

	if (change_begin(req, &c))
		do {
			rc = node_attr(m, node, &a);
			if (rc == 0)
				rc = fs_link(m->conf.fs, a.ino, a.generation,
				    dir, new_name, &a, &holder);
		} while (patience_left(req, &p, rc));
	else
		rc = made_before(req, &c, &a);
	rc = change_end(&c, rc);
	if (rc == -EPERM)
		(void)fuse_reply_err(req, EPERM);
	else if (rc < 0)
		reply_error(req, rc, "link", dir, new_name, &holder);
	else
		reply_entry(req, &a, new_name);
}

static void
reply_done(fuse_req_t req, int rc, const char *what, uint64_t dir,
    const char *name, const struct lock_holder *holder)
{
	if (rc < 0)
		reply_error(req, rc, what, dir, name, holder);
	else
		(void)fuse_reply_err(req, 0);
}

void
op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_mount *m = mount_of(req);
	struct lock_holder holder = { .mode = LOCK_FREE };
	uint64_t dir = ino_of(m, parent);
	struct patience p = { 0 };
	struct change c;
	int rc = 0;

	if (change_begin(req, &c))
		do
			rc = fs_unlink(m->conf.fs, dir, name, &holder);
		while (patience_left(req, &p, rc));
	rc = change_end(&c, rc);
	reply_done(req, rc, "unlink", dir, name, &holder);
}

void
op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_mount *m = mount_of(req);
	struct lock_holder holder = { .mode = LOCK_FREE };
	uint64_t dir = ino_of(m, parent);
	struct change c;
	int rc = change_begin(req, &c) ? fs_rmdir(m->conf.fs, dir, name) : 0;

	rc = change_end(&c, rc);
	reply_done(req, rc, "rmdir", dir, name, &holder);
}

void
op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
    fuse_ino_t new_parent, const char *new_name, unsigned flags)
{
	struct fuse_mount *m = mount_of(req);
	struct lock_holder holder = { .mode = LOCK_FREE };
	uint64_t dir = ino_of(m, parent);
	struct patience p = { 0 };
	unsigned how = 0;
	struct change c;
	int rc = 0;

	if ((flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0) {
		(void)fuse_reply_err(req, EINVAL);
		return;
	}
	how |= flags & RENAME_NOREPLACE ? FS_RENAME_NOREPLACE : 0;
	how |= flags & RENAME_EXCHANGE ? FS_RENAME_EXCHANGE : 0;
	if (change_begin(req, &c))
		do
			rc = fs_rename(m->conf.fs, dir, name,
			    ino_of(m, new_parent), new_name, how, &holder);
		while (patience_left(req, &p, rc));
	rc = change_end(&c, rc);
	reply_done(req, rc, "rename", dir, name, &holder);
}

/* ---- directories ---- */

/* Cookies of the file system follow those of "." and "..". */
#define COOKIE_OFFSET 2u

struct dir_page {
	fuse_req_t req;
	char *buf;
	size_t size, used;
};

static bool
page_add(struct dir_page *p, const char *name, uint64_t ino, mode_t mode,
    uint64_t next)
{
	struct stat st = { .st_ino = ino, .st_mode = mode };
	size_t len = fuse_add_direntry(p->req, p->buf + p->used,
	    p->size - p->used, name, &st, (off_t)next);

	if (len > p->size - p->used)
		return false;
	p->used += len;
	return true;
}

static bool
page_add_entry(void *arg, const struct fs_dirent *e)
{
	struct dir_page *p = arg;
	struct fs_attr a = { .ino = e->ino, .type = e->type };
	struct stat st;

	attr_to_stat(mount_of(p->req), &a, &st);
	return page_add(p, e->name, st.st_ino, st.st_mode,
	    e->next + COOKIE_OFFSET);
}

void
op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	struct fuse_mount *m = mount_of(req);
	cleanup_free char *buf = malloc(size);
	struct dir_page p = { .req = req, .buf = buf, .size = size };
	uint64_t at = (uint64_t)off, ino = ino_of(m, node);
	struct fs_attr a;
	bool room = true;
	int rc;

	(void)fi;
	if (buf == NULL) {
		(void)fuse_reply_err(req, ENOMEM);
		return;
	}
	/* No look at permissions comes before this one, as before others. */
	rc = node_attr(m, node, &a);
	if (rc == 0 && at == 0)
		room = page_add(&p, ".", shown_ino(m, ino), S_IFDIR, ++at);
	/* The kernel finds the parent by itself; any number will do. */
	if (rc == 0 && room && at == 1)
		room = page_add(&p, "..", FUSE_ROOT_ID, S_IFDIR, ++at);
	if (rc == 0 && room)
		rc = fs_readdir(m->conf.fs, ino, at - COOKIE_OFFSET,
		    page_add_entry, &p);
	if (rc < 0 && p.used == 0)
		reply_error(req, rc, "readdir", ino, NULL, NULL);
	else
		(void)fuse_reply_buf(req, buf, p.used);
}

void
op_fsyncdir(fuse_req_t req, fuse_ino_t node, int datasync,
    struct fuse_file_info *fi)
{
	struct fuse_mount *m = mount_of(req);
	int rc = m->conf.readonly ? 0 : ds_commit(fs_ds(m->conf.fs));

	(void)datasync;
	(void)fi;
	reply_done(req, rc, "fsync", ino_of(m, node), NULL, NULL);
}

void
op_statfs(fuse_req_t req, fuse_ino_t node)
{
	struct fuse_mount *m = mount_of(req);
	struct statvfs st = {
		.f_bsize = CHUNK_SIZE,
		.f_frsize = BLOCK_SIZE,
		.f_namemax = 255,
	};
	struct fs_statfs s;
	int rc = fs_statfs(m->conf.fs, ino_of(m, node), &s);

	if (rc < 0) {
		reply_error(req, rc, "statfs", ino_of(m, node), NULL, NULL);
		return;
	}
	st.f_blocks = s.total_bytes / BLOCK_SIZE;
	st.f_bfree = st.f_bavail = s.free_bytes / BLOCK_SIZE;
	/* No table of inodes: each free block could become one. */
	st.f_ffree = st.f_favail = st.f_bfree;
	st.f_files = s.files + st.f_ffree;
	(void)fuse_reply_statfs(req, &st);
}
