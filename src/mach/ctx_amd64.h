/* SPDX-License-Identifier: MIT */
/* The switch for System V x86-64. rbx, rbp, r12 to r15, mxcsr and the x87 control word have to be kept for the
 * caller: they go into a record in the frame of the function that switches. vai__ctx_prepare builds such a record,
 * and ctx_amd64.S is what it enters.
 *
 * The switch is inline for the sake of the processor's return predictor, which expects a return for each call. A
 * switch in a function of its own would leave one entry too many for every function that returns afterwards, all the
 * way up to the Lua interpreter. Inlined, the returns of the goroutine that goes on match the calls of the one that
 * stopped, which mostly waits in the same functions (measured: 159 to 131 ns for a round trip over two channels).
 * The jump through memory is predicted by its history.
 *
 * Reading and loading the control words is slow: a fifth of a switch each. So they are loaded only where they differ,
 * and not read by a caller that knows its own (`words`), as the scheduler's loop does, which never changes them. They
 * are read back one by one, as they were stored; otherwise the load would wait for both stores.
 *
 * Profilers unwind from any instruction. While registers are saved, nothing has changed for the function around.
 * From the first register that is loaded until the jump, the caller's registers are those in the record at rsi: the
 * stack pointer is what is stored there, and so is every other register. An unwinder looks up the instruction before
 * a return address: hence the nop before the place where a context goes on. */
#ifndef VAI_CTX_AMD64_H
#define VAI_CTX_AMD64_H

struct vai__ctx_regs {
	void *rsp, *rip, *rbp, *rbx, *r12, *r13, *r14, *r15; /* the numbers below are offsets here */
	unsigned mxcsr;
	unsigned short fcw;
};

#ifdef __AVX512F__
#define VAI_CTX_WIDE \
	, "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", \
		"xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define VAI_CTX_WIDE
#endif

#ifdef __GCC_HAVE_DWARF2_CFI_ASM
/* DW_CFA_def_cfa_expression: what rsi points to. Then DW_CFA_expression for each register: its number, and where. */
#define VAI_CTX_LEAVE \
	".cfi_remember_state\n\t" \
	".cfi_escape 0x0f, 3, 0x74, 0, 0x06\n\t" \
	".cfi_escape 0x10, 16, 2, 0x74, 8, 0x10, 6, 2, 0x74, 16, 0x10, 3, 2, 0x74, 24\n\t" \
	".cfi_escape 0x10, 12, 2, 0x74, 32, 0x10, 13, 2, 0x74, 40, 0x10, 14, 2, 0x74, 48\n\t" \
	".cfi_escape 0x10, 15, 2, 0x74, 56\n\t"
#define VAI_CTX_BACK ".cfi_restore_state\n\t"
#else
#define VAI_CTX_LEAVE
#define VAI_CTX_BACK
#endif

/* The control words of the caller: mxcsr, and above it that of the x87. */
static inline uint64_t vai__ctx_words(void)
{
	unsigned mxcsr;
	unsigned short fcw;
	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(fcw));
	return (uint64_t)fcw << 32 | mxcsr;
}

/* read: puts the caller's control words into its record, and jumps to 7 unless they are those of the other one. */
#define VAI_CTX_SWAP(read) \
	"movq %0, (%2)\n\t" \
	"leaq 9f(%%rip), %%rax\n\t" \
	"movq %%rsp, (%0)\n\t" \
	"movq %%rax, 8(%0)\n\t" \
	"movq %%rbp, 16(%0)\n\t" \
	"movq %%rbx, 24(%0)\n\t" \
	"movq %%r12, 32(%0)\n\t" \
	"movq %%r13, 40(%0)\n\t" \
	"movq %%r14, 48(%0)\n\t" \
	"movq %%r15, 56(%0)\n\t" read "je 8f\n" \
	"7:\tldmxcsr 64(%1)\n\t" \
	"fldcw 68(%1)\n" \
	"8:\t" VAI_CTX_LEAVE "movq 16(%1), %%rbp\n\t" \
	"movq 24(%1), %%rbx\n\t" \
	"movq 32(%1), %%r12\n\t" \
	"movq 40(%1), %%r13\n\t" \
	"movq 48(%1), %%r14\n\t" \
	"movq 56(%1), %%r15\n\t" \
	"movq (%1), %%rsp\n\t" \
	"jmp *8(%1)\n\t" VAI_CTX_BACK "nop\n" \
	"9:"
#define VAI_CTX_CLOBBERS \
	"rax", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", \
		"xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15" VAI_CTX_WIDE

/* Saves the caller in *save and continues what `load` was saved from. */
static inline __attribute__((always_inline)) void vai__ctx_swap(void **save, void *load)
{
	struct vai__ctx_regs here;
	void *mine = &here;
	__asm__ volatile(VAI_CTX_SWAP("stmxcsr 64(%0)\n\t"
								  "fnstcw 68(%0)\n\t"
								  "movl 64(%0), %%eax\n\t"
								  "movzwl 68(%0), %%ecx\n\t"
								  "cmpl 64(%1), %%eax\n\t"
								  "jne 7f\n\t"
								  "cmpw 68(%1), %%cx\n\t")
					 : "+d"(mine), "+S"(load), "+D"(save)
					 :
					 : "rcx", VAI_CTX_CLOBBERS);
}

/* The same for a caller whose control words are these. */
static inline __attribute__((always_inline)) void vai__ctx_swap_known(void **save, void *load, uint64_t words)
{
	struct vai__ctx_regs here;
	void *mine = &here;
	__asm__ volatile(VAI_CTX_SWAP("movq %3, 64(%0)\n\t"
								  "cmpl 64(%1), %k3\n\t"
								  "jne 7f\n\t"
								  "shrq $32, %3\n\t"
								  "cmpw 68(%1), %w3\n\t")
					 : "+d"(mine), "+S"(load), "+D"(save), "+c"(words)
					 :
					 : VAI_CTX_CLOBBERS);
}

#undef VAI_CTX_SWAP
#undef VAI_CTX_CLOBBERS
#undef VAI_CTX_WIDE
#undef VAI_CTX_LEAVE
#undef VAI_CTX_BACK
#endif
