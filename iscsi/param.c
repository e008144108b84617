/* SPDX-License-Identifier: BSD-2-Clause */
/* Negotiation of operational keys, see param.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "iscsi/param.h"
#include "iscsi/text.h"

#define MAX24 16777215		/* 2^24 - 1 */
#define DIGESTS { "None", "CRC32C" }
#define YESNO 0, 1

const struct param_def param_defs[PARAM_COUNT] = {
	/* key, section, rule, use, default, min, max, mine, choices */
	[PARAM_HEADER_DIGEST] = { "HeaderDigest", "13.1", PARAM_LIST, 0,
	    0, 0, 1, 0x3, DIGESTS },
	[PARAM_DATA_DIGEST] = { "DataDigest", "13.1", PARAM_LIST, 0,
	    0, 0, 1, 0x3, DIGESTS },
	[PARAM_MAX_CONNECTIONS] = { "MaxConnections", "13.2", PARAM_MIN,
	    PARAM_LEADING | PARAM_NORMAL, 1, 1, 65535, 1, { NULL } },
	[PARAM_INITIAL_R2T] = { "InitialR2T", "13.10", PARAM_OR,
	    PARAM_LEADING | PARAM_NORMAL, 1, YESNO, 0, { NULL } },
	[PARAM_IMMEDIATE_DATA] = { "ImmediateData", "13.11", PARAM_AND,
	    PARAM_LEADING | PARAM_NORMAL, 1, YESNO, 1, { NULL } },
	[PARAM_MAX_RECV_DATA] = { "MaxRecvDataSegmentLength", "13.12",
	    PARAM_DECLARE, PARAM_FFP, 8192, 512, MAX24, 1048576, { NULL } },
	[PARAM_MAX_BURST] = { "MaxBurstLength", "13.13", PARAM_MIN,
	    PARAM_LEADING | PARAM_NORMAL, 262144, 512, MAX24, 16773120,
	    { NULL } },
	[PARAM_FIRST_BURST] = { "FirstBurstLength", "13.14", PARAM_MIN,
	    PARAM_LEADING | PARAM_NORMAL, 65536, 512, MAX24, 262144,
	    { NULL } },
	[PARAM_TIME2WAIT] = { "DefaultTime2Wait", "13.15", PARAM_MAX,
	    PARAM_LEADING, 2, 0, 3600, 0, { NULL } },
	[PARAM_TIME2RETAIN] = { "DefaultTime2Retain", "13.16", PARAM_MIN,
	    PARAM_LEADING, 20, 0, 3600, 0, { NULL } },
	[PARAM_MAX_R2T] = { "MaxOutstandingR2T", "13.17", PARAM_MIN,
	    PARAM_LEADING | PARAM_NORMAL, 1, 1, 65535, 8, { NULL } },
	[PARAM_DATA_PDU_IN_ORDER] = { "DataPDUInOrder", "13.18", PARAM_OR,
	    PARAM_LEADING | PARAM_NORMAL, 1, YESNO, 1, { NULL } },
	[PARAM_DATA_SEQ_IN_ORDER] = { "DataSequenceInOrder", "13.19",
	    PARAM_OR, PARAM_LEADING | PARAM_NORMAL, 1, YESNO, 1, { NULL } },
	[PARAM_ERL] = { "ErrorRecoveryLevel", "13.20", PARAM_MIN,
	    PARAM_LEADING, 0, 0, 2, 0, { NULL } },
	[PARAM_PROTOCOL_LEVEL] = { "iSCSIProtocolLevel", "13.24",
	    PARAM_MIN, PARAM_LEADING, 1, 0, 31, 1, { NULL } },
	[PARAM_TASK_REPORTING] = { "TaskReporting", "13.23", PARAM_LIST,
	    PARAM_LEADING | PARAM_NORMAL, 0, 0, 0, 0x1, { "RFC3720" } },
	[PARAM_OF_MARKER] = { "OFMarker", "13.25", PARAM_AND, 0,
	    0, YESNO, 0, { NULL } },
	[PARAM_IF_MARKER] = { "IFMarker", "13.25", PARAM_AND, 0,
	    0, YESNO, 0, { NULL } },
	[PARAM_OF_MARK_INT] = { "OFMarkInt", "13.25", PARAM_OBSOLETE, 0,
	    0, 0, 0, 0, { NULL } },
	[PARAM_IF_MARK_INT] = { "IFMarkInt", "13.25", PARAM_OBSOLETE, 0,
	    0, 0, 0, 0, { NULL } },
	[PARAM_RDMA] = { "RDMAExtensions", "RFC 7145 6.3", PARAM_AND,
	    PARAM_LEADING | PARAM_NORMAL, 0, YESNO, 0, { NULL } },
};

void
param_set_init(struct param_set *s)
{
	*s = (struct param_set){ .seen = 0 };
	for (int i = 0; i < PARAM_COUNT; i++) {
		s->mine[i] = param_defs[i].mine;
		s->his[i] = s->active[i] = param_defs[i].def;
	}
}

int
param_find(const char *key)
{
	for (int i = 0; i < PARAM_COUNT; i++)
		if (strcmp(param_defs[i].key, key) == 0)
			return i;
	return -ENOENT;
}

static bool
is_one_of(const char *const *keys, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

bool
param_is_declared(const char *key)
{
	static const char *const keys[] = {
		"InitiatorAlias", "X#NodeArchitecture",	/* 13.7, 13.26 */
	};

	return is_one_of(keys, sizeof(keys) / sizeof(keys[0]), key);
}

bool
param_is_reserved(const char *key)
{
	static const char *const keys[] = {
		"AuthMethod", "CHAP_A", "CHAP_C", "CHAP_I", "CHAP_N", "CHAP_R",
		"InitiatorName", "SendTargets", "SessionType", "TargetAddress",
		"TargetAlias", "TargetName", "TargetPortalGroupTag",
	};

	return is_one_of(keys, sizeof(keys) / sizeof(keys[0]), key);
}

static int
choice_find(const struct param_def *d, const char *name, size_t len)
{
	for (int i = 0; i < PARAM_CHOICES_MAX && d->choices[i]; i++)
		if (strlen(d->choices[i]) == len &&
		    memcmp(d->choices[i], name, len) == 0)
			return i;
	return -ENOENT;
}

/* A list offer in order: choice + 1 in 4 bits each, first in the lowest. */
static uint32_t
param_list_parse(const struct param_def *d, const char *value)
{
	uint32_t list = 0;
	unsigned n = 0;

	for (;;) {
		size_t len = strcspn(value, ",");
		int choice = choice_find(d, value, len);

		if (choice >= 0 && n < 8)
			list |= (uint32_t)(choice + 1) << (4 * n++);
		if (!value[len])
			return list;
		value += len + 1;
	}
}

static int
list_merge(uint32_t mask, uint32_t list, uint32_t *ret_choice)
{
	for (; list; list >>= 4) {
		uint32_t choice = (list & 15) - 1;

		if (mask & (1U << choice)) {
			*ret_choice = choice;
			return 0;
		}
	}
	return -EINVAL;
}

int
param_merge(const struct param_def *d, uint32_t mine, uint32_t his,
    uint32_t *ret_active)
{
	switch (d->rule) {
	case PARAM_MIN:
		*ret_active = mine < his ? mine : his;
		return 0;
	case PARAM_MAX:
		*ret_active = mine > his ? mine : his;
		return 0;
	case PARAM_AND:
		*ret_active = mine && his;
		return 0;
	case PARAM_OR:
		*ret_active = mine || his;
		return 0;
	case PARAM_LIST:
		return list_merge(mine, his, ret_active);
	case PARAM_DECLARE:
		*ret_active = his;
		return 0;
	default:
		return -EINVAL;
	}
}

/* 0, -VMFS_EPROTO: not a value of this type, -ERANGE: one we must refuse. */
static int
value_parse(const struct param_def *d, const char *value, uint32_t *ret_v)
{
	uint32_t v;

	switch (d->rule) {
	case PARAM_AND:
	case PARAM_OR:
		if (strcmp(value, "Yes") != 0 && strcmp(value, "No") != 0)
			return -ERANGE;
		*ret_v = value[0] == 'Y';
		return 0;
	case PARAM_LIST:
		*ret_v = param_list_parse(d, value);
		return 0;
	case PARAM_OBSOLETE:
		return -ERANGE;
	default:
		if (text_number(value, &v) < 0)
			return -VMFS_EPROTO;
		if (v < d->min || v > d->max)
			return -ERANGE;
		*ret_v = v;
		return 0;
	}
}

void
param_text(const struct param_def *d, uint32_t value,
    char text[PARAM_ANSWER_MAX])
{
	switch (d->rule) {
	case PARAM_AND:
	case PARAM_OR:
		snprintf(text, PARAM_ANSWER_MAX, "%s", value ? "Yes" : "No");
		break;
	case PARAM_LIST:
		snprintf(text, PARAM_ANSWER_MAX, "%s", d->choices[value]);
		break;
	default:
		snprintf(text, PARAM_ANSWER_MAX, "%" PRIu32, value);
		break;
	}
}

static bool
is_answer_word(const char *value)
{
	return strcmp(value, "Reject") == 0 ||
	    strcmp(value, "Irrelevant") == 0 ||
	    strcmp(value, "NotUnderstood") == 0;
}

static void
refuse(char answer[PARAM_ANSWER_MAX], const char *word)
{
	snprintf(answer, PARAM_ANSWER_MAX, "%s", word);
}

int
param_offer(struct param_set *s, enum param p, const char *value,
    enum param_phase phase, char answer[PARAM_ANSWER_MAX])
{
	const struct param_def *d = &param_defs[p];
	uint32_t his, active;
	int r;

	answer[0] = '\0';
	if (is_answer_word(value))
		return 0;
	if (phase == PARAM_FULL_FEATURE && !(d->use & PARAM_FFP)) {
		refuse(answer, "Reject");
		return 0;
	}
	/* One negotiation of a key in a login, 6.3. */
	if (phase != PARAM_FULL_FEATURE && (s->seen & (1U << p)))
		return -VMFS_EPROTO;
	if (phase == PARAM_LOGIN_DISCOVERY && (d->use & PARAM_NORMAL)) {
		refuse(answer, "Irrelevant");
		return 0;
	}
	r = value_parse(d, value, &his);
	if (r == 0)
		r = param_merge(d, s->mine[p], his, &active);
	if (r == -VMFS_EPROTO)
		return r;
	if (r < 0) {
		refuse(answer, "Reject");
		return 0;
	}
	s->seen |= 1U << p;
	s->his[p] = his;
	s->active[p] = active;
	if (d->rule != PARAM_DECLARE)
		param_text(d, active, answer);
	return 0;
}
