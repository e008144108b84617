/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XTS by libcrypto, whose contexts are each for one thread at a time: there are
 * some to spare, copied when needed.
 */
#include "libvmfs/base/xts.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define TWEAK_SIZE 16u
/* As many threads have a disk at once without copies for each unit. */
#define SPARES 8u
#define LINE 64				/* of the caches */

struct xts {
	EVP_CIPHER_CTX *first;		/* only copied */
	/* A thread begins to look at a place that few others begin at. */
	struct {
		alignas(LINE) _Atomic(EVP_CIPHER_CTX *) ctx;
	} spare[SPARES];
};

static unsigned
my_place(void)
{
	static atomic_uint threads;
	static _Thread_local unsigned place;

	if (place == 0)
		place = atomic_fetch_add(&threads, 1) % SPARES + 1;
	return place - 1;
}

int
xts_new(const uint8_t key[XTS_KEY_SIZE], bool encrypt, struct xts **ret_x)
{
	struct xts *x;
	int r = 0;

	if (memcmp(key, key + XTS_KEY_SIZE / 2, XTS_KEY_SIZE / 2) == 0)
		return -EINVAL;
	x = aligned_alloc(LINE, sizeof(*x));
	if (x == NULL)
		return -ENOMEM;
	memset(x, 0, sizeof(*x));
	x->first = EVP_CIPHER_CTX_new();
	if (x->first == NULL)
		r = -ENOMEM;
	else if (EVP_CipherInit_ex(x->first, EVP_aes_256_xts(), NULL, key,
	    NULL, encrypt) != 1)
		r = -EOPNOTSUPP;
	if (r != 0)
		xts_free(x);
	else
		*ret_x = x;
	return r;
}

void
xts_free(struct xts *x)
{
	if (x == NULL)
		return;
	for (unsigned i = 0; i < SPARES; i++)
		EVP_CIPHER_CTX_free(atomic_load(&x->spare[i].ctx));
	EVP_CIPHER_CTX_free(x->first);
	free(x);
}

static EVP_CIPHER_CTX *
ctx_get(struct xts *x)
{
	EVP_CIPHER_CTX *ctx;

	for (unsigned i = 0, at = my_place(); i < SPARES; i++, at++) {
		if (atomic_load(&x->spare[at % SPARES].ctx) == NULL)
			continue;
		ctx = atomic_exchange(&x->spare[at % SPARES].ctx, NULL);
		if (ctx != NULL)
			return ctx;
	}
	ctx = EVP_CIPHER_CTX_new();
	if (ctx != NULL && EVP_CIPHER_CTX_copy(ctx, x->first) != 1) {
		EVP_CIPHER_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static void
ctx_put(struct xts *x, EVP_CIPHER_CTX *ctx)
{
	for (unsigned i = 0, at = my_place(); i < SPARES; i++, at++) {
		EVP_CIPHER_CTX *none = NULL;

		if (atomic_compare_exchange_strong(&x->spare[at % SPARES].ctx,
		    &none, ctx))
			return;
	}
	EVP_CIPHER_CTX_free(ctx);
}

int
xts_turn(struct xts *x, uint64_t unit, const void *src, void *dst, size_t len)
{
	uint8_t tweak[TWEAK_SIZE] = { 0 };
	EVP_CIPHER_CTX *ctx;
	int n, r = 0;

	if (len == 0 || len % XTS_UNIT_MULTIPLE != 0 || len > INT_MAX)
		return -EINVAL;
	ctx = ctx_get(x);
	if (ctx == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < sizeof(unit); i++)
		tweak[i] = (uint8_t)(unit >> 8 * i);
	if (EVP_CipherInit_ex(ctx, NULL, NULL, NULL, tweak, -1) != 1 ||
	    EVP_CipherUpdate(ctx, dst, &n, src, (int)len) != 1 ||
	    n != (int)len)
		r = -EIO;
	ctx_put(x, ctx);
	return r;
}
