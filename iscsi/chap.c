/* SPDX-License-Identifier: BSD-2-Clause */
/* CHAP arithmetic on OpenSSL, see chap.h. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "iscsi/chap.h"
#include "iscsi/text.h"

static const struct {
	enum chap_algorithm algorithm;
	const char *name;
	size_t size;
	const EVP_MD *(*md)(void);
} algorithms[] = {
	{ CHAP_MD5, "MD5", 16, EVP_md5 },
	{ CHAP_SHA1, "SHA1", 20, EVP_sha1 },
	{ CHAP_SHA256, "SHA-256", 32, EVP_sha256 },
	{ CHAP_SHA3_256, "SHA3-256", 32, EVP_sha3_256 },
};
#define ALGORITHMS (sizeof(algorithms) / sizeof(algorithms[0]))

size_t
chap_digest_size(unsigned algorithm)
{
	for (size_t i = 0; i < ALGORITHMS; i++)
		if (algorithms[i].algorithm == algorithm)
			return algorithms[i].size;
	return 0;
}

const char *
chap_name(enum chap_algorithm a)
{
	for (size_t i = 0; i < ALGORITHMS; i++)
		if (algorithms[i].algorithm == a)
			return algorithms[i].name;
	return NULL;
}

int
chap_choose(const char *list, enum chap_algorithm *ret_a)
{
	for (;;) {
		size_t len = strcspn(list, ",");
		char word[8];
		uint32_t n;

		if (len > 0 && len < sizeof(word)) {
			memcpy(word, list, len);
			word[len] = '\0';
			if (text_number(word, &n) == 0 && chap_digest_size(n)) {
				*ret_a = (enum chap_algorithm)n;
				return 0;
			}
		}
		if (!list[len])
			return -EINVAL;
		list += len + 1;
	}
}

static const EVP_MD *
algorithm_md(enum chap_algorithm a)
{
	for (size_t i = 0; i < ALGORITHMS; i++)
		if (algorithms[i].algorithm == a)
			return algorithms[i].md();
	return NULL;
}

int
chap_response(enum chap_algorithm a, uint8_t id, const char *secret,
    const uint8_t *challenge, size_t challenge_len,
    uint8_t ret_digest[CHAP_DIGEST_MAX])
{
	const EVP_MD *md = algorithm_md(a);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int r = -EOPNOTSUPP;

	if (md && ctx && EVP_DigestInit_ex(ctx, md, NULL) == 1 &&
	    EVP_DigestUpdate(ctx, &id, 1) == 1 &&
	    EVP_DigestUpdate(ctx, secret, strlen(secret)) == 1 &&
	    EVP_DigestUpdate(ctx, challenge, challenge_len) == 1 &&
	    EVP_DigestFinal_ex(ctx, ret_digest, NULL) == 1)
		r = 0;
	EVP_MD_CTX_free(ctx);
	return r;
}

bool
chap_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int
hex_decode(const char *text, uint8_t *buf, size_t max, size_t *ret_len)
{
	size_t digits = strlen(text), len = (digits + 1) / 2;
	size_t odd = digits & 1;	/* "0xabc" is 0a bc */

	if (digits == 0 || len > max)
		return -EINVAL;
	memset(buf, 0, len);
	for (size_t i = 0; i < digits; i++) {
		uint8_t *byte = &buf[(i + odd) / 2];
		int d = hex_digit(text[i]);

		if (d < 0)
			return -EINVAL;
		*byte = (uint8_t)((unsigned)*byte << 4 | (unsigned)d);
	}
	*ret_len = len;
	return 0;
}

static int
base64_digit(char c)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

static int
base64_decode(const char *text, uint8_t *buf, size_t max, size_t *ret_len)
{
	size_t chars = strlen(text), pads = 0, len = 0;
	uint32_t bits = 0;

	if (chars == 0 || chars % 4 != 0)
		return -EINVAL;
	while (pads < 2 && text[chars - 1 - pads] == '=')
		pads++;
	if (chars / 4 * 3 - pads > max)
		return -EINVAL;
	for (size_t i = 0; i < chars - pads; i++) {
		int d = base64_digit(text[i]);

		if (d < 0)
			return -EINVAL;
		bits = bits << 6 | (unsigned)d;
		if (i % 4 != 0)
			buf[len++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
	}
	*ret_len = len;
	return 0;
}

int
chap_decode(const char *text, uint8_t *buf, size_t max, size_t *ret_len)
{
	if (text[0] != '0')
		return -EINVAL;
	if (text[1] == 'x' || text[1] == 'X')
		return hex_decode(text + 2, buf, max, ret_len);
	if (text[1] == 'b' || text[1] == 'B')
		return base64_decode(text + 2, buf, max, ret_len);
	return -EINVAL;
}

void
chap_encode(const uint8_t *buf, size_t len, char *text)
{
	static const char digits[] = "0123456789abcdef";

	*text++ = '0';
	*text++ = 'x';
	for (size_t i = 0; i < len; i++) {
		*text++ = digits[buf[i] >> 4];
		*text++ = digits[buf[i] & 15];
	}
	*text = '\0';
}
