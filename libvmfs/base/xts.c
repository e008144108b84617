/* SPDX-License-Identifier: BSD-2-Clause */
/* XTS by libcrypto. */
#include "libvmfs/base/xts.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <string.h>


#define TWEAK_SIZE 16u

/* struct xts is libcrypto's context. */
static EVP_CIPHER_CTX *
ctx_of(struct xts *x)
{
	return (EVP_CIPHER_CTX *)x;
}

int
xts_new(const uint8_t key[XTS_KEY_SIZE], bool encrypt, struct xts **ret_x)
{
	EVP_CIPHER_CTX *ctx;

	if (memcmp(key, key + XTS_KEY_SIZE / 2, XTS_KEY_SIZE / 2) == 0)
		return -EINVAL;
	ctx = EVP_CIPHER_CTX_new();
	if (ctx == NULL)
		return -ENOMEM;
	if (EVP_CipherInit_ex(ctx, EVP_aes_256_xts(), NULL, key, NULL,
	    encrypt) != 1) {
		EVP_CIPHER_CTX_free(ctx);
		return -EOPNOTSUPP;
	}
	*ret_x = (struct xts *)ctx;
	return 0;
}

void
xts_free(struct xts *x)
{
	EVP_CIPHER_CTX_free(ctx_of(x));
}

int
xts_turn(struct xts *x, uint64_t unit, const void *src, void *dst, size_t len)
{
	uint8_t tweak[TWEAK_SIZE] = { 0 };
	int n;

	for (unsigned i = 0; i < sizeof(unit); i++)
		tweak[i] = (uint8_t)(unit >> 8 * i);
	if (len > INT_MAX ||
	    EVP_CipherInit_ex(ctx_of(x), NULL, NULL, NULL, tweak, -1) != 1 ||
	    EVP_CipherUpdate(ctx_of(x), dst, &n, src, (int)len) != 1 ||
	    n != (int)len)
		return -EIO;
	return 0;
}
