/* SPDX-License-Identifier: BSD-2-Clause */
/* Life of servers, exports and connections, see server.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/env/reactor.h"
#include "nbd/impl.h"
#include "nbd/tls.h"

#define HANDSHAKE_NS (10 * NSEC_PER_SEC)
#define CLIENTS_MAX 64u
#define PORT_WAIT_S 5

/* ---- exports ---- */

struct nbd_export *
nbd_find(struct nbd_server *s, struct nbd_text name)
{
	list_for_each(node, tmp, &s->exports) {
		struct nbd_export *e =
		    list_entry(node, struct nbd_export, node);

		/* "" is the only one, when there is just one. */
		if (!e->leaving && (nbd_text_is(name, e->name) ||
		    (name.len == 0 && s->exports.next == s->exports.prev)))
			return e;
	}
	return NULL;
}

void
nbd_use(struct nbd_export *e)
{
	e->users++;
}

void
nbd_unuse(struct nbd_export *e)
{
	if (--e->users == 0)
		fiber_cond_broadcast(&e->server->changed);
}

uint16_t
nbd_export_flags(const struct nbd_export *e, bool structured)
{
	unsigned flags = NBD_EXPORT_HAS_FLAGS | NBD_EXPORT_SEND_FLUSH |
	    NBD_EXPORT_SEND_FUA | NBD_EXPORT_CAN_MULTI_CONN |
	    NBD_EXPORT_SEND_CACHE;

	if (structured)
		flags |= NBD_EXPORT_SEND_DF;
	if (e->conf.readonly)
		return (uint16_t)(flags | NBD_EXPORT_READ_ONLY);
	flags |= NBD_EXPORT_SEND_WRITE_ZEROES | NBD_EXPORT_SEND_FAST_ZERO;
	if (e->conf.disk->info.caps & DISK_CAP_UNMAP)
		flags |= NBD_EXPORT_SEND_TRIM;
	return (uint16_t)flags;
}

static void
export_free(struct nbd_export *e)
{
	free(e->name);
	free(e->description);
	free(e);
}

static bool
name_taken(struct nbd_server *s, const char *name)
{
	list_for_each(node, tmp, &s->exports)
		if (strcmp(list_entry(node, struct nbd_export, node)->name,
		    name) == 0)
			return true;
	return false;
}

int
nbd_export_add(struct nbd_server *s, const struct nbd_export_conf *conf,
    struct nbd_export **ret_e)
{
	struct nbd_export *e;

	if (strlen(conf->name) > NBD_NAME_MAX)
		return -ENAMETOOLONG;
	if (name_taken(s, conf->name))
		return -EEXIST;
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return -ENOMEM;
	e->server = s;
	e->conf = *conf;
	e->name = strdup(conf->name);
	e->description = strdup(conf->description);
	if (e->name == NULL || e->description == NULL) {
		export_free(e);
		return -ENOMEM;
	}
	list_add_tail(&s->exports, &e->node);
	*ret_e = e;
	return 0;
}

void
nbd_export_remove(struct nbd_export *e)
{
	struct nbd_server *s;

	if (e == NULL)
		return;
	s = e->server;
	e->leaving = true;
	list_for_each(node, tmp, &s->conns) {
		struct nbd_conn *c = list_entry(node, struct nbd_conn, node);

		if (c->export == e || c->chosen.of == e)
			net_conn_shutdown(c->io.c);
	}
	while (e->users > 0)
		fiber_cond_wait(&s->changed);
	list_del(&e->node);
	export_free(e);
}

static uint64_t
told(const uint64_t *n)
{
	return __atomic_load_n(n, __ATOMIC_RELAXED);
}

struct nbd_export_info
nbd_export_info(const struct nbd_export *e)
{
	const struct nbd_export_info *s = &e->stats;

	return (struct nbd_export_info){
		.clients = __atomic_load_n(&s->clients, __ATOMIC_RELAXED),
		.reads = told(&s->reads), .writes = told(&s->writes),
		.others = told(&s->others),
		.read_bytes = told(&s->read_bytes),
		.written_bytes = told(&s->written_bytes),
		.errors = told(&s->errors),
	};
}

/* ---- connections ---- */

static void
conn_free(struct nbd_conn *c)
{
	struct nbd_server *s = c->server;

	nbd_chosen_clear(&c->chosen);
	stream_close(&c->io);
	/* From here on nothing suspends. */
	if (c->export != NULL) {
		__atomic_sub_fetch(&c->export->stats.clients, 1,
		    __ATOMIC_RELAXED);
		nbd_unuse(c->export);
	}
	list_del(&c->node);
	s->clients--;
	free(c);
	fiber_cond_broadcast(&s->changed);
}

static void
conn_fiber(void *arg)
{
	struct nbd_conn *c = arg;
	struct log *log = c->server->conf.log;
	const char *peer = net_conn_peer(c->io.c);
	char why[NBD_WHY_SIZE];

	if (nbd_handshake(c, why) == 0) {
		log_info(log, "nbd: client connected disk=%s peer=%s%s",
		    c->export->name, peer, c->io.tls != NULL ? " tls" : "");
		nbd_serve(c);
		log_info(log, "nbd: client %s disk=%s peer=%s", c->goodbye ?
		    "disconnected" : "gone", c->export->name, peer);
	} else if (why[0] != '\0') {
		log_warn(log, "nbd: client refused: %s peer=%s", why, peer);
	}
	conn_free(c);
}

static int
conn_start(struct nbd_server *s, struct net_conn *net)
{
	struct nbd_conn *c;
	int rc;

	if (s->clients >= s->conf.clients_max)
		return -EMFILE;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	c->server = s;
	c->io.c = net;
	list_init(&c->jobs);
	fiber_cond_init(&c->work);
	fiber_cond_init(&c->room);
	fiber_mutex_init(&c->sending);
	rc = sched_spawn(sched_current(), "nbd", conn_fiber, c);
	if (rc < 0) {
		free(c);
		return rc;
	}
	list_add_tail(&s->conns, &c->node);
	s->clients++;
	return 0;
}

static void
accept_fiber(void *arg)
{
	struct nbd_server *s = arg;
	struct net_conn *net;
	int rc;

	while (!s->stopping) {
		rc = net_accept(s->listener, &net);
		if (rc == -ECANCELED)
			break;
		if (rc == 0) {
			rc = conn_start(s, net);
			if (rc < 0)
				net_conn_close(net);
		} else {
			fiber_sleep(NSEC_PER_SEC);
		}
		if (rc < 0)
			log_warn(s->conf.log, "nbd: cannot take one more "
			    "client at %s: %s", s->addr, rc == -EMFILE ?
			    "there are too many" : vmfs_strerror(rc));
	}
	s->accepting = false;
	fiber_cond_broadcast(&s->changed);
}

/* ---- the server ---- */

struct tls_load {
	struct nbd_server *s;
	char *why;
};

static int
load_tls(void *arg)
{
	struct tls_load *l = arg;

	return tls_conf_new(l->s->conf.tls, &l->s->tls, l->why, NBD_WHY_SIZE);
}

static void
server_free(struct nbd_server *s)
{
	tls_conf_free(s->tls);
	free(s->listen);
	free(s);
}

/*
 * The kernel ends a killed process's io_uring, and with it the listening socket,
 * some time after the process: who goes on after it finds the port in use.
 */
static int
listen_tcp(struct nbd_server *s)
{
	int rc = net_listen(s->listen, NBD_PORT, &s->listener);

	for (int i = 0; rc == -EADDRINUSE && i < PORT_WAIT_S * 20; i++) {
		fiber_sleep(NSEC_PER_SEC / 20);
		rc = net_listen(s->listen, NBD_PORT, &s->listener);
	}
	return rc;
}

static int
listen_at(struct nbd_server *s)
{
	int rc = s->listen[0] == '/' ?
	    net_listen_path(s->listen, &s->listener) : listen_tcp(s);

	if (rc < 0)
		return rc;
	(void)snprintf(s->addr, sizeof(s->addr), "%s", s->listen[0] == '/' ?
	    s->listen : net_listener_addr(s->listener));
	rc = sched_spawn(sched_current(), "nbd-accept", accept_fiber, s);
	if (rc < 0)
		net_listener_close(s->listener);
	else
		s->accepting = true;
	return rc;
}

static struct nbd_server *
server_new(const struct nbd_server_conf *conf)
{
	struct nbd_server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->conf = *conf;
	if (s->conf.handshake_ns == 0)
		s->conf.handshake_ns = HANDSHAKE_NS;
	if (s->conf.clients_max == 0)
		s->conf.clients_max = CLIENTS_MAX;
	list_init(&s->exports);
	list_init(&s->conns);
	fiber_cond_init(&s->changed);
	s->listen = strdup(conf->listen);
	if (s->listen != NULL)
		return s;
	server_free(s);
	return NULL;
}

int
nbd_server_start(const struct nbd_server_conf *conf,
    struct nbd_server **ret_s, char *why)
{
	struct nbd_server *s = server_new(conf);
	struct tls_load load = { s, why };
	int rc = s != NULL ? 0 : -ENOMEM;

	why[0] = '\0';
	if (rc == 0 && conf->tls != NULL)
		rc = offload_call(load_tls, &load);
	if (rc == 0)
		rc = listen_at(s);
	if (rc < 0) {
		if (why[0] == '\0')
			(void)snprintf(why, NBD_WHY_SIZE, "cannot listen at "
			    "'%s': %s", conf->listen, rc == -EINVAL ?
			    "expected an address, not a name, and a port of 0 "
			    "to 65535" : vmfs_strerror(rc));
		if (s != NULL)
			server_free(s);
		return rc;
	}
	s->conf.tls = NULL;
	*ret_s = s;
	return 0;
}

const char *
nbd_server_addr(const struct nbd_server *s)
{
	return s->addr;
}

void
nbd_server_stop(struct nbd_server *s)
{
	if (s == NULL)
		return;
	s->stopping = true;
	net_listener_close(s->listener);
	list_for_each(node, tmp, &s->conns)
		net_conn_shutdown(list_entry(node, struct nbd_conn,
		    node)->io.c);
	while (s->accepting || s->clients > 0)
		fiber_cond_wait(&s->changed);
	server_free(s);
}
