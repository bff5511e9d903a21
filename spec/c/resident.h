/* SPDX-License-Identifier: MIT */
/* What the tests see of the process' memory. Any thread. */
#ifndef VAI_TEST_RESIDENT_H
#define VAI_TEST_RESIDENT_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Resident bytes, as the system counts them. Aborts if it does not say. */
static inline long spec_resident(void)
{
	long size = 0, pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%ld %ld", &size, &pages) != 2)
		abort();
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

#endif
