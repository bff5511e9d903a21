#!/bin/bash
# SPDX-License-Identifier: MIT
# Past 1,024 pipes a user without privileges gets pipes of 8,192 bytes in place of 65,536, and no call fails; root gets full ones.
# All processes of a user count together, so pipes of an unrelated program shrink one's own, and a pipe that was made small stays so
# after that program has ended.
. "$(dirname "$0")/packages.sh"
[ "$(id -u)" = 0 ] || { echo "needs root, to become a user of whom there are no other processes" >&2; exit 2; }
cat >"$folder/p.c" <<'C'
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIPES = 1100, F_GETPIPE = 1032 };

static int room(int fd) /* how much a pipe takes in pieces of 4,096 bytes */
{
	static char piece[4096];
	int n = 0, r;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while ((r = write(fd, piece, sizeof piece)) > 0)
		n += r;
	return n;
}

int main(int argc, char **argv)
{
	static int p[PIPES][2];
	struct rlimit many = {4096, 4096};
	int i, refused = 0, mine[2], told[2];
	char byte;
	(void)argc;
	if (setrlimit(RLIMIT_NOFILE, &many) || (atoi(argv[1]) && setuid(atoi(argv[1]))) || pipe(told))
		return 2;
	pid_t other = fork(); /* a process that has pipes and does nothing with them */
	if (other == 0) {
		for (i = 0; i < PIPES; i++)
			refused += pipe(p[i]) != 0;
		byte = refused ? 'r' : 'm';
		write(told[1], &byte, 1);
		pause();
	}
	read(told[0], &byte, 1);
	refused = byte == 'r' || pipe(mine);
	printf("%s, %d bytes", refused ? "refused" : "made", room(mine[1]));
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
	printf("; the other ended: %d bytes in that one", fcntl(mine[1], F_GETPIPE));
	printf(", %d in a new one\n", pipe(mine) ? 0 : room(mine[1]));
	return 0;
}
C
compile "$folder/p.c" "$folder/p"
chmod 755 "$folder" "$folder/p"
echo "limit: $(cat /proc/sys/fs/pipe-user-pages-soft) pages, 16 in a pipe"
saw "root beside 1,100 pipes: $("$folder/p" 0)" \
	"root beside 1,100 pipes: made, 65536 bytes; the other ended: 65536 bytes in that one, 65536 in a new one"
saw "a user beside 1,100 pipes: $("$folder/p" 54321)" \
	"a user beside 1,100 pipes: made, 8192 bytes; the other ended: 8192 bytes in that one, 65536 in a new one"
echo "so: nothing may count on a pipe of 65,536 bytes; a program that writes more than 8,192 needs a reader beside it"
