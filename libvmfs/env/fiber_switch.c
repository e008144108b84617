/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Saves what the System V ABI for x86-64 (3.2.1, figure 3.4) and the AAPCS64
 * (6.1.1, 6.1.2) say a called function must preserve.
 */
#include "libvmfs/env/fiber_switch.h"

#include <stdint.h>
#include <string.h>

#ifdef FIBER_SWITCH

void vmfs_fiber_enter(void);

#ifdef __x86_64__

__asm__(
"	.text\n"
"	.p2align 4\n"
"	.globl vmfs_fiber_switch\n"
"	.hidden vmfs_fiber_switch\n"
"	.type vmfs_fiber_switch, @function\n"
"vmfs_fiber_switch:\n"
"	pushq %rbp\n"
"	pushq %rbx\n"
"	pushq %r12\n"
"	pushq %r13\n"
"	pushq %r14\n"
"	pushq %r15\n"
"	subq $8, %rsp\n"
"	stmxcsr (%rsp)\n"
"	fnstcw 4(%rsp)\n"
"	movq %rsp, (%rdi)\n"
"	movq %rsi, %rsp\n"
"	ldmxcsr (%rsp)\n"
"	fldcw 4(%rsp)\n"
"	addq $8, %rsp\n"
"	popq %r15\n"
"	popq %r14\n"
"	popq %r13\n"
"	popq %r12\n"
"	popq %rbx\n"
"	popq %rbp\n"
"	ret\n"
"	.size vmfs_fiber_switch, .-vmfs_fiber_switch\n"
"	.p2align 4\n"
"	.globl vmfs_fiber_enter\n"
"	.hidden vmfs_fiber_enter\n"
"	.type vmfs_fiber_enter, @function\n"
"vmfs_fiber_enter:\n"
"	.cfi_startproc\n"
"	.cfi_undefined rip\n"		/* debuggers stop here */
"	movq %r12, %rdi\n"
"	call *%r13\n"
"	ud2\n"
"	.cfi_endproc\n"
"	.size vmfs_fiber_enter, .-vmfs_fiber_enter\n");

void *
vmfs_fiber_first(void *top, void (*fn)(void *arg), void *arg)
{
	/* Control words, r15, r14, r13, r12, rbx, rbp, return address. */
	uint64_t frame[8] = { 0 };
	uint32_t mxcsr;
	uint16_t fpu;
	char *sp = (char *)top - sizeof(frame);

	__asm__ volatile ("stmxcsr %0" : "=m" (mxcsr));
	__asm__ volatile ("fnstcw %0" : "=m" (fpu));
	frame[0] = mxcsr | (uint64_t)fpu << 32;
	frame[3] = (uintptr_t)fn;
	frame[4] = (uintptr_t)arg;
	frame[7] = (uintptr_t)vmfs_fiber_enter;
	memcpy(sp, frame, sizeof(frame));
	return sp;
}

#else /* __aarch64__ */

__asm__(
"	.text\n"
"	.p2align 4\n"
"	.globl vmfs_fiber_switch\n"
"	.hidden vmfs_fiber_switch\n"
"	.type vmfs_fiber_switch, %function\n"
"vmfs_fiber_switch:\n"
"	sub sp, sp, #160\n"
"	stp x19, x20, [sp, #0]\n"
"	stp x21, x22, [sp, #16]\n"
"	stp x23, x24, [sp, #32]\n"
"	stp x25, x26, [sp, #48]\n"
"	stp x27, x28, [sp, #64]\n"
"	stp x29, x30, [sp, #80]\n"
"	stp d8, d9, [sp, #96]\n"
"	stp d10, d11, [sp, #112]\n"
"	stp d12, d13, [sp, #128]\n"
"	stp d14, d15, [sp, #144]\n"
"	mov x2, sp\n"
"	str x2, [x0]\n"
"	mov sp, x1\n"
"	ldp x19, x20, [sp, #0]\n"
"	ldp x21, x22, [sp, #16]\n"
"	ldp x23, x24, [sp, #32]\n"
"	ldp x25, x26, [sp, #48]\n"
"	ldp x27, x28, [sp, #64]\n"
"	ldp x29, x30, [sp, #80]\n"
"	ldp d8, d9, [sp, #96]\n"
"	ldp d10, d11, [sp, #112]\n"
"	ldp d12, d13, [sp, #128]\n"
"	ldp d14, d15, [sp, #144]\n"
"	add sp, sp, #160\n"
"	ret\n"
"	.size vmfs_fiber_switch, .-vmfs_fiber_switch\n"
"	.p2align 4\n"
"	.globl vmfs_fiber_enter\n"
"	.hidden vmfs_fiber_enter\n"
"	.type vmfs_fiber_enter, %function\n"
"vmfs_fiber_enter:\n"
"	.cfi_startproc\n"
"	.cfi_undefined x30\n"		/* debuggers stop here */
"	mov x0, x19\n"
"	blr x20\n"
"	brk #0\n"
"	.cfi_endproc\n"
"	.size vmfs_fiber_enter, .-vmfs_fiber_enter\n");

void *
vmfs_fiber_first(void *top, void (*fn)(void *arg), void *arg)
{
	/* x19 to x30, d8 to d15. */
	uint64_t frame[20] = { 0 };
	char *sp = (char *)top - sizeof(frame);

	frame[0] = (uintptr_t)arg;
	frame[1] = (uintptr_t)fn;
	frame[11] = (uintptr_t)vmfs_fiber_enter;
	memcpy(sp, frame, sizeof(frame));
	return sp;
}

#endif

#endif
