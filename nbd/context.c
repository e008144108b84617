/* SPDX-License-Identifier: BSD-2-Clause */
/* Metadata contexts: which there are, and what they tell about a range. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "nbd/impl.h"

#define EXTENTS_MAX 4096u	/* of one reply and context */
#define LOOK_MAX 256u		/* of one question to the disk */
#define AGAIN_MAX 3u		/* times, when the disk changed meanwhile */

/* ---- maps ---- */

bool
nbd_map_add(struct nbd_map *m, uint64_t length, uint32_t flags)
{
	struct nbd_extent *x;

	if (length == 0)
		return true;
	if (m->count == 0 || flags != m->flags) {
		if (m->count == m->max)
			return false;
		m->count++;
		m->flags = flags;
		m->last = 0;
	}
	/* Of a request, whose length has 32 bits. */
	m->last += (uint32_t)length;
	x = &m->extent[m->count - 1];
	*x = (struct nbd_extent){ be32(m->last), be32(flags) };
	return true;
}

static int
allocation_of(struct disk *d, uint64_t offset, uint64_t length,
    struct nbd_map *m)
{
	struct disk_extent extents[LOOK_MAX];
	struct disk_map map = { .extents = extents, .max = LOOK_MAX };
	uint64_t end = offset + length;
	int rc;

	if (!(d->info.caps & DISK_CAP_MAP)) {
		(void)nbd_map_add(m, length, 0);
		return 0;
	}
	while (offset < end) {
		map.count = 0;
		rc = disk_map(d, offset, end - offset, &map);
		if (rc < 0)
			return rc;
		for (size_t i = 0; i < map.count; i++) {
			const struct disk_extent *x = &extents[i];

			if (!nbd_map_add(m, x->length, x->allocated ? 0 :
			    NBD_STATE_HOLE | NBD_STATE_ZERO))
				return 0;
			offset += x->length;
		}
		if (map.count == 0)
			return -EIO;
	}
	return 0;
}

/* ---- the client's choice ---- */

void
nbd_chosen_clear(struct nbd_chosen *chosen)
{
	struct nbd_chosen old = *chosen;

	*chosen = (struct nbd_chosen){ .count = 0 };
	for (unsigned i = 0; i < old.count; i++)
		if (old.context[i] != NULL)
			old.of->conf.contexts->close(old.context[i]);
	if (old.of != NULL)
		nbd_unuse(old.of);
}

static int
open_context(struct nbd_export *e, const char *name, void **ret_context)
{
	const struct nbd_contexts *k = e->conf.contexts;

	if (strcmp(name, NBD_ALLOCATION) == 0) {
		*ret_context = NULL;
		return 0;
	}
	return k != NULL ? k->open(e->conf.arg, name, ret_context) : -ENOENT;
}

static int
choose_one(struct nbd_conn *c, struct nbd_export *e, const char *name)
{
	struct nbd_chosen *chosen = &c->chosen;
	void *context;
	int rc;

	if (chosen->count == NBD_CONTEXTS_MAX)
		return -E2BIG;
	rc = open_context(e, name, &context);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (chosen->of == NULL) {
		chosen->of = e;
		nbd_use(e);
	}
	chosen->context[chosen->count++] = context;
	return (int)chosen->count;
}

/* Those of an export, gathered before anything is sent. */
struct names {
	char **name;
	size_t count, size;
	bool failed;
};

static void
names_add(void *arg, const char *name)
{
	struct names *n = arg;

	if (n->count == n->size) {
		size_t size = n->size * 2 + 8;
		char **more = reallocarray(n->name, size, sizeof(*more));

		if (more == NULL) {
			n->failed = true;
			return;
		}
		n->name = more;
		n->size = size;
	}
	n->name[n->count] = strdup(name);
	if (n->name[n->count] == NULL)
		n->failed = true;
	else
		n->count++;
}

static int
names_of(struct nbd_export *e, struct names *n)
{
	const struct nbd_contexts *k = e->conf.contexts;
	int rc = 0;

	names_add(n, NBD_ALLOCATION);
	if (k != NULL)
		rc = k->list(e->conf.arg, names_add, n);
	return n->failed ? -ENOMEM : rc;
}

/* "base:" and "vmfs:changed-since:" stand for all that begin so. */
static bool
asked_for(const char *name, struct nbd_queries q)
{
	struct nbd_text t;

	if (q.count == 0)
		return true;
	while (nbd_query_next(&q, &t))
		if (nbd_text_is(t, name) || (t.len > 0 &&
		    t.p[t.len - 1] == ':' &&
		    strncmp(name, t.p, t.len) == 0))
			return true;
	return false;
}

static int
list_contexts(struct nbd_conn *c, struct nbd_export *e,
    const struct nbd_queries *q,
    int (*tell)(struct nbd_conn *c, uint32_t id, const char *name),
    int *ret_refusal)
{
	struct names all = { .count = 0 };
	int refusal = names_of(e, &all), rc = 0;

	for (size_t i = 0; refusal == 0 && rc == 0 && i < all.count; i++)
		if (asked_for(all.name[i], *q))
			rc = tell(c, 0, all.name[i]);
	for (size_t i = 0; i < all.count; i++)
		free(all.name[i]);
	free(all.name);
	*ret_refusal = refusal;
	return rc;
}

int
nbd_contexts_match(struct nbd_conn *c, struct nbd_export *e,
    struct nbd_queries *q, bool choose,
    int (*tell)(struct nbd_conn *c, uint32_t id, const char *name),
    int *ret_refusal)
{
	struct nbd_text t;
	int id = 0, rc = 0;

	if (!choose)
		return list_contexts(c, e, q, tell, ret_refusal);
	while (id >= 0 && rc == 0 && nbd_query_next(q, &t)) {
		cleanup_free char *name = strndup(t.p, t.len);

		id = name != NULL ? choose_one(c, e, name) : -ENOMEM;
		if (id > 0)
			rc = tell(c, (uint32_t)id, name);
	}
	if (id < 0 || rc < 0)
		nbd_chosen_clear(&c->chosen);
	*ret_refusal = id < 0 ? id : 0;
	return rc;
}

/* ---- block status ---- */

static int
status_of(struct nbd_conn *c, const struct nbd_req *r, void *context,
    struct nbd_map *m)
{
	const struct nbd_export_conf *conf = &c->export->conf;
	unsigned tries = 0;
	int rc;

	if (context == NULL)
		return allocation_of(conf->disk, r->offset, r->length, m);
	do {
		m->count = 0;
		rc = conf->contexts->status(context, r->offset, r->length, m);
	} while (rc == -EAGAIN && ++tries < AGAIN_MAX);
	return rc == 0 && m->count == 0 ? -EIO : rc;
}

/* A chunk for each context; the first that fails ends the reply. */
void
nbd_block_status(struct nbd_conn *c, struct nbd_job *job)
{
	const struct nbd_req *r = &job->req;
	unsigned max = r->flags & NBD_CMD_REQ_ONE ? 1 : EXTENTS_MAX;
	cleanup_free struct nbd_extent *extents = calloc(max,
	    sizeof(*extents));
	int rc = extents != NULL ? 0 : -ENOMEM;
	bool going = true;

	tell_add(&c->export->stats.others, 1);
	for (unsigned i = 0; rc == 0 && going && i < c->chosen.count; i++) {
		struct nbd_map m = { .extent = extents, .max = max };
		be32_t id = be32(i + 1);

		rc = status_of(c, r, c->chosen.context[i], &m);
		if (rc == 0) {
			struct iovec body[2] = {
				{ &id, sizeof(id) },
				{ extents, m.count * sizeof(*extents) },
			};

			going = nbd_send_chunk(c, job,
			    i + 1 == c->chosen.count, NBD_CHUNK_BLOCK_STATUS,
			    body, 2);
		}
	}
	if (rc < 0)
		nbd_send_result(c, job, nbd_error_of(rc), rc);
}
