/* SPDX-License-Identifier: MIT */
/* See process.h.
 *
 * posix_spawn makes the process: like vfork, it copies nothing, and it reports why an exec failed. All that vai
 * opens is close-on-exec from its creation, so a process that another thread starts meanwhile inherits nothing;
 * beyond 2 the child gets no descriptor at all where libc can close them. It begins with no signal blocked and with
 * SIGPIPE as it is by default, whatever the host does.
 *
 * The watch of the pidfd holds a reference until the status is there. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "proc/process.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/lock.h"
#include "base/mem.h"
#include "sched/poll.h"
#include "sync/waitq.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

struct vai_process {
	struct vai_obj obj;
	struct vai_lock lock; /* guards what can change */
	pid_t pid;
	bool group;
	bool over; /* rc and end are set; under the lock */
	int rc;    /* VAI_OK, or why the status is unknown */
	struct vai__exit end;
	struct vai__desc *pidfd; /* NULL once it is over */
	struct vai__watch watch;
	struct vai__waitq waiters;
	vai_conn *streams[VAI__STREAMS];
};

static void drop_streams(vai_conn *const streams[VAI__STREAMS])
{
	for (int i = 0; i < VAI__STREAMS; i++)
		if (streams[i])
			vai__obj_unref((struct vai_obj *)streams[i]);
}

static void destroy(struct vai_obj *o)
{
	vai_process *p = VAI_CONTAINER(o, vai_process, obj);
	drop_streams(p->streams);
	vai__mem_free(p, sizeof *p);
}

const struct vai_class vai__process_class = {"process", destroy};

/* ---- its end ---- */

static void set_over(vai_process *p, int rc, const siginfo_t *info)
{
	struct vai__waitq all;
	vai__waitq_init(&all);
	vai__lock(&p->lock);
	struct vai__desc *d = p->pidfd;
	p->pidfd = NULL;
	p->over = true;
	p->rc = rc;
	p->end.signaled = info->si_code != CLD_EXITED;
	p->end.n = info->si_status;
	vai__waitq_splice(&all, &p->waiters);
	vai__waitq_fire_all(&all, 0, &p->lock);
	vai__desc_release(d);
	vai__obj_unref(&p->obj);
}

/* Asks for the exit status. True: the process has ended, and its status is noted. */
static bool reap(vai_process *p)
{
	siginfo_t info;
	memset(&info, 0, sizeof info);
	int rc = waitid((idtype_t)P_PIDFD, (id_t)vai__desc_fd(p->pidfd), &info, WEXITED | WNOHANG);
	if (rc == 0 && info.si_pid == 0)
		return false;
	set_over(p, rc == 0 ? VAI_OK : VAI__ERRNO(errno), &info);
	return true;
}

/* Called in the poller when the pidfd is ready. */
static void on_exit_seen(struct vai__watch *w)
{
	vai_process *p = VAI_CONTAINER(w, vai_process, watch);
	do {
		if (reap(p))
			return;
	} while (!vai__desc_watch(p->pidfd, VAI__READ, w));
}

/* Called when the runtime ends before the process. */
static void on_end(struct vai__watch *w)
{
	vai_process *p = VAI_CONTAINER(w, vai_process, watch);
	p->pidfd = NULL;
	p->over = true;
	p->rc = VAI_ECLOSED;
	vai__obj_unref(&p->obj);
}

/* ---- starting ---- */

/* Moves the descriptors for the child above 2, so that none lies where another one goes. */
static int lift(struct vai__spawn *s)
{
	int lifted[VAI__STREAMS];
	for (int i = 0; i < VAI__STREAMS; i++) {
		lifted[i] = s->fds[i] < 0 ? -1 : fcntl(s->fds[i], F_DUPFD_CLOEXEC, VAI__STREAMS);
		if (s->fds[i] >= 0 && lifted[i] < 0) {
			int err = errno;
			while (i-- > 0)
				if (lifted[i] >= 0)
					close(lifted[i]);
			return VAI__ERRNO(err);
		}
	}
	memcpy(s->fds, lifted, sizeof lifted);
	return VAI_OK;
}

static int add_actions(posix_spawn_file_actions_t *actions, const struct vai__spawn *s)
{
	int err = 0;
	for (int i = 0; i < VAI__STREAMS && err == 0; i++)
		if (s->fds[i] >= 0)
			err = posix_spawn_file_actions_adddup2(actions, s->fds[i], i);
	if (s->cwd && err == 0)
		err = posix_spawn_file_actions_addchdir_np(actions, s->cwd);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
	if (err == 0)
		err = posix_spawn_file_actions_addclosefrom_np(actions, VAI__STREAMS);
#endif
	return err;
}

static int set_attributes(posix_spawnattr_t *attr, const struct vai__spawn *s)
{
	sigset_t none, pipe_only;
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	sigemptyset(&none);
	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setsigdefault(attr, &pipe_only);
	if (s->group) {
		flags |= POSIX_SPAWN_SETPGROUP;
		posix_spawnattr_setpgroup(attr, 0);
	}
	return posix_spawnattr_setflags(attr, flags);
}

static int start(const struct vai__spawn *s, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int err = posix_spawn_file_actions_init(&actions);
	if (err)
		return VAI__ERRNO(err);
	err = posix_spawnattr_init(&attr);
	if (err == 0) {
		err = add_actions(&actions, s);
		if (err == 0)
			err = set_attributes(&attr, s);
		if (err == 0)
			err = posix_spawnp(pid, s->argv[0], &actions, &attr, s->argv, s->envp);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&actions);
	return err ? VAI__ERRNO(err) : VAI_OK;
}

static int start_lifted(struct vai__spawn s, pid_t *pid)
{
	int rc = lift(&s);
	if (rc != VAI_OK)
		return rc;
	rc = start(&s, pid);
	for (int i = 0; i < VAI__STREAMS; i++)
		if (s.fds[i] >= 0)
			close(s.fds[i]);
	return rc;
}

static struct vai__desc *open_pidfd(pid_t pid, int *rc)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0) {
		*rc = VAI__ERRNO(errno == ESRCH ? ECHILD : errno);
		return NULL;
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	struct vai__desc *d = vai__desc_new(fd, rc);
	if (!d)
		close(fd);
	return d;
}

/* Watches the process's end. Without a pidfd nobody would learn of the end, so then the process is killed, unless it
 * has ended already. */
static int watch_it(vai_process *p)
{
	siginfo_t info;
	p->pidfd = open_pidfd(p->pid, &p->rc);
	if (!p->pidfd) {
		p->over = true;
		if (p->rc == VAI__ERRNO(ECHILD))
			return VAI_OK;
		kill(p->pid, SIGKILL);
		waitid(P_PID, (id_t)p->pid, &info, WEXITED);
		return p->rc;
	}
	p->watch = (struct vai__watch){.fn = on_exit_seen, .gone = on_end};
	vai__obj_ref(&p->obj);
	if (!vai__desc_watch(p->pidfd, VAI__READ, &p->watch))
		on_exit_seen(&p->watch);
	return VAI_OK;
}

int vai__process_spawn(const struct vai__spawn *s, vai_conn *const streams[VAI__STREAMS], vai_process **out)
{
	vai_process *p = vai__mem_zalloc(sizeof *p);
	int rc = p ? start_lifted(*s, &p->pid) : VAI_ENOMEM;
	if (rc != VAI_OK) {
		drop_streams(streams);
		vai__mem_free(p, sizeof *p);
		return rc;
	}
	vai__obj_init(&p->obj, &vai__process_class);
	vai__lock_init(&p->lock, VAI_RANK_SYNC);
	vai__waitq_init(&p->waiters);
	memcpy(p->streams, streams, sizeof p->streams);
	p->group = s->group;
	rc = watch_it(p);
	if (rc == VAI_OK)
		*out = p;
	else
		vai__obj_unref(&p->obj);
	return rc;
}

int vai__process_pipe(bool write, vai_conn **ours, int *theirs)
{
	int fds[2], rc, mine = write ? 1 : 0;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return VAI__ERRNO(errno);
	fcntl(fds[mine], F_SETFL, O_NONBLOCK);
	struct vai__desc *d = vai__desc_new(fds[mine], &rc);
	if (!d)
		close(fds[mine]);
	*ours = d ? vai__conn_new(d, &vai__conn_file, NULL) : NULL;
	if (!*ours) {
		close(fds[!mine]);
		return d ? VAI_ENOMEM : rc;
	}
	*theirs = fds[!mine];
	return VAI_OK;
}

/* ---- using ---- */

int vai__process_wait(vai_g *self, vai_process *p, int64_t limit, struct vai__exit *out)
{
	int rc = VAI_OK;
	vai__lock(&p->lock);
	if (p->over)
		vai__unlock(&p->lock);
	else if (limit == 0) {
		vai__unlock(&p->lock);
		return VAI_ETIMEOUT;
	} else {
		vai__poll_count(1);
		rc = vai__waitq_wait(self, &p->waiters, &p->lock, VAI_WAIT_PROCESS, p, limit);
		vai__poll_count(-1);
	}
	if (rc != VAI_OK)
		return rc;
	*out = p->end;
	return p->rc;
}

bool vai__process_link(vai_process *p, struct vai__waiter *w)
{
	vai__waitq_init(&w->link);
	vai__lock(&p->lock);
	bool waits = !p->over;
	if (waits)
		vai__waitq_push(&p->waiters, w);
	vai__unlock(&p->lock);
	return waits;
}

void vai__process_unlink(vai_process *p, struct vai__waiter *w)
{
	vai__lock(&p->lock);
	if (vai__waitq_linked(w))
		vai__waitq_unlink(w);
	vai__unlock(&p->lock);
}

int vai__process_kill(vai_process *p, int sig)
{
	int rc = VAI_OK;
	vai__lock(&p->lock);
	struct vai__desc *d = p->pidfd;
	bool held = d && vai__desc_hold(d);
	vai__unlock(&p->lock);
	if (!held)
		return VAI__ERRNO(ESRCH);
	if (p->group ? kill(-p->pid, sig) < 0 : syscall(SYS_pidfd_send_signal, vai__desc_fd(d), sig, NULL, 0) < 0)
		rc = VAI__ERRNO(errno);
	vai__desc_unhold(d);
	return rc;
}

int vai__process_pid(const vai_process *p)
{
	return p->pid;
}

bool vai__process_is_over(vai_process *p)
{
	vai__lock(&p->lock);
	bool over = p->over;
	vai__unlock(&p->lock);
	return over;
}

vai_conn *vai__process_stream(vai_process *p, int n)
{
	return p->streams[n];
}
