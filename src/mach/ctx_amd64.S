/* SPDX-License-Identifier: MIT */
/* System V x86-64: rbx, rbp, r12 to r15, mxcsr and the x87 control word are the callee's
 * to keep. Loading the control words is slow, so they are loaded only where they differ;
 * they are read back one by one, as they were stored, or the load waits for both stores.
 * The return is a jump through a register: the return predictor belongs to the stack left. */
#if defined(__x86_64__) && !defined(VAI_UCONTEXT)
	.text
	.globl vai__ctx_swap
	.hidden vai__ctx_swap
	.type vai__ctx_swap, @function
	.p2align 4
vai__ctx_swap:
	.cfi_startproc
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	subq $8, %rsp
	stmxcsr (%rsp)
	fnstcw 4(%rsp)
	movl (%rsp), %eax
	movzwl 4(%rsp), %ecx
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	cmpl (%rsp), %eax
	jne 1f
	cmpw 4(%rsp), %cx
	je 2f
1:	ldmxcsr (%rsp)
	fldcw 4(%rsp)
2:	addq $8, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	popq %rcx
	jmp *%rcx
	.cfi_endproc
	.size vai__ctx_swap, .-vai__ctx_swap

	/* First entry of a context: r12 is the argument, r13 the function. */
	.globl vai__ctx_start
	.hidden vai__ctx_start
	.type vai__ctx_start, @function
	.p2align 4
vai__ctx_start:
	.cfi_startproc
	.cfi_undefined rip
	movq %r12, %rdi
	xorl %ebp, %ebp
	call *%r13
	ud2
	.cfi_endproc
	.size vai__ctx_start, .-vai__ctx_start
#endif
	.section .note.GNU-stack,"",@progbits
