/* SPDX-License-Identifier: MIT */
/* Locks that goroutines end with: told on stderr, and in dumps. */
#ifndef VAI_HELD_H
#define VAI_HELD_H

/* Before vai__vm_start: states tell it what they let go of. */
void vai__held_install(void);

#endif
