/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The login phase of a target (RFC 7143 clauses 6.3 and 12) without any I/O:
 * a Login Request goes in, a Login Response comes out.
 *
 *   first -> security -> chap-algorithm -> chap-answer -> secure
 *      |        `-------------- no CHAP asked ------------^  |
 *      `----------------> operational <----------------------+
 *                              `-----> full-feature <--------'
 */
#ifndef VMFS_ISCSI_LOGIN_FSM_H
#define VMFS_ISCSI_LOGIN_FSM_H

#include <stdbool.h>
#include <stdint.h>

#include "iscsi/chap.h"
#include "iscsi/param.h"
#include "iscsi/pdu.h"
#include "iscsi/text.h"

#define LOGIN_NAME_MAX 224		/* 4.2.7.1, with the NUL */
#define LOGIN_ALIAS_MAX 256		/* 13.7, with the NUL */
#define LOGIN_DATA_MAX 8192		/* of one PDU: nothing declared yet */
#define LOGIN_ROUNDS_MAX 64		/* requests of one login */
#define LOGIN_CHALLENGE 32		/* bytes of ours */

enum login_state {
	LOGIN_FIRST, LOGIN_SECURITY, LOGIN_CHAP_A, LOGIN_CHAP_N, LOGIN_SECURE,
	LOGIN_OPERATIONAL, LOGIN_FULL, LOGIN_FAILED, LOGIN_STATES,
};
const char *login_state_name(enum login_state state);

/* Names and secrets of one access entry; NULL user: not asked. */
struct login_auth {
	const char *in_user, *in_secret;	/* initiator proves */
	const char *out_user, *out_secret;	/* we prove, if it asks */
	const char *alias;	/* of the target; NULL: none */
	const char *redirect;	/* with ISCSI_LOGIN_MOVED: where to */
};

/* What the first request claims; target "" for discovery. */
struct login_claim {
	char initiator[LOGIN_NAME_MAX];
	char target[LOGIN_NAME_MAX];
	char alias[LOGIN_ALIAS_MAX];	/* "": it has none */
	bool discovery;
	uint8_t isid[6];
	uint16_t tsih, cid;
};

struct login_policy {
	void *arg;
	/*
	 * May it log in, and with which proof?  Strings of ret_auth live as
	 * long as the login.  ISCSI_LOGIN_OK or the status to refuse with.
	 */
	enum iscsi_login_status (*access)(void *arg,
	    const struct login_claim *claim, struct login_auth *ret_auth);
	void (*random)(void *arg, void *buf, size_t len);
	uint32_t window;		/* commands, for MaxCmdSN */
	unsigned group;			/* TargetPortalGroupTag; 0: 1 */
};

struct login {
	const struct login_policy *policy;
	enum login_state state;
	struct login_claim claim;
	struct login_auth auth;
	struct param_set params;
	struct text_buf in, out;
	unsigned rounds;
	bool declared;			/* our own values are told */
	uint32_t cmdsn;			/* of the first request */
	uint32_t statsn;		/* of the next response */
	enum iscsi_login_status status;
	const char *why;		/* of a refusal, static text */

	/* CHAP exchange. */
	enum chap_algorithm algorithm;
	uint8_t chap_id;
	uint8_t challenge[LOGIN_CHALLENGE];
	bool proved;			/* initiator passed CHAP */
	bool mutual;			/* and so did we */
	/* Keys of this request; point into `in`. */
	const char *auth_method, *chap_a, *chap_n, *chap_r, *chap_i, *chap_c;
};

/* The answer to one request.  `text` belongs to the login. */
struct login_reply {
	union iscsi_bhs bhs;
	const char *text;
	size_t text_len;
	bool close;			/* send, then drop the connection */
	bool done;			/* send, then full feature phase */
};

void login_init(struct login *l, const struct login_policy *policy);
void login_fini(struct login *l);

/* Takes a request with its data and makes the answer; never fails itself. */
void login_step(struct login *l, const union iscsi_bhs *req,
    const void *data, size_t len, struct login_reply *ret_reply);

/* Replaces the last answer by a refusal (no session to be had). */
void login_refuse(struct login *l, const union iscsi_bhs *req,
    enum iscsi_login_status status, const char *why,
    struct login_reply *ret_reply);

/* ---- between login_fsm.c and login_chap.c ---- */

/* Asserts that the edge is in the table. */
void login_move(struct login *l, enum login_state to);
/* Records a refusal; returns -VMFS_EAUTH for handlers to pass on. */
int login_fail(struct login *l, enum iscsi_login_status status,
    const char *why);
/* Acts on the security keys of this request. */
int login_security(struct login *l);

#endif
