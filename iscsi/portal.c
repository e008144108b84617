/* SPDX-License-Identifier: BSD-2-Clause */
/* Portals: one listening fiber each, see portal.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/portal.h"
#include "libvmfs/base/units.h"

/* Out of descriptors or memory: give connections time to end. */
#define ACCEPT_RETRY_NS (NSEC_PER_SEC / 10)

static void
portal_free(struct iscsi_portal *p)
{
	struct iscsi_server *s = p->server;

	shared_enter(&s->lock);
	list_del(&p->node);
	shared_broadcast(&s->changed);
	shared_leave(&s->lock);
	free(p);
}

static void
portal_run(void *arg)
{
	struct iscsi_portal *p = arg;
	struct iscsi_server *s = p->server;
	struct net_conn *net;
	int r;

	while (!s->stopping && !p->closed) {
		r = net_accept(p->listener, &net);
		if (r == -ECANCELED)
			break;
		if (r == 0) {
			conn_start(s, net, p->group);
			continue;
		}
		log_warn(s->env->log, "iscsi: accept failed: %s",
		    vmfs_strerror(r));
		fiber_sleep(ACCEPT_RETRY_NS);
	}
	portal_free(p);
}

/* "addr[:port][,group]" in two; -EINVAL. */
static int
portal_parse(const char *portal, char addr[NET_ADDR_TEXT], unsigned *ret_group)
{
	size_t len = strcspn(portal, ",");
	unsigned long group = 1;
	char *end;

	if (len >= NET_ADDR_TEXT)
		return -EINVAL;
	if (portal[len] == ',') {
		group = strtoul(portal + len + 1, &end, 10);
		if (*end != '\0' || group == 0 || group > SCSI_GROUPS_MAX)
			return -EINVAL;
	}
	memcpy(addr, portal, len);
	addr[len] = '\0';
	*ret_group = (unsigned)group;
	return 0;
}

uint32_t
portal_groups(const struct iscsi_server *s)
{
	uint32_t groups = 0;

	list_for_each(node, tmp, &s->portals) {
		const struct iscsi_portal *p =
		    list_entry(node, struct iscsi_portal, node);

		if (!p->closed)
			groups |= 1U << (p->group - 1);
	}
	return groups;
}

void
portal_groups_tell(struct iscsi_server *s)
{
	uint32_t groups = portal_groups(s);

	list_for_each(node, tmp, &s->targets)
		scsi_target_set_groups(list_entry(node, struct iscsi_target,
		    node)->scsi, groups);
}

int
iscsi_server_listen(struct iscsi_server *s, const char *portal,
    char *ret_addr)
{
	struct iscsi_portal *p = calloc(1, sizeof(*p));
	char addr[NET_ADDR_TEXT];
	int r;

	if (!p)
		return -ENOMEM;
	p->server = s;
	r = portal_parse(portal, addr, &p->group);
	if (r == 0)
		r = net_listen(addr, ISCSI_PORT, &p->listener);
	if (r < 0) {
		free(p);
		return r;
	}
	shared_enter(&s->lock);
	list_add_tail(&s->portals, &p->node);
	portal_groups_tell(s);
	shared_leave(&s->lock);
	r = sched_spawn(s->env->sched, "iscsi-portal", portal_run, p);
	if (r < 0) {
		net_listener_close(p->listener);
		portal_free(p);
		return r;
	}
	if (ret_addr)
		strcpy(ret_addr, net_listener_addr(p->listener));
	log_info(s->env->log, "iscsi: listening portal=%s",
	    net_listener_addr(p->listener));
	return 0;
}

/* Length of the host's part of "host:port". */
static size_t
host_len(const char *addr)
{
	const char *colon = strrchr(addr, ':');

	return colon ? (size_t)(colon - addr) : strlen(addr);
}

static bool
host_begins(const char *addr, const char *with)
{
	return strncmp(addr, with, strlen(with)) == 0;
}

static bool
is_loopback(const char *addr)
{
	return host_begins(addr, "127.") || host_begins(addr, "[::1]:");
}

bool
portal_told(const char *portal, const char *local, char *ret_addr)
{
	bool any4 = host_begins(portal, "0.0.0.0:");

	if (any4 || host_begins(portal, "[::]:")) {
		if (any4 && local[0] == '[')
			return false;
		snprintf(ret_addr, NET_ADDR_TEXT, "%.*s%s",
		    (int)host_len(local), local, portal + host_len(portal));
		return true;
	}
	if (is_loopback(portal) && !is_loopback(local))
		return false;
	snprintf(ret_addr, NET_ADDR_TEXT, "%s", portal);
	return true;
}

void
portals_close(struct iscsi_server *s)
{
	list_for_each(node, tmp, &s->portals) {
		struct iscsi_portal *p =
		    list_entry(node, struct iscsi_portal, node);

		if (!p->closed)
			net_listener_close(p->listener);
		p->closed = true;
	}
}
