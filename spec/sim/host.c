/* SPDX-License-Identifier: MIT */
/* What stands in for base/, mach/ and the poller: threads, futexes, locks that wait, time, memory,
 * stacks. Compiled like the sources under test: its own atomic accesses are steps. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/fork.h"
#include "base/heap.h"
#include "base/clock.h"
#include "base/futex.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/fatal.h"
#include "mach/barrier.h"
#include "mach/cpus.h"
#include "mach/ctx.h"
#include "mach/stack_overflow.h"
#include "mach/stack.h"
#include "mach/thread.h"
#include "sched/poll.h"
#include "sched/sched.h"
#include "machine.h"
#include "world.h"

bool vai__forked;
void (*vai__obj_gone)(struct vai_obj *o); /* base/obj */

enum { STACK = 32768, LOOK = 20000 /* ns that a look at the clock takes */ };

/* ---- base ---- */

void vai__futex_wait(atomic_uint *word, unsigned expect, int64_t deadline)
{
	machine_futex_wait((const volatile unsigned *)word, expect, deadline);
}

int vai__thread_where(void)
{
	return 0; /* all threads on one CPU */
}

bool vai__thread_has_children(void)
{
	return false;
}

void vai__thread_yield(void)
{
	sim_relax();
}

void vai__cpu_relax(void)
{
	sim_relax();
}

static bool is_free(void *word)
{
	return *(const volatile unsigned *)word == 0;
}

void vai__lock_slow(struct vai_lock *l)
{
	volatile unsigned *word = (volatile unsigned *)&l->word;
	do
		sim_wait(is_free, (void *)(uintptr_t)word, VAI_FOREVER, "for a lock");
	while (*word != 0);
	*word = 1;
}

static bool is_false(void *flag)
{
	return !*(const volatile bool *)flag;
}

void vai__lock_await(const atomic_bool *flag)
{
	while (atomic_load_acquire(flag))
		sim_wait(is_false, (void *)(uintptr_t)flag, VAI_FOREVER, "for a flag");
}

void vai__lock_init(struct vai_lock *l, enum vai_rank rank)
{
	atomic_init(&l->word, 0);
	l->rank = rank;
}

static struct {
	struct vai_lock *held[16];
	int n;
} locks[SIM_THREADS];

void vai__lock_check(struct vai_lock *l)
{
	if (sim_self() < 0)
		return;
	for (int i = 0; i < locks[sim_self()].n; i++) {
		struct vai_lock *h = locks[sim_self()].held[i];
		bool many = l->rank == VAI_RANK_CHAN || l->rank == VAI_RANK_TIMERS;
		if (h == l || h->rank > l->rank || (h->rank == l->rank && !many))
			sim_fail("lock of rank %u taken while holding rank %u", l->rank, h->rank);
	}
	SIM_CHECK(locks[sim_self()].n < 16);
	locks[sim_self()].held[locks[sim_self()].n++] = l;
}

void vai__lock_forget(struct vai_lock *l)
{
	for (int i = 0; sim_self() >= 0 && i < locks[sim_self()].n; i++) {
		if (locks[sim_self()].held[i] == l) {
			locks[sim_self()].held[i] = locks[sim_self()].held[--locks[sim_self()].n];
			return;
		}
	}
	sim_fail("lock of rank %u released by a thread that does not hold it", l->rank);
}

/* Whoever is woken under the scheduler's lock may take the CPU from its holder, and wait for that. */
void vai__futex_wake(atomic_uint *word, int n)
{
	for (int i = 0; sim_self() >= 0 && i < locks[sim_self()].n; i++)
		SIM_CHECK(locks[sim_self()].held[i]->rank != VAI_RANK_SCHED);
	machine_futex_wake((const volatile unsigned *)word, n);
}

int64_t (*_Atomic vai__clock_of_run)(void);

int64_t vai__clock_now(void)
{
	return vai__clock_real();
}

int64_t vai__clock_real(void)
{
	sim_pass(LOOK);
	return sim_now();
}

void (*_Atomic vai__fatal_dying)(void);

_Noreturn void vai__fatal(const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	sim_fail("fatal: %s", text);
}

void (*vai__fatal_host)(const char *text, void *data);
void (*vai__log_host)(const char *line, void *data);
void *vai__fatal_data;

void vai__log(const char *fmt, ...)
{
	sim_fail("log: %s", fmt);
}

bool vai__heap_choose(vai__heap_function f, void *data)
{
	(void)data;
	return !f;
}

void *vai__mem_alloc(size_t size)
{
	return sim_malloc(size);
}

void *vai__mem_zalloc(size_t size)
{
	return sim_calloc(1, size);
}

void vai__mem_free(void *p, size_t size)
{
	(void)size;
	sim_free(p);
}

void vai__mem_thread_exit(void)
{
}

size_t vai__mem_unneeded(size_t *regained)
{
	return *regained = 0;
}

size_t vai__mem_scavenge(const atomic_bool *stop)
{
	(void)stop;
	return 0;
}

/* ---- mach ---- */

bool vai__barrier_by_kernel = true;

void vai__barrier_init(void)
{
}

void vai__barrier_heavy(void)
{
	sim_step("membarrier");
	sim_drain_all();
}

int vai__cpus(void)
{
	return 2;
}

int vai__thread_id(void)
{
	return sim_self();
}

void vai__thread_at_end(void (*f)(void))
{
	f();
}

void vai__thread_look(int id, struct vai__thread_look *out)
{
	out->asleep = sim_in_c_call(id);
	out->sleeps = 0;
}

int64_t vai__thread_cpu(int id)
{
	(void)id;
	return -1;
}

int64_t vai__thread_user(int id)
{
	(void)id;
	return -1;
}

bool vai__thread_timer_new(int id, int sig, void *value, timer_t *out)
{
	(void)id;
	(void)sig;
	(void)value;
	(void)out;
	return false;
}

bool vai__thread_timer_start(timer_t timer)
{
	(void)timer;
	return false;
}

bool vai__thread_alarm_new(int id, int sig, void *value, timer_t *out)
{
	return vai__thread_timer_new(id, sig, value, out);
}

void vai__thread_alarm(timer_t timer, int64_t ns)
{
	(void)timer;
	(void)ns;
}

void vai__stack_overflow_install(void (*report)(void))
{
	(void)report;
}

int vai__stack_overflow_thread_init(void)
{
	return 0;
}

void vai__stack_overflow_thread_exit(void)
{
}

void vai__ctx_native(struct vai__ctx *c)
{
	c->sp = NULL;
}

/* A test itself says who sheds his stack. */
_Atomic(int64_t) vai__stack_taken;

static struct {
	char *free[64];
	int n;
	size_t made;
} stacks;

void vai__stack_init(size_t size)
{
	(void)size;
}

size_t vai__stack_size(void)
{
	return STACK;
}

char *vai__stack_alloc(void)
{
	if (stacks.n > 0)
		return stacks.free[--stacks.n];
	stacks.made++;
	return (char *)sim_take(STACK, 4096) + STACK;
}

bool vai__stack_short(void)
{
	return false;
}

void vai__stack_free(char *top)
{
	if (stacks.n < 64)
		stacks.free[stacks.n++] = top;
}

void vai__stack_trim(char *top)
{
	(void)top;
}

void vai__stack_reset(void)
{
}

size_t vai__stack_unneeded(size_t *regained)
{
	return *regained = 0;
}

size_t vai__stack_scavenge(const atomic_bool *stop)
{
	(void)stop;
	return 0;
}

bool vai__stack_is_guard(const void *addr)
{
	(void)addr;
	return false;
}

size_t vai__stack_count(void)
{
	return stacks.made;
}

/* ---- threads ---- */

static void thread_body(void *arg)
{
	void **f = arg;
	((void *(*)(void *))f[0])(f[1]);
}

int sim_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*f)(void *), void *arg);
int sim_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*f)(void *), void *arg)
{
	void **body = sim_take(2 * sizeof(void *), 16);
	(void)attr;
	body[0] = (void *)f;
	body[1] = arg;
	sim_step("pthread_create");
	*thread = (pthread_t)sim_spawn(thread_body, body);
	return 0;
}

/* The tests call sysmon's look themselves: a thread that wakes every now and then never ends. */
int __wrap_vai__sysmon_start(void);
void __wrap_vai__sysmon_stop(void);
void __wrap_vai__sysmon_poke(void);
void __wrap_vai__sysmon_hurry(void);
int __wrap_vai__sysmon_start(void)
{
	return VAI_OK;
}
void __wrap_vai__sysmon_stop(void)
{
}
bool world_poked;
void __wrap_vai__sysmon_poke(void)
{
	world_poked = true;
}
void __wrap_vai__sysmon_hurry(void)
{
}

/* ---- the poller ---- */

static struct {
	bool woken, done;
	_Atomic(int64_t) pending;
	vai_g *g;
	vai_ticket ticket;
} poller;

/* What stands for a channel of signals, with its one waiter. */
static struct {
	struct vai_lock lock;
	_Atomic(int64_t) count;
	bool came;
	vai_g *g; /* lock, as its ticket */
	vai_ticket ticket;
} source;

int vai__poll_start(const char **call)
{
	(void)call;
	return VAI_OK;
}

void vai__poll_stop(void)
{
}

void vai__poll_check(void)
{
}

static bool polled(void *arg)
{
	(void)arg;
	return poller.woken || poller.done || source.came;
}

static void post_from_source(void)
{
	vai__lock(&source.lock);
	vai_g *g = source.g;
	source.g = NULL;
	if (g)
		vai__fire(g, source.ticket, VAI_WAKE_USER);
	vai__unlock(&source.lock);
}

void vai__poll_wait(int64_t until)
{
	if (until == 0)
		sim_step("poll");
	else
		sim_wait(polled, NULL, until, "in the poller");
	poller.woken = false;
	if (poller.done) {
		poller.done = false;
		vai__fire(poller.g, poller.ticket, VAI_WAKE_USER);
	}
	if (source.came) {
		source.came = false;
		post_from_source();
	}
}

void vai__poll_wake(void)
{
	sim_drain();
	sim_step("poll wake");
	poller.woken = true;
}

void vai__poll_count(int n)
{
	atomic_fetch_add(&poller.pending, n);
}

int64_t vai__poll_pending(void)
{
	return atomic_load(&poller.pending);
}

/* By who has waited: before it runs again an M about to sleep would see a deadlock. */
void world_io_end(void)
{
	atomic_fetch_sub(&poller.pending, 1);
}

void world_io_begin(vai_g *g, vai_ticket ticket)
{
	poller.g = g;
	poller.ticket = ticket;
	atomic_fetch_add(&poller.pending, 1);
}

void world_io_done(void)
{
	sim_step("input arrives");
	poller.done = true;
}

int64_t vai__poll_sources(void)
{
	return atomic_load(&source.count);
}

bool vai__poll_sources_awaited(void)
{
	vai__lock(&source.lock);
	bool awaited = source.g != NULL;
	vai__unlock(&source.lock);
	return awaited;
}

void world_source_begin(vai_g *g, vai_ticket ticket)
{
	vai__lock_init(&source.lock, VAI_RANK_TIMERS);
	source.g = g;
	source.ticket = ticket;
	atomic_store(&source.count, 1);
}

void world_source_post(void)
{
	sim_step("a signal arrives");
	source.came = true;
}

void world_source_end(void)
{
	atomic_store(&source.count, 0);
}
