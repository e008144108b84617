/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside of a FUSE mount, shared by session, names and content. */
#ifndef VMFS_FUSE_MOUNT_IMPL_H
#define VMFS_FUSE_MOUNT_IMPL_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <linux/fuse.h>

#include "fuse/fuse_mount.h"
#include "fuse/name_hint.h"
#include "fuse/node.h"
#include "fuse/rota.h"
#include "fuse/share.h"
#include "fuse/spread.h"
#include "libvmfs/base/list.h"
#include "libvmfs/env/disk.h"
#include "libvmfs/env/gate.h"
#include "libvmfs/env/reactor.h"

/* Of requests that share buffers, those that wait for what others do: no more
 * may than leave some to these. */
struct waits {
	unsigned now, most;
};

/* A request's message; payload of a WRITE is aligned for O_DIRECT. */
struct request {
	struct fuse_mount *mount;
	struct list node;	/* in reader.idle, or fuse_mount.ringing */
	struct fuse_buf buf;	/* in fuse_keep.message[index], or entry */
	unsigned index;
	struct fs_note *note;
	struct ring_entry *entry;	/* NULL: it is read from /dev/fuse */
	bool again;		/* a dead process has begun it */
	bool touched;		/* its pages are there */
	uint8_t joins;		/* tries left to make a huge page of them */
	struct waits *waits;	/* of those that it shares buffers with ... */
	bool waiting;		/* ... in which it is counted */
	struct fiber *fiber;	/* of the owner, that does it; NULL */
	struct reader *reader;	/* who has the buffer */
	struct sched_work work;
	/* On its way past the owner. */
	struct disk_req disk;
	struct iovec iov;
	struct handle *handle;
	struct handle *uses;	/* it is done again, and keeps that open */
};

/* The kernel may hold a page for a moment, or have no huge one. */
#define REQUEST_JOINS 3u

/* The owner, who is the first, or a thread beside it. */
struct reader {
	struct fuse_mount *m;
	struct reactor *reactor;	/* NULL: the owner's */
	struct sched *sched;		/* NULL: not started */
	struct list idle;		/* its requests, last used first */
	struct fiber_cond room;		/* one became idle */
	unsigned busy;			/* of its requests */
	unsigned large;			/* of them, by the ring */
	unsigned begun;			/* by the ring */
	bool had_large;			/* of late */
	struct spread_view spread;
	bool roams;			/* on whatever processor is free */
	struct reactor_poll poll;
	struct rota rota;
	_Atomic bool rests, called;	/* see rota.h */
	bool stopping, unmounted;
	struct sched_work work, stop, ringing, call, end;
};

struct handle {
	struct fuse_mount *mount;
	uint32_t number;	/* the kernel's, less 1 */
	struct fs_file *file;	/* to be had by file_use; NULL: lost with a
				 * dead process */
	/* Other threads read and write by `fast` inside of the gate. */
	struct gate gate;
	struct fs_file *fast;	/* NULL: the gate is closed */
	bool fast_writes;	/* it may be written by that */
	uint64_t ino;
	bool writable;
	/* ---- cluster_lock.h ---- */
	struct file_locks *locks;	/* NULL: only read, never locked */
	struct list same;	/* in file_locks.handles */
	bool claim;		/* has the file from open to close */
	bool granted;		/* may write */
	bool told;		/* the log says that it may not */
	/* ---- requests that are done again by it, see handle_get ---- */
	unsigned users;
	bool released;		/* they wait for nothing more */
	struct fiber_cond unused;
};

struct ring;

struct fuse_mount {
	struct fuse_mount_conf conf;
	char *datastore, *dir;
	struct fuse_session *se;
	struct log *log;
	uint64_t root;		/* inode number of the root directory */
	uint64_t mounted_us;

	bool serving, stopping, unmounted;
	unsigned active;	/* requests of the owner, and the readers */
	struct fiber_cond quiet;	/* active became 0 */
	struct request request[FUSE_KEEP_REQUESTS];
	/* One more for the ring, which the owner has no part in. */
	struct reader reader[FUSE_THREADS_MAX + 1];
	unsigned readers;
	struct reader *duty;	/* the last that reads /dev/fuse: rota.h */
	_Atomic bool on_duty;	/* it waits for requests, or is about to */
	struct spread spread;	/* of the ring */
	_Atomic unsigned joined;	/* requests in huge pages */
	bool begun;		/* by the answer to INIT, before all others */
	struct ring *ring;	/* NULL: all comes by /dev/fuse */
	struct list ringing;	/* requests by it that the owner has */
	struct request *current;	/* begins now; see request_of */
	/* FUSE_KEEP_HANDLES; NULL: free */
	_Atomic(struct handle *) *handle;
	uint32_t next_handle;
	struct share handle_share;
	struct list locked;	/* struct file_locks */
	struct range_keep range_keep;
	struct waits waits;	/* with a buffer for /dev/fuse */
	struct fiber *reading;	/* nothing is read while this one waits */
	struct name_hint hints;
};

/* ---- conversions (convert.c) ---- */

static inline struct fuse_mount *
mount_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* Kernel's node id <-> inode number and generation, see node.h. */
static inline uint64_t
ino_of(const struct fuse_mount *m, fuse_ino_t node)
{
	return node == FUSE_ROOT_ID ? m->root : node_ino(node);
}

static inline fuse_ino_t
node_of(const struct fuse_mount *m, const struct fs_attr *a)
{
	return a->ino == m->root ? FUSE_ROOT_ID :
	    node_make(a->ino, a->generation);
}

/* What programs are told. */
static inline uint64_t
shown_ino(const struct fuse_mount *m, uint64_t ino)
{
	return ino == m->root ? FUSE_ROOT_ID : ino;
}

/* -ESTALE: the node's number is another inode's by now. */
int node_attr(const struct fuse_mount *m, fuse_ino_t node,
    struct fs_attr *ret_a) MUST_CHECK;

/* Times of the file system; those that it cannot tell become its nearest. */
uint64_t timespec_ns(const struct timespec *ts);
/* Positive errno for the kernel out of a negative code of ours. */
int errno_of(int error);
void attr_to_stat(const struct fuse_mount *m, const struct fs_attr *a,
    struct stat *ret_st);
void attr_to_entry(const struct fuse_mount *m, const struct fs_attr *a,
    struct fuse_entry_param *ret_e);
/* Answers with errno_of(error); what the admin must know is logged: who
 * holds `name` (or inode `ino` when NULL), damage, loss of the LUN. */
void reply_error(fuse_req_t req, int error, const char *what, uint64_t ino,
    const char *name, const struct lock_holder *holder);

/* ---- waiting for another host (patience.c) ---- */

/*
 * Another host may be about to let go of a file: the one that closed it does
 * so a moment after the close.  { 0 } to begin with.
 */
struct patience {
	uint64_t deadline_ns, poll_ns;
};
/* Of an operation that ended so: whether to do it again; suspends. */
bool patience_left(fuse_req_t req, struct patience *p, int rc);
/* For a disk that is open there: whose hypervisor lets go later. */
bool patience_left_long(fuse_req_t req, struct patience *p, int rc);
/*
 * Waits a little, or until `woken`, unless NULL, is; false when there were
 * most_ns of that, after a signal, when the mount is going, and at once when
 * too many others wait.  Suspends.
 */
bool patience_wait(fuse_req_t req, struct patience *p, uint64_t most_ns,
    struct fiber_cond *woken);
/* The request was done: another one may wait. */
void patience_end(struct request *r);

/* ---- handlers ---- */

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t node, struct stat *st, int to_set,
    struct fuse_file_info *fi);
void op_readlink(fuse_req_t req, fuse_ino_t node);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
    dev_t rdev);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
    const char *name);
void op_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t new_parent,
    const char *new_name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
    fuse_ino_t new_parent, const char *new_name, unsigned flags);
void op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
    struct fuse_file_info *fi);
void op_fsyncdir(fuse_req_t req, fuse_ino_t node, int datasync,
    struct fuse_file_info *fi);
void op_statfs(fuse_req_t req, fuse_ino_t node);

void op_setxattr(fuse_req_t req, fuse_ino_t node, const char *name,
    const char *value, size_t size, int flags);
void op_getxattr(fuse_req_t req, fuse_ino_t node, const char *name,
    size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t node, size_t size);
void op_removexattr(fuse_req_t req, fuse_ino_t node, const char *name);

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
    struct fuse_file_info *fi);
void op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
    struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t node, const char *buf, size_t size,
    off_t off, struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t node, int datasync,
    struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t offset,
    off_t length, struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t node, off_t off, int whence,
    struct fuse_file_info *fi);
/* Suspends. */
int content_truncate(fuse_req_t req, struct handle *h, uint64_t size,
    struct lock_holder *ret_holder) MUST_CHECK;

/* ---- handle.c ---- */

/* Suspends, as do close and restore. */
int handle_open(fuse_req_t req, fuse_ino_t node, int open_flags,
    uint64_t unique, struct handle **ret_h, struct lock_holder *ret_holder)
    MUST_CHECK;
/* Closes the file and frees h; the error of closing. */
int handle_close(struct handle *h);
void handles_close(struct fuse_mount *m);
/* Frees them all, which have not been used: what is kept, and what is open of
 * the file system, stays. */
void handles_forget(struct fuse_mount *m);
/* Those that a dead process had open. */
int handles_restore(struct fuse_mount *m) MUST_CHECK;
/* Once somebody was refused more of them: `what` there are. */
void share_tell(struct fuse_mount *m, struct share *s, uint32_t uid,
    const char *what);
/* NULL: there is no such handle. */
struct handle *handle_of(const struct fuse_mount *m,
    const struct fuse_file_info *fi);
/*
 * The same of one that can be used; NULL: the request was refused.  Before it
 * suspends.  The kernel releases no handle that a request uses; but one that is
 * done again may have been answered before: the handle stays for it until
 * handle_done.
 */
struct handle *handle_get(fuse_req_t req, const struct fuse_file_info *fi);
void handle_hold(struct request *r, struct handle *h);
void handle_done(struct request *r);
/* Ends the waits of those who hold it, and waits for them.  Suspends. */
void handle_release(struct handle *h);
/* What a dead process opened for this request; NULL. */
struct handle *handle_opened_by(const struct fuse_mount *m, uint64_t unique);

/* ---- who may write (locks.c), and locks of programs (byte_locks.c) ---- */

/*
 * Opens h->file of h->ino by the flags of open(2), but for O_TRUNC; a file that
 * is to be written is claimed.  -VMFS_ELOCKED with *ret_holder, for a disk after
 * 5 s.  Whatever comes of it, locks_close follows.  Suspends.
 */
int locks_open(fuse_req_t req, struct handle *h, int open_flags,
    struct lock_holder *ret_holder) MUST_CHECK;
/* Closes it, and gives back what only h had.  Suspends. */
int locks_close(struct handle *h);
/* The same for what a dead process had open, and then for all the locks. */
int locks_reopen(struct handle *h, const struct fuse_keep_handle *k) MUST_CHECK;
int locks_restore(struct fuse_mount *m) MUST_CHECK;
/*
 * What to read or write the file by, until file_done.  For writing:
 * -VMFS_ELOCKED with *ret_holder when h may not, or cannot for 5 s.  May suspend.
 */
int file_use(fuse_req_t req, struct handle *h, bool write,
    struct fs_file **ret_f, struct lock_holder *ret_holder) MUST_CHECK;
void file_done(struct handle *h, const struct fs_file *f);
/* Other threads may read it, and write it if h may, until that changes. */
void file_share(struct handle *h);
/* A process has closed it: its fcntl(2) locks of the file go.  Suspends. */
void locks_flush(struct handle *h, uint64_t owner);

void op_getlk(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi,
    struct flock *lock);
void op_setlk(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi,
    struct flock *lock, int sleep);
void op_flock(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi,
    int op);

/* ---- session.c: what has been done already ---- */

/* The request that a handler was just called for: before it suspends. */
static inline struct request *
request_of(fuse_req_t req)
{
	return mount_of(req)->current;
}
static inline struct fuse_in_header *
request_header(const struct request *r)
{
	return r->buf.mem;
}
uint64_t request_unique(const struct request *r);
/* On the owner: a fiber that answers it. */
void request_run(struct request *r);
/* Bytes of its message, or of those that it wants to read. */
size_t request_length(const struct request *r);
/* The thread that it came to: past the owner, or by it. */
void request_begin(struct request *r);
/* Instead of request_run; the same threads. */
void request_refuse(struct request *r, int error);
/* It was answered.  Any reader's thread. */
void request_put(struct request *r);
/* Before a change of content is answered: another one may follow and must not be
 * undone by doing this one again ... */
void request_written(const struct request *r);
/* ... which a dead process was as far with. */
bool request_was_written(const struct request *r);
/* One of fuse_mount.active has ended. */
void active_put(struct fuse_mount *m);
/* Where the core notes that it is done. */
struct fs_note *request_note(const struct request *r);
/* A dead process did it, and could not tell. */
bool request_was_done(const struct request *r);
/* What is told now must outlive us; returns rc, or the error of that. */
int request_settle(const struct request *r, int rc) MUST_CHECK;
/* A change of names or attributes: what lies between runs, when change_begin
 * is true, unless a dead process was as far already (change.c). */
struct change {
	const struct request *r;
	struct fs_noting noting;
	bool done;
};
bool change_begin(fuse_req_t req, struct change *c);
int change_end(struct change *c, int rc) MUST_CHECK;

/* ---- handle.c: what other threads may use ---- */

/*
 * f, for writing, too, or not.  The owner takes it back before it closes f or h
 * may not write any more.  Both may suspend; nobody uses it after handle_keep.
 */
void handle_share(struct handle *h, struct fs_file *f, bool writes);
void handle_keep(struct handle *h);

/* ---- reader.c; on the owner but for the last ---- */

void readers_init(struct fuse_mount *m);
/* One more thread, which reads nothing of /dev/fuse. */
int reader_add(struct fuse_mount *m) MUST_CHECK;
/* Their threads run, and read nothing yet. */
int readers_start(struct fuse_mount *m) MUST_CHECK;
void readers_go(struct fuse_mount *m);
/* They end soon, when all that they have read is answered: active. */
void readers_stop(struct fuse_mount *m);
/* Any thread; may block. */
void readers_free(struct fuse_mount *m);

/* ---- ring.c: requests by io_uring ---- */

/* Before serve: the kernel is asked for a ring when it says INIT. */
int ring_prepare(struct fuse_mount *m) MUST_CHECK;
/*
 * The answer of r, as it would be written to /dev/fuse: a header first.  Data
 * may lie where the request's was.  -EMSGSIZE.  It is sent by request_put.
 */
int ring_answer(struct request *r, const struct iovec *iov, int count);
/* Sends it; on the reader's thread, which takes the next one by that. */
void ring_commit(struct request *r);
/* The kernel did not want it, or some of it. */
bool ring_is_refused(const struct ring *ring);
/* The threads have ended. */
void ring_free(struct ring *ring);

#endif
