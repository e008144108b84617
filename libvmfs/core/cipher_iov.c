/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The data of encrypted disks where a request has it: in pieces that need not
 * begin or end with a block of the disk.
 */
#include "libvmfs/core/fs_impl.h"

struct place {
	const struct iovec *v;
	int left;		/* iovecs, *v is the first */
	size_t in;		/* bytes of *v that are done */
};

/* Bytes in one piece from here. */
static size_t
whole(struct place *p)
{
	while (p->left > 0 && p->in == p->v->iov_len) {
		p->v++;
		p->left--;
		p->in = 0;
	}
	return p->left > 0 ? p->v->iov_len - p->in : 0;
}

static uint8_t *
here(const struct place *p)
{
	return (uint8_t *)p->v->iov_base + p->in;
}

/* A block's data from or to where it lies; false: there is less. */
static bool
block_copy(struct place *p, uint8_t *block, bool to_block)
{
	size_t n;

	for (size_t done = 0; done < BLOCK_SIZE; done += n, p->in += n) {
		n = whole(p);
		if (n == 0)
			return false;
		if (n > BLOCK_SIZE - done)
			n = BLOCK_SIZE - done;
		if (to_block)
			memcpy(block + done, here(p), n);
		else
			memcpy(here(p), block + done, n);
	}
	return true;
}

static struct place
place_at(const struct iovec *iov, int iovcnt, size_t at)
{
	struct place p = { .v = iov, .left = iovcnt };
	size_t n;

	for (; at > 0 && (n = whole(&p)) > 0; at -= n) {
		n = n < at ? n : at;
		p.in += n;
	}
	return p;
}

int
cipher_encrypt_iov(struct inode *ip, uint64_t off, const struct iovec *iov,
    int iovcnt, size_t at, uint8_t *dst, size_t len)
{
	struct place p = place_at(iov, iovcnt, at);
	size_t n;
	int r = 0;

	for (; len > 0 && r == 0; off += n, dst += n, len -= n) {
		n = whole(&p) & ~(size_t)(BLOCK_SIZE - 1);
		if (n > len)
			n = len;
		if (n > 0) {
			r = cipher_encrypt(ip, off, here(&p), dst, n);
			p.in += n;
			continue;
		}
		n = BLOCK_SIZE;
		r = block_copy(&p, dst, true) ?
		    cipher_encrypt(ip, off, dst, dst, n) : -EINVAL;
	}
	return r;
}

int
cipher_decrypt_iov(struct inode *ip, uint64_t off, const struct iovec *iov,
    int iovcnt, size_t at, size_t len)
{
	struct place p = place_at(iov, iovcnt, at), start;
	uint8_t block[BLOCK_SIZE];
	size_t n;
	int r = 0;

	for (; len > 0 && r == 0; off += n, len -= n) {
		n = whole(&p) & ~(size_t)(BLOCK_SIZE - 1);
		if (n > len)
			n = len;
		if (n > 0) {
			r = cipher_decrypt(ip, off, here(&p), here(&p), n);
			p.in += n;
			continue;
		}
		n = BLOCK_SIZE;
		start = p;
		r = block_copy(&p, block, true) ?
		    cipher_decrypt(ip, off, block, block, n) : -EINVAL;
		if (r == 0)
			(void)!block_copy(&start, block, false);
	}
	return r;
}
