/* SPDX-License-Identifier: MIT */
/* Loaded into a stock lua5.4 together with a sanitizer's runtime: what that Lua starts (a shell, find)
 * is not to have either. */
#include <setjmp.h>
#include <stdlib.h>

__attribute__((constructor)) static void leave(void)
{
	unsetenv("LD_PRELOAD");
}

/* What glibc puts in place of longjmp where sources are fortified, as a stock Lua is, is not known to
 * TSan, whose stack of functions would grow by one with every error raised in vai. */
_Noreturn void __longjmp_chk(jmp_buf env, int value);
_Noreturn void __longjmp_chk(jmp_buf env, int value)
{
	longjmp(env, value);
}
