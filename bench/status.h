/* SPDX-License-Identifier: MIT */
/* What the programs in C read of the system, whatever interface of vai's they use. */
#ifndef VAI_BENCH_STATUS_H
#define VAI_BENCH_STATUS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A figure of /proc/self/status, in bytes; below 0: there is none. */
static inline double read_status(const char *field)
{
	char line[256];
	double kb = -1;
	size_t len = strlen(field);
	FILE *f = fopen("/proc/self/status", "r");
	while (f && kb < 0 && fgets(line, sizeof line, f))
		if (strncmp(line, field, len) == 0 && line[len] == ':')
			kb = strtod(line + len + 1, NULL);
	if (f)
		fclose(f);
	return kb * 1024;
}

#endif
