/* SPDX-License-Identifier: MIT */
/* The end of the process when an invariant of the runtime is broken. */
#include "base/panic.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void vai__fatal(const char *fmt, ...)
{
	va_list ap;
	fputs("vai: fatal: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	fflush(stderr);
	abort();
}
