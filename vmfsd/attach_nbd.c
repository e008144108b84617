/* SPDX-License-Identifier: BSD-2-Clause */
/* See attach_nbd.h. */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "iscsi/home_call.h"
#include "libvmfs/base/units.h"
#include "vmfsd/attach_nbd.h"

#define CHANGED_SINCE "vmfs:changed-since:"
#define WAIT_NS (20 * NSEC_PER_MSEC)

/*
 * ---- what changed ----
 *
 * A client's thread asks and waits; the owner looks, and calls back meanwhile.
 */

struct changes {
	struct attachment *a;
	struct fs_file *f;		/* keeps the snapshot */
	uint64_t since;
};

struct name_list {
	struct attachment *a;
	void (*fn)(void *arg, const char *name);
	void *arg;
};

static bool
name_one(void *arg, const struct fs_snapshot *s)
{
	struct name_list *l = arg;
	char name[sizeof(CHANGED_SINCE) + sizeof(s->name)];

	(void)snprintf(name, sizeof(name), CHANGED_SINCE "%s", s->name);
	if (s->ino != l->a->ino)
		l->fn(l->arg, name);
	return true;
}

static int
list_here(void *arg)
{
	struct name_list *l = arg;

	return fs_snapshot_list(l->a->d->fs, l->a->disk_ino, name_one, l);
}

static int
changes_list(void *arg, void (*fn)(void *fn_arg, const char *name),
    void *fn_arg)
{
	struct attachment *a = arg;
	struct name_list l = { a, fn, fn_arg };

	return home_call(a->d->env.sched, list_here, &l);
}

struct opening {
	struct attachment *a;
	const char *snapshot;
	struct changes *x;
};

static int
open_here(void *arg)
{
	struct opening *o = arg;
	struct attachment *a = o->a;
	struct lock_holder holder;
	struct fs_snapshot s;
	struct changes *x;
	int rc = fs_snapshot_find(a->d->fs, a->disk_ino, o->snapshot, &s);

	if (rc < 0)
		return rc;
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return -ENOMEM;
	x->a = a;
	x->since = s.ino;
	rc = fs_file_open(a->d->fs, s.ino, 0, FS_READ, &x->f, &holder);
	if (rc < 0)
		free(x);
	else
		o->x = x;
	return rc;
}

static int
changes_open(void *arg, const char *name, void **ret_context)
{
	const size_t len = strlen(CHANGED_SINCE);
	struct opening o = { .a = arg };
	int rc;

	if (strncmp(name, CHANGED_SINCE, len) != 0)
		return -ENOENT;
	o.snapshot = name + len;
	rc = home_call(o.a->d->env.sched, open_here, &o);
	if (rc == 0)
		*ret_context = o.x;
	return rc;
}

static int
close_here(void *arg)
{
	struct changes *x = arg;

	(void)!fs_file_close(x->f);
	free(x);
	return 0;
}

static void
changes_close(void *context)
{
	struct changes *x = context;

	attach_call(x->a->d->env.sched, close_here, x);
}

struct changes_told {
	struct changes *x;
	struct nbd_map *m;
	uint64_t at, end;
	bool full;
};

static bool
told_to(struct changes_told *t, uint64_t offset, uint32_t flags)
{
	offset = offset < t->end ? offset : t->end;
	if (offset > t->at && !t->full) {
		t->full = !nbd_map_add(t->m, offset - t->at, flags);
		t->at = offset;
	}
	return !t->full;
}

static bool
changes_tell(void *arg, uint64_t offset, uint64_t len, bool data)
{
	struct changes_told *t = arg;

	(void)data;
	return told_to(t, offset, 0) && told_to(t, offset + len, 1);
}

static int
status_here(void *arg)
{
	struct changes_told *t = arg;
	struct changes *x = t->x;
	int rc = fs_diff_range(x->a->d->fs, x->since, x->a->ino, t->at,
	    t->end - t->at, changes_tell, t);

	if (rc == 0)
		(void)told_to(t, t->end, 0);
	return rc;
}

static int
changes_status(void *context, uint64_t offset, uint64_t length,
    struct nbd_map *m)
{
	struct changes *x = context;
	struct changes_told t = { .x = x, .m = m, .at = offset,
		.end = offset + length };

	return home_call(x->a->d->env.sched, status_here, &t);
}

static const struct nbd_contexts changes_contexts = {
	.list = changes_list,
	.open = changes_open,
	.close = changes_close,
	.status = changes_status,
};

/* ---- URIs ---- */

static void
put_text(FILE *f, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p != 0;
	    p++) {
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		    (*p >= '0' && *p <= '9') || strchr("-._~/", *p) != NULL)
			(void)fputc(*p, f);
		else
			(void)fprintf(f, "%%%02X", *p);
	}
}

/* As of the NBD project's doc/uri.md. */
static int
make_uri(struct attachment *a, const char *name)
{
	const char *addr = nbd_server_addr(a->place->server);
	const char *scheme = a->place->tls != NULL ? "nbds" : "nbd";
	size_t len;
	FILE *f = open_memstream(&a->uri, &len);

	if (f == NULL)
		return -ENOMEM;
	(void)fprintf(f, addr[0] == '/' ? "%s+unix:///" : "%s://", scheme);
	if (addr[0] != '/')
		(void)fprintf(f, "%s/", addr);
	put_text(f, name);
	if (addr[0] == '/') {
		(void)fputs("?socket=", f);
		put_text(f, addr);
	}
	return fclose(f) == 0 ? 0 : -ENOMEM;
}

/* ---- places ---- */

static bool
loopback(const char *listen)
{
	return strncmp(listen, "127.", 4) == 0 ||
	    strcmp(listen, "::1") == 0 || strncmp(listen, "[::1]", 5) == 0;
}

/* Beside the control socket, one of the datastore. */
static int
default_place(const struct attachment *a, const char *control, char *buf,
    size_t size)
{
	char copy[ATTACH_SOCKET_MAX], dir[ATTACH_SOCKET_MAX];
	int n = snprintf(copy, sizeof(copy), "%s", control);

	if (n < (int)sizeof(copy))
		n = snprintf(dir, sizeof(dir), "%s/nbd", dirname(copy));
	if (n >= (int)sizeof(dir))
		return -ENAMETOOLONG;
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	n = snprintf(buf, size, "%s/%s", dir, a->d->name);
	return n < (int)size ? 0 : -ENAMETOOLONG;
}

static void
place_free(struct nbd_place *p)
{
	list_del(&p->node);
	if (p->has_home)
		serving_put(p->d->all->serving, p->home);
	free(p->listen);
	free(p->tls);
	free(p);
}

static bool
same(const char *x, const char *y)
{
	return x == y || (x != NULL && y != NULL && strcmp(x, y) == 0);
}

static struct nbd_place *
place_find(struct datastore *d, const char *listen)
{
	list_for_each(node, tmp, &d->nbd) {
		struct nbd_place *p = list_entry(node, struct nbd_place, node);

		if (strcmp(p->listen, listen) == 0 || (p->server != NULL &&
		    strcmp(nbd_server_addr(p->server), listen) == 0))
			return p;
	}
	return NULL;
}

struct place_opening {
	struct nbd_server_conf conf;
	struct nbd_server *server;
	char why[NBD_WHY_SIZE];
};

static int
place_open_here(void *arg)
{
	struct place_opening *o = arg;

	return nbd_server_start(&o->conf, &o->server, o->why);
}

static int
place_open(struct fs_call *c, struct nbd_place *p)
{
	struct place_opening o = { .conf = {
		.listen = p->listen, .tls = p->tls, .log = c->d->all->log,
	}, .why = "out of memory" };
	int rc;

	p->d = c->d;
	p->home = attach_home(c->d, &p->has_home);
	rc = home_call(p->home, place_open_here, &o);
	if (rc < 0)
		return cmd_fail(c, rc, "%s", o.why);
	p->server = o.server;
	return 0;
}

static int
place_stop_here(void *arg)
{
	nbd_server_stop(arg);
	return 0;
}

static int
place_new(struct fs_call *c, const char *listen, const char *tls,
    struct nbd_place **ret_p)
{
	struct nbd_place *p = calloc(1, sizeof(*p));
	int rc = -ENOMEM;

	if (p == NULL)
		return rc;
	list_add_tail(&c->d->nbd, &p->node);
	p->users = 1;
	p->listen = strdup(listen);
	p->tls = tls != NULL ? strdup(tls) : NULL;
	if (p->listen != NULL && (tls == NULL || p->tls != NULL))
		rc = place_open(c, p);
	if (rc < 0)
		place_free(p);
	else
		*ret_p = p;
	return rc;
}

static int
place_get(struct fs_call *c, const char *listen, const char *tls,
    struct nbd_place **ret_p)
{
	/* "Any free port" is a new place each time. */
	const char *port = strrchr(listen, ':');
	struct nbd_place *p;

	if (port != NULL && strcmp(port, ":0") == 0 && listen[0] != '/')
		return place_new(c, listen, tls, ret_p);
	/* It may just be opened or closed by another command. */
	while ((p = place_find(c->d, listen)) != NULL &&
	    (p->server == NULL || p->users == 0))
		fiber_sleep(WAIT_NS);
	if (p == NULL)
		return place_new(c, listen, tls, ret_p);
	if (!same(p->tls, tls))
		return cmd_fail(c, -EBUSY, "other disks are attached at '%s' "
		    "already, %s; use the same, or another address", listen,
		    p->tls != NULL ? p->tls : "without TLS");
	p->users++;
	*ret_p = p;
	return 0;
}

static void
place_put(struct nbd_place *p)
{
	if (--p->users > 0)
		return;
	attach_call(p->home, place_stop_here, p->server);
	place_free(p);
}

/* ---- both ---- */

struct adding {
	struct nbd_server *server;
	struct nbd_export_conf conf;
	struct nbd_export *e;
};

static int
add_here(void *arg)
{
	struct adding *x = arg;

	return nbd_export_add(x->server, &x->conf, &x->e);
}

static int
remove_here(void *arg)
{
	nbd_export_remove(arg);
	return 0;
}

int
attach_nbd(struct fs_call *c, struct attachment *a)
{
	const char *name = a->path + strspn(a->path, "/");
	char about[256];
	struct adding x = { .server = a->place->server, .conf = {
		.name = name, .description = about, .arg = a,
		.disk = a->held != NULL ? a->held : a->idle,
		.readonly = a->held == NULL, .contexts = &changes_contexts,
	} };
	int rc;

	(void)snprintf(about, sizeof(about), "virtual disk of datastore %s",
	    a->d->name);
	rc = make_uri(a, name);
	if (rc == 0)
		rc = home_call(a->home, add_here, &x);
	if (rc < 0)
		return cmd_fail(c, rc, "cannot export %s: %s", a->path,
		    vmfs_strerror(rc));
	a->nbd = x.e;
	return 0;
}

int
attach_nbd_place(struct fs_call *c, const struct attach_conf *conf,
    struct attachment *a)
{
	const char *listen = conf->listen;
	char here[ATTACH_SOCKET_MAX];
	int rc;

	if (listen == NULL) {
		rc = default_place(a, conf->control, here, sizeof(here));
		if (rc < 0)
			return cmd_fail(c, rc, "no place for a socket beside "
			    "'%s': %s", conf->control, vmfs_strerror(rc));
		listen = here;
	}
	if (listen[0] != '/' && conf->tls == NULL && !conf->insecure &&
	    !loopback(listen))
		return cmd_fail(c, -EPERM, "whoever reaches '%s' could use the "
		    "disk: give --tls=DIRECTORY, or --insecure where the "
		    "network itself is safe", listen);
	rc = place_get(c, listen, conf->tls, &a->place);
	if (rc < 0)
		return rc;
	a->home = a->place->home;
	(void)snprintf(a->socket, sizeof(a->socket), "%s",
	    nbd_server_addr(a->place->server));
	return 0;
}

void
attach_nbd_end(struct attachment *a)
{
	if (a->place == NULL)
		return;
	if (a->nbd != NULL)
		attach_call(a->home, remove_here, a->nbd);
	place_put(a->place);
}
