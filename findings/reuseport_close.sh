#!/bin/bash
# SPDX-License-Identifier: MIT
# Of two listeners that share an address by SO_REUSEPORT each has a queue of its own. Closing one resets the connections in its queue,
# whose clients have connected without an error and may have written, though the other listener has room for all of them.
. "$(dirname "$0")/packages.sh"
cat >"$folder/p.c" <<'C'
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 64 };
static struct sockaddr_in at = {.sin_family = AF_INET};

static int listener(void)
{
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
	bind(fd, (struct sockaddr *)&at, sizeof at);
	listen(fd, 2 * CLIENTS);
	getsockname(fd, (struct sockaddr *)&at, &len);
	return fd;
}

int main(void)
{
	int clients[CLIENTS], connected = 0, served = 0, reset = 0, fd;
	char got;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int one = listener(), other = listener();
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM, 0);
		connected += connect(clients[i], (struct sockaddr *)&at, sizeof at) == 0 && send(clients[i], "x", 1, 0) == 1;
	}
	close(one);
	for (struct pollfd p = {other, POLLIN, 0}; poll(&p, 1, 300) == 1;) {
		fd = accept(other, NULL, NULL);
		served += recv(fd, &got, 1, 0) == 1 && send(fd, "y", 1, MSG_NOSIGNAL) == 1;
	}
	for (int i = 0; i < CLIENTS; i++)
		reset += recv(clients[i], &got, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET;
	printf("connected and written %d; some served: %s, some reset: %s, together: %d\n", connected, served ? "yes" : "no", reset ? "yes" : "no",
		served + reset);
	return 0;
}
C
compile "$folder/p.c" "$folder/p"
saw "$("$folder/p") with net.ipv4.tcp_migrate_req $(cat /proc/sys/net/ipv4/tcp_migrate_req)" \
	"connected and written 64; some served: yes, some reset: yes, together: 64 with net.ipv4.tcp_migrate_req 0"
echo "so: shutdown of a server of vai sends new connections to the other one, and accepts what has come, before it closes (src/net/serve.c)"
