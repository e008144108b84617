/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whole logins: requests in, responses out.  The program knows the secret and
 * puts the right proof where an input says "CHAP_R=@", so that both sides of
 * the gate are reached; without that nobody may pass it.
 */
#include <stdlib.h>
#include <string.h>

#include "iscsi/chap.h"
#include "iscsi/login_fsm.h"
#include "tests/fuzz/fuzz.h"

#define SECRET "a secret of the fuzzer"
#define WINDOW 16

enum {
	WANT_CHAP = 1, WANT_MUTUAL = 2, WANT_DENY = 4,
};

struct peer {
	uint8_t want;
	bool asked;		/* access was looked up */
	bool proof_given;	/* a right proof was part of a request */
};

static enum iscsi_login_status
access_of(void *arg, const struct login_claim *claim,
    struct login_auth *ret_auth)
{
	struct peer *p = arg;

	FUZZ_CHECK(claim->initiator[0] != '\0');
	FUZZ_CHECK(claim->discovery == (claim->target[0] == '\0'));
	p->asked = true;
	if (p->want & WANT_DENY)
		return ISCSI_LOGIN_FORBIDDEN;
	if (p->want & WANT_CHAP) {
		ret_auth->in_user = "user";
		ret_auth->in_secret = SECRET;
	}
	if (p->want & WANT_MUTUAL) {
		ret_auth->out_user = "target";
		ret_auth->out_secret = "another secret there";
	}
	return ISCSI_LOGIN_OK;
}

static void
not_random(void *arg, void *buf, size_t len)
{
	(void)arg;
	memset(buf, 0x5a, len);
}

/* The text with "CHAP_R=@" replaced by the right answer; to be freed. */
static char *
with_proof(struct peer *p, const struct login *l, char *text, size_t *len)
{
	static const char mark[] = "CHAP_R=@";
	char proof[2 * CHAP_DIGEST_MAX + 3], *new;
	uint8_t digest[CHAP_DIGEST_MAX];
	size_t before, add;
	char *at = *len > 0 ? memmem(text, *len, mark, strlen(mark)) : NULL;

	if (!at || l->state != LOGIN_CHAP_N || chap_response(l->algorithm,
	    l->chap_id, SECRET, l->challenge, sizeof(l->challenge),
	    digest) < 0)
		return text;
	chap_encode(digest, chap_digest_size(l->algorithm), proof);
	before = (size_t)(at - text) + strlen(mark) - 1;
	add = strlen(proof);
	new = malloc(*len + add);
	FUZZ_CHECK(new != NULL);
	memcpy(new, text, before);
	memcpy(new + before, proof, add);
	memcpy(new + before + add, text + before + 1, *len - before - 1);
	*len += add - 1;
	p->proof_given = true;
	free(text);
	return new;
}

static void
request(struct fuzz_in *in, union iscsi_bhs *req)
{
	uint8_t odd = fuzz_u8(in);

	iscsi_bhs_init(req, ISCSI_LOGIN_REQ, 1);
	req->any.opcode |= ISCSI_IMMEDIATE;
	req->login.flags = fuzz_u8(in);
	req->login.cmdsn = be32(7);
	if (odd & 1)
		req->any.opcode = fuzz_u8(in);
	if (odd & 2)
		fuzz_fill(in, req->login.isid, sizeof(req->login.isid));
	if (odd & 4)
		req->login.tsih = be16(fuzz_u16(in));
	if (odd & 8)
		req->login.cid = be16(fuzz_u16(in));
	if (odd & 16)
		req->login.version = fuzz_u8(in);
}

static void
reply_holds(const struct login *l, const struct login_reply *r,
    const struct peer *p)
{
	uint16_t status = be16_get(r->bhs.login.status);

	FUZZ_CHECK(iscsi_opcode(&r->bhs) == ISCSI_LOGIN_RSP);
	FUZZ_CHECK(r->text_len <= LOGIN_DATA_MAX);
	FUZZ_CHECK(iscsi_data_len(&r->bhs) == r->text_len);
	FUZZ_CHECK(r->close == (status != ISCSI_LOGIN_OK));
	FUZZ_CHECK(!r->close || l->why != NULL);
	FUZZ_CHECK(!r->done || !r->close);
	FUZZ_CHECK(login_state_name(l->state) != NULL);
	if (!r->done)
		return;
	/* The gate. */
	FUZZ_CHECK(p->asked && !(p->want & WANT_DENY));
	FUZZ_CHECK(!(p->want & WANT_CHAP) || (l->proved && p->proof_given));
	FUZZ_CHECK(r->bhs.login.flags & ISCSI_FLAG_FINAL);
	FUZZ_CHECK((r->bhs.login.flags & ISCSI_LOGIN_STAGE) == 3);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	struct peer peer = { .want = fuzz_u8(&in) };
	struct login_policy policy = {
		.arg = &peer, .access = access_of, .random = not_random,
		.window = WINDOW,
	};
	struct login_reply reply = { .close = false };
	unsigned rounds = 0;
	struct login l;

	login_init(&l, &policy);
	while (in.left > 0 && !reply.close && !reply.done) {
		union iscsi_bhs req;
		size_t len;
		char *text;

		request(&in, &req);
		len = fuzz_u16(&in);
		if (len > in.left)
			len = in.left;
		text = with_proof(&peer, &l, fuzz_take(&in, len), &len);
		login_step(&l, &req, text, len, &reply);
		free(text);
		reply_holds(&l, &reply, &peer);
		FUZZ_CHECK(++rounds <= LOGIN_ROUNDS_MAX + 1);
	}
	login_fini(&l);
	return 0;
}
