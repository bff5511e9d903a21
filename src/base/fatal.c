/* SPDX-License-Identifier: MIT */
/* The end of the process when an invariant of the runtime is broken. The hook is called once: if it finds something
 * broken itself, or another thread does meanwhile, the process ends at once. */
#include "base/fatal.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/atomic.h"

void (*vai__fatal_hook)(void);
void (*vai__fatal_exit)(int status);
void (*_Atomic vai__fatal_dying)(void);
static atomic_bool begun;

static void print(const char *fmt, va_list ap)
{
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	fflush(stderr);
}

_Noreturn void vai__fatal_give_up(const char *fmt, ...)
{
	va_list ap;
	vai__dying();
	if (!atomic_exchange(&begun, true)) {
		fputs("vai: ", stderr);
		va_start(ap, fmt);
		print(fmt, ap);
		va_end(ap);
	}
	if (vai__fatal_exit)
		vai__fatal_exit(1);
	_exit(1);
}

_Noreturn void vai__fatal(const char *fmt, ...)
{
	va_list ap;
	bool first = !atomic_exchange(&begun, true);
	vai__dying();
	fputs("vai: fatal: ", stderr);
	va_start(ap, fmt);
	print(fmt, ap);
	va_end(ap);
	if (first && vai__fatal_hook)
		vai__fatal_hook();
	abort();
}
