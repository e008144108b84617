/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What initiators have changed of LUNs for good goes into the configuration, so
 * that it is there after a restart: a thread writes, as an admin's command
 * would (doc/adr/0007).
 */
#include <stdlib.h>
#include <string.h>

#include "vmfsd/box_keep.h"
#include "vmfsd/call.h"
#include "vmfsd/lun_settings.h"

/* Lines that are not what the units say. */
struct kept {
	struct exports *e;
	struct conf_edit edit[CONF_LIST_MAX];
	char key[CONF_LIST_MAX][16];
	size_t count;
};

static int
keep_lun(struct kept *k, const struct conf_target *t, const struct conf_lun *l)
{
	struct export_lun *x = exports_find(k->e, t->iqn, l->number);
	struct scsi_lu_settings s;
	char *text;
	int rc;

	if (x == NULL || k->count == CONF_LIST_MAX)
		return 0;
	scsi_lu_settings(x->lu, &s);
	rc = lun_settings_text(l, &s, &text);
	if (rc < 0)
		return rc;
	if (strcmp(text, l->text) == 0) {
		free(text);
		return 0;
	}
	(void)snprintf(k->key[k->count], sizeof(k->key[0]), "lun.%u",
	    l->number);
	k->edit[k->count] = (struct conf_edit){
		.what = CONF_EDIT_SET, .section = "target", .argument = t->iqn,
		.key = k->key[k->count], .value = text,
	};
	k->count++;
	return 0;
}

static int
keep_fiber(void *arg)
{
	struct kept *k = arg;
	const struct conf *c = k->e->conf;
	int rc = 0;

	if (k->e->server == NULL)	/* the start failed */
		return 0;
	for (size_t i = 0; i < c->targets && rc == 0; i++)
		for (size_t j = 0; j < c->target[i].luns && rc == 0; j++)
			rc = keep_lun(k, &c->target[i], &c->target[i].lun[j]);
	return rc;
}

/*
 * As many lines as go at once; *ret_more: there may be others.  With the box's
 * mutex from the look on: who removes a LUN in between would find its line back.
 */
static int
keep_some(struct box *b, char *why, bool *ret_more)
{
	struct kept *k = calloc(1, sizeof(*k));
	int rc = k != NULL ? 0 : -ENOMEM;

	if (rc == 0 && b->exports->reactor != NULL) {
		k->e = b->exports;
		rc = call_on(b->exports->env.sched, keep_fiber, k);
	}
	if (rc == 0 && k->count > 0)
		rc = box_change_held(b, k->edit, k->count, false, why);
	*ret_more = k != NULL && k->count == CONF_LIST_MAX;
	for (size_t i = 0; k != NULL && i < k->count; i++)
		free((char *)(uintptr_t)k->edit[i].value);
	free(k);
	return rc;
}

int
box_keep(struct box *b, char *why)
{
	bool more = true;
	int rc = 0;

	why[0] = '\0';
	while (rc == 0 && more) {
		(void)pthread_mutex_lock(&b->mutex);
		rc = keep_some(b, why, &more);
		(void)pthread_mutex_unlock(&b->mutex);
	}
	return rc;
}

static void *
keeper_main(void *arg)
{
	struct box_keeper *k = arg;
	char why[BOX_WHY_SIZE];
	int rc;

	while (!atomic_load(&k->stop)) {
		while (sem_wait(&k->wanted) < 0)
			continue;
		/* Also what was changed just before the stop. */
		rc = box_keep(k->box, why);
		if (rc < 0)
			log_warn(k->box->log, "target: what initiators set "
			    "for LUNs is good until the next start only: %s",
			    why[0] != '\0' ? why : vmfs_strerror(rc));
	}
	return NULL;
}

/* Any thread, with a unit's lock. */
static void
keeper_wake(void *arg)
{
	struct box_keeper *k = arg;

	(void)sem_post(&k->wanted);
}

int
box_keeper_start(struct box_keeper *k, struct box *b)
{
	int rc;

	*k = (struct box_keeper){ .box = b };
	if (sem_init(&k->wanted, 0, 0) < 0)
		return -errno;
	rc = -pthread_create(&k->thread, NULL, keeper_main, k);
	if (rc < 0)
		return rc;
	k->running = true;
	b->exports->on_setting = keeper_wake;
	b->exports->on_setting_arg = k;
	return 0;
}

void
box_keeper_stop(struct box_keeper *k)
{
	if (!k->running)
		return;
	atomic_store(&k->stop, true);
	(void)sem_post(&k->wanted);
	(void)pthread_join(k->thread, NULL);
	k->running = false;
}
