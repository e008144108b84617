/* SPDX-License-Identifier: BSD-2-Clause */
/* Emptying a LUN of a datastore and taking it out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "vmfsd/cmd.h"
#include "vmfsd/task.h"
#include "vmfsd/walk.h"

/* The others look once a pulse, and follow in a round of the housekeeper. */
#define TRIES 80
#define ALIKE 20
#define AGAIN_NS (250 * NSEC_PER_MSEC)
#define NAMES_MAX 5

/* A file that has something there, or may share space with one that has. */
struct item {
	uint64_t ino, origin, bytes;
	char *path;
	bool is_clone, lies, done;
};

struct evacuation {
	struct fs_call *c;
	unsigned extent;
	struct item *item;
	size_t n, max;
	uint64_t done, total;		/* bytes of files, for progress */
	uint64_t here;			/* of those at hand */
	char left[CTL_MESSAGE_SIZE / 2];	/* names of what stays */
	unsigned n_left;
};

static int
extent_number(struct fs_call *c, unsigned *ret_i)
{
	const char *text = json_string_value(json_object_get(c->args,
	    "extent"));
	char *end;
	unsigned long n;

	if (text == NULL)
		return cmd_fail(c, -EINVAL, "argument 'extent' is missing");
	n = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' ||
	    n >= SUPER_EXTENTS_MAX)
		return cmd_fail(c, -EINVAL, "extent '%.40s': expected a number "
		    "as vmfsctl ds extent ls shows it", text);
	if (n == 0)
		return cmd_fail(c, -EINVAL, "extent 0 is the first LUN of the "
		    "datastore and cannot leave it");
	*ret_i = (unsigned)n;
	return 0;
}

/* ---- what lies there ---- */

static int
note(struct evacuation *e, const struct item *i)
{
	if (e->n == e->max) {
		size_t max = e->max * 2 + 64;
		void *p = reallocarray(e->item, max, sizeof(*e->item));

		if (p == NULL)
			return -ENOMEM;
		e->item = p;
		e->max = max;
	}
	e->item[e->n] = *i;
	e->item[e->n].path = strdup(i->path);
	if (e->item[e->n].path == NULL)
		return -ENOMEM;
	e->n++;
	e->total += i->lies ? i->bytes : 0;
	return 0;
}

struct snapshot_look {
	struct fs *fs;
	unsigned what;
	int rc;
};

static bool
look_at_snapshot(void *arg, const struct fs_snapshot *s)
{
	struct snapshot_look *l = arg;

	l->rc = fs_lies_on_leaving(l->fs, s->ino, &l->what);
	/* It was deleted meanwhile. */
	if (l->rc == -ENOENT || l->rc == -ESTALE)
		l->rc = 0;
	return l->rc == 0 && (l->what & FS_LIES_CONTENT) == 0;
}

static int
lies_there(struct fs *fs, uint64_t ino, bool *ret_lies)
{
	struct snapshot_look l = { .fs = fs };
	int rc = fs_lies_on_leaving(fs, ino, &l.what);

	if (rc == 0 && (l.what & FS_LIES_CONTENT) == 0)
		rc = fs_snapshot_list(fs, ino, look_at_snapshot, &l);
	rc = rc != 0 ? rc : l.rc;
	if (rc == 0)
		*ret_lies = (l.what & FS_LIES_CONTENT) != 0;
	return rc;
}

static int
collect_file(struct evacuation *e, const struct walk_entry *w)
{
	struct fs *fs = e->c->d->fs;
	struct item i = { .ino = w->ino, .path = (char *)(uintptr_t)w->path };
	struct fs_attr a;
	int rc = fs_getattr(fs, w->ino, &a);

	if (rc == 0)
		rc = lies_there(fs, w->ino, &i.lies);
	if (rc < 0 || (!i.lies && !a.is_clone && a.snapshots == 0))
		return rc;
	i.bytes = a.allocated;
	i.is_clone = a.is_clone;
	i.origin = a.origin_disk;
	return note(e, &i);
}

static void
stays(struct evacuation *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
stays(struct evacuation *e, const char *fmt, ...)
{
	size_t len = strlen(e->left);
	va_list ap;

	if (e->n_left++ >= NAMES_MAX)
		return;
	(void)snprintf(e->left + len, sizeof(e->left) - len, "%s",
	    len > 0 ? "; " : "");
	len = strlen(e->left);
	va_start(ap, fmt);
	(void)vsnprintf(e->left + len, sizeof(e->left) - len, fmt, ap);
	va_end(ap);
}

static void
stays_damaged(struct evacuation *e, const char *path)
{
	stays(e, "%s: it is damaged; see vmfsctl ds info, repair it by "
	    "fsck.vmfs, or remove it", path);
}

static int
dir_move(struct evacuation *e, uint64_t ino, const char *path)
{
	struct fs *fs = e->c->d->fs;
	struct lock_holder holder = { .mode = LOCK_FREE };
	unsigned what = 0;
	int rc = fs_lies_on_leaving(fs, ino, &what);

	if (rc == 0 && (what & FS_LIES_CONTENT) != 0)
		rc = fs_dir_evacuate(fs, ino, &holder);
	if (rc != -VMFS_ELOCKED)
		return rc;
	stays(e, "%s: host '%s' changes it; try again", path, holder.name);
	return 0;
}

static int
collect_one(void *arg, const struct walk_entry *w)
{
	struct evacuation *e = arg;
	int rc = 0;

	if (!task_step(e->c->task, 0, 0))
		return -ECANCELED;
	if (w->type == INODE_FILE || w->type == INODE_DISK)
		rc = collect_file(e, w);
	else if (w->type == INODE_DIR)
		rc = dir_move(e, w->ino, w->path);
	/* All else goes on. */
	if (rc == -VMFS_ECORRUPT || rc == -EROFS) {
		stays_damaged(e, w->path);
		return 0;
	}
	/* It was deleted meanwhile. */
	return rc == -ENOENT || rc == -ESTALE ? 0 : rc;
}

/* ---- moving ---- */

static bool
step(void *arg, uint64_t done, uint64_t total)
{
	struct evacuation *e = arg;

	(void)total;
	return task_step(e->c->task, e->done + (done < e->here ? done :
	    e->here), e->total);
}

/* A disk with all its clones and theirs; the first one is not a clone. */
struct family {
	struct evacuation *e;
	struct item **item;
	struct fs_file **file;
	unsigned n, open;
};

static struct item *
item_of(struct evacuation *e, uint64_t ino)
{
	for (size_t i = 0; i < e->n; i++)
		if (e->item[i].ino == ino)
			return &e->item[i];
	return NULL;
}

static struct item *
oldest(struct evacuation *e, struct item *i)
{
	for (size_t n = 0; n < e->n && i->is_clone; n++) {
		struct item *origin = item_of(e, i->origin);

		if (origin == NULL)
			break;
		i = origin;
	}
	return i;
}

static int
family_of(struct family *f, struct evacuation *e, struct item *of)
{
	struct item *first = oldest(e, of);

	f->e = e;
	f->item = calloc(e->n, sizeof(struct item *));
	f->file = calloc(e->n, sizeof(struct fs_file *));
	if (f->item == NULL || f->file == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < e->n; i++)
		if (oldest(e, &e->item[i]) == first) {
			f->item[f->n++] = &e->item[i];
			e->item[i].done = true;
			e->here += e->item[i].lies ? e->item[i].bytes : 0;
		}
	return 0;
}

/* 1: it cannot be had. */
static int
member_open(struct family *f, struct item *i)
{
	struct lock_holder holder = { .mode = LOCK_FREE };
	struct fs *fs = f->e->c->d->fs;
	int rc = fs_file_open(fs, i->ino, 0, FS_READ | FS_WRITE,
	    &f->file[f->open], &holder);

	if (rc == 0)
		f->open++;
	if (rc != -VMFS_ELOCKED)
		return rc == -ENOENT || rc == -ESTALE ? 0 : rc;
	if (f->n == 1)
		stays(f->e, "%s: host '%s' has it open; run the command "
		    "there, too", i->path, holder.name);
	else
		stays(f->e, "%s, which shares space with %u others: host '%s' "
		    "has it open; run the command where all of them can be "
		    "opened, or make it independent by vmfsctl disk promote",
		    i->path, f->n - 1, holder.name);
	return 1;
}

static int
family_move(struct family *f)
{
	const struct fs_progress p = { step, f->e };
	struct fs_evacuation v = { .snapshot = 0 };
	const char *path = f->item[0]->path;
	int rc = f->open == 0 ? 0 : fs_evacuate(f->file, f->open, &p, &v);

	if (rc == -EBADF)
		stays(f->e, "%s: several hosts write it; end its sharing by "
		    "vmfsctl disk set", path);
	else if (rc == -EMLINK)
		stays(f->e, "%s: a clone of it was made just now, or a deleted "
		    "one is still open; try again", path);
	else if (rc == -VMFS_ELIMIT)
		stays(f->e, "%s: it has too many snapshots for the journal of "
		    "this datastore; delete some", path);
	else if (rc == -VMFS_ELOCKED)
		stays(f->e, "%s: host '%s' reads a snapshot of it; try again "
		    "when that is done", path, v.holder.name);
	else if (rc == -VMFS_ECORRUPT || rc == -EROFS)
		stays_damaged(f->e, path);
	else
		return rc;
	return 0;
}

static int
item_move(struct evacuation *e, struct item *i)
{
	struct family f = { .n = 0 };
	int rc, rc2;

	e->here = 0;
	rc = family_of(&f, e, i);
	for (unsigned k = 0; k < f.n && rc == 0; k++)
		rc = member_open(&f, f.item[k]);
	if (rc == 0)
		rc = family_move(&f);
	while (f.open > 0) {
		rc2 = fs_file_close(f.file[--f.open]);
		rc = rc < 0 ? rc : rc2;
	}
	free(f.item);
	free(f.file);
	e->done += e->here;
	return rc < 0 ? rc : 0;
}

struct naming {
	struct evacuation *e;
	const char *path;
};

static bool
name_snapshot(void *arg, const struct fs_snapshot *s)
{
	struct naming *n = arg;
	unsigned what = 0;

	if (fs_lies_on_leaving(n->e->c->d->fs, s->ino, &what) == 0 &&
	    what != 0)
		stays(n->e, "snapshot '%s' of %s%s", s->name, n->path,
		    (what & FS_LIES_INODE) != 0 ? ", whose inode cannot move: "
		    "delete it" : "");
	return n->e->n_left < NAMES_MAX;
}

static void
name_quota(struct evacuation *e, const struct walk_entry *w)
{
	struct fs *fs = e->c->d->fs;
	struct fs_quota q;
	unsigned what = 0;

	if (fs_quota_get(fs, w->ino, &q) == 0 && q.dir == w->ino &&
	    fs_lies_on_leaving(fs, q.account, &what) == 0 && what != 0)
		stays(e, "the quota of %s, whose inode cannot move: clear it "
		    "and set it again", w->path);
}

static int
name_one(void *arg, const struct walk_entry *w)
{
	struct evacuation *e = arg;
	struct naming n = { e, w->path };
	struct fs *fs = e->c->d->fs;
	unsigned what = 0;
	int rc = 0;

	if (e->n_left >= NAMES_MAX)
		return 0;
	if (fs_lies_on_leaving(fs, w->ino, &what) == 0 && what != 0)
		stays(e, "%s%s", w->path, (what & FS_LIES_INODE) != 0 ?
		    ", whose inode cannot move: copy it and remove it" : "");
	if (w->type == INODE_DIR)
		name_quota(e, w);
	if (w->type == INODE_DISK || w->type == INODE_FILE)
		rc = fs_snapshot_list(fs, w->ino, name_snapshot, &n);
	return rc == -ENOENT || rc == -ESTALE ? 0 : rc;
}

/* A sentence that names what is still there; rc. */
static int
tell_left(struct evacuation *e, int rc)
{
	struct fs_call *c = e->c;
	char size[SIZE_TEXT_SIZE];
	uint64_t used = 0;
	int r = ds_extent_used(c->d->ds, e->extent, &used);

	if (r == 0 && e->n_left == 0)
		r = walk_tree(c->d->fs, "/", name_one, e);
	if (r < 0)
		return cmd_fail(c, r, "cannot tell what lies on extent %u: %s",
		    e->extent, vmfs_strerror(r));
	return cmd_fail(c, rc, "%s still lie on extent %u of datastore '%s': "
	    "%s%s", size_text(used, size), e->extent, c->d->name,
	    e->left[0] != '\0' ? e->left : "what was freed a moment ago, a "
	    "deleted file that is still open, or what a host that died had "
	    "freed, until it mounts again", e->n_left > NAMES_MAX ?
	    "; and more" : "");
}

/* What was freed is so when it is committed, and seen by the others later. */
static int
wait_empty(struct evacuation *e)
{
	struct fs_call *c = e->c;
	uint64_t used = 1, before = 0;
	unsigned alike = 0;
	int rc = 0;

	/* As long as it becomes less. */
	for (int i = 0; rc == 0 && used > 0 && alike < ALIKE; i++) {
		if (i > 0)
			fiber_sleep(AGAIN_NS);
		rc = ds_checkpoint(c->d->ds, 0);
		if (rc == 0)
			rc = ds_extent_sweep(c->d->ds, e->extent);
		if (rc == 0)
			rc = ds_extent_used(c->d->ds, e->extent, &used);
		alike = used == before ? alike + 1 : 0;
		before = used;
	}
	return rc < 0 ? rc : used > 0 ? -ENOTEMPTY : 0;
}

static int
refused(struct evacuation *e, int rc)
{
	struct fs_call *c = e->c;

	switch (rc) {
	case -VMFS_EINUSE:
		return cmd_fail(c, rc, "a host has not yet taken note of the "
		    "last change of datastore '%s', or is dead and not taken "
		    "over; see vmfsctl host ls %s, "
		    "and try again when all of them are alive", c->d->name,
		    c->d->name);
	case -ENOENT:
		return cmd_fail(c, rc, "datastore '%s' has no extent %u; see "
		    "vmfsctl ds extent ls", c->d->name, e->extent);
	case -EINVAL:
		return cmd_fail(c, rc, "extent %u of datastore '%s' is in use; "
		    "first run vmfsctl ds extent evacuate", e->extent,
		    c->d->name);
	case -ENOSPC:
		return cmd_fail(c, rc, "the other LUNs of datastore '%s' have "
		    "no room for what lies on extent %u, or none in pieces of "
		    "1 MiB; what has moved has moved, and the command goes on "
		    "from there", c->d->name, e->extent);
	case -VMFS_EEXTENT:
		return cmd_fail(c, rc, "extent %u of datastore '%s' is "
		    "missing: what lies on it cannot be read", e->extent,
		    c->d->name);
	default:
		return rc;
	}
}

static int
leave(struct evacuation *e, bool on)
{
	struct fs_call *c = e->c;
	int rc = -VMFS_EINUSE;

	for (int i = 0; i < TRIES && rc == -VMFS_EINUSE; i++) {
		if (i > 0)
			fiber_sleep(AGAIN_NS);
		rc = fs_extent_leave(c->d->fs, e->extent, on, &c->holder);
	}
	return rc;
}

/* Until nobody allocates there any more, and what is there can be seen. */
static int
settle(struct evacuation *e)
{
	struct ds *ds = e->c->d->ds;
	int rc = -VMFS_EINUSE;

	for (int i = 0; i < TRIES && rc == -VMFS_EINUSE; i++) {
		if (i > 0)
			fiber_sleep(AGAIN_NS);
		if (!task_step(e->c->task, 0, 0))
			return -ECANCELED;
		rc = ds_checkpoint(ds, 0);
		if (rc == 0)
			rc = ds_extent_settled(ds, e->extent);
	}
	return rc;
}

static int
evacuate(struct evacuation *e)
{
	struct fs_call *c = e->c;
	int rc = leave(e, true);

	if (rc == 0)
		rc = settle(e);
	if (rc == 0)
		rc = dir_move(e, ds_super(c->d->ds)->root_ino, "/");
	if (rc == 0)
		rc = walk_tree(c->d->fs, "/", collect_one, e);
	for (size_t i = 0; i < e->n && rc == 0; i++)
		if (e->item[i].lies && !e->item[i].done)
			rc = item_move(e, &e->item[i]);
	if (rc == 0)
		rc = wait_empty(e);
	return rc == -ENOTEMPTY ? tell_left(e, rc) : refused(e, rc);
}

static int
with_extent(struct fs_call *c, int (*fn)(struct evacuation *e))
{
	struct evacuation *e = calloc(1, sizeof(*e));
	int rc;

	if (e == NULL)
		return -ENOMEM;
	e->c = c;
	rc = extent_number(c, &e->extent);
	if (rc == 0)
		rc = fn(e);
	for (size_t i = 0; i < e->n; i++)
		free(e->item[i].path);
	free(e->item);
	free(e);
	return rc;
}

static int
run_evacuate(struct fs_call *c)
{
	return with_extent(c, evacuate);
}

/* ---- staying, going ---- */

static int
keep(struct evacuation *e)
{
	return refused(e, leave(e, false));
}

static int
run_keep(struct fs_call *c)
{
	return with_extent(c, keep);
}

static int
take_out(struct evacuation *e)
{
	struct fs_call *c = e->c;
	int rc = -EBUSY;

	for (int i = 0; i < TRIES && (rc == -EBUSY || rc == -VMFS_EINUSE);
	    i++) {
		if (i > 0)
			fiber_sleep(AGAIN_NS);
		rc = fs_extent_rm(c->d->fs, e->extent, &c->holder);
	}
	if (rc == -ENOTEMPTY)
		return tell_left(e, rc);
	if (rc == -EBUSY)
		return cmd_fail(c, rc, "a host still has a lease on extent %u "
		    "of datastore '%s'; try again in a moment", e->extent,
		    c->d->name);
	if (rc == 0)
		log_info(c->dm->log, "datastore: %s: extent %u was taken out",
		    c->d->name, e->extent);
	return refused(e, rc);
}

static int
run_rm(struct fs_call *c)
{
	return with_extent(c, take_out);
}

/* ---- commands ---- */

/* All of the datastore is the path. */
static int
set_path(json_t *args, char *msg)
{
	const char *name;
	char path[128];
	int rc = cmd_string(args, "name", &name, msg);

	if (rc < 0)
		return rc;
	(void)snprintf(path, sizeof(path), "%.100s:/", name);
	return json_object_set_new(args, "path", json_string(path)) < 0 ?
	    -ENOMEM : 0;
}

static int
cmd_evacuate(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	int rc = set_path(args, msg);

	return rc < 0 ? rc : task_start(dm, "evacuate", args, TASK_FIBER,
	    run_evacuate, ret_result, msg);
}

static int
cmd_keep(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	int rc = set_path(args, msg);

	return rc < 0 ? rc : cmd_fs(dm, args, ret_result, msg, false,
	    run_keep);
}

static int
cmd_rm(struct daemon *dm, json_t *args, json_t **ret_result, char *msg)
{
	int rc = set_path(args, msg);

	return rc < 0 ? rc : cmd_fs(dm, args, ret_result, msg, false, run_rm);
}

const struct command commands_ds_evacuate[] = {
	{ "ds.extent.evacuate", cmd_evacuate },
	{ "ds.extent.keep", cmd_keep },
	{ "ds.extent.rm", cmd_rm },
	{ NULL, NULL },
};
