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
void (*vai__fatal_host)(const char *text, void *data);
void (*vai__log_host)(const char *line, void *data);
void *vai__fatal_data;

enum { LINE = 512 };

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
	char text[LINE];
	bool first = !atomic_exchange(&begun, true);
	vai__dying();
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	fprintf(stderr, "vai: fatal: %s\n", text);
	fflush(stderr);
	if (first && vai__fatal_host)
		vai__fatal_host(text, vai__fatal_data);
	if (first && vai__fatal_hook)
		vai__fatal_hook();
	abort();
}

void vai__log(const char *fmt, ...)
{
	char brief[LINE], *line = brief;
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(brief, sizeof brief, fmt, ap);
	va_end(ap);
	if (n >= LINE && (line = malloc((size_t)n + 1)) != NULL)
		vsnprintf(line, (size_t)n + 1, fmt, again);
	va_end(again);
	if (vai__log_host)
		vai__log_host(line ? line : brief, vai__fatal_data);
	else
		fprintf(stderr, "vai: %s\n", line ? line : brief);
	if (line != brief)
		free(line);
}
