/* SPDX-License-Identifier: BSD-2-Clause */
/* The login phase, request by request. */
#include <atf-c.h>
#include <stdio.h>
#include <string.h>

#include "iscsi/login_fsm.h"
#include "libvmfs/base/prng.h"

#define NAMES "InitiatorName=iqn.host\0TargetName=iqn.disk\0"
#define NO_CHAP { .in_user = NULL }
#define SEC 0
#define OPER 1
#define FULL 3

static struct login_auth auth;
static enum iscsi_login_status access_status;

static enum iscsi_login_status
access_fn(void *arg, const struct login_claim *claim,
    struct login_auth *ret_auth)
{
	(void)arg;
	(void)claim;
	*ret_auth = auth;
	return access_status;
}

static void
random_fn(void *arg, void *buf, size_t len)
{
	(void)arg;
	memset(buf, 0x42, len);
}

static const struct login_policy policy = {
	.access = access_fn, .random = random_fn, .window = 16,
};
static struct login L;
static struct login_reply R;

static void
begin(struct login_auth a)
{
	auth = a;
	access_status = ISCSI_LOGIN_OK;
	login_init(&L, &policy);
}

static union iscsi_bhs
request(unsigned csg, int nsg, unsigned flags)
{
	union iscsi_bhs bhs;

	iscsi_bhs_init(&bhs, ISCSI_LOGIN_REQ, 77);
	bhs.any.opcode |= ISCSI_IMMEDIATE;
	bhs.login.flags = (uint8_t)(csg << 2 | flags);
	if (nsg >= 0)
		bhs.login.flags |= (uint8_t)(ISCSI_FLAG_FINAL | nsg);
	bhs.login.cmdsn = be32(1000);
	return bhs;
}

/* nsg -1: no T bit. */
static void
send(unsigned csg, int nsg, const char *text, size_t len)
{
	union iscsi_bhs bhs = request(csg, nsg, 0);

	login_step(&L, &bhs, text, len, &R);
}
#define SEND(csg, nsg, text) send(csg, nsg, text, sizeof(text) - 1)

static unsigned
status(void)
{
	return be16_get(R.bhs.login.status);
}

static bool
transits(void)
{
	return R.bhs.login.flags & ISCSI_FLAG_FINAL;
}

/* Value of a key in the answer, or NULL. */
static const char *
answered(const char *key)
{
	size_t n = strlen(key);

	for (size_t at = 0; at < R.text_len; at += strlen(R.text + at) + 1)
		if (strncmp(R.text + at, key, n) == 0 &&
		    R.text[at + n] == '=')
			return R.text + at + n + 1;
	return NULL;
}

ATF_TC_WITHOUT_HEAD(one_request_reaches_full_feature_phase);
ATF_TC_BODY(one_request_reaches_full_feature_phase, tc)
{
	begin((struct login_auth)NO_CHAP);
	SEND(OPER, FULL, NAMES "InitialR2T=No\0MaxBurstLength=262144\0");
	ATF_CHECK_EQ(0, status());
	ATF_CHECK(R.done && transits() && !R.close);
	ATF_CHECK_STREQ("1", answered("TargetPortalGroupTag"));
	ATF_CHECK_STREQ("No", answered("InitialR2T"));
	ATF_CHECK_STREQ("1048576", answered("MaxRecvDataSegmentLength"));
	ATF_CHECK_EQ(1000, be32_get(R.bhs.login.exp_cmdsn));
	ATF_CHECK_EQ(1015, be32_get(R.bhs.login.max_cmdsn));
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(security_then_operational_then_full);
ATF_TC_BODY(security_then_operational_then_full, tc)
{
	begin((struct login_auth)NO_CHAP);
	SEND(SEC, OPER, NAMES "AuthMethod=CHAP,None\0");
	ATF_CHECK_STREQ("None", answered("AuthMethod"));
	ATF_CHECK(transits());
	SEND(OPER, -1, "HeaderDigest=CRC32C\0");
	ATF_CHECK_STREQ("CRC32C", answered("HeaderDigest"));
	ATF_CHECK(!transits() && !R.done);
	SEND(OPER, FULL, "");
	ATF_CHECK(R.done);
	login_fini(&L);
}

/* What open-iscsi sends with Linux's initiator. */
ATF_TC_WITHOUT_HEAD(keys_of_open_iscsi_are_agreed);
ATF_TC_BODY(keys_of_open_iscsi_are_agreed, tc)
{
	begin((struct login_auth)NO_CHAP);
	SEND(SEC, OPER, "InitiatorName=iqn.host\0InitiatorAlias=host\0"
	    "TargetName=iqn.disk\0SessionType=Normal\0AuthMethod=None\0");
	ATF_REQUIRE(transits() && status() == 0);
	SEND(OPER, FULL, "HeaderDigest=None\0DataDigest=None\0"
	    "DefaultTime2Wait=2\0DefaultTime2Retain=0\0IFMarker=No\0"
	    "OFMarker=No\0ErrorRecoveryLevel=0\0InitialR2T=No\0"
	    "ImmediateData=Yes\0MaxBurstLength=16776192\0"
	    "FirstBurstLength=262144\0MaxOutstandingR2T=1\0"
	    "MaxConnections=1\0DataPDUInOrder=Yes\0"
	    "DataSequenceInOrder=Yes\0MaxRecvDataSegmentLength=262144\0");
	ATF_CHECK(R.done);
	ATF_CHECK_STREQ("2", answered("DefaultTime2Wait"));
	ATF_CHECK_STREQ("No", answered("OFMarker"));
	ATF_CHECK_STREQ("16773120", answered("MaxBurstLength"));
	ATF_CHECK_STREQ("262144", answered("FirstBurstLength"));
	ATF_CHECK_STREQ("1", answered("MaxOutstandingR2T"));
	ATF_CHECK_EQ(262144, L.params.active[PARAM_MAX_RECV_DATA]);
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(discovery_needs_no_target);
ATF_TC_BODY(discovery_needs_no_target, tc)
{
	begin((struct login_auth)NO_CHAP);
	SEND(OPER, FULL, "InitiatorName=iqn.host\0SessionType=Discovery\0");
	ATF_CHECK(R.done && L.claim.discovery);
	ATF_CHECK(answered("TargetPortalGroupTag") == NULL);
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(missing_names_are_refused);
ATF_TC_BODY(missing_names_are_refused, tc)
{
	begin((struct login_auth)NO_CHAP);
	SEND(OPER, FULL, "TargetName=iqn.disk\0");
	ATF_CHECK_EQ(ISCSI_LOGIN_MISSING, status());
	login_fini(&L);
	begin((struct login_auth)NO_CHAP);
	SEND(OPER, FULL, "InitiatorName=iqn.host\0");
	ATF_CHECK_EQ(ISCSI_LOGIN_MISSING, status());
	ATF_CHECK(R.close);
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(access_decides);
ATF_TC_BODY(access_decides, tc)
{
	begin((struct login_auth)NO_CHAP);
	access_status = ISCSI_LOGIN_FORBIDDEN;
	SEND(OPER, FULL, NAMES);
	ATF_CHECK_EQ(ISCSI_LOGIN_FORBIDDEN, status());
	ATF_CHECK(R.close && !R.done);
	login_fini(&L);
}

/* Nothing but the address, and no proof is asked before. */
ATF_TC_WITHOUT_HEAD(moved_target_tells_its_address);
ATF_TC_BODY(moved_target_tells_its_address, tc)
{
	begin((struct login_auth){
	    .redirect = "box2.example:3261", .in_user = "host",
	    .in_secret = "secret-of-twelve",
	});
	access_status = ISCSI_LOGIN_MOVED;
	SEND(SEC, -1, NAMES "AuthMethod=CHAP,None\0");
	ATF_CHECK_EQ(ISCSI_LOGIN_MOVED, status());
	ATF_CHECK(R.close && !R.done);
	ATF_CHECK_STREQ("box2.example:3261", answered("TargetAddress"));
	ATF_CHECK_EQ(sizeof("TargetAddress=box2.example:3261"), R.text_len);
	login_fini(&L);
}

/* ---- CHAP ---- */

static const struct login_auth one_way = {
	.in_user = "host", .in_secret = "secret-of-twelve",
};
static const struct login_auth two_way = {
	.in_user = "host", .in_secret = "secret-of-twelve",
	.out_user = "target", .out_secret = "the-other-secret",
};

/* Up to the target's challenge. */
static void
challenge(struct login_auth a, const char *algorithm)
{
	char text[64];
	int n;

	begin(a);
	SEND(SEC, -1, NAMES "AuthMethod=CHAP,None\0");
	ATF_REQUIRE_STREQ("CHAP", answered("AuthMethod"));
	n = snprintf(text, sizeof(text), "CHAP_A=%s", algorithm);
	send(SEC, -1, text, (size_t)n + 1);
}

/* Answers it with a secret; extra text follows. */
static void
respond(enum chap_algorithm a, const char *user, const char *secret,
    const char *extra, size_t extra_len)
{
	uint8_t c[CHAP_CHALLENGE_MAX], digest[CHAP_DIGEST_MAX];
	char text[512], hex[2 * CHAP_DIGEST_MAX + 3];
	size_t len = 0, n;

	ATF_REQUIRE(answered("CHAP_C") != NULL);
	ATF_REQUIRE_EQ(0, chap_decode(answered("CHAP_C"), c, sizeof(c), &len));
	ATF_REQUIRE_EQ(0, chap_response(a, 0x42, secret, c, len, digest));
	chap_encode(digest, chap_digest_size(a), hex);
	n = (size_t)snprintf(text, sizeof(text), "CHAP_N=%s%cCHAP_R=%s", user,
	    0, hex) + 1;
	memcpy(text + n, extra, extra_len);
	send(SEC, OPER, text, n + extra_len);
}

ATF_TC_WITHOUT_HEAD(chap_passes_with_each_algorithm);
ATF_TC_BODY(chap_passes_with_each_algorithm, tc)
{
	static const enum chap_algorithm all[] = {
		CHAP_MD5, CHAP_SHA1, CHAP_SHA256, CHAP_SHA3_256,
	};
	char name[4];

	for (size_t i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "%d", (int)all[i]);
		challenge(one_way, name);
		ATF_CHECK_STREQ(name, answered("CHAP_A"));
		respond(all[i], "host", "secret-of-twelve", "", 0);
		ATF_CHECK_EQ(0, status());
		ATF_CHECK(transits() && L.proved && !L.mutual);
		login_fini(&L);
	}
}

ATF_TC_WITHOUT_HEAD(chap_wrong_secret_is_refused);
ATF_TC_BODY(chap_wrong_secret_is_refused, tc)
{
	challenge(one_way, "5");
	respond(CHAP_MD5, "host", "secret-of-eleven", "", 0);
	ATF_CHECK_EQ(ISCSI_LOGIN_AUTH_FAILED, status());
	ATF_CHECK(R.close && !L.proved);
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(chap_wrong_user_is_refused);
ATF_TC_BODY(chap_wrong_user_is_refused, tc)
{
	challenge(one_way, "5");
	respond(CHAP_MD5, "guest", "secret-of-twelve", "", 0);
	ATF_CHECK_EQ(ISCSI_LOGIN_AUTH_FAILED, status());
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(chap_both_ways);
ATF_TC_BODY(chap_both_ways, tc)
{
	static const char ask[] = "CHAP_I=9\0CHAP_C=0x00112233445566778899";
	static const uint8_t c[] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66,
		0x77, 0x88, 0x99 };
	uint8_t want[CHAP_DIGEST_MAX];
	char hex[2 * CHAP_DIGEST_MAX + 3];

	challenge(two_way, "7,5");
	respond(CHAP_SHA256, "host", "secret-of-twelve", ask, sizeof(ask));
	ATF_REQUIRE_EQ(0, status());
	ATF_REQUIRE_EQ(0, chap_response(CHAP_SHA256, 9, "the-other-secret", c,
	    sizeof(c), want));
	chap_encode(want, 32, hex);
	ATF_CHECK_STREQ("target", answered("CHAP_N"));
	ATF_CHECK_STREQ(hex, answered("CHAP_R"));
	ATF_CHECK(L.mutual && transits());
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(chap_proof_asked_but_not_configured_is_refused);
ATF_TC_BODY(chap_proof_asked_but_not_configured_is_refused, tc)
{
	static const char ask[] = "CHAP_I=9\0CHAP_C=0x00112233";

	challenge(one_way, "5");
	respond(CHAP_MD5, "host", "secret-of-twelve", ask, sizeof(ask));
	ATF_CHECK_EQ(ISCSI_LOGIN_AUTH_FAILED, status());
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(chap_reflected_challenge_is_refused);
ATF_TC_BODY(chap_reflected_challenge_is_refused, tc)
{
	char ask[128];
	size_t n;

	challenge(two_way, "5");
	n = (size_t)snprintf(ask, sizeof(ask), "CHAP_I=66%cCHAP_C=%s", 0,
	    answered("CHAP_C")) + 1;
	respond(CHAP_MD5, "host", "secret-of-twelve", ask, n);
	ATF_CHECK_EQ(ISCSI_LOGIN_AUTH_FAILED, status());
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(chap_cannot_be_skipped);
ATF_TC_BODY(chap_cannot_be_skipped, tc)
{
	begin(one_way);
	SEND(OPER, FULL, NAMES);
	ATF_CHECK_EQ(ISCSI_LOGIN_AUTH_FAILED, status());
	login_fini(&L);
	begin(one_way);
	SEND(SEC, FULL, NAMES "AuthMethod=None\0");
	ATF_CHECK_EQ(ISCSI_LOGIN_AUTH_FAILED, status());
	login_fini(&L);
	begin(one_way);
	SEND(SEC, FULL, NAMES);
	ATF_CHECK_EQ(ISCSI_LOGIN_AUTH_FAILED, status());
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(transit_waits_for_chap);
ATF_TC_BODY(transit_waits_for_chap, tc)
{
	begin(one_way);
	SEND(SEC, FULL, NAMES "AuthMethod=CHAP\0");
	ATF_CHECK_EQ(0, status());
	ATF_CHECK(!transits() && !R.done);
	SEND(OPER, FULL, "");
	ATF_CHECK_EQ(ISCSI_LOGIN_INVALID, status());
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(chap_unknown_algorithm_is_refused);
ATF_TC_BODY(chap_unknown_algorithm_is_refused, tc)
{
	challenge(one_way, "1,2,9");
	ATF_CHECK_EQ(ISCSI_LOGIN_AUTH_FAILED, status());
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(chap_response_of_wrong_length_is_refused);
ATF_TC_BODY(chap_response_of_wrong_length_is_refused, tc)
{
	challenge(one_way, "5");
	SEND(SEC, OPER, "CHAP_N=host\0CHAP_R=0x00\0");
	ATF_CHECK_EQ(ISCSI_LOGIN_AUTH_FAILED, status());
	login_fini(&L);
}

/* ---- hostile and odd input ---- */

ATF_TC_WITHOUT_HEAD(text_in_pieces_is_joined);
ATF_TC_BODY(text_in_pieces_is_joined, tc)
{
	static const char text[] = NAMES "InitialR2T=No";
	union iscsi_bhs bhs = request(OPER, -1, ISCSI_FLAG_CONTINUE);

	begin((struct login_auth)NO_CHAP);
	login_step(&L, &bhs, text, 30, &R);
	ATF_CHECK_EQ(0, status());
	ATF_CHECK_EQ(0, R.text_len);
	send(OPER, FULL, text + 30, sizeof(text) - 30);
	ATF_CHECK(R.done);
	ATF_CHECK_STREQ("No", answered("InitialR2T"));
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(endless_text_is_refused);
ATF_TC_BODY(endless_text_is_refused, tc)
{
	union iscsi_bhs bhs = request(OPER, -1, ISCSI_FLAG_CONTINUE);
	static char text[LOGIN_DATA_MAX];

	begin((struct login_auth)NO_CHAP);
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 10 && !R.close; i++)
		login_step(&L, &bhs, text, sizeof(text), &R);
	ATF_CHECK_EQ(ISCSI_LOGIN_INITIATOR_ERROR, status());
	ATF_CHECK(R.close);
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(login_without_end_is_refused);
ATF_TC_BODY(login_without_end_is_refused, tc)
{
	begin((struct login_auth)NO_CHAP);
	SEND(OPER, -1, NAMES);
	for (int i = 0; i < LOGIN_ROUNDS_MAX; i++)
		SEND(OPER, -1, "");
	ATF_CHECK_EQ(ISCSI_LOGIN_INITIATOR_ERROR, status());
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(changed_isid_is_refused);
ATF_TC_BODY(changed_isid_is_refused, tc)
{
	union iscsi_bhs bhs = request(OPER, FULL, 0);

	begin((struct login_auth)NO_CHAP);
	SEND(OPER, -1, NAMES);
	bhs.login.isid[3] ^= 1;
	login_step(&L, &bhs, "", 0, &R);
	ATF_CHECK_EQ(ISCSI_LOGIN_INITIATOR_ERROR, status());
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(newer_version_only_is_refused);
ATF_TC_BODY(newer_version_only_is_refused, tc)
{
	union iscsi_bhs bhs = request(OPER, FULL, 0);

	begin((struct login_auth)NO_CHAP);
	bhs.login.version = 1;
	login_step(&L, &bhs, NAMES, sizeof(NAMES) - 1, &R);
	ATF_CHECK_EQ(ISCSI_LOGIN_VERSION, status());
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(odd_requests_are_refused);
ATF_TC_BODY(odd_requests_are_refused, tc)
{
	union iscsi_bhs bad[3] = {
		request(OPER, FULL, ISCSI_FLAG_CONTINUE),	/* T and C */
		request(2, FULL, 0),				/* no stage 2 */
		request(OPER, SEC, 0),				/* backwards */
	};

	for (int i = 0; i < 3; i++) {
		begin((struct login_auth)NO_CHAP);
		login_step(&L, &bad[i], NAMES, sizeof(NAMES) - 1, &R);
		ATF_CHECK_MSG(status() != 0 && R.close, "case %d", i);
		login_fini(&L);
	}
}

ATF_TC_WITHOUT_HEAD(bad_names_are_refused);
ATF_TC_BODY(bad_names_are_refused, tc)
{
	char text[400] = "TargetName=iqn.disk\0InitiatorName=";

	begin((struct login_auth)NO_CHAP);
	memset(text + 34, 'n', 300);
	send(OPER, FULL, text, 335);
	ATF_CHECK_EQ(ISCSI_LOGIN_INITIATOR_ERROR, status());
	login_fini(&L);
	begin((struct login_auth)NO_CHAP);
	SEND(OPER, FULL, "InitiatorName=iqn a\nb\0TargetName=iqn.disk\0");
	ATF_CHECK_EQ(ISCSI_LOGIN_INITIATOR_ERROR, status());
	login_fini(&L);
	begin((struct login_auth)NO_CHAP);
	SEND(OPER, -1, NAMES);
	SEND(OPER, FULL, "InitiatorName=iqn.somebody.else\0");
	ATF_CHECK_EQ(ISCSI_LOGIN_INITIATOR_ERROR, status());
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(unknown_keys_are_not_understood);
ATF_TC_BODY(unknown_keys_are_not_understood, tc)
{
	begin((struct login_auth)NO_CHAP);
	SEND(OPER, FULL, NAMES "X-com.example.key=1\0");
	ATF_CHECK_STREQ("NotUnderstood", answered("X-com.example.key"));
	ATF_CHECK(R.done);
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(what_people_call_them_is_exchanged);
ATF_TC_BODY(what_people_call_them_is_exchanged, tc)
{
	begin((struct login_auth){ .alias = "box one" });
	SEND(OPER, FULL, NAMES "InitiatorAlias=esx1 \xc3\xa9\x1b\0"
	    "X#NodeArchitecture=Linux\0TaskReporting=FastAbort,RFC3720\0");
	ATF_CHECK_EQ(0, status());
	ATF_CHECK_STREQ("box one", answered("TargetAlias"));
	ATF_CHECK_EQ(NULL, answered("InitiatorAlias"));
	ATF_CHECK_EQ(NULL, answered("X#NodeArchitecture"));
	ATF_CHECK_STREQ("RFC3720", answered("TaskReporting"));
	ATF_CHECK_STREQ("esx1 ???", L.claim.alias);
	login_fini(&L);
}

ATF_TC_WITHOUT_HEAD(keys_of_the_target_are_rejected);
ATF_TC_BODY(keys_of_the_target_are_rejected, tc)
{
	begin((struct login_auth)NO_CHAP);
	SEND(OPER, FULL, NAMES "TargetAlias=x\0SendTargets=All\0"
	    "TargetAddress=1.2.3.4\0");
	ATF_CHECK_EQ(0, status());
	ATF_CHECK_STREQ("Reject", answered("TargetAlias"));
	ATF_CHECK_STREQ("Reject", answered("SendTargets"));
	ATF_CHECK_STREQ("Reject", answered("TargetAddress"));
	login_fini(&L);
}

/* Keys and values near to good ones, cut and repeated at random. */
static size_t
random_text(struct prng *p, char *text, size_t max)
{
	static const char *const words[] = {
		"InitiatorName=iqn.host", "TargetName=iqn.disk",
		"SessionType=Discovery", "AuthMethod=CHAP,None", "CHAP_A=5",
		"CHAP_N=host", "CHAP_R=0x00112233445566778899aabbccddeeff",
		"CHAP_I=1", "CHAP_C=0bQUJD", "HeaderDigest=CRC32C",
		"MaxBurstLength=0x10000", "InitialR2T=No", "SendTargets=All",
		"MaxRecvDataSegmentLength=99999999999", "=", "x", "",
	};
	size_t len = 0, n = prng_below(p, 8);

	while (n-- > 0) {
		const char *word = words[prng_below(p,
		    sizeof(words) / sizeof(words[0]))];
		size_t size = strlen(word) + 1;

		if (len + size > max)
			break;
		memcpy(text + len, word, size);
		len += size;
	}
	if (len > 0 && prng_below(p, 4) == 0)
		text[prng_below(p, len)] = (char)prng_u64(p);
	return len > 0 && prng_below(p, 8) == 0 ? len - 1 : len;
}

ATF_TC_WITHOUT_HEAD(random_logins_never_pass_without_chap);
ATF_TC_BODY(random_logins_never_pass_without_chap, tc)
{
	struct prng p;
	char text[512];

	prng_seed(&p, 7143);
	for (int i = 0; i < 20000; i++) {
		begin(two_way);
		R.close = false;
		while (!R.close) {
			union iscsi_bhs bhs = request(SEC, OPER, 0);
			size_t len = random_text(&p, text, sizeof(text));

			bhs.login.flags = (uint8_t)prng_u64(&p);
			login_step(&L, &bhs, text, len, &R);
			ATF_REQUIRE(!R.done);
			ATF_REQUIRE(L.state != LOGIN_OPERATIONAL);
		}
		login_fini(&L);
	}
}

ATF_TC_WITHOUT_HEAD(states_have_names);
ATF_TC_BODY(states_have_names, tc)
{
	for (int i = 0; i < LOGIN_STATES; i++)
		ATF_CHECK(login_state_name((enum login_state)i) != NULL);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, one_request_reaches_full_feature_phase);
	ATF_TP_ADD_TC(tp, security_then_operational_then_full);
	ATF_TP_ADD_TC(tp, keys_of_open_iscsi_are_agreed);
	ATF_TP_ADD_TC(tp, discovery_needs_no_target);
	ATF_TP_ADD_TC(tp, missing_names_are_refused);
	ATF_TP_ADD_TC(tp, access_decides);
	ATF_TP_ADD_TC(tp, moved_target_tells_its_address);
	ATF_TP_ADD_TC(tp, chap_passes_with_each_algorithm);
	ATF_TP_ADD_TC(tp, chap_wrong_secret_is_refused);
	ATF_TP_ADD_TC(tp, chap_wrong_user_is_refused);
	ATF_TP_ADD_TC(tp, chap_both_ways);
	ATF_TP_ADD_TC(tp, chap_proof_asked_but_not_configured_is_refused);
	ATF_TP_ADD_TC(tp, chap_reflected_challenge_is_refused);
	ATF_TP_ADD_TC(tp, chap_cannot_be_skipped);
	ATF_TP_ADD_TC(tp, transit_waits_for_chap);
	ATF_TP_ADD_TC(tp, chap_unknown_algorithm_is_refused);
	ATF_TP_ADD_TC(tp, chap_response_of_wrong_length_is_refused);
	ATF_TP_ADD_TC(tp, text_in_pieces_is_joined);
	ATF_TP_ADD_TC(tp, endless_text_is_refused);
	ATF_TP_ADD_TC(tp, login_without_end_is_refused);
	ATF_TP_ADD_TC(tp, changed_isid_is_refused);
	ATF_TP_ADD_TC(tp, newer_version_only_is_refused);
	ATF_TP_ADD_TC(tp, odd_requests_are_refused);
	ATF_TP_ADD_TC(tp, bad_names_are_refused);
	ATF_TP_ADD_TC(tp, what_people_call_them_is_exchanged);
	ATF_TP_ADD_TC(tp, keys_of_the_target_are_rejected);
	ATF_TP_ADD_TC(tp, unknown_keys_are_not_understood);
	ATF_TP_ADD_TC(tp, random_logins_never_pass_without_chap);
	ATF_TP_ADD_TC(tp, states_have_names);
	return atf_no_error();
}
