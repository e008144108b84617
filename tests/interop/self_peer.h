/* SPDX-License-Identifier: BSD-2-Clause */
/* LUNs of our own target, and a test case on them. */
#ifndef VMFS_TESTS_INTEROP_SELF_PEER_H
#define VMFS_TESTS_INTEROP_SELF_PEER_H

#include <atf-c.h>
#include <stdio.h>

#include "tests/interop/initiator_rig.h"
#include "tests/interop/target_peer.h"

#define IQN "iqn.2026-11.io.vmfsd:test"

static inline struct disk *
peer_lun(int lun)
{
	struct disk *d = NULL;
	char what[200];

	snprintf(what, sizeof(what), "%s/" IQN "/%d", peer.portal, lun);
	ATF_REQUIRE_EQ(0, lun_at(what, &d));
	return d;
}

static const char *const memory_luns[] = { "--ram", "64M", "--block-size",
	"4096", "--ram", "16M", NULL };

#define SELF_CASE(name)							\
static void name##_body(void);						\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	(void)tc;							\
	target_start(memory_luns);					\
	run_body(name##_body);						\
	target_kill();							\
}									\
static void name##_body(void)

#endif
