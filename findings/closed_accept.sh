#!/bin/bash
# SPDX-License-Identifier: MIT
# A thread that waits in accept holds the listener: another thread's close gives the number back and returns 0, but the port stays
# taken, the next client is welcomed, and the accept of the closed descriptor succeeds. Only then is the listener gone.
. "$(dirname "$0")/packages.sh"
cat >"$folder/p.c" <<'C'
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in at = {.sin_family = AF_INET};
static int listener, accepted, why;

static int listening(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 8))
		return -errno;
	return fd;
}

static void *accepts(void *unused)
{
	(void)unused;
	accepted = accept(listener, NULL, NULL);
	why = errno;
	return NULL;
}

int main(void)
{
	socklen_t n = sizeof at;
	pthread_t t;
	int again, client;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = listening();
	getsockname(listener, (struct sockaddr *)&at, &n);
	pthread_create(&t, NULL, accepts, NULL);
	sleep(1); /* in accept by then */
	printf("close: %d", close(listener));
	again = listening();
	printf("; a second listener there: %s", again < 0 ? strerror(-again) : "made");
	client = socket(AF_INET, SOCK_STREAM, 0);
	printf("; connect: %s", connect(client, (struct sockaddr *)&at, sizeof at) ? strerror(errno) : "connected");
	pthread_join(t, NULL);
	printf("; accept: %s", accepted < 0 ? strerror(why) : "a connection");
	close(client), close(accepted);
	client = socket(AF_INET, SOCK_STREAM, 0);
	printf("; connect again: %s\n", connect(client, (struct sockaddr *)&at, sizeof at) ? strerror(errno) : "connected");
	return 0;
}
C
compile "$folder/p.c" "$folder/p"
saw "$("$folder/p")" "close: 0; a second listener there: Address already in use; connect: connected; accept: a connection; connect \
again: Connection refused"
echo "so: closing a listener of vai wakes its waiting accepts; a C module's blocking accept is ended by shutdown, not by close"
