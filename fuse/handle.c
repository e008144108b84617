/* SPDX-License-Identifier: BSD-2-Clause */
/* Open files by the number that the kernel has for them. */
#include <fcntl.h>
#include <stdlib.h>

#include "fuse/cluster_lock.h"

void
share_tell(struct fuse_mount *m, struct share *s, uint32_t uid,
    const char *what)
{
	if (share_is_news(s))
		log_warn(m->log, "fuse: %s: user %u gets no more %s: of %u "
		    "there are %u in use, %u by that user", m->datastore, uid,
		    what, s->count, s->taken, share_of(s, uid));
}

static int
number_get(struct fuse_mount *m, uint32_t uid, uint32_t *ret_n)
{
	if (!share_allows(&m->handle_share, uid)) {
		share_tell(m, &m->handle_share, uid, "open files");
		return -ENFILE;
	}
	for (uint32_t i = 0; i < FUSE_KEEP_HANDLES; i++) {
		uint32_t n = (m->next_handle + i) % FUSE_KEEP_HANDLES;

		if (m->handle[n] != NULL)
			continue;
		m->next_handle = n + 1;
		share_take(&m->handle_share, n, uid);
		*ret_n = n;
		return 0;
	}
	return -ENFILE;
}

/* ---- what other threads may use ---- */

static void
fast_init(struct handle *h)
{
	gate_init(&h->gate, sched_current());
	gate_close(&h->gate);
}

void
handle_keep(struct handle *h)
{
	/* Also when another fiber is about to: it is waited for. */
	gate_close(&h->gate);
	if (h->fast == NULL)
		gate_open(&h->gate);
	h->fast = NULL;
}

void
handle_share(struct handle *h, struct fs_file *f, bool writes)
{
	if (h->fast == f && h->fast_writes == writes)
		return;
	if (h->fast != NULL) {
		/* By the time it is closed f may be another: the next time. */
		handle_keep(h);
		return;
	}
	h->fast = f;
	h->fast_writes = writes;
	gate_open(&h->gate);
}

/* ---- life ---- */

int
handle_open(fuse_req_t req, fuse_ino_t node, int open_flags, uint64_t unique,
    struct handle **ret_h, struct lock_holder *ret_holder)
{
	struct fuse_mount *m = mount_of(req);
	struct handle *h = calloc(1, sizeof(*h));
	struct fuse_keep_handle *k;
	struct fs_attr a;
	int rc;

	if (h == NULL)
		return -ENOMEM;
	h->mount = m;
	h->ino = ino_of(m, node);
	list_init(&h->same);
	fiber_cond_init(&h->unused);
	fast_init(h);
	rc = number_get(m, fuse_req_ctx(req)->uid, &h->number);
	if (rc < 0) {
		free(h);
		return rc;
	}
	m->handle[h->number] = h;
	rc = locks_open(req, h, open_flags, ret_holder);
	if (rc == 0)
		rc = fs_file_attr(h->file, &a);
	if (rc == 0 && !node_means(node, a.generation))
		rc = -ESTALE;
	if (rc == 0 && h->granted && (open_flags & O_TRUNC) != 0)
		rc = content_truncate(req, h, 0, ret_holder);
	/* Who finds the handle does not truncate again. */
	if (rc == 0 && (open_flags & O_TRUNC) != 0)
		rc = ds_soften(fs_ds(m->conf.fs));
	if (rc < 0) {
		(void)handle_close(h);
		return rc;
	}
	k = &m->conf.keep->handle[h->number];
	k->ino = h->ino;
	k->unique = unique;
	k->generation = a.generation;
	k->flags = (unsigned)FS_READ | (h->writable ? FS_WRITE : 0);
	/* What had this number before may have left another right. */
	cluster_lock_note(h);
	atomic_store(&k->used, 1);
	*ret_h = h;
	return 0;
}

int
handle_close(struct handle *h)
{
	struct fuse_mount *m = h->mount;
	int rc;

	handle_keep(h);
	rc = locks_close(h);
	atomic_store(&m->conf.keep->handle[h->number].used, 0);
	m->handle[h->number] = NULL;
	share_give(&m->handle_share, h->number);
	free(h);
	return rc;
}

struct handle *
handle_of(const struct fuse_mount *m, const struct fuse_file_info *fi)
{
	return fi != NULL && fi->fh > 0 && fi->fh <= FUSE_KEEP_HANDLES ?
	    m->handle[fi->fh - 1] : NULL;
}

struct handle *
handle_get(fuse_req_t req, const struct fuse_file_info *fi)
{
	struct handle *h = handle_of(mount_of(req), fi);

	if (h != NULL && h->file != NULL) {
		handle_hold(request_of(req), h);
		return h;
	}
	(void)fuse_reply_err(req, EIO);
	return NULL;
}

void
handle_hold(struct request *r, struct handle *h)
{
	if (!r->again || r->uses != NULL)
		return;
	r->uses = h;
	h->users++;
}

void
handle_done(struct request *r)
{
	struct handle *h = r->uses;

	r->uses = NULL;
	if (h != NULL && --h->users == 0)
		fiber_cond_broadcast(&h->unused);
}

void
handle_release(struct handle *h)
{
	h->released = true;
	while (h->users > 0)
		fiber_cond_wait(&h->unused);
}

struct handle *
handle_opened_by(const struct fuse_mount *m, uint64_t unique)
{
	for (uint32_t i = 0; i < FUSE_KEEP_HANDLES; i++)
		if (m->handle[i] != NULL &&
		    m->conf.keep->handle[i].unique == unique)
			return m->handle[i];
	return NULL;
}

void
handles_close(struct fuse_mount *m)
{
	for (uint32_t i = 0; i < FUSE_KEEP_HANDLES; i++)
		if (m->handle[i] != NULL)
			(void)handle_close(m->handle[i]);
}

void
handles_forget(struct fuse_mount *m)
{
	for (uint32_t i = 0; i < FUSE_KEEP_HANDLES; i++) {
		struct handle *h = m->handle[i];

		if (h == NULL)
			continue;
		if (h->locks != NULL) {
			list_del(&h->same);
			file_locks_put(h->locks);
		}
		m->handle[i] = NULL;
		free(h);
	}
}

/* What cannot be opened again stays in the table, and fails from then on: others
 * may have changed the file before another process could open it. */
static int
restore_one(struct fuse_mount *m, uint32_t n, unsigned *lost)
{
	struct fuse_keep_handle *k = &m->conf.keep->handle[n];
	struct handle *h = calloc(1, sizeof(*h));
	int rc = m->conf.resumed && k->flags != 0 ? 0 : -ESTALE;

	if (h == NULL)
		return -ENOMEM;
	h->mount = m;
	h->number = n;
	h->ino = k->ino;
	list_init(&h->same);
	fiber_cond_init(&h->unused);
	fast_init(h);
	m->handle[n] = h;
	share_take(&m->handle_share, n, SHARE_NOBODY);
	if (rc == 0)
		rc = locks_reopen(h, k);
	if (rc == 0)
		return 0;
	k->flags = 0;
	++*lost;
	log_warn(m->log, "fuse: %s: inode %llu is not open any more: %s",
	    m->datastore, (unsigned long long)k->ino, vmfs_strerror(rc));
	return 0;
}

int
handles_restore(struct fuse_mount *m)
{
	unsigned found = 0, lost = 0;
	int rc = 0;

	for (uint32_t i = 0; i < FUSE_KEEP_HANDLES && rc == 0; i++) {
		if (atomic_load(&m->conf.keep->handle[i].used) == 0)
			continue;
		found++;
		rc = restore_one(m, i, &lost);
	}
	if (rc == 0)
		rc = locks_restore(m);
	log_info(m->log, "fuse: %s: went on handles=%u lost=%u",
	    m->datastore, found, lost);
	return rc;
}
