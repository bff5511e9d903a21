#!/bin/bash
# SPDX-License-Identifier: MIT
# A client that dials a port of its own machine where nobody listens is refused, until the system happens to give it that very port as
# its own: then it is connected to itself, reads what it writes, and the server that comes later cannot have its address.
. "$(dirname "$0")/packages.sh"
cat >"$folder/p.c" <<'C'
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
	int low, high, fd = -1, refused = 0;
	FILE *range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
	if (!range || fscanf(range, "%d %d", &low, &high) != 2)
		return 1;
	struct sockaddr_in to = {.sin_family = AF_INET};
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons(low + ((high - low) / 2 & ~1)); /* connect(2) prefers the ports of this parity */
	for (int tries = 0; tries < 4 * (high - low); tries++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
			break;
		refused += errno == ECONNREFUSED;
		close(fd);
	}
	char got = 0;
	if (send(fd, "x", 1, MSG_NOSIGNAL) == 1)
		recv(fd, &got, 1, 0);
	int server = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
	setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	int bound = bind(server, (struct sockaddr *)&to, sizeof to);
	printf("refused first: %s; connected: writes x, reads %c; then a server's bind: %s\n", refused > 0 ? "yes" : "no", got ? got : '-',
		bound == 0 ? "done" : strerror(errno));
	return 0;
}
C
compile "$folder/p.c" "$folder/p"
saw "$("$folder/p")" "refused first: yes; connected: writes x, reads x; then a server's bind: Address already in use"
echo "so: vai.net.dial compares both ends of a new connection and says that it was refused (src/net/socket.c)"
