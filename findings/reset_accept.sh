#!/bin/bash
# SPDX-License-Identifier: MIT
# A client that sends and resets its connection before anybody accepts it: accept succeeds and tells its address, the bytes can
# be read, but getpeername on the new socket fails with ENOTCONN; then one read says ECONNRESET, and after it SO_ERROR is 0.
. "$(dirname "$0")/packages.sh"
cat >"$folder/p.c" <<'C'
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void tell(const char *what, long result)
{
	printf("%s %ld%s%s; ", what, result, result < 0 ? " " : "", result < 0 ? strerror(errno) : "");
}

int main(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET}, peer;
	struct linger reset = {1, 0};
	socklen_t n = sizeof at, size = sizeof peer;
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), accepted, error = -1;
	char bytes[9];
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bind(listener, (struct sockaddr *)&at, sizeof at);
	listen(listener, 8);
	getsockname(listener, (struct sockaddr *)&at, &n);
	connect(client, (struct sockaddr *)&at, sizeof at);
	send(client, "hello", 5, 0);
	setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(client);
	accepted = accept(listener, (struct sockaddr *)&peer, &size);
	printf("accepted from a port: %d; ", peer.sin_port != 0);
	tell("getpeername", getpeername(accepted, (struct sockaddr *)&peer, &size));
	tell("read", recv(accepted, bytes, sizeof bytes, 0));
	tell("read", recv(accepted, bytes, sizeof bytes, 0));
	n = sizeof error;
	getsockopt(accepted, SOL_SOCKET, SO_ERROR, &error, &n);
	tell("SO_ERROR", error);
	tell("read", recv(accepted, bytes, sizeof bytes, 0));
	return 0;
}
C
compile "$folder/p.c" "$folder/p"
saw "$("$folder/p")" "accepted from a port: 1; getpeername -1 Transport endpoint is not connected; read 5; read -1 Connection reset by peer; SO_ERROR 0; read 0; "
echo "so: vai keeps the address that accept tells (src/net/listener.c)"
