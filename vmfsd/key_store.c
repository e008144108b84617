/* SPDX-License-Identifier: BSD-2-Clause */
/* 8 bytes of magic, the key, CRC32C of both (big-endian). */
#include "vmfsd/key_store.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "libvmfs/base/be.h"
#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/crc32c.h"
#include "libvmfs/env/reactor.h"
#include "vmfsd/keyring.h"

enum { MAGIC_LEN = 8, CRC_LEN = 4 };
#define IMAGE_LEN (MAGIC_LEN + DISK_CRYPT_KEY_SIZE + CRC_LEN)
static const uint8_t magic[MAGIC_LEN] = "VMFSKEY1";

static int
key_decode(const uint8_t *p, size_t len, uint8_t *ret_key)
{
	if (len != IMAGE_LEN || memcmp(p, magic, MAGIC_LEN) != 0 ||
	    be32_load(p + len - CRC_LEN) != crc32c(0, p, len - CRC_LEN))
		return -VMFS_ECORRUPT;
	memcpy(ret_key, p + MAGIC_LEN, DISK_CRYPT_KEY_SIZE);
	return 0;
}

/* The file of before is still there for who has it open. */
struct scrub {
	const char *path;
	int fd;			/* -1: there was none */
};

static int
scrub_open(void *arg)
{
	struct scrub *s = arg;

	s->fd = open(s->path, O_WRONLY | O_CLOEXEC);
	return s->fd < 0 && errno != ENOENT ? -errno : 0;
}

static int
scrub_write(void *arg)
{
	static const uint8_t zeroes[IMAGE_LEN];
	struct scrub *s = arg;
	int rc = 0;

	if (pwrite(s->fd, zeroes, sizeof(zeroes), 0) !=
	    (ssize_t)sizeof(zeroes) || fsync(s->fd) < 0)
		rc = errno != 0 ? -errno : -EIO;
	return rc;
}

static int
scrub_close(void *arg)
{
	struct scrub *s = arg;

	(void)close(s->fd);
	return 0;
}

int
key_store_save(void *arg, const void *key, size_t len)
{
	struct pr_store *store = arg;
	struct scrub s = { .path = store->path, .fd = -1 };
	uint8_t image[IMAGE_LEN];
	int rc;

	memcpy(image, magic, MAGIC_LEN);
	memcpy(image + MAGIC_LEN, key, len);
	be32_store(image + IMAGE_LEN - CRC_LEN,
	    crc32c(0, image, IMAGE_LEN - CRC_LEN));
	rc = offload_call(scrub_open, &s);
	if (rc == 0)
		rc = pr_store_save(store, image, sizeof(image));
	explicit_bzero(image, sizeof(image));
	if (s.fd < 0)
		return rc;
	if (rc == 0)
		rc = offload_call(scrub_write, &s);
	(void)!offload_call(scrub_close, &s);
	return rc;
}

int
key_store_open(struct pr_store *s, const char *dir, const struct uuid *unit,
    uint8_t ret_key[DISK_CRYPT_KEY_SIZE])
{
	cleanup_free void *image = NULL;
	size_t len;
	int rc;

	keyring_no_dump();
	rc = pr_store_open(s, dir, "key", unit, &image, &len);

	if (rc == -EFBIG)
		return -VMFS_ECORRUPT;
	if (rc != 0)
		return rc;
	if (image == NULL)
		return -ENOKEY;
	rc = key_decode(image, len, ret_key);
	explicit_bzero(image, len);
	return rc;
}

int
key_store_make(struct pr_store *s, struct env *env,
    uint8_t ret_key[DISK_CRYPT_KEY_SIZE])
{
	env->random(env, ret_key, DISK_CRYPT_KEY_SIZE);
	return key_store_save(s, ret_key, DISK_CRYPT_KEY_SIZE);
}
