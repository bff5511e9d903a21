/* SPDX-License-Identifier: MIT */
/* The switch for System V x86-64. rbx, rbp, r12 to r15, mxcsr and the x87 control word are the
 * callee's to keep: they are pushed, below them nothing. The frame is what vai__ctx_prepare
 * builds and ctx_amd64.S enters.
 *
 * Inline, for the processor's return predictor: it expects a return for each call. A called
 * switch would leave one entry too many for everybody who returns afterwards, all the way
 * up to the Lua interpreter. Without it the returns of the goroutine that goes on match the
 * calls of the one that stopped, which mostly waits in the same functions (measured: 159
 * to 131 ns for a round trip over two channels). The jump through a register is predicted
 * by its history.
 *
 * Loading the control words is slow, so they are loaded only where they differ; they are
 * read back one by one, as they were stored, or the load waits for both stores. */
#ifndef VAI_CTX_AMD64_H
#define VAI_CTX_AMD64_H

#ifdef __AVX512F__
#define VAI_CTX_WIDE \
	, "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", \
		"xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define VAI_CTX_WIDE
#endif

/* Saves the caller in *save and continues what `load` was saved from. */
static inline __attribute__((always_inline)) void vai__ctx_swap(void **save, void *load)
{
	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\t" /* the red zone is the caller's */
					 "leaq 9f(%%rip), %%rax\n\t"
					 "pushq %%rax\n\t"
					 "pushq %%rbp\n\t"
					 "pushq %%rbx\n\t"
					 "pushq %%r12\n\t"
					 "pushq %%r13\n\t"
					 "pushq %%r14\n\t"
					 "pushq %%r15\n\t"
					 "subq $8, %%rsp\n\t"
					 "stmxcsr (%%rsp)\n\t"
					 "fnstcw 4(%%rsp)\n\t"
					 "movl (%%rsp), %%eax\n\t"
					 "movzwl 4(%%rsp), %%ecx\n\t"
					 "movq %%rsp, (%0)\n\t"
					 "movq %1, %%rsp\n\t"
					 "cmpl (%%rsp), %%eax\n\t"
					 "jne 7f\n\t"
					 "cmpw 4(%%rsp), %%cx\n\t"
					 "je 8f\n"
					 "7:\tldmxcsr (%%rsp)\n\t"
					 "fldcw 4(%%rsp)\n"
					 "8:\taddq $8, %%rsp\n\t"
					 "popq %%r15\n\t"
					 "popq %%r14\n\t"
					 "popq %%r13\n\t"
					 "popq %%r12\n\t"
					 "popq %%rbx\n\t"
					 "popq %%rbp\n\t"
					 "popq %%rcx\n\t"
					 "jmp *%%rcx\n"
					 "9:\tleaq 128(%%rsp), %%rsp"
					 : "+D"(save), "+S"(load)
					 :
					 : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3",
					 "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
					 "xmm15" VAI_CTX_WIDE);
}

#undef VAI_CTX_WIDE
#endif
