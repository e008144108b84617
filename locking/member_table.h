/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a group communication layer has told about processes, turned into a
 * word about a host.  No I/O here: member_corosync.c feeds it.
 *
 *   a process of the host            word
 *   never announced the host         no word
 *   is in the group                  up
 *   left the group, its node lives   gone
 *   was lost with its node           gone, if our part of the network has
 *                                    the quorum; else no word: it may be us
 *                                    who are cut off
 */
#ifndef VMFS_LOCKING_MEMBER_TABLE_H
#define VMFS_LOCKING_MEMBER_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "locking/member.h"

#define MEMBER_TABLE_MAX 512

struct member_proc {
	uint32_t node, pid;
};

enum member_presence {
	MEMBER_PRESENT,
	MEMBER_LEFT,		/* left, or its process ended */
	MEMBER_NODE_LOST,
};

struct member_entry {
	struct member_proc proc;
	enum member_presence presence;
	bool announced;		/* host is known */
	struct uuid host;
	uint64_t order;		/* of the last change: old ones make room */
};

struct member_table {
	struct member_entry entry[MEMBER_TABLE_MAX];
	unsigned count;
	uint64_t order;
	bool quorate;
};

/* Nothing is known any more: our own access to the network was lost. */
void member_table_reset(struct member_table *t);
/* The process is in the group; harmless when it was before. */
void member_table_present(struct member_table *t, struct member_proc proc);
void member_table_left(struct member_table *t, struct member_proc proc,
    bool with_its_node);
/* A process in the group says which host it is. */
void member_table_announced(struct member_table *t, struct member_proc proc,
    const struct uuid *host);
enum member_word member_table_word(const struct member_table *t,
    const struct uuid *host);

#endif
