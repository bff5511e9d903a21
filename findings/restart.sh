#!/bin/bash
# SPDX-License-Identifier: MIT
# SA_RESTART restarts a system call that has done nothing yet. A blocking write(2) of which a part has gone returns that
# part; poll(2) and select(2) are never restarted.
. "$(dirname "$0")/packages.sh"
cat >"$folder/p.c" <<'C'
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

static int fds[2];
static pthread_t main_thread;
static char all[1000000];

static void handler(int sig) { (void)sig; }

static void nap(long ms)
{
	struct timespec t = {0, ms * 1000000};
	nanosleep(&t, NULL);
}

/* The pipe is full and the other thread waits in write: a signal, then all is read. */
static void *reader(void *arg)
{
	char part[65536];
	(void)arg;
	nap(50);
	pthread_kill(main_thread, SIGUSR1);
	nap(50);
	while (read(fds[0], part, sizeof part) > 0)
		;
	return NULL;
}

static void *sender(void *arg)
{
	(void)arg;
	nap(50);
	pthread_kill(main_thread, SIGUSR1);
	return NULL;
}

int main(void)
{
	pthread_t thread;
	struct sigaction sa;
	struct timeval second = {1, 0};
	memset(&sa, 0, sizeof sa);
	sa.sa_handler = handler;
	sa.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &sa, NULL);
	main_thread = pthread_self();
	pipe(fds);
	pthread_create(&thread, NULL, reader, NULL);
	long moved = write(fds[1], all, sizeof all);
	printf("write %s, ", moved == sizeof all ? "whole" : moved > 0 ? "a part" : "nothing");
	close(fds[1]);
	pthread_join(thread, NULL);
	pthread_create(&thread, NULL, sender, NULL);
	printf("poll %s, ", poll(NULL, 0, 1000) < 0 && errno == EINTR ? "EINTR" : "0");
	pthread_join(thread, NULL);
	pthread_create(&thread, NULL, sender, NULL);
	printf("select %s\n", select(0, NULL, NULL, NULL, &second) < 0 && errno == EINTR ? "EINTR" : "0");
	pthread_join(thread, NULL);
	return 0;
}
C
compile "$folder/p.c" "$folder/p"
saw "$("$folder/p")" "write a part, poll EINTR, select EINTR"
echo "so: no signal of vai's may reach a thread inside a system call, whatever flags its handler has"
