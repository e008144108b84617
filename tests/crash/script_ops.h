/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations of a script; each does the same to volume and truth. */
#ifndef TESTS_CRASH_SCRIPT_OPS_H
#define TESTS_CRASH_SCRIPT_OPS_H

#include "tests/crash/script.h"

/* A new name in the root and its empty content. */
int script_create(struct script *s, const char *name, enum inode_type type,
    uint64_t size, unsigned *ret_object) MUST_CHECK;
/* Writes to the disk when that is it, else opens the object for it. */
int script_put(struct script *s, unsigned object, uint64_t offset,
    const uint8_t *data, size_t length) MUST_CHECK;
/* What operations need to have something to work on. */
int script_furnish(struct script *s) MUST_CHECK;
/* The truth is what can be read now; the disk is open afterwards. */
int script_look(struct script *s) MUST_CHECK;
int script_op_do(struct script *s, unsigned op, struct deed *d) MUST_CHECK;

#endif
