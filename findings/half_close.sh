#!/bin/bash
# SPDX-License-Identifier: MIT
# What two kinds of stream sockets make of the same calls. After shutdown(SHUT_RD) a read ends at once in both, but bytes that come
# later are delivered by TCP and refused to the sender by a Unix socket. A connect to a TCP listener whose queue is full waits; one
# to a Unix listener fails with EAGAIN when it may not block, and then no event of epoll ever says that there is room.
. "$(dirname "$0")/packages.sh"
cat >"$folder/p.c" <<'C'
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un local = {AF_UNIX, "\0vai-finding-half-close"};
static struct sockaddr_in inet;

static int listener(int family, int queue)
{
	socklen_t len = sizeof inet;
	int fd = socket(family, SOCK_STREAM, 0);
	inet.sin_family = AF_INET;
	inet.sin_port = 0;
	inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (family == AF_UNIX)
		bind(fd, (struct sockaddr *)&local, sizeof local);
	else
		bind(fd, (struct sockaddr *)&inet, sizeof inet);
	listen(fd, queue);
	if (family == AF_INET)
		getsockname(fd, (struct sockaddr *)&inet, &len);
	return fd;
}

static int reach(int family, int flags, int *fd)
{
	*fd = socket(family, SOCK_STREAM | flags, 0);
	if (family == AF_UNIX)
		return connect(*fd, (struct sockaddr *)&local, sizeof local);
	return connect(*fd, (struct sockaddr *)&inet, sizeof inet);
}

static void after_shutdown(const char *name, int family)
{
	char byte;
	int l = listener(family, 4), client, peer;
	reach(family, 0, &client);
	peer = accept(l, NULL, NULL);
	shutdown(client, SHUT_RD);
	printf("%s: a read gives %d", name, (int)read(client, &byte, 1));
	printf(", the peer's send %s", send(peer, "x", 1, MSG_NOSIGNAL) == 1 ? "1" : errno == EPIPE ? "EPIPE" : "?");
	usleep(50000);
	printf(", a read afterwards %d\n", (int)read(client, &byte, 1));
	close(client), close(peer), close(l);
}

static void full(const char *name, int family)
{
	struct epoll_event ev = {EPOLLIN | EPOLLOUT | EPOLLET, {NULL}};
	int l = listener(family, 0), fds[8], i, ep = epoll_create1(0), peer;
	for (i = 0; i < 8; i++) {
		if (reach(family, SOCK_NONBLOCK, &fds[i]) == 0 || (family == AF_INET && i < 2))
			continue;
		printf("%s: connect %s", name, errno == EAGAIN ? "EAGAIN" : errno == EINPROGRESS ? "EINPROGRESS" : "?");
		break;
	}
	epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &ev);
	epoll_wait(ep, &ev, 1, 0);
	while (i > 0 && (peer = accept(l, NULL, NULL)) >= 0 && --i > 0)
		close(peer);
	printf(", with room again: %s\n", epoll_wait(ep, &ev, 1, 3000) == 1 ? "an event" : "no event in 3 s");
}

int main(void)
{
	after_shutdown("TCP", AF_INET);
	after_shutdown("Unix", AF_UNIX);
	full("Unix", AF_UNIX);
	full("TCP", AF_INET);
	return 0;
}
C
compile "$folder/p.c" "$folder/p"
saw "$("$folder/p")" "TCP: a read gives 0, the peer's send 1, a read afterwards 1
Unix: a read gives 0, the peer's send EPIPE, a read afterwards 0
Unix: connect EAGAIN, with room again: no event in 3 s
TCP: connect EINPROGRESS, with room again: an event"
echo "so: c:close_read() is remembered by vai itself; a dial of a full Unix listener tries again after a pause (src/net/dial.c)"
