/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads and writes past the owner of the datastore (R2), and how an inode's
 * view is kept true: view.h says why that is safe.
 *
 * What may change of a file, and what keeps those out who are in its view:
 *
 *   where a written block lies, who shares it,   inode.content exclusive:
 *   the end, who may write                       the gate is closed
 *   the lock of this host ends                   gate closed, all forgotten
 *   blocks that were not written before          inode.map exclusive: the MiB
 *                                                is forgotten
 *   space that is given up is free for others    reads_drain
 *   part of a block is read, changed, written    gate closed
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "libvmfs/core/fs_impl.h"
#include "libvmfs/env/iobuf.h"

#define MIB_SIZE ((uint64_t)1 << MAP_L1_SHIFT)

/* ---- the owner ---- */

void
fast_pause(struct inode *ip)
{
	struct view *v = atomic_load(&ip->view);

	ip->closers++;
	if (v != NULL)
		view_close(v);
}

void
fast_resume(struct inode *ip)
{
	struct view *v = atomic_load(&ip->view);

	ip->closers--;
	if (v != NULL)
		view_open(v);
}

void
content_lock(struct inode *ip)
{
	fiber_rwlock_wrlock(&ip->content);
	fast_pause(ip);
	times_fold(ip);
}

void
content_unlock(struct inode *ip)
{
	struct view *v = atomic_load(&ip->view);

	if (v != NULL)
		view_set_size(v, ip->info.size);
	fast_resume(ip);
	fiber_rwlock_unlock(&ip->content);
}

void
map_lock(struct inode *ip, uint64_t off, uint64_t len)
{
	struct view *v = atomic_load(&ip->view);

	fiber_rwlock_wrlock(&ip->map);
	if (v != NULL && len > 0)
		view_forget(v, off, len);
}

void
map_unlock(struct inode *ip)
{
	fiber_rwlock_unlock(&ip->map);
}

void
fast_forget(struct inode *ip)
{
	struct view *v = atomic_load(&ip->view);

	if (v != NULL)
		view_forget(v, 0, UINT64_MAX);
}

void
reads_drain(struct inode *ip)
{
	while (ip->reads > 0)
		fiber_cond_wait(&ip->reads_cond);
	fast_pause(ip);
	fast_resume(ip);
}

void
times_fold(struct inode *ip)
{
	struct view *v = atomic_load(&ip->view);
	uint64_t us = v != NULL ? view_written(v) : 0;

	if (us == 0)
		return;
	ip->info.mtime_ns = ip->info.ctime_ns = us * 1000;
	ip->times_dirty = true;
}

/* Only what is large is worth a table, and what is as it lies. */
static struct view *
view_of(struct inode *ip)
{
	const struct inode_info *i = &ip->info;
	struct view *v = atomic_load(&ip->view);

	if (!cipher_fits(ip))
		return NULL;
	if (v != NULL || i->size < MIB_SIZE || (i->type != INODE_FILE &&
	    i->type != INODE_DISK && i->type != INODE_SNAPSHOT))
		return v;
	v = view_new(ds_env(ip->fs->ds)->sched, ds_cache(ip->fs->ds).max);
	if (v == NULL)
		return NULL;
	for (unsigned n = ip->closers; n > 0; n--)
		view_close(v);
	atomic_store(&ip->view, v);
	return v;
}

/* A write to a file takes away its set-id bits and what capabilities it has
 * among its attributes; a disk keeps them. */
static bool
may_be_written(const struct inode *ip, const struct map_chunk *c)
{
	return (ip->grant.mode == LOCK_EXCLUSIVE ||
	    ip->grant.mode == LOCK_MULTI_WRITER) &&
	    (ip->info.mode & (S_ISUID | S_ISGID)) == 0 &&
	    (ip->info.type != INODE_FILE || ip->info.xattr == 0) &&
	    c->birth > ip->info.snap_epoch &&
	    !fs_is_damaged(ip->fs, ip->ino);
}

void
fast_learn(struct inode *ip, uint64_t off, const struct map_view *m)
{
	struct view_entry e = { .state = m->state, .c = m->c };
	struct view *v = ip->grant.mode != LOCK_FREE ? view_of(ip) : NULL;

	if (v == NULL)
		return;
	if (m->state == MAP_HUGE)
		e.c.own -= off / CHUNK_SIZE % CHUNK_BLOCKS;
	e.writable = may_be_written(ip, &m->c);
	view_set_size(v, ip->info.size);
	view_set_generation(v, ip->info.generation);
	view_learn(v, off, &e);
}

/* ---- any thread ---- */

struct fast {
	struct disk_req *req;
	void (*again)(struct disk_req *req);
	struct inode *ip;
	struct view *view;
	struct meter *meter;
	struct meter_io io;
	struct env *env;
	bool touches;			/* its end is when it was written */
	int error;
	unsigned left;
	/* What the LUN gets of it, or gives: the request's, or where the
	 * blocks of an encrypted disk are that it writes. */
	struct iovec *data;
	int n_data;
	struct iovec secret;		/* base NULL: there are none */
	size_t secret_size;
	struct disk *lun;
	struct view_part *where;	/* behind the parts ... */
	unsigned count;
	struct iovec *iov;		/* and those, if there are many */
	struct disk_req part[];
};

static void
fast_free(struct fast *x)
{
	iobuf_put(x->secret.iov_base, x->secret_size);
	free(x);
}

static void
fast_end(struct fast *x)
{
	struct disk_req *req = x->req;
	void (*again)(struct disk_req *) = x->again;
	int error = x->error;

	if (error == 0 && x->touches)
		view_wrote(x->view, x->env->wall_us(x->env));
	view_leave(x->view);
	if (error == 0)
		meter_end(x->meter, &x->io, req->op == DISK_WRITE, req->length,
		    0);
	else
		meter_undo(x->meter, &x->io);
	fast_free(x);
	/* What went wrong is looked into on the owner's way. */
	if (error != 0) {
		again(req);
		return;
	}
	req->result = 0;
	req->done(req);
}

/* In place: nobody looks there before the request is done. */
static int
part_decrypt(struct fast *x, const struct disk_req *part)
{
	uint64_t off = x->req->offset;

	for (const struct disk_req *p = x->part; p < part; p++)
		off += p->length;
	return cipher_decrypt_iov(x->ip, off, part->iov, part->iovcnt, 0,
	    part->length);
}

static void
all_decrypted(void *arg, int error)
{
	struct fast *x = arg;

	x->error = error;
	fast_end(x);
}

/* A long one in one part. */
static bool
share_decrypt(struct fast *x, const struct disk_req *part)
{
	return part->length == x->req->length && cipher_share(x->ip,
	    x->req->offset, part->iov, part->iovcnt, NULL, part->length,
	    all_decrypted, x);
}

static void
part_done(struct disk_req *part)
{
	struct fast *x = part->arg;
	int r = part->result;

	if (r == 0 && part->op == DISK_READ && x->ip->cipher != NULL) {
		if (share_decrypt(x, part))
			return;
		r = part_decrypt(x, part);
	}
	if (r != 0)
		x->error = r;
	if (--x->left == 0)
		fast_end(x);
}

/* [off, off + len) of the data as *iov..; how many. */
static int
iov_slice(const struct fast *x, uint64_t off, uint64_t len, struct iovec *iov)
{
	int n = 0;

	for (int i = 0; i < x->n_data && len > 0; i++) {
		const struct iovec *v = &x->data[i];
		size_t take;

		if (off >= v->iov_len) {
			off -= v->iov_len;
			continue;
		}
		take = v->iov_len - (size_t)off;
		take = take < len ? take : (size_t)len;
		iov[n++] = (struct iovec){ (char *)v->iov_base + off, take };
		len -= take;
		off = 0;
	}
	return n;
}

static void
submit_parts(struct fast *x)
{
	const struct view_part *part = x->where;
	const struct disk_req *req = x->req;
	unsigned count = x->count;
	struct iovec *iov = x->iov;
	uint64_t at = 0;

	/* None is done before all are submitted: that is later at any rate. */
	for (unsigned i = 0; i < count; at += part[i++].len) {
		struct disk_req *p = &x->part[i];

		*p = (struct disk_req){
			.op = req->op, .offset = part[i].phys,
			.length = part[i].len, .iov = x->data,
			.iovcnt = x->n_data, .done = part_done, .arg = x,
		};
		if (count > 1) {
			p->iov = iov;
			p->iovcnt = iov_slice(x, at, part[i].len, iov);
			iov += p->iovcnt;
		}
		if (part[i].data) {
			x->left++;
			disk_submit(x->lun, p);
			continue;
		}
		for (int k = 0; k < p->iovcnt; k++)
			memset(p->iov[k].iov_base, 0, p->iov[k].iov_len);
	}
}

/* Whole sectors of the LUN, in memory that it can use as it is. */
static bool
fits(const struct disk_info *i, const struct disk_req *req)
{
	uint64_t bits = req->offset | req->length;

	if (req->length == 0 || (i->max_transfer != 0 &&
	    req->length > i->max_transfer))
		return false;
	for (int k = 0; k < req->iovcnt; k++)
		bits |= (uintptr_t)req->iov[k].iov_base | req->iov[k].iov_len;
	return (bits & (i->block_size - 1)) == 0;
}

static bool
allowed(const struct fs_file *f, const struct disk_req *req)
{
	if (req->flags != 0)
		return false;
	if (req->op == DISK_READ)
		return true;
	return req->op == DISK_WRITE && (f->flags & FS_WRITE) != 0 &&
	    ds_health(f->fs->ds) == 0;
}

static void
all_zeroes(struct disk_req *req)
{
	for (int k = 0; k < req->iovcnt; k++)
		memset(req->iov[k].iov_base, 0, req->iov[k].iov_len);
}

static struct fast *
fast_new(struct disk_req *req, const struct view_part *part, unsigned count)
{
	size_t parts = count * (sizeof(struct disk_req) + sizeof(*part));
	size_t iovs = count == 1 ? 0 :
	    ((size_t)req->iovcnt + count) * sizeof(struct iovec);
	struct fast *x = malloc(sizeof(*x) + parts + iovs);

	if (x == NULL)
		return NULL;
	*x = (struct fast){
		.req = req, .data = req->iov, .n_data = req->iovcnt,
		.where = (void *)&x->part[count], .count = count,
	};
	x->iov = (void *)&x->where[count];
	memcpy(x->where, part, count * sizeof(*part));
	return x;
}

static void
all_encrypted(void *arg, int error)
{
	struct fast *x = arg;

	x->error = error;
	if (error != 0)
		fast_end(x);
	else
		submit_parts(x);
}

/* Not in place: what is to be written is the guest's. */
static bool
encrypt_submit(struct fast *x)
{
	const struct disk_req *req = x->req;
	struct iovec *s = &x->secret;

	s->iov_base = iobuf_get(req->length, &x->secret_size);
	if (s->iov_base == NULL)
		return false;
	s->iov_len = req->length;
	x->data = s;
	x->n_data = 1;
	if (cipher_share(x->ip, req->offset, req->iov, req->iovcnt,
	    s->iov_base, req->length, all_encrypted, x))
		return true;
	if (cipher_encrypt_iov(x->ip, req->offset, req->iov, req->iovcnt, 0,
	    s->iov_base, req->length) != 0)
		return false;
	submit_parts(x);
	return true;
}

/* Blocks of encrypted disks are turned as a whole. */
static bool
turns(const struct inode *ip, const struct disk_req *req)
{
	return ip->cipher == NULL ||
	    (req->offset | req->length) % BLOCK_SIZE == 0;
}

/* In the view.  False: it is not known there. */
static bool
fast_begin(struct fs_file *f, struct disk_req *req,
    void (*again)(struct disk_req *req), struct view *v,
    const struct meter_io *io)
{
	struct view_part part[VIEW_PARTS_MAX];
	struct fast *x;
	unsigned count = view_find(v, req->offset, req->length,
	    req->op == DISK_WRITE, part);

	/* Looked at after what was found: see fast_learn. */
	if (view_generation(v) != f->generation)
		return false;
	if (count == 1 && !part[0].data) {
		/* No disk is asked that would see that we slept. */
		if (!disk_is_current(ds_disk(f->fs->ds)))
			return false;
		view_leave(v);
		all_zeroes(req);
		meter_end(f->ip->meter, io, false, req->length, 0);
		req->home = sched_current();
		disk_complete(req, 0);
		return true;
	}
	/* Seen after the entry: what that came from may die with us, and the
	 * owner sees to it before it acknowledges (ds_soften). */
	if (req->op == DISK_WRITE && ds_is_behind(f->fs->ds))
		return false;
	x = count > 0 && turns(f->ip, req) ? fast_new(req, part, count) :
	    NULL;
	if (x == NULL)
		return false;
	x->ip = f->ip;
	x->lun = ds_disk(f->fs->ds);
	x->again = again;
	x->view = v;
	x->meter = f->ip->meter;
	x->io = *io;
	x->env = ds_env(f->fs->ds);
	x->touches = req->op == DISK_WRITE && f->mode == LOCK_EXCLUSIVE;
	if (req->op == DISK_READ || x->ip->cipher == NULL) {
		submit_parts(x);
		return true;
	}
	if (encrypt_submit(x))
		return true;
	fast_free(x);
	return false;
}

bool
fs_file_fast(struct fs_file *f, struct disk_req *req,
    void (*again)(struct disk_req *req))
{
	struct view *v = atomic_load(&f->ip->view);
	struct meter *m = f->ip->meter;
	struct meter_io io;

	if (v == NULL || !allowed(f, req) ||
	    !fits(&ds_disk(f->fs->ds)->info, req) ||
	    !meter_try(m, &io))
		return false;
	if (view_enter(v)) {
		if (fast_begin(f, req, again, v, &io))
			return true;
		view_leave(v);
	}
	meter_undo(m, &io);
	return false;
}
