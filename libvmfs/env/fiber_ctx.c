/* SPDX-License-Identifier: BSD-2-Clause */
/* Stacks, switches, and what the sanitizers must be told of them. */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libvmfs/env/fiber_ctx.h"
#include "libvmfs/env/fiber_switch.h"

#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef FIBER_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* First half of a switch: on the stack that is left. */
static void
switch_start(struct fiber_ctx *from, struct fiber_ctx *to, int ended)
{
#ifdef FIBER_ASAN
	/* NULL frees the fake stack of a context that never comes back. */
	__sanitizer_start_switch_fiber(ended ? NULL : &from->fake_stack,
	    to->stack_bottom, to->stack_size);
#endif
#ifdef FIBER_TSAN
	__tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
	(void)from;
	(void)to;
	(void)ended;
}

/* Second half: on the stack that is entered. */
static void
switch_finish(struct fiber_ctx *self)
{
#ifdef FIBER_ASAN
	__sanitizer_finish_switch_fiber(self->fake_stack, NULL, NULL);
#endif
	(void)self;
}

static size_t
guard_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int
fiber_ctx_init(struct fiber_ctx *c)
{
	size_t guard = guard_size();

	c->map = mmap(NULL, guard + FIBER_STACK_SIZE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (c->map == MAP_FAILED) {
		c->map = NULL;
		return -ENOMEM;
	}
	/* A fiber that overflows must fault, not run into its neighbour. */
	if (mprotect(c->map, guard, PROT_NONE) < 0) {
		munmap(c->map, guard + FIBER_STACK_SIZE);
		c->map = NULL;
		return -ENOMEM;
	}
	c->stack_bottom = (char *)c->map + guard;
	c->stack_size = FIBER_STACK_SIZE;
	c->fake_stack = NULL;
	c->tsan_fiber = NULL;
	return 0;
}

static void
sanitizer_forget(struct fiber_ctx *c)
{
#ifdef FIBER_ASAN
	/* The frames of a fiber that never returned are still poisoned. */
	__asan_unpoison_memory_region(c->stack_bottom, c->stack_size);
#endif
#ifdef FIBER_TSAN
	if (c->tsan_fiber != NULL)
		__tsan_destroy_fiber(c->tsan_fiber);
#endif
	c->fake_stack = NULL;
	c->tsan_fiber = NULL;
}

void
fiber_ctx_fini(struct fiber_ctx *c)
{
	if (c->map == NULL)
		return;
	sanitizer_forget(c);
	munmap(c->map, guard_size() + FIBER_STACK_SIZE);
	c->map = NULL;
}

struct entry {
	struct fiber_ctx *ctx;
	void (*fn)(void *arg);
	void *arg;
};

static void
trampoline(void *arg)
{
	struct entry entry = *(const struct entry *)arg;

	switch_finish(entry.ctx);
	entry.fn(entry.arg);
	abort();	/* fn must have switched away */
}

#ifdef FIBER_SWITCH
static void
context_make(struct fiber_ctx *c, char *bottom, size_t size, struct entry *e)
{
	(void)bottom;
	(void)size;
	c->sp = vmfs_fiber_first((void *)((uintptr_t)e & ~(uintptr_t)15),
	    trampoline, e);
}

static void
swap(struct fiber_ctx *from, struct fiber_ctx *to)
{
	vmfs_fiber_switch(&from->sp, to->sp);
}
#else
/* makecontext passes ints only: two halves of the pointer. */
static void
trampoline_uc(unsigned lo, unsigned hi)
{
	trampoline((void *)((uintptr_t)lo | (uintptr_t)hi << 32));
}

static void
context_make(struct fiber_ctx *c, char *bottom, size_t size, struct entry *e)
{
	(void)getcontext(&c->uc);
	c->uc.uc_stack.ss_sp = bottom;
	c->uc.uc_stack.ss_size = size;
	c->uc.uc_link = NULL;
	makecontext(&c->uc, (void (*)(void))(uintptr_t)trampoline_uc, 2,
	    (unsigned)(uintptr_t)e, (unsigned)((uintptr_t)e >> 32));
}

/* ASan's own swapcontext warns on stderr that it may be wrong about fibers,
 * which the annotations above prevent; programs would look as if they did. */
static void
swap(struct fiber_ctx *from, struct fiber_ctx *to)
{
#ifdef FIBER_ASAN
	volatile bool resumed = false;

	(void)getcontext(&from->uc);
	if (!resumed) {
		resumed = true;
		(void)setcontext(&to->uc);
	}
#else
	(void)swapcontext(&from->uc, &to->uc);
#endif
}
#endif

void
fiber_ctx_set(struct fiber_ctx *c, void (*fn)(void *arg), void *arg)
{
	char *bottom = (char *)c->map + guard_size();
	size_t size = FIBER_STACK_SIZE - sizeof(struct entry);
	/* The stack itself keeps the arguments: its first bytes. */
	struct entry *e = (struct entry *)(void *)(bottom + size);

	sanitizer_forget(c);
	*e = (struct entry){ .ctx = c, .fn = fn, .arg = arg };
#ifdef FIBER_TSAN
	c->tsan_fiber = __tsan_create_fiber(0);
#endif
	context_make(c, bottom, size, e);
}

void
fiber_ctx_enter(struct fiber_ctx *loop)
{
#ifdef FIBER_ASAN
	/* Once a thread: the C library reads /proc to find its main stack. */
	static _Thread_local void *bottom;
	static _Thread_local size_t size;
	pthread_attr_t attr;

	if (bottom == NULL && pthread_getattr_np(pthread_self(), &attr) == 0) {
		(void)pthread_attr_getstack(&attr, &bottom, &size);
		(void)pthread_attr_destroy(&attr);
	}
	loop->stack_bottom = bottom;
	loop->stack_size = size;
#endif
#ifdef FIBER_TSAN
	loop->tsan_fiber = __tsan_get_current_fiber();
#endif
	(void)loop;
}

void
fiber_ctx_switch(struct fiber_ctx *from, struct fiber_ctx *to, int ended)
{
	switch_start(from, to, ended);
	swap(from, to);
	switch_finish(from);
}
