/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening an iSCSI LUN, and what stays true of it when its session returns. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iscsi/disk_libiscsi_disk.h"
#include "iscsi/disk_libiscsi_path.h"
#include "iscsi/home_call.h"

#define ISID_RANDOM_MASK 0xffffff

static void
info_set_size(struct disk_info *info, const struct lprobe *lun)
{
	info->size_bytes = lun->blocks * lun->block_size;
	info->phys_block_size = lun->phys_block_size;
}

static int
refresh_home(void *arg)
{
	struct ldisk *d = arg;
	struct lprobe now = d->lun;
	int rc = lprobe_capacity(d->sess, &now, &d->attention);

	if (rc < 0)
		return rc;
	if (now.block_size != d->lun.block_size)
		return -VMFS_EGONE;
	d->lun.blocks = now.blocks;
	info_set_size(&d->disk.info, &d->lun);
	return 0;
}

static int
ldisk_refresh(struct disk *disk)
{
	struct ldisk *d = container_of(disk, struct ldisk, disk);

	return home_call(d->home, refresh_home, d);
}

static int
close_home(void *arg)
{
	struct ldisk *d = arg;

	lsess_close(d->sess);
	list_del(&d->node);
	return 0;
}

static void
ldisk_close(struct disk *disk)
{
	struct ldisk *d = container_of(disk, struct ldisk, disk);

	/* Without memory for a fiber there the session outlives its disk. */
	if (home_call(d->home, close_home, d) < 0)
		return;
	free(d);
}

const struct disk_ops ldisk_ops = {
	.submit = ldisk_submit,
	.refresh = ldisk_refresh,
	.close = ldisk_close,
};

/* ---- open ---- */

/* Another session was up all the time: its target has not restarted. */
static bool
others_ready(const struct ldisk *d)
{
	const struct list *head = &d->account->members;

	for (struct list *n = head->next; n != head; n = n->next) {
		struct ldisk *o = list_entry(n, struct ldisk, node);

		if (o != d && lsess_state(o->sess) == LSESS_READY)
			return true;
	}
	return false;
}

/* The session was lost: did the target lose writes it had acknowledged? */
static void
check_cache(struct ldisk *d, const struct lcache_id *now)
{
	struct ldisk_account *a = d->account;
	bool same = now->known && a->cache.known ? now->id == a->cache.id :
	    others_ready(d);
	uint64_t lost = a->written - a->durable;

	a->cache = *now;
	if (!d->lun.volatile_cache || same || lost == 0)
		return;
	a->losses++;
	a->durable = a->written;
	log_error(d->env->log, "iscsi: lun=%s was away and may have lost its "
	    "write cache: %llu acknowledged writes were not flushed; the next "
	    "flush fails", d->disk.info.name, (unsigned long long)lost);
}

static int
same_lun(void *arg)
{
	struct ldisk *d = arg;
	char serial[sizeof(d->lun.serial)];
	struct lcache_id now;
	int rc = lprobe_identity(d->sess, serial, &now);

	if (rc < 0)
		return rc;
	if (strcmp(serial, d->lun.serial) != 0)
		return -VMFS_EGONE;
	check_cache(d, &now);
	return 0;
}

/* iqn.2026-11.io.vmfsd:<hostname>, with what a node name may hold. */
static void
default_initiator(char name[224])
{
	char host[65] = "";
	size_t n;

	if (gethostname(host, sizeof(host) - 1) < 0 || host[0] == '\0')
		strcpy(host, "localhost");
	n = (size_t)snprintf(name, 224, "iqn.2026-11.io.vmfsd:");
	for (const char *p = host; *p != '\0'; p++)
		name[n++] = isalnum((unsigned char)*p) || *p == '.' ?
		    (char)tolower((unsigned char)*p) : '-';
	name[n] = '\0';
}

static void
info_fill(struct ldisk *d, const struct lurl *url)
{
	struct disk_info *info = &d->disk.info;

	info->block_size = d->lun.block_size;
	info_set_size(info, &d->lun);
	info->max_caw = d->lun.max_caw_blocks * d->lun.block_size;
	info->unmap_granularity = d->lun.unmap_granularity *
	    d->lun.block_size;
	info->thin = d->lun.thin;
	info->caps = d->lun.caps;
	strcpy(info->kind, "iscsi");
	memcpy(info->name, url->name, sizeof(info->name));
	memcpy(info->serial, d->lun.serial, sizeof(info->serial));
}

static int
open_session(struct ldisk *d, const struct lurl *url,
    const struct disk_libiscsi_conf *conf, bool one_of_many)
{
	char initiator[224];
	struct lsess_conf sc = { .verify = same_lun, .arg = d,
		.fail_fast = one_of_many };

	default_initiator(initiator);
	sc.initiator = conf->initiator != NULL ? conf->initiator : initiator;
	sc.isid_qualifier = (uint16_t)d->isid;
	sc.isid_random = (uint32_t)(d->isid >> 16) & ISID_RANDOM_MASK;
	sc.timeout_ms = d->timeout_ms;
	return lsess_open(d->env, url, &sc, &d->sess);
}

static struct ldisk *
ldisk_new(struct env *env, const struct disk_libiscsi_conf *conf,
    struct ldisk_account *account)
{
	struct ldisk *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->env = env;
	d->home = sched_current();
	d->disk.ops = &ldisk_ops;
	d->write_same = true;
	d->isid = conf->isid != 0 ? conf->isid : env_random_u64(env);
	d->timeout_ms = conf->timeout_ms != 0 ? conf->timeout_ms :
	    DISK_LIBISCSI_TIMEOUT_MS;
	list_init(&d->own.members);
	d->account = account != NULL ? account : &d->own;
	return d;
}

int
ldisk_open(struct env *env, const struct lurl *url,
    const struct disk_libiscsi_conf *conf, struct ldisk_account *account,
    struct disk **ret_d)
{
	struct ldisk *d = ldisk_new(env, conf, account);
	int rc;

	if (d == NULL)
		return -ENOMEM;
	rc = open_session(d, url, conf, account != NULL);
	if (rc == 0)
		rc = lprobe_lun(d->sess, &d->lun);
	if (rc < 0) {
		lsess_close(d->sess);
		free(d);
		return rc;
	}
	if (list_empty(&d->account->members))
		d->account->cache = d->lun.cache;
	list_add_tail(&d->account->members, &d->node);
	info_fill(d, url);
	*ret_d = &d->disk;
	return 0;
}

int
disk_libiscsi_open(struct env *env, const char *name,
    const struct disk_libiscsi_conf *conf, struct disk **ret_d)
{
	static const struct disk_libiscsi_conf defaults = { 0 };
	struct lurl *urls = calloc(LURL_PORTALS_MAX, sizeof(*urls));
	unsigned n;
	int rc;

	if (urls == NULL)
		return -ENOMEM;
	if (conf == NULL)
		conf = &defaults;
	rc = lurl_parse_list(name, urls, LURL_PORTALS_MAX, &n);
	if (rc == 0)
		rc = n == 1 ? ldisk_open(env, urls, conf, NULL, ret_d) :
		    disk_libiscsi_open_paths(env, urls, n, conf, ret_d);
	explicit_bzero(urls, LURL_PORTALS_MAX * sizeof(*urls));
	free(urls);
	return rc;
}
