/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration as a file, see conf_edit.h. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvmfs/base/cleanup.h"
#include "vmfsd/conf_edit.h"

/* A symbolic link stays one. */
static int
real_path(const char *path, char ret_path[PATH_MAX])
{
	return realpath(path, ret_path) != NULL ? 0 : -errno;
}

static int
new_path(const char *path, char ret_path[PATH_MAX], char ret_new[PATH_MAX])
{
	int rc = real_path(path, ret_path);

	if (rc == 0 && snprintf(ret_new, PATH_MAX, "%s.new", ret_path) >=
	    PATH_MAX)
		rc = -ENAMETOOLONG;
	return rc;
}

static int
write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return fsync(fd) == 0 ? 0 : -errno;
}

int
conf_file_prepare(const char *path, const char *text)
{
	char real[PATH_MAX], new[PATH_MAX];
	struct stat st;
	int fd, rc = new_path(path, real, new);

	if (rc < 0)
		return rc;
	if (stat(real, &st) < 0)
		return -errno;
	fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (fd < 0)
		return -errno;
	rc = write_all(fd, text, strlen(text));
	if (rc == 0 && (fchown(fd, st.st_uid, st.st_gid) < 0 ||
	    fchmod(fd, st.st_mode & 07777) < 0))
		rc = -errno;
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc < 0)
		(void)unlink(new);
	return rc;
}

static int
sync_dir(char *path)
{
	int fd, rc;

	*strrchr(path, '/') = '\0';
	fd = open(*path != '\0' ? path : "/", O_RDONLY | O_DIRECTORY |
	    O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = fsync(fd) == 0 ? 0 : -errno;
	(void)close(fd);
	return rc;
}

int
conf_file_commit(const char *path)
{
	char real[PATH_MAX], new[PATH_MAX];
	int rc = new_path(path, real, new);

	if (rc < 0)
		return rc;
	if (rename(new, real) < 0)
		return -errno;
	return sync_dir(real);
}

void
conf_file_drop(const char *path)
{
	char real[PATH_MAX], new[PATH_MAX];

	if (new_path(path, real, new) == 0)
		(void)unlink(new);
}

int
conf_file_read(const char *path, char **ret_text)
{
	cleanup_free char *text = NULL;
	size_t size = 0;
	ssize_t len;
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return -errno;
	/* All of it: a text has no NUL. */
	len = getdelim(&text, &size, '\0', f);
	(void)fclose(f);
	if (len < 0) {
		free(text);
		text = strdup("");
	}
	if (text == NULL)
		return -ENOMEM;
	*ret_text = text;
	text = NULL;
	return 0;
}
