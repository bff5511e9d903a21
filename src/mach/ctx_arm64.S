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
	.cfi_def_cfa_offset 176
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
	/* From here on the caller is the one whose registers lie here, loaded already or not. */
	.cfi_offset x19, -176
	.cfi_offset x20, -168
	.cfi_offset x21, -160
	.cfi_offset x22, -152
	.cfi_offset x23, -144
	.cfi_offset x24, -136
	.cfi_offset x25, -128
	.cfi_offset x26, -120
	.cfi_offset x27, -112
	.cfi_offset x28, -104
	.cfi_offset x29, -96
	.cfi_offset x30, -88
	.cfi_offset d8, -80
	.cfi_offset d9, -72
	.cfi_offset d10, -64
	.cfi_offset d11, -56
	.cfi_offset d12, -48
	.cfi_offset d13, -40
	.cfi_offset d14, -32
	.cfi_offset d15, -24
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
	.cfi_restore x19
	.cfi_restore x20
	.cfi_restore x21
	.cfi_restore x22
	.cfi_restore x23
	.cfi_restore x24
	.cfi_restore x25
	.cfi_restore x26
	.cfi_restore x27
	.cfi_restore x28
	.cfi_restore x29
	.cfi_restore x30
	.cfi_restore d8
	.cfi_restore d9
	.cfi_restore d10
	.cfi_restore d11
	.cfi_restore d12
	.cfi_restore d13
	.cfi_restore d14
	.cfi_restore d15
	add sp, sp, #176
	.cfi_def_cfa_offset 0
	ret
	.cfi_endproc
	.size vai__ctx_swap, .-vai__ctx_swap

	/* First entry of a context: x19 is the argument, x20 the function. The nop is for those who unwind from
	 * within the switch to it, and look up the instruction before: here the stack ends. */
	.globl vai__ctx_start
	.hidden vai__ctx_start
	.type vai__ctx_start, %function
	.p2align 4
	.cfi_startproc
	.cfi_undefined x30
	nop
vai__ctx_start:
	mov x0, x19
	mov x29, xzr
	blr x20
	brk #1
	.cfi_endproc
	.size vai__ctx_start, .-vai__ctx_start
#endif
	.section .note.GNU-stack,"",%progbits
