/* SPDX-License-Identifier: MIT */
/* Terminals, and the streams that the process began with. Any goroutine; results are those of net/. */
#ifndef VAI_TTY_H
#define VAI_TTY_H

#include "net/conn.h"

int vai__tty_size(int fd, int *columns, int *rows);
/* Raw: keys come one by one, unseen, also Ctrl-C. The mode of before is set again by raw(false) and at the end of the
 * process, whatever ends it but SIGKILL. */
int vai__tty_raw(int fd, bool on);
/* Any thread, also in a signal handler. */
void vai__tty_restore(void);

/* Descriptor n of 0 to 2 as a connection: always the same while somebody has it; one reference. NULL: *rc says
 * why. */
vai_conn *vai__std_conn(int n, int *rc);

#endif
