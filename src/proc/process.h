/* SPDX-License-Identifier: MIT */
/* Child processes. Each is one pidfd in the poller, which takes the exit status when the process ends, whether
 * somebody waits or not; SIGCHLD and the other children of the host are not touched. A status that
 * somebody else has taken meanwhile (a waitpid(-1) of the host's) is an error, VAI__ERRNO(ECHILD).
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
	int fds[VAI__STREAMS]; /* what the process gets as 0 to 2; -1: this process's own. Borrowed */
	bool group;            /* it leads a process group of its own, and signals go to all of that */
};

/* Starts a process, and watches for its end. streams: our ends of its pipes, each a connection with a reference, or
 * NULL; they are taken over in every case. It returns when the program runs: VAI_OK, and *out has one reference;
 * VAI_ENOMEM; or VAI__ERRNO(e), ENOENT for one that there is no program of that name. */
int vai__process_spawn(const struct vai__spawn *s, vai_conn *const streams[VAI__STREAMS], vai_process **out);

struct vai__exit {
	bool signaled;
	int n; /* the exit code, or the signal */
};
/* Waits for its end, until `limit` (absolute; 0: does not wait, VAI_ETIMEOUT). VAI_OK: *out tells how it has ended; any
 * number of goroutines may ask, at any time after. VAI__ERRNO(ECHILD): somebody else has taken the status. VAI_ECLOSED:
 * the runtime ended before the process. */
int vai__process_wait(vai_g *self, vai_process *p, int64_t limit, struct vai__exit *out);
/* Has w, which the caller has filled in, fired at the process's end. False: it has ended already, and w is in no list.
 * The caller takes it back in any case by the second call, before w is gone. */
bool vai__process_link(vai_process *p, struct vai__waiter *w);
void vai__process_unlink(vai_process *p, struct vai__waiter *w);
/* Sends it a signal, or to all of its group where it leads one. The pidfd sees to it that no other process of the same
 * number gets it. VAI__ERRNO(ESRCH): its end is known. */
int vai__process_kill(vai_process *p, int sig);
/* The number (pid) of the process. It stays the same after the end of the process, when another may have that
 * number. */
int vai__process_pid(const vai_process *p);
/* Whether vai knows that the process has ended. */
bool vai__process_is_over(vai_process *p);
/* Our end of the pipe for stream n, from 0 to 2. Borrowed; NULL: that stream is no pipe. */
vai_conn *vai__process_stream(vai_process *p, int n);

/* Makes a pipe. write: our end is the one to write to. VAI_OK: *ours is our end, non-blocking, with one reference, and
 * *theirs the descriptor for a process, blocking and close-on-exec, which is the caller's to close. */
int vai__process_pipe(bool write, vai_conn **ours, int *theirs);

#endif
