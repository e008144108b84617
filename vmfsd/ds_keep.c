/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory of datastores that outlives the process. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmfsd/datastore_impl.h"
#include "vmfsd/keep.h"

static void
name_of(const struct datastore *d, char name[KEEP_NAME_MAX])
{
	(void)snprintf(name, KEEP_NAME_MAX, "ds.%s", d->name);
}

static int
map(int fd, struct ds_keep **ret_k)
{
	void *p = mmap(NULL, sizeof(struct ds_keep), PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	*ret_k = p;
	return 0;
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

int
ds_keep_begin(struct datastore *d)
{
	char name[KEEP_NAME_MAX];
	int fd, rc;

	if (d->keep != NULL)
		return 0;
	name_of(d, name);
	rc = keep_take(name, &fd);
	if (rc == 0) {
		rc = map_left(fd, &d->keep);
		(void)close(fd);
		if (rc < 0)
			log_warn(d->all->log, "datastore: %s: what another "
			    "version of vmfsd has left cannot be used",
			    d->name);
	}
	return rc == 0 ? 0 : make(d, name, &d->keep);
}

bool
ds_keep_is_open(void *keep, uint64_t ino)
{
	const struct ds_keep *k = keep;

	for (uint32_t i = 0; i < FUSE_KEEP_HANDLES; i++)
		if (atomic_load(&k->fuse.handle[i].used) != 0 &&
		    k->fuse.handle[i].ino == ino)
			return true;
	return false;
}

void
ds_keep_end(struct datastore *d)
{
	char name[KEEP_NAME_MAX];

	if (d->keep == NULL)
		return;
	name_of(d, name);
	keep_drop(name);
	(void)munmap(d->keep, sizeof(*d->keep));
	d->keep = NULL;
}
