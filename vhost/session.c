/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages of one front end, in order (vhost-user.rst). */
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vhost/impl.h"

struct message {
	struct vhost_header h;
	union vhost_payload p;
	int fds[VHOST_REGIONS_MAX];
	unsigned fd_count;
	int reply_fd;			/* -1: none */
	bool reply;			/* p holds one, of h.size bytes */
};

static const uint64_t our_protocol = 1ull << VHOST_PF_MQ |
    1ull << VHOST_PF_LOG_SHMFD | 1ull << VHOST_PF_REPLY_ACK |
    1ull << VHOST_PF_BACKEND_REQ | 1ull << VHOST_PF_CONFIG |
    1ull << VHOST_PF_INFLIGHT_SHMFD | 1ull << VHOST_PF_RESET_DEVICE |
    1ull << VHOST_PF_CONFIGURE_MEM_SLOTS;

static void
answer(struct message *m, uint32_t size)
{
	m->reply = true;
	m->h.size = size;
}

static int
answer_u64(struct message *m, uint64_t value)
{
	m->p.u64 = value;
	answer(m, sizeof(value));
	return 0;
}

/* The only descriptor, which is the caller's from then on; -1: none. */
static int
take_fd(struct message *m)
{
	return m->fd_count > 0 ? m->fds[--m->fd_count] : -1;
}

static struct vqueue *
queue_at(struct vsession *s, uint64_t index)
{
	return index < s->e->conf.queues ? &s->q[index] : NULL;
}

/* ---- features ---- */

static int
get_features(struct vsession *s, struct message *m)
{
	return answer_u64(m, blk_features(s->e));
}

static int
set_features(struct vsession *s, struct message *m)
{
	if (m->p.u64 & ~blk_features(s->e))
		return -EPROTO;
	s->features = m->p.u64;
	return 0;
}

static int
get_protocol(struct vsession *s, struct message *m)
{
	(void)s;
	return answer_u64(m, our_protocol);
}

static int
set_protocol(struct vsession *s, struct message *m)
{
	if (m->p.u64 & ~our_protocol)
		return -EPROTO;
	s->protocol = m->p.u64;
	return 0;
}

static int
nothing(struct vsession *s, struct message *m)
{
	(void)s;
	(void)m;
	return 0;
}

static int
get_queue_num(struct vsession *s, struct message *m)
{
	return answer_u64(m, s->e->conf.queues);
}

static void
pause_queues(struct vsession *s)
{
	for (unsigned i = 0; i < s->e->conf.queues; i++)
		queue_pause(&s->q[i]);
}

/* Those whose ring is not there wait for its memory, if they may. */
static int
start_queues(struct vsession *s, bool may_wait)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < s->e->conf.queues; i++) {
		rc = queue_start(&s->q[i]);
		if (rc == -EFAULT && may_wait)
			rc = 0;
	}
	return rc;
}

static int
reset_device(struct vsession *s, struct message *m)
{
	(void)m;
	for (unsigned i = 0; i < s->e->conf.queues; i++)
		queue_reset(&s->q[i]);
	return 0;
}

/* ---- memory ---- */

/* Rings stop while their memory moves; the guest does not notice. */
static int
set_mem_table(struct vsession *s, struct message *m)
{
	const struct vhost_table *t = &m->p.table;
	uint32_t count = t->count;
	int rc = 0;

	if (count > VHOST_REGIONS_MAX || count != m->fd_count ||
	    m->h.size < 8 + count * sizeof(t->region[0]))
		return -EPROTO;
	pause_queues(s);
	vhost_mem_unmap(&s->mem);
	for (uint32_t i = 0; rc == 0 && i < count; i++)
		rc = vhost_mem_add(&s->mem, &t->region[i], m->fds[i]);
	if (rc == 0)
		rc = start_queues(s, false);
	return rc;
}

static int
get_slots(struct vsession *s, struct message *m)
{
	(void)s;
	return answer_u64(m, VHOST_MEM_SLOTS);
}

static int
add_region(struct vsession *s, struct message *m)
{
	int rc;

	if (m->fd_count != 1)
		return -EPROTO;
	rc = vhost_mem_add(&s->mem, &m->p.one.region, m->fds[0]);
	/* Those that a removal has stopped. */
	return rc < 0 ? rc : start_queues(s, true);
}

static int
remove_region(struct vsession *s, struct message *m)
{
	int rc, removed;

	pause_queues(s);
	removed = vhost_mem_remove(&s->mem, &m->p.one.region);
	rc = start_queues(s, true);
	return removed < 0 ? removed : rc;
}

static int
set_log_base(struct vsession *s, struct message *m)
{
	int rc;

	if (m->fd_count != 1)
		return -EPROTO;
	rc = vhost_mem_set_log(&s->mem, m->fds[0], m->p.log.size,
	    m->p.log.offset);
	/* Always answered when the feature is there. */
	if (rc == 0 && s->protocol & 1ull << VHOST_PF_LOG_SHMFD)
		return answer_u64(m, 0);
	return rc;
}

/* ---- queues ---- */

static int
set_vring_num(struct vsession *s, struct message *m)
{
	struct vqueue *q = queue_at(s, m->p.state.index);
	uint32_t n = m->p.state.num;

	if (q == NULL || n == 0 || n > RING_SIZE_MAX || (n & (n - 1)) != 0 ||
	    q->started)
		return -EPROTO;
	q->ring.size = n;
	return 0;
}

static int
set_vring_addr(struct vsession *s, struct message *m)
{
	struct vqueue *q = queue_at(s, m->p.addr.index);

	if (q == NULL)
		return -EPROTO;
	q->addr = m->p.addr;
	q->mapped = true;
	/* A running one is told when a migration begins or ends. */
	return q->started ? ring_map(&q->ring, &q->addr) : 0;
}

static int
set_vring_base(struct vsession *s, struct message *m)
{
	struct vqueue *q = queue_at(s, m->p.state.index);

	if (q == NULL || q->started)
		return -EPROTO;
	q->base = (uint16_t)m->p.state.num;
	/* All are told before the first is enabled. */
	if (q == s->q && s->e->running == 0)
		s->seasoned = false;
	s->seasoned = s->seasoned || q->base != 0;
	return 0;
}

static int
get_vring_base(struct vsession *s, struct message *m)
{
	struct vqueue *q = queue_at(s, m->p.state.index);

	if (q == NULL)
		return -EPROTO;
	queue_stop(q, true);
	if (q->kick >= 0)
		close(q->kick);
	q->kick = -1;
	q->broken = false;
	m->p.state.num = q->base;
	answer(m, sizeof(m->p.state));
	return 0;
}

static int
set_vring_kick(struct vsession *s, struct message *m)
{
	struct vqueue *q = queue_at(s, m->p.u64 & VHOST_VRING_INDEX);
	int rc;

	/* Without one we would have to poll for ever. */
	if (q == NULL || m->p.u64 & VHOST_VRING_NO_FD || m->fd_count != 1)
		return -EPROTO;
	/* A read of something else might never end, nor be cancelled. */
	rc = bell_check(m->fds[0]);
	if (rc < 0)
		return rc;
	queue_pause(q);
	if (q->kick >= 0)
		close(q->kick);
	q->kick = take_fd(m);
	return queue_start(q);
}

static int
set_signal(struct message *m, struct bell **b)
{
	bell_free(*b);
	*b = NULL;
	if (m->p.u64 & VHOST_VRING_NO_FD || m->fd_count == 0)
		return 0;
	return bell_new(m->fds[0], b);
}

static int
set_vring_call(struct vsession *s, struct message *m)
{
	struct vqueue *q = queue_at(s, m->p.u64 & VHOST_VRING_INDEX);
	int rc;

	if (q == NULL)
		return -EPROTO;
	rc = set_signal(m, &q->call);
	/* What came while there was none. */
	if (rc == 0 && q->started && q->call != NULL)
		bell_ring(q->call);
	return rc;
}

static int
set_vring_err(struct vsession *s, struct message *m)
{
	struct vqueue *q = queue_at(s, m->p.u64 & VHOST_VRING_INDEX);

	return q == NULL ? -EPROTO : set_signal(m, &q->err);
}

static int
set_vring_enable(struct vsession *s, struct message *m)
{
	struct vqueue *q = queue_at(s, m->p.state.index);

	if (q == NULL || m->p.state.num > 1)
		return -EPROTO;
	q->enabled = m->p.state.num == 1;
	if (q->enabled)
		return queue_start(q);
	queue_stop(q, true);
	return 0;
}

/* ---- configuration space ---- */

static int
get_config(struct vsession *s, struct message *m)
{
	struct vhost_config *c = &m->p.config;
	struct virtio_blk_config blk;

	if (c->size > sizeof(c->bytes) || m->h.size < 12 + c->size)
		return -EPROTO;
	blk_config(s->e, &blk);
	memset(c->bytes, 0, c->size);
	if (c->offset < sizeof(blk))
		memcpy(c->bytes, (uint8_t *)&blk + c->offset,
		    c->size < sizeof(blk) - c->offset ? c->size :
		    sizeof(blk) - c->offset);
	answer(m, 12 + c->size);
	return 0;
}

static int
set_backend(struct vsession *s, struct message *m)
{
	int rc, fd = take_fd(m);

	if (fd < 0)
		return -EPROTO;
	local_conn_close(s->backend);
	s->backend = NULL;
	rc = local_adopt(fd, &s->backend);
	if (rc < 0)
		close(fd);
	return rc;
}

void
session_config_changed(struct vsession *s)
{
	struct vhost_header h = {
		.request = VHOST_BACKEND_CONFIG_CHANGE, .flags = VHOST_VERSION,
	};

	if (s->backend != NULL &&
	    local_send_now(s->backend, &h, sizeof(h)) < 0)
		log_warn(s->e->conf.log, "vhost: the hypervisor was not told "
		    "of the new size disk=%s", s->e->name);
}

/* ---- what is in flight, kept by the front end ---- */

static void
inflight_drop(struct vsession *s)
{
	if (s->inflight != NULL)
		munmap(s->inflight, s->inflight_map);
	s->inflight = NULL;
}

static uint64_t *
unflushed_mark(struct vsession *s)
{
	struct vhost_inflight_queue *q;

	if (s->inflight == NULL)
		return NULL;
	q = (void *)((uint8_t *)s->inflight + s->inflight_of.offset);
	return &q->features;
}

void
session_changed(struct vsession *s)
{
	uint64_t *mark = unflushed_mark(s);

	s->acknowledged++;
	if (mark != NULL && !(*mark & VHOST_INFLIGHT_UNFLUSHED))
		__atomic_fetch_or(mark, VHOST_INFLIGHT_UNFLUSHED,
		    __ATOMIC_SEQ_CST);
}

void
session_flushed(struct vsession *s, uint64_t covers)
{
	uint64_t *mark = unflushed_mark(s);

	if (mark != NULL && covers == s->acknowledged)
		__atomic_fetch_and(mark, ~VHOST_INFLIGHT_UNFLUSHED,
		    __ATOMIC_SEQ_CST);
}

void
session_stopped(struct vsession *s)
{
	if (!s->lost_writes)
		session_flushed(s, s->acknowledged);
}

void
session_lost(struct vsession *s)
{
	uint64_t *mark = unflushed_mark(s);

	s->lost_writes = true;
	if (mark != NULL)
		__atomic_fetch_or(mark, VHOST_INFLIGHT_LOST, __ATOMIC_SEQ_CST);
}

void
session_anew(struct vsession *s)
{
	uint64_t *mark = unflushed_mark(s);

	s->lost_writes = false;
	if (mark != NULL)
		__atomic_fetch_and(mark, ~VHOST_INFLIGHT_LOST,
		    __ATOMIC_SEQ_CST);
	session_flushed(s, s->acknowledged);
}

static int
inflight_map(struct vsession *s, const struct vhost_inflight *i, int fd)
{
	size_t least = sizeof(struct vhost_inflight_queue) +
	    i->queue_size * sizeof(struct vhost_inflight_desc);
	uint64_t end = i->offset + i->size;
	void *p;

	if (s->e->running > 0)
		return -EPROTO;
	if (i->queues == 0 || i->size / i->queues < least || end < i->size ||
	    i->size / i->queues % 8 != 0 || i->offset % 8 != 0)
		return -EPROTO;
	/* A short file would be a SIGBUS later. */
	if (lseek(fd, 0, SEEK_END) < (off_t)end)
		return -EPROTO;
	p = mmap(NULL, end, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	inflight_drop(s);
	s->inflight = p;
	s->inflight_map = end;
	s->inflight_of = *i;
	if ((*unflushed_mark(s) & VHOST_INFLIGHT_LOST) != 0 ||
	    ((*unflushed_mark(s) & VHOST_INFLIGHT_UNFLUSHED) != 0 &&
	    !s->e->conf.outlived)) {
		session_lost(s);
		log_error(s->e->conf.log, "vhost: a vmfsd ended with writes "
		    "of this guest that it had not flushed: its flushes fail "
		    "until it is reset disk=%s", s->e->name);
	}
	return 0;
}

static int
get_inflight(struct vsession *s, struct message *m)
{
	struct vhost_inflight *i = &m->p.inflight;
	size_t each = sizeof(struct vhost_inflight_queue) +
	    i->queue_size * sizeof(struct vhost_inflight_desc);
	int fd, rc;

	if (i->queues == 0 || i->queues > s->e->conf.queues ||
	    i->queue_size > RING_SIZE_MAX)
		return -EPROTO;
	i->offset = 0;
	i->size = i->queues * each;
	fd = memfd_create("vhost-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	rc = ftruncate(fd, (off_t)i->size) < 0 || fcntl(fd, F_ADD_SEALS,
	    F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0 ? -errno : 0;
	if (rc == 0)
		rc = inflight_map(s, i, fd);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	m->reply_fd = fd;
	answer(m, sizeof(*i));
	return 0;
}

static int
set_inflight(struct vsession *s, struct message *m)
{
	if (m->fd_count != 1)
		return -EPROTO;
	return inflight_map(s, &m->p.inflight, m->fds[0]);
}

/* ---- dispatch ---- */

static const struct {
	const char *name;
	int (*fn)(struct vsession *s, struct message *m);
	uint32_t least;			/* bytes of payload */
} requests[VHOST_REQUESTS] = {
#define R(NAME, fn, type) [VHOST_##NAME] = { #NAME, fn, type }
	R(GET_FEATURES, get_features, 0),
	R(SET_FEATURES, set_features, 8),
	R(SET_OWNER, nothing, 0),
	R(RESET_OWNER, nothing, 0),
	R(SET_MEM_TABLE, set_mem_table, 8),
	R(SET_LOG_BASE, set_log_base, 16),
	R(SET_LOG_FD, nothing, 0),
	R(SET_VRING_NUM, set_vring_num, 8),
	R(SET_VRING_ADDR, set_vring_addr, sizeof(struct vhost_addr)),
	R(SET_VRING_BASE, set_vring_base, 8),
	R(GET_VRING_BASE, get_vring_base, 8),
	R(SET_VRING_KICK, set_vring_kick, 8),
	R(SET_VRING_CALL, set_vring_call, 8),
	R(SET_VRING_ERR, set_vring_err, 8),
	R(GET_PROTOCOL_FEATURES, get_protocol, 0),
	R(SET_PROTOCOL_FEATURES, set_protocol, 8),
	R(GET_QUEUE_NUM, get_queue_num, 0),
	R(SET_VRING_ENABLE, set_vring_enable, 8),
	R(SET_BACKEND_REQ_FD, set_backend, 0),
	R(GET_CONFIG, get_config, 12),
	R(SET_CONFIG, nothing, 12),
	R(GET_INFLIGHT_FD, get_inflight, 20),
	R(SET_INFLIGHT_FD, set_inflight, 20),
	R(RESET_DEVICE, reset_device, 0),
	R(GET_MAX_MEM_SLOTS, get_slots, 0),
	R(ADD_MEM_REG, add_region, sizeof(struct vhost_one_region)),
	R(REM_MEM_REG, remove_region, sizeof(struct vhost_one_region)),
#undef R
};

static int
receive(struct vsession *s, struct message *m)
{
	unsigned more;
	int rc;

	*m = (struct message){ .reply_fd = -1 };
	rc = local_recv(s->conn, &m->h, sizeof(m->h), m->fds,
	    VHOST_REGIONS_MAX, &m->fd_count);
	if (rc < 0)
		return rc;
	if ((m->h.flags & VHOST_VERSION_MASK) != VHOST_VERSION ||
	    m->h.size > sizeof(m->p) || m->h.request >= VHOST_REQUESTS)
		return -EPROTO;
	if (m->h.size == 0)
		return 0;
	rc = local_recv(s->conn, &m->p, m->h.size, m->fds + m->fd_count,
	    VHOST_REGIONS_MAX - m->fd_count, &more);
	if (rc == 0)
		m->fd_count += more;
	return rc;
}

static int
reply(struct vsession *s, struct message *m)
{
	char out[sizeof(m->h) + sizeof(m->p)];

	m->h.flags = VHOST_VERSION | VHOST_REPLY;
	memcpy(out, &m->h, sizeof(m->h));
	memcpy(out + sizeof(m->h), &m->p, m->h.size);
	return local_send(s->conn, out, sizeof(m->h) + m->h.size,
	    m->reply_fd);
}

static int
obey(struct vsession *s, struct message *m)
{
	bool acknowledge = m->h.flags & VHOST_NEED_REPLY &&
	    s->protocol & 1ull << VHOST_PF_REPLY_ACK;
	uint32_t request = m->h.request;
	int rc = -EPROTO;

	if (requests[request].fn != NULL &&
	    m->h.size >= requests[request].least)
		rc = requests[request].fn(s, m);
	if (rc < 0)
		log_warn(s->e->conf.log, "vhost: request %s (%u) failed "
		    "disk=%s: %s", requests[request].fn != NULL ?
		    requests[request].name : "unknown", request, s->e->name,
		    vmfs_strerror(rc));
	if (m->reply)
		return reply(s, m);
	if (!acknowledge)
		return rc;
	(void)answer_u64(m, rc < 0);
	return reply(s, m);
}

static void
message_fini(struct message *m)
{
	while (m->fd_count > 0)
		close(m->fds[--m->fd_count]);
	if (m->reply_fd >= 0)
		close(m->reply_fd);
}

static void
session_fini(struct vsession *s)
{
	for (unsigned i = 0; i < s->e->conf.queues; i++)
		queue_fini(&s->q[i]);
	inflight_drop(s);
	vhost_mem_clear(&s->mem);
	local_conn_close(s->backend);
}

void
session_serve(struct vhost_export *e, struct local_conn *conn)
{
	struct vsession *s = calloc(1, sizeof(*s));
	struct message m;
	int rc = s != NULL ? 0 : -ENOMEM;

	if (rc == 0) {
		*s = (struct vsession){ .e = e, .conn = conn };
		for (unsigned i = 0; i < e->conf.queues; i++)
			queue_init(&s->q[i], s);
		e->session = s;
		__atomic_store_n(&e->stats.connected, true, __ATOMIC_RELAXED);
		if (disk_refresh(e->disk) < 0)
			log_warn(e->conf.log, "vhost: size not known disk=%s",
			    e->name);
	}
	while (rc == 0) {
		rc = receive(s, &m);
		if (rc == 0)
			rc = obey(s, &m);
		message_fini(&m);
		/* A flood of them leaves others their turn. */
		fiber_yield();
	}
	log_info(e->conf.log, "vhost: hypervisor gone disk=%s: %s", e->name,
	    vmfs_strerror(rc));
	if (s == NULL)
		return;
	session_fini(s);
	e->session = NULL;
	__atomic_store_n(&e->stats.connected, false, __ATOMIC_RELAXED);
	free(s);
}
