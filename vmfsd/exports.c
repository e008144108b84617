/* SPDX-License-Identifier: BSD-2-Clause */
/* Wires disks, logical units, targets and portals together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iscsi/disk_libiscsi.h"
#include "iscsi/scsi/sanitize.h"
#include "libvmfs/base/cleanup.h"
#include "libvmfs/base/lun_text.h"
#include "libvmfs/base/units.h"
#include "vmfsd/call.h"
#include "vmfsd/conf_allow.h"
#include "vmfsd/conf_diff.h"
#include "vmfsd/disk_ds.h"
#include "vmfsd/exports_impl.h"

static int
open_source(struct exports *e, const struct conf_lun *l, struct disk **ret_d)
{
	struct disk_libiscsi_conf conf = { .initiator = e->conf->initiator };
	uint64_t size;
	int rc;

	if (strncmp(l->source, "ram:", 4) == 0) {
		rc = size_parse(l->source + 4, &size);
		return rc < 0 ? rc : disk_mem_open(size, 512, ret_d);
	}
	if (strncmp(l->source, "null:", 5) == 0) {
		rc = size_parse(l->source + 5, &size);
		return rc < 0 ? rc : disk_null_open(size, ret_d);
	}
	if (disk_ds_is(l->source, NULL))
		return disk_ds_open(e->datastores, l->source,
		    l->readonly ? DISK_OPEN_READONLY : 0, e->why, ret_d);
	rc = lun_open(&e->env, l->source, l->readonly ? DISK_OPEN_READONLY : 0,
	    &conf, ret_d);
	if (rc < 0)
		(void)lun_open_text(l->source, rc, e->why, sizeof(e->why));
	return rc;
}

/* The unit of a source that an earlier target line already opened. */
static struct export_lun *
find_unit(const struct exports *e, const struct uuid *u)
{
	list_for_each(node, tmp, &e->luns) {
		struct export_lun *x = list_entry(node, struct export_lun,
		    node);

		if (uuid_equal(&x->uuid, u))
			return x;
	}
	return NULL;
}

/*
 * Two units of one source would have one name and reservations each of their
 * own, which fence nobody who comes by the other.
 */
static int
refuse_second(struct exports *e, const struct export_lun *x,
    const struct conf_lun *l)
{
	char source[LUN_TEXT_SIZE];

	(void)snprintf(e->why, sizeof(e->why), "'%s' is LUN %u of %s already, "
	    "with other options; give both the same (for an initiator that "
	    "shall only read, readonly belongs into its allow line)",
	    lun_text(l->source, source), x->conf->number, x->iqn);
	return -EBUSY;
}

static int
open_write_log(struct exports *e, struct export_lun *x)
{
	int rc = write_log_open(&x->writes, &e->env, x->write_log);

	if (rc < 0)
		(void)snprintf(e->why, sizeof(e->why), "cannot open write log "
		    "'%s': %s", x->write_log, vmfs_strerror(rc));
	return rc;
}

/* The unit finds the reservations again that were made to last (APTPL). */
static int
load_reservations(struct exports *e, struct export_lun *x,
    struct scsi_lu_conf *conf, void **ret_image)
{
	conf->pr_save = pr_store_save;
	conf->pr_save_arg = &x->pr;
	return pr_store_open(&x->pr, e->conf->host_dir, "reservations",
	    &conf->uuid, ret_image, &conf->pr_image_len);
}

/* The unit goes on with a SANITIZE that was under way. */
static int
load_sanitize(struct exports *e, struct export_lun *x,
    struct scsi_lu_conf *conf, void **ret_image)
{
	struct sanitize_job job;
	enum sanitize_state state;
	char source[LUN_TEXT_SIZE];
	int rc = pr_store_open(&x->sanitize, e->conf->host_dir, "sanitize",
	    &conf->uuid, ret_image, &conf->sanitize_image_len);

	conf->sanitize_save = pr_store_save;
	conf->sanitize_save_arg = &x->sanitize;
	if (rc == 0 && *ret_image != NULL)
		rc = sanitize_image_decode(*ret_image,
		    conf->sanitize_image_len, &state, &job);
	if (rc == -VMFS_ECORRUPT || rc == -EFBIG)
		(void)snprintf(e->why, sizeof(e->why), "whether '%s' was "
		    "being sanitized is not known, '%s' is damaged; if its "
		    "data may be read, remove that file",
		    lun_text(x->conf->source, source), x->sanitize.path);
	return rc;
}

static int
make_unit(struct exports *e, struct export_lun *x, struct scsi_lu_conf *conf)
{
	cleanup_free void *reservations = NULL, *sanitize = NULL;
	char source[LUN_TEXT_SIZE];
	int rc = load_sanitize(e, x, conf, &sanitize);

	if (rc != 0)
		return rc;
	rc = load_reservations(e, x, conf, &reservations);
	if (rc == 0)
		rc = open_write_log(e, x);
	if (rc == 0) {
		conf->pr_image = reservations;
		conf->sanitize_image = sanitize;
		if (x->write_log != NULL) {
			conf->on_change = write_log_change;
			conf->on_change_arg = &x->writes;
		}
		rc = scsi_lu_new(&e->env, x->disk, conf, &x->lu);
	}
	if (rc == -VMFS_ECORRUPT || rc == -EFBIG)
		(void)snprintf(e->why, sizeof(e->why), "the reservations of "
		    "'%s' kept in '%s' are damaged; fence the initiators by "
		    "hand, then remove that file",
		    lun_text(x->conf->source, source), x->pr.path);
	return rc;
}

/* ---- units ---- */

static struct conf_lun *
copy_conf(const struct conf_lun *from)
{
	struct conf_lun *l = malloc(sizeof(*l));

	if (l == NULL)
		return NULL;
	*l = *from;
	l->text = NULL;
	l->source = strdup(from->source);
	if (l->source != NULL)
		return l;
	free(l);
	return NULL;
}

static void
unit_close(struct export_lun *x)
{
	list_del(&x->node);
	scsi_lu_free(x->lu);
	write_log_close(&x->writes);
	disk_close(x->disk);
	if (x->conf != NULL)
		free(x->conf->source);
	free(x->conf);
	free(x->iqn);
	free(x->write_log);
	free(x);
}

static int
limit_refuse(struct exports *e, const struct conf_lun *cl)
{
	char source[LUN_TEXT_SIZE];

	(void)snprintf(e->why, sizeof(e->why), "'%s': pool= is for %s",
	    lun_text(cl->source, source), cl->thin ? "files and virtual disks: "
	    "leave it out, this LUN is as large as it is" : "thin LUNs: add "
	    "thin, or leave pool= out");
	return -EINVAL;
}

/*
 * A thin unit on a file or in a datastore may take what the file system or the
 * datastore has, or its own part of that.
 */
static int
limit(struct exports *e, struct export_lun *x, const struct conf_lun *cl)
{
	int rc = cl->thin ? disk_quota_open(x->disk, cl->pool_bytes,
	    &x->quota) : -EOPNOTSUPP;

	if (rc == 0)
		x->disk = x->quota;
	if (rc != -EOPNOTSUPP || cl->pool_bytes == 0)
		return rc == -EOPNOTSUPP ? 0 : rc;
	return limit_refuse(e, cl);
}

int
export_set(struct exports *e, struct export_lun *x, const struct conf_lun *cl)
{
	if (x->quota != NULL) {
		disk_quota_set(x->quota, cl->pool_bytes);
	} else if (cl->pool_bytes != 0) {
		return limit_refuse(e, cl);
	}
	scsi_lu_set(x->lu, &cl->settings, cl->warn_percent);
	return 0;
}

/* Blocks of a unit can be larger than those of its disk, not smaller. */
static int
check_blocks(struct exports *e, const struct export_lun *x,
    const struct conf_lun *cl)
{
	uint32_t has = x->disk->info.block_size;
	char source[LUN_TEXT_SIZE];

	if (cl->block_size == 0 || cl->block_size >= has)
		return 0;
	(void)snprintf(e->why, sizeof(e->why), "'%s' has blocks of %u bytes, "
	    "and no LUN of it can have smaller ones: leave block-size=%u out",
	    lun_text(cl->source, source), has, cl->block_size);
	return -EINVAL;
}

static int
unit_fill(struct exports *e, struct export_lun *x,
    const struct conf_target *ct, const struct conf_lun *cl)
{
	struct scsi_lu_conf conf = {
		.readonly = cl->readonly, .thin = cl->thin,
		.same_to_end = cl->same_to_end,
		.removable = cl->removable, .block_size = cl->block_size,
		.warn_percent = cl->warn_percent,
		.settings = &cl->settings,
		.on_setting = e->on_setting,
		.on_setting_arg = e->on_setting_arg,
	};
	int rc;

	x->conf = copy_conf(cl);
	x->iqn = strdup(ct->iqn);
	if (x->conf == NULL || x->iqn == NULL)
		return -ENOMEM;
	if (ct->write_log != NULL) {
		x->write_log = strdup(ct->write_log);
		if (x->write_log == NULL)
			return -ENOMEM;
	}
	rc = open_source(e, cl, &x->disk);
	if (rc == 0)
		rc = limit(e, x, cl);
	if (rc == 0)
		rc = check_blocks(e, x, cl);
	if (rc < 0)
		return rc;
	conf.uuid = x->uuid;
	conf.cache_id = export_cache_id(e, cl->source);
	rc = cl->encrypted ? export_encrypt(e, x) : 0;
	return rc < 0 ? rc : make_unit(e, x, &conf);
}

static int
unit_open(struct exports *e, const struct conf_target *ct,
    const struct conf_lun *cl, const struct uuid *uuid,
    struct export_lun **ret_x)
{
	struct export_lun *x = calloc(1, sizeof(*x));
	int rc;

	if (x == NULL)
		return -ENOMEM;
	x->writes.fd = -1;
	x->uuid = *uuid;
	x->since_us = e->env.wall_us(&e->env);
	list_add_tail(&e->luns, &x->node);
	rc = unit_fill(e, x, ct, cl);
	if (rc < 0) {
		unit_close(x);
		return rc;
	}
	export_keep_name(e, ct->iqn, cl, uuid);
	*ret_x = x;
	return 0;
}

int
export_map(struct exports *e, const struct conf_target *ct,
    const struct conf_lun *cl)
{
	struct scsi_target *t = iscsi_server_target(e->server, ct->iqn);
	struct export_lun *x;
	struct uuid uuid;
	int rc = export_name(e, ct->iqn, cl, &uuid);

	if (rc < 0)
		return rc;
	x = find_unit(e, &uuid);
	if (x == NULL)
		rc = unit_open(e, ct, cl, &uuid, &x);
	else if (!conf_same_options(x->conf, cl))
		rc = refuse_second(e, x, cl);
	if (rc < 0)
		return rc;
	rc = t != NULL ? scsi_target_map(t, cl->number, x->lu) : -ENOENT;
	x->uses += rc == 0;
	if (x->uses == 0)
		unit_close(x);
	return rc;
}

struct export_lun *
exports_find(struct exports *e, const char *iqn, unsigned number)
{
	struct scsi_target *t = iscsi_server_target(e->server, iqn);
	struct scsi_lu *lu = t != NULL ? scsi_target_lu(t, number) : NULL;

	list_for_each(node, tmp, &e->luns) {
		struct export_lun *x = list_entry(node, struct export_lun,
		    node);

		if (lu != NULL && x->lu == lu)
			return x;
	}
	return NULL;
}

int
export_unmap(struct exports *e, const char *iqn, unsigned number)
{
	struct export_lun *x = exports_find(e, iqn, number);
	int rc;

	if (x == NULL)
		return -ENOENT;
	rc = scsi_target_unmap(iscsi_server_target(e->server, iqn), number);
	if (rc == 0 && --x->uses == 0)
		unit_close(x);
	return rc;
}

/* ---- targets ---- */

static int
access_entry(struct exports *e, const struct conf_target *ct, size_t i,
    struct conf_allow *a, struct iscsi_access *ret_access)
{
	int rc = conf_allow_parse(ct->allow[i].text, a, e->why, sizeof(e->why));
	bool own = ct->allow[i].in.user != NULL;
	const struct conf_chap *in = own ? &ct->allow[i].in : &ct->in;
	const struct conf_chap *out = own ? &ct->allow[i].out : &ct->out;

	if (rc == 0)
		*ret_access = (struct iscsi_access){
			.initiator = a->pattern,
			.in = { in->user, in->secret },
			.out = { out->user, out->secret },
			.view = a->all ? NULL : &a->view,
		};
	return rc;
}

int
export_access(struct exports *e, const struct conf_target *ct)
{
	cleanup_free struct conf_allow *a = calloc(ct->allows + 1, sizeof(*a));
	cleanup_free struct iscsi_access *access =
	    calloc(ct->allows + 1, sizeof(*access));
	int rc = a != NULL && access != NULL ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < ct->allows; i++)
		rc = access_entry(e, ct, i, &a[i], &access[i]);
	if (rc == 0)
		rc = iscsi_server_set_access(e->server, ct->iqn, access,
		    ct->allows);
	if (rc == 0)
		rc = iscsi_server_redirect(e->server, ct->iqn, ct->redirect);
	if (rc == 0)
		rc = iscsi_server_alias(e->server, ct->iqn, ct->alias);
	if (ct->allows == 0)
		log_warn(e->log, "target: %s: no allow line: nobody can log in",
		    ct->iqn);
	return rc;
}

/* Datastores are mounted after the target has started, perhaps from it.  And the
 * first start fails where a source is away; one that goes on must not. */
static int
map_or_wait(struct exports *e, const struct conf_target *ct,
    const struct conf_lun *cl)
{
	int rc = export_map(e, ct, cl);

	if (rc == 0 || !(e->goes_on || disk_ds_is(cl->source, NULL)))
		return rc;
	log_line(e->log, disk_ds_is(cl->source, NULL) ? LOG_LEVEL_INFO :
	    LOG_LEVEL_WARN, "target: LUN %u of %s waits: %s", cl->number,
	    ct->iqn, e->why[0] != '\0' ? e->why : vmfs_strerror(rc));
	export_await(e, ct->iqn, cl, export_is_to_come(e, cl));
	e->why[0] = '\0';
	return 0;
}

static int
add_target(struct exports *e, const struct conf_target *ct)
{
	struct scsi_target *t;
	int rc = iscsi_server_add_target(e->server, ct->iqn, &t);

	for (size_t i = 0; rc == 0 && i < ct->luns; i++)
		rc = map_or_wait(e, ct, &ct->lun[i]);
	if (rc == 0)
		rc = export_access(e, ct);
	if (rc < 0 && e->why[0] == '\0')
		(void)snprintf(e->why, sizeof(e->why),
		    "cannot set up target '%s': %s", ct->iqn,
		    vmfs_strerror(rc));
	return rc;
}

int
export_remove_target(struct exports *e, const struct conf_target *ct)
{
	struct export_lun *x[SCSI_LUNS_MAX];
	int rc;

	for (size_t i = 0; i < ct->luns; i++)
		x[i] = exports_find(e, ct->iqn, ct->lun[i].number);
	rc = iscsi_server_remove_target(e->server, ct->iqn);
	for (size_t i = 0; rc == 0 && i < ct->luns; i++) {
		if (x[i] == NULL)
			export_await(e, ct->iqn, &ct->lun[i], false);
		else if (--x[i]->uses == 0)
			unit_close(x[i]);
	}
	return rc;
}

/* ---- start and stop ---- */

static int
start_fiber(void *arg)
{
	struct exports *e = arg;
	int rc = iscsi_server_new(&e->env, &e->conf->limits, &e->server);

	for (unsigned i = 0; rc == 0 && i < e->workers; i++) {
		struct env env;

		env_posix_init(&env, reactor_sched(e->worker[i]), e->log);
		rc = iscsi_server_add_worker(e->server, &env);
	}
	if (rc == 0)
		rc = export_discovery(e, e->conf);
	for (size_t i = 0; rc == 0 && i < e->conf->targets; i++)
		rc = add_target(e, &e->conf->target[i]);
	return rc < 0 ? rc : export_listen_all(e);
}

static int
stop_fiber(void *arg)
{
	struct exports *e = arg;

	if (e->server != NULL)
		iscsi_server_free(e->server);
	e->server = NULL;
	list_for_each(node, tmp, &e->luns)
		unit_close(list_entry(node, struct export_lun, node));
	return 0;
}

static int
start_reactor(const char *name, bool spins, struct reactor **ret_r)
{
	struct reactor *r;
	int rc = reactor_new(name, &r);

	if (rc < 0)
		return rc;
	if (spins)
		reactor_want_spin(r);
	rc = reactor_start(r);
	if (rc < 0)
		reactor_free(r);
	else
		*ret_r = r;
	return rc;
}

static void
stop_reactor(struct reactor *r)
{
	reactor_stop(r);
	reactor_join(r);
	reactor_free(r);
}

/* One for each processor. */
static int
start_workers(struct exports *e)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	char name[16];
	int rc = 0;

	if (cpus > EXPORTS_WORKERS_MAX)
		cpus = EXPORTS_WORKERS_MAX;
	while (rc == 0 && (e->workers == 0 || e->workers < (unsigned)cpus)) {
		(void)snprintf(name, sizeof(name), "target-%u", e->workers);
		rc = start_reactor(name, !e->conf->no_busy_wait,
		    &e->worker[e->workers]);
		e->workers += rc == 0;
	}
	return rc;
}

int
exports_run(struct exports *e)
{
	int rc;

	if (e->reactor != NULL)
		return 0;
	rc = start_reactor("target", false, &e->reactor);
	if (rc == 0)
		rc = start_workers(e);
	if (rc == 0) {
		env_posix_init(&e->env, reactor_sched(e->reactor), e->log);
		rc = call_on(e->env.sched, start_fiber, e);
	}
	if (rc < 0 && e->why[0] == '\0')
		(void)snprintf(e->why, sizeof(e->why),
		    "cannot start the iSCSI target: %s", vmfs_strerror(rc));
	return rc;
}

int
exports_start(struct exports *e, struct conf *conf,
    const struct identity *identity, struct datastores *datastores,
    struct log *log)
{
	*e = (struct exports){
		.conf = conf, .identity = identity, .log = log,
		.datastores = datastores, .on_setting = e->on_setting,
		.on_setting_arg = e->on_setting_arg,
		.goes_on = e->goes_on,
	};
	list_init(&e->luns);
	return conf->portals == 0 ? 0 : exports_run(e);
}

void
exports_stop(struct exports *e)
{
	if (e->server != NULL)
		(void)!call_on(e->env.sched, stop_fiber, e);
	while (e->workers > 0)
		stop_reactor(e->worker[--e->workers]);
	if (e->reactor != NULL)
		stop_reactor(e->reactor);
	e->reactor = NULL;
}
