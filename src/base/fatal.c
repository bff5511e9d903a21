/* SPDX-License-Identifier: MIT */
/* The end of the process when an invariant of the runtime is broken. One thread tells why, and calls the hook once: if
 * it finds something broken itself meanwhile, the process ends at once. Any other thread that finds something waits for
 * that one, because it would end the process in the middle of the text. */
#include "base/fatal.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "base/atomic.h"

void (*vai__fatal_hook)(void);
void (*vai__fatal_exit)(int status);
void (*vai__fatal_host)(const char *text, void *data);
void (*vai__log_host)(const char *line, void *data);
void *vai__fatal_data;

enum {
	LINE = 512,
	MOST_WAITS = 5000, /* milliseconds for another thread to tell; a hook may look at broken things for ever */
};

void (*_Atomic vai__fatal_dying)(void);
static _Atomic uintptr_t teller; /* the thread that tells why the process ends, 0 while none does */

/* True: the calling thread is the one that tells why the process ends. */
static bool begin(void)
{
	uintptr_t self = (uintptr_t)pthread_self(), first = 0;
	vai__dying();
	if (atomic_compare_exchange_strong(&teller, &first, self))
		return true;
	for (int i = 0; first != self && i < MOST_WAITS; i++)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	return false;
}

_Noreturn void vai__fatal_give_up(const char *fmt, ...)
{
	va_list ap;
	char text[LINE];
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (begin()) {
		fprintf(stderr, "vai: %s\n", text);
		fflush(stderr);
	}
	if (vai__fatal_exit)
		vai__fatal_exit(1);
	_exit(1);
}

_Noreturn void vai__fatal(const char *fmt, ...)
{
	va_list ap;
	char text[LINE];
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	bool first = begin();
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
