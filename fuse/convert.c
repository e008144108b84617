/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the file system's attributes and errors and the kernel's. */
#include <stdio.h>

#include "fuse/mount_impl.h"
#include "fuse/refusal.h"

#define NS 1000000000

int
errno_of(int error)
{
	switch (error) {
	case -VMFS_ELOCKED:
	case -VMFS_EINUSE:
		return EBUSY;
	case -VMFS_ELIMIT:
		return ENOSPC;
	case -VMFS_EGONE:
		return ENODEV;
	default:
		/* Fenced, corrupt, unknown outcome: nothing finer exists. */
		return error < -4095 ? EIO : -error;
	}
}

static const mode_t type_mode[] = {
	[INODE_FILE] = S_IFREG,
	[INODE_DIR] = S_IFDIR,
	[INODE_SYMLINK] = S_IFLNK,
	[INODE_DISK] = S_IFREG,
	[INODE_SNAPSHOT] = S_IFREG,
};

/* 1677 to 2262. */
static struct timespec
timespec_of(uint64_t ns)
{
	int64_t t = (int64_t)ns, sec = t / NS - (t % NS < 0);

	return (struct timespec){
		.tv_sec = (time_t)sec, .tv_nsec = (long)(t - sec * NS),
	};
}

uint64_t
timespec_ns(const struct timespec *ts)
{
	time_t sec = ts->tv_sec;

	if (sec > INT64_MAX / NS - 1)
		sec = INT64_MAX / NS - 1;
	if (sec < INT64_MIN / NS + 1)
		sec = INT64_MIN / NS + 1;
	return (uint64_t)(sec * NS + ts->tv_nsec);
}

void
attr_to_stat(const struct fuse_mount *m, const struct fs_attr *a,
    struct stat *ret_st)
{
	*ret_st = (struct stat){
		.st_ino = shown_ino(m, a->ino),
		.st_mode = type_mode[a->type] | a->mode,
		.st_nlink = a->nlink,
		.st_uid = a->uid,
		.st_gid = a->gid,
		.st_size = (off_t)a->size,
		.st_blksize = (blksize_t)CHUNK_SIZE,
		.st_blocks = (blkcnt_t)(a->allocated / 512),
		.st_atim = timespec_of(a->atime_ns),
		.st_mtim = timespec_of(a->mtime_ns),
		.st_ctim = timespec_of(a->ctime_ns),
	};
}

/* Timeouts stay zero: another host may change anything at any time. */
void
attr_to_entry(const struct fuse_mount *m, const struct fs_attr *a,
    struct fuse_entry_param *ret_e)
{
	*ret_e = (struct fuse_entry_param){
		.ino = node_of(m, a),
		.generation = a->generation,
	};
	attr_to_stat(m, a, &ret_e->attr);
}

void
reply_error(fuse_req_t req, int error, const char *what, uint64_t ino,
    const char *name, const struct lock_holder *holder)
{
	struct fuse_mount *m = mount_of(req);
	char object[320], text[REFUSAL_SIZE];

	if (name == NULL)
		name = name_hint_get(&m->hints, ino);
	if (name != NULL)
		(void)snprintf(object, sizeof(object), "%s", name);
	else
		(void)snprintf(object, sizeof(object), "inode %llu",
		    (unsigned long long)ino);
	switch (error) {
	case -VMFS_ELOCKED:
		log_warn(m->log, "fuse: %s: %s refused: %s", m->datastore, what,
		    refusal_text(object, holder,
			&ds_super(fs_ds(m->conf.fs))->timers, text));
		break;
	case -EPERM:
		log_warn(m->log, "fuse: %s: %s of %s refused: a multi-writer "
		    "disk keeps its size; first run vmfsctl disk set "
		    "--sharing=none", m->datastore, what, object);
		break;
	case -ENOKEY:
		log_warn(m->log, "fuse: %s: %s of %s refused: it is encrypted, "
		    "and this host has no such key; vmfsctl disk info tells "
		    "the key's id, vmfsctl key ls those of this host",
		    m->datastore, what, object);
		break;
	case -VMFS_ECORRUPT:
	case -VMFS_EUNKNOWN:
	case -VMFS_EGONE:
	case -VMFS_EEXTENT:
	case -EIO:
		log_error(m->log, "fuse: %s: %s of %s failed: %s", m->datastore,
		    what, object, vmfs_strerror(error));
		break;
	default:
		log_debug(m->log, "fuse: %s: %s of %s: %s", m->datastore, what,
		    object, vmfs_strerror(error));
		break;
	}
	(void)fuse_reply_err(req, errno_of(error));
}
