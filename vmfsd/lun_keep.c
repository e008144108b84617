/* SPDX-License-Identifier: BSD-2-Clause */
/* LUNs on virtual disks across processes, see lun_keep.h. */
#include <string.h>

#include "vmfsd/lun_keep.h"

/* source NULL: any. */
static bool
is_of(const struct attach_keep *k, const char *source,
    struct attachment *ret_a)
{
	json_t *args = atomic_load(&k->used) != 0 ?
	    json_loads(k->args, 0, NULL) : NULL;
	const char *lun = json_string_value(json_object_get(args, "lun"));
	bool is = lun != NULL && attach_kept_disk(args, ret_a) == 0 &&
	    (source == NULL || strcmp(lun, source) == 0);

	json_decref(args);
	return is;
}

bool
lun_keep_is(const struct attach_keep *k)
{
	struct attachment a = { 0 };

	return is_of(k, NULL, &a);
}

static struct lun_kept *
here(struct datastore *d, const struct attach_keep *k)
{
	return &d->lun_kept[k - d->keep->attach];
}

static void
let_go(struct lun_kept *l)
{
	struct fs_file *f = l->held;

	l->held = NULL;
	if (f != NULL)
		(void)!fs_file_close(f);
}

void
lun_keep_hold(struct datastore *d)
{
	for (unsigned i = 0; d->again && i < ATTACH_KEEP_MAX; i++) {
		struct attachment a = { 0 };
		struct fs_file *f;

		if (!is_of(&d->keep->attach[i], NULL, &a))
			continue;
		/* An error comes again, and is told, when it is opened. */
		if (fs_file_reopen(d->fs, a.ino, a.generation, a.readonly ?
		    FS_READ : (unsigned)FS_READ | FS_WRITE | FS_BY_LUN,
		    &f) == 0)
			d->lun_kept[i].held = f;
	}
}

void
lun_keep_let_go(struct datastore *d)
{
	for (unsigned i = 0; i < ATTACH_KEEP_MAX; i++) {
		let_go(&d->lun_kept[i]);
		d->lun_kept[i].state = LUN_LEFT;
	}
}

struct attach_keep *
lun_keep_left(struct datastore *d, const char *source,
    struct attachment *ret_a)
{
	for (unsigned i = 0; i < ATTACH_KEEP_MAX; i++) {
		if (d->lun_kept[i].state == LUN_OPEN ||
		    !is_of(&d->keep->attach[i], source, ret_a))
			continue;
		d->lun_kept[i].state = LUN_AWAITED;
		return &d->keep->attach[i];
	}
	return NULL;
}

static struct attach_keep *
keep(struct datastore *d, const char *source, const struct attachment *a)
{
	json_t *args = json_pack("{s:s, s:b}", "lun", source, "readonly",
	    a->readonly);
	struct attach_keep *k = args != NULL && attach_keep_disk(a, args) == 0 ?
	    attach_keep_put(d, args) : NULL;

	json_decref(args);
	if (k == NULL)
		log_warn(d->all->log, "target: %s: would be opened by its path "
		    "if this process died", source);
	return k;
}

struct attach_keep *
lun_keep_opened(struct datastore *d, const char *source,
    const struct attachment *a, struct attach_keep *left)
{
	struct attach_keep *k = left != NULL ? left : keep(d, source, a);

	if (k == NULL)
		return NULL;
	here(d, k)->state = LUN_OPEN;
	let_go(here(d, k));
	return k;
}

void
lun_keep_closed(struct datastore *d, struct attach_keep *k)
{
	if (k == NULL)
		return;
	atomic_store(&k->used, 0);
	here(d, k)->state = LUN_LEFT;
}

void
lun_keep_forget(struct datastore *d, const char *source)
{
	for (unsigned i = 0; i < ATTACH_KEEP_MAX; i++) {
		struct lun_kept *l = &d->lun_kept[i];
		struct attachment a = { 0 };

		if (l->state == LUN_OPEN ||
		    (source == NULL && l->state == LUN_AWAITED) ||
		    !is_of(&d->keep->attach[i], source, &a))
			continue;
		atomic_store(&d->keep->attach[i].used, 0);
		l->state = LUN_LEFT;
		let_go(l);
	}
}
