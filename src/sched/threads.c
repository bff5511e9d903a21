/* SPDX-License-Identifier: MIT */
/* The threads of the runtime as the host wishes them: who makes them, their names, CPUs and priority, and what is
 * called on them first and last. The wishes are written by vai__threads_wish on the host's thread before there is any
 * thread, and read by all of them. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include "base/fatal.h"
#include "base/heap.h"
#include "mach/thread.h"
#include "sched/rt.h"

enum { PREFIX_MAX = 8, NAME_MAX_BYTES = 16 };

/* What the host wishes (struct vai_options in vai.h). */
static struct {
	char prefix[PREFIX_MAX + 1]; /* of the threads' names */
	bool placed;                 /* cpus is set */
	cpu_set_t cpus;
	int nice;
	int (*create)(void *(*run)(void *), void *arg, void *data);
	void (*begin)(void *data);
	void (*end)(void *data);
	void *data;
} wish = {.prefix = "vai"};

static bool read_cpus(const int *cpus, size_t n)
{
	wish.placed = n > 0;
	CPU_ZERO(&wish.cpus);
	for (size_t i = 0; i < n; i++) {
		if (cpus[i] < 0 || cpus[i] >= CPU_SETSIZE)
			return false;
		CPU_SET((size_t)cpus[i], &wish.cpus);
	}
	return true;
}

int vai__threads_wish(const struct vai_options *host)
{
	static const struct vai_options none = {.size = sizeof none, .flags = VAI_DETECT_DEADLOCK};
	const struct vai_options *o = host ? host : &none;
	const char *prefix = o->threads ? o->threads : "vai";
	if (strlen(prefix) > PREFIX_MAX || (o->ncpus > 0 && !o->cpus) || !read_cpus(o->cpus, o->ncpus))
		return VAI_EINVAL;
	if (!vai__heap_choose(o->memory, o->data))
		return VAI_EINVAL;
	memcpy(wish.prefix, prefix, strlen(prefix) + 1);
	wish.nice = o->nice;
	wish.create = o->thread_create;
	wish.begin = o->thread_begin;
	wish.end = o->thread_end;
	wish.data = o->data;
	vai__log_host = o->log;
	vai__fatal_host = o->fatal;
	vai__fatal_data = o->data;
	vai__sched.hosted = !(o->flags & VAI_DETECT_DEADLOCK);
	vai__sched.no_signals = (o->flags & VAI_NO_SIGNALS) != 0;
	return VAI_OK;
}

int vai__threads_create(void *(*run)(void *), void *arg, size_t stack)
{
	pthread_attr_t attr;
	pthread_t thread;
	if (wish.create)
		return wish.create(run, arg, wish.data);
	if (pthread_attr_init(&attr) != 0)
		return ENOMEM;
	pthread_attr_setstacksize(&attr, stack);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	int rc = pthread_create(&thread, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return rc;
}

/* Logs, once, that the system refuses a wish; the thread runs all the same. */
static void tell_refused(const char *what)
{
	static atomic_bool told;
	if (!atomic_exchange(&told, true))
		vai__log("the system refuses %s (%m)", what);
}

void vai__threads_begin(const char *name)
{
	char full[NAME_MAX_BYTES];
	snprintf(full, sizeof full, "%s-%s", wish.prefix, name);
	pthread_setname_np(pthread_self(), full);
	if (wish.placed && sched_setaffinity(0, sizeof wish.cpus, &wish.cpus) != 0)
		tell_refused("the CPUs of vai_options");
	if (wish.nice) {
		id_t id = (id_t)vai__thread_id();
		errno = 0;
		int now = getpriority(PRIO_PROCESS, id);
		if (errno != 0 || setpriority(PRIO_PROCESS, id, now + wish.nice) != 0)
			tell_refused("the nice value of vai_options");
	}
	if (wish.begin)
		wish.begin(wish.data);
}

void vai__threads_end(void)
{
	if (wish.end)
		wish.end(wish.data);
}

static void one_less(void)
{
	if (atomic_fetch_sub_seq_cst(&vai__sched.live_ms, 1) == 1)
		vai__futex_wake(&vai__sched.live_ms, 1);
}

/* What libraries do at a thread's end must be over when the host goes on, because the host may end the process next,
 * and the libraries' exit handlers free what is used there (OpenSSL's do). A thread that the host has made may live
 * on. */
void vai__threads_gone(void)
{
	if (wish.create)
		one_less();
	else
		vai__thread_at_end(one_less);
}
