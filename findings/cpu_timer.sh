#!/bin/bash
# SPDX-License-Identifier: MIT
# A thread reads 20 MB of /dev/urandom at once: tens of milliseconds of computing in the kernel, that a signal ends early. A timer
# on the thread's own time in user mode (the clock that pthread_getcpuclockid(3) gives, with the lowest bits 1 in place of 2, as in
# the kernel's posix-timers.h), armed again and again, sends its signal at a tick which finds the thread in user mode, and so
# never in the call.
. "$(dirname "$0")/packages.sh"
cat >"$folder/p.c" <<'C'
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 20000000, ROUNDS = 10 };
static volatile int stop, by_timer, signals;
static int reader_tid;
static pthread_t reader_thread;

static void handler(int sig) { (void)sig; signals++; }

static void *sender(void *arg)
{
	struct timespec ms = {0, 1000000};
	struct itimerspec soon = {{0, 0}, {0, 1}};
	struct sigevent ev;
	timer_t timer;
	(void)arg;
	memset(&ev, 0, sizeof ev);
	ev.sigev_notify = 4; /* SIGEV_THREAD_ID */
	ev.sigev_signo = SIGUSR1;
	((int *)&ev)[4] = reader_tid; /* its place behind value, signo and notify */
	if (by_timer && timer_create((clockid_t)(~(unsigned)reader_tid << 3 | 4 | 1), &ev, &timer) != 0)
		exit(3);
	while (!stop) {
		nanosleep(&ms, NULL);
		if (by_timer)
			timer_settime(timer, 0, &soon, NULL);
		else
			pthread_kill(reader_thread, SIGUSR1);
	}
	if (by_timer)
		timer_delete(timer);
	return NULL;
}

static void try(const char *what)
{
	pthread_t thread;
	char *all = malloc(SIZE);
	int fd = open("/dev/urandom", O_RDONLY), whole = 0;
	volatile long x = 0;
	signals = stop = 0;
	pthread_create(&thread, NULL, sender, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		whole += read(fd, all, SIZE) == SIZE;
		for (long k = 0; k < 20000000; k++)
			x += k;
	}
	stop = 1;
	pthread_join(thread, NULL);
	printf("%s: %s whole, %s%s", what, whole == ROUNDS ? "all" : whole == 0 ? "none" : "some",
		signals > 0 ? "signals came" : "no signal came", by_timer ? "\n" : "; ");
	close(fd);
	free(all);
}

int main(void)
{
	struct sigaction sa;
	memset(&sa, 0, sizeof sa);
	sa.sa_handler = handler;
	sa.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &sa, NULL);
	reader_tid = (int)syscall(SYS_gettid);
	reader_thread = pthread_self();
	try("pthread_kill");
	by_timer = 1;
	try("timer");
	return 0;
}
C
compile "$folder/p.c" "$folder/p"
saw "$("$folder/p")" "pthread_kill: none whole, signals came; timer: all whole, signals came"
echo "so: vai lets such a timer send the signal that interrupts a goroutine (src/sched/preempt.c)"
