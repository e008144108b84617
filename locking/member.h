/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Membership hint: what the network says about a host.  It only makes fencing
 * start sooner; no safety hangs on it, and every word of it may be wrong.
 */
#ifndef VMFS_LOCKING_MEMBER_H
#define VMFS_LOCKING_MEMBER_H

#include "libvmfs/base/uuid.h"

enum member_word {
	MEMBER_NO_WORD,		/* network not used, or it knows nothing */
	MEMBER_UP,
	MEMBER_GONE,
};

/* "", "up", "gone". */
const char *member_word_name(enum member_word word);

struct member;
struct member_ops {
	/* Does not suspend.  Any thread. */
	enum member_word (*word)(struct member *m, const struct uuid *host);
};
struct member {
	const struct member_ops *ops;
};

/* The member port without a network: never a word.  Static storage. */
struct member *member_static(void);

#endif
