/* SPDX-License-Identifier: BSD-2-Clause */
/* See on_core.c. */
#ifndef TESTS_POSIX_ON_CORE_H
#define TESTS_POSIX_ON_CORE_H

#include "libvmfs/core/fs.h"
#include "tests/posix/posix.h"

/* Borrows fs; free() it. */
struct posix_host *core_host(struct fs *fs);

#endif
