/* SPDX-License-Identifier: BSD-2-Clause */
/* Is a volume what it was promised to be, and does it go on working? */
#ifndef TESTS_CRASH_VERIFY_H
#define TESTS_CRASH_VERIFY_H

#include "tests/crash/script.h"

/*
 * `disk` was replayed; it is changed.  0, or -EPROTO with the sentence in
 * `problem`.  Suspends.
 */
int verify(const struct script *s, const struct promise *p,
    struct pages *disk, char *problem, size_t size) MUST_CHECK;

/*
 * A volume that is in use shows on the playing host exactly what it should:
 * names, and of objects all, or those that the deed has changed.
 */
int verify_live(const struct script *s, const struct promise *p,
    const struct deed *changed, char *problem, size_t size) MUST_CHECK;
/* fsck finds nothing on a volume that is not in use, or no damage. */
int verify_unused(struct env *env, struct disk *disk, bool may_leak,
    char *problem, size_t size) MUST_CHECK;

#endif
