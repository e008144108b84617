/* SPDX-License-Identifier: BSD-2-Clause */
/* The suite over the core; fsck finds nothing afterwards. */
#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/posix/on_core.h"
#include "tests/unit/core_fs_rig.h"

static void
say(const char *line)
{
	fprintf(stderr, "%s\n", line);
}

static const struct posix_case *table;
static unsigned entries = 2000;

static uint64_t
wall_us(struct env *env)
{
	struct timespec t;

	(void)env;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void
play(struct rig *r)
{
	struct posix_run run = {
		.host = { core_host(r->fs) }, .hosts = 1,
		.entries = entries, .ours = true, .say = say,
	};

	/* The rig's clock stands still. */
	r->f.env.wall_us = wall_us;
	ATF_CHECK_EQ(0, posix_run_table(&run, table, NULL));
	free(run.host[0]);
}

#define TABLE(name)							\
ATF_TC_WITHOUT_HEAD(name);						\
ATF_TC_BODY(name, tc)							\
{									\
	table = posix_##name;						\
	rig_run(256 * MIB, play);					\
}

TABLE(names)
TABLE(content)
TABLE(access)
TABLE(attrs)

/* -v entries=100000 for as many. */
ATF_TC_WITHOUT_HEAD(dirs);
ATF_TC_BODY(dirs, tc)
{
	if (atf_tc_has_config_var(tc, "entries"))
		entries = (unsigned)atf_tc_get_config_var_as_long(tc,
		    "entries");
	table = posix_dirs;
	rig_run(GIB, play);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, names);
	ATF_TP_ADD_TC(tp, content);
	ATF_TP_ADD_TC(tp, access);
	ATF_TP_ADD_TC(tp, attrs);
	ATF_TP_ADD_TC(tp, dirs);
	return atf_no_error();
}
