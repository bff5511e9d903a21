#!/bin/bash
# SPDX-License-Identifier: MIT
# How many bytes a pipe or a Unix socket holds depends on how they are cut: a pipe of 65,536 bytes is full at half of that when it
# is written in pieces a little over half a page, since each takes a page; a Unix socket with a buffer of 212,992 bytes takes a few
# hundred messages of one byte each.
. "$(dirname "$0")/packages.sh"
cat >"$folder/p.c" <<'C'
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static char block[4096];

static int fill(int fd, int piece)
{
	int all = 0, n;
	while ((n = write(fd, block, piece)) > 0)
		all += n;
	return all;
}

static int pipe_of(int piece)
{
	int p[2];
	pipe2(p, O_NONBLOCK);
	fcntl(p[1], F_SETPIPE_SZ, 65536);
	return fill(p[1], piece);
}

int main(void)
{
	int s[2], size = 212992 / 2, all;
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s);
	setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	all = fill(s[0], 1);
	printf("a pipe by 1: %d, by 4096: %d, by 2049: %d, by 3000: %d; a Unix socket by 1: %s\n", pipe_of(1), pipe_of(4096), pipe_of(2049),
		pipe_of(3000), all < 1000 ? "less than 1000" : "more");
	return 0;
}
C
compile "$folder/p.c" "$folder/p"
saw "$("$folder/p")" "a pipe by 1: 65536, by 4096: 65536, by 2049: 32784, by 3000: 48000; a Unix socket by 1: less than 1000"
echo "so: nothing in vai or its tests counts on how much a pipe or a socket takes before a write parks"
