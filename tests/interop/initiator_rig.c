/* SPDX-License-Identifier: BSD-2-Clause */
/* Reactor, LUNs and patterns for the initiator's tests. */
#include "tests/interop/initiator_rig.h"

#include <atf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "iscsi/disk_libiscsi.h"
#include "libvmfs/env/env.h"
#include "libvmfs/env/reactor.h"

#define TIMEOUT_MS 3000
#define DEADLINE_S 30

static struct env env;

struct body {
	void (*fn)(void);
};

static int
body_main(void *arg)
{
	struct body *b = arg;

	static struct log log = { .level = LOG_LEVEL_DEBUG,
		.sink = log_sink_stderr };

	env_posix_init(&env, sched_current(),
	    getenv("RIG_LOG") != NULL ? &log : NULL);
	b->fn();
	return 0;
}

void
run_body(void (*fn)(void))
{
	struct body b = { fn };

	ATF_REQUIRE_EQ(0, reactor_run_main(body_main, &b));
}

int
lun_at(const char *what, struct disk **ret_d)
{
	const struct disk_libiscsi_conf conf = { .timeout_ms = TIMEOUT_MS };
	char url[300];

	snprintf(url, sizeof(url), "iscsi://%s", what);
	return disk_libiscsi_open(&env, url, &conf, ret_d);
}

uint8_t *
pattern(size_t len, uint64_t seed)
{
	uint8_t *p = disk_buf_alloc(len);

	ATF_REQUIRE(p != NULL);
	for (size_t i = 0; i < len; i++) {
		seed = seed * UINT64_C(6364136223846793005) +
		    UINT64_C(1442695040888963407);
		p[i] = (uint8_t)(seed >> 56);
	}
	return p;
}

bool
holds(struct disk *d, uint64_t offset, const uint8_t *want, size_t len)
{
	uint8_t *got = disk_buf_alloc(len);
	int rc = disk_read(d, offset, got, len);
	bool same = rc == 0 && memcmp(got, want, len) == 0;

	free(got);
	return same;
}

bool
comes_back(struct disk *d)
{
	time_t end = time(NULL) + DEADLINE_S;
	uint8_t *p = disk_buf_alloc(d->info.block_size);
	int rc;

	do {
		rc = disk_read(d, 0, p, d->info.block_size);
	} while (rc != 0 && time(NULL) < end);
	free(p);
	return rc == 0;
}
