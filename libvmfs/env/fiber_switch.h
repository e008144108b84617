/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A switch of stacks without a system call, private to fiber_ctx.c.
 *
 * swapcontext saves the signal mask by rt_sigprocmask at each switch, which
 * costs more than all else of it; fibers of a thread have one mask.  Where
 * this is not written for (other processors, shadow stacks) and where the
 * sanitizers must follow, ucontext serves.
 */
#ifndef VMFS_ENV_FIBER_SWITCH_H
#define VMFS_ENV_FIBER_SWITCH_H

#include "libvmfs/env/fiber_ctx.h"

#ifdef FIBER_SWITCH
/* Saves registers on this stack and its pointer in *from; goes on at `to`. */
void vmfs_fiber_switch(void **from, void *to);
/* What to switch to first on the stack below `top`, aligned to 16 bytes, to
 * have fn(arg) called there; it must not return. */
void *vmfs_fiber_first(void *top, void (*fn)(void *arg), void *arg);
#endif

#endif
