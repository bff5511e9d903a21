/* SPDX-License-Identifier: MIT */
/* AArch64: x19 to x30, the low halves of v8 to v15 and fpcr are the callee's to keep. */
#if defined(__aarch64__) && !defined(VAI_UCONTEXT)
	.text
	.globl vai__ctx_swap
	.hidden vai__ctx_swap
	.type vai__ctx_swap, %function
	.p2align 4
vai__ctx_swap:
	.cfi_startproc
	sub sp, sp, #176
	stp x19, x20, [sp, #0]
	stp x21, x22, [sp, #16]
	stp x23, x24, [sp, #32]
	stp x25, x26, [sp, #48]
	stp x27, x28, [sp, #64]
	stp x29, x30, [sp, #80]
	stp d8, d9, [sp, #96]
	stp d10, d11, [sp, #112]
	stp d12, d13, [sp, #128]
	stp d14, d15, [sp, #144]
	mrs x9, fpcr
	str x9, [sp, #160]
	mov x10, sp
	str x10, [x0]
	mov sp, x1
	ldr x10, [sp, #160]
	cmp x9, x10
	b.eq 1f
	msr fpcr, x10
1:	ldp x19, x20, [sp, #0]
	ldp x21, x22, [sp, #16]
	ldp x23, x24, [sp, #32]
	ldp x25, x26, [sp, #48]
	ldp x27, x28, [sp, #64]
	ldp x29, x30, [sp, #80]
	ldp d8, d9, [sp, #96]
	ldp d10, d11, [sp, #112]
	ldp d12, d13, [sp, #128]
	ldp d14, d15, [sp, #144]
	add sp, sp, #176
	ret
	.cfi_endproc
	.size vai__ctx_swap, .-vai__ctx_swap

	/* First entry of a context: x19 is the argument, x20 the function. */
	.globl vai__ctx_start
	.hidden vai__ctx_start
	.type vai__ctx_start, %function
	.p2align 4
vai__ctx_start:
	.cfi_startproc
	.cfi_undefined x30
	mov x0, x19
	mov x29, xzr
	blr x20
	brk #1
	.cfi_endproc
	.size vai__ctx_start, .-vai__ctx_start
#endif
	.section .note.GNU-stack,"",%progbits
