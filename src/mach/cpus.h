/* SPDX-License-Identifier: MIT */
/* How many CPUs this process may use. Any thread. */
#ifndef VAI_CPUS_H
#define VAI_CPUS_H

/* The CPUs that the calling thread may run on, or fewer where the cgroup of the process, or one above
 * it, has less processor time (version 1 and 2; rounded up). At least 1. Reads files: some 50 µs. */
int vai__cpus(void);

/* What is put before /proc and the places of mounts: "", or in tests a folder that has copies of them. */
extern const char *vai__cpus_root;

#endif
