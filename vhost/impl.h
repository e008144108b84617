/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of an export: the session with a front end (session.c), its queues
 * (queue.c), the requests in them (blk.c).
 */
#ifndef VMFS_VHOST_IMPL_H
#define VMFS_VHOST_IMPL_H

#include "libvmfs/env/bell.h"
#include "libvmfs/env/local.h"
#include "vhost/export.h"
#include "vhost/ring.h"

struct vqueue;

/* A request of the guest. */
struct vreq {
	struct disk_req disk;
	struct vqueue *q;
	struct vreq *next_free;
	struct sched_timer again;
	bool waits;		/* for space; counted in stats.waiting */
	uint8_t *status;	/* in guest memory */
	uint32_t written;	/* bytes there when it succeeds */
	uint64_t covers;	/* a flush: so many `acknowledged` */
	struct chain chain;
};

struct vqueue {
	struct vsession *s;
	struct ring ring;
	struct vhost_addr addr;
	int kick;			/* -1: none */
	struct bell *call, *err;	/* NULL: none */
	bool mapped;			/* addr was told */
	bool enabled, started, stopping;
	/* Counted in `running`: from its start until it is stopped, also while
	 * it pauses. */
	bool counted;
	bool dropping;			/* what waits is put back */
	bool looping;			/* its fiber lives */
	bool broken;			/* the driver's fault: it stays so */
	struct event_watch watch;	/* of kick, for its fiber */
	unsigned busy;			/* requests not pushed yet */
	uint16_t base;			/* next_avail while it is stopped */
	struct vreq *free;
	struct fiber_cond changed;
	struct sched_work signal;
	bool signal_posted;
};

struct vsession {
	struct vhost_export *e;
	struct local_conn *conn;
	struct local_conn *backend;	/* our requests; NULL */
	uint64_t features, protocol;	/* what the front end took */
	struct vhost_mem mem;
	struct vqueue q[VHOST_QUEUES_MAX];
	void *inflight;			/* NULL */
	/*
	 * A predecessor died with acknowledged writes that were not flushed:
	 * no flush may say that all is well until the guest begins anew.
	 */
	bool lost_writes;
	bool seasoned;			/* a queue goes on where it was */
	uint64_t acknowledged;		/* requests that changed something */
	size_t inflight_map;		/* bytes mapped */
	struct vhost_inflight inflight_of;
};

/* Counters that other threads read; one thread changes them. */
static inline void
tell_add(uint64_t *n, uint64_t by)
{
	__atomic_store_n(n, *n + by, __ATOMIC_RELAXED);
}

struct vhost_export {
	struct vhost_conf conf;
	char *socket, *name;
	struct disk *disk;		/* requests go there */
	struct local_listener *listener;
	struct local_conn *conn;	/* NULL: nobody is there */
	struct vsession *session;
	unsigned running;		/* queues */
	unsigned looked_at;		/* `disk`, by who suspends */
	uint64_t under_way;		/* bytes */
	struct fiber_cond room;
	bool owned, stopping, done;
	bool keeping;			/* a fiber waits owned_ns */
	struct fiber_mutex serving;	/* a session, or who ends the wait */
	struct vhost_info stats;
	struct fiber_cond changed;
};

/* ---- session.c: in its fiber ---- */

/* Serves one front end until it goes; frees nothing of conn. */
void session_serve(struct vhost_export *e, struct local_conn *conn);
void session_config_changed(struct vsession *s);
/*
 * What changed the disk is about to be acknowledged; a flush was; all queues
 * have stopped and are flushed; a driver begins with empty rings, so it takes
 * the disk as it is.  They do not suspend.
 */
void session_changed(struct vsession *s);
void session_flushed(struct vsession *s, uint64_t covers);
void session_stopped(struct vsession *s);
void session_anew(struct vsession *s);
/* Acknowledged writes are lost, or may be. */
void session_lost(struct vsession *s);

/* ---- queue.c; all suspend ---- */

void queue_init(struct vqueue *q, struct vsession *s);
/* Starts when everything is told and it is enabled. */
int queue_start(struct vqueue *q) MUST_CHECK;
/*
 * Until nothing of it is in flight.  What waits for space is left to the region
 * that outlives us; it fails where there is none or it is for good.
 */
void queue_stop(struct vqueue *q, bool for_good);
/* While memory or kick change: its guest runs, what waits goes on with the next
 * start, the disk stays owned until it is stopped. */
void queue_pause(struct vqueue *q);
void queue_fini(struct vqueue *q);
/* As it was at first, whatever it was doing: nothing stays in flight for the
 * next driver, whose ring may have another size. */
void queue_reset(struct vqueue *q);
/* Does not suspend: the request goes back to the guest. */
void queue_done(struct vreq *rq, uint8_t status);
void queue_drop(struct vreq *rq);

/* ---- blk.c; nothing suspends ---- */

uint64_t blk_features(const struct vhost_export *e);
struct virtio_blk_config;
void blk_config(const struct vhost_export *e,
    struct virtio_blk_config *ret_c);
/* Begins what the chain asks for; queue_done follows. */
void blk_begin(struct vreq *rq);

#endif
