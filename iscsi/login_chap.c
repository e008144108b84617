/* SPDX-License-Identifier: BSD-2-Clause */
/* Security stage of the login: choice of method, CHAP both ways (12.1). */
#include <stdio.h>
#include <string.h>

#include "iscsi/login_fsm.h"

static bool
list_has(const char *list, const char *word)
{
	size_t want = strlen(word);

	for (;;) {
		size_t len = strcspn(list, ",");

		if (len == want && memcmp(list, word, len) == 0)
			return true;
		if (!list[len])
			return false;
		list += len + 1;
	}
}

static int
answer(struct login *l, const char *key, const char *value)
{
	return text_add(&l->out, key, value) < 0 ?
	    login_fail(l, ISCSI_LOGIN_RESOURCES, "answer too long") : 0;
}

static int
denied(struct login *l, const char *why)
{
	return login_fail(l, ISCSI_LOGIN_AUTH_FAILED, why);
}

/* AuthMethod: CHAP when the access entry asks for it, else None. */
static int
choose_method(struct login *l)
{
	const char *method = l->auth.in_user ? "CHAP" : "None";
	int r;

	if (!l->auth_method) {
		/* Nothing offered counts as None (12.1). */
		if (l->auth.in_user)
			return denied(l, "CHAP asked, no AuthMethod offered");
		login_move(l, LOGIN_SECURE);
		return 0;
	}
	if (!list_has(l->auth_method, method))
		return denied(l, l->auth.in_user ?
		    "CHAP asked, initiator offers none" :
		    "initiator insists on CHAP, none configured");
	r = answer(l, "AuthMethod", method);
	if (r < 0)
		return r;
	login_move(l, l->auth.in_user ? LOGIN_CHAP_A : LOGIN_SECURE);
	return 0;
}

static int
challenge(struct login *l)
{
	char text[2 * LOGIN_CHALLENGE + 3];
	int r;

	if (chap_choose(l->chap_a, &l->algorithm) < 0)
		return denied(l, "no common CHAP algorithm");
	l->policy->random(l->policy->arg, &l->chap_id, 1);
	l->policy->random(l->policy->arg, l->challenge, sizeof(l->challenge));
	snprintf(text, sizeof(text), "%d", (int)l->algorithm);
	r = answer(l, "CHAP_A", text);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%u", (unsigned)l->chap_id);
	r = answer(l, "CHAP_I", text);
	if (r < 0)
		return r;
	chap_encode(l->challenge, sizeof(l->challenge), text);
	r = answer(l, "CHAP_C", text);
	if (r == 0)
		login_move(l, LOGIN_CHAP_N);
	return r;
}

/* The initiator's answer to our challenge. */
static int
verify(struct login *l)
{
	uint8_t want[CHAP_DIGEST_MAX], got[CHAP_DIGEST_MAX];
	size_t size = chap_digest_size(l->algorithm), len = 0;

	if (!l->chap_n || !l->chap_r)
		return denied(l, "CHAP_N or CHAP_R missing");
	if (chap_response(l->algorithm, l->chap_id, l->auth.in_secret,
	    l->challenge, sizeof(l->challenge), want) < 0)
		return login_fail(l, ISCSI_LOGIN_TARGET_ERROR,
		    "crypto library refuses the algorithm");
	if (chap_decode(l->chap_r, got, sizeof(got), &len) < 0 || len != size)
		return denied(l, "CHAP_R malformed");
	/* One verdict for both, so that user names cannot be guessed. */
	if ((strcmp(l->chap_n, l->auth.in_user) != 0) |
	    !chap_equal(got, want, size))
		return denied(l, "CHAP name or secret wrong");
	l->proved = true;
	return 0;
}

/* Our answer to the initiator's challenge, when it sent one. */
static int
prove(struct login *l)
{
	uint8_t theirs[CHAP_CHALLENGE_MAX], digest[CHAP_DIGEST_MAX];
	char text[2 * CHAP_DIGEST_MAX + 3];
	size_t len;
	uint32_t id;
	int r;

	if (!l->chap_i && !l->chap_c)
		return 0;
	if (!l->auth.out_user)
		return denied(l, "our proof asked, none configured");
	if (!l->chap_i || !l->chap_c || text_number(l->chap_i, &id) < 0 ||
	    id > 255 ||
	    chap_decode(l->chap_c, theirs, sizeof(theirs), &len) < 0)
		return denied(l, "CHAP_I or CHAP_C malformed");
	/* Our own challenge sent back would make us the oracle (12.1.3). */
	if (len == sizeof(l->challenge) &&
	    memcmp(theirs, l->challenge, len) == 0)
		return denied(l, "CHAP challenge reflected");
	if (chap_response(l->algorithm, (uint8_t)id, l->auth.out_secret,
	    theirs, len, digest) < 0)
		return login_fail(l, ISCSI_LOGIN_TARGET_ERROR,
		    "crypto library refuses the algorithm");
	chap_encode(digest, chap_digest_size(l->algorithm), text);
	r = answer(l, "CHAP_N", l->auth.out_user);
	if (r == 0)
		r = answer(l, "CHAP_R", text);
	if (r == 0)
		l->mutual = true;
	return r;
}

int
login_security(struct login *l)
{
	int r = 0;

	if (l->state == LOGIN_SECURITY)
		r = choose_method(l);
	if (r == 0 && l->state == LOGIN_CHAP_A && l->chap_a)
		return challenge(l);
	if (r == 0 && l->state == LOGIN_CHAP_N) {
		r = verify(l);
		if (r == 0)
			r = prove(l);
		if (r == 0)
			login_move(l, LOGIN_SECURE);
	}
	return r;
}
