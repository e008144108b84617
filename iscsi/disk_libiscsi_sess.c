/* SPDX-License-Identifier: BSD-2-Clause */
/* The session's manager: keeps one log-in alive from open to close. */
#include "iscsi/disk_libiscsi_sess.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/disk_libiscsi_impl.h"
#include "libvmfs/base/units.h"

static void
state_set(struct lsess *s, enum lsess_state state)
{
	if (s->state == state)
		return;
	log_info(s->env->log, "iscsi: session lun=%s state=%s", s->url.name,
	    lsess_state_name(state));
	s->state = state;
	fiber_cond_broadcast(&s->changed);
}

const char *
lsess_state_name(enum lsess_state state)
{
	static const char *const names[] = {
		[LSESS_CONNECTING] = "connecting",
		[LSESS_VERIFYING] = "verifying",
		[LSESS_READY] = "ready",
		[LSESS_WAITING] = "waiting",
		[LSESS_CLOSED] = "closed",
	};

	return names[state];
}

enum lsess_state
lsess_state(const struct lsess *s)
{
	return s->state;
}

bool
lsess_alive(const struct lsess *s, uint64_t *ret_logins)
{
	*ret_logins = s->logins;
	return s->state == LSESS_READY && !s->broken;
}

uint64_t
lsess_nexus(const struct lsess *s)
{
	return s->logins + s->resets;
}

void
lsess_hold(struct lsess *s)
{
	s->held_until_ns = sched_now(s->home) +
	    s->conf.timeout_ms * NSEC_PER_MSEC / 2;
}

void
lsess_let_go(struct lsess *s)
{
	s->held_until_ns = 0;
}

void
lsess_drop(struct lsess *s)
{
	if (s->state == LSESS_READY)
		lsess_break(s, -ECANCELED);
}

void
lsess_expect_reset(struct lsess *s)
{
	s->reset_expected = true;
}

struct verification {
	struct lsess *s;
	int result;
	bool ended;
};

static void
verify_main(void *arg)
{
	struct verification *v = arg;

	v->result = v->s->conf.verify(v->s->conf.arg);
	v->ended = true;
	fiber_cond_broadcast(&v->s->changed);
}

/*
 * In a fiber of its own: its commands end only when the manager has given up
 * the connection that broke under them.
 */
static int
verify(struct lsess *s)
{
	struct verification v = { .s = s };
	int rc = sched_spawn(s->home, "iscsi-verify", verify_main, &v);

	if (rc < 0)
		return rc;
	while (!v.ended) {
		if (s->broken)
			lsess_disconnect(s);
		if (!v.ended)
			fiber_cond_wait(&s->changed);
	}
	return s->ctx == NULL || s->broken ? s->error : v.result;
}

/* One attempt; afterwards READY or no connection at all. */
static int
attempt(struct lsess *s)
{
	int rc;

	lsess_let_go(s);
	state_set(s, LSESS_CONNECTING);
	rc = lsess_login(s);
	if (rc < 0)
		return rc;
	if (s->logged_in_before && s->conf.verify != NULL) {
		state_set(s, LSESS_VERIFYING);
		rc = verify(s);
		if (rc < 0) {
			log_warn(s->env->log, "iscsi: lun=%s is not the LUN "
			    "it was or does not answer: %s", s->url.name,
			    vmfs_strerror(rc));
			lsess_disconnect(s);
			return rc;
		}
	}
	s->reset_expected = s->logged_in_before;
	s->logged_in_before = true;
	s->logins++;
	state_set(s, LSESS_READY);
	lsess_fail_orphans(s);
	lsess_issue(s);
	return 0;
}

static void
pause_before_next(struct lsess *s, uint64_t ns)
{
	uint64_t until = sched_now(s->home) + ns;

	state_set(s, LSESS_WAITING);
	while (!s->closing && fiber_cond_wait_until(&s->changed, until))
		;
}

static void
manager_main(void *arg)
{
	struct lsess *s = arg;
	uint64_t backoff = LSESS_BACKOFF_MIN_NS;

	while (!s->closing) {
		int rc = attempt(s);

		if (rc == 0) {
			backoff = LSESS_BACKOFF_MIN_NS;
			while (!s->broken && !s->closing)
				fiber_cond_wait(&s->changed);
			rc = s->broken ? s->error : 0;
		}
		if (!s->logged_in_before) {
			s->error = rc;
			break;
		}
		if (s->closing)
			lsess_logout(s);
		else
			log_warn(s->env->log, "iscsi: session lost lun=%s "
			    "reason=%s", s->url.name, vmfs_strerror(rc));
		if (!s->closing)
			state_set(s, LSESS_WAITING);
		lsess_disconnect(s);
		if (s->closing)
			break;
		pause_before_next(s, backoff);
		backoff = backoff * 2 < LSESS_BACKOFF_MAX_NS ? backoff * 2 :
		    LSESS_BACKOFF_MAX_NS;
	}
	state_set(s, LSESS_CLOSED);
	lsess_fail_all(s, &s->waiting, -VMFS_EUNKNOWN);
	s->ended = true;
	fiber_cond_broadcast(&s->changed);
}

/*
 * libiscsi writes with plain writev: a target that hangs up would end the
 * process.  A program that has its own idea about the signal keeps it.
 */
static void
ignore_sigpipe(void)
{
	struct sigaction sa;

	if (sigaction(SIGPIPE, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL) {
		sa.sa_handler = SIG_IGN;
		(void)sigaction(SIGPIPE, &sa, NULL);
	}
}

static struct lsess *
sess_new(struct env *env, const struct lurl *url,
    const struct lsess_conf *conf)
{
	struct lsess *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->env = env;
	s->home = sched_current();
	s->url = *url;
	s->conf = *conf;
	strncpy(s->initiator, conf->initiator, LURL_NAME_MAX);
	s->conf.initiator = s->initiator;
	s->state = LSESS_WAITING;
	list_init(&s->waiting);
	list_init(&s->inflight);
	list_init(&s->answered);
	fiber_cond_init(&s->changed);
	fiber_cond_init(&s->want_write);
	return s;
}

static void
sess_free(struct lsess *s)
{
	s->tick_on = false;
	sched_timer_cancel(s->home, &s->tick);
	explicit_bzero(s->url.secret, sizeof(s->url.secret));
	free(s);
}

int
lsess_open(struct env *env, const struct lurl *url,
    const struct lsess_conf *conf, struct lsess **ret_s)
{
	struct lsess *s = sess_new(env, url, conf);
	int rc;

	if (s == NULL)
		return -ENOMEM;
	ignore_sigpipe();
	rc = lsess_tick_start(s);
	if (rc == 0)
		rc = sched_spawn(s->home, "iscsi-session", manager_main, s);
	if (rc < 0) {
		sess_free(s);
		return rc;
	}
	while (!s->ended && s->state != LSESS_READY)
		fiber_cond_wait(&s->changed);
	if (s->ended) {
		rc = s->error;
		sess_free(s);
		return rc;
	}
	*ret_s = s;
	return 0;
}

void
lsess_close(struct lsess *s)
{
	if (s == NULL)
		return;
	s->closing = true;
	if (s->state != LSESS_READY)
		lsess_break(s, -ECANCELED);
	fiber_cond_broadcast(&s->changed);
	while (!s->ended)
		fiber_cond_wait(&s->changed);
	sess_free(s);
}

/*
 * A target may answer the log-in before the old session's commands have ended,
 * and then holds back what comes for their unit: also this, which takes no unit
 * attention away.
 */
static int
old_commands_wait(struct lsess *s)
{
	uint8_t data[36];
	struct iovec iov = { data, sizeof(data) };
	struct lcmd c = {
		.cdb = lcdb_inquiry(false, 0, sizeof(data)),
		.iov = &iov, .iovcnt = 1, .internal = true,
	};
	int rc = lsess_run(s, &c);

	return rc == -VMFS_EUNKNOWN || rc == -ENOMEM ? rc : 0;
}

int
lsess_reinstate(struct lsess *via, const struct lsess *dead)
{
	const struct lsess_conf conf = {
		.initiator = dead->initiator,
		.isid_random = dead->conf.isid_random,
		.isid_qualifier = dead->conf.isid_qualifier,
		.timeout_ms = via->conf.timeout_ms,
	};
	struct lsess *s;
	int rc = lsess_open(via->env, &via->url, &conf, &s);

	if (rc < 0)
		return rc;
	rc = old_commands_wait(s);
	lsess_close(s);
	return rc;
}
