/* SPDX-License-Identifier: MIT */
/* Loaded into a stock lua5.4 together with a sanitizer's runtime: what that Lua starts (a shell, find)
 * is not to have either. */
#include <stdlib.h>

__attribute__((constructor)) static void leave(void)
{
	unsetenv("LD_PRELOAD");
}
