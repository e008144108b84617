/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of datastores: find, lock, count. */
#include <stdlib.h>
#include <string.h>

#include "vmfsd/datastore_impl.h"

static const char *const state_names[DATASTORE_STATES] = {
	[DATASTORE_UNMOUNTED] = "unmounted",
	[DATASTORE_MOUNTED] = "ok",
	[DATASTORE_FROZEN] = "frozen",
	[DATASTORE_FENCED] = "fenced",
	[DATASTORE_LOST] = "lost",
};

const char *
datastore_state_name(enum datastore_state s)
{
	return state_names[s];
}

void
datastores_init(struct datastores *all, struct log *log,
    const struct identity *identity, const char *initiator)
{
	*all = (struct datastores){
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.log = log,
		.identity = identity,
		.initiator = initiator,
	};
	list_init(&all->list);
}

static void
datastore_free(struct datastore *d)
{
	ds_keep_end(d);
	(void)pthread_rwlock_destroy(&d->use);
	free(d->name);
	free(d->lun);
	free(d->mount);
	for (unsigned i = 0; i < d->extents; i++)
		free(d->extent[i]);
	free(d);
}

/* Under the mutex. */
static struct datastore *
find(struct datastores *all, const char *name)
{
	list_for_each(node, tmp, &all->list) {
		struct datastore *d = list_entry(node, struct datastore, node);

		if (strcmp(d->name, name) == 0)
			return d;
	}
	return NULL;
}

int
datastore_add(struct datastores *all, const struct conf_datastore *conf,
    struct datastore **ret_held)
{
	struct datastore *d = calloc(1, sizeof(*d));
	int rc = 0;

	if (d == NULL)
		return -ENOMEM;
	d->all = all;
	d->listed = ret_held == NULL;
	d->refs = d->listed ? 0 : 1;
	list_init(&d->attached);
	list_init(&d->nbd);
	d->pin_fd = -1;
	d->readonly = conf->readonly;
	d->unmap = conf->unmap;
	d->unmap_rate = conf->unmap_rate;
	d->threads = conf->threads;
	d->map_cache = conf->map_cache;
	d->no_io_uring = conf->no_io_uring;
	(void)pthread_rwlock_init(&d->use, NULL);
	d->name = strdup(conf->name);
	d->lun = strdup(conf->lun);
	d->mount = strdup(conf->mount);
	for (size_t i = 0; rc == 0 && i < conf->extents; i++) {
		d->extent[i] = strdup(conf->extent[i]);
		rc = d->extent[i] == NULL ? -ENOMEM : 0;
		d->extents += rc == 0;
	}
	if (rc < 0 || d->name == NULL || d->lun == NULL || d->mount == NULL) {
		datastore_free(d);
		return -ENOMEM;
	}
	(void)pthread_mutex_lock(&all->mutex);
	if (find(all, conf->name) != NULL)
		rc = -EEXIST;
	else
		list_add_tail(&all->list, &d->node);
	(void)pthread_mutex_unlock(&all->mutex);
	if (rc < 0)
		datastore_free(d);
	else if (ret_held != NULL)
		*ret_held = d;
	return rc;
}

bool
datastore_is_wanted(struct datastores *all, const char *name)
{
	const struct datastore *d;
	bool wanted;

	(void)pthread_mutex_lock(&all->mutex);
	d = find(all, name);
	wanted = d != NULL && atomic_load(&d->wanted);
	(void)pthread_mutex_unlock(&all->mutex);
	return wanted;
}

struct datastore *
datastore_ref(struct datastores *all, const char *name)
{
	struct datastore *d;

	(void)pthread_mutex_lock(&all->mutex);
	d = find(all, name);
	if (d != NULL)
		d->refs++;
	(void)pthread_mutex_unlock(&all->mutex);
	return d;
}

/* Ad hoc ones go when nothing uses or wants them any more. */
void
datastore_unref(struct datastore *d)
{
	struct datastores *all = d->all;
	bool drop;

	(void)pthread_mutex_lock(&all->mutex);
	drop = --d->refs == 0 && !d->listed && !atomic_load(&d->wanted) &&
	    atomic_load(&d->state) == DATASTORE_UNMOUNTED;
	if (drop)
		list_del(&d->node);
	(void)pthread_mutex_unlock(&all->mutex);
	if (drop)
		datastore_free(d);
}

int
datastore_get(struct datastores *all, const char *name, bool need_mounted,
    struct datastore **ret_d)
{
	struct datastore *d = datastore_ref(all, name);

	if (d == NULL)
		return -ENOENT;
	(void)pthread_rwlock_rdlock(&d->use);
	if (need_mounted && atomic_load(&d->state) == DATASTORE_UNMOUNTED) {
		datastore_put(d);
		return -ENODEV;
	}
	*ret_d = d;
	return 0;
}

int
datastore_try(struct datastores *all, const char *name,
    struct datastore **ret_d)
{
	struct datastore *d = datastore_ref(all, name);

	if (d == NULL)
		return -ENOENT;
	if (pthread_rwlock_tryrdlock(&d->use) != 0) {
		datastore_unref(d);
		return -EBUSY;
	}
	*ret_d = d;
	return 0;
}

void
datastore_put(struct datastore *d)
{
	(void)pthread_rwlock_unlock(&d->use);
	datastore_unref(d);
}

void
datastores_each(struct datastores *all,
    void (*fn)(void *arg, struct datastore *d), void *arg)
{
	(void)pthread_mutex_lock(&all->mutex);
	list_for_each(node, tmp, &all->list)
		fn(arg, list_entry(node, struct datastore, node));
	(void)pthread_mutex_unlock(&all->mutex);
}

static void
count_used(void *arg, struct datastore *d)
{
	unsigned *n = arg;

	/* In this order: it is wanted until it is mounted. */
	if (atomic_load(&d->wanted) ||
	    atomic_load(&d->state) != DATASTORE_UNMOUNTED)
		(*n)++;
}

bool
datastores_in_use(struct datastores *all)
{
	unsigned n = 0;

	datastores_each(all, count_used, &n);
	return n > 0;
}

void
datastores_fini(struct datastores *all)
{
	for (struct list *node; (node = list_pop(&all->list)) != NULL;)
		datastore_free(list_entry(node, struct datastore, node));
	serving_free(all->serving);
	(void)pthread_mutex_destroy(&all->mutex);
}

/* ---- all of them ---- */

/* One name that must go; copied, as the datastore may be freed. */
struct pick {
	bool only_gone;
	char name[64];
};

static void
pick_one(void *arg, struct datastore *d)
{
	struct pick *p = arg;

	if (p->name[0] == '\0' &&
	    atomic_load(&d->state) != DATASTORE_UNMOUNTED &&
	    (!p->only_gone || atomic_load(&d->gone)))
		(void)snprintf(p->name, sizeof(p->name), "%s", d->name);
}

static bool
pick(struct datastores *all, bool only_gone, struct pick *ret_p)
{
	*ret_p = (struct pick){ .only_gone = only_gone };
	datastores_each(all, pick_one, ret_p);
	return ret_p->name[0] != '\0';
}

void
datastores_reap(struct datastores *all)
{
	struct pick p;

	while (pick(all, true, &p))
		(void)!datastore_reap(all, p.name);
}

unsigned
datastores_unmount_all(struct datastores *all)
{
	char why[DATASTORE_WHY_SIZE];
	unsigned failed = 0;
	struct pick p;

	while (pick(all, false, &p))
		failed += datastore_unmount(all, p.name, true, why) < 0;
	return failed;
}
