#!/bin/bash
# SPDX-License-Identifier: MIT
# What sendfile(2) has sent may still change: the socket refers to the file's pages in memory. A file that is written over after the
# call has returned, and even after the socket was closed, reaches the receiver in its new form, under the old one's length.
. "$(dirname "$0")/packages.sh"
cat >"$folder/p.c" <<'C'
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

static char block[8192];

static void put(int fd, char c)
{
	memset(block, c, sizeof block);
	pwrite(fd, block, sizeof block, 0);
}

int main(void)
{
	int fd = fileno(tmpfile());
	struct sockaddr_in to = {.sin_family = AF_INET};
	socklen_t len = sizeof to;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int listener = socket(AF_INET, SOCK_STREAM, 0), out = socket(AF_INET, SOCK_STREAM, 0);
	bind(listener, (struct sockaddr *)&to, sizeof to);
	listen(listener, 1);
	getsockname(listener, (struct sockaddr *)&to, &len);
	connect(out, (struct sockaddr *)&to, sizeof to);
	int in = accept(listener, NULL, NULL);
	off_t at = 0;
	put(fd, 'a');
	ssize_t sent = sendfile(out, fd, &at, sizeof block);
	close(out);
	put(fd, 'b');
	ssize_t got = recv(in, block, sizeof block, MSG_WAITALL);
	printf("sent %zd bytes of a and closed; received %zd bytes, %c to %c\n", sent, got, block[0], block[got - 1]);
	return 0;
}
C
compile "$folder/p.c" "$folder/p"
saw "$("$folder/p")" "sent 8192 bytes of a and closed; received 8192 bytes, b to b"
echo "so: API.md says of conn:send_file that a file to be sent is replaced (vai.fs.write_file with atomic), never written over"
