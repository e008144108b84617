/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands that give virtual disks to hypervisors and other clients. */
#include <string.h>

#include "vmfsd/attach.h"
#include "vmfsd/call.h"
#include "vmfsd/cmd_disk.h"
#include "vmfsd/lun_keep.h"

static const char *
guest_state(const struct vhost_info *i)
{
	return i->running ? "running" : i->connected ? "stopped" : "none";
}

static const char *
lock_state(const struct attachment *a)
{
	if (a->readonly)
		return "not needed";
	if (atomic_load(&a->d->state) == DATASTORE_FENCED)
		return "lost";
	return a->held != NULL ? "held" : "free";
}

#define COUNTERS(i) \
	"reads", (json_int_t)(i).reads, "writes", (json_int_t)(i).writes, \
	"others", (json_int_t)(i).others, \
	"read_bytes", (json_int_t)(i).read_bytes, \
	"written_bytes", (json_int_t)(i).written_bytes, \
	"errors", (json_int_t)(i).errors

static json_t *
vhost_row(const struct attachment *a)
{
	struct vhost_info i = vhost_export_info(a->e);

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, "
	    "s:I, s:i}", "disk", a->path, "by", "vhost-user",
	    "socket", a->socket, "guest", guest_state(&i),
	    "lock", lock_state(a), COUNTERS(i), "waiting", (int)i.waiting);
}

static json_t *
nbd_row(const struct attachment *a)
{
	struct nbd_export_info i = nbd_export_info(a->nbd);

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, "
	    "s:I, s:I, s:i, s:i}", "disk", a->path, "by", "nbd",
	    "socket", a->socket, "uri", a->uri,
	    "guest", i.clients > 0 ? "connected" : "none",
	    "lock", lock_state(a), COUNTERS(i), "waiting", 0,
	    "clients", (int)i.clients);
}

static json_t *
attachment_row(const struct attachment *a)
{
	json_t *row = a->nbd != NULL ? nbd_row(a) : vhost_row(a);

	if (a->why[0] != '\0')
		(void)json_object_set_new(row, "why", json_string(a->why));
	return row;
}

static const char *
text_of(const struct fs_call *c, const char *key)
{
	return json_string_value(json_object_get(c->args, key));
}

/* Options of the one way say nothing to the other. */
static int
take_way(struct fs_call *c, struct attach_conf *conf)
{
	static const char *const of_nbd[] = { "listen", "tls", "insecure" };
	static const char *const of_vhost[] = { "queues", "incoming",
		"socket" };

	conf->nbd = json_is_true(json_object_get(c->args, "nbd"));
	for (size_t i = 0; i < 3; i++) {
		const char *key = conf->nbd ? of_vhost[i] : of_nbd[i];

		if (json_object_get(c->args, key) != NULL)
			return cmd_fail(c, -EINVAL, conf->nbd ? "--%s does "
			    "not go with --nbd" : "--%s needs --nbd", key);
	}
	conf->listen = text_of(c, "listen");
	conf->tls = text_of(c, "tls");
	conf->insecure = json_is_true(json_object_get(c->args, "insecure"));
	conf->readonly = json_is_true(json_object_get(c->args, "readonly"));
	if ((conf->tls != NULL && conf->tls[0] != '/') ||
	    (conf->listen != NULL && conf->listen[0] != '/' &&
	    strchr(conf->listen, ':') == NULL))
		return cmd_fail(c, -EINVAL, "--tls needs the whole path of a "
		    "directory, --listen that of a socket, or ADDRESS:PORT");
	return 0;
}

static int
take_conf(struct fs_call *c, struct attach_conf *conf)
{
	json_t *queues = json_object_get(c->args, "queues");

	conf->socket = text_of(c, "socket");
	if (conf->socket != NULL && conf->socket[0] != '/')
		return cmd_fail(c, -EINVAL, "--socket='%.100s': vmfsd needs "
		    "the whole path of a socket", conf->socket);
	if (queues == NULL)
		return 0;
	if (!json_is_integer(queues) || json_integer_value(queues) < 1 ||
	    json_integer_value(queues) > (json_int_t)VHOST_QUEUES_MAX)
		return cmd_fail(c, -EINVAL, "a disk has 1 to %u queues",
		    VHOST_QUEUES_MAX);
	conf->queues = (unsigned)json_integer_value(queues);
	return 0;
}

struct attach_keep *
attach_keep_put(struct datastore *d, const json_t *args)
{
	for (unsigned i = 0; i < ATTACH_KEEP_MAX; i++) {
		struct attach_keep *k = &d->keep->attach[i];
		size_t n;

		if (atomic_load(&k->used) != 0)
			continue;
		n = json_dumpb(args, k->args, sizeof(k->args) - 1,
		    JSON_COMPACT);
		if (n == 0 || n >= sizeof(k->args))
			return NULL;
		k->args[n] = '\0';
		atomic_store(&k->served, SERVED_NEVER);
		atomic_store(&k->used, 1);
		return k;
	}
	return NULL;
}

/* For the next process, if this one dies. */
static void
keep_attachment(struct fs_call *c, struct attachment *a)
{
	int rc = attach_keep_disk(a, c->args);

	/* NBD clients find it at the same port. */
	if (a->nbd != NULL)
		(void)json_object_set_new(c->args, "listen",
		    json_string(a->socket));
	a->kept = rc == 0 ? attach_keep_put(c->d, c->args) : NULL;
	if (a->kept != NULL)
		return;
	log_warn(c->d->all->log, "attach: %s: disk=%s would have to be "
	    "attached again if this process died", c->d->name, a->path);
}

/* A guest that runs has the lock, wherever it came from. */
static bool
without_lock(const struct attach_keep *kept, const json_t *args)
{
	uint32_t served = kept != NULL ? atomic_load(&kept->served) :
	    SERVED_NEVER;

	return served == SERVED_STOPPED || (served == SERVED_NEVER &&
	    json_is_true(json_object_get(args, "incoming")));
}

static int
attach_by(struct fs_call *c, struct attach_keep *kept)
{
	struct attach_conf conf = {
		.control = c->dm->control, .kept = kept,
	};
	struct attachment *a;
	int rc = take_way(c, &conf);

	if (rc == 0)
		rc = take_conf(c, &conf);
	conf.incoming = without_lock(kept, c->args);
	if (rc == 0)
		rc = attach(c, &conf, &a);
	if (rc < 0)
		return rc;
	if (kept == NULL)
		keep_attachment(c, a);
	c->result = json_pack("{s:o}", "attachment", attachment_row(a));
	return 0;
}

static int
run_attach(struct fs_call *c)
{
	return attach_by(c, NULL);
}

static int
again(struct datastore *d, struct attach_keep *kept, char *msg)
{
	json_t *args = json_loads(kept->args, 0, NULL);
	struct fs_call c = {
		.dm = d->all->users, .d = d, .args = args, .msg = msg,
	};
	const char *path = json_string_value(json_object_get(args, "path"));
	int rc = path == NULL ? -EINVAL :
	    cmd_path_parse(path, true, &c.path, msg);

	if (rc == 0)
		rc = attach_by(&c, kept);
	if (rc < 0 && msg[0] == '\0')
		rc = cmd_refuse(&c, rc, c.path.path);
	json_decref(c.result);
	json_decref(args);
	return rc;
}

static void
hold(struct datastore *d, const struct attach_keep *kept,
    struct fs_file **ret_f)
{
	json_t *args = json_loads(kept->args, 0, NULL);
	struct attachment a = { 0 };
	unsigned flags = FS_READ;

	if (attach_kept_disk(args, &a) == 0) {
		if (!a.readonly && !without_lock(kept, args))
			flags |= (unsigned)FS_WRITE | FS_BY_EXPORT;
		/* An error comes again, and is told, when it is attached. */
		if (fs_file_reopen(d->fs, a.ino, a.generation, flags,
		    ret_f) < 0)
			*ret_f = NULL;
	}
	json_decref(args);
}

void
attach_hold(struct datastore *d)
{
	for (unsigned i = 0; d->again && i < ATTACH_KEEP_MAX; i++)
		if (atomic_load(&d->keep->attach[i].used) != 0 &&
		    !lun_keep_is(&d->keep->attach[i]))
			hold(d, &d->keep->attach[i], &d->attach_held[i]);
	lun_keep_hold(d);
}

static void
let_one_go(struct datastore *d, unsigned i)
{
	if (d->attach_held[i] != NULL)
		(void)!fs_file_close(d->attach_held[i]);
	d->attach_held[i] = NULL;
}

void
attach_let_go(struct datastore *d)
{
	for (unsigned i = 0; i < ATTACH_KEEP_MAX; i++)
		let_one_go(d, i);
	atomic_store(&d->attach_waits, 0);
	lun_keep_let_go(d);
}

void
attach_told(struct datastore *d)
{
	lun_keep_forget(d, NULL);
}

/* Its disk or its lock is not there any more, or somebody was faster.  What
 * else fails may not the next time: a directory, a port, memory. */
static bool
is_over(int error)
{
	switch (error) {
	case -ESTALE:
	case -EEXIST:
	case -EINVAL:
	case -VMFS_EFENCED:
	case -VMFS_ELOCKED:
		return true;
	default:
		return false;
	}
}

/* 1: it is to be tried again. */
static unsigned
one_again(struct datastore *d, unsigned i, bool first)
{
	struct attach_keep *k = &d->keep->attach[i];
	char msg[CTL_MESSAGE_SIZE] = "";
	/* Its guest may be on another host by now. */
	int rc = d->again ? again(d, k, msg) : -VMFS_EFENCED;
	const char *why = msg[0] != '\0' ? msg : vmfs_strerror(rc);

	if (rc < 0 && !is_over(rc)) {
		if (first)
			log_warn(d->all->log, "attach: %s: not attached again "
			    "yet (%s): %s; trying again", d->name, k->args,
			    why);
		return 1;
	}
	let_one_go(d, i);
	if (rc == 0)
		return 0;
	atomic_store(&k->used, 0);
	log_error(d->all->log, "attach: %s: not attached again (%s): %s; use "
	    "vmfsctl disk attach", d->name, k->args, why);
	return 0;
}

static bool
is_attached(struct datastore *d, const struct attach_keep *k)
{
	list_for_each(node, tmp, &d->attached)
		if (list_entry(node, struct attachment, node)->kept == k)
			return true;
	return false;
}

void
attach_again(struct datastore *d, bool first)
{
	unsigned waits = 0;

	for (unsigned i = 0; i < ATTACH_KEEP_MAX; i++)
		if (atomic_load(&d->keep->attach[i].used) != 0 &&
		    !lun_keep_is(&d->keep->attach[i]) &&
		    !is_attached(d, &d->keep->attach[i]))
			waits += one_again(d, i, first);
	atomic_store(&d->attach_waits, waits);
}

int
cmd_disk_attach(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, true, run_attach);
}

static int
run_detach(struct fs_call *c)
{
	struct attachment *a = attach_named(c);

	if (a == NULL)
		return cmd_fail(c, -ENOENT, "%s is not attached; see vmfsctl "
		    "disk attached %s", c->path.path, c->d->name);
	if (!attach_ready(a))
		return cmd_fail(c, -EBUSY, "%s is just being %s", a->path,
		    a->leaving ? "detached" : "attached");
	if (attach_used(a) &&
	    !json_is_true(json_object_get(c->args, "force")))
		return cmd_fail(c, -EBUSY, a->nbd != NULL ? "a client uses "
		    "%s; end it, or use --force: it is then disconnected" :
		    "a hypervisor uses %s; end it, or use --force: its guest "
		    "then waits for the disk for ever", a->path);
	detach(a);
	return 0;
}

int
cmd_disk_detach(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	return cmd_fs(dm, args, ret_result, msg, true, run_detach);
}

/* ---- all of a datastore ---- */

struct listing {
	struct datastore *d;
	json_t *rows;
};

static int
list_fiber(void *arg)
{
	struct listing *l = arg;

	list_for_each(node, tmp, &l->d->attached) {
		const struct attachment *a =
		    list_entry(node, struct attachment, node);

		if (attach_ready(a))
			(void)json_array_append_new(l->rows,
			    attachment_row(a));
	}
	return 0;
}

int
cmd_disk_attached(struct daemon *dm, json_t *args, json_t **ret_result,
    char *msg)
{
	struct listing l = { 0 };
	int rc = cmd_datastore(dm, args, true, &l.d, msg);

	if (rc < 0)
		return rc;
	l.rows = json_array();
	rc = call_on(l.d->env.sched, list_fiber, &l);
	datastore_put(l.d);
	*ret_result = json_pack("{s:o}", "attachments", l.rows);
	return rc;
}
