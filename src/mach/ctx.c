/* SPDX-License-Identifier: MIT */
/* The part of a context that depends on the thread library, not on the processor. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "mach/ctx.h"
#include <pthread.h>

void vai__ctx_native(struct vai__ctx *c)
{
	c->sp = NULL;
#ifdef VAI_ASAN
	pthread_attr_t attr;
	void *lo = NULL;
	size_t size = 0;
	if (pthread_getattr_np(pthread_self(), &attr) == 0) {
		pthread_attr_getstack(&attr, &lo, &size);
		pthread_attr_destroy(&attr);
	}
	c->fake = NULL;
	c->lo = lo;
	c->size = size;
#endif
#ifdef VAI_TSAN
	c->fiber = __tsan_get_current_fiber();
#endif
}
