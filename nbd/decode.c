/* SPDX-License-Identifier: BSD-2-Clause */
/* See decode.h. */
#include <string.h>

#include "nbd/decode.h"

struct cursor {
	const uint8_t *p;
	size_t left;
};

static bool
take_u16(struct cursor *c, uint16_t *ret)
{
	if (c->left < 2)
		return false;
	*ret = be16_load(c->p);
	c->p += 2;
	c->left -= 2;
	return true;
}

static bool
take_u32(struct cursor *c, uint32_t *ret)
{
	if (c->left < 4)
		return false;
	*ret = be32_load(c->p);
	c->p += 4;
	c->left -= 4;
	return true;
}

/* With its length in front. */
static bool
take_text(struct cursor *c, struct nbd_text *ret)
{
	uint32_t len;

	if (!take_u32(c, &len) || len > c->left ||
	    nbd_take_name(c->p, len, ret) < 0)
		return false;
	c->p += len;
	c->left -= len;
	return true;
}

bool
nbd_text_is(struct nbd_text t, const char *s)
{
	return strlen(s) == t.len && memcmp(s, t.p, t.len) == 0;
}

int
nbd_take_name(const void *data, size_t len, struct nbd_text *ret_name)
{
	if (len > NBD_NAME_MAX || (len > 0 && memchr(data, '\0', len)))
		return -EINVAL;
	*ret_name = (struct nbd_text){ len > 0 ? data : "", len };
	return 0;
}

int
nbd_take_go(const void *data, size_t len, struct nbd_go *ret_go)
{
	struct cursor c = { data, len };
	struct nbd_go go = { .want_name = false };
	uint16_t count, info;

	if (!take_text(&c, &go.name) || !take_u16(&c, &count) ||
	    c.left != count * sizeof(be16_t))
		return -EINVAL;
	while (take_u16(&c, &info)) {
		if (info == NBD_INFO_NAME)
			go.want_name = true;
		if (info == NBD_INFO_DESCRIPTION)
			go.want_description = true;
	}
	*ret_go = go;
	return 0;
}

int
nbd_take_queries(const void *data, size_t len, struct nbd_queries *ret_q)
{
	struct cursor c = { data, len };
	struct nbd_queries q;
	struct nbd_text t;

	if (!take_text(&c, &q.name) || !take_u32(&c, &q.count))
		return -EINVAL;
	q.next = c.p;
	q.end = c.p + c.left;
	for (uint32_t i = 0; i < q.count; i++)
		if (!take_text(&c, &t))
			return -EINVAL;
	if (c.left != 0)
		return -EINVAL;
	*ret_q = q;
	return 0;
}

bool
nbd_query_next(struct nbd_queries *q, struct nbd_text *ret_t)
{
	struct cursor c = { q->next, (size_t)(q->end - q->next) };

	if (!take_text(&c, ret_t))
		return false;
	q->next = c.p;
	return true;
}

/* ---- requests ---- */

static const struct command {
	uint16_t flags;		/* that it may have, besides FUA */
	bool changes;
	bool no_range;		/* offset and length are 0 */
	uint32_t max;		/* bytes; 0: no limit of its own */
} commands[NBD_CMDS] = {
	[NBD_CMD_READ] = { .flags = NBD_CMD_DF, .max = NBD_PAYLOAD_MAX },
	[NBD_CMD_WRITE] = { .changes = true, .max = NBD_PAYLOAD_MAX },
	[NBD_CMD_DISC] = { .no_range = true },
	[NBD_CMD_FLUSH] = { .no_range = true },
	[NBD_CMD_TRIM] = { .changes = true },
	[NBD_CMD_CACHE] = { .changes = false },
	[NBD_CMD_WRITE_ZEROES] = { .changes = true,
		.flags = NBD_CMD_NO_HOLE | NBD_CMD_FAST_ZERO },
	[NBD_CMD_BLOCK_STATUS] = { .flags = NBD_CMD_REQ_ONE },
};

int
nbd_take_request(const struct nbd_request *w, struct nbd_req *ret_r)
{
	if (be32_get(w->magic) != NBD_REQUEST_MAGIC)
		return -EPROTO;
	*ret_r = (struct nbd_req){
		.flags = be16_get(w->flags), .type = be16_get(w->type),
		.cookie = be64_get(w->cookie),
		.offset = be64_get(w->offset),
		.length = be32_get(w->length),
	};
	return 0;
}

static enum nbd_error
check_range(const struct nbd_req *r, const struct command *k,
    const struct nbd_rules *by)
{
	if (k->no_range)
		return r->offset != 0 || r->length != 0 ? NBD_EINVAL : NBD_OK;
	if (r->length == 0 || (k->max != 0 && r->length > k->max) ||
	    r->offset % by->block_size != 0 ||
	    r->length % by->block_size != 0)
		return NBD_EINVAL;
	if (r->length > by->size || r->offset > by->size - r->length)
		return r->type == NBD_CMD_WRITE ||
		    r->type == NBD_CMD_WRITE_ZEROES ? NBD_ENOSPC : NBD_EINVAL;
	return NBD_OK;
}

enum nbd_error
nbd_check(const struct nbd_req *r, const struct nbd_rules *by)
{
	const struct command *k;

	if (r->type >= NBD_CMDS)
		return NBD_EINVAL;
	k = &commands[r->type];
	if (r->flags & ~(k->flags | NBD_CMD_FUA))
		return NBD_EINVAL;
	if ((r->flags & NBD_CMD_DF && !by->structured) ||
	    (r->type == NBD_CMD_BLOCK_STATUS && !by->contexts))
		return NBD_EINVAL;
	if (k->changes && by->readonly)
		return NBD_EPERM;
	return check_range(r, k, by);
}

enum nbd_error
nbd_error_of(int rc)
{
	switch (rc) {
	case 0:
		return NBD_OK;
	case -EROFS:
	case -EPERM:
	case -EACCES:
		return NBD_EPERM;
	case -ENOMEM:
		return NBD_ENOMEM;
	case -EINVAL:
		return NBD_EINVAL;
	case -ENOSPC:
	case -EDQUOT:
		return NBD_ENOSPC;
	case -EOPNOTSUPP:
		return NBD_ENOTSUP;
	default:
		return NBD_EIO;
	}
}
