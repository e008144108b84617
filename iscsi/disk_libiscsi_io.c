/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a command: queue, libiscsi, answer, time-out, retry. */
#include "iscsi/disk_libiscsi_impl.h"

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "libvmfs/base/be.h"
#include "libvmfs/base/units.h"
#include "libvmfs/env/reactor.h"

_Static_assert(sizeof(struct scsi_iovec) == sizeof(struct iovec) &&
    offsetof(struct scsi_iovec, iov_len) == offsetof(struct iovec, iov_len),
    "libiscsi promises that its iovec is that of POSIX");

void
lsess_break(struct lsess *s, int error)
{
	const struct linger at_once = { .l_onoff = 1 };

	if (s->broken || s->ctx == NULL)
		return;
	s->broken = true;
	s->error = error;
	/* What the kernel has not sent yet must never arrive: other paths go on
	 * without it. */
	if (!s->closing)
		(void)setsockopt(iscsi_get_fd(s->ctx), SOL_SOCKET, SO_LINGER,
		    &at_once, sizeof(at_once));
	/* Ends the polls of both fibers; the fd is closed after them. */
	(void)shutdown(iscsi_get_fd(s->ctx), SHUT_RDWR);
	fiber_cond_broadcast(&s->want_write);
	fiber_cond_broadcast(&s->changed);
}

/* ---- answers ---- */

static void
task_free(struct lcmd *c)
{
	if (c->task != NULL)
		scsi_free_scsi_task(c->task);
	c->task = NULL;
}

static void
cmd_end(struct lcmd *c, int result)
{
	list_del(&c->node);
	task_free(c);
	c->result = result;
	c->done(c);
}

void
lsess_fail_all(struct lsess *s, struct list *cmds, int result)
{
	struct list *node;

	while ((node = cmds->next) != cmds) {
		struct lcmd *c = list_entry(node, struct lcmd, node);

		if (cmds == &s->inflight)
			s->inflight_count--;
		cmd_end(c, result);
	}
}

void
lsess_fail_unsent(struct lsess *s)
{
	struct list late;

	if (!s->conf.fail_fast || s->state == LSESS_READY)
		return;
	list_init(&late);
	list_for_each(node, tmp, &s->waiting) {
		if (!list_entry(node, struct lcmd, node)->internal) {
			list_del(node);
			list_add_tail(&late, node);
		}
	}
	lsess_fail_all(s, &late, -ENOTCONN);
}

void
lsess_fail_orphans(struct lsess *s)
{
	struct list orphans;

	list_init(&orphans);
	list_for_each(node, tmp, &s->waiting) {
		struct lcmd *c = list_entry(node, struct lcmd, node);

		if (c->nexus != 0 && c->nexus != lsess_nexus(s)) {
			list_del(node);
			list_add_tail(&orphans, node);
		}
	}
	lsess_fail_all(s, &orphans, -VMFS_EATTENTION);
}

static void
requeue(struct lsess *s, struct lcmd *c, uint64_t not_before_ns)
{
	list_del(&c->node);
	task_free(c);
	memset(&c->sense, 0, sizeof(c->sense));
	c->not_before_ns = not_before_ns;
	list_add(&s->waiting, &c->node);
}

/* The command was not executed and executing it now is what is wanted. */
static bool
wants_retry(struct lsess *s, struct lcmd *c)
{
	const struct disk_sense *sense = &c->sense;

	if (sense->status == SCSI_STATUS_BUSY ||
	    sense->status == SCSI_STATUS_TASK_SET_FULL) {
		requeue(s, c, sched_now(s->home) + LSESS_BUSY_NS);
		return true;
	}
	if (lsense_result(sense) != -VMFS_EATTENTION ||
	    lsense_is_reservation(sense) || c->nexus != 0 ||
	    c->retried == s->logins + 1)
		return false;
	if (lsense_is_reset(sense) && s->reset_expected)
		s->reset_expected = false;
	else if (!c->retry_attention)
		return false;
	log_info(s->env->log, "iscsi: unit attention lun=%s sense=%02x/%02x/%02x",
	    s->url.name, sense->key, sense->asc, sense->ascq);
	/* Another session, in which it may be sent, has an attention again. */
	c->retried = s->logins + 1;
	requeue(s, c, 0);
	return true;
}

static void
answer(struct lsess *s, struct lcmd *c)
{
	struct scsi_task *t = c->task;
	size_t residual = 0;

	/* The data segment of a CHECK CONDITION: length and sense data. */
	if (c->sense.status == SCSI_STATUS_CHECK_CONDITION &&
	    t->datain.data != NULL && t->datain.size > 2) {
		size_t have = (size_t)t->datain.size - 2;
		size_t len = be16_load(t->datain.data);

		lsense_parse(t->datain.data + 2, len < have ? len : have,
		    &c->sense);
	}
	s->resets += lsense_is_reset(&c->sense);
	if (wants_retry(s, c))
		return;
	if (t->residual_status == SCSI_RESIDUAL_UNDERFLOW)
		residual = t->residual;
	c->received = residual < c->cdb.xfer ?
	    c->cdb.xfer - (uint32_t)residual : 0;
	cmd_end(c, lsense_result(&c->sense));
}

static void
task_done(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct lcmd *c = arg;
	struct lsess *s = c->sess;

	(void)ctx;
	(void)data;
	s->progress = true;
	/* Cancelled or never to be answered: ends with the session. */
	if (status < 0 || status > 0xff) {
		lsess_break(s, -ECONNRESET);
		return;
	}
	c->sense.status = (uint8_t)status;
	s->inflight_count--;
	list_del(&c->node);
	list_add_tail(&s->answered, &c->node);
}

/* ---- the socket ---- */

static void
nop_done(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct lsess *s = arg;

	(void)ctx;
	(void)data;
	s->progress = true;
	if (status == SCSI_STATUS_GOOD)
		s->nop_sent = false;
	else
		lsess_break(s, -ECONNRESET);
}

/*
 * libiscsi with auto-reconnect off says nothing about the end of an idle
 * connection: it would be readable for ever.
 */
static bool
at_eof(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static int
connect_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

static void
service(struct lsess *s, int events)
{
	int fd = iscsi_get_fd(s->ctx);
	int rc;

	/* Before libiscsi takes the reason away. */
	if (!s->connected && (rc = connect_error(fd)) < 0) {
		lsess_break(s, rc);
		return;
	}
	s->progress = false;
	s->in_service = true;
	rc = iscsi_service(s->ctx, events);
	s->in_service = false;
	if (rc < 0)
		lsess_break(s, s->connected ? -VMFS_EPROTO : -ECONNREFUSED);
	else if ((events & POLLIN) != 0 && !s->progress && at_eof(fd))
		lsess_break(s, -ECONNRESET);
	if ((events & POLLIN) != 0)
		s->heard_ns = sched_now(s->home);
}

static void
work_off_answers(struct lsess *s)
{
	struct list *node;

	while ((node = list_pop(&s->answered)) != NULL)
		answer(s, list_entry(node, struct lcmd, node));
}

static void
reader_main(void *arg)
{
	struct lsess *s = arg;

	while (!s->broken) {
		int ev = reactor_poll_fd(iscsi_get_fd(s->ctx), POLLIN);

		if (s->broken)
			break;
		if (ev < 0) {
			lsess_break(s, ev);
			break;
		}
		service(s, ev);
		work_off_answers(s);
		lsess_fail_orphans(s);
		lsess_issue(s);
	}
	s->pumps--;
	fiber_cond_broadcast(&s->changed);
}

static void
writer_main(void *arg)
{
	struct lsess *s = arg;

	while (!s->broken) {
		int ev;

		if ((iscsi_which_events(s->ctx) & POLLOUT) == 0) {
			fiber_cond_wait(&s->want_write);
			continue;
		}
		ev = reactor_poll_fd(iscsi_get_fd(s->ctx), POLLOUT);
		if (s->broken)
			break;
		if (ev < 0)
			lsess_break(s, ev);
		else
			service(s, ev & ~POLLIN);
	}
	s->pumps--;
	fiber_cond_broadcast(&s->changed);
}

int
lsess_pump_start(struct lsess *s)
{
	int rc = sched_spawn(s->home, "iscsi-read", reader_main, s);

	if (rc < 0)
		return rc;
	s->pumps++;
	rc = sched_spawn(s->home, "iscsi-write", writer_main, s);
	if (rc == 0)
		s->pumps++;
	return rc;
}

/* ---- the queue ---- */

/* Gives one command to libiscsi. */
static int
send_cmd(struct lsess *s, struct lcmd *c)
{
	static const int dirs[] = {
		[LCDB_NONE] = SCSI_XFER_NONE,
		[LCDB_IN] = SCSI_XFER_READ,
		[LCDB_OUT] = SCSI_XFER_WRITE,
	};
	struct scsi_iovec *iov = (struct scsi_iovec *)(void *)c->iov;

	c->task = scsi_create_task(c->cdb.len, c->cdb.b, dirs[c->cdb.dir],
	    (int)c->cdb.xfer);
	if (c->task == NULL)
		return -ENOMEM;
	if (c->cdb.dir == LCDB_IN)
		scsi_task_set_iov_in(c->task, iov, c->iovcnt);
	else if (c->cdb.dir == LCDB_OUT)
		scsi_task_set_iov_out(c->task, iov, c->iovcnt);
	if (iscsi_scsi_command_async(s->ctx, s->url.lun, c->task, task_done,
	    NULL, c) != 0) {
		task_free(c);
		return -ENOMEM;
	}
	return 0;
}

static bool
may_send(const struct lsess *s, const struct lcmd *c, uint64_t now)
{
	return (s->state == LSESS_READY ||
	    (s->state == LSESS_VERIFYING && c->internal)) &&
	    (c->nexus == 0 ? s->held_until_ns == 0 :
	    c->nexus == lsess_nexus(s)) &&
	    s->inflight_count < LSESS_DEPTH && c->not_before_ns <= now;
}

void
lsess_issue(struct lsess *s)
{
	uint64_t now = sched_now(s->home);

	if (s->broken || s->ctx == NULL || s->in_service)
		return;
	list_for_each(node, tmp, &s->waiting) {
		struct lcmd *c = list_entry(node, struct lcmd, node);

		if (!may_send(s, c, now))
			continue;
		if (send_cmd(s, c) < 0)
			break;	/* no memory now; the tick tries again */
		list_del(&c->node);
		list_add_tail(&s->inflight, &c->node);
		s->inflight_count++;
	}
	if (s->connected && (iscsi_which_events(s->ctx) & POLLOUT) != 0) {
		service(s, POLLOUT);
		if (!s->broken && (iscsi_which_events(s->ctx) & POLLOUT) != 0)
			fiber_cond_signal(&s->want_write);
	}
}

void
lsess_submit(struct lsess *s, struct lcmd *c)
{
	c->sess = s;
	c->task = NULL;
	c->retried = 0;
	c->not_before_ns = 0;
	c->received = 0;
	memset(&c->sense, 0, sizeof(c->sense));
	c->deadline_ns = sched_now(s->home) +
	    s->conf.timeout_ms * NSEC_PER_MSEC;
	list_add_tail(&s->waiting, &c->node);
	lsess_issue(s);
}

static void
run_done(struct lcmd *c)
{
	struct fiber **waiter = c->arg;
	struct fiber *f = *waiter;

	*waiter = NULL;
	fiber_unpark(f);
}

int
lsess_run(struct lsess *s, struct lcmd *c)
{
	struct fiber *waiter = fiber_self();

	c->done = run_done;
	c->arg = &waiter;
	lsess_submit(s, c);
	while (waiter != NULL)
		fiber_park();
	return c->result;
}

/* ---- time ---- */

static void
expire_waiting(struct lsess *s, uint64_t now)
{
	struct list late;

	list_init(&late);
	list_for_each(node, tmp, &s->waiting) {
		if (list_entry(node, struct lcmd, node)->deadline_ns <= now) {
			list_del(node);
			list_add_tail(&late, node);
		}
	}
	lsess_fail_all(s, &late, s->conf.fail_fast ? -ENOTCONN :
	    -VMFS_EUNKNOWN);
}

/* A section that takes so long: others go on, it does not. */
static void
expire_hold(struct lsess *s, uint64_t now)
{
	if (s->held_until_ns == 0 || now < s->held_until_ns)
		return;
	lsess_let_go(s);
	s->resets++;
	lsess_fail_orphans(s);
}

static bool
inflight_late(const struct lsess *s, uint64_t now)
{
	for (struct list *n = s->inflight.next; n != &s->inflight; n = n->next)
		if (list_entry(n, struct lcmd, node)->deadline_ns <= now)
			return true;
	return false;
}

/* A NOP-Out when nothing was heard for a while (RFC 7143 11.18). */
static void
keep_alive(struct lsess *s, uint64_t now)
{
	uint64_t timeout = s->conf.timeout_ms * NSEC_PER_MSEC;
	uint64_t idle = timeout < LSESS_NOP_IDLE_NS ? timeout :
	    LSESS_NOP_IDLE_NS;

	if (s->nop_sent) {
		if (now >= s->nop_deadline_ns)
			lsess_break(s, -ETIMEDOUT);
		return;
	}
	if (s->state != LSESS_READY || now < s->heard_ns + idle)
		return;
	if (iscsi_nop_out_async(s->ctx, nop_done, NULL, 0, s) != 0)
		return;
	s->nop_sent = true;
	s->nop_deadline_ns = now + timeout;
}

static void
tick(void *arg)
{
	struct lsess *s = arg;
	uint64_t now = sched_now(s->home);

	expire_hold(s, now);
	expire_waiting(s, now);
	lsess_fail_unsent(s);
	if (s->ctx != NULL && !s->broken) {
		if (inflight_late(s, now) ||
		    (s->step_deadline_ns != 0 && now >= s->step_deadline_ns))
			lsess_break(s, -ETIMEDOUT);
		else
			keep_alive(s, now);
	}
	lsess_issue(s);
	/* A timer that fired leaves room to arm it again. */
	if (s->tick_on && lsess_tick_start(s) < 0)
		lsess_break(s, -ENOMEM);
}

int
lsess_tick_start(struct lsess *s)
{
	uint64_t period = s->conf.timeout_ms * NSEC_PER_MSEC / 16;

	if (period > 250 * NSEC_PER_MSEC)
		period = 250 * NSEC_PER_MSEC;
	s->tick.fn = tick;
	s->tick.arg = s;
	s->tick_on = true;
	return sched_timer_arm(s->home, &s->tick,
	    sched_now(s->home) + period);
}
