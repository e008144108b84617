/* SPDX-License-Identifier: BSD-2-Clause */
/* Life of an export, see export.h. */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "vhost/impl.h"

/* There is no session: who owns it is the guest of another process. */
static void
give_up(struct vhost_export *e)
{
	while (e->owned && e->looked_at > 0)
		fiber_cond_wait(&e->changed);
	if (!e->owned)
		return;
	e->owned = false;
	log_info(e->conf.log, "vhost: its guest does not go on disk=%s",
	    e->name);
	e->conf.disown(e->conf.arg, &e->disk);
}

static void
keep_fiber(void *arg)
{
	struct vhost_export *e = arg;
	uint64_t until = sched_now(sched_current()) + e->conf.owned_ns;

	while (!e->stopping && fiber_cond_wait_until(&e->changed, until))
		;
	fiber_mutex_lock(&e->serving);
	if (!e->stopping)
		give_up(e);
	fiber_mutex_unlock(&e->serving);
	e->keeping = false;
	fiber_cond_broadcast(&e->changed);
}

static void
export_fiber(void *arg)
{
	struct vhost_export *e = arg;
	struct local_conn *conn;
	int rc;

	while (!e->stopping) {
		rc = local_accept(e->listener, &conn);
		if (rc == -ECANCELED)
			break;
		if (rc < 0) {
			log_warn(e->conf.log, "vhost: cannot accept a "
			    "hypervisor as yet disk=%s: %s", e->name,
			    vmfs_strerror(rc));
			fiber_sleep(NSEC_PER_SEC);
			continue;
		}
		log_info(e->conf.log, "vhost: hypervisor connected disk=%s",
		    e->name);
		e->conn = conn;
		fiber_mutex_lock(&e->serving);
		session_serve(e, conn);
		give_up(e);
		fiber_mutex_unlock(&e->serving);
		e->conn = NULL;
		local_conn_close(conn);
	}
	e->done = true;
	fiber_cond_broadcast(&e->changed);
}

static void
export_free(struct vhost_export *e)
{
	free(e->socket);
	free(e->name);
	free(e);
}

static struct vhost_export *
export_new(const struct vhost_conf *conf)
{
	struct vhost_export *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->conf = *conf;
	if (e->conf.queues == 0)
		e->conf.queues = 4;
	e->owned = conf->owned != NULL;
	e->disk = e->owned ? conf->owned : conf->disk;
	e->socket = strdup(conf->socket);
	e->name = strdup(conf->name);
	fiber_cond_init(&e->changed);
	fiber_cond_init(&e->room);
	fiber_mutex_init(&e->serving);
	if (e->socket != NULL && e->name != NULL)
		return e;
	export_free(e);
	return NULL;
}

int
vhost_export_start(const struct vhost_conf *conf, struct vhost_export **ret_e)
{
	struct vhost_export *e;
	int rc;

	if (conf->queues > VHOST_QUEUES_MAX)
		return -EINVAL;
	e = export_new(conf);
	if (e == NULL)
		return -ENOMEM;
	rc = local_listen(e->socket, &e->listener);
	if (rc == 0) {
		rc = sched_spawn(sched_current(), "vhost", export_fiber, e);
		if (rc < 0)
			local_listener_close(e->listener);
	}
	if (rc < 0) {
		export_free(e);
		return rc;
	}
	/* Without it the first hypervisor that goes ends the wait. */
	e->keeping = e->owned && sched_spawn(sched_current(), "vhost-keep",
	    keep_fiber, e) == 0;
	*ret_e = e;
	return 0;
}

void
vhost_export_stop(struct vhost_export *e)
{
	if (e == NULL)
		return;
	e->stopping = true;
	fiber_cond_broadcast(&e->changed);
	if (e->conn != NULL)
		local_conn_shutdown(e->conn);
	local_listener_close(e->listener);
	while (!e->done || e->keeping || e->looked_at > 0)
		fiber_cond_wait(&e->changed);
	export_free(e);
}

void
vhost_export_resized(struct vhost_export *e)
{
	e->looked_at++;
	if (disk_refresh(e->disk) < 0)
		log_warn(e->conf.log, "vhost: size not known disk=%s",
		    e->name);
	if (e->session != NULL)
		session_config_changed(e->session);
	e->looked_at--;
	fiber_cond_broadcast(&e->changed);
}

static uint64_t
told(const uint64_t *n)
{
	return __atomic_load_n(n, __ATOMIC_RELAXED);
}

struct vhost_info
vhost_export_info(const struct vhost_export *e)
{
	const struct vhost_info *s = &e->stats;

	return (struct vhost_info){
		.connected = __atomic_load_n(&s->connected, __ATOMIC_RELAXED),
		.running = __atomic_load_n(&s->running, __ATOMIC_RELAXED),
		.reads = told(&s->reads), .writes = told(&s->writes),
		.others = told(&s->others),
		.read_bytes = told(&s->read_bytes),
		.written_bytes = told(&s->written_bytes),
		.errors = told(&s->errors),
		.waiting = __atomic_load_n(&s->waiting, __ATOMIC_RELAXED),
	};
}
