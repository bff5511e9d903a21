/* SPDX-License-Identifier: MIT */
/* First frames for the assembly switches (ctx_amd64.S, ctx_arm64.S). */
#include "mach/ctx.h"

#if !defined(VAI_UCONTEXT) && (defined(__x86_64__) || defined(__aarch64__))
#include <string.h>

void vai__ctx_start(void);

void *vai__ctx_prepare(void *top, void (*entry)(void *arg), void *arg)
{
	uintptr_t aligned = (uintptr_t)top & ~(uintptr_t)15;
#ifdef __x86_64__
	/* Entry finds the stack as after a call: 8 below a multiple of 16 once it is called. */
	struct vai__ctx_regs *sp = (struct vai__ctx_regs *)((aligned - sizeof *sp) & ~(uintptr_t)15);
	memset(sp, 0, sizeof *sp);
	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(sp->mxcsr), "=m"(sp->fcw));
	sp->rsp = sp;
	sp->rip = (void *)(uintptr_t)vai__ctx_start;
	sp->r12 = arg;
	sp->r13 = (void *)(uintptr_t)entry;
#else
	uintptr_t *sp = (uintptr_t *)aligned;
	sp -= 22;
	memset(sp, 0, 22 * sizeof(*sp));
	sp[0] = (uintptr_t)arg;             /* x19 */
	sp[1] = (uintptr_t)entry;           /* x20 */
	sp[11] = (uintptr_t)vai__ctx_start; /* x30 */
	__asm__ volatile("mrs %0, fpcr" : "=r"(sp[20]));
#endif
	return sp;
}

#endif
