#!/bin/bash
# SPDX-License-Identifier: MIT
# A library that embeds libuv cannot lend a signal from its host: when the last uv_signal_t of a signal is stopped, libuv sets the
# default action, not the handler that stood there before.
. "$(dirname "$0")/packages.sh"
unpack bookworm libuv1=1.44.2-1+deb12u1 libuv1-dev=1.44.2-1+deb12u1
cat >"$folder/p.c" <<'C'
#include <signal.h>
#include <stdio.h>
#include <uv.h>

static void of_the_host(int sig) { (void)sig; }
static void of_libuv(uv_signal_t *s, int sig) { (void)s; (void)sig; }

static const char *now(void)
{
	struct sigaction sa;
	sigaction(SIGUSR1, NULL, &sa);
	return sa.sa_handler == of_the_host ? "the host's" : sa.sa_handler == SIG_DFL ? "the default" : "libuv's";
}

int main(void)
{
	uv_loop_t loop;
	uv_signal_t s;
	signal(SIGUSR1, of_the_host);
	uv_loop_init(&loop);
	uv_signal_init(&loop, &s);
	printf("before: %s", now());
	uv_signal_start(&s, of_libuv, SIGUSR1);
	printf(", started: %s", now());
	uv_signal_stop(&s);
	printf(", stopped: %s\n", now());
	uv_close((uv_handle_t *)&s, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop);
}
C
compile "$folder/p.c" "$folder/p" -luv
export LD_LIBRARY_PATH=$folder/bookworm/usr/lib/$triplet
saw "the action of SIGUSR1, $("$folder/p")" \
	"the action of SIGUSR1, before: the host's, started: libuv's, stopped: the default"
echo "so: vai.signal uses sigaction(2) and an eventfd, and puts the host's action back (src/proc/signal.c)"
