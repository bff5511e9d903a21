/* SPDX-License-Identifier: MIT */
/* What the system tells of threads. Any thread may ask. */
#ifndef VAI_THREAD_H
#define VAI_THREAD_H

#include "base/base.h"

/* The calling thread's number. */
int vai__thread_id(void);
/* Whether that thread of this process waits in the kernel; false where it cannot be known.
 * Some microseconds. */
bool vai__thread_asleep(int id);

#endif
