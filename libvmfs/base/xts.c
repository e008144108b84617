/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XTS by what the processor has for it, else by libcrypto, whose contexts are
 * each for one thread at a time: there are some to spare, copied when needed.
 */
#include "libvmfs/base/xts.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/xts_vaes.h"

#define TWEAK_SIZE 16u
/* As many threads have a disk at once without copies for each unit. */
#define SPARES 8u

_Static_assert(XTS_UNIT_MULTIPLE == XTS_VAES_STEP, "units are whole steps");

struct xts {
	struct xts_vaes vaes;
	EVP_CIPHER_CTX *first;		/* only copied; NULL: by vaes */
	_Atomic(EVP_CIPHER_CTX *) spare[SPARES];
};

static int
xts_alloc(const uint8_t key[XTS_KEY_SIZE], struct xts **ret_x)
{
	struct xts *x;

	if (memcmp(key, key + XTS_KEY_SIZE / 2, XTS_KEY_SIZE / 2) == 0)
		return -EINVAL;
	x = aligned_alloc(_Alignof(struct xts), sizeof(*x));
	if (x == NULL)
		return -ENOMEM;
	memset(x, 0, sizeof(*x));
	*ret_x = x;
	return 0;
}

int
xts_new_plain(const uint8_t key[XTS_KEY_SIZE], bool encrypt,
    struct xts **ret_x)
{
	struct xts *x;
	int r = xts_alloc(key, &x);

	if (r != 0)
		return r;
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

int
xts_new(const uint8_t key[XTS_KEY_SIZE], bool encrypt, struct xts **ret_x)
{
	struct xts *x;
	int r;

	r = xts_alloc(key, &x);
	if (r != 0)
		return r;
	if (!xts_vaes_init(&x->vaes, key, encrypt)) {
		xts_free(x);
		return xts_new_plain(key, encrypt, ret_x);
	}
	*ret_x = x;
	return 0;
}

void
xts_free(struct xts *x)
{
	if (x == NULL)
		return;
	for (unsigned i = 0; i < SPARES; i++)
		EVP_CIPHER_CTX_free(atomic_load(&x->spare[i]));
	EVP_CIPHER_CTX_free(x->first);
	explicit_bzero(x, sizeof(*x));
	free(x);
}

/* ---- libcrypto ---- */

static EVP_CIPHER_CTX *
ctx_get(struct xts *x)
{
	EVP_CIPHER_CTX *ctx;

	for (unsigned i = 0; i < SPARES; i++) {
		if (atomic_load(&x->spare[i]) == NULL)
			continue;
		ctx = atomic_exchange(&x->spare[i], NULL);
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
	for (unsigned i = 0; i < SPARES; i++) {
		EVP_CIPHER_CTX *none = NULL;

		if (atomic_compare_exchange_strong(&x->spare[i], &none, ctx))
			return;
	}
	EVP_CIPHER_CTX_free(ctx);
}

static int
plain_turn(struct xts *x, uint64_t unit, const void *src, void *dst,
    size_t len)
{
	uint8_t tweak[TWEAK_SIZE] = { 0 };
	EVP_CIPHER_CTX *ctx = ctx_get(x);
	int n, r = 0;

	if (ctx == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < sizeof(unit); i++)
		tweak[i] = (uint8_t)(unit >> 8 * i);
	if (len > INT_MAX ||
	    EVP_CipherInit_ex(ctx, NULL, NULL, NULL, tweak, -1) != 1 ||
	    EVP_CipherUpdate(ctx, dst, &n, src, (int)len) != 1 ||
	    n != (int)len)
		r = -EIO;
	ctx_put(x, ctx);
	return r;
}

int
xts_turn(struct xts *x, uint64_t unit, const void *src, void *dst, size_t len)
{
	if (len == 0 || len % XTS_UNIT_MULTIPLE != 0)
		return -EINVAL;
	if (x->first != NULL)
		return plain_turn(x, unit, src, dst, len);
	x->vaes.turn(&x->vaes, unit, src, dst, len);
	return 0;
}
