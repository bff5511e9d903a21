#!/bin/bash
# SPDX-License-Identifier: MIT
# A process that asks for a signal at its parent's end (setpriv --pdeathsig, bubblewrap --die-with-parent) gets it when the thread
# that started it ends, though the program runs on, and though the same thread id is nowhere in what the process can see: its
# parent's number is the same before and after.
. "$(dirname "$0")/packages.sh"
unpack bookworm util-linux=2.38.1-5+deb12u3 libcap-ng0=0.8.3-1+b3
cat >"$folder/p.c" <<'C'
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t child;
static int out[2], stay;

static void *start(void *path)
{
	char line[2];
	pipe(out);
	child = fork();
	if (child == 0) {
		dup2(out[1], 1);
		execl(path, "setpriv", "--pdeathsig", "TERM", "sh", "-c", "echo; exec sleep 5", NULL);
		_exit(127);
	}
	read(out[0], line, 1); /* it has asked */
	while (stay)
		pause();
	return NULL;
}

static void try(char *path, int stays)
{
	pthread_t thread;
	int status;
	stay = stays;
	pthread_create(&thread, NULL, start, path);
	if (!stays)
		pthread_join(thread, NULL);
	while (waitpid(-1, &status, 0) < 0)
		;
	printf("thread %s: child %s", stays ? "stays" : "ends", WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "slept to its end");
	printf("%s", stays ? "" : "; ");
}

int main(int n, char **args)
{
	try(args[1], 0);
	try(args[1], 1);
	return 0;
}
C
compile "$folder/p.c" "$folder/p"
saw "$(LD_LIBRARY_PATH=$folder/bookworm/usr/lib/$triplet "$folder/p" "$folder/bookworm/usr/bin/setpriv")" \
	"thread ends: child Terminated; thread stays: child slept to its end"
echo "so: an idle thread of vai's does not end while it has a child (src/sched/m.c)"
