/* SPDX-License-Identifier: MIT */
/* Where contexts begin on x86-64; the switch itself is in ctx_amd64.h. */
#if defined(__x86_64__) && !defined(VAI_UCONTEXT)
	.text
	/* First entry of a context: r12 is the argument, r13 the function. The nop is for those who unwind from
	 * within the switch to it, and look up the instruction before: here the stack ends. */
	.globl vai__ctx_start
	.hidden vai__ctx_start
	.type vai__ctx_start, @function
	.p2align 4
	.cfi_startproc
	.cfi_undefined rip
	nop
vai__ctx_start:
	movq %r12, %rdi
	xorl %ebp, %ebp
	call *%r13
	ud2
	.cfi_endproc
	.size vai__ctx_start, .-vai__ctx_start
#endif
	.section .note.GNU-stack,"",@progbits
