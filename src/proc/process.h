/* SPDX-License-Identifier: MIT */
/* Child processes. Each is one pidfd in the poller, which fetches the exit status when the process ends, whether or not
 * a goroutine waits; SIGCHLD and the host's other children are left alone. If other code has fetched the status before
 * (a waitpid(-1) of the host's), waiting fails with VAI__ERRNO(ECHILD).
 *
 * Any goroutine may call; the caller holds a reference. Only vai__process_wait parks. Results are those of net/. */
#ifndef VAI_PROCESS_H
#define VAI_PROCESS_H

#include "base/obj.h"
#include "net/conn.h"

typedef struct vai_process vai_process; /* a struct vai_obj */
extern const struct vai_class vai__process_class;

enum { VAI__STREAMS = 3 };

struct vai__spawn {
	char *const *argv; /* argv[0] is looked for in PATH unless it has a slash */
	char *const *envp;
	const char *cwd;       /* the folder that it starts in; NULL: this process's own */
	int fds[VAI__STREAMS]; /* what it gets as descriptors 0 to 2, borrowed; -1: this process's own */
	bool group;            /* it leads a new process group, and signals go to all of that */
};

/* Starts a process and watches for its end. streams: our ends of its pipes, each a connection with a reference, or
 * NULL; taken over in every case. Returns once the program runs: VAI_OK, and *out has one reference; VAI_ENOMEM; or
 * VAI__ERRNO(e), with ENOENT if there is no such program. */
int vai__process_spawn(const struct vai__spawn *s, vai_conn *const streams[VAI__STREAMS], vai_process **out);

struct vai__exit {
	bool signaled;
	int n; /* the exit code, or the signal's number */
};
/* Parks until the process has ended, or until `limit` (absolute, ns; 0: does not park, VAI_ETIMEOUT). VAI_OK: *out
 * tells how it has ended; any number of goroutines may ask, also later. VAI__ERRNO(ECHILD): other code has fetched the
 * status. VAI_ECLOSED: the runtime ended before the process. */
int vai__process_wait(vai_g *self, vai_process *p, int64_t limit, struct vai__exit *out);
/* Fires w, which the caller has filled in, when the process ends. False: it has ended already, and w is in no list. In
 * any case the caller calls vai__process_unlink before w is freed. */
bool vai__process_link(vai_process *p, struct vai__waiter *w);
void vai__process_unlink(vai_process *p, struct vai__waiter *w);
/* Sends a signal to the process, or to its group if it leads one. By the pidfd no later process of the same number can
 * get it. VAI__ERRNO(ESRCH): it is known to have ended. */
int vai__process_kill(vai_process *p, int sig);
/* The number (pid) of the process. It stays the same after its end, when another process may have that number. */
int vai__process_pid(const vai_process *p);
/* Whether vai knows that the process has ended. */
bool vai__process_is_over(vai_process *p);
/* Our end of the pipe for stream n (0 to 2), borrowed; NULL: the stream is no pipe. */
vai_conn *vai__process_stream(vai_process *p, int n);

/* Makes a pipe. write: our end is the one to write to. VAI_OK: *ours is our end, non-blocking, with one reference;
 * *theirs is the descriptor for a process, blocking and close-on-exec, and the caller's to close. */
int vai__process_pipe(bool write, vai_conn **ours, int *theirs);

#endif
