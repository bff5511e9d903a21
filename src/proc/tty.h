/* SPDX-License-Identifier: MIT */
/* Terminals, and the streams that the process began with. Any goroutine may call; nothing parks. Results are VAI_OK or
 * VAI__ERRNO(e), ENOTTY for a descriptor that is no terminal. */
#ifndef VAI_TTY_H
#define VAI_TTY_H

#include "net/conn.h"

/* The terminal's width and height in characters. */
int vai__tty_size(int fd, int *columns, int *rows);
/* on: makes the terminal raw, so that keys come one by one without echo, Ctrl-C included. Otherwise sets the mode of
 * before again, as the end of the process does, whatever ends it but SIGKILL. VAI__ERRNO(EMFILE): eight terminals are
 * raw already. Blocks in the system until what was written to the terminal is out. */
int vai__tty_raw(int fd, bool on);
/* Sets the modes of before for all terminals that are raw. Any thread, also in a signal handler. */
void vai__tty_restore(void);

/* Descriptor n (0 to 2) as a connection with one reference; the same one as long as anybody has it. NULL: *rc says
 * why. */
vai_conn *vai__std_conn(int n, int *rc);

#endif
