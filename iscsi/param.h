/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keys of RFC 7143 clause 13 as one table, and their negotiation as a
 * pure function of what we want and what the peer offers.
 */
#ifndef VMFS_ISCSI_PARAM_H
#define VMFS_ISCSI_PARAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libvmfs/base/err.h"

enum param {
	PARAM_HEADER_DIGEST,
	PARAM_DATA_DIGEST,
	PARAM_MAX_CONNECTIONS,
	PARAM_INITIAL_R2T,
	PARAM_IMMEDIATE_DATA,
	PARAM_MAX_RECV_DATA,
	PARAM_MAX_BURST,
	PARAM_FIRST_BURST,
	PARAM_TIME2WAIT,
	PARAM_TIME2RETAIN,
	PARAM_MAX_R2T,
	PARAM_DATA_PDU_IN_ORDER,
	PARAM_DATA_SEQ_IN_ORDER,
	PARAM_ERL,
	PARAM_PROTOCOL_LEVEL,
	PARAM_TASK_REPORTING,
	PARAM_OF_MARKER,
	PARAM_IF_MARKER,
	PARAM_OF_MARK_INT,
	PARAM_IF_MARK_INT,
	PARAM_RDMA,
	PARAM_COUNT,
};

enum param_rule {
	PARAM_MIN,		/* number: the smaller of both */
	PARAM_MAX,
	PARAM_AND,		/* boolean */
	PARAM_OR,
	PARAM_LIST,		/* first of his list that we take */
	PARAM_DECLARE,		/* each side its own, nothing to agree on */
	PARAM_OBSOLETE,		/* answered with "Reject", 13.25 */
};

/* Who may send a key and when ("Use" and "Senders" of clause 13). */
enum {
	PARAM_LEADING = 1 << 0,	/* leading connection only: session-wide */
	PARAM_FFP = 1 << 1,	/* also in full feature phase */
	PARAM_NORMAL = 1 << 2,	/* Irrelevant in a discovery session */
};

#define PARAM_CHOICES_MAX 4

struct param_def {
	const char *key;
	const char *section;	/* of RFC 7143 unless named otherwise */
	enum param_rule rule;
	unsigned use;
	uint32_t def;		/* value when nobody mentions the key */
	uint32_t min, max;	/* what a peer may offer */
	uint32_t mine;		/* what we offer; a list: mask of choices */
	const char *choices[PARAM_CHOICES_MAX];	/* of a list, by number */
};
extern const struct param_def param_defs[PARAM_COUNT];

/* Values of all keys: numbers, booleans as 0 and 1, a list's choice. */
struct param_set {
	uint32_t mine[PARAM_COUNT];
	uint32_t his[PARAM_COUNT];	/* declared or last offered */
	uint32_t active[PARAM_COUNT];
	uint32_t seen;			/* keys he sent, one bit each */
};

/* Defaults active; mine from the table. */
void param_set_init(struct param_set *s);

/*
 * Result of mine and his.  0, or -EINVAL when a list has nothing we take.
 * DECLARE yields his.
 */
int param_merge(const struct param_def *d, uint32_t mine, uint32_t his,
    uint32_t *ret_active) MUST_CHECK;

/* Number of a key, -ENOENT when it is not in the table. */
int param_find(const char *key) MUST_CHECK;

/*
 * Keys of the RFC beside the table: declarations that nobody answers to, and
 * those that stand for something else or are the target's to send.
 */
bool param_is_declared(const char *key);
bool param_is_reserved(const char *key);

#define PARAM_ANSWER_MAX 32

enum param_phase { PARAM_LOGIN, PARAM_LOGIN_DISCOVERY, PARAM_FULL_FEATURE };

/*
 * Takes an offer of the peer; answer becomes the value to send back, "" when
 * the rule needs none.  -VMFS_EPROTO when the key came twice in one login or
 * its value cannot be read.
 */
int param_offer(struct param_set *s, enum param p, const char *value,
    enum param_phase phase, char answer[PARAM_ANSWER_MAX]) MUST_CHECK;

/* Our own value of a key as text, for declarations. */
void param_text(const struct param_def *d, uint32_t value,
    char text[PARAM_ANSWER_MAX]);

#endif
