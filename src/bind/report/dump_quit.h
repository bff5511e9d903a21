/* SPDX-License-Identifier: MIT */
/* What the process does on SIGQUIT. */
#ifndef VAI_DUMP_QUIT_H
#define VAI_DUMP_QUIT_H

/* vai__sched_hooks.quit: writes a dump of all goroutines to stderr and ends the process. On sysmon's thread. */
void vai__dump_quit(void);

#endif
