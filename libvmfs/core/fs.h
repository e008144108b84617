/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names, files, virtual disks, snapshots: the upper half of the core, and all
 * that front ends (fuse/, vmfsd/) need of it.  Every call runs in a fiber of
 * the datastore's scheduler and suspends.
 *
 * Locks: a directory is locked for one operation; a file that is written is
 * locked exclusively from open to the last close on this host (F2), a snapshot
 * shared while it is read, a multi-writer disk in that mode.  Reading what
 * another live host has open for writing gives its last checkpoint.
 */
#ifndef VMFS_CORE_FS_H
#define VMFS_CORE_FS_H

#include <stdbool.h>
#include <sys/uio.h>

#include "libvmfs/base/io_stats.h"
#include "libvmfs/base/keys.h"
#include "libvmfs/base/list.h"
#include "libvmfs/core/ds.h"
#include "libvmfs/format/inode.h"

struct fs;
struct fs_file;

/* Finishes deletions that a crash cut short.  Borrows ds. */
int fs_open(struct ds *ds, struct fs **ret_fs) MUST_CHECK;
/*
 * The same for a process that goes on where another has ended: what `is_open`
 * says to be open still is not deleted.
 */
int fs_open_again(struct ds *ds, bool (*is_open)(void *arg, uint64_t ino),
    void *arg, struct fs **ret_fs) MUST_CHECK;
/* Closes what is still open.  ds_close comes after it. */
int fs_close(struct fs *fs) MUST_CHECK;
struct ds *fs_ds(const struct fs *fs);
uint64_t fs_root(const struct fs *fs);

/*
 * What a change of names leaves in memory that outlives the process, before
 * anything of it is durable: it is done if a commit with a stamp above `lsn`
 * was replayed.  lsn 0: it has not come so far.
 */
struct fs_note {
	uint64_t lsn, ino;	/* ino: what was made */
};
struct fs_noting {
	struct list node;
	struct fiber *fiber;
	struct fs_note *note;
};
struct fiber;
/* Between the two the calling fiber makes one such call.  Do not suspend. */
void fs_note_begin(struct fs *fs, struct fs_noting *n, struct fs_note *note);
void fs_note_end(struct fs_noting *n);

struct fs_attr {
	uint64_t ino;
	uint32_t generation;
	enum inode_type type;
	uint16_t mode;			/* permission bits */
	uint32_t uid, gid, nlink;
	uint64_t size;			/* bytes */
	uint64_t allocated;		/* bytes really held */
	/* Since 1970; of two's complement: 2^64 - 1 is just before it. */
	uint64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
	uint32_t snapshots, clones;
	bool is_clone;
	bool multi_writer;		/* see fs_set_multi_writer */
	uint64_t origin_disk, origin_snapshot;	/* of a clone: inodes */
	bool encrypted;
	uint8_t key_id[KEY_ID_SIZE];	/* of a disk's key file */
	uint64_t account;	/* of its quota; 0: none */
	bool own_account;	/* a directory with a quota of its own */
	struct inode_limits limits;
};

/* ---- names; dir and ino are inode numbers ---- */

/*
 * A number is used again when its file is gone, which may be another host's
 * doing.  Who has remembered one says by the generation which use is meant:
 * -ESTALE when it is another by now; 0 skips the check.
 */

int fs_getattr(struct fs *fs, uint64_t ino, struct fs_attr *ret_a) MUST_CHECK;
enum {
	FS_SET_MODE = 1, FS_SET_UID = 2, FS_SET_GID = 4, FS_SET_SIZE = 8,
	FS_SET_ATIME = 16, FS_SET_MTIME = 32,
};
/* -VMFS_ELOCKED with *ret_holder when another host has the file open. */
int fs_setattr(struct fs *fs, uint64_t ino, uint32_t generation,
    unsigned which, const struct fs_attr *a, struct fs_attr *ret_a,
    struct lock_holder *ret_holder) MUST_CHECK;
int fs_lookup(struct fs *fs, uint64_t dir, const char *name,
    struct fs_attr *ret_a) MUST_CHECK;
/* "/a/b/c" from the root. */
int fs_resolve(struct fs *fs, const char *path, struct fs_attr *ret_a)
    MUST_CHECK;
/* INODE_FILE, INODE_DIR or INODE_DISK (then size is its virtual size). */
int fs_create(struct fs *fs, uint64_t dir, const char *name,
    enum inode_type type, uint16_t mode, uint32_t uid, uint32_t gid,
    uint64_t size, struct fs_attr *ret_a) MUST_CHECK;
int fs_symlink(struct fs *fs, uint64_t dir, const char *name,
    const char *target, uint32_t uid, uint32_t gid, struct fs_attr *ret_a)
    MUST_CHECK;
/* buf gets a NUL-terminated target of up to INODE_INLINE_MAX bytes. */
int fs_readlink(struct fs *fs, uint64_t ino, char *buf, size_t size) MUST_CHECK;
#define FS_LINKS_MAX 65000u
/*
 * A further name for a file or symbolic link; of a disk -EPERM: its snapshots
 * are named by its path, and who deletes that means all of it.  Also -EPERM:
 * the volume was made by a version without FEATURE_RO_COMPAT_ATTRS.  -EMLINK;
 * -EXDEV: into or out of a directory with a quota;
 * -VMFS_ELOCKED when another host has the file open for writing.
 */
int fs_link(struct fs *fs, uint64_t ino, uint32_t generation, uint64_t dir,
    const char *name, struct fs_attr *ret_a, struct lock_holder *ret_holder)
    MUST_CHECK;
/*
 * The only name of what has none and is open for writing, because it was made
 * without one (name NULL) and opened by fs_file_reopen, or has lost it: a file
 * or disk that is there as a whole, or after a crash not at all.  -EEXIST;
 * -EBADF: it has a name, or others may write it; -EBUSY: it has snapshots, which
 * went with its name; -EXDEV: a quota came between.
 */
int fs_file_link(struct fs_file *f, uint64_t dir, const char *name) MUST_CHECK;
/* A file that is open on this host keeps its content until the last close;
 * -VMFS_ELOCKED when another live host has it open for writing; -EBUSY when
 * a snapshot of it is pinned by clones. */
int fs_unlink(struct fs *fs, uint64_t dir, const char *name,
    struct lock_holder *ret_holder) MUST_CHECK;
/* -EBUSY: it has a quota of its own. */
int fs_rmdir(struct fs *fs, uint64_t dir, const char *name) MUST_CHECK;
/* EXCHANGE: both names are there and change places, whatever they name. */
enum { FS_RENAME_NOREPLACE = 1, FS_RENAME_EXCHANGE = 2 };
/* -EXDEV: into or out of a directory with a quota. */
int fs_rename(struct fs *fs, uint64_t dir, const char *name, uint64_t new_dir,
    const char *new_name, unsigned flags, struct lock_holder *ret_holder)
    MUST_CHECK;

/*
 * For fsck: gives a name to an inode that no directory names.  -EEXIST: there
 * is such a name; -EINVAL: a snapshot, or the directory itself.
 */
int fs_adopt(struct fs *fs, uint64_t ino, uint64_t dir, const char *name)
    MUST_CHECK;

/* ---- extended attributes: user.*, trusted.*, security.* ---- */

enum { FS_XATTR_CREATE = 1, FS_XATTR_REPLACE = 2 };
/*
 * -EOPNOTSUPP: another name space, or the volume was made by a version without
 * FEATURE_RO_COMPAT_ATTRS; -E2BIG: larger than all that an inode can have
 * (XATTR_ROOM); -ENOSPC: no room beside its others, or on the volume; -ERANGE:
 * name; -EEXIST, -ENODATA by the flags; -EROFS: a snapshot, which shows its
 * content alone; -VMFS_ELOCKED.
 */
int fs_xattr_set(struct fs *fs, uint64_t ino, uint32_t generation,
    const char *name, const void *value, size_t len, unsigned flags,
    struct lock_holder *ret_holder) MUST_CHECK;
/* size 0: how long it is.  -ENODATA, -ERANGE. */
int fs_xattr_get(struct fs *fs, uint64_t ino, const char *name, void *buf,
    size_t size, size_t *ret_len) MUST_CHECK;
/* Calls fn with each name until it returns false. */
int fs_xattr_list(struct fs *fs, uint64_t ino,
    bool (*fn)(void *arg, const char *name), void *arg) MUST_CHECK;
int fs_xattr_remove(struct fs *fs, uint64_t ino, uint32_t generation,
    const char *name, struct lock_holder *ret_holder) MUST_CHECK;

struct fs_dirent {
	uint64_t ino;
	enum inode_type type;
	const char *name;	/* NUL terminated, valid during the call */
	uint64_t next;		/* cookie that continues behind this entry */
};
/* Calls fn from cookie (0: start; "." and ".." are the caller's) until it
 * returns false or the end. */
int fs_readdir(struct fs *fs, uint64_t dir, uint64_t cookie,
    bool (*fn)(void *arg, const struct fs_dirent *e), void *arg) MUST_CHECK;

/*
 * Changes of the superblock (ds.h), serialized between hosts by the lock of
 * the root directory.  -VMFS_ELOCKED after a while.
 */
int fs_grow(struct fs *fs, struct lock_holder *ret_holder) MUST_CHECK;
/* See ds_extent_leave, ds_extent_rm. */
int fs_extent_leave(struct fs *fs, unsigned i, bool leave,
    struct lock_holder *ret_holder) MUST_CHECK;
int fs_extent_rm(struct fs *fs, unsigned i, struct lock_holder *ret_holder)
    MUST_CHECK;
enum fs_lies {
	FS_LIES_INODE = 1,	/* its own block, which cannot move */
	FS_LIES_CONTENT = 2,	/* data, or metadata that says where it is */
};
/* What of the inode lies there, without its snapshots: enum fs_lies.  As of its
 * last checkpoint when another host has it. */
int fs_lies_on_leaving(struct fs *fs, uint64_t ino, unsigned *ret_what)
    MUST_CHECK;
/* See ds_extent_add; owns lun in any case. */
int fs_extent_add(struct fs *fs, struct disk *lun, const char *place,
    char *why, struct lock_holder *ret_holder) MUST_CHECK;
int fs_set_label(struct fs *fs, const char *label,
    struct lock_holder *ret_holder) MUST_CHECK;

/* ---- damage ---- */

/*
 * From now on nobody on this host changes the inode: -EROFS, also for those who
 * have it open.  Until the file system is closed.  Does not suspend.
 */
int fs_set_damaged(struct fs *fs, uint64_t ino) MUST_CHECK;
bool fs_is_damaged(const struct fs *fs, uint64_t ino);
/* The n-th of them; false: there are not so many. */
bool fs_damaged(const struct fs *fs, unsigned n, uint64_t *ret_ino);
/*
 * Path of an inode, "/disk@name" of a snapshot's.  -ENOENT: nothing names it
 * where it says to be named.
 */
int fs_path(struct fs *fs, uint64_t ino, char *buf, size_t size) MUST_CHECK;

struct fs_statfs {
	uint64_t total_bytes, free_bytes, files;
	uint64_t reserved_bytes;	/* for others; not in free_bytes */
};
/* As seen from inode `ino`: of its quota, when it has one.  0: of all. */
int fs_statfs(struct fs *fs, uint64_t ino, struct fs_statfs *ret_s) MUST_CHECK;

/* ---- quotas: the space of a directory and of all below it ---- */

struct fs_quota {
	uint64_t account;	/* inode number */
	uint64_t dir;		/* directory that has it */
	uint64_t limit;		/* bytes; 0: none */
	uint64_t reserve;	/* bytes of the datastore kept for it */
	uint64_t used;		/* bytes; what files have taken as credit */
};
/* What of a tree could not be changed now. */
struct fs_quota_left {
	uint64_t count;		/* files */
	uint64_t ino;		/* one of them */
	struct lock_holder holder;	/* who has it open */
};
/*
 * Counts the data of files and disks with their snapshots below `dir`, limits
 * it, and keeps so much of the datastore's free space for it that it can grow
 * to `reserve`; changes both for one that there is.  What another host has
 * open is left uncounted and told; the same call, by that host or later, goes
 * on with it.  -EBUSY: a directory above or below has a quota; -EINVAL: the root
 * directory; -ENOSPC: there is not so much to reserve; -VMFS_EINUSE: see
 * ds_set_features.
 */
int fs_quota_set(struct fs *fs, uint64_t dir, uint64_t limit,
    uint64_t reserve, struct fs_quota_left *ret_left) MUST_CHECK;
/* -ENOENT: it has none.  It stays, without a limit, while something is left. */
int fs_quota_clear(struct fs *fs, uint64_t dir, struct fs_quota_left *ret_left)
    MUST_CHECK;
/* Calls fn for each until it returns false; fn may suspend. */
int fs_quota_each(struct fs *fs, bool (*fn)(void *arg,
    const struct fs_quota *q), void *arg) MUST_CHECK;
/* That of an inode; -ENOENT: it has none. */
int fs_quota_get(struct fs *fs, uint64_t ino, struct fs_quota *ret_q)
    MUST_CHECK;

/* ---- content ---- */

enum {
	FS_READ = 1, FS_WRITE = 2, FS_TRUNC = 4, FS_SHARED = 8,
	/* Who writes on this host: those of one kind know of each other, and
	 * while there are some the other kinds get -VMFS_ELOCKED. */
	FS_BY_MOUNT = 16, FS_BY_EXPORT = 32, FS_BY_LUN = 64,
	FS_BY_ANY = FS_BY_MOUNT | FS_BY_EXPORT | FS_BY_LUN,
};
/*
 * FS_WRITE takes the exclusive lock (of a multi-writer disk: joins the other
 * writers) at once or fails with -VMFS_ELOCKED; -EBUSY: a multi-writer disk has
 * snapshots; FS_SHARED, for reading, takes the shared lock the same way: no
 * other host writes meanwhile.  Waits while this host makes a change that must
 * not be beside an open, and finds what it has left.
 */
int fs_file_open(struct fs *fs, uint64_t ino, uint32_t generation,
    unsigned flags, struct fs_file **ret_f, struct lock_holder *ret_holder)
    MUST_CHECK;
/* The same for one that was open before fs_open_again; it may have no name. */
int fs_file_reopen(struct fs *fs, uint64_t ino, uint32_t generation,
    unsigned flags, struct fs_file **ret_f) MUST_CHECK;
/* Somebody on this host has it open for writing. */
bool fs_is_written(struct fs *fs, uint64_t ino);
/* Flushes; the last close of a writer releases the lock. */
int fs_file_close(struct fs_file *f) MUST_CHECK;
/* -ESTALE: it is open without a lock, and what was opened is deleted. */
int fs_file_attr(struct fs_file *f, struct fs_attr *ret_a) MUST_CHECK;
/* Short count at the end of file; -ESTALE as above. */
int fs_file_read(struct fs_file *f, uint64_t offset, void *buf, size_t len,
    size_t *ret_len) MUST_CHECK;
/* All of it or an error; -ENOSPC leaves old content readable, and so does
 * -EDQUOT, at the limit of its directory (of a disk that is -ENOSPC, too). */
int fs_file_write(struct fs_file *f, uint64_t offset, const void *buf,
    size_t len) MUST_CHECK;
/* The set-user-id and set-group-id bits and capabilities go: somebody without
 * the right to keep them changes the content. */
int fs_file_strip_ids(struct fs_file *f) MUST_CHECK;
/* Everything acknowledged before is durable. */
int fs_file_flush(struct fs_file *f) MUST_CHECK;
/* The same, and other hosts read the file as it is now. */
int fs_file_publish(struct fs_file *f) MUST_CHECK;
/* Range reads zeroes afterwards; whole chunks are freed. */
int fs_file_punch(struct fs_file *f, uint64_t offset, uint64_t len) MUST_CHECK;
/* Allocates (unwritten: reads zeroes) so that later writes do not ENOSPC. */
int fs_file_allocate(struct fs_file *f, uint64_t offset, uint64_t len)
    MUST_CHECK;
int fs_file_truncate(struct fs_file *f, uint64_t size) MUST_CHECK;
/* Long work tells how far it is: false from step ends it, -ECANCELED. */
struct fs_progress {
	bool (*step)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};
/*
 * Every block of the file gets space of its own and is written, with zeroes
 * where there was nothing: no later write changes the map.
 */
int fs_file_inflate(struct fs_file *f, const struct fs_progress *p) MUST_CHECK;
/*
 * Of a disk: pieces of 64 KiB that hold nothing but zeroes become holes; the
 * disk may be written meanwhile.  *ret_freed: bytes that it no longer holds.
 */
int fs_file_punch_zeroes(struct fs_file *f, const struct fs_progress *p,
    uint64_t *ret_freed) MUST_CHECK;
/* SEEK_DATA / SEEK_HOLE from offset; -ENXIO past the end; -ESTALE as
 * fs_file_attr. */
int fs_file_seek(struct fs_file *f, uint64_t offset, bool data,
    uint64_t *ret_offset) MUST_CHECK;
/* The same before `end`, or `end`.  The map of what is behind it, which may be
 * long, is not looked at. */
int fs_file_seek_to(struct fs_file *f, uint64_t offset, uint64_t end,
    bool data, uint64_t *ret_offset) MUST_CHECK;
/*
 * The open file as struct disk (kind "vdisk", 512-byte blocks): what exports
 * serve.  Owns f from then on; disk_close closes it.
 */
int fs_file_disk(struct fs_file *f, const char *name, struct disk **ret_d)
    MUST_CHECK;
/*
 * From now on disk_space of such a disk tells of its datastore, about a second
 * late, and what the disk has mapped itself.  Suspends.
 */
int fs_disk_tell_space(struct disk *d) MUST_CHECK;

/*
 * Any thread with a reactor, while f stays open: a READ or WRITE without flags
 * goes straight to the LUN where the owner has told that it may.  True: req->done
 * follows, or, when it failed, again(req): then it is for the owner, who knows
 * why.  False: it was not taken.
 */
bool fs_file_fast(struct fs_file *f, struct disk_req *req,
    void (*again)(struct disk_req *req)) MUST_CHECK;
/* The same of a disk of fs_file_disk. */
bool fs_disk_fast(struct disk *d, struct disk_req *req,
    void (*again)(struct disk_req *req)) MUST_CHECK;

/* ---- disks that several hosts write at once ---- */

/*
 * Whether hosts that open the disk for writing share it.  Its map, size and
 * times do not change while it is open that way: writes that are no whole
 * sectors of 512 bytes are -EINVAL, behind the end -ENOSPC; punch is
 * -EOPNOTSUPP; truncate -EPERM; what needs the exclusive lock (snapshot,
 * rename, unlink, setattr) is -VMFS_ELOCKED.
 *
 * To share: -EINVAL: no disk; -EBUSY: it has snapshots; -ENODATA: not every
 * block has space of its own (fs_file_inflate); -EOPNOTSUPP: the LUN's sectors
 * are larger than 512 bytes; -EPERM: it is encrypted.  Either way -VMFS_ELOCKED
 * while it is open.
 */
int fs_set_multi_writer(struct fs *fs, uint64_t ino, bool on,
    struct lock_holder *ret_holder) MUST_CHECK;

/* ---- what disks take of the LUN (meter.h) ---- */

/*
 * Kept with the disk; at once for who has it open on this host.  -EINVAL: no
 * disk, or a limit below METER_IOPS_MIN, METER_KIBPS_MIN or of more shares than
 * METER_SHARES_MAX; -VMFS_ELOCKED: another host has it; -VMFS_EINUSE as for
 * fs_encrypt.
 */
int fs_set_limits(struct fs *fs, uint64_t ino, const struct inode_limits *l,
    struct lock_holder *ret_holder) MUST_CHECK;
/* Calls fn for each file that is open here, with what it has done since the
 * first open and how long ago that was, until it returns false. */
void fs_each_stats(struct fs *fs, bool (*fn)(void *arg, uint64_t ino,
    const struct io_stats *st, uint64_t age_ns), void *arg);

/* ---- encryption at rest ---- */

/* Where the keys are: -ENOKEY when there is none of that id.  May suspend. */
struct fs_keys {
	int (*find)(void *arg, const uint8_t id[KEY_ID_SIZE],
	    struct wrapping_key *ret_k);
	void *arg;
};
/*
 * Without, encrypted disks do not open: -ENOKEY, as for a key that is not there;
 * -EKEYREJECTED: there is another of its id, or the inode is damaged.
 */
void fs_set_keys(struct fs *fs, const struct fs_keys *keys);
/*
 * The empty disk gets a new data key, wrapped under k; all that it will hold
 * lies encrypted on the LUN, but not which of its blocks hold something.
 * -EINVAL: no disk; -ENOTEMPTY: it has data or snapshots, or is a clone; -EEXIST:
 * it is encrypted; -EBUSY: open, or shared by several writers; -VMFS_ELOCKED;
 * -VMFS_EINUSE: a member has not seen the last change of the superblock yet, try
 * again in a pulse.
 */
int fs_encrypt(struct fs *fs, uint64_t ino, const struct wrapping_key *k,
    struct lock_holder *ret_holder) MUST_CHECK;
/*
 * The disk's key is wrapped under k from now on; it may be open on this host.
 * Clones have their own.  -EINVAL: it is not encrypted; -ENOKEY,
 * -EKEYREJECTED: what it is wrapped under now cannot be had.
 */
int fs_rekey(struct fs *fs, uint64_t ino, const struct wrapping_key *k,
    struct lock_holder *ret_holder) MUST_CHECK;
/* How the disk's key lies in its inode, for a copy elsewhere; cipher 0: clear. */
int fs_key_copy(struct fs *fs, uint64_t ino, struct inode_crypt *ret_c)
    MUST_CHECK;
/*
 * The copy goes back into an inode that was lost and made anew without it.
 * -EEXIST: it has a key; -EINVAL: no disk; -EBUSY: open; -ENOKEY,
 * -EKEYREJECTED: the copy is of no use here.
 */
int fs_key_restore(struct fs *fs, uint64_t ino, const struct inode_crypt *c,
    struct lock_holder *ret_holder) MUST_CHECK;

/* ---- snapshots and clones; `ino` is a disk (or file) ---- */

struct fs_snapshot {
	uint64_t ino;		/* open it with fs_file_open(FS_READ) */
	uint32_t id;
	uint32_t parent_id;	/* 0: none */
	uint64_t created_us, size;
	uint64_t allocated;	/* bytes of its tree, shared ones, too */
	uint64_t alone_bytes;	/* freed if it were deleted */
	uint32_t clones;
	char name[SNAPTAB_NAME_MAX + 1];
	bool is_head_base;	/* the live disk grew from it */
};
/*
 * One transaction; works on an open disk.  Takes the lock of a closed one.
 * -EBUSY: several hosts may write it; -VMFS_EEXTENT: a part of the map is on a
 * LUN that is lost.
 */
int fs_snapshot_create(struct fs *fs, uint64_t ino, const char *name,
    struct fs_snapshot *ret_s, struct lock_holder *ret_holder) MUST_CHECK;
/*
 * What a disk or file holds with all its snapshots, each chunk counted once,
 * and without what a clone shares with its origin: data space that is free when
 * it is deleted.  As of the last checkpoint, when another host has it open.
 */
int fs_held(struct fs *fs, uint64_t ino, uint64_t *ret_bytes) MUST_CHECK;
#define FS_SNAPSHOT_GROUP_MAX 64u
/*
 * The same of several disks at one moment, in one transaction: of all or of
 * none.  inos in ascending order; ret_s has `count`.  *ret_which is the one
 * that is locked.  -VMFS_ELIMIT: too many for the journal.
 */
int fs_snapshot_group(struct fs *fs, const uint64_t *inos, unsigned count,
    const char *name, struct fs_snapshot *ret_s,
    struct lock_holder *ret_holder, unsigned *ret_which) MUST_CHECK;
int fs_snapshot_list(struct fs *fs, uint64_t ino,
    bool (*fn)(void *arg, const struct fs_snapshot *s), void *arg) MUST_CHECK;
/* By name, or "#id".  -ENOENT. */
int fs_snapshot_find(struct fs *fs, uint64_t ino, const char *name,
    struct fs_snapshot *ret_s) MUST_CHECK;
/*
 * Before a disk goes that has so many that it takes long: all but those that go
 * with its name.  -EBUSY, and none goes, while clones pin one.
 */
int fs_snapshot_thin(struct fs *fs, uint64_t ino, const struct fs_progress *p,
    struct lock_holder *ret_holder) MUST_CHECK;
/* -EBUSY while clones pin it, or somebody here has it open. */
int fs_snapshot_delete(struct fs *fs, uint64_t ino, uint32_t id,
    struct lock_holder *ret_holder) MUST_CHECK;
/*
 * The same in two parts: afterwards nobody finds it, and then the space of all
 * such is freed.  After a crash fs_snapshot_pending tells how many there are,
 * as of the last checkpoint of whoever has the disk open.
 */
int fs_snapshot_forget(struct fs *fs, uint64_t ino, uint32_t id,
    struct lock_holder *ret_holder) MUST_CHECK;
int fs_snapshot_pending(struct fs *fs, uint64_t ino, unsigned *ret_count)
    MUST_CHECK;
int fs_snapshot_reap(struct fs *fs, uint64_t ino, const struct fs_progress *p,
    struct lock_holder *ret_holder) MUST_CHECK;
/* The second part by somebody who only tidies up: -VMFS_ELOCKED also for a disk
 * that is offered to a host, which would lose its offer. */
int fs_snapshot_tidy(struct fs *fs, uint64_t ino) MUST_CHECK;
/* The live disk becomes the snapshot's content; -EBUSY: it is open here. */
int fs_snapshot_revert(struct fs *fs, uint64_t ino, uint32_t id,
    struct lock_holder *ret_holder) MUST_CHECK;
/*
 * New disk in dir that shares the snapshot's space.  Needs no lock of the
 * parent disk, only the snapshot's for a moment, so any host can clone, unless
 * another one reads the snapshot: -VMFS_ELOCKED, at once if this one does, too.
 */
int fs_clone(struct fs *fs, uint64_t snapshot_ino, uint64_t dir,
    const char *name, uint16_t mode, uint32_t uid, uint32_t gid,
    struct fs_attr *ret_a, struct lock_holder *ret_holder) MUST_CHECK;
/*
 * The same of the disk `ino` as it is now, with mode and owner of `like`.  The
 * snapshot that is taken for it, called so or when that is taken so and a
 * number, goes with its last clone.
 */
int fs_clone_now(struct fs *fs, uint64_t ino, const char *called, uint64_t dir,
    const char *name, const struct fs_attr *like, struct fs_snapshot *ret_s,
    struct fs_attr *ret_a, struct lock_holder *ret_holder) MUST_CHECK;

/*
 * Everything that the disk shares with the snapshot it is a clone of becomes
 * its own, by copying; then it is no clone any more.  The disk may be written
 * meanwhile.  -EBUSY: it has snapshots, which share as well; -EINVAL: no clone;
 * -VMFS_ELOCKED: all is copied, but another host reads that snapshot just now.
 */
int fs_file_promote(struct fs_file *f, const struct fs_progress *p) MUST_CHECK;
struct fs_evacuation {
	uint64_t snapshot;		/* which another host reads, or 0 ... */
	struct lock_holder holder;	/* ... that host */
};
/*
 * All of the files that lies on LUNs that are to leave goes elsewhere, while
 * they are used: content, snapshots, and what says where it is; not the inodes.
 * What is shared stays shared, so the files are a disk with all its clones and
 * theirs, each open for writing by this host alone (-EBADF).  After an error,
 * or a crash, what has moved has moved, and the rest is where it was.
 * -EMLINK: a snapshot has a clone that is not among them; -VMFS_ELOCKED:
 * ret_e; -VMFS_ELIMIT: the journal is too small for so many snapshots that
 * differ in one place; -ENOSPC, also when there is no free MiB in one piece.
 */
int fs_evacuate(struct fs_file *const *file, unsigned n,
    const struct fs_progress *p, struct fs_evacuation *ret_e) MUST_CHECK;
/* The same for the blocks of a directory.  -VMFS_ELOCKED after a while. */
int fs_dir_evacuate(struct fs *fs, uint64_t ino,
    struct lock_holder *ret_holder) MUST_CHECK;
/*
 * Calls fn for the extents, whole blocks, in which two trees of one family
 * differ (a disk and its snapshots, or 0: nothing at all), in ascending order,
 * until it returns false.  What both share is not entered.  -EXDEV: they are
 * not of one family; -ENOENT: one is deleted meanwhile; -EAGAIN: what was told
 * is not all true, another host has changed it.
 */
int fs_diff(struct fs *fs, uint64_t from, uint64_t to,
    bool (*fn)(void *arg, uint64_t offset, uint64_t len, bool data), void *arg)
    MUST_CHECK;
/* The same of the blocks that a range touches. */
int fs_diff_range(struct fs *fs, uint64_t from, uint64_t to, uint64_t offset,
    uint64_t length,
    bool (*fn)(void *arg, uint64_t offset, uint64_t len, bool data), void *arg)
    MUST_CHECK;

/*
 * The range of dst, whole MiB, becomes that of src without copying: dst, which
 * must be empty when offset 0 is asked for, becomes a clone of a snapshot of src
 * that is made for it and goes with its last clone (or of src, when that is a
 * snapshot).  *ret_len bytes are done; it is less than len, perhaps 0, where src
 * has been written since, or for a part of a MiB: that is to be copied.
 * -EOPNOTSUPP: these two share nothing.
 */
int fs_file_share(struct fs_file *src, struct fs_file *dst, uint64_t offset,
    uint64_t len, uint64_t *ret_len) MUST_CHECK;

#endif
