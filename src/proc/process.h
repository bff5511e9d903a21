/* SPDX-License-Identifier: MIT */
/* Child processes. Each is one pidfd in the poller, which takes the exit status when the process ends, whether
 * somebody waits or not; SIGCHLD and the other children of the host are not touched. A status that
 * somebody else has taken meanwhile (a waitpid(-1) of the host's) is an error, VAI__ERRNO(ECHILD).
 *
 * Any goroutine may call; the caller holds a reference. Results are those of net/. */
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
	const char *cwd;       /* or NULL */
	int fds[VAI__STREAMS]; /* what the process gets as 0 to 2; -1: this process's own. Borrowed */
	bool group;            /* it leads a process group of its own, and signals go to all of that */
};

/* streams: our ends of pipes, or NULL; taken over in every case. */
int vai__process_spawn(const struct vai__spawn *s, vai_conn *const streams[VAI__STREAMS], vai_process **out);

struct vai__exit {
	bool signaled;
	int n; /* the exit code, or the signal */
};
int vai__process_wait(vai_g *self, vai_process *p, int64_t limit, struct vai__exit *out);
/* Has w, which the caller has filled in, fired at its end. False: it has ended. It is taken back in any case. */
bool vai__process_link(vai_process *p, struct vai__waiter *w);
void vai__process_unlink(vai_process *p, struct vai__waiter *w);
/* VAI__ERRNO(ESRCH): it has ended. */
int vai__process_kill(vai_process *p, int sig);
int vai__process_pid(const vai_process *p);
/* Whether its end is known. */
bool vai__process_is_over(vai_process *p);
/* Borrowed; NULL: it is no pipe. */
vai_conn *vai__process_stream(vai_process *p, int n);

/* A pipe: an end of ours, *ours with a reference, and one for a process. write: ours is written to. */
int vai__process_pipe(bool write, vai_conn **ours, int *theirs);

#endif
