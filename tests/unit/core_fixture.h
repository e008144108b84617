/* SPDX-License-Identifier: BSD-2-Clause */
/* A datastore on a LUN in memory, for tests of the core; fiber context. */
#ifndef TESTS_UNIT_CORE_FIXTURE_H
#define TESTS_UNIT_CORE_FIXTURE_H

#include "libvmfs/base/prng.h"
#include "libvmfs/core/ds.h"
#include "libvmfs/core/mkds.h"
#include "libvmfs/core/recover.h"
#include "libvmfs/env/reactor.h"

struct fixture {
	struct env env;
	struct prng prng;	/* behind env.random: runs are repeatable */
	struct disk *disk;	/* all I/O goes here; the test's */
	struct super super;
	struct lockops *locks;
	struct ds *ds;
	struct ds_conf conf;	/* changes before fixture_mount count */
};

/* Runs the test body `fn` as a fiber; fails the test on a negative result. */
void fixture_run(int (*fn)(void *arg), void *arg);
/* Fills f; makes a datastore on f->disk unless `disk` already has one. */
void fixture_init(struct fixture *f, struct disk *disk, bool make);
/* Local locks and the datastore; results of lock_local_new and ds_open. */
int fixture_mount(struct fixture *f) MUST_CHECK;
/* Result of ds_close. */
int fixture_umount(struct fixture *f) MUST_CHECK;
/* As after a power cut: nothing more is written. */
void fixture_crash(struct fixture *f);
/* Replays slot 0's journal on `disk`. */
int fixture_recover(struct fixture *f, struct disk *disk,
    struct recover_report *ret_r) MUST_CHECK;

typedef int acquire_fn(struct lockops *l, uint64_t addr, enum lock_mode mode,
    unsigned flags, uint64_t deadline_ns, struct lock_grant *ret_g,
    struct lock_holder *ret_holder);
/* Locks are taken by fn, which may ask acquire_really, from now on; and no
 * more. */
void acquire_by(struct fixture *f, acquire_fn *fn);
acquire_fn acquire_really;
void acquire_as_before(struct fixture *f);

/* Every cluster's counters against bitmap and metachunk heads, as they are on
 * `disk`; returns the free chunks of all. */
uint64_t fixture_check_space(struct fixture *f, struct disk *disk);

#endif
