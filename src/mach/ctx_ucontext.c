/* SPDX-License-Identifier: MIT */
/* The switch for processors without assembly here, also built with -DVAI_UCONTEXT. The
 * saved context lies on the stack that it describes. Slower: it makes a system call. */
#include "mach/ctx.h"

#if defined(VAI_UCONTEXT) || !(defined(__x86_64__) || defined(__aarch64__))
#include <ucontext.h>
#include "base/fatal.h"

void vai__ctx_swap(void **save, void *load)
{
	ucontext_t uc;
	*save = &uc;
	if (swapcontext(&uc, load) != 0)
		vai__fatal("swapcontext failed");
}

static void start(unsigned entry_lo, unsigned entry_hi, unsigned arg_lo, unsigned arg_hi)
{
	uintptr_t entry = (uintptr_t)((uint64_t)entry_hi << 32 | entry_lo);
	uintptr_t arg = (uintptr_t)((uint64_t)arg_hi << 32 | arg_lo);
	((void (*)(void *))entry)((void *)arg);
	vai__fatal("a context returned from its entry");
}

void *vai__ctx_prepare(void *top, void (*entry)(void *arg), void *arg)
{
	enum { ROOM = 16384 }; /* makecontext wants a size; the stack's real size is larger */
	uintptr_t at = ((uintptr_t)top - sizeof(ucontext_t)) & ~(uintptr_t)63;
	ucontext_t *uc = (ucontext_t *)at;
	if (getcontext(uc) != 0)
		vai__fatal("getcontext failed");
	uc->uc_stack.ss_sp = (void *)(at - ROOM);
	uc->uc_stack.ss_size = ROOM;
	uc->uc_link = NULL;
	uint64_t e = (uintptr_t)entry, a = (uintptr_t)arg;
	makecontext(uc, (void (*)(void))start, 4, (unsigned)e, (unsigned)(e >> 32), (unsigned)a, (unsigned)(a >> 32));
	return uc;
}

#endif
