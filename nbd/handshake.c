/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a new connection to an export: options of the client, answers of the
 * server.  Everything that a stranger can send is read here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/cleanup.h"
#include "nbd/impl.h"
#include "nbd/tls.h"

#define OPTION_MAX ((size_t)64 << 10)	/* bytes of one */
#define OPTIONS_MAX 256u
#define QUERIES_MAX 64u

/* What an option leads to; negative: the connection ends. */
enum { GO_ON = 0, READY = 1 };

struct option {
	uint32_t number, length;
	uint8_t *data;
};

struct hello {
	struct nbd_conn *c;
	char *why;
};

static int
broken(struct hello *h, const char *text)
{
	(void)snprintf(h->why, NBD_WHY_SIZE, "%s", text);
	return -EPROTO;
}

/* ---- answers ---- */

static int
answer(struct nbd_conn *c, uint32_t option, uint32_t type, struct iovec *body,
    int count)
{
	struct nbd_option_reply head = {
		be64(NBD_REP_MAGIC), be32(option), be32(type), be32(0)
	};
	struct iovec iov[4] = { { &head, sizeof(head) } };
	uint32_t length = 0;

	for (int i = 0; i < count; i++) {
		iov[i + 1] = body[i];
		length += (uint32_t)body[i].iov_len;
	}
	head.length = be32(length);
	return stream_writev(&c->io, iov, count + 1);
}

static int
say(struct nbd_conn *c, uint32_t option, uint32_t type, const char *text)
{
	struct iovec body = { (void *)(uintptr_t)text, strlen(text) };

	return answer(c, option, type, &body, 1);
}

static int
acknowledge(struct nbd_conn *c, uint32_t option)
{
	return answer(c, option, NBD_REP_ACK, NULL, 0);
}

static int
invalid(struct nbd_conn *c, const struct option *o)
{
	return say(c, o->number, NBD_REP_ERR_INVALID,
	    "the option's data is not what belongs to it");
}

static int
unknown_export(struct nbd_conn *c, const struct option *o,
    struct nbd_text name)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "there is no export '%.*s'",
	    (int)(name.len < 128 ? name.len : 128), name.p);
	return say(c, o->number, NBD_REP_ERR_UNKNOWN, text);
}

/* ---- export ---- */

/* Nobody tells of a size that another host changes.  nbd_unuse follows. */
static void
use_as_it_is(struct nbd_conn *c, struct nbd_export *e)
{
	nbd_use(e);
	if (disk_refresh(e->conf.disk) < 0)
		log_warn(c->server->conf.log, "nbd: size not known disk=%s",
		    e->name);
}

static int
ready(struct nbd_conn *c, struct nbd_export *e)
{
	const struct disk_info *i = &e->conf.disk->info;

	if (c->chosen.of != e)
		nbd_chosen_clear(&c->chosen);
	/* From here on nothing suspends: who removes it finds us. */
	if (e->leaving)
		return -ECONNRESET;
	c->export = e;
	__atomic_add_fetch(&e->stats.clients, 1, __ATOMIC_RELAXED);
	c->rules = (struct nbd_rules){
		.size = i->size_bytes, .block_size = i->block_size,
		.readonly = e->conf.readonly, .structured = c->structured,
		.contexts = c->chosen.count > 0,
	};
	nbd_use(e);
	return READY;
}

static int
export_name(struct hello *h, const struct option *o)
{
	struct nbd_conn *c = h->c;
	struct nbd_export_reply reply = { .zeroes = { 0 } };
	struct iovec iov = { &reply, sizeof(reply) };
	struct nbd_export *e;
	struct nbd_text name;
	int rc;

	/* No answer says no but the end. */
	if (nbd_take_name(o->data, o->length, &name) < 0)
		return broken(h, "its name of an export is none");
	e = nbd_find(c->server, name);
	if (e == NULL)
		return broken(h, "it wants an export that is not there");
	use_as_it_is(c, e);
	reply.size = be64(e->conf.disk->info.size_bytes);
	reply.flags = be16(nbd_export_flags(e, c->structured));
	if (c->no_zeroes)
		iov.iov_len = offsetof(struct nbd_export_reply, zeroes);
	rc = stream_writev(&c->io, &iov, 1);
	if (rc == 0)
		rc = ready(c, e);
	nbd_unuse(e);
	return rc;
}

static int
info_text(struct nbd_conn *c, const struct option *o, enum nbd_info type,
    const char *text)
{
	be16_t head = be16((uint16_t)type);
	struct iovec body[2] = {
		{ &head, sizeof(head) },
		{ (void *)(uintptr_t)text, strlen(text) },
	};

	return answer(c, o->number, NBD_REP_INFO, body, 2);
}

static int
info_sizes(struct nbd_conn *c, const struct option *o,
    const struct nbd_export *e)
{
	const struct disk_info *i = &e->conf.disk->info;
	struct nbd_info_export size = {
		be16(NBD_INFO_EXPORT), be64(i->size_bytes),
		be16(nbd_export_flags(e, c->structured))
	};
	struct nbd_info_block_size block = {
		be16(NBD_INFO_BLOCK_SIZE), be32(i->block_size),
		be32(i->phys_block_size > i->block_size ?
		    i->phys_block_size : i->block_size),
		be32(NBD_PAYLOAD_MAX)
	};
	struct iovec iov[2] = {
		{ &size, sizeof(size) }, { &block, sizeof(block) },
	};
	int rc = answer(c, o->number, NBD_REP_INFO, &iov[0], 1);

	return rc == 0 ? answer(c, o->number, NBD_REP_INFO, &iov[1], 1) : rc;
}

static int
tell_info(struct nbd_conn *c, const struct option *o,
    const struct nbd_export *e, const struct nbd_go *go)
{
	int rc = info_sizes(c, o, e);

	if (rc == 0 && go->want_name)
		rc = info_text(c, o, NBD_INFO_NAME, e->name);
	if (rc == 0 && go->want_description)
		rc = info_text(c, o, NBD_INFO_DESCRIPTION, e->description);
	if (rc == 0)
		rc = acknowledge(c, o->number);
	return rc;
}

static int
info_or_go(struct hello *h, const struct option *o)
{
	struct nbd_conn *c = h->c;
	struct nbd_export *e;
	struct nbd_go go;
	int rc;

	if (nbd_take_go(o->data, o->length, &go) < 0)
		return invalid(c, o);
	e = nbd_find(c->server, go.name);
	if (e == NULL)
		return unknown_export(c, o, go.name);
	use_as_it_is(c, e);
	rc = tell_info(c, o, e, &go);
	if (rc == 0 && o->number == NBD_OPT_GO)
		rc = ready(c, e);
	nbd_unuse(e);
	return rc;
}

/* ---- other options ---- */

static int
goodbye(struct hello *h, const struct option *o)
{
	int rc = acknowledge(h->c, o->number);

	h->c->goodbye = true;
	return rc < 0 ? rc : -ECONNRESET;
}

static int
list_one(struct nbd_conn *c, const struct option *o,
    const struct nbd_export *e)
{
	be32_t length = be32((uint32_t)strlen(e->name));
	struct iovec body[3] = {
		{ &length, sizeof(length) },
		{ e->name, strlen(e->name) },
		{ e->description, strlen(e->description) },
	};

	return answer(c, o->number, NBD_REP_SERVER, body, 3);
}

static int
list(struct hello *h, const struct option *o)
{
	struct nbd_conn *c = h->c;
	struct list *at = c->server->exports.next;
	int rc = 0;

	if (o->length != 0)
		return invalid(c, o);
	/* The one in use stays in the list; others may go. */
	while (rc == 0 && at != &c->server->exports) {
		struct nbd_export *e = list_entry(at, struct nbd_export, node);

		nbd_use(e);
		rc = list_one(c, o, e);
		at = at->next;
		nbd_unuse(e);
	}
	return rc == 0 ? acknowledge(c, o->number) : rc;
}

static int
start_tls(struct hello *h, const struct option *o)
{
	struct nbd_conn *c = h->c;
	int rc;

	if (o->length != 0 || c->io.tls != NULL)
		return invalid(c, o);
	if (c->server->tls == NULL)
		return say(c, o->number, NBD_REP_ERR_POLICY,
		    "this server has no TLS");
	rc = acknowledge(c, o->number);
	if (rc == 0)
		rc = tls_accept(c->server->tls, &c->io, &c->io.tls, h->why,
		    NBD_WHY_SIZE);
	/* What was agreed in clear may be from somebody in between. */
	c->structured = false;
	nbd_chosen_clear(&c->chosen);
	return rc;
}

static int
structured_reply(struct hello *h, const struct option *o)
{
	if (o->length != 0)
		return invalid(h->c, o);
	h->c->structured = true;
	return acknowledge(h->c, o->number);
}

static int
tell_context(struct nbd_conn *c, uint32_t option, uint32_t id,
    const char *name)
{
	be32_t head = be32(id);
	struct iovec body[2] = {
		{ &head, sizeof(head) },
		{ (void *)(uintptr_t)name, strlen(name) },
	};

	return answer(c, option, NBD_REP_META_CONTEXT, body, 2);
}

static int
tell_listed(struct nbd_conn *c, uint32_t id, const char *name)
{
	(void)id;
	return tell_context(c, NBD_OPT_LIST_META_CONTEXT, 0, name);
}

static int
tell_chosen(struct nbd_conn *c, uint32_t id, const char *name)
{
	return tell_context(c, NBD_OPT_SET_META_CONTEXT, id, name);
}

static int
refuse_contexts(struct nbd_conn *c, uint32_t option, int refusal)
{
	char text[256];

	if (refusal == -E2BIG)
		return say(c, option, NBD_REP_ERR_TOO_BIG,
		    "these are too many contexts");
	(void)snprintf(text, sizeof(text), "the contexts cannot be had: %s",
	    vmfs_strerror(refusal));
	return say(c, option, NBD_REP_ERR_POLICY, text);
}

static int
meta_contexts(struct hello *h, const struct option *o)
{
	struct nbd_conn *c = h->c;
	bool set = o->number == NBD_OPT_SET_META_CONTEXT;
	struct nbd_queries q;
	struct nbd_export *e;
	int rc, refusal;

	if (set)
		nbd_chosen_clear(&c->chosen);
	if (!c->structured ||
	    nbd_take_queries(o->data, o->length, &q) < 0)
		return invalid(c, o);
	if (q.count > QUERIES_MAX)
		return say(c, o->number, NBD_REP_ERR_TOO_BIG,
		    "these are too many questions");
	e = nbd_find(c->server, q.name);
	if (e == NULL)
		return unknown_export(c, o, q.name);
	nbd_use(e);
	rc = nbd_contexts_match(c, e, &q, set,
	    set ? tell_chosen : tell_listed, &refusal);
	nbd_unuse(e);
	if (rc < 0)
		return rc;
	return refusal == 0 ? acknowledge(c, o->number) :
	    refuse_contexts(c, o->number, refusal);
}

/* ---- the conversation ---- */

static const struct handler {
	int (*fn)(struct hello *h, const struct option *o);
	bool in_clear;		/* also where TLS is required */
} handlers[] = {
	[NBD_OPT_EXPORT_NAME] = { export_name, false },
	[NBD_OPT_ABORT] = { goodbye, true },
	[NBD_OPT_LIST] = { list, false },
	[NBD_OPT_STARTTLS] = { start_tls, true },
	[NBD_OPT_INFO] = { info_or_go, false },
	[NBD_OPT_GO] = { info_or_go, false },
	[NBD_OPT_STRUCTURED_REPLY] = { structured_reply, false },
	[NBD_OPT_LIST_META_CONTEXT] = { meta_contexts, false },
	[NBD_OPT_SET_META_CONTEXT] = { meta_contexts, false },
};

static int
handle(struct hello *h, const struct option *o)
{
	bool clear = h->c->server->tls != NULL && h->c->io.tls == NULL;
	const struct handler *k = NULL;

	if (o->number < sizeof(handlers) / sizeof(handlers[0]))
		k = &handlers[o->number];
	if (clear && (k == NULL || !k->in_clear)) {
		if (o->number == NBD_OPT_EXPORT_NAME)
			return broken(h, "it does not ask for TLS");
		return say(h->c, o->number, NBD_REP_ERR_TLS_REQD,
		    "this server speaks by TLS only");
	}
	if (k == NULL || k->fn == NULL)
		return say(h->c, o->number, NBD_REP_ERR_UNSUP,
		    "this server does not know the option");
	return k->fn(h, o);
}

static int
next_option(struct hello *h)
{
	cleanup_free uint8_t *data = NULL;
	struct nbd_conn *c = h->c;
	struct nbd_option head;
	struct option o;
	int rc = stream_read(&c->io, &head, sizeof(head));

	if (rc < 0)
		return rc;
	if (be64_get(head.magic) != NBD_OPTS_MAGIC)
		return broken(h, "it does not speak the protocol (no "
		    "IHAVEOPT)");
	o.number = be32_get(head.option);
	o.length = be32_get(head.length);
	if (o.length > OPTION_MAX) {
		(void)!say(c, o.number, NBD_REP_ERR_TOO_BIG,
		    "the option is too long");
		return broken(h, "it sends an option that is too long");
	}
	o.data = data = malloc(o.length + 1);
	if (data == NULL)
		return -ENOMEM;
	rc = stream_read(&c->io, data, o.length);
	return rc == 0 ? handle(h, &o) : rc;
}

static int
greet(struct hello *h)
{
	static const uint32_t known = NBD_FLAG_FIXED_NEWSTYLE |
	    NBD_FLAG_NO_ZEROES;
	struct nbd_greeting hello = {
		be64(NBD_MAGIC), be64(NBD_OPTS_MAGIC), be16((uint16_t)known)
	};
	struct iovec iov = { &hello, sizeof(hello) };
	struct nbd_conn *c = h->c;
	be32_t flags;
	int rc = stream_writev(&c->io, &iov, 1);

	if (rc == 0)
		rc = stream_read(&c->io, &flags, sizeof(flags));
	if (rc < 0)
		return rc;
	if (be32_get(flags) & ~known)
		return broken(h, "it has flags that nobody told it");
	if (!(be32_get(flags) & NBD_FLAG_FIXED_NEWSTYLE))
		return broken(h, "it does not speak the fixed newstyle");
	c->no_zeroes = be32_get(flags) & NBD_FLAG_NO_ZEROES;
	return 0;
}

int
nbd_handshake(struct nbd_conn *c, char *why)
{
	struct hello h = { c, why };
	int rc;

	why[0] = '\0';
	c->io.deadline_ns = sched_now(sched_current()) +
	    c->server->conf.handshake_ns;
	rc = greet(&h);
	for (unsigned n = 0; rc == GO_ON; n++)
		rc = n < OPTIONS_MAX ? next_option(&h) :
		    broken(&h, "it sends options without end");
	c->io.deadline_ns = 0;
	if (rc == -ETIMEDOUT)
		(void)snprintf(why, NBD_WHY_SIZE, "it takes too long to say "
		    "which export it wants");
	return rc == READY ? 0 : rc;
}
