# SPDX-License-Identifier: BSD-2-Clause
# A guest in one sector that counts: number n goes to sector 2048 + n mod 1024
# of the disk it has booted from, and each 64th to the serial port, in hex and
# after its write was acknowledged.  "E" and a number: that write failed.
	.code16
	.globl _start
	.set NUMBER, 0x8000		# the sector that is written
_start:
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7c00, %sp
	movb	%dl, drive
next:	incl	NUMBER
	movl	NUMBER, %eax
	andl	$1023, %eax
	addl	$2048, %eax
	movl	%eax, packet + 8
	movw	$1, packet + 2		# the BIOS tells here how many it wrote
	movw	$0x4300, %ax		# extended write, INT 13h
	movb	drive, %dl
	movw	$packet, %si
	int	$0x13
	jc	failed
	testb	$63, NUMBER
	jnz	next
show:	movl	NUMBER, %ebx
	movw	$8, %cx
digit:	roll	$4, %ebx
	movb	%bl, %al
	andb	$15, %al
	addb	$'0', %al
	cmpb	$'9', %al
	jbe	1f
	addb	$'a' - '0' - 10, %al
1:	call	put
	loop	digit
	movb	$'\n', %al
	call	put
	jmp	next
failed:	movb	$'E', %al
	call	put
	jmp	show
put:	movb	%al, %ah
	movw	$0x3fd, %dx
2:	inb	%dx, %al
	testb	$0x20, %al
	jz	2b
	movb	%ah, %al
	movw	$0x3f8, %dx
	outb	%al, %dx
	ret
drive:	.byte	0
	.balign	4
packet:	.byte	16, 0
	.word	1, NUMBER, 0
	.long	0, 0
	.org	510
	.word	0xaa55
