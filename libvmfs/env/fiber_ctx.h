/* SPDX-License-Identifier: BSD-2-Clause */
/* Stacks and context switches of fibers; private to sched.c. */
#ifndef VMFS_ENV_FIBER_CTX_H
#define VMFS_ENV_FIBER_CTX_H

#include <stddef.h>
#include <ucontext.h>

#include "libvmfs/base/err.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define FIBER_TSAN 1
#endif

/* Whether fiber_switch.h serves, or ucontext. */
#if (defined(__x86_64__) || defined(__aarch64__)) && \
    !defined(__SHSTK__) && !(defined(__CET__) && (__CET__ & 2)) && \
    !defined(FIBER_ASAN) && !defined(FIBER_TSAN)
#define FIBER_SWITCH 1
#endif

/*
 * Usable bytes of a stack; below it lies a guard page.  Memory is used only
 * as far as a fiber gets.  Sanitizers make frames several times larger.
 */
#if defined(FIBER_ASAN) || defined(FIBER_TSAN)
#define FIBER_STACK_SIZE ((size_t)512 << 10)
#else
#define FIBER_STACK_SIZE ((size_t)128 << 10)
#endif

/* A context that can be switched to: a fiber's, or the loop's own. */
struct fiber_ctx {
#ifdef FIBER_SWITCH
	void *sp;
#else
	ucontext_t uc;
#endif
	void *map;		/* stack with guard page; NULL for the loop */
	const void *stack_bottom; /* for AddressSanitizer */
	size_t stack_size;
	void *fake_stack;
	void *tsan_fiber;	/* for ThreadSanitizer */
};

/* Maps a stack.  0 or -ENOMEM. */
int fiber_ctx_init(struct fiber_ctx *c) MUST_CHECK;
void fiber_ctx_fini(struct fiber_ctx *c);
/*
 * Makes the next switch to c call fn(arg), which never returns but switches
 * away for good with `ended`.
 */
void fiber_ctx_set(struct fiber_ctx *c, void (*fn)(void *arg), void *arg);
/* The loop's context: of the thread that calls, for the coming switches. */
void fiber_ctx_enter(struct fiber_ctx *loop);
/* Saves into `from` and goes on in `to`; returns when switched back. */
void fiber_ctx_switch(struct fiber_ctx *from, struct fiber_ctx *to, int ended);

#endif
