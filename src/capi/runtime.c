/* SPDX-License-Identifier: MIT */
/* vai.h: start and end of the runtime, the host's loop, and the check of who may call. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include "base/fatal.h"
#include "base/mem.h"
#include "base/obj.h"
#include "capi/capi.h"
#include "sync/waitq.h"

/* How long a machine gets to leave its goroutine when the runtime ends. */
#define GRACE_NS INT64_C(20000000)

bool (*vai__capi_detach)(vai_g *main);

/* ---- threads that vai does not know ---- */

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool has_key;

static void thread_ends(void *unused)
{
	(void)unused;
	vai__mem_thread_exit();
}

static void make_key(void)
{
	has_key = pthread_key_create(&key, thread_ends) == 0;
}

int vai__capi_enter(vai_g **g)
{
	*g = vai__g_self();
	if (VAI_LIKELY(*g != NULL))
		return VAI_OK;
	if (!vai__outside_enter())
		return VAI_ESTOPPED;
	if (has_key && !pthread_getspecific(key)) /* frees the thread's cache of memory at its end */
		pthread_setspecific(key, &key);
	return VAI_OK;
}

int vai__capi_enter_wait(vai_g **g, int64_t ns)
{
	int rc = vai__capi_enter(g);
	if (rc != VAI_OK || *g || ns <= 0)
		return rc;
	vai__capi_leave(NULL);
	return VAI_ETHREAD;
}

void vai__capi_leave(vai_g *g)
{
	if (VAI_UNLIKELY(!g))
		vai__outside_leave();
}

/* ---- start and end ---- */

/* In a process without Lua: gives back the task of a goroutine that never ended. */
static void abandon(vai_g *g)
{
	struct vai_obj *task = g->task;
	g->task = NULL;
	if (task)
		vai__obj_unref(task);
}

int vai_start(const vai_options *opts)
{
	struct vai_options host = {0};
	if (opts && (opts->size < offsetof(vai_options, data) || opts->size > sizeof host))
		return VAI_EINVAL; /* it comes from a later vai, and may ask for what this one does not know */
	if (opts)
		memcpy(&host, opts, opts->size);
	if (host.procs < 0 || vai__sched_alive() || vai__g_main())
		return VAI_EINVAL;
	pthread_once(&key_once, make_key);
	if (!vai__sched_hooks.unwait)
		vai__sched_hooks.unwait = vai__waitq_unwait;
	if (!vai__sched_hooks.abandon)
		vai__sched_hooks.abandon = abandon;
	if (!vai__sched_hooks.bury)
		vai__sched_hooks.bury = vai__waitq_bury;
	struct vai__sched_opts o = {.maxprocs = host.procs, .stack_size = host.stack_size, .host = &host};
	return vai__sched_start(&o);
}

/* Ends a home of C code alone, and with the last home the runtime. */
static int stop_home(vai_g *self)
{
	struct vai__home *home = vai__g_home(self);
	vai__serial_end(self);
	if (vai__home_count() > 1)
		vai__home_end(home, self, GRACE_NS);
	vai__home_gate(true);
	bool others = vai__home_count() > 1, done = others || vai__sched_stop(GRACE_NS);
	if (others)
		vai__home_close(home);
	vai__home_gate(false);
	return done ? VAI_OK : VAI_EAGAIN;
}

int vai_stop(void)
{
	vai_g *self = vai__g_self();
	if (!vai__g_main())
		return vai__sched_alive() ? VAI_EAGAIN : VAI_OK;
	if (!vai__sched_running())
		return vai__sched_stop(GRACE_NS) ? VAI_OK : VAI_EAGAIN;
	if (!self || !vai__g_is_main(self))
		return VAI_ETHREAD;
	if (vai__capi_detach && vai__capi_detach(self))
		return vai__sched_running() || !vai__g_main() ? VAI_OK : VAI_EAGAIN;
	return stop_home(self);
}

bool vai_running(void)
{
	return vai__sched_running();
}

int64_t vai_count(void)
{
	return vai__sched_running() ? vai__g_count() : 0;
}

int vai_procs(int n)
{
	vai_g *g = vai__g_self();
	return g ? vai__maxprocs(g, n) : VAI_ETHREAD;
}

/* ---- frames ---- */

int vai_poll(int64_t ns)
{
	vai_g *g = vai__g_self();
	if (!g || !vai__g_is_main(g))
		return VAI_ETHREAD;
	return vai__frame_poll(g, ns < 0 ? 0 : ns);
}

int vai_serial_begin(int64_t ns)
{
	vai_g *g = vai__g_self();
	if (!g || !vai__g_is_main(g))
		return VAI_ETHREAD;
	return vai__capi_at_once(vai__serial_begin(g, vai__clock_add(vai__clock_real(), ns)), ns);
}

int vai_serial_end(void)
{
	vai_g *g = vai__g_self();
	if (!g || !vai__g_is_main(g))
		return VAI_ETHREAD;
	return vai__serial_end(g) ? VAI_OK : VAI_EINVAL;
}

int vai_fd(void)
{
	vai_g *g = vai__g_self();
	return g && vai__g_is_main(g) ? vai__frame_fd(g) : VAI_ETHREAD;
}

uint64_t vai_host(void)
{
	const struct vai__home *home = vai__home_self();
	return home->main ? atomic_load_relaxed(&home->id) : 0;
}

/* host: a number of vai_host; 0: the first host's thread. */
static int interrupt(uint64_t host)
{
	vai_g *g;
	int rc = vai__capi_enter(&g);
	if (rc != VAI_OK)
		return rc;
	bool found = vai__sched_interrupt(host);
	vai__capi_leave(g);
	return found ? VAI_OK : VAI_EINVAL;
}

int vai_interrupt(void)
{
	return interrupt(vai_host());
}

int vai_interrupt_host(uint64_t host)
{
	return host ? interrupt(host) : VAI_EINVAL;
}

/* ---- odds and ends ---- */

int64_t vai_now(void)
{
	return vai__clock_now();
}

void *vai_ref(void *object)
{
	if (object)
		vai__obj_ref(object);
	return object;
}

void vai_unref(void *object)
{
	if (object)
		vai__obj_unref(object);
}

const char *vai_strerror(int result)
{
	static const char *const texts[] = {"ok", "out of memory", "the channel is closed", "timeout",
		"the call would wait", "canceled", "all goroutines are asleep - deadlock!", "a number is out of range",
		"an argument makes no sense", "the system refused", "the context was canceled",
		"the context's deadline is exceeded", "interrupted", "this thread may not call this",
		"the runtime does not run"};
	const int n = (int)(sizeof texts / sizeof texts[0]);
	if (result >= 0)
		return texts[0];
	return result > -n ? texts[-result] : "unknown result";
}
