/* SPDX-License-Identifier: BSD-2-Clause */
/* Replaces the file as a whole, durably. */
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libvmfs/base/cleanup.h"
#include "libvmfs/env/reactor.h"
#include "vmfsd/pr_store.h"

int
pr_store_open(struct pr_store *s, const char *dir, const char *kind,
    const struct uuid *unit, void **ret_image, size_t *ret_len)
{
	cleanup_free char *image = NULL;
	char uuid[UUID_TEXT_SIZE];
	bool failed;
	size_t len;
	FILE *f;

	(void)snprintf(s->path, sizeof(s->path), "%s/%s-%s", dir, kind,
	    uuid_text(unit, uuid));
	f = fopen(s->path, "re");
	if (f == NULL) {
		if (errno != ENOENT)
			return -errno;
		*ret_image = NULL;
		*ret_len = 0;
		return 0;
	}
	image = malloc(PR_STORE_MAX);
	len = image != NULL ? fread(image, 1, PR_STORE_MAX, f) : 0;
	failed = ferror(f) != 0;
	(void)fclose(f);
	if (image == NULL)
		return -ENOMEM;
	/* Not damaged: who is told so removes the file. */
	if (failed)
		return -EIO;
	if (len == PR_STORE_MAX)
		return -EFBIG;
	*ret_image = take_ptr(image);
	*ret_len = len;
	return 0;
}

struct save {
	const struct pr_store *store;
	const char *image;
	size_t len;
};

static int
write_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int
sync_dir(const char *path)
{
	char copy[PATH_MAX];
	int fd, rc = 0;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0)
		rc = -errno;
	(void)close(fd);
	return rc;
}

/* On a helper thread: it blocks. */
static int
save_blocking(void *arg)
{
	struct save *s = arg;
	char tmp[PATH_MAX + 8];
	int fd, rc;

	(void)snprintf(tmp, sizeof(tmp), "%s.new", s->store->path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	rc = write_all(fd, s->image, s->len);
	(void)close(fd);
	if (rc == 0 && rename(tmp, s->store->path) < 0)
		rc = -errno;
	return rc < 0 ? rc : sync_dir(s->store->path);
}

int
pr_store_save(void *arg, const void *image, size_t len)
{
	struct save s = { .store = arg, .image = image, .len = len };

	return offload_call(save_blocking, &s);
}
