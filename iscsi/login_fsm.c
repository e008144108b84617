/* SPDX-License-Identifier: BSD-2-Clause */
/* Login phase: stages, keys of both stages, answers; see login_fsm.h. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "iscsi/login_fsm.h"

enum { STAGE_SECURITY = 0, STAGE_OPERATIONAL = 1, STAGE_FULL = 3 };

static const struct {
	const char *name;
	int stage;		/* CSG a request must have, -1: any, none */
} states[LOGIN_STATES] = {
	[LOGIN_FIRST] = { "first", -1 },
	[LOGIN_SECURITY] = { "security", STAGE_SECURITY },
	[LOGIN_CHAP_A] = { "chap-algorithm", STAGE_SECURITY },
	[LOGIN_CHAP_N] = { "chap-answer", STAGE_SECURITY },
	[LOGIN_SECURE] = { "secure", STAGE_SECURITY },
	[LOGIN_OPERATIONAL] = { "operational", STAGE_OPERATIONAL },
	[LOGIN_FULL] = { "full-feature", -1 },
	[LOGIN_FAILED] = { "failed", -1 },
};

/* Declared edges; to LOGIN_FAILED from everywhere. */
static const struct {
	enum login_state from, to;
	const char *section;
} edges[] = {
	{ LOGIN_FIRST, LOGIN_SECURITY, "6.3.1" },
	{ LOGIN_FIRST, LOGIN_OPERATIONAL, "6.3.1" },
	{ LOGIN_SECURITY, LOGIN_CHAP_A, "12.1" },
	{ LOGIN_SECURITY, LOGIN_SECURE, "6.3.2" },
	{ LOGIN_CHAP_A, LOGIN_CHAP_N, "12.1.3" },
	{ LOGIN_CHAP_N, LOGIN_SECURE, "12.1.3" },
	{ LOGIN_SECURE, LOGIN_OPERATIONAL, "6.3.3" },
	{ LOGIN_SECURE, LOGIN_FULL, "6.3.2" },
	{ LOGIN_OPERATIONAL, LOGIN_FULL, "6.3.3" },
};

const char *
login_state_name(enum login_state state)
{
	return states[state].name;
}

static bool
edge_declared(enum login_state from, enum login_state to)
{
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
		if (edges[i].from == from && edges[i].to == to)
			return true;
	return to == LOGIN_FAILED;
}

void
login_move(struct login *l, enum login_state to)
{
	assert(edge_declared(l->state, to));
	l->state = to;
}

int
login_fail(struct login *l, enum iscsi_login_status status, const char *why)
{
	l->status = status;
	l->why = why;
	return -VMFS_EAUTH;
}

void
login_init(struct login *l, const struct login_policy *policy)
{
	*l = (struct login){ .policy = policy, .state = LOGIN_FIRST };
	param_set_init(&l->params);
	text_buf_init(&l->in, TEXT_IN_MAX);
	text_buf_init(&l->out, LOGIN_DATA_MAX);
}

void
login_fini(struct login *l)
{
	text_buf_fini(&l->in);
	text_buf_fini(&l->out);
}

static unsigned
req_stage(const union iscsi_bhs *req)
{
	return (req->login.flags >> ISCSI_LOGIN_CSG_SHIFT) & ISCSI_LOGIN_STAGE;
}

static unsigned
req_next_stage(const union iscsi_bhs *req)
{
	return req->login.flags & ISCSI_LOGIN_STAGE;
}

/* ---- keys ---- */

/* An iSCSI name: printable, no spaces, not too long (4.2.7.1). */
static int
name_set(struct login *l, char name[LOGIN_NAME_MAX], const char *value)
{
	size_t len = strlen(value);

	if (l->state != LOGIN_FIRST)
		return strcmp(name, value) == 0 ? 0 :
		    login_fail(l, ISCSI_LOGIN_INITIATOR_ERROR,
			"name changed during login");
	if (len == 0 || len >= LOGIN_NAME_MAX)
		return login_fail(l, ISCSI_LOGIN_INITIATOR_ERROR,
		    "name empty or too long");
	for (size_t i = 0; i < len; i++)
		if (!isgraph((unsigned char)value[i]))
			return login_fail(l, ISCSI_LOGIN_INITIATOR_ERROR,
			    "name has unprintable characters");
	memcpy(name, value, len + 1);
	return 0;
}

static int
session_type(struct login *l, const char *value)
{
	if (strcmp(value, "Discovery") == 0)
		l->claim.discovery = true;
	else if (strcmp(value, "Normal") != 0)
		return login_fail(l, ISCSI_LOGIN_SESSION_TYPE,
		    "unknown SessionType");
	return 0;
}

static int
answer(struct login *l, const char *key, const char *value)
{
	int r = text_add(&l->out, key, value);

	return r < 0 ? login_fail(l, ISCSI_LOGIN_RESOURCES,
	    "answer too long") : 0;
}

/* Keys that only the security stage reads; false: not one of them. */
static bool
security_key(struct login *l, const struct text_pair *p)
{
	struct {
		const char *key;
		const char **at;
	} keys[] = {
		{ "AuthMethod", &l->auth_method }, { "CHAP_A", &l->chap_a },
		{ "CHAP_N", &l->chap_n }, { "CHAP_R", &l->chap_r },
		{ "CHAP_I", &l->chap_i }, { "CHAP_C", &l->chap_c },
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(keys[i].key, p->key) == 0) {
			*keys[i].at = p->value;
			return true;
		}
	return false;
}

static int
operational_key(struct login *l, const struct text_pair *p)
{
	char text[PARAM_ANSWER_MAX];
	int param = param_find(p->key);
	int r;

	if (param < 0)
		return answer(l, p->key, "NotUnderstood");
	r = param_offer(&l->params, (enum param)param, p->value,
	    l->claim.discovery ? PARAM_LOGIN_DISCOVERY : PARAM_LOGIN, text);
	if (r < 0)
		return login_fail(l, ISCSI_LOGIN_INITIATOR_ERROR,
		    "operational key twice or unreadable");
	return text[0] ? answer(l, p->key, text) : 0;
}

/* For people, and of a stranger: plain characters only. */
static void
alias_set(struct login *l, const char *value)
{
	size_t len = 0;

	for (; value[len] != '\0' && len + 1 < sizeof(l->claim.alias); len++)
		l->claim.alias[len] = isprint((unsigned char)value[len]) ?
		    value[len] : '?';
	l->claim.alias[len] = '\0';
}

static int
take_key(struct login *l, const struct text_pair *p)
{
	if (strcmp(p->key, "InitiatorName") == 0)
		return name_set(l, l->claim.initiator, p->value);
	if (strcmp(p->key, "TargetName") == 0)
		return name_set(l, l->claim.target, p->value);
	if (strcmp(p->key, "SessionType") == 0)
		return session_type(l, p->value);
	if (strcmp(p->key, "InitiatorAlias") == 0)
		alias_set(l, p->value);
	if (param_is_declared(p->key) || security_key(l, p))
		return 0;
	/* Only a declaration of the target, or for full feature phase. */
	if (param_is_reserved(p->key))
		return answer(l, p->key, "Reject");
	return operational_key(l, p);
}

static int
take_keys(struct login *l)
{
	struct text_pair p;
	size_t pos = 0;
	int r;

	l->auth_method = l->chap_a = l->chap_n = l->chap_r = NULL;
	l->chap_i = l->chap_c = NULL;
	while ((r = text_next(&l->in, &pos, &p)) > 0) {
		r = take_key(l, &p);
		if (r < 0)
			return r;
	}
	return r < 0 ? login_fail(l, ISCSI_LOGIN_INITIATOR_ERROR,
	    "text is not key=value") : 0;
}

/* ---- stages ---- */

/* TargetAddress without portal group tag, 13.8; nothing else is said. */
static int
moved(struct login *l)
{
	int r;

	l->out.len = 0;
	r = answer(l, "TargetAddress", l->auth.redirect);
	return r < 0 ? r : login_fail(l, ISCSI_LOGIN_MOVED, "target moved");
}

static int
first_checks(struct login *l)
{
	struct login_claim *c = &l->claim;
	enum iscsi_login_status status;

	if (!c->initiator[0])
		return login_fail(l, ISCSI_LOGIN_MISSING, "no InitiatorName");
	if (c->discovery)
		c->target[0] = '\0';
	else if (!c->target[0])
		return login_fail(l, ISCSI_LOGIN_MISSING, "no TargetName");
	status = l->policy->access(l->policy->arg, c, &l->auth);
	if (status == ISCSI_LOGIN_MOVED)
		return moved(l);
	if (status != ISCSI_LOGIN_OK)
		return login_fail(l, status, "access denied");
	return 0;
}

static int
first_request(struct login *l, const union iscsi_bhs *req)
{
	unsigned group = l->policy->group;
	int r = first_checks(l);
	char tag[16];

	if (r < 0)
		return r;
	if (!l->claim.discovery) {
		/* Told with the first response, 13.9. */
		(void)snprintf(tag, sizeof(tag), "%u", group ? group : 1);
		r = answer(l, "TargetPortalGroupTag", tag);
		if (r == 0 && l->auth.alias)
			r = answer(l, "TargetAlias", l->auth.alias);
		if (r < 0)
			return r;
	}
	if (req_stage(req) == STAGE_SECURITY) {
		login_move(l, LOGIN_SECURITY);
		return 0;
	}
	if (l->auth.in_user)
		return login_fail(l, ISCSI_LOGIN_AUTH_FAILED,
		    "security stage skipped although CHAP is asked");
	login_move(l, LOGIN_OPERATIONAL);
	return 0;
}

static int
declare(struct login *l)
{
	enum param p = PARAM_MAX_RECV_DATA;
	char text[PARAM_ANSWER_MAX];

	if (l->declared)
		return 0;
	l->declared = true;
	param_text(&param_defs[p], l->params.mine[p], text);
	return answer(l, param_defs[p].key, text);
}

/* Goes where the T bit wants, when this side is ready. */
static int
transit(struct login *l, const union iscsi_bhs *req, bool *ret_moved)
{
	unsigned next = req_next_stage(req);

	if (!(req->login.flags & ISCSI_FLAG_FINAL) ||
	    (l->state != LOGIN_SECURE && l->state != LOGIN_OPERATIONAL))
		return 0;
	if (next <= req_stage(req) || next == 2)
		return login_fail(l, ISCSI_LOGIN_INITIATOR_ERROR,
		    "next stage is not after the current one");
	login_move(l, next == STAGE_FULL ? LOGIN_FULL : LOGIN_OPERATIONAL);
	*ret_moved = true;
	return 0;
}

static int
run_stage(struct login *l, const union iscsi_bhs *req, bool *ret_moved)
{
	int r = take_keys(l);

	if (r == 0 && l->state == LOGIN_FIRST)
		r = first_request(l, req);
	if (r == 0 && states[l->state].stage == STAGE_SECURITY)
		r = login_security(l);
	if (r == 0 && l->state == LOGIN_OPERATIONAL)
		r = declare(l);
	if (r == 0)
		r = transit(l, req, ret_moved);
	return r;
}

static int
first_header(struct login *l, const union iscsi_bhs *req)
{
	memcpy(l->claim.isid, req->login.isid, sizeof(l->claim.isid));
	l->claim.tsih = be16_get(req->login.tsih);
	l->claim.cid = be16_get(req->login.cid);
	l->cmdsn = be32_get(req->login.cmdsn);
	if (req->login.version > ISCSI_VERSION)
		return login_fail(l, ISCSI_LOGIN_VERSION,
		    "no common protocol version");
	return 0;
}

static int
check_header(struct login *l, const union iscsi_bhs *req)
{
	uint8_t flags = req->login.flags;
	unsigned stage = req_stage(req);

	if (iscsi_opcode(req) != ISCSI_LOGIN_REQ)
		return login_fail(l, ISCSI_LOGIN_INVALID,
		    "not a Login Request");
	if (++l->rounds > LOGIN_ROUNDS_MAX)
		return login_fail(l, ISCSI_LOGIN_INITIATOR_ERROR,
		    "login does not end");
	if (l->rounds == 1 && first_header(l, req) < 0)
		return -VMFS_EAUTH;
	if (memcmp(l->claim.isid, req->login.isid, sizeof(l->claim.isid)) ||
	    l->claim.cid != be16_get(req->login.cid) ||
	    l->claim.tsih != be16_get(req->login.tsih))
		return login_fail(l, ISCSI_LOGIN_INITIATOR_ERROR,
		    "ISID, CID or TSIH changed during login");
	if ((flags & ISCSI_FLAG_FINAL) && (flags & ISCSI_FLAG_CONTINUE))
		return login_fail(l, ISCSI_LOGIN_INITIATOR_ERROR,
		    "both T and C bit set");
	if (stage > STAGE_OPERATIONAL || (states[l->state].stage >= 0 &&
	    (int)stage != states[l->state].stage))
		return login_fail(l, ISCSI_LOGIN_INVALID,
		    "request of another stage");
	return 0;
}

/* ---- answers ---- */

static void
reply_init(struct login *l, const union iscsi_bhs *req,
    struct login_reply *reply)
{
	struct iscsi_bhs_login *rsp = &reply->bhs.login;

	*reply = (struct login_reply){ .close = false };
	iscsi_bhs_init(&reply->bhs, ISCSI_LOGIN_RSP,
	    be32_get(req->any.itt));
	rsp->flags = 0;
	memcpy(rsp->isid, l->claim.isid, sizeof(rsp->isid));
	rsp->tsih = be16(l->claim.tsih);
	rsp->cmdsn = be32(l->statsn++);
	rsp->exp_cmdsn = be32(l->cmdsn);
	rsp->max_cmdsn = be32(l->cmdsn + l->policy->window - 1);
}

void
login_refuse(struct login *l, const union iscsi_bhs *req,
    enum iscsi_login_status status, const char *why,
    struct login_reply *ret_reply)
{
	login_fail(l, status, why);
	l->state = LOGIN_FAILED;
	reply_init(l, req, ret_reply);
	ret_reply->bhs.login.flags =
	    req->login.flags & (ISCSI_LOGIN_STAGE << ISCSI_LOGIN_CSG_SHIFT);
	ret_reply->bhs.login.status = be16((uint16_t)status);
	ret_reply->close = true;
	if (status == ISCSI_LOGIN_MOVED) {
		ret_reply->bhs.login.data_len = be24((uint32_t)l->out.len);
		ret_reply->text = l->out.data;
		ret_reply->text_len = l->out.len;
	}
}

static int
step(struct login *l, const union iscsi_bhs *req, const void *data,
    size_t len, bool *ret_moved)
{
	int r = check_header(l, req);

	if (r < 0)
		return r;
	if (text_buf_append(&l->in, data, len) < 0)
		return login_fail(l, ISCSI_LOGIN_INITIATOR_ERROR,
		    "text of one request too long");
	if (req->login.flags & ISCSI_FLAG_CONTINUE)
		return 0;
	r = run_stage(l, req, ret_moved);
	l->in.len = 0;
	return r;
}

void
login_step(struct login *l, const union iscsi_bhs *req, const void *data,
    size_t len, struct login_reply *ret_reply)
{
	bool moved = false;
	uint8_t flags;

	l->out.len = 0;
	if (step(l, req, data, len, &moved) < 0) {
		login_refuse(l, req, l->status, l->why, ret_reply);
		return;
	}
	reply_init(l, req, ret_reply);
	flags = req->login.flags & (ISCSI_LOGIN_STAGE << ISCSI_LOGIN_CSG_SHIFT);
	if (moved)
		flags |= ISCSI_FLAG_FINAL |
		    (req->login.flags & ISCSI_LOGIN_STAGE);
	ret_reply->bhs.login.flags = flags;
	ret_reply->bhs.login.data_len = be24((uint32_t)l->out.len);
	ret_reply->text = l->out.data;
	ret_reply->text_len = l->out.len;
	ret_reply->done = l->state == LOGIN_FULL;
}
