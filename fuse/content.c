/* SPDX-License-Identifier: BSD-2-Clause */
/* FUSE requests on open files. */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuse/cluster_lock.h"
#include "libvmfs/base/cleanup.h"

/* FOPEN_PARALLEL_DIRECT_WRITES of newer kernels; older ones ignore it. */
#define OPEN_PARALLEL_DIRECT_WRITES (1u << 6)

/*
 * libfuse 3.14 has no name for parallel direct writes, so the answer is put
 * together here.
 */
static struct fuse_open_out
open_out(const struct handle *h)
{
	return (struct fuse_open_out){
		.fh = h->number + 1,
		.open_flags = FOPEN_DIRECT_IO | OPEN_PARALLEL_DIRECT_WRITES,
	};
}

/* By the process before us, which could not tell. */
static struct handle *
opened_before(const struct request *r)
{
	return r->again ? handle_opened_by(r->mount, request_unique(r)) : NULL;
}

/* The kernel gave up the request: nobody will release the handle.  But of one
 * that was opened before it may have been told, and uses it. */
static void
opened(struct handle *h, bool before, int reply)
{
	if (reply == -ENOENT && !before)
		(void)handle_close(h);
}

void
op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct fuse_mount *m = mount_of(req);
	uint64_t ino = ino_of(m, node);
	struct lock_holder holder = { .mode = LOCK_FREE };
	struct request *r = request_of(req);
	struct handle *h = opened_before(r);
	bool before = h != NULL;
	struct fuse_open_out out;
	int rc = 0;

	if (h == NULL)
		rc = handle_open(req, node, fi->flags, request_unique(r), &h,
		    &holder);
	if (rc < 0) {
		reply_error(req, rc, "open for writing", ino, NULL, &holder);
		return;
	}
	out = open_out(h);
	opened(h, before, fuse_reply_buf(req, (const char *)&out,
	    sizeof(out)));
}

/*
 * Another host may create the name between the kernel's lookup and us.  Whether
 * this user may open that nobody has looked: the kernel walks there once more.
 */
static int
create_once(fuse_req_t req, uint64_t dir, const char *name, mode_t mode,
    int open_flags, struct fs_attr *ret_a)
{
	struct fuse_mount *m = mount_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	const struct request *r = request_of(req);
	struct fs_noting n;
	int rc;

	if (request_was_done(r))
		return fs_getattr(m->conf.fs, request_note(r)->ino, ret_a);
	fs_note_begin(m->conf.fs, &n, request_note(r));
	rc = fs_create(m->conf.fs, dir, name, INODE_FILE,
	    (uint16_t)(mode & 07777), ctx->uid, ctx->gid, 0, ret_a);
	fs_note_end(&n);
	return rc == -EEXIST && (open_flags & O_EXCL) == 0 ? -ESTALE : rc;
}

void
op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
    struct fuse_file_info *fi)
{
	struct fuse_mount *m = mount_of(req);
	uint64_t dir = ino_of(m, parent);
	struct lock_holder holder = { .mode = LOCK_FREE };
	struct fuse_file_info out = { .direct_io = 1 };
	struct fuse_entry_param e;
	struct request *r = request_of(req);
	struct handle *h = opened_before(r);
	bool before = h != NULL;
	struct fs_attr a;
	int rc = create_once(req, dir, name, mode, fi->flags, &a);

	/* Before there is a handle of it. */
	rc = request_settle(r, rc);
	if (rc == 0) {
		name_hint_set(&m->hints, a.ino, name);
		if (h == NULL)
			rc = handle_open(req, node_of(m, &a), fi->flags,
			    request_unique(r), &h, &holder);
	}
	if (rc < 0) {
		reply_error(req, rc, "create", dir, name, &holder);
		return;
	}
	attr_to_entry(m, &a, &e);
	out.fh = h->number + 1;
	opened(h, before, fuse_reply_create(req, &e, &out));
}

void
op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	struct handle *h = handle_get(req, fi);
	cleanup_free void *buf = NULL;
	struct fs_file *f;
	size_t got;
	int rc;

	(void)node;
	if (h == NULL)
		return;
	if (posix_memalign(&buf, BLOCK_SIZE, size) != 0) {
		(void)fuse_reply_err(req, ENOMEM);
		return;
	}
	rc = file_use(req, h, false, &f, NULL);
	if (rc == 0) {
		rc = fs_file_read(f, (uint64_t)off, buf, size, &got);
		file_done(h, f);
	}
	if (rc < 0) {
		reply_error(req, rc, "read", h->ino, NULL, NULL);
		return;
	}
	file_share(h);
	(void)fuse_reply_buf(req, buf, got);
}

/* The kernel leaves this to us when a write goes past its cache. */
static int
content_changes(fuse_req_t req, struct fs_file *f)
{
	return fuse_req_ctx(req)->uid == 0 ? 0 : fs_file_strip_ids(f);
}

int
content_truncate(fuse_req_t req, struct handle *h, uint64_t size,
    struct lock_holder *ret_holder)
{
	struct fs_file *f;
	int rc = file_use(req, h, true, &f, ret_holder);

	if (rc < 0)
		return rc;
	rc = content_changes(req, f);
	if (rc == 0)
		rc = fs_file_truncate(f, size);
	file_done(h, f);
	return rc;
}

/* A program that goes on all the same would fill the log. */
static void
refuse_write(fuse_req_t req, struct handle *h, int error, const char *what,
    const struct lock_holder *holder)
{
	bool told = h->told;

	h->told = error == -VMFS_ELOCKED;
	if (told && h->told)
		(void)fuse_reply_err(req, errno_of(error));
	else
		reply_error(req, error, what, h->ino, NULL, holder);
}

/* Done again, it goes where it went. */
static int
append(const struct request *r, struct handle *h, struct fs_file *f,
    const char *buf, size_t size, uint64_t off)
{
	struct append *a = &h->locks->append;
	struct fs_note *n = request_note(r);
	struct fs_attr attr;
	int rc = fs_file_attr(f, &attr);

	if (rc < 0)
		return rc;
	if (r->again && n->lsn == NOTE_OFFSET)
		append_again(a, off, size, n->ino);
	else
		n->ino = append_begin(a, off, size, attr.size);
	atomic_signal_fence(memory_order_seq_cst);
	n->lsn = NOTE_OFFSET;
	rc = fs_file_write(f, n->ino, buf, size);
	append_end(a);
	return rc;
}

void
op_write(fuse_req_t req, fuse_ino_t node, const char *buf, size_t size,
    off_t off, struct fuse_file_info *fi)
{
	const struct request *r = request_of(req);
	struct lock_holder holder = { .mode = LOCK_FREE };
	struct handle *h = handle_get(req, fi);
	struct fs_file *f;
	int rc;

	(void)node;
	if (h == NULL)
		return;
	if (request_was_written(r)) {
		(void)fuse_reply_write(req, size);
		return;
	}
	rc = file_use(req, h, true, &f, &holder);
	if (rc == 0) {
		rc = content_changes(req, f);
		if (rc == 0)
			rc = (fi->flags & O_APPEND) != 0 ?
			    append(r, h, f, buf, size, (uint64_t)off) :
			    fs_file_write(f, (uint64_t)off, buf, size);
		file_done(h, f);
	}
	rc = request_settle(r, rc);
	if (rc < 0) {
		refuse_write(req, h, rc, "write", &holder);
		return;
	}
	file_share(h);
	request_written(r);
	(void)fuse_reply_write(req, size);
}

static int
flush_handle(fuse_req_t req, struct handle *h, int (*flush)(struct fs_file *f))
{
	struct fs_file *f;
	int rc = file_use(req, h, false, &f, NULL);

	if (rc == 0) {
		rc = flush(f);
		file_done(h, f);
	}
	return rc;
}

static void
reply_flushed(fuse_req_t req, const struct handle *h, int rc)
{
	if (rc < 0)
		reply_error(req, rc, "flush", h->ino, NULL, NULL);
	else
		(void)fuse_reply_err(req, 0);
}

/* A close: who opens the file then, here or on another host, reads what was
 * written. */
void
op_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct handle *h = handle_get(req, fi);
	int rc;

	(void)node;
	if (h == NULL)
		return;
	rc = flush_handle(req, h, fs_file_publish);
	locks_flush(h, fi->lock_owner);
	reply_flushed(req, h, rc);
}

void
op_fsync(fuse_req_t req, fuse_ino_t node, int datasync,
    struct fuse_file_info *fi)
{
	struct handle *h = handle_get(req, fi);

	(void)node;
	(void)datasync;
	if (h != NULL)
		reply_flushed(req, h, flush_handle(req, h, fs_file_flush));
}

void
op_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct fuse_mount *m = mount_of(req);
	struct handle *h = handle_of(m, fi);
	int rc = 0;

	/* None: the process before us closed it, and could not tell. */
	if (h != NULL) {
		handle_release(h);
		rc = handle_close(h);
	}
	if (rc < 0)
		reply_error(req, rc, "close", ino_of(m, node), NULL, NULL);
	else
		(void)fuse_reply_err(req, 0);
}

/* fallocate without KEEP_SIZE grows the file, as its man page says. */
static int
grow_to(struct fs_file *f, uint64_t end)
{
	struct fs_attr a;
	int rc = fs_file_attr(f, &a);

	if (rc == 0 && a.size < end)
		rc = fs_file_truncate(f, end);
	return rc;
}

static int
allocate(struct fs_file *f, int mode, uint64_t offset, uint64_t length)
{
	int rc = 0;

	if ((mode & FALLOC_FL_KEEP_SIZE) == 0)
		rc = grow_to(f, offset + length);
	if (rc < 0)
		return rc;
	switch (mode & ~FALLOC_FL_KEEP_SIZE) {
	case 0:
		return fs_file_allocate(f, offset, length);
	case FALLOC_FL_PUNCH_HOLE:
	case FALLOC_FL_ZERO_RANGE:
		return fs_file_punch(f, offset, length);
	default:
		return -EOPNOTSUPP;
	}
}

void
op_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t offset,
    off_t length, struct fuse_file_info *fi)
{
	const struct request *r = request_of(req);
	struct lock_holder holder = { .mode = LOCK_FREE };
	struct handle *h = handle_get(req, fi);
	struct fs_file *f;
	int rc;

	(void)node;
	if (h == NULL)
		return;
	if (request_was_written(r)) {
		(void)fuse_reply_err(req, 0);
		return;
	}
	rc = file_use(req, h, true, &f, &holder);
	if (rc == 0) {
		rc = content_changes(req, f);
		if (rc == 0)
			rc = allocate(f, mode, (uint64_t)offset,
			    (uint64_t)length);
		file_done(h, f);
	}
	rc = request_settle(r, rc);
	if (rc < 0) {
		refuse_write(req, h, rc, "fallocate", &holder);
		return;
	}
	request_written(r);
	(void)fuse_reply_err(req, 0);
}

void
op_lseek(fuse_req_t req, fuse_ino_t node, off_t off, int whence,
    struct fuse_file_info *fi)
{
	struct handle *h = handle_get(req, fi);
	struct fs_file *f;
	uint64_t found = 0;
	int rc;

	(void)node;
	if (h == NULL)
		return;
	if (whence != SEEK_DATA && whence != SEEK_HOLE) {
		(void)fuse_reply_err(req, EINVAL);
		return;
	}
	rc = file_use(req, h, false, &f, NULL);
	if (rc == 0) {
		rc = fs_file_seek(f, (uint64_t)off, whence == SEEK_DATA,
		    &found);
		file_done(h, f);
	}
	if (rc < 0)
		reply_error(req, rc, "lseek", h->ino, NULL, NULL);
	else
		(void)fuse_reply_lseek(req, (off_t)found);
}
