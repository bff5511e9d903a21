#!/bin/bash
# SPDX-License-Identifier: MIT
# A uv_poll_t takes every EPOLLERR for a descriptor that is not open: a connected UDP socket whose datagram found no receiver is
# reported as EBADF, once, and is no longer watched; the descriptor is fine, its error is ECONNREFUSED and passes.
. "$(dirname "$0")/packages.sh"
unpack bookworm libuv1=1.44.2-1+deb12u1 libuv1-dev=1.44.2-1+deb12u1
cat >"$folder/p.c" <<'C'
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

static void ready(uv_poll_t *poll, int status, int events)
{
	int error = 0;
	socklen_t len = sizeof error;
	uv_os_fd_t fd;
	uv_fileno((uv_handle_t *)poll, &fd);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	printf("status %s, events %d, watched: %s; SO_ERROR %s", status ? uv_err_name(status) : "0", events,
			uv_is_active((uv_handle_t *)poll) ? "yes" : "no", error ? uv_err_name(-error) : "0");
	uv_close((uv_handle_t *)poll, NULL);
}

int main(void)
{
	uv_loop_t loop;
	uv_poll_t poll;
	struct sockaddr_in to;
	socklen_t len = sizeof to;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET, SOCK_DGRAM, 0);
	memset(&to, 0, sizeof to);
	to.sin_family = AF_INET;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bind(other, (struct sockaddr *)&to, sizeof to); /* a port that nobody has, once it is closed */
	getsockname(other, (struct sockaddr *)&to, &len);
	close(other);
	connect(fd, (struct sockaddr *)&to, sizeof to);
	uv_loop_init(&loop);
	uv_poll_init(&loop, &poll, fd);
	uv_poll_start(&poll, UV_READABLE, ready);
	send(fd, "x", 1, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	printf("; a send afterwards: %s\n", send(fd, "x", 1, 0) == 1 ? "1 byte" : "failed");
	return 0;
}
C
compile "$folder/p.c" "$folder/p" -luv
export LD_LIBRARY_PATH=$folder/bookworm/usr/lib/$triplet
saw "$("$folder/p")" \
	"status EBADF, events 0, watched: no; SO_ERROR ECONNREFUSED; a send afterwards: 1 byte"
echo "so: to vai's portable poller an error of libuv's means that both directions are ready: the system call itself then tells (src/net/poller_uv.c)"
