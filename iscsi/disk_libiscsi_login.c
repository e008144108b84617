/* SPDX-License-Identifier: BSD-2-Clause */
/* Log-in and log-out: name to address, TCP, RFC 7143 login, redirection. */
#include "iscsi/disk_libiscsi_impl.h"

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "libvmfs/base/units.h"
#include "libvmfs/env/reactor.h"

#define PORTAL_TEXT 72		/* "[address]:port" */

/* Login statuses, RFC 7143 11.13.5: class and detail. */
enum {
	LOGIN_AUTH_FAILURE = 0x0201,
	LOGIN_FORBIDDEN = 0x0202,
	LOGIN_NOT_FOUND = 0x0203,
	LOGIN_REMOVED = 0x0204,
	LOGIN_CLASS_TARGET = 0x03,
};

/* ---- name resolution, on a helper thread ---- */

struct resolve {
	const char *host;
	uint16_t port;
	int flags;
	char portal[PORTAL_TEXT];
};

static int
resolve_blocking(void *arg)
{
	struct resolve *r = arg;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = r->flags };
	struct addrinfo *ai;
	char host[64];
	int rc;

	if (getaddrinfo(r->host, NULL, &hints, &ai) != 0)
		return -EHOSTUNREACH;
	rc = getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof(host),
	    NULL, 0, NI_NUMERICHOST);
	if (rc == 0)
		snprintf(r->portal, sizeof(r->portal),
		    ai->ai_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host,
		    r->port);
	freeaddrinfo(ai);
	return rc == 0 ? 0 : -EHOSTUNREACH;
}

static int
resolve_portal(struct lsess *s, char portal[PORTAL_TEXT])
{
	struct resolve r = { .host = s->url.host, .port = s->url.port,
		.flags = AI_NUMERICHOST };
	int rc = resolve_blocking(&r);

	if (rc < 0) {
		r.flags = 0;
		rc = offload_call(resolve_blocking, &r);
	}
	if (rc == 0)
		memcpy(portal, r.portal, sizeof(r.portal));
	return rc;
}

/* ---- steps libiscsi reports by callback ---- */

/* The number libiscsi puts in brackets at the end of its message. */
static unsigned
login_status(struct iscsi_context *ctx)
{
	const char *text = iscsi_get_error(ctx);
	const char *paren = text ? strrchr(text, '(') : NULL;

	if (paren == NULL || strstr(text, "log in") == NULL)
		return 0;
	return (unsigned)strtoul(paren + 1, NULL, 10);
}

static int
login_error(struct iscsi_context *ctx)
{
	unsigned status = login_status(ctx);

	switch (status) {
	case LOGIN_AUTH_FAILURE:
		return -VMFS_EAUTH;
	case LOGIN_FORBIDDEN:
		return -VMFS_EINITIATOR;
	case LOGIN_NOT_FOUND:
	case LOGIN_REMOVED:
		return -VMFS_ENOTARGET;
	default:
		return status >> 8 == LOGIN_CLASS_TARGET ? -EBUSY :
		    -VMFS_EPROTO;
	}
}

static void
step_end(struct lsess *s, enum lsess_step step)
{
	s->progress = true;
	s->step = step;
	fiber_cond_broadcast(&s->changed);
}

/* Called again by libiscsi when an established connection fails. */
static void
connect_done(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct lsess *s = arg;

	(void)ctx;
	(void)data;
	if (s->connected || status != SCSI_STATUS_GOOD) {
		lsess_break(s, s->connected ? -ECONNRESET : -ECONNREFUSED);
		return;
	}
	s->connected = true;
	step_end(s, LSESS_STEP_DONE);
}

static void
login_done(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct lsess *s = arg;

	(void)data;
	if (status == SCSI_STATUS_GOOD) {
		step_end(s, LSESS_STEP_DONE);
	} else if (status == SCSI_STATUS_REDIRECT) {
		step_end(s, LSESS_STEP_REDIRECT);
	} else {
		lsess_break(s, login_error(ctx));
		log_info(s->env->log, "iscsi: log-in lun=%s initiator=%s: %s",
		    s->url.name, s->initiator, vmfs_strerror(s->error));
		step_end(s, LSESS_STEP_FAILED);
	}
}

static void
logout_done(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	(void)ctx;
	(void)status;
	(void)data;
	step_end(arg, LSESS_STEP_DONE);
}

static void
step_begin(struct lsess *s)
{
	s->step = LSESS_STEP_PENDING;
	s->step_deadline_ns = sched_now(s->home) +
	    s->conf.timeout_ms * NSEC_PER_MSEC;
}

static int
step_wait(struct lsess *s)
{
	while (s->step == LSESS_STEP_PENDING && !s->broken)
		fiber_cond_wait(&s->changed);
	s->step_deadline_ns = 0;
	return s->broken ? s->error : 0;
}

/* ---- one connection ---- */

static int
context_new(struct lsess *s)
{
	struct iscsi_context *ctx = iscsi_create_context(s->initiator);

	if (ctx == NULL)
		return -ENOMEM;
	iscsi_set_noautoreconnect(ctx, 1);
	iscsi_set_timeout(ctx, 0);
	iscsi_set_session_type(ctx, ISCSI_SESSION_NORMAL);
	iscsi_set_header_digest(ctx, ISCSI_HEADER_DIGEST_NONE_CRC32C);
	/* The same each time: registrations belong to name and ISID. */
	iscsi_set_isid_random(ctx, s->conf.isid_random,
	    s->conf.isid_qualifier);
	if (iscsi_set_targetname(ctx, s->url.target) != 0 ||
	    (s->url.user[0] != '\0' && iscsi_set_initiator_username_pwd(ctx,
	    s->url.user, s->url.secret) != 0)) {
		iscsi_destroy_context(ctx);
		return -EINVAL;
	}
	s->ctx = ctx;
	s->connected = s->broken = s->nop_sent = false;
	s->error = 0;
	return 0;
}

static int
connect_to(struct lsess *s, const char *portal)
{
	int rc = context_new(s);

	if (rc < 0)
		return rc;
	step_begin(s);
	errno = 0;
	if (iscsi_connect_async(s->ctx, portal, connect_done, s) != 0) {
		rc = errno > 0 ? -errno : -ECONNREFUSED;
		s->step_deadline_ns = 0;
		return rc;
	}
	rc = lsess_pump_start(s);
	if (rc < 0)
		lsess_break(s, rc);
	return step_wait(s);
}

static int
login(struct lsess *s)
{
	step_begin(s);
	if (iscsi_login_async(s->ctx, login_done, s) != 0) {
		s->step_deadline_ns = 0;
		return -ENOMEM;
	}
	lsess_issue(s);
	return step_wait(s);
}

void
lsess_disconnect(struct lsess *s)
{
	if (s->ctx == NULL)
		return;
	lsess_break(s, -ECONNRESET);
	while (s->pumps > 0)
		fiber_cond_wait(&s->changed);
	/* Its callbacks for what is in flight find the session broken. */
	iscsi_destroy_context(s->ctx);
	s->ctx = NULL;
	lsess_fail_all(s, &s->inflight, -VMFS_EUNKNOWN);
	lsess_fail_unsent(s);
}

int
lsess_login(struct lsess *s)
{
	char portal[PORTAL_TEXT];
	int rc = resolve_portal(s, portal);

	for (int i = 0; rc == 0 && i < LSESS_REDIRECTS; i++) {
		const char *to;

		rc = connect_to(s, portal);
		if (rc == 0)
			rc = login(s);
		if (rc < 0)
			break;
		s->heard_ns = sched_now(s->home);
		if (s->step == LSESS_STEP_DONE)
			return 0;
		to = iscsi_get_target_address(s->ctx);
		if (to == NULL || strlen(to) >= sizeof(portal))
			rc = -VMFS_EPROTO;
		else
			strcpy(portal, to);
		lsess_disconnect(s);
	}
	lsess_disconnect(s);
	return rc < 0 ? rc : -VMFS_EPROTO;
}

void
lsess_logout(struct lsess *s)
{
	if (s->ctx == NULL || s->broken)
		return;
	step_begin(s);
	if (iscsi_logout_async(s->ctx, logout_done, s) == 0) {
		lsess_issue(s);
		(void)step_wait(s);
	}
	s->step_deadline_ns = 0;
}

/* ---- task management ---- */

static void
reset_done(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct lsess *s = arg;

	(void)ctx;
	if (status == SCSI_STATUS_GOOD && data != NULL)
		s->tmf_response = (uint8_t)*(const uint32_t *)data;
	else
		lsess_break(s, -ECONNRESET);
	step_end(s, LSESS_STEP_DONE);
}

int
lsess_reset(struct lsess *s)
{
	int rc;

	if (s->state != LSESS_READY || s->broken)
		return -ENOTCONN;
	s->resets++;
	step_begin(s);
	if (iscsi_task_mgmt_lun_reset_async(s->ctx, (uint32_t)s->url.lun,
	    reset_done, s) != 0) {
		s->step_deadline_ns = 0;
		return -ENOMEM;
	}
	lsess_issue(s);
	rc = step_wait(s);
	if (rc < 0)
		return rc;
	if (s->tmf_response != 0)
		return -EOPNOTSUPP;
	s->reset_expected = true;
	return 0;
}
