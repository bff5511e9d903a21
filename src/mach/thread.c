/* SPDX-License-Identifier: MIT */
/* What Linux tells about threads (proc(5), clock_gettime(2)), timers on their time, and a call at a thread's end. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "mach/thread.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int vai__thread_where(void)
{
	return sched_getcpu();
}

void vai__thread_yield(void)
{
	sched_yield();
}

int vai__thread_id(void)
{
	return (int)syscall(SYS_gettid);
}

bool vai__thread_has_children(void)
{
	siginfo_t info;
	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WNOTHREAD) == 0;
}

/* ---- a thread's end ---- */

/* Destructors are called in rounds, each for the keys that have a value again. */
enum { FIRST_ROUND = 1, LAST_ROUND };

static pthread_key_t round_key;
static bool has_round_key;
static _Thread_local __attribute__((tls_model("initial-exec"))) void (*at_end)(void);

/* The destructor. In the first round destructors of other keys may still be to come, so the call is made in the
 * last. */
static void end_round(void *round)
{
	if ((uintptr_t)round == FIRST_ROUND && pthread_setspecific(round_key, (void *)(uintptr_t)LAST_ROUND) == 0)
		return;
	at_end();
}

__attribute__((constructor)) static void make_round_key(void)
{
	has_round_key = pthread_key_create(&round_key, end_round) == 0;
}

void vai__thread_at_end(void (*f)(void))
{
	at_end = f;
	if (!has_round_key || pthread_setspecific(round_key, (void *)(uintptr_t)FIRST_ROUND) != 0)
		f();
}

/* ---- what the system tells ---- */

static bool read_status(int id, char *text, size_t size)
{
	char path[48];
	snprintf(path, sizeof path, "/proc/self/task/%d/status", id);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, size - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* proc(5): lines of "Name:\tvalue"; a newline in the thread's name is written as "\\n". */
void vai__thread_look(int id, struct vai__thread_look *out)
{
	static const char state_name[] = "\nState:\t", sleeps_name[] = "\nvoluntary_ctxt_switches:\t";
	char text[4096];
	out->asleep = false;
	out->sleeps = 0;
	if (!read_status(id, text, sizeof text))
		return;
	const char *state = strstr(text, state_name), *sleeps = strstr(text, sleeps_name);
	out->asleep = state && (state[sizeof state_name - 1] == 'S' || state[sizeof state_name - 1] == 'D');
	if (sleeps)
		out->sleeps = strtoull(sleeps + sizeof sleeps_name - 1, NULL, 10);
}

/* clock_getcpuclockid(3) makes such numbers of a process's id, pthread_getcpuclockid(3) of a thread that
 * must not have ended; the kernel takes any thread of this process. */
static clockid_t cpu_clock(int id, unsigned which)
{
	return (clockid_t)(~(unsigned)id << 3 | 4 | which);
}

static int64_t clock_of(clockid_t clock)
{
	struct timespec ts;
	if (clock_gettime(clock, &ts) != 0)
		return -1;
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t vai__thread_cpu(int id)
{
	return clock_of(cpu_clock(id, 2));
}

int64_t vai__thread_user(int id)
{
	return clock_of(cpu_clock(id, 1));
}

static bool new_timer(clockid_t clock, int id, int sig, void *value, timer_t *out)
{
	struct sigevent ev;
	memset(&ev, 0, sizeof ev);
	ev.sigev_notify = SIGEV_THREAD_ID;
	ev.sigev_signo = sig;
	ev.sigev_value.sival_ptr = value;
	ev._sigev_un._tid = id;
	return timer_create(clock, &ev, out) == 0;
}

bool vai__thread_timer_new(int id, int sig, void *value, timer_t *out)
{
	return new_timer(cpu_clock(id, 1), id, sig, value, out);
}

bool vai__thread_alarm_new(int id, int sig, void *value, timer_t *out)
{
	return new_timer(CLOCK_MONOTONIC, id, sig, value, out);
}

void vai__thread_alarm(timer_t timer, int64_t ns)
{
	struct itimerspec in = {{0, 0}, {ns / 1000000000, ns % 1000000000}};
	timer_settime(timer, 0, &in, NULL);
}

bool vai__thread_timer_start(timer_t timer)
{
	struct itimerspec soon = {{0, 0}, {0, 1}};
	return timer_settime(timer, 0, &soon, NULL) == 0;
}
