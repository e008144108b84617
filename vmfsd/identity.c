/* SPDX-License-Identifier: BSD-2-Clause */
/* Host identity: UUID file, lock file, machine and boot id. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmfsd/identity.h"

/* First line of a small file without its newline. */
static int
read_line(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "re");
	int rc = 0;

	if (f == NULL)
		return -errno;
	if (fgets(buf, (int)size, f) == NULL)
		rc = ferror(f) != 0 ? -errno : -ENODATA;
	else
		buf[strcspn(buf, "\n")] = '\0';
	(void)fclose(f);
	return rc;
}

static int
make_dirs(const char *dir)
{
	char path[PATH_MAX];
	size_t len = strlen(dir);

	if (len == 0 || len >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, dir, len + 1);
	for (char *p = path + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int
lock_dir(const char *dir, int *ret_fd, char *why)
{
	char path[PATH_MAX], holder[32] = "";
	int fd, n;

	(void)snprintf(path, sizeof(path), "%s/lock", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	/* To be locked it need not be written. */
	if (fd < 0 && errno == EROFS)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		n = -errno;
		(void)snprintf(why, IDENTITY_WHY_SIZE, "cannot open "
		    "'%s/lock': %s", dir, strerror(errno));
		return n;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		(void)read_line(path, holder, sizeof(holder));
		(void)close(fd);
		(void)snprintf(why, IDENTITY_WHY_SIZE, "the host identity in "
		    "'%s' is in use by the vmfsd with process id %s; stop that "
		    "one, or give this one a directory of its own (--dir, or "
		    "dir = in [host])", dir, holder[0] != '\0' ? holder : "?");
		return -EBUSY;
	}
	/* Only for the sentence above: no room is no reason to end. */
	if (ftruncate(fd, 0) == 0)
		(void)dprintf(fd, "%d\n", (int)getpid());
	*ret_fd = fd;
	return 0;
}

/* Durable before it is used: locks on disks will carry it. */
static int
store_uuid(const char *dir, const char *path, const struct uuid *u)
{
	char tmp[PATH_MAX], text[UUID_TEXT_SIZE];
	int fd, rc = 0;

	(void)snprintf(tmp, sizeof(tmp), "%s/host-uuid.new", dir);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (dprintf(fd, "%s\n", uuid_text(u, text)) < 0 || fsync(fd) < 0)
		rc = -errno;
	(void)close(fd);
	if (rc == 0 && rename(tmp, path) < 0)
		rc = -errno;
	if (rc == 0) {
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0) {
			(void)fsync(fd);
			(void)close(fd);
		}
	}
	return rc;
}

static int
load_host_uuid(struct env *env, const char *dir, struct uuid *ret_u, char *why)
{
	char path[PATH_MAX], text[64];
	int rc;

	(void)snprintf(path, sizeof(path), "%s/host-uuid", dir);
	rc = read_line(path, text, sizeof(text));
	if (rc == -ENOENT) {
		env_uuid(env, ret_u);
		rc = store_uuid(dir, path, ret_u);
		if (rc < 0)
			(void)snprintf(why, IDENTITY_WHY_SIZE, "cannot make "
			    "'%s/host-uuid': %s", dir, strerror(-rc));
		return rc;
	}
	if (rc < 0 && rc != -ENODATA) {
		(void)snprintf(why, IDENTITY_WHY_SIZE, "cannot read "
		    "'%s/host-uuid': %s", dir, strerror(-rc));
		return rc;
	}
	if (rc == 0)
		rc = uuid_parse(text, ret_u);
	if (rc < 0)
		(void)snprintf(why, IDENTITY_WHY_SIZE, "'%s/host-uuid' holds no "
		    "UUID; restore it from a backup, or remove it while no "
		    "datastore carries locks of this host", dir);
	return rc;
}

/* /etc/machine-id is a UUID without dashes. */
static void
load_machine(struct uuid *ret_u)
{
	char text[64];
	unsigned b;

	*ret_u = (struct uuid){ 0 };
	if (read_line("/etc/machine-id", text, sizeof(text)) < 0 ||
	    strlen(text) != 32)
		return;
	for (size_t i = 0; i < sizeof(ret_u->b); i++) {
		if (sscanf(text + 2 * i, "%2x", &b) != 1)
			return;
		ret_u->b[i] = (uint8_t)b;
	}
}

static void
load_boot(struct uuid *ret_u)
{
	char text[64];

	*ret_u = (struct uuid){ 0 };
	if (read_line("/proc/sys/kernel/random/boot_id", text,
	    sizeof(text)) == 0 && uuid_parse(text, ret_u) < 0)
		*ret_u = (struct uuid){ 0 };
}

/*
 * FNV-1a.  Another file with this number can only be there once the lock's
 * file is gone for everybody, holders included.
 */
static int
load_home(struct identity *id)
{
	uint64_t words[4], h = 0xcbf29ce484222325u;
	const uint8_t *p = (const uint8_t *)words;
	struct stat st;

	if (fstat(id->lock_fd, &st) < 0)
		return -errno;
	memcpy(words, id->boot.b, sizeof(id->boot.b));
	words[2] = st.st_dev;
	words[3] = st.st_ino;
	for (size_t i = 0; i < sizeof(words); i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	id->home = h | 1;
	return 0;
}

int
identity_open(struct env *env, const char *dir, const char *name,
    struct identity *ret_id, char why[IDENTITY_WHY_SIZE])
{
	struct identity id = { .lock_fd = -1 };
	int rc = make_dirs(dir);

	if (rc < 0) {
		(void)snprintf(why, IDENTITY_WHY_SIZE, "cannot make the host "
		    "directory '%s': %s", dir, strerror(-rc));
		return rc;
	}
	rc = lock_dir(dir, &id.lock_fd, why);
	if (rc == 0)
		rc = load_host_uuid(env, dir, &id.host, why);
	if (rc < 0) {
		identity_close(&id);
		return rc;
	}
	(void)snprintf(id.name, sizeof(id.name), "%s", name);
	load_machine(&id.machine);
	load_boot(&id.boot);
	id.process = env_random_u64(env) | 1;
	rc = load_home(&id);
	if (rc < 0) {
		(void)snprintf(why, IDENTITY_WHY_SIZE, "cannot look at "
		    "'%s/lock': %s", dir, strerror(-rc));
		identity_close(&id);
		return rc;
	}
	*ret_id = id;
	return 0;
}

void
identity_close(struct identity *id)
{
	if (id->lock_fd >= 0)
		(void)close(id->lock_fd);
	id->lock_fd = -1;
}
