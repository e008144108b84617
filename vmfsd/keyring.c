/* SPDX-License-Identifier: BSD-2-Clause */
/* Key files in their directory. */
#include "vmfsd/keyring.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_MAX 4096

/* DIR/keys below the host's directory. */
static void
keyring_dir(const char *host_dir, char buf[KEYRING_PATH_SIZE])
{
	(void)snprintf(buf, KEYRING_PATH_SIZE, "%s/keys", host_dir);
}

void
key_id_text(const uint8_t id[KEY_ID_SIZE], char buf[KEY_ID_TEXT_SIZE])
{
	for (unsigned i = 0; i < KEY_ID_SIZE; i++)
		(void)snprintf(buf + 2 * i, 3, "%02x", id[i]);
}

void
keyring_no_dump(void)
{
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int
secret_read(int fd, struct wrapping_key *ret_k)
{
	uint8_t secret[SECRET_MAX];
	size_t len = 0;
	ssize_t n;
	int rc;

	do {
		n = read(fd, secret + len, sizeof(secret) - len);
		if (n > 0)
			len += (size_t)n;
	} while ((n > 0 && len < sizeof(secret)) || (n < 0 && errno == EINTR));
	rc = n < 0 ? -errno : wrapping_key_derive(secret, len, ret_k);
	explicit_bzero(secret, sizeof(secret));
	return rc;
}

static int
file_load(const char *path, struct wrapping_key *ret_k,
    char why[KEYRING_WHY_SIZE])
{
	/* A pipe would keep whoever opens a disk. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;
	struct stat st;

	why[0] = '\0';
	if (fd < 0 || fstat(fd, &st) < 0) {
		rc = -errno;
		(void)snprintf(why, KEYRING_WHY_SIZE, "cannot read the key "
		    "file '%.300s': %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		rc = -EINVAL;
		(void)snprintf(why, KEYRING_WHY_SIZE, "'%.300s' is no regular "
		    "file", path);
	} else if ((st.st_mode & 077) != 0) {
		rc = -EPERM;
		(void)snprintf(why, KEYRING_WHY_SIZE, "the key file '%.300s' "
		    "can be read by others; run chmod 600", path);
	} else {
		keyring_no_dump();
		rc = secret_read(fd, ret_k);
		if (rc < 0)
			(void)snprintf(why, KEYRING_WHY_SIZE, rc == -EINVAL ?
			    "the key file '%.300s' is too short; it must hold "
			    "%u random bytes or more" :
			    "cannot read the key file '%.300s' (%u)", path,
			    KEY_SECRET_MIN);
	}
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

static int
name_load(const char *dir, const char *name, struct wrapping_key *ret_k,
    char why[KEYRING_WHY_SIZE])
{
	char path[KEYRING_PATH_SIZE + 256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return file_load(path, ret_k, why);
}

int
keyring_load(const char *host_dir, const char *name,
    struct wrapping_key *ret_k, char why[KEYRING_WHY_SIZE])
{
	char dir[KEYRING_PATH_SIZE];

	keyring_dir(host_dir, dir);
	if (strchr(name, '/') != NULL || name[0] == '.' || strlen(name) > 255) {
		(void)snprintf(why, KEYRING_WHY_SIZE, "'%.100s' is no name of "
		    "a file in %.300s", name, dir);
		return -EINVAL;
	}
	return name_load(dir, name, ret_k, why);
}

int
keyring_each(const char *host_dir, bool (*fn)(void *arg, const char *name,
    const struct wrapping_key *k, const char *why), void *arg)
{
	char path[KEYRING_PATH_SIZE], why[KEYRING_WHY_SIZE];
	const struct dirent *e;
	bool more = true;
	DIR *dir;

	keyring_dir(host_dir, path);
	dir = opendir(path);
	if (dir == NULL)
		return errno == ENOENT ? 0 : -errno;
	while (more && (e = readdir(dir)) != NULL) {
		struct wrapping_key k;
		int rc;

		if (e->d_name[0] == '.')
			continue;
		rc = name_load(path, e->d_name, &k, why);
		more = fn(arg, e->d_name, rc == 0 ? &k : NULL, why);
		explicit_bzero(&k, sizeof(k));
	}
	(void)closedir(dir);
	return 0;
}

struct finding {
	const uint8_t *id;
	struct wrapping_key *k;
	char *name;
	bool found;
};

static bool
is_it(void *arg, const char *name, const struct wrapping_key *k,
    const char *why)
{
	struct finding *f = arg;

	(void)why;
	if (k == NULL || memcmp(k->id, f->id, KEY_ID_SIZE) != 0)
		return true;
	*f->k = *k;
	if (f->name != NULL)
		(void)snprintf(f->name, 256, "%s", name);
	f->found = true;
	return false;
}

int
keyring_find(const char *host_dir, const uint8_t id[KEY_ID_SIZE],
    struct wrapping_key *ret_k, char *name)
{
	struct finding f = { .id = id, .k = ret_k, .name = name };
	int rc = keyring_each(host_dir, is_it, &f);

	return rc < 0 ? rc : f.found ? 0 : -ENOKEY;
}
