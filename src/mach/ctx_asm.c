/* SPDX-License-Identifier: MIT */
/* First frames for the assembly switches (ctx_amd64.S, ctx_arm64.S). */
#include "mach/ctx.h"

#if !defined(VAI_UCONTEXT) && (defined(__x86_64__) || defined(__aarch64__))
#include <string.h>

void vai__ctx_start(void);

void *vai__ctx_prepare(void *top, void (*entry)(void *arg), void *arg)
{
	uintptr_t *sp = (uintptr_t *)((uintptr_t)top & ~(uintptr_t)15);
#ifdef __x86_64__
	/* Entry finds the stack as after a call: 8 below a multiple of 16 once it is called. */
	sp -= 10;
	memset(sp, 0, 10 * sizeof(*sp));
	uint32_t mxcsr;
	uint16_t fcw;
	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(fcw));
	sp[0] = (uintptr_t)mxcsr | (uintptr_t)fcw << 32;
	sp[3] = (uintptr_t)entry; /* r13 */
	sp[4] = (uintptr_t)arg;   /* r12 */
	sp[7] = (uintptr_t)vai__ctx_start;
#else
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
