/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Long requests of encrypted disks by two threads, the one that has the request
 * and a helper.  To wake one takes about as long as AES takes for 64 KiB; more
 * of them for a request have given nothing.
 */
#include <stdlib.h>

#include "libvmfs/core/fs_impl.h"

#define LONG_MIN ((size_t)128 * 1024)
#define PIECES 2u

struct share;
struct piece {
	struct offload o;
	struct share *share;
	size_t at, len;
};

struct share {
	struct inode *ip;
	uint64_t off;
	const struct iovec *iov;
	int iovcnt;
	uint8_t *dst;
	void (*done)(void *arg, int error);
	void *arg;
	int error;
	unsigned left;
	struct piece piece[PIECES];
};

/* Requests that this thread has begun to share and not ended. */
static _Thread_local unsigned sharing;

static int
piece_run(void *arg)
{
	struct piece *p = arg;
	struct share *s = p->share;

	return s->dst == NULL ?
	    cipher_decrypt_iov(s->ip, s->off + p->at, s->iov, s->iovcnt, p->at,
	    p->len) :
	    cipher_encrypt_iov(s->ip, s->off + p->at, s->iov, s->iovcnt, p->at,
	    s->dst + p->at, p->len);
}

static void
piece_done(struct offload *o, int result)
{
	struct share *s = container_of(o, struct piece, o)->share;

	if (result != 0)
		s->error = result;
	if (--s->left > 0)
		return;
	sharing--;
	s->done(s->arg, s->error);
	free(s);
}

bool
cipher_share(struct inode *ip, uint64_t off, const struct iovec *iov,
    int iovcnt, uint8_t *dst, size_t len, void (*done)(void *arg, int error),
    void *arg)
{
	size_t half = len / PIECES & ~(size_t)(BLOCK_SIZE - 1);
	struct share *s;

	if (len < LONG_MIN || reactor_current() == NULL)
		return false;
	s = malloc(sizeof(*s));
	if (s == NULL)
		return false;
	*s = (struct share){ .ip = ip, .off = off, .iov = iov,
		.iovcnt = iovcnt, .dst = dst, .done = done, .arg = arg,
		.left = PIECES };
	s->piece[0] = (struct piece){ .share = s, .len = half,
		.o = { .fn = piece_run, .arg = &s->piece[0],
		    .done = piece_done, .group = &ip->fs->turners } };
	s->piece[1] = (struct piece){ .share = s, .at = half,
		.len = len - half,
		.o = { .fn = piece_run, .arg = &s->piece[1],
		    .done = piece_done, .group = &ip->fs->turners } };
	offload_submit(&s->piece[0].o);
	/* Of a burst this thread does a part only of the first: were it busy
	 * with all, the disk would get them all at the end. */
	if (sharing++ > 0) {
		offload_submit(&s->piece[1].o);
		return true;
	}
	/* Its end comes later, by way of the loop. */
	piece_done(&s->piece[1].o, piece_run(&s->piece[1]));
	return true;
}
