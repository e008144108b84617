/* SPDX-License-Identifier: BSD-2-Clause */
/* iSCSI sessions as the legs of a multipath disk. */
#include "iscsi/disk_libiscsi_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/disk_libiscsi_disk.h"

#define PORTAL_SIZE 300
#define INITIATOR_SIZE (LURL_NAME_MAX + 1)

struct paths;

struct path {
	struct paths *paths;
	struct lurl url;
	struct disk_libiscsi_conf conf;
	char portal[PORTAL_SIZE];
};

/* What all paths of a LUN share; lives as long as the multipath disk. */
struct paths {
	struct env *env;
	struct ldisk_account account;
	char initiator[INITIATOR_SIZE];
	char name[256];
	unsigned count;
	struct path path[];
};

static struct ldisk *
ldisk_of(struct disk *d)
{
	return container_of(d, struct ldisk, disk);
}

static int
path_open(void *arg, struct disk **ret_d)
{
	struct path *p = arg;

	return ldisk_open(p->paths->env, &p->url, &p->conf,
	    &p->paths->account, ret_d);
}

static bool
path_alive(struct disk *d, uint64_t *ret_epoch)
{
	return lsess_alive(ldisk_of(d)->sess, ret_epoch);
}

static int
path_look(struct disk *d, struct mpath_look *ret_look)
{
	struct ldisk *l = ldisk_of(d);

	return lprobe_port(l->sess, &l->port, ret_look);
}

static int
path_reset(struct disk *d)
{
	return lsess_reset(ldisk_of(d)->sess);
}

static void
path_expect_reset(struct disk *d)
{
	lsess_expect_reset(ldisk_of(d)->sess);
}

/* The nexus of a session is initiator port and target port: a log-in reaches
 * it through every portal of the latter. */
static int
path_reinstate(struct disk *d, struct disk *dead)
{
	struct ldisk *via = ldisk_of(d), *gone = ldisk_of(dead);

	if (via->port.name[0] == '\0' ||
	    strcmp(via->port.name, gone->port.name) != 0)
		return -EOPNOTSUPP;
	return lsess_reinstate(via->sess, gone->sess);
}

static void
path_drop(struct disk *d)
{
	lsess_drop(ldisk_of(d)->sess);
}

static const struct mpath_leg_ops path_ops = {
	.open = path_open,
	.alive = path_alive,
	.look = path_look,
	.reset = path_reset,
	.expect_reset = path_expect_reset,
	.reinstate = path_reinstate,
	.drop = path_drop,
};

/* iscsi://user@portal,portal/iqn/lun, without the secret. */
static void
make_name(struct paths *ps)
{
	const struct lurl *u = &ps->path[0].url;
	size_t size = sizeof(ps->name), n;

	n = (size_t)snprintf(ps->name, size, "iscsi://%s%s", u->user,
	    u->user[0] != '\0' ? "@" : "");
	for (unsigned i = 0; i < ps->count && n < size; i++)
		n += (size_t)snprintf(ps->name + n, size - n, "%s%s",
		    i > 0 ? "," : "", ps->path[i].portal);
	if (n < size)
		n += (size_t)snprintf(ps->name + n, size - n, "/%s/%d",
		    u->target, u->lun);
	if (n >= size)
		strcpy(ps->name + size - 4, "...");
}

static void
paths_free(void *arg)
{
	struct paths *ps = arg;

	explicit_bzero(ps, sizeof(*ps) + ps->count * sizeof(ps->path[0]));
	free(ps);
}

static struct paths *
paths_new(struct env *env, const struct lurl *urls, unsigned count,
    const struct disk_libiscsi_conf *conf, uint32_t timeout_ms)
{
	struct paths *ps = calloc(1, sizeof(*ps) +
	    count * sizeof(ps->path[0]));

	if (ps == NULL)
		return NULL;
	ps->env = env;
	ps->count = count;
	list_init(&ps->account.members);
	if (conf->initiator != NULL)
		strncpy(ps->initiator, conf->initiator, LURL_NAME_MAX);
	for (unsigned i = 0; i < count; i++) {
		struct path *p = &ps->path[i];

		p->paths = ps;
		p->url = urls[i];
		p->conf = (struct disk_libiscsi_conf){
			.initiator = conf->initiator != NULL ? ps->initiator :
			    NULL,
			.isid = conf->isid != 0 ? conf->isid + i :
			    env_random_u64(env),
			.timeout_ms = timeout_ms,
		};
		lurl_portal(&p->url, p->portal, sizeof(p->portal));
	}
	make_name(ps);
	return ps;
}

int
disk_libiscsi_open_paths(struct env *env, const struct lurl *urls,
    unsigned count, const struct disk_libiscsi_conf *conf,
    struct disk **ret_d)
{
	uint32_t timeout = conf->timeout_ms != 0 ? conf->timeout_ms :
	    DISK_LIBISCSI_TIMEOUT_MS;
	struct paths *ps = paths_new(env, urls, count, conf,
	    timeout / 2 + 1);
	struct mpath_conf mc = { .count = count, .timeout_ms = timeout,
		.closed = paths_free, .arg = ps };
	int rc;

	if (ps == NULL)
		return -ENOMEM;
	mc.name = ps->name;
	for (unsigned i = 0; i < count; i++)
		mc.legs[i] = (struct mpath_leg_conf){ .ops = &path_ops,
			.arg = &ps->path[i], .portal = ps->path[i].portal };
	rc = mpath_open(env, &mc, ret_d);
	if (rc < 0)
		paths_free(ps);
	return rc;
}
