/* SPDX-License-Identifier: MIT */
/* See tty.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "proc/tty.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include "base/atomic.h"
#include "base/fatal.h"

enum { TTYS = 8 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* The terminals in raw mode. A slot's mode is written before its fd and read after it, as handlers read it without the
 * lock. */
static struct {
	atomic_int fd; /* the descriptor + 1; 0: the slot is free */
	struct termios mode;
} raws[TTYS];

static const int deadly[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGABRT, SIGALRM, SIGUSR1, SIGUSR2};
enum { DEADLY = sizeof deadly / sizeof *deadly };

int vai__tty_size(int fd, int *columns, int *rows)
{
	struct winsize size;
	if (ioctl(fd, TIOCGWINSZ, &size) < 0)
		return VAI__ERRNO(errno);
	*columns = size.ws_col;
	*rows = size.ws_row;
	return VAI_OK;
}

void vai__tty_restore(void)
{
	for (int i = 0; i < TTYS; i++) {
		int fd = atomic_exchange(&raws[i].fd, 0) - 1;
		if (fd >= 0)
			tcsetattr(fd, TCSANOW, &raws[i].mode);
	}
}

static void on_deadly(int sig)
{
	struct sigaction sa = {.sa_handler = SIG_DFL};
	vai__tty_restore();
	sigaction(sig, &sa, NULL);
	raise(sig);
}

/* Sets handlers for deadly signals that nobody else handles, or removes them. */
static void handle(bool on)
{
	void (*from)(int) = on ? SIG_DFL : on_deadly;
	struct sigaction now, sa = {.sa_handler = on ? on_deadly : SIG_DFL, .sa_flags = SA_ONSTACK};
	for (int i = 0; i < DEADLY; i++)
		if (sigaction(deadly[i], NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == from)
			sigaction(deadly[i], &sa, NULL);
}

/* The slot of fd (-1: a free slot); -1: there is none. Lock held. */
static int slot_of(int fd)
{
	for (int i = 0; i < TTYS; i++)
		if (atomic_load(&raws[i].fd) == fd + 1)
			return i;
	return -1;
}

static int make_raw(int fd)
{
	static bool at_exit;
	struct termios mode;
	int i = slot_of(-1);
	if (slot_of(fd) >= 0)
		return VAI_OK;
	if (i < 0 || tcgetattr(fd, &mode) < 0)
		return VAI__ERRNO(i < 0 ? EMFILE : errno);
	if (!at_exit)
		at_exit = atexit(vai__tty_restore) == 0;
	vai__fatal_dying = vai__tty_restore;
	raws[i].mode = mode;
	handle(true);
	atomic_store(&raws[i].fd, fd + 1);
	mode.c_iflag &= (tcflag_t) ~(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
	mode.c_oflag |= ONLCR;
	mode.c_cflag |= CS8;
	mode.c_lflag &= (tcflag_t) ~(ECHO | ICANON | IEXTEN | ISIG);
	mode.c_cc[VMIN] = 1;
	mode.c_cc[VTIME] = 0;
	if (tcsetattr(fd, TCSADRAIN, &mode) == 0)
		return VAI_OK;
	int rc = VAI__ERRNO(errno);
	atomic_store(&raws[i].fd, 0);
	return rc;
}

static int make_cooked(int fd)
{
	int i = slot_of(fd);
	if (i < 0)
		return isatty(fd) ? VAI_OK : VAI__ERRNO(errno);
	int rc = tcsetattr(fd, TCSADRAIN, &raws[i].mode) < 0 ? VAI__ERRNO(errno) : VAI_OK;
	atomic_store(&raws[i].fd, 0);
	return rc;
}

int vai__tty_raw(int fd, bool on)
{
	pthread_mutex_lock(&lock);
	int rc = on ? make_raw(fd) : make_cooked(fd);
	bool any = false;
	for (int i = 0; i < TTYS; i++)
		any |= atomic_load(&raws[i].fd) != 0;
	if (!any)
		handle(false);
	pthread_mutex_unlock(&lock);
	return rc;
}
