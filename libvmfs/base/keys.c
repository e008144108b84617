/* SPDX-License-Identifier: BSD-2-Clause */
/* HKDF-SHA-256 and AES key wrap by libcrypto. */
#include "libvmfs/base/keys.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

/* The purposes; another text gives another key. */
static const char for_id[] = "vmfsd key file id 1";
static const char for_wrapping[] = "vmfsd wrapping key 1";
static const char for_data[] = "vmfsd AES-256-XTS data 1";

static int
derive(const void *secret, size_t len, const char *purpose, void *ret_key,
    size_t size)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest,
		    0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
		    (void *)(uintptr_t)secret, len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
		    (void *)(uintptr_t)purpose, strlen(purpose)),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	int rc = -EOPNOTSUPP;

	if (ctx != NULL && EVP_KDF_derive(ctx, ret_key, size, params) == 1)
		rc = 0;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return rc;
}

int
wrapping_key_derive(const void *secret, size_t len,
    struct wrapping_key *ret_k)
{
	struct wrapping_key k;
	int rc;

	if (len < KEY_SECRET_MIN)
		return -EINVAL;
	rc = derive(secret, len, for_id, k.id, sizeof(k.id));
	if (rc == 0)
		rc = derive(secret, len, for_wrapping, k.key, sizeof(k.key));
	if (rc == 0)
		*ret_k = k;
	explicit_bzero(&k, sizeof(k));
	return rc;
}

/* One call of RFC 3394's algorithm; out has room for what it makes. */
static int
wrap_turn(const struct wrapping_key *k, const uint8_t *in, size_t in_len,
    uint8_t *out, size_t out_len, int encrypt)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0, rc = -EKEYREJECTED;

	if (ctx == NULL)
		return -ENOMEM;
	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	if (EVP_CipherInit_ex(ctx, EVP_aes_256_wrap(), NULL, k->key, NULL,
	    encrypt) == 1 &&
	    EVP_CipherUpdate(ctx, out, &n, in, (int)in_len) == 1 &&
	    n == (int)out_len)
		rc = 0;
	EVP_CIPHER_CTX_free(ctx);
	return rc;
}

int
data_key_wrap(const struct wrapping_key *k,
    const uint8_t data_key[DATA_KEY_SIZE],
    uint8_t ret_wrapped[WRAPPED_KEY_SIZE])
{
	return wrap_turn(k, data_key, DATA_KEY_SIZE, ret_wrapped,
	    WRAPPED_KEY_SIZE, 1);
}

int
data_key_unwrap(const struct wrapping_key *k,
    const uint8_t wrapped[WRAPPED_KEY_SIZE],
    uint8_t ret_data_key[DATA_KEY_SIZE])
{
	/* libcrypto may write a block more before it looks at the check. */
	uint8_t out[WRAPPED_KEY_SIZE + 8];
	int rc = wrap_turn(k, wrapped, WRAPPED_KEY_SIZE, out, DATA_KEY_SIZE,
	    0);

	if (rc == 0)
		memcpy(ret_data_key, out, DATA_KEY_SIZE);
	explicit_bzero(out, sizeof(out));
	return rc;
}

int
data_key_xts(const uint8_t data_key[DATA_KEY_SIZE],
    uint8_t ret_key[XTS_KEY_SIZE])
{
	return derive(data_key, DATA_KEY_SIZE, for_data, ret_key,
	    XTS_KEY_SIZE);
}
