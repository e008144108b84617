/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory of datastores that outlives the process. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmfsd/attach.h"
#include "vmfsd/datastore_impl.h"
#include "vmfsd/keep.h"

#define PREFIX "ds."
#define FUSE_PREFIX "fuse."

static void
name_of(const char *datastore, char name[KEEP_NAME_MAX])
{
	(void)snprintf(name, KEEP_NAME_MAX, PREFIX "%s", datastore);
}

void
ds_keep_connection(const char *datastore, char *ret_name)
{
	(void)snprintf(ret_name, KEEP_NAME_MAX, FUSE_PREFIX "%s", datastore);
}

static int
map(int fd, struct ds_keep **ret_k)
{
	void *p;
	int rc = hugepage_map(sizeof(struct ds_keep), fd, &p);

	if (rc == 0)
		*ret_k = p;
	return rc;
}

static int
map_left(int fd, struct ds_keep **ret_k)
{
	struct ds_keep *k = NULL;
	struct stat st;
	int rc;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((size_t)st.st_size != sizeof(*k))
		return -ESTALE;
	rc = map(fd, &k);
	if (rc < 0)
		return rc;
	if (k->version != DS_KEEP_VERSION || k->size != sizeof(*k)) {
		(void)munmap(k, sizeof(*k));
		return -ESTALE;
	}
	*ret_k = k;
	return 0;
}

static int
make(struct datastore *d, const char *name, struct ds_keep **ret_k)
{
	int fd = memfd_create(name, MFD_CLOEXEC), rc;
	struct ds_keep *k = NULL;
	struct env env;

	if (fd < 0)
		return -errno;
	rc = ftruncate(fd, sizeof(*k)) < 0 ? -errno : map(fd, &k);
	if (rc == 0) {
		env_posix_init(&env, NULL, d->all->log);
		k->isid[0] = env_random_u64(&env) | 1;
		k->isid[1] = env_random_u64(&env) | 1;
		k->size = sizeof(*k);
		k->version = DS_KEEP_VERSION;
		*ret_k = k;
		/* Without a supervisor it is gone with us. */
		rc = keep_put(name, fd);
		rc = rc == -EOPNOTSUPP ? 0 : rc;
	}
	(void)close(fd);
	return rc;
}

static void
tell_how(struct datastore *d)
{
	struct ds_keep *k = d->keep;
	bool fits = strlen(d->lun) < sizeof(k->lun) &&
	    strlen(d->mount) < sizeof(k->mount);

	(void)snprintf(k->lun, sizeof(k->lun), "%s", fits ? d->lun : "");
	(void)snprintf(k->mount, sizeof(k->mount), "%s", d->mount);
	k->readonly = d->readonly;
}

int
ds_keep_begin(struct datastore *d)
{
	char name[KEEP_NAME_MAX];
	int fd, rc;

	if (d->keep != NULL)
		return 0;
	name_of(d->name, name);
	rc = keep_look(name, &fd);
	d->left = rc == 0;
	if (d->left)
		rc = map_left(fd, &d->keep);
	/* It stays for the next try. */
	if (d->left && rc < 0 && rc != -ESTALE)
		return rc;
	if (rc == -ESTALE)
		log_warn(d->all->log, "datastore: %s: what another version of "
		    "vmfsd has left cannot be used", d->name);
	if (d->left && keep_take(name, &fd) == 0)
		(void)close(fd);
	if (rc < 0)
		rc = make(d, name, &d->keep);
	if (rc == 0)
		tell_how(d);
	return rc;
}

bool
ds_keep_is_left(const char *name)
{
	char kept[KEEP_NAME_MAX];
	int fd;

	name_of(name, kept);
	return keep_look(kept, &fd) == 0;
}

bool
ds_keep_next(unsigned *at, char *ret_name)
{
	return keep_next(PREFIX, at, ret_name);
}

static int
look_left(const char *name, struct ds_keep **ret_k)
{
	char kept[KEEP_NAME_MAX];
	int fd, rc;

	name_of(name, kept);
	rc = keep_look(kept, &fd);
	return rc < 0 ? rc : map_left(fd, ret_k);
}

int
ds_keep_how(const char *name, struct ds_keep_how *ret_how)
{
	struct ds_keep *k;
	int rc = look_left(name, &k);

	if (rc < 0)
		return rc;
	(void)snprintf(ret_how->lun, DS_KEEP_TEXT, "%s", k->lun);
	(void)snprintf(ret_how->mount, DS_KEEP_TEXT, "%s", k->mount);
	ret_how->readonly = k->readonly != 0;
	(void)munmap(k, sizeof(*k));
	return ret_how->lun[0] != '\0' ? 0 : -ENAMETOOLONG;
}

static bool
connection_is_left(const struct datastore *d)
{
	char kept[KEEP_NAME_MAX];
	int fd;

	ds_keep_connection(d->name, kept);
	return keep_look(kept, &fd) == 0;
}

static void
look_above(void *arg, struct datastore *other)
{
	struct datastore *d = arg;
	size_t len = strlen(other->mount);

	if (strncmp(d->mount, other->mount, len) != 0 ||
	    (d->mount[len] != '\0' && d->mount[len] != '/') ||
	    !connection_is_left(other))
		return;
	(void)snprintf(d->why, sizeof(d->why), "cannot mount on '%s': "
	    "datastore '%s' is still mounted on '%s' and waits for its LUN; "
	    "vmfsctl ds unmount %s gives it up", d->mount, other->name,
	    other->mount, other->name);
}

int
ds_keep_check_dir(struct datastore *d)
{
	/* It is where it is, and needs no look at the directory. */
	if (connection_is_left(d))
		return 0;
	datastores_each(d->all, look_above, d);
	return d->why[0] != '\0' ? -EBUSY : 0;
}

int
ds_keep_adopt(struct datastores *all, const char *name,
    struct datastore **ret_d)
{
	struct conf_datastore conf = { .name = (char *)(uintptr_t)name };
	struct ds_keep_how how;
	int rc;

	*ret_d = datastore_ref(all, name);
	if (*ret_d != NULL)
		return 0;
	rc = ds_keep_how(name, &how);
	if (rc < 0)
		return rc;
	conf.lun = how.lun;
	conf.mount = how.mount;
	conf.readonly = how.readonly;
	return datastore_add(all, &conf, ret_d);
}

void
ds_keep_give_up(const char *name)
{
	static const char *const prefixes[] = { PREFIX, FUSE_PREFIX };
	char kept[KEEP_NAME_MAX];
	int fd;

	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(kept, sizeof(kept), "%s%s", prefixes[i], name);
		if (keep_take(kept, &fd) == 0)
			(void)close(fd);
		keep_drop(kept);
	}
}

bool
ds_keep_is_open(void *keep, uint64_t ino)
{
	const struct ds_keep *k = keep;

	for (uint32_t i = 0; i < FUSE_KEEP_HANDLES; i++)
		if (atomic_load(&k->fuse.handle[i].used) != 0 &&
		    k->fuse.handle[i].ino == ino)
			return true;
	for (uint32_t i = 0; i < ATTACH_KEEP_MAX; i++)
		if (attach_keeps(&k->attach[i], ino))
			return true;
	return false;
}

void
ds_keep_end(struct datastore *d)
{
	if (d->keep == NULL)
		return;
	ds_keep_give_up(d->name);
	(void)munmap(d->keep, sizeof(*d->keep));
	d->keep = NULL;
}

void
ds_keep_unused(struct datastore *d)
{
	if (d->keep != NULL && !d->left && !atomic_load(&d->wanted) &&
	    atomic_load(&d->keep->host.member) == 0)
		ds_keep_end(d);
}
