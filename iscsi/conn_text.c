/* SPDX-License-Identifier: BSD-2-Clause */
/* Text requests in full feature phase: SendTargets, renegotiation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/conn.h"
#include "iscsi/portal.h"
#include "libvmfs/base/cleanup.h"

static int
add_address(struct conn *c, const char *portal, unsigned group)
{
	char address[NET_ADDR_TEXT + 12];

	snprintf(address, sizeof(address), "%s,%u", portal, group);
	return text_add(&c->text_out, "TargetAddress", address);
}

/*
 * One target with its portals, first the one this connection came by (13.8).
 * The server's lock is held.
 */
static int
add_target(struct conn *c, const struct iscsi_target *t)
{
	const char *local = net_conn_local(c->net);
	char told[NET_ADDR_TEXT];
	int r;

	r = text_add(&c->text_out, "TargetName", scsi_target_iqn(t->scsi));
	if (r < 0)
		return r;
	r = add_address(c, local, c->group);
	list_for_each(node, tmp, &c->server->portals) {
		const struct iscsi_portal *p =
		    list_entry(node, struct iscsi_portal, node);

		if (r < 0)
			return r;
		if (portal_told(net_listener_addr(p->listener), local, told) &&
		    strcmp(told, local) != 0)
			r = add_address(c, told, p->group);
	}
	return r;
}

/* Targets the initiator may log in to, and no others. */
static int
add_allowed(struct conn *c, const char *name)
{
	list_for_each(node, tmp, &c->server->targets) {
		struct iscsi_target *t =
		    list_entry(node, struct iscsi_target, node);
		int r;

		if (name && strcmp(name, scsi_target_iqn(t->scsi)) != 0)
			continue;
		if (!acl_find(&t->acl, c->session->initiator))
			continue;
		r = add_target(c, t);
		if (r < 0)
			return r;
	}
	return 0;
}

/* All that are allowed, or the one called `name`. */
static int
add_targets(struct conn *c, const char *name)
{
	int r;

	shared_enter(&c->server->lock);
	r = add_allowed(c, name);
	shared_leave(&c->server->lock);
	return r;
}

static int
add_own_target(struct conn *c)
{
	int r;

	shared_enter(&c->server->lock);
	r = add_target(c, c->session->target);
	shared_leave(&c->server->lock);
	return r;
}

/* "All" in discovery, "" (the current target) in normal sessions, a name. */
static int
send_targets(struct conn *c, const char *value)
{
	bool discovery = !c->session->target;

	if (strcmp(value, "All") == 0)
		return discovery ? add_targets(c, NULL) :
		    text_add(&c->text_out, "SendTargets", "Reject");
	if (value[0])
		return add_targets(c, value);
	return discovery ? text_add(&c->text_out, "SendTargets", "Reject") :
	    add_own_target(c);
}

static int
text_key(struct conn *c, const struct text_pair *p)
{
	char answer[PARAM_ANSWER_MAX];
	int param = param_find(p->key);
	int r;

	if (strcmp(p->key, "SendTargets") == 0)
		return send_targets(c, p->value);
	if (param < 0 && param_is_declared(p->key))
		return 0;
	if (param < 0)
		return text_add(&c->text_out, p->key,
		    param_is_reserved(p->key) ? "Reject" : "NotUnderstood");
	r = param_offer(&c->login.params, (enum param)param, p->value,
	    PARAM_FULL_FEATURE, answer);
	if (r < 0)
		return r;
	c->param[param] = c->login.params.active[param];
	return answer[0] ? text_add(&c->text_out, p->key, answer) : 0;
}

static int
text_keys(struct conn *c)
{
	struct text_pair p;
	size_t pos = 0;
	int r;

	while ((r = text_next(&c->text_in, &pos, &p)) > 0) {
		r = text_key(c, &p);
		if (r < 0)
			return r;
	}
	return r;
}

/* The next part of the answer; a long one takes several requests (6.2). */
static int
text_answer(struct conn *c, const union iscsi_bhs *bhs, bool more_comes)
{
	uint32_t max = c->param[PARAM_MAX_RECV_DATA];
	size_t left = c->text_out.len - c->text_sent;
	uint32_t len = left < max ? (uint32_t)left : max;
	uint8_t *data = malloc(len + 1);
	struct conn_tx *tx;

	if (!data)
		return -ENOMEM;
	if (len > 0)
		memcpy(data, c->text_out.data + c->text_sent, len);
	tx = conn_tx_new(TX_ANSWER, ISCSI_TEXT_RSP, be32_get(bhs->any.itt),
	    data, len);
	if (!tx) {
		free(data);
		return -ENOMEM;
	}
	c->text_sent += len;
	memcpy(tx->bhs.any.lun, bhs->any.lun, sizeof(tx->bhs.any.lun));
	if (len < left)
		tx->bhs.any.flags = ISCSI_FLAG_CONTINUE;
	else if (more_comes)
		tx->bhs.any.flags = 0;
	c->text_ttt = ISCSI_NO_TAG;
	if (!(tx->bhs.any.flags & ISCSI_FLAG_FINAL))
		c->text_ttt = c->next_ttt++ & 0x7fffffff;
	tx->bhs.any.ttt = be32(c->text_ttt);
	conn_tx_queue(c, tx);
	return 0;
}

static int
text_read(struct conn *c, uint32_t len)
{
	cleanup_free uint8_t *data = malloc(len + 1);
	int r;

	if (!data)
		return -ENOMEM;
	r = conn_rx_data(c, data, len, 0);
	return r < 0 ? r : text_buf_append(&c->text_in, data, len);
}

/* A new exchange unless the tag continues the open one. */
static int
text_begin(struct conn *c, const union iscsi_bhs *bhs)
{
	uint32_t ttt = be32_get(bhs->any.ttt);

	if (ttt != ISCSI_NO_TAG)
		return ttt == c->text_ttt ? 0 : -VMFS_EPROTO;
	text_buf_fini(&c->text_in);
	text_buf_fini(&c->text_out);
	c->text_sent = 0;
	return 0;
}

int
conn_text(struct conn *c, const union iscsi_bhs *bhs)
{
	bool continues = bhs->any.flags & ISCSI_FLAG_CONTINUE;
	bool final = bhs->any.flags & ISCSI_FLAG_FINAL;
	int r;

	r = continues && final ? -VMFS_EPROTO : text_begin(c, bhs);
	if (r == 0)
		r = text_read(c, iscsi_data_len(bhs));
	if (r == 0 && !continues) {
		r = text_keys(c);
		text_buf_fini(&c->text_in);
	}
	if (r == -VMFS_EPROTO)
		return conn_reject(c, bhs, ISCSI_REJECT_PROTOCOL, true);
	return r < 0 ? r : text_answer(c, bhs, !final);
}
