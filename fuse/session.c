/* SPDX-License-Identifier: BSD-2-Clause */
/* Mounting, reading requests, running each as a fiber, unmounting. */
#include <sys/mount.h>
/* Linux's unit of buffers; ours is in libvmfs/format/layout.h. */
#undef BLOCK_SIZE

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fuse/mount_impl.h"
#include "libvmfs/env/reactor.h"

/* struct fuse_in_header and fuse_write_in of the kernel's protocol. */
#define WRITE_HEADERS 80u
#define PAGE 4096u
/* Longest message: 1 MiB of data (256 pages) and a page of headers. */
#define MESSAGE_MAX ((256u + 1u) * PAGE)
#define IDLE_MAX 64u
#define DEAD_MOUNTS_MAX 8	/* one over the other */

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
};

/* ---- request buffers ---- */

static struct request *
request_get(struct fuse_mount *m)
{
	struct list *node = list_pop(&m->idle);
	struct request *r;

	if (node != NULL) {
		m->n_idle--;
		return list_entry(node, struct request, node);
	}
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	if (posix_memalign(&r->base, PAGE, PAGE + MESSAGE_MAX) != 0) {
		free(r);
		return NULL;
	}
	list_init(&r->node);
	r->mount = m;
	/* Headers end where a page begins. */
	r->buf.mem = (char *)r->base + PAGE - WRITE_HEADERS;
	return r;
}

static void
request_free(struct request *r)
{
	free(r->base);
	free(r);
}

static void
request_put(struct fuse_mount *m, struct request *r)
{
	if (m->n_idle >= IDLE_MAX) {
		request_free(r);
		return;
	}
	list_add(&m->idle, &r->node);
	m->n_idle++;
}

static void
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

	fuse_session_process_buf(m->se, &r->buf);
	request_put(m, r);
	active_put(m);
}

/* ---- reading ---- */

/*
 * Takes one request off the kernel's queue.  0: go on; -EAGAIN: none is
 * waiting; -ENODEV: the file system is gone; others: this one is lost.
 */
static int
take_request(struct fuse_mount *m)
{
	struct request *r = request_get(m);
	int n;

	if (r == NULL)
		return -ENOMEM;
	n = fuse_session_receive_buf(m->se, &r->buf);
	if (n <= 0) {
		request_put(m, r);
		return fuse_session_exited(m->se) ? -ENODEV :
		    n == 0 ? -EAGAIN : n;
	}
	m->active++;
	if (sched_spawn(sched_current(), "fuse", request_fiber, r) < 0) {
		/* No stack: run it here, later requests wait for it. */
		request_fiber(r);
	}
	return 0;
}

static void
reader_fiber(void *arg)
{
	struct fuse_mount *m = arg;
	bool gone = false;

	while (!m->stopping && !gone) {
		int rc = take_request(m);

		if (rc == -EAGAIN)
			rc = reactor_poll_fd(m->epoll_fd, POLLIN);
		else if (rc == -ENOMEM)
			fiber_sleep(10 * 1000 * 1000);
		gone = rc == -ENODEV;
	}
	if (gone && !m->stopping)
		m->conf.on_unmount(m->conf.arg);
	active_put(m);
}

int
fuse_mount_serve(struct fuse_mount *m)
{
	int rc;

	m->active++;
	rc = sched_spawn(sched_current(), "fuse-reader", reader_fiber, m);
	if (rc < 0)
		m->active--;
	else
		m->serving = true;
	return rc;
}

/* ---- life ---- */

static int
watch_fd(int epoll_fd, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static int
session_mount(struct fuse_mount *m)
{
	char fsname[160];
	char *argv[] = { "vmfsd", "-o", fsname, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	int fd, flags;

	(void)snprintf(fsname, sizeof(fsname), "allow_other,"
	    "default_permissions,subtype=vmfs,fsname=%s%s", m->datastore,
	    m->conf.readonly ? ",ro" : "");
	m->se = fuse_session_new(&args, &ops, sizeof(ops), m);
	fuse_opt_free_args(&args);
	if (m->se == NULL)
		return -ENOMEM;
	if (fuse_session_mount(m->se, m->dir) != 0)
		return -EIO;
	fd = fuse_session_fd(m->se);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return watch_fd(m->epoll_fd, fd);
}

/* A FUSE mount whose process was killed stays, and can serve nobody. */
static int
stat_past_the_dead(const char *dir, struct stat *ret_st)
{
	for (int i = 0; stat(dir, ret_st) < 0; i++)
		if (errno != ENOTCONN || i == DEAD_MOUNTS_MAX ||
		    umount2(dir, MNT_DETACH) < 0)
			return -errno;
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
	int rc = check_dir(conf->dir);

	if (rc < 0)
		return rc;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	m->conf = *conf;
	m->log = env->log;
	m->root = fs_root(conf->fs);
	m->mounted_us = env->wall_us(env);
	list_init(&m->idle);
	list_init(&m->handles);
	fiber_cond_init(&m->quiet);
	m->datastore = strdup(conf->datastore);
	m->dir = strdup(conf->dir);
	m->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	m->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = name_hint_init(&m->hints);
	if (m->datastore == NULL || m->dir == NULL)
		rc = -ENOMEM;
	else if (m->epoll_fd < 0 || m->stop_fd < 0)
		rc = -errno;
	if (rc == 0)
		rc = watch_fd(m->epoll_fd, m->stop_fd);
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
	uint64_t one = 1;

	m->stopping = true;
	/* An eventfd at 0 takes any write. */
	if (write(m->stop_fd, &one, sizeof(one)) != sizeof(one))
		log_error(m->log, "fuse: %s: cannot stop: %s", m->datastore,
		    strerror(errno));
	while (m->active > 0)
		fiber_cond_wait(&m->quiet);
	list_for_each(node, tmp, &m->handles)
		(void)handle_close(list_entry(node, struct handle, node));
}

void
fuse_mount_free(struct fuse_mount *m)
{
	if (m == NULL)
		return;
	if (m->se != NULL) {
		/* Closes /dev/fuse, which ends the connection, and unmounts
		 * lazily unless that has been done. */
		fuse_session_unmount(m->se);
		fuse_session_destroy(m->se);
	}
	list_for_each(node, tmp, &m->idle)
		request_free(list_entry(node, struct request, node));
	if (m->epoll_fd >= 0)
		(void)close(m->epoll_fd);
	if (m->stop_fd >= 0)
		(void)close(m->stop_fd);
	name_hint_fini(&m->hints);
	free(m->datastore);
	free(m->dir);
	free(m);
}
