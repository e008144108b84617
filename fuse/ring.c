/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests by io_uring (Linux 6.14, libfuse 3.17): libfuse 3.14 has never heard
 * of it, so they are put together as it reads them from /dev/fuse, and what it
 * writes there is taken for the ring.
 *
 * An entry is memory for one request at a time and for its answer, registered
 * with the queue of a processor from the ring of one of our threads.  The
 * answer takes the next request.  FORGET, INTERRUPT and whatever the kernel
 * had before the ring was there still come by /dev/fuse, which all go on to
 * read: also when it does not take the entries after all.
 *
 * A killed process takes requests with it that the kernel was about to hand
 * over, so there is no ring where another process shall go on (adr 0011).
 */
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuse/fuse_uring.h"
#include "fuse/mount_impl.h"
#include "libvmfs/env/cpus.h"

#define PAYLOAD ((size_t)256 * FUSE_KEEP_PAGE)
/* Of an entry, which can become a huge page.  Before the payload headers: the
 * kernel's, and at the end of the page libfuse's. */
#define ENTRY_SIZE HUGEPAGE
/* Of a queue; more wait in the kernel.  One is enough for a processor that is
 * not there. */
#define ENTRIES 32u
#define QUEUES_MAX 1024u
#define LARGE_LATELY 64u	/* of so many requests is one large */
/* The kernel copies so much longer than it takes to wake another thread. */
#define LARGE (32u * 1024)
#define MAX_PAGES_DEFAULT 32u	/* before INIT could tell */

_Static_assert(SPREAD_MAX >= FUSE_THREADS_MAX, "each thread has its place");

struct ring_entry {
	struct request request;
	struct ring *ring;
	struct reactor_op op;
	struct fuse_uring_req_header *header;
	struct fuse_uring_cmd_req cmd;
	struct iovec iov[2];
	uint32_t answer;	/* bytes of payload; UINT32_MAX: none yet */
	struct reader *home;	/* request.reader but for large ones */
	bool large;
	unsigned moves;
};

struct ring {
	struct fuse_mount *m;
	uint8_t *memory;
	size_t size;
	struct fs_note *note;
	struct ring_entry *entry;
	struct waits *waits;	/* of each queue */
	unsigned queues, entries;
	unsigned there;		/* queues whose processors may be there */
	_Atomic bool refused;
};

/*
 * What the kernel has in op_in of an operation, and libfuse expects between
 * header and names or data.  What is not here has nothing there, or libfuse
 * does not know it and says so.
 */
static const uint8_t op_in_size[] = {
	[FUSE_GETATTR] = sizeof(struct fuse_getattr_in),
	[FUSE_SETATTR] = sizeof(struct fuse_setattr_in),
	[FUSE_MKNOD] = sizeof(struct fuse_mknod_in),
	[FUSE_MKDIR] = sizeof(struct fuse_mkdir_in),
	[FUSE_RENAME] = sizeof(struct fuse_rename_in),
	[FUSE_LINK] = sizeof(struct fuse_link_in),
	[FUSE_OPEN] = sizeof(struct fuse_open_in),
	[FUSE_READ] = sizeof(struct fuse_read_in),
	[FUSE_WRITE] = sizeof(struct fuse_write_in),
	[FUSE_RELEASE] = sizeof(struct fuse_release_in),
	[FUSE_FSYNC] = sizeof(struct fuse_fsync_in),
	/* libfuse 3.14 does not ask for FUSE_SETXATTR_EXT. */
	[FUSE_SETXATTR] = FUSE_COMPAT_SETXATTR_IN_SIZE,
	[FUSE_GETXATTR] = sizeof(struct fuse_getxattr_in),
	[FUSE_LISTXATTR] = sizeof(struct fuse_getxattr_in),
	[FUSE_FLUSH] = sizeof(struct fuse_flush_in),
	[FUSE_OPENDIR] = sizeof(struct fuse_open_in),
	[FUSE_READDIR] = sizeof(struct fuse_read_in),
	[FUSE_RELEASEDIR] = sizeof(struct fuse_release_in),
	[FUSE_FSYNCDIR] = sizeof(struct fuse_fsync_in),
	[FUSE_GETLK] = sizeof(struct fuse_lk_in),
	[FUSE_SETLK] = sizeof(struct fuse_lk_in),
	[FUSE_SETLKW] = sizeof(struct fuse_lk_in),
	[FUSE_ACCESS] = sizeof(struct fuse_access_in),
	[FUSE_CREATE] = sizeof(struct fuse_create_in),
	[FUSE_BMAP] = sizeof(struct fuse_bmap_in),
	[FUSE_IOCTL] = sizeof(struct fuse_ioctl_in),
	[FUSE_POLL] = sizeof(struct fuse_poll_in),
	[FUSE_FALLOCATE] = sizeof(struct fuse_fallocate_in),
	[FUSE_READDIRPLUS] = sizeof(struct fuse_read_in),
	[FUSE_RENAME2] = sizeof(struct fuse_rename2_in),
	[FUSE_LSEEK] = sizeof(struct fuse_lseek_in),
	[FUSE_COPY_FILE_RANGE] = sizeof(struct fuse_copy_file_range_in),
	[FUSE_SYNCFS] = sizeof(struct fuse_syncfs_in),
};

/* ---- one request, on its reader's thread ---- */

static void
entry_command(struct ring_entry *e, unsigned code)
{
	const struct reactor_command c = {
		.fd = fuse_session_fd(e->ring->m->se), .code = code,
		.data = &e->cmd, .size = sizeof(e->cmd),
		.iov = e->iov, .iovcnt = 2,
	};

	reactor_command(&e->op, &c);
}

/* As libfuse expects it, in front of the payload. */
static void
put_together(struct ring_entry *e)
{
	const struct fuse_uring_req_header *h = e->header;
	struct fuse_in_header in;
	size_t op, payload = h->ring_ent_in_out.payload_sz;
	char *at = e->iov[1].iov_base;

	memcpy(&in, h->in_out, sizeof(in));
	op = in.opcode < sizeof(op_in_size) ? op_in_size[in.opcode] : 0;
	e->cmd.commit_id = h->ring_ent_in_out.commit_id;
	e->answer = UINT32_MAX;
	at -= op;
	memcpy(at, h->op_in, op);
	at -= sizeof(in);
	memcpy(at, &in, sizeof(in));
	e->request.buf.mem = at;
	e->request.buf.size = sizeof(in) + op + payload;
}

static void
entry_refused(struct ring_entry *e, int error)
{
	struct fuse_mount *m = e->ring->m;

	/* The mount has ended. */
	if (error == -ENOTCONN || error == -ECONNABORTED ||
	    error == -ECANCELED || atomic_exchange(&e->ring->refused, true))
		return;
	log_warn(m->log, "fuse: %s: the kernel refuses io_uring: %s; set "
	    "io-uring = no if files do not answer", m->datastore,
	    vmfs_strerror(error));
}

/* ---- which processor ---- */

/* Among those of the ring. */
static unsigned
number_of(const struct reader *rd)
{
	return (unsigned)(rd - rd->m->reader) - 1;
}

/* The first queue of thread t, which has those up to the first of t + 1. */
static unsigned
first_queue(const struct ring *ring, unsigned t)
{
	return t * ring->there / (ring->m->readers - 1);
}

static void
go(struct reader *rd, bool roams)
{
	const struct ring *ring = rd->m->ring;
	unsigned t = number_of(rd);
	unsigned first = first_queue(ring, t), end = first_queue(ring, t + 1);

	rd->roams = roams;
	if (roams)
		cpus_roam();
	else if (end > first)	/* else there are more threads than processors */
		cpus_stay(first, end - first);
}

/*
 * Requests are done on the processor where they were asked for: whoever asked
 * mostly waits for them, and then no other one has to be woken.  But where there
 * is much to copy, two processors do more than one.
 */
static void
place_self(struct reader *rd)
{
	rd->had_large |= rd->large > 0;
	if (++rd->begun % LARGE_LATELY != 0)
		return;
	if (rd->had_large != rd->roams)
		go(rd, rd->had_large);
	rd->had_large = false;
}

/* ---- which thread ---- */

static void
entry_begin(struct ring_entry *e)
{
	struct request *r = &e->request;

	r->reader->busy++;
	r->reader->large += e->large;
	place_self(r->reader);
	reactor_works(1);
	if (e->header->ring_ent_in_out.payload_sz <= PAYLOAD)
		request_begin(r);
	else
		request_refuse(r, EIO);
}

static void entry_moved(void *arg);

/* Short ones where spread.h says. */
static struct reader *
short_place(struct ring_entry *e)
{
	struct request *r = &e->request;
	struct fuse_mount *m = r->mount;
	unsigned asked = number_of(e->home);
	unsigned k = (unsigned)(e - m->ring->entry);
	struct reader *next;

	next = &m->reader[1 + spread_place(&m->spread, asked, k)];
	if (next == r->reader)
		spread_came(&m->spread, &next->spread, asked, next->busy + 1);
	return next;
}

/* Large ones, of which a thread would do one after the other, by one that has
 * none. */
static struct reader *
large_place(struct ring_entry *e)
{
	struct fuse_mount *m = e->request.mount;
	struct reader *here = e->request.reader;

	if (here->large == 0 || e->moves++ >= m->readers)
		return here;
	return here == &m->reader[m->readers - 1] ? &m->reader[1] : here + 1;
}

/* An entry belongs to the thread that gave the last answer by it. */
static void
entry_place(struct ring_entry *e)
{
	struct request *r = &e->request;
	struct reader *here = r->reader, *next;

	/* What comes after stop fails when the connection ends. */
	if (here->stopping)
		return;
	next = e->large ? large_place(e) : short_place(e);
	if (next == here) {
		entry_begin(e);
		return;
	}
	r->reader = next;
	r->work = (struct sched_work){ .fn = entry_moved, .arg = e };
	sched_post(next->sched, &r->work);
}

static void
entry_moved(void *arg)
{
	entry_place(arg);
}

static void
entry_came(struct reactor_op *op, int res)
{
	struct ring_entry *e = container_of(op, struct ring_entry, op);
	struct request *r = &e->request;

	if (res < 0) {
		entry_refused(e, res);
		return;
	}
	*r->note = (struct fs_note){ 0 };
	put_together(e);
	e->large = request_length(r) >= LARGE;
	e->moves = 0;
	entry_place(e);
}

int
ring_answer(struct request *r, const struct iovec *iov, int count)
{
	struct ring_entry *e = r->entry;
	struct fuse_out_header out;
	uint8_t *to = e->iov[1].iov_base;
	size_t n = 0;

	memcpy(&out, iov[0].iov_base, sizeof(out));
	for (int i = 1; i < count; n += iov[i++].iov_len) {
		if (iov[i].iov_len > PAYLOAD - n)
			return -EMSGSIZE;
		if (iov[i].iov_base != to + n)
			memcpy(to + n, iov[i].iov_base, iov[i].iov_len);
	}
	memcpy(e->header->in_out, &out, sizeof(out));
	e->header->ring_ent_in_out.payload_sz = (uint32_t)n;
	e->answer = (uint32_t)n;
	return 0;
}

void
ring_commit(struct request *r)
{
	struct ring_entry *e = r->entry;
	const struct fuse_out_header none = {
		.len = sizeof(none), .error = -EIO,
		.unique = request_unique(r),
	};
	const struct iovec iov = { (void *)(uintptr_t)&none, sizeof(none) };

	/* Nobody did. */
	if (e->answer == UINT32_MAX)
		(void)ring_answer(r, &iov, 1);
	r->reader->large -= e->large;
	reactor_works(-1);
	entry_command(e, FUSE_IO_URING_CMD_COMMIT_AND_FETCH);
}

/* ---- life, on the owner ---- */

static void
register_here(void *arg)
{
	struct reader *rd = arg;
	struct ring *ring = rd->m->ring;

	go(rd, false);
	for (unsigned i = 0; i < ring->entries; i++) {
		struct ring_entry *e = &ring->entry[i];

		if (e->request.reader == rd)
			entry_command(e, FUSE_IO_URING_CMD_REGISTER);
	}
}

/* Never the owner, who has other things to do. */
static struct reader *
reader_of(const struct ring *ring, unsigned queue)
{
	struct reader *first = &ring->m->reader[1];
	unsigned t = 0;

	while (t + 1 < ring->m->readers - 1 &&
	    first_queue(ring, t + 1) <= queue)
		t++;
	return first + t;
}

static void
entry_init(struct ring *ring, unsigned i, unsigned queue)
{
	struct ring_entry *e = &ring->entry[i];
	uint8_t *mem = ring->memory + i * ENTRY_SIZE;
	struct fuse_mount *m = ring->m;

	e->ring = ring;
	e->header = (void *)mem;
	e->iov[0] = (struct iovec){ mem, sizeof(*e->header) };
	e->iov[1] = (struct iovec){ mem + FUSE_KEEP_PAGE, PAYLOAD };
	e->cmd.qid = (uint16_t)queue;
	e->op = (struct reactor_op){ .done = entry_came, .lasting = true };
	e->request.mount = m;
	e->request.note = &ring->note[i];
	e->request.entry = e;
	e->request.joins = REQUEST_JOINS;
	e->request.waits = &ring->waits[queue];
	e->request.reader = e->home = reader_of(ring, queue);
	list_init(&e->request.node);
}

static unsigned
depth_of(const struct ring *ring, unsigned queue)
{
	return queue < ring->there ? ENTRIES : 1;
}

static int
ring_new(struct fuse_mount *m, struct ring **ret_r)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	unsigned n = 0;
	void *memory;
	long there;
	int rc = ring != NULL ? cpus_possible(&ring->queues) : -ENOMEM;

	if (rc == 0 && ring->queues > QUEUES_MAX)
		rc = -E2BIG;
	if (rc < 0)
		goto out;
	ring->m = m;
	m->spread.threads = m->readers - 1;
	there = sysconf(_SC_NPROCESSORS_CONF);
	ring->there = there > 0 && there < (long)ring->queues ?
	    (unsigned)there : ring->queues;
	for (unsigned q = 0; q < ring->queues; q++)
		ring->entries += depth_of(ring, q);
	ring->size = ring->entries * ENTRY_SIZE;
	ring->entry = calloc(ring->entries, sizeof(*ring->entry));
	ring->note = calloc(ring->entries, sizeof(*ring->note));
	ring->waits = calloc(ring->queues, sizeof(*ring->waits));
	rc = hugepage_map(ring->size, -1, &memory);
	if (rc == 0)
		ring->memory = memory;
	if (ring->entry == NULL || ring->note == NULL || ring->waits == NULL)
		rc = -ENOMEM;
	if (rc < 0)
		goto out;
	for (unsigned q = 0; q < ring->queues; q++) {
		ring->waits[q].most = depth_of(ring, q) / 2;
		for (unsigned k = 0; k < depth_of(ring, q); k++)
			entry_init(ring, n++, q);
	}
	*ret_r = ring;
	ring = NULL;
out:
	ring_free(ring);
	return rc;
}

void
ring_free(struct ring *ring)
{
	if (ring == NULL)
		return;
	if (ring->memory != NULL)
		(void)munmap(ring->memory, ring->size);
	free(ring->entry);
	free(ring->note);
	free(ring->waits);
	free(ring);
}

bool
ring_is_refused(const struct ring *ring)
{
	return atomic_load(&ring->refused);
}

/* ---- the beginning: INIT ---- */

/* The most that a request or an answer may have. */
static size_t
longest_payload(const struct fuse_init_out *o)
{
	size_t pages = (o->flags & FUSE_MAX_PAGES) != 0 ? o->max_pages :
	    MAX_PAGES_DEFAULT;

	return pages * FUSE_KEEP_PAGE > o->max_write ?
	    pages * FUSE_KEEP_PAGE : o->max_write;
}

/* NULL: it may be used; else why not. */
static const char *
why_not(const struct request *init, const struct fuse_init_out *o)
{
	const struct fuse_init_in *in = (const void *)(request_header(init) + 1);

	if (init->buf.size < sizeof(struct fuse_in_header) + sizeof(*in) ||
	    (in->flags & FUSE_INIT_EXT) == 0 ||
	    (in->flags2 & FUSE_OVER_IO_URING >> 32) == 0)
		return "the kernel does not offer io_uring: "
		    "/sys/module/fuse/parameters/enable_uring";
	if (longest_payload(o) > PAYLOAD)
		return "its requests are too long for io_uring";
	return NULL;
}

static const char *
ring_begin(struct fuse_mount *m)
{
	unsigned want = m->conf.threads != 0 ? m->readers + 1 :
	    1 + (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	int rc = 0;

	do
		/* One that comes after readers_stop would not end. */
		rc = m->stopping ? -ECANCELED : reader_add(m);
	while (rc == 0 && m->readers < want && m->readers <= FUSE_THREADS_MAX);
	if (rc == 0)
		rc = ring_new(m, &m->ring);
	return rc < 0 ? vmfs_strerror(rc) : NULL;
}

static void
ring_go(struct fuse_mount *m)
{
	for (unsigned i = 1; i < m->readers; i++) {
		struct reader *rd = &m->reader[i];

		rd->ringing = (struct sched_work){
			.fn = register_here, .arg = rd,
		};
		sched_post(rd->sched, &rd->ringing);
	}
	log_info(m->log, "fuse: %s: requests by io_uring queues=%u "
	    "entries=%u threads=%u", m->datastore, m->ring->queues,
	    m->ring->entries, m->readers - 1);
}

/* The kernel waits for its entries as soon as it has the answer. */
static ssize_t
init_reply(struct fuse_mount *m, int fd, struct iovec *iov, int count)
{
	struct fuse_init_out out = { 0 };
	const char *why;
	ssize_t n;

	if (count != 2 || iov[1].iov_len != sizeof(out))
		return writev(fd, iov, count);
	m->begun = true;
	memcpy(&out, iov[1].iov_base, sizeof(out));
	why = why_not(m->current, &out);
	if (why == NULL)
		why = ring_begin(m);
	if (why == NULL) {
		out.flags |= FUSE_INIT_EXT;
		out.flags2 |= (uint32_t)(FUSE_OVER_IO_URING >> 32);
		iov[1].iov_base = &out;
	}
	n = writev(fd, iov, count);
	if (n > 0 && why == NULL)
		ring_go(m);
	else
		log_info(m->log, "fuse: %s: requests by /dev/fuse: %s",
		    m->datastore, why != NULL ? why : "it was unmounted");
	return n;
}

static ssize_t
ring_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	const struct fuse_out_header *out = iov[0].iov_base;
	struct fuse_mount *m = userdata;
	int rc;

	if (!m->begun && request_header(m->current)->opcode == FUSE_INIT)
		return init_reply(m, fd, iov, count);
	list_for_each(node, tmp, &m->ringing) {
		struct request *r = list_entry(node, struct request, node);

		if (request_unique(r) != out->unique)
			continue;
		rc = ring_answer(r, iov, count);
		errno = rc < 0 ? -rc : errno;
		return rc < 0 ? -1 : (ssize_t)out->len;
	}
	return writev(fd, iov, count);
}

static ssize_t
ring_read(int fd, void *buf, size_t len, void *userdata)
{
	(void)userdata;
	return read(fd, buf, len);
}

int
ring_prepare(struct fuse_mount *m)
{
	static const struct fuse_custom_io io = {
		.writev = ring_writev, .read = ring_read,
	};

	return fuse_session_custom_io(m->se, &io, fuse_session_fd(m->se)) < 0 ?
	    -EIO : 0;
}
