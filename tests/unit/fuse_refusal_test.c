/* SPDX-License-Identifier: BSD-2-Clause */
/* What people are told about who holds a lock, and what to do. */
#include <atf-c.h>
#include <string.h>

#include "fuse/refusal.h"
#include "libvmfs/core/fs.h"

static const struct timers timers = { .fence_ms = 18000 };

static void
expect(const struct lock_holder *h, const char *words)
{
	char text[REFUSAL_SIZE];

	refusal_text("/vm.vmdk", h, &timers, text);
	ATF_CHECK_MSG(strstr(text, words) != NULL, "no \"%s\" in \"%s\"",
	    words, text);
	ATF_CHECK(strlen(text) < REFUSAL_SIZE - 1);
}

static struct lock_holder
held(enum lock_mode mode, enum holder_state state)
{
	return (struct lock_holder){
		.mode = mode, .state = state, .count = 1, .name = "esx1",
		.silent_ms = 4200, .fence_in_ms = 2100,
	};
}

ATF_TC_WITHOUT_HEAD(the_holder_is_named);
ATF_TC_BODY(the_holder_is_named, tc)
{
	struct lock_holder h = held(LOCK_EXCLUSIVE, HOLDER_LIVE);

	(void)tc;
	expect(&h, "/vm.vmdk is locked by host esx1 (exclusive, since "
	    "unknown, heartbeat 4 s ago); ");
	h.since_us = 1795246745000000;
	expect(&h, "since 2026-11-21 ");
	h = held(LOCK_MULTI_WRITER, HOLDER_LIVE);
	h.count = 3;
	expect(&h, "by host esx1 and 2 more (multi-writer, ");
	h = held(LOCK_SHARED, HOLDER_LIVE);
	expect(&h, "by host esx1 (shared, ");
	h = held(LOCK_FREE, HOLDER_DEAD);
	expect(&h, "a moment ago; try again");
	h = held(LOCK_EXCLUSIVE, HOLDER_LIVE);
	(void)strcpy(h.from, "esx2");
	expect(&h, "/vm.vmdk is being handed over to host esx1 by host esx2 (");
}

ATF_TC_WITHOUT_HEAD(each_state_has_its_advice);
ATF_TC_BODY(each_state_has_its_advice, tc)
{
	struct lock_holder h = held(LOCK_EXCLUSIVE, HOLDER_LIVE);

	(void)tc;
	expect(&h, "power it off there; when that host dies it is fenced "
	    "after 18 s, or by vmfsctl host fence");
	h = held(LOCK_EXCLUSIVE, HOLDER_SELF);
	expect(&h, "in use on this host: close it here first");
	h.by = FS_BY_MOUNT;
	expect(&h, "in use on this host: a program has it open in the mount");
	h.by = FS_BY_EXPORT;
	expect(&h, "in use on this host: it is attached: vmfsctl disk detach");
	h.by = FS_BY_LUN;
	expect(&h, "in use on this host: it is a LUN (vmfsctl lun ls)");
	h = held(LOCK_EXCLUSIVE, HOLDER_SUSPECT);
	expect(&h, "will be fenced in 3 s: try again then");
	h.stuck = true;
	expect(&h, "cannot be fenced yet: vmfsctl host ls");
	h = held(LOCK_EXCLUSIVE, HOLDER_RECOVERING);
	expect(&h, "its journal is being replayed: try again in a moment");
	h.stuck = true;
	expect(&h, "its journal cannot be replayed: vmfsctl host ls");
	h = held(LOCK_EXCLUSIVE, HOLDER_DEAD);
	expect(&h, "gone for certain: whoever opens it next gets the lock");
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, the_holder_is_named);
	ATF_TP_ADD_TC(tp, each_state_has_its_advice);
	return atf_no_error();
}
