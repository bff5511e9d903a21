/* SPDX-License-Identifier: MIT */
/* The list of goroutines that is written when an invariant of the runtime is broken. */
#ifndef VAI_DUMP_FATAL_H
#define VAI_DUMP_FATAL_H

/* vai__fatal_hook: writes a line for each goroutine, if they can be listed. Any thread. */
void vai__dump_fatal(void);

#endif
