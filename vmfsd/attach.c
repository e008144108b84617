/* SPDX-License-Identifier: BSD-2-Clause */
/* Life of attachments, see attach.h. */
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuse/refusal.h"
#include "iscsi/home_call.h"
#include "libvmfs/base/units.h"
#include "libvmfs/env/reactor.h"
#include "vmfsd/attach_nbd.h"
#include "vmfsd/disk_ds.h"

/* How long a migration's destination waits for its source to let go. */
#define OWN_WAIT_NS (5 * NSEC_PER_SEC)
#define OWN_AGAIN_NS (50 * NSEC_PER_MSEC)
/* The guest of a process that has died comes back, unless it has ended, too. */
#define GUEST_WAIT_NS (30 * NSEC_PER_SEC)

/* ---- between the owner and the guest's thread ---- */

static struct sched *
owner_of(const struct attachment *a)
{
	return a->d->env.sched;
}

void
attach_call(struct sched *s, int (*fn)(void *arg), void *arg)
{
	/* Only memory can be short. */
	while (home_call(s, fn, arg) < 0)
		fiber_sleep(OWN_AGAIN_NS);
}

/* One guest is served best where no request has to be carried. */
static bool
owner_serves(const struct datastore *d)
{
	list_for_each(node, tmp, &d->attached)
		if (list_entry(node, struct attachment, node)->home ==
		    d->env.sched)
			return true;
	return false;
}

struct sched *
attach_home(struct datastore *d, bool *ret_taken)
{
	struct sched *s = owner_serves(d) ? serving_get(d->all->serving) :
	    NULL;

	*ret_taken = s != NULL;
	return s != NULL ? s : d->env.sched;
}

/* ---- the lock ---- */

/* Owns `below` on success. */
static int
for_home(struct attachment *a, struct disk *below, struct disk **ret_d)
{
	if (a->home != owner_of(a))
		return disk_ds_far(below, owner_of(a), ret_d);
	*ret_d = below;
	return 0;
}

static int
open_disk(struct attachment *a, unsigned mode, struct lock_holder *holder,
    struct disk **ret_d)
{
	struct disk *below;
	struct fs_file *f;
	int rc = fs_file_open(a->d->fs, a->ino, a->generation, mode, &f,
	    holder);

	if (rc < 0)
		return rc;
	rc = fs_file_disk(f, a->path, &below);
	if (rc < 0) {
		(void)!fs_file_close(f);
		return rc;
	}
	rc = for_home(a, below, ret_d);
	if (rc < 0)
		disk_close(below);
	return rc;
}

/* Waits for others, or only for what this host's mount is just closing. */
static int
open_to_write(struct attachment *a, uint64_t most_ns, bool others,
    struct lock_holder *holder)
{
	struct sched *s = sched_current();
	uint64_t deadline = sched_now(s) + most_ns;
	int rc = 0;

	while (a->held == NULL) {
		rc = open_disk(a, (unsigned)FS_READ | FS_WRITE | FS_BY_EXPORT,
		    holder, &a->held);
		if (rc != -VMFS_ELOCKED || sched_now(s) >= deadline ||
		    (!others && holder->state != HOLDER_SELF))
			break;
		fiber_sleep(OWN_AGAIN_NS);
	}
	return rc;
}

static int
own_here(void *arg)
{
	struct attachment *a = arg;
	struct lock_holder holder = { .mode = LOCK_FREE };
	int rc = open_to_write(a, OWN_WAIT_NS, true, &holder);

	a->why[0] = '\0';
	if (rc == -VMFS_ELOCKED) {
		char text[REFUSAL_SIZE];

		(void)snprintf(a->why, sizeof(a->why), "%s", refusal_text(
		    a->path, &holder, &a->d->super.timers, text));
		log_warn(a->d->all->log, "attach: %s", a->why);
	} else if (rc < 0) {
		(void)snprintf(a->why, sizeof(a->why), "%s: %s", a->path,
		    vmfs_strerror(rc));
	}
	if (rc == 0 && a->kept != NULL)
		atomic_store(&a->kept->served, SERVED_RUNS);
	return rc;
}

static int
own(void *arg, struct disk **disk)
{
	struct attachment *a = arg;
	int rc = home_call(owner_of(a), own_here, a);

	if (rc < 0)
		return rc;
	/* It may have been opened long ago. */
	if (disk_refresh(a->held) < 0)
		log_warn(a->d->all->log, "attach: size not known disk=%s",
		    a->path);
	*disk = a->held;
	return 0;
}

static int
disown_here(void *arg)
{
	struct attachment *a = arg;

	/* First: if we die in between, the next process must not want the lock
	 * back, which another host may have by then. */
	if (a->kept != NULL)
		atomic_store(&a->kept->served, SERVED_STOPPED);
	disk_close(a->held);
	a->held = NULL;
	return 0;
}

static void
disown(void *arg, struct disk **disk)
{
	struct attachment *a = arg;

	*disk = a->idle;
	attach_call(owner_of(a), disown_here, a);
}

/* ---- what there is ---- */

struct attachment *
attach_find(struct datastore *d, uint64_t ino)
{
	list_for_each(node, tmp, &d->attached) {
		struct attachment *a =
		    list_entry(node, struct attachment, node);

		if (a->ino == ino)
			return a;
	}
	return NULL;
}

static int
refresh_here(void *arg)
{
	const struct attachment *a = arg;
	int rc = disk_refresh(a->idle);

	if (a->e != NULL)
		vhost_export_resized(a->e);
	else if (rc == 0 && a->held != NULL)
		rc = disk_refresh(a->held);
	if (rc < 0)
		log_warn(a->d->all->log, "attach: size not known disk=%s",
		    a->path);
	return 0;
}

void
attach_resized(struct datastore *d, uint64_t ino)
{
	struct attachment *a = attach_find(d, ino);

	if (a == NULL || !attach_ready(a))
		return;
	a->users++;
	attach_call(a->home, refresh_here, a);
	a->users--;
}

/* ---- the mount ---- */

static int
open_mount(void *arg)
{
	const struct datastore *d = arg;
	int fd = open(d->mount, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Guests have no file open in the mount, yet umount(8) must find it busy. */
static void
pin(struct datastore *d)
{
	int fd = d->pin_fd < 0 ? offload_call(open_mount, d) : -EEXIST;

	if (fd < 0)
		return;
	if (d->pin_fd >= 0)
		close(fd);
	else
		d->pin_fd = fd;
}

static void
unpin(struct datastore *d)
{
	if (d->pin_fd >= 0)
		close(d->pin_fd);
	d->pin_fd = -1;
}

/* ---- life ---- */

static int
socket_path(struct attachment *a, const struct attach_conf *conf)
{
	char dir[ATTACH_SOCKET_MAX];
	int n;

	if (conf->socket != NULL) {
		n = snprintf(a->socket, sizeof(a->socket), "%s",
		    conf->socket);
		return n < (int)sizeof(a->socket) ? 0 : -ENAMETOOLONG;
	}
	n = snprintf(dir, sizeof(dir), "%s", conf->control);
	if (n >= (int)sizeof(dir))
		return -ENAMETOOLONG;
	n = snprintf(a->socket, sizeof(a->socket), "%s/vhost", dirname(dir));
	if (n < (int)sizeof(a->socket) && mkdir(a->socket, 0700) < 0 &&
	    errno != EEXIST)
		return -errno;
	(void)snprintf(dir, sizeof(dir), "%s", a->socket);
	n = snprintf(a->socket, sizeof(a->socket), "%s/%s-%" PRIx64, dir,
	    a->d->name, a->ino);
	return n < (int)sizeof(a->socket) ? 0 : -ENAMETOOLONG;
}

struct starting {
	struct vhost_conf conf;
	struct vhost_export *e;
};

static int
start_here(void *arg)
{
	struct starting *s = arg;

	return vhost_export_start(&s->conf, &s->e);
}

static int
stop_here(void *arg)
{
	vhost_export_stop(arg);
	return 0;
}

static int
start(struct attachment *a, const struct attach_conf *conf)
{
	struct starting s = { .conf = {
		.socket = a->socket, .name = a->path, .queues = conf->queues,
		.log = a->d->all->log, .disk = a->idle, .arg = a,
	} };
	size_t len;
	int rc;

	/* The end tells more: inode numbers begin with zeroes. */
	len = strlen(a->idle->info.serial);
	(void)snprintf(s.conf.serial, sizeof(s.conf.serial), "%.*s",
	    (int)VHOST_SERIAL_SIZE, a->idle->info.serial +
	    (len > VHOST_SERIAL_SIZE ? len - VHOST_SERIAL_SIZE : 0));
	if (!a->readonly) {
		s.conf.own = own;
		s.conf.disown = disown;
	}
	s.conf.outlived = a->kept != NULL &&
	    atomic_load(&a->kept->served) != SERVED_NEVER;
	if (s.conf.outlived && a->held != NULL) {
		s.conf.owned = a->held;
		s.conf.owned_ns = GUEST_WAIT_NS;
	}
	rc = home_call(a->home, start_here, &s);
	if (rc == 0)
		a->e = s.e;
	return rc;
}

static void
attachment_free(struct attachment *a)
{
	disk_close(a->held);
	disk_close(a->idle);
	if (a->has_home)
		serving_put(a->d->all->serving, a->home);
	free(a->uri);
	free(a->path);
	free(a);
}

#define PATH_TEXT (sizeof(((struct cmd_path *)0)->path) + \
    sizeof(((struct cmd_path *)0)->snapshot))

static void
path_text(const struct fs_call *c, char text[PATH_TEXT])
{
	(void)snprintf(text, PATH_TEXT, "%s%s%s", c->path.path,
	    c->path.snapshot[0] != '\0' ? "@" : "", c->path.snapshot);
}

/* What the command's path names. */
static int
find(struct fs_call *c, struct attachment *a)
{
	struct fs_snapshot s;
	struct fs_attr attr;
	struct vdisk v;
	int rc = vdisk_find(c, c->path.path, &v);

	if (rc < 0)
		return rc;
	a->ino = a->disk_ino = v.attr.ino;
	a->generation = v.attr.generation;
	if (c->path.snapshot[0] == '\0')
		return 0;
	a->readonly = true;
	rc = fs_snapshot_find(c->d->fs, v.attr.ino, c->path.snapshot, &s);
	if (rc < 0)
		return cmd_fail(c, rc, "%s has no snapshot '%s'",
		    c->path.path, c->path.snapshot);
	rc = fs_getattr(c->d->fs, s.ino, &attr);
	if (rc < 0)
		return cmd_refuse(c, rc, c->path.path);
	a->ino = s.ino;
	a->generation = attr.generation;
	return 0;
}

int
attach_keep_disk(const struct attachment *a, json_t *args)
{
	json_t *disk = json_pack("{s:I, s:I, s:I}", "ino",
	    (json_int_t)a->ino, "of", (json_int_t)a->disk_ino,
	    "generation", (json_int_t)a->generation);

	return disk == NULL ||
	    json_object_set_new(args, "disk", disk) < 0 ? -ENOMEM : 0;
}

int
attach_kept_disk(const json_t *args, struct attachment *a)
{
	json_int_t ino, of, generation;

	if (json_unpack(json_object_get(args, "disk"), "{s:I, s:I, s:I}",
	    "ino", &ino, "of", &of, "generation", &generation) < 0)
		return -EINVAL;
	a->ino = (uint64_t)ino;
	a->disk_ino = (uint64_t)of;
	a->generation = (uint32_t)generation;
	a->readonly = ino != of ||
	    json_is_true(json_object_get(args, "readonly"));
	return 0;
}

bool
attach_keeps(const struct attach_keep *k, uint64_t ino)
{
	json_t *args = atomic_load(&k->used) != 0 ?
	    json_loads(k->args, 0, NULL) : NULL;
	struct attachment a = { 0 };
	bool keeps = attach_kept_disk(args, &a) == 0 && a.ino == ino;

	json_decref(args);
	return keeps;
}

struct attachment *
attach_named(struct fs_call *c)
{
	struct attachment named = { 0 }, *a = NULL;
	char text[PATH_TEXT];

	if (find(c, &named) == 0)
		a = attach_find(c->d, named.ino);
	if (a != NULL)
		return a;
	path_text(c, text);
	list_for_each(node, tmp, &c->d->attached) {
		a = list_entry(node, struct attachment, node);
		if (strcmp(a->path, text) == 0)
			return a;
	}
	return NULL;
}

/* Only what older programs made is both. */
static int
open_refused(struct fs_call *c, int error)
{
	struct vdisk v;

	if (error != -EBUSY || vdisk_find(c, c->path.path, &v) < 0 ||
	    !v.attr.multi_writer || v.attr.snapshots == 0)
		return error;
	return cmd_fail(c, error, "%s is for several hosts to write and has "
	    "snapshots, and no disk can be both: remove them (vmfsctl disk "
	    "snapshots), or run vmfsctl disk set --sharing=none", c->path.path);
}

static int
open_all(struct fs_call *c, const struct attach_conf *conf,
    struct attachment *a)
{
	int rc = 0;

	if (conf->nbd)
		rc = attach_nbd_place(c, conf, a);
	else
		a->home = attach_home(c->d, &a->has_home);
	if (rc == 0)
		rc = open_disk(a, FS_READ, &c->holder, &a->idle);
	if (rc == 0 && !a->readonly && !conf->incoming)
		rc = open_to_write(a, DISK_DS_CLOSE_NS, false, &c->holder);
	if (rc < 0)
		return open_refused(c, rc);
	if (conf->nbd)
		return attach_nbd(c, a);
	rc = socket_path(a, conf);
	if (rc == 0)
		rc = start(a, conf);
	if (rc < 0)
		return cmd_fail(c, rc, "cannot listen at '%s': %s", a->socket,
		    vmfs_strerror(rc));
	return 0;
}

/* It is in the list while anything of it is open: nobody attaches it twice. */
static int
attach_listed(struct fs_call *c, const struct attach_conf *conf,
    struct attachment *a)
{
	int rc = conf->kept != NULL ? attach_kept_disk(c->args, a) : -EINVAL;

	/* An older vmfsd has kept only its path. */
	if (rc < 0)
		rc = find(c, a);
	if (rc < 0)
		return rc;
	if (attach_find(c->d, a->ino) != NULL)
		return cmd_fail(c, -EEXIST, "%s is attached already; see "
		    "vmfsctl disk attached %s", c->path.path, c->d->name);
	list_add_tail(&c->d->attached, &a->node);
	pin(c->d);
	rc = open_all(c, conf, a);
	if (rc < 0) {
		attach_nbd_end(a);
		list_del(&a->node);
		if (list_empty(&c->d->attached))
			unpin(c->d);
	}
	return rc;
}

int
attach(struct fs_call *c, const struct attach_conf *conf,
    struct attachment **ret_a)
{
	struct attachment *a = calloc(1, sizeof(*a));
	char text[PATH_TEXT];
	int rc = -ENOMEM;

	if (a == NULL)
		return rc;
	a->d = c->d;
	a->readonly = conf->readonly;
	a->kept = conf->kept;
	path_text(c, text);
	a->path = strdup(text);
	if (a->path != NULL)
		rc = attach_listed(c, conf, a);
	if (rc < 0) {
		attachment_free(a);
		return rc;
	}
	log_info(c->d->all->log, "attach: %s: attached disk=%s socket=%s",
	    c->d->name, a->path, a->nbd != NULL ? a->uri : a->socket);
	*ret_a = a;
	return 0;
}

void
detach(struct attachment *a)
{
	struct datastore *d = a->d;

	a->leaving = true;
	while (a->users > 0)
		fiber_sleep(OWN_AGAIN_NS);
	if (a->e != NULL)
		attach_call(a->home, stop_here, a->e);
	attach_nbd_end(a);
	if (a->kept != NULL)
		atomic_store(&a->kept->used, 0);
	list_del(&a->node);
	log_info(d->all->log, "attach: %s: detached disk=%s", d->name,
	    a->path);
	attachment_free(a);
	if (list_empty(&d->attached))
		unpin(d);
}

bool
attach_used(const struct attachment *a)
{
	if (a->nbd != NULL)
		return nbd_export_info(a->nbd).clients > 0;
	return a->e != NULL && vhost_export_info(a->e).connected;
}

int
attach_may_go(struct datastore *d, bool force, char *why)
{
	list_for_each(node, tmp, &d->attached) {
		struct attachment *a =
		    list_entry(node, struct attachment, node);

		if (force || !attach_used(a))
			continue;
		(void)snprintf(why, DATASTORE_WHY_SIZE, "a %s has the disk %s "
		    "by %s; end it, or use --force", a->nbd != NULL ?
		    "client" : "hypervisor", a->path, a->nbd != NULL ?
		    a->uri : a->socket);
		return -EBUSY;
	}
	unpin(d);
	return 0;
}

void
attach_unmounted(struct datastore *d)
{
	while (!list_empty(&d->attached))
		detach(list_entry(d->attached.next, struct attachment, node));
}

void
attach_not_unmounted(struct datastore *d)
{
	if (!list_empty(&d->attached))
		pin(d);
}
