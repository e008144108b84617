/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Those who read /dev/fuse: the datastore's owner, and threads beside it.
 * What is read or written of an open file is done where it was read when the
 * core knows how (fs_file_fast); all else is a fiber of the owner.
 *
 * All have one descriptor: what was read by another one of its own would be
 * lost to the process that goes on after us (fuse_keep.h).
 */
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuse/mount_impl.h"

/* Buffers that keep all of their memory when they are not used, of all readers;
 * others keep what short requests need. */
#define IDLE_MAX 64u
/* Requests read between two looks at what has completed. */
#define READS_PER_TURN 16u
/* So many of them and of the ring's entries become huge pages, which are twice
 * as long, when a long request comes; short ones gain too little by it. */
#define JOINED_MAX FUSE_KEEP_HUGE
#define JOIN_LENGTH (32u * 1024)
#define THREADS_DEFAULT_MAX 4u
/* Until the next request of a program that waits for each: it and the thread
 * are woken in between. */
#define SHORT_WAIT_NS ((uint64_t)40000)

_Static_assert(sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in) ==
    FUSE_KEEP_HEADERS, "data of a write begins at a page");

/* ---- request buffers, each of one reader ---- */

/* Half of the processors: programs and what the LUN is need some as well, and
 * few that have enough to do are not woken for each request. */
static unsigned
threads_default(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (cpus < 4)
		return cpus < 2 ? 1 : 2;
	return cpus / 2 < (long)THREADS_DEFAULT_MAX ? (unsigned)cpus / 2 :
	    THREADS_DEFAULT_MAX;
}

void
readers_init(struct fuse_mount *m)
{
	m->readers = m->conf.threads == 0 ? threads_default() :
	    m->conf.threads < FUSE_THREADS_MAX ? m->conf.threads :
	    FUSE_THREADS_MAX;
	for (unsigned i = 0; i < m->readers; i++) {
		struct reader *rd = &m->reader[i];

		rd->m = m;
		list_init(&rd->idle);
		fiber_cond_init(&rd->room);
	}
	/* Not the owner, who may be busy with what is not for a disk. */
	m->duty = &m->reader[m->readers - 1];
	m->waits.most = FUSE_KEEP_REQUESTS / 2;
	for (unsigned i = 0; i < FUSE_KEEP_REQUESTS; i++) {
		struct request *r = &m->request[i];

		r->mount = m;
		r->index = i;
		r->note = &m->conf.keep->note[i];
		r->waits = &m->waits;
		r->reader = &m->reader[i % m->readers];
		r->buf.mem = fuse_keep_header(m->conf.keep, i);
		r->joins = i < FUSE_KEEP_HUGE ? REQUEST_JOINS : 0;
		list_init(&r->node);
		list_add_tail(&r->reader->idle, &r->node);
	}
}

/* NULL: all of this reader's are under way. */
static struct request *
request_get(struct reader *rd)
{
	struct list *node = list_pop(&rd->idle);
	struct request *r;

	if (node == NULL)
		return NULL;
	r = list_entry(node, struct request, node);
	r->again = false;
	if (rd->m->conf.kept && !r->touched) {
		fuse_keep_touch(rd->m->conf.keep, r->index,
		    r->index < IDLE_MAX ? FUSE_KEEP_MESSAGE : FUSE_KEEP_SHORT);
		r->touched = true;
	}
	*r->note = (struct fs_note){ 0 };
	rd->busy++;
	return r;
}

static void
put_here(void *arg)
{
	struct request *r = arg;
	struct reader *rd = r->reader;

	rd->busy--;
	if (r->entry != NULL)
		ring_commit(r);
	else
		list_add(&rd->idle, &r->node);
	/* Of the ring only the last one before the end is waited for. */
	if (r->entry == NULL || rd->stopping || rd->unmounted)
		fiber_cond_broadcast(&rd->room);
}

/* What is read of a file comes to where the request was. */
size_t
request_length(const struct request *r)
{
	const struct fuse_in_header *h = request_header(r);
	const struct fuse_read_in *rd = (const void *)(h + 1);

	return h->opcode == FUSE_READ && rd->size > r->buf.size ? rd->size :
	    r->buf.size;
}

/* From here on nobody does it again. */
static void
forget(struct request *r)
{
	request_header(r)->len = 0;
	if (r->index >= IDLE_MAX &&
	    request_length(r) > FUSE_KEEP_SHORT - FUSE_KEEP_PAGE)
		(void)madvise(fuse_keep_message(r->mount->conf.keep, r->index) +
		    FUSE_KEEP_SHORT, FUSE_KEEP_MESSAGE - FUSE_KEEP_SHORT,
		    MADV_REMOVE);
}

void
request_put(struct request *r)
{
	if (r->entry != NULL)
		list_del(&r->node);
	else
		forget(r);
	if (r->reader->sched == sched_current()) {
		put_here(r);
		return;
	}
	r->work = (struct sched_work){ .fn = put_here, .arg = r };
	sched_post(r->reader->sched, &r->work);
}

/* ---- past the owner ---- */

static void
run_by_owner(void *arg)
{
	request_run(arg);
}

static void
hand_over(struct request *r)
{
	struct sched *owner = r->mount->reader[0].sched;

	if (sched_current() == owner) {
		request_run(r);
		return;
	}
	r->work = (struct sched_work){ .fn = run_by_owner, .arg = r };
	sched_post(owner, &r->work);
}

static void
fast_again(struct disk_req *d)
{
	struct request *r = container_of(d, struct request, disk);

	gate_leave(&r->handle->gate);
	hand_over(r);
}

static void
fast_done(struct disk_req *d)
{
	struct request *r = container_of(d, struct request, disk);
	struct fuse_write_out wrote = { .size = (uint32_t)d->length };
	struct fuse_out_header out = { .unique = request_unique(r) };
	struct iovec iov[2] = { { &out, sizeof(out) }, r->iov };

	gate_leave(&r->handle->gate);
	if (d->op == DISK_WRITE) {
		request_written(r);
		iov[1] = (struct iovec){ &wrote, sizeof(wrote) };
	}
	out.len = (uint32_t)(sizeof(out) + iov[1].iov_len);
	/* It fails when nobody waits for it any more. */
	if (r->entry != NULL)
		(void)ring_answer(r, iov, 2);
	else
		(void)!writev(fuse_session_fd(r->mount->se), iov, 2);
	request_put(r);
}

/* Fills r->disk; false: nothing for us.  *ret_fh: the handle's number. */
static bool
parse(struct request *r, uint64_t *ret_fh)
{
	const struct fuse_in_header *h = request_header(r);
	const struct fuse_write_in *w = (const void *)(h + 1);
	const struct fuse_read_in *rd = (const void *)(h + 1);

	r->disk = (struct disk_req){
		.iov = &r->iov, .iovcnt = 1, .done = fast_done,
	};
	r->iov.iov_base = (char *)r->buf.mem + FUSE_KEEP_HEADERS;
	if (h->opcode == FUSE_READ && r->buf.size == FUSE_KEEP_HEADERS) {
		r->disk.op = DISK_READ;
		r->disk.offset = rd->offset;
		r->disk.length = rd->size;
		*ret_fh = rd->fh;
	} else if (h->opcode == FUSE_WRITE && (w->flags & O_APPEND) == 0 &&
	    r->buf.size == FUSE_KEEP_HEADERS + (size_t)w->size) {
		r->disk.op = DISK_WRITE;
		r->disk.offset = w->offset;
		r->disk.length = w->size;
		*ret_fh = w->fh;
	} else {
		return false;
	}
	r->iov.iov_len = (size_t)r->disk.length;
	return r->disk.length <= FUSE_KEEP_MESSAGE - 2 * FUSE_KEEP_PAGE;
}

static bool
fast_begin(struct request *r)
{
	struct fuse_mount *m = r->mount;
	struct handle *h;
	uint64_t fh;

	if (!parse(r, &fh) || fh == 0 || fh > FUSE_KEEP_HANDLES)
		return false;
	/* It stays: the kernel releases it when this was answered. */
	h = atomic_load(&m->handle[fh - 1]);
	if (h == NULL || !gate_enter(&h->gate))
		return false;
	r->handle = h;
	if ((h->fast_writes || r->disk.op == DISK_READ) &&
	    fs_file_fast(h->fast, &r->disk, fast_again))
		return true;
	gate_leave(&h->gate);
	return false;
}

/* A message has a huge page's room of its own, also an entry's. */
static void
join_pages(struct request *r)
{
	struct fuse_mount *m = r->mount;

	if (r->joins == 0 || request_length(r) < JOIN_LENGTH ||
	    atomic_load(&m->joined) >= JOINED_MAX)
		return;
	r->joins--;
	if (hugepage_join(r->buf.mem) == 0) {
		r->joins = 0;
		atomic_fetch_add(&m->joined, 1);
	}
	if (r->touched)
		fuse_keep_touch(m->conf.keep, r->index, FUSE_KEEP_MESSAGE);
}

void
request_begin(struct request *r)
{
	join_pages(r);
	if (!fast_begin(r))
		hand_over(r);
}

/* ---- who waits for requests ---- */

static void
called_here(void *arg)
{
	struct reader *rd = arg;

	atomic_store(&rd->called, false);
	atomic_store(&rd->rests, false);
	fiber_cond_broadcast(&rd->room);
}

static void
call_others(struct fuse_mount *m)
{
	for (struct reader *rd = m->reader; rd != m->duty; rd++) {
		if (!atomic_load(&rd->rests) ||
		    atomic_exchange(&rd->called, true))
			continue;
		rd->call = (struct sched_work){ .fn = called_here, .arg = rd };
		sched_post(rd->sched, &rd->call);
	}
}

/* While false the others wait for requests themselves. */
static void
set_on_duty(struct reader *rd, bool on_duty)
{
	if (rd != rd->m->duty)
		return;
	atomic_store(&rd->m->on_duty, on_duty);
	if (!on_duty)
		call_others(rd->m);
}

static void
rest(struct reader *rd)
{
	atomic_store(&rd->rests, true);
	/* Who went off duty after this look calls. */
	if (!atomic_load(&rd->m->on_duty))
		atomic_store(&rd->rests, false);
	while (atomic_load(&rd->rests) && !rd->stopping)
		fiber_cond_wait(&rd->room);
	rd->rota = (struct rota){ 0 };
}

/* Until the next request. */
static void
wait_for_request(struct reader *rd, int fd)
{
	if (rd != rd->m->duty && rd->rota.rests)
		rest(rd);
	else
		(void)reactor_poll_one(&rd->poll, fd, POLLIN);
}

static void
request_came(const struct request *r)
{
	struct reader *rd = r->reader;
	bool is_long = request_length(r) >= JOIN_LENGTH;

	if (rd != rd->m->duty)
		rota_came(&rd->rota, rd->busy, is_long);
	else if (rota_calls(rd->busy, is_long))
		call_others(rd->m);
}

/* ---- reading ---- */

/*
 * Takes one request off the kernel's queue.  0: go on; -EAGAIN: none is
 * waiting; -EBUSY: no buffer; -ENODEV: the file system is gone; others: this
 * one is lost.
 */
static int
take_request(struct reader *rd)
{
	struct fuse_mount *m = rd->m;
	struct request *r = request_get(rd);
	int n;

	if (r == NULL)
		return -EBUSY;
	n = fuse_session_receive_buf(m->se, &r->buf);
	if (n <= 0) {
		request_put(r);
		return fuse_session_exited(m->se) ? -ENODEV :
		    n == 0 ? -EAGAIN : n;
	}
	fuse_keep_note_init(m->conf.keep, request_header(r));
	request_came(r);
	request_begin(r);
	return 0;
}

/* On the owner. */
static void
mount_ended(void *arg)
{
	struct fuse_mount *m = ((struct reader *)arg)->m;

	if (m->stopping || m->unmounted)
		return;
	m->unmounted = true;
	m->conf.on_unmount(m->conf.arg);
}

/* The same. */
static void
reader_gone(void *arg)
{
	active_put(((struct reader *)arg)->m);
}

static void
wait_for_room(struct reader *rd)
{
	set_on_duty(rd, false);
	fiber_cond_wait(&rd->room);
	set_on_duty(rd, true);
}

static void
reader_fiber(void *arg)
{
	struct reader *rd = arg;
	int fd = fuse_session_fd(rd->m->se);
	unsigned turn = 0;

	if (rd->reactor == NULL)
		rd->m->reading = fiber_self();
	set_on_duty(rd, true);
	while (!rd->stopping && !rd->unmounted) {
		int rc = take_request(rd);

		if (rc == -EAGAIN)
			wait_for_request(rd, fd);
		else if (rc == -EBUSY)
			wait_for_room(rd);
		else if (++turn % READS_PER_TURN == 0)
			fiber_yield();
		rd->unmounted = rc == -ENODEV;
	}
	set_on_duty(rd, false);
	/* What waits for a lock ends only when the mount is stopped for that. */
	if (rd->unmounted) {
		rd->end = (struct sched_work){ .fn = mount_ended, .arg = rd };
		sched_post(rd->m->reader[0].sched, &rd->end);
	}
	while (rd->busy > 0)
		fiber_cond_wait(&rd->room);
	rd->work = (struct sched_work){ .fn = reader_gone, .arg = rd };
	sched_post(rd->m->reader[0].sched, &rd->work);
}

/* ---- life ---- */

static void
begin_here(void *arg)
{
	struct reader *rd = arg;

	/* Without a stack the others read what it would have read. */
	if (sched_spawn(rd->sched, "fuse-reader", reader_fiber, rd) == 0)
		return;
	rd->work = (struct sched_work){ .fn = reader_gone, .arg = rd };
	sched_post(rd->m->reader[0].sched, &rd->work);
}

static void
reader_go(struct reader *rd)
{
	rd->m->active++;
	rd->work = (struct sched_work){ .fn = begin_here, .arg = rd };
	sched_post(rd->sched, &rd->work);
}

static int
thread_start(struct reader *rd, unsigned i)
{
	char name[16];
	int rc;

	(void)snprintf(name, sizeof(name), "fuse%u:%.8s",
	    i % FUSE_THREADS_MAX, rd->m->datastore);
	rc = reactor_new_wide(name, &rd->reactor);
	if (rc < 0)
		return rc;
	if (!rd->m->conf.no_busy_wait)
		reactor_want_spin_after(rd->reactor, SHORT_WAIT_NS);
	rc = reactor_start(rd->reactor);
	if (rc < 0) {
		reactor_free(rd->reactor);
		rd->reactor = NULL;
		return rc;
	}
	rd->sched = reactor_sched(rd->reactor);
	return 0;
}

int
readers_start(struct fuse_mount *m)
{
	int rc = 0;

	m->reader[0].sched = sched_current();
	for (unsigned i = 1; i < m->readers && rc == 0; i++)
		rc = thread_start(&m->reader[i], i);
	return rc;
}

int
reader_add(struct fuse_mount *m)
{
	struct reader *rd = &m->reader[m->readers];
	int rc;

	rd->m = m;
	list_init(&rd->idle);
	fiber_cond_init(&rd->room);
	rc = thread_start(rd, m->readers);
	if (rc < 0)
		return rc;
	m->readers++;
	reader_go(rd);
	return 0;
}

void
readers_go(struct fuse_mount *m)
{
	for (unsigned i = 0; i < m->readers; i++)
		reader_go(&m->reader[i]);
}

static void
stop_here(void *arg)
{
	struct reader *rd = arg;

	rd->stopping = true;
	atomic_store(&rd->rests, false);
	reactor_poll_cancel(&rd->poll);
	fiber_cond_broadcast(&rd->room);
}

void
readers_stop(struct fuse_mount *m)
{
	for (unsigned i = 0; i < m->readers; i++) {
		struct reader *rd = &m->reader[i];

		/* Nobody may be left to wait for: what is posted to the owner
		 * would come to it when m is freed. */
		if (rd->sched == sched_current()) {
			stop_here(rd);
			continue;
		}
		if (rd->sched == NULL)
			continue;
		rd->stop = (struct sched_work){ .fn = stop_here, .arg = rd };
		sched_post(rd->sched, &rd->stop);
	}
}

void
readers_free(struct fuse_mount *m)
{
	for (unsigned i = 1; i < m->readers; i++) {
		struct reactor *r = m->reader[i].reactor;

		if (r == NULL)
			continue;
		reactor_stop(r);
		reactor_join(r);
		reactor_free(r);
	}
}
