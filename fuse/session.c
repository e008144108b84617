/* SPDX-License-Identifier: BSD-2-Clause */
/* Mounting, running requests as fibers of the owner, unmounting. */
#include <sys/mount.h>
/* Linux's unit of buffers; ours is in libvmfs/format/layout.h. */
#undef BLOCK_SIZE

#include <fcntl.h>
#include <limits.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuse/mount_impl.h"

#define DEAD_MOUNTS_MAX 8	/* one over the other */
/* In the unique of a request: it is the one to interrupt that. */
#define INTERRUPTED 1u

static void
op_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	/* Splice would put data where a disk cannot write it from. */
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
	    FUSE_CAP_SPLICE_MOVE);
	/* The kernel clears set-id bits by setattr. */
	conn->want &= ~(unsigned)FUSE_CAP_HANDLE_KILLPRIV;
	conn->max_background = 128;
	conn->congestion_threshold = 96;
}

static const struct fuse_lowlevel_ops ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.symlink = op_symlink,
	.link = op_link,
	.setxattr = op_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.rename = op_rename,
	.readdir = op_readdir,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.create = op_create,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.fsync = op_fsync,
	.release = op_release,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.getlk = op_getlk,
	.setlk = op_setlk,
	.flock = op_flock,
};

/* ---- requests ---- */

uint64_t
request_unique(const struct request *r)
{
	return request_header(r)->unique;
}

struct fs_note *
request_note(const struct request *r)
{
	return r->note;
}

bool
request_was_done(const struct request *r)
{
	const struct fs_note *n = request_note(r);

	return r->again && n->lsn != 0 && n->lsn < r->mount->conf.replayed_lsn;
}

int
request_settle(const struct request *r, int rc)
{
	return rc < 0 ? rc : ds_soften(fs_ds(r->mount->conf.fs));
}

void
request_written(const struct request *r)
{
	atomic_signal_fence(memory_order_seq_cst);
	request_note(r)->lsn = NOTE_WRITTEN;
	atomic_signal_fence(memory_order_seq_cst);
}

bool
request_was_written(const struct request *r)
{
	return r->again && request_note(r)->lsn == NOTE_WRITTEN;
}

void
active_put(struct fuse_mount *m)
{
	if (--m->active == 0)
		fiber_cond_broadcast(&m->quiet);
}

static void
request_fiber(void *arg)
{
	struct request *r = arg;
	struct fuse_mount *m = r->mount;

	m->current = r;
	r->fiber = fiber_self();
	fuse_session_process_buf(m->se, &r->buf);
	r->fiber = NULL;
	patience_end(r);
	handle_done(r);
	request_put(r);
	active_put(m);
}

/* Nobody waits for an answer to these. */
static bool
is_silent(const struct request *r)
{
	uint32_t op = request_header(r)->opcode;

	return op == FUSE_FORGET || op == FUSE_BATCH_FORGET ||
	    op == FUSE_INTERRUPT;
}

void
request_refuse(struct request *r, int error)
{
	const struct fuse_out_header out = {
		.len = sizeof(out), .error = -error,
		.unique = request_unique(r),
	};
	const struct iovec iov = { (void *)(uintptr_t)&out, sizeof(out) };

	if (r->entry != NULL)
		(void)ring_answer(r, &iov, 1);
	else if (!is_silent(r))
		(void)!write(fuse_session_fd(r->mount->se), &out, sizeof(out));
	request_put(r);
}

void
request_run(struct request *r)
{
	r->mount->active++;
	if (r->entry != NULL)
		list_add_tail(&r->mount->ringing, &r->node);
	if (sched_spawn(sched_current(), "fuse", request_fiber, r) == 0)
		return;
	/* No stack: run it here, later requests wait for it. */
	if (fiber_self() != NULL) {
		request_fiber(r);
		return;
	}
	request_refuse(r, ENOMEM);
	active_put(r->mount);
}

/* ---- where another has ended ---- */

/* Done again where nobody knows whether it was done. */
static bool
does_no_harm(const struct request *r)
{
	return r->mount->conf.readonly ||
	    request_header(r)->opcode == FUSE_RELEASE;
}

/* The kernel tells of a signal once, which the dead process may have known; if
 * there was one, it tells again when it hears that it was too early. */
static void
interrupt_again(const struct request *r)
{
	const struct fuse_out_header out = {
		.len = sizeof(out), .error = -EAGAIN,
		.unique = request_unique(r) | INTERRUPTED,
	};

	(void)!write(fuse_session_fd(r->mount->se), &out, sizeof(out));
}

/* Requests that it had read and not answered. */
static void
requests_again(struct fuse_mount *m)
{
	unsigned left[FUSE_KEEP_REQUESTS];
	unsigned n = fuse_keep_left(m->conf.keep, left);

	if (n > 0)
		log_info(m->log, "fuse: %s: requests begun before: %u",
		    m->datastore, n);
	for (unsigned i = 0; i < n; i++) {
		struct request *r = &m->request[left[i]];

		list_del(&r->node);
		r->reader->busy++;
		r->buf.size = request_header(r)->len;
		r->again = true;
		interrupt_again(r);
		if (m->conf.resumed || does_no_harm(r))
			request_run(r);
		else
			request_refuse(r, EIO);
	}
}

/* The library must think that it has been asked; nobody waits for its answer
 * unless that was never given. */
static void
init_again(struct fuse_mount *m)
{
	struct fuse_keep *k = m->conf.keep;
	struct fuse_buf buf = { .mem = k->init };

	fuse_keep_find_init(k);
	buf.size = atomic_load(&k->init_size);
	if (buf.size > 0 && buf.size <= sizeof(k->init))
		fuse_session_process_buf(m->se, &buf);
}

int
fuse_mount_serve(struct fuse_mount *m)
{
	int rc = 0;

	/* Whatever comes of it, none of them ends the mount by its end. */
	m->active++;
	rc = readers_start(m);
	if (rc == 0 && m->conf.fd >= 0) {
		init_again(m);
		rc = handles_restore(m);
		if (rc == 0)
			requests_again(m);
	}
	if (rc == 0) {
		readers_go(m);
		m->serving = true;
	}
	active_put(m);
	return rc;
}

/* ---- life ---- */

static int
session_take_over(struct fuse_mount *m)
{
	int fd = fcntl(m->conf.fd, F_DUPFD_CLOEXEC, 0), rc;
	char path[32];

	if (fd < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	rc = fuse_session_mount(m->se, path);
	if (rc != 0)
		(void)close(fd);
	return rc != 0 ? -EIO : 0;
}

static int
session_mount(struct fuse_mount *m)
{
	char fsname[160];
	char *argv[] = { "vmfsd", "-o", fsname, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	int fd, flags, rc;

	(void)snprintf(fsname, sizeof(fsname), "allow_other,"
	    "default_permissions,subtype=vmfs,fsname=%s%s", m->datastore,
	    m->conf.readonly ? ",ro" : "");
	m->se = fuse_session_new(&args, &ops, sizeof(ops), m);
	fuse_opt_free_args(&args);
	if (m->se == NULL)
		return -ENOMEM;
	rc = m->conf.fd >= 0 ? session_take_over(m) :
	    fuse_session_mount(m->se, m->dir) != 0 ? -EIO : 0;
	if (rc < 0)
		return rc;
	fd = fuse_session_fd(m->se);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return m->conf.io_uring && m->conf.fd < 0 ? ring_prepare(m) : 0;
}

/* A FUSE mount whose process was killed stays, and can serve nobody. */
static int
stat_past_the_dead(const char *dir, struct stat *ret_st)
{
	for (int i = 0; stat(dir, ret_st) < 0; i++) {
		/* It ends only now. */
		if (errno == ECONNABORTED && i < DEAD_MOUNTS_MAX)
			continue;
		if (errno != ENOTCONN || i == DEAD_MOUNTS_MAX ||
		    umount2(dir, MNT_DETACH) < 0)
			return -errno;
	}
	return 0;
}

/* What mount(2) would say less clearly. */
static int
check_dir(const char *dir)
{
	struct stat st, up;
	char parent[PATH_MAX + 4];
	int rc = stat_past_the_dead(dir, &st);

	if (rc < 0)
		return rc;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	(void)snprintf(parent, sizeof(parent), "%s/..", dir);
	if (stat(parent, &up) == 0 && up.st_dev != st.st_dev)
		return -EBUSY;
	return 0;
}

int
fuse_mount_new(const struct fuse_mount_conf *conf, struct fuse_mount **ret_m)
{
	struct env *env = ds_env(fs_ds(conf->fs));
	struct fuse_mount *m;
	int rc = conf->fd >= 0 ? 0 : check_dir(conf->dir);

	if (rc < 0)
		return rc;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	m->conf = *conf;
	m->log = env->log;
	m->root = fs_root(conf->fs);
	m->mounted_us = env->wall_us(env);
	readers_init(m);
	list_init(&m->ringing);
	list_init(&m->locked);
	m->range_keep.slot = conf->keep->lock;
	fiber_cond_init(&m->quiet);
	m->datastore = strdup(conf->datastore);
	m->dir = strdup(conf->dir);
	m->handle = calloc(FUSE_KEEP_HANDLES, sizeof(struct handle *));
	rc = name_hint_init(&m->hints);
	if (rc == 0)
		rc = share_init(&m->handle_share, FUSE_KEEP_HANDLES);
	if (rc == 0)
		rc = share_init(&m->range_keep.share, FUSE_KEEP_LOCKS);
	if (m->datastore == NULL || m->dir == NULL || m->handle == NULL)
		rc = -ENOMEM;
	if (rc == 0)
		rc = session_mount(m);
	if (rc < 0) {
		fuse_mount_free(m);
		return rc;
	}
	*ret_m = m;
	return 0;
}

int
fuse_mount_fd(const struct fuse_mount *m)
{
	return fuse_session_fd(m->se);
}

bool
fuse_mount_has_ring(const struct fuse_mount *m)
{
	return m->ring != NULL && !ring_is_refused(m->ring);
}

int
fuse_mount_umount(struct fuse_mount *m)
{
	if (umount2(m->dir, 0) == 0)
		return 0;
	/* Somebody was faster. */
	return errno == EINVAL || errno == ENOENT ? 0 : -errno;
}

void
fuse_mount_stop(struct fuse_mount *m)
{
	m->stopping = true;
	readers_stop(m);
	while (m->active > 0)
		fiber_cond_wait(&m->quiet);
	if (m->serving)
		handles_close(m);
	else
		handles_forget(m);
}

/* As the library does with a mount that it has made itself. */
static void
detach(const struct fuse_mount *m)
{
	struct pollfd fd = { .fd = fuse_session_fd(m->se) };

	/* Unmounted already: perhaps something else is there by now. */
	if (poll(&fd, 1, 0) == 1 && (fd.revents & POLLERR) != 0)
		return;
	(void)umount2(m->dir, MNT_DETACH);
}

void
fuse_mount_free(struct fuse_mount *m)
{
	if (m == NULL)
		return;
	readers_free(m);
	if (m->se != NULL) {
		if (m->conf.fd >= 0 && m->serving)
			detach(m);
		/* Closes /dev/fuse, which ends the connection unless somebody
		 * keeps it, and unmounts lazily what it has mounted unless
		 * that has been done. */
		fuse_session_unmount(m->se);
		fuse_session_destroy(m->se);
	}
	ring_free(m->ring);
	name_hint_fini(&m->hints);
	share_fini(&m->handle_share);
	share_fini(&m->range_keep.share);
	free(m->handle);
	free(m->datastore);
	free(m->dir);
	free(m);
}
