#!/bin/bash
# SPDX-License-Identifier: MIT
# On a connected UDP socket "connection refused" tells of an earlier datagram, but the kernel hands it to whichever call is next. Where
# that is a send, the call fails and its own datagram is not sent, although the receiver that it is meant for may be there by now.
. "$(dirname "$0")/packages.sh"
cat >"$folder/p.c" <<'C'
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in to;

static int receiver(void)
{
	socklen_t len = sizeof to;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	to.sin_family = AF_INET;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bind(fd, (struct sockaddr *)&to, sizeof to);
	getsockname(fd, (struct sockaddr *)&to, &len);
	return fd;
}

static const char *say(int fd, const char *text)
{
	return send(fd, text, 1, 0) == 1 ? "sent" : errno == ECONNREFUSED ? "refused" : "?";
}

int main(void)
{
	char got[4];
	int fd = socket(AF_INET, SOCK_DGRAM, 0), other;
	close(receiver());
	connect(fd, (struct sockaddr *)&to, sizeof to);
	printf("a: %s", say(fd, "a"));
	poll(NULL, 0, 200);
	other = receiver(); /* the same port again */
	printf(", a receiver comes, b: %s", say(fd, "b"));
	printf(", c: %s", say(fd, "c"));
	poll(NULL, 0, 200);
	printf("; received:");
	while (recv(other, got, sizeof got, MSG_DONTWAIT) == 1)
		printf(" %c", got[0]);
	putchar('\n');
	return 0;
}
C
compile "$folder/p.c" "$folder/p"
saw "$("$folder/p")" "a: sent, a receiver comes, b: refused, c: sent; received: c"
echo "so: a send of vai's that is refused is tried once more, and a receive that is refused goes on (src/net/packet.c)"
