/* SPDX-License-Identifier: MIT */
/* SIGQUIT, on sysmon's thread: writes a dump of everything and ends the process.
 *
 * Goroutines in C calls cannot be stopped, and one of them is often the reason for the signal. So once everything
 * else is written and flushed, their threads are frozen in a signal handler, which is possible because the process
 * ends anyway. From then on this code takes no lock that a frozen thread may hold, as malloc's. A frozen Lua stack
 * may be in the middle of a change: if reading it faults, the process ends there. */
#include "bind/report/dump_quit.h"
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "bind/report/dump.h"
#include "bind/report/exit.h"
#include "bind/report/leaks.h"

/* Freezing has two seconds for all threads together, which a busy machine may need for one, and after that 10 ms for
 * each. */
enum { PATIENCE = 1000000000, FREEZE_ONE = 10000000 /* ns */, MAX_FROZEN = 32, ROOM = 1 << 20 };
static const int64_t FREEZE_ALL = 2000000000;

struct outside {
	vai_g *gs[MAX_FROZEN];
	int n;
};

static void note(vai_g *g, const struct vai_g_info *info, void *arg)
{
	struct outside *o = arg;
	if (info->in_c && !info->still && o->n < MAX_FROZEN)
		o->gs[o->n++] = g;
}

static void on_fault(int sig)
{
	(void)sig;
	_exit(2);
}

static void catch_faults(void)
{
	struct sigaction sa = {.sa_handler = on_fault};
	sigemptyset(&sa.sa_mask);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

static void write_frozen(struct outside *o)
{
	struct vai__buffer text = {0};
	if (o->n == 0 || !vai__buffer_reserve(&text, ROOM))
		return;
	catch_faults();
	int64_t end = vai__clock_real() + FREEZE_ALL;
	for (int i = 0; i < o->n; i++) {
		int64_t left = end - vai__clock_real();
		if (!vai__g_freeze(o->gs[i], left > FREEZE_ONE ? left : FREEZE_ONE))
			continue;
		text.n = 0;
		vai__dump_frozen(&text, o->gs[i]);
		vai__text_write(&text, STDERR_FILENO);
	}
}

void vai__dump_quit(void)
{
	struct vai__buffer text = {0};
	struct outside o = {.n = 0};
	vai__exit_begin();
	vai__text_put(&text, "SIGQUIT: quit\n");
	bool still = vai__world_stop(NULL, PATIENCE);
	if (!still)
		vai__text_put(&text, "vai: goroutines could not be stopped: no tracebacks\n");
	vai__dump_all(&text, NULL, still ? VAI__DUMP_STILL : VAI__DUMP_MOVING, SIZE_MAX);
	if (still)
		vai__leaks_add(&text);
	vai__text_write(&text, STDERR_FILENO);
	vai__g_each(note, &o);
	vai__exit_flush();
	write_frozen(&o);
	_exit(2);
}
