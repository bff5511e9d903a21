/* SPDX-License-Identifier: MIT */
/* See thread.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "mach/thread.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int vai__thread_id(void)
{
	return (int)syscall(SYS_gettid);
}

/* proc(5): "tid (name) state ...", and the name may hold anything. */
bool vai__thread_asleep(int id)
{
	char path[48], text[128];
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", id);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	const char *end = strrchr(text, ')');
	return end && end[1] == ' ' && (end[2] == 'S' || end[2] == 'D');
}
