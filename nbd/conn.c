/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests of one client on their way in and replies on their way out.  The
 * reader takes them as they come, up to a limit; a few workers do one each, so
 * replies come in any order.
 */
#include <stdlib.h>
#include <string.h>

#include "libvmfs/env/iobuf.h"
#include "nbd/impl.h"

#define WORKERS_MAX 16u
#define JOBS_MAX 64u			/* not begun */
#define BYTES_MAX ((size_t)64 << 20)	/* of data, from the wire or for it */

/* ---- replies ---- */

static bool
send_all(struct nbd_conn *c, struct iovec *iov, int count)
{
	int rc;

	fiber_mutex_lock(&c->sending);
	rc = stream_writev(&c->io, iov, count);
	fiber_mutex_unlock(&c->sending);
	/* The reader ends, and with it all the rest. */
	if (rc < 0)
		net_conn_shutdown(c->io.c);
	return rc == 0;
}

bool
nbd_send_chunk(struct nbd_conn *c, const struct nbd_job *job, bool done,
    enum nbd_chunk_type type, struct iovec *body, int count)
{
	struct nbd_chunk head = {
		.magic = be32(NBD_CHUNK_MAGIC),
		.flags = be16(done ? NBD_CHUNK_DONE : 0),
		.type = be16((uint16_t)type), .cookie = be64(job->req.cookie),
	};
	struct iovec iov[4] = { { &head, sizeof(head) } };
	uint32_t length = 0;

	for (int i = 0; i < count; i++) {
		iov[i + 1] = body[i];
		length += (uint32_t)body[i].iov_len;
	}
	head.length = be32(length);
	return send_all(c, iov, count + 1);
}

static void
send_simple(struct nbd_conn *c, const struct nbd_job *job,
    enum nbd_error error, void *data, size_t len)
{
	struct nbd_simple_reply reply = {
		be32(NBD_SIMPLE_MAGIC), be32(error), be64(job->req.cookie)
	};
	struct iovec iov[2] = { { &reply, sizeof(reply) }, { data, len } };

	(void)send_all(c, iov, len > 0 ? 2 : 1);
}

static void
send_error_chunk(struct nbd_conn *c, const struct nbd_job *job,
    enum nbd_error error, int rc)
{
	const char *text = rc < 0 ? vmfs_strerror(rc) : "";
	size_t len = strlen(text);
	struct nbd_chunk_error e = { be32(error), be16((uint16_t)len) };
	struct iovec body[2] = {
		{ &e, sizeof(e) }, { (void *)(uintptr_t)text, len },
	};

	(void)nbd_send_chunk(c, job, true, NBD_CHUNK_ERROR, body, 2);
}

void
nbd_send_result(struct nbd_conn *c, const struct nbd_job *job,
    enum nbd_error error, int rc)
{
	if (error != NBD_OK)
		tell_add(&c->export->stats.errors, 1);
	if (!c->structured)
		send_simple(c, job, error, NULL, 0);
	else if (error == NBD_OK)
		(void)nbd_send_chunk(c, job, true, NBD_CHUNK_NONE, NULL, 0);
	else
		send_error_chunk(c, job, error, rc);
}

void
nbd_send_data(struct nbd_conn *c, const struct nbd_job *job)
{
	send_simple(c, job, NBD_OK, job->data, job->req.length);
}

/* ---- jobs ---- */

static bool
has_data(const struct nbd_job *job)
{
	return job->req.type == NBD_CMD_READ || job->req.type == NBD_CMD_WRITE;
}

static void
job_free(struct nbd_conn *c, struct nbd_job *job)
{
	iobuf_put(job->data, job->data_size);
	c->bytes -= job->data_size;
	free(job);
	fiber_cond_signal(&c->room);
}

static void
job_do(struct nbd_conn *c, struct nbd_job *job)
{
	if (job->error == NBD_OK && has_data(job) && job->data == NULL)
		job->error = NBD_ENOMEM;
	if (job->error != NBD_OK)
		nbd_send_result(c, job, job->error, 0);
	else
		nbd_execute(c, job);
	job_free(c, job);
}

static struct nbd_job *
next_job(struct nbd_conn *c)
{
	struct list *node;

	while ((node = list_pop(&c->jobs)) == NULL && !c->ending) {
		c->idle++;
		fiber_cond_wait(&c->work);
		c->idle--;
	}
	if (node == NULL)
		return NULL;
	c->waiting--;
	return list_entry(node, struct nbd_job, node);
}

static void
worker_fiber(void *arg)
{
	struct nbd_conn *c = arg;
	struct nbd_job *job;

	while ((job = next_job(c)) != NULL)
		job_do(c, job);
	c->workers--;
	fiber_cond_broadcast(&c->room);
}

static void
job_begin(struct nbd_conn *c, struct nbd_job *job)
{
	if (c->waiting >= c->idle && c->workers < WORKERS_MAX &&
	    sched_spawn(sched_current(), "nbd-work", worker_fiber, c) == 0)
		c->workers++;
	if (c->workers == 0) {
		job_do(c, job);
		return;
	}
	list_add_tail(&c->jobs, &job->node);
	c->waiting++;
	fiber_cond_signal(&c->work);
}

/* ---- the reader ---- */

/* What nobody wants, so that the next request is found. */
static int
skip(struct nbd_conn *c, size_t len)
{
	uint8_t waste[4096];
	int rc = 0;

	while (rc == 0 && len > 0) {
		size_t n = len < sizeof(waste) ? len : sizeof(waste);

		rc = stream_read(&c->io, waste, n);
		len -= n;
	}
	return rc;
}

static int
take_data(struct nbd_conn *c, struct nbd_job *job)
{
	size_t len = job->req.length;

	if (job->error == NBD_OK && has_data(job)) {
		while (c->bytes > 0 && c->bytes + len > BYTES_MAX)
			fiber_cond_wait(&c->room);
		job->data = iobuf_get(len, &job->data_size);
		if (job->data == NULL)
			job->data_size = 0;
		c->bytes += job->data_size;
	}
	if (job->req.type != NBD_CMD_WRITE)
		return 0;
	if (len > NBD_PAYLOAD_MAX)
		return -EPROTO;
	return job->data != NULL ? stream_read(&c->io, job->data, len) :
	    skip(c, len);
}

static struct nbd_job *
job_new(struct nbd_conn *c)
{
	while (c->waiting >= JOBS_MAX)
		fiber_cond_wait(&c->room);
	return calloc(1, sizeof(struct nbd_job));
}

static int
read_request(struct nbd_conn *c)
{
	struct nbd_request wire;
	struct nbd_job *job;
	int rc = stream_read(&c->io, &wire, sizeof(wire));

	if (rc < 0)
		return rc;
	job = job_new(c);
	if (job == NULL)
		return -ENOMEM;
	rc = nbd_take_request(&wire, &job->req);
	if (rc == 0)
		job->error = nbd_check(&job->req, &c->rules);
	if (rc == 0 && job->req.type == NBD_CMD_DISC)
		c->goodbye = true;
	if (rc == 0 && !c->goodbye)
		rc = take_data(c, job);
	if (rc < 0 || c->goodbye) {
		job_free(c, job);
		return rc < 0 ? rc : -ECONNRESET;
	}
	job_begin(c, job);
	return 0;
}

void
nbd_serve(struct nbd_conn *c)
{
	int rc;

	do
		rc = read_request(c);
	while (rc == 0);
	if (rc == -EPROTO)
		log_warn(c->server->conf.log, "nbd: client does not speak the "
		    "protocol, disconnected disk=%s peer=%s", c->export->name,
		    net_conn_peer(c->io.c));
	/* What came before a goodbye is done and answered. */
	if (!c->goodbye)
		net_conn_shutdown(c->io.c);
	c->ending = true;
	fiber_cond_broadcast(&c->work);
	while (c->workers > 0)
		fiber_cond_wait(&c->room);
}
