/* SPDX-License-Identifier: MIT */
/* The simulated machine: threads as coroutines, store buffers, a heap of its own; see sim.h. What it keeps
 * across runs lies in mapped memory; all static data is put back to where it was before each run. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "mach/ctx.h"
#include "machine.h"

enum { STACK = 1 << 17, ARENA = 1 << 24, GRAIN = 16, BUFFER = 32, SEEN = 1 << 14, IGNORED = 64, STEPS_MAX = 60000 };

enum state { UNUSED, READY, WAITS, ENDED };

struct store {
	volatile void *p;
	uint64_t v;
	size_t size;
};

struct thread {
	enum state state;
	void *sp;
	char *stack, *tls;
	void (*f)(void *);
	void *arg;
	/* while it waits */
	bool (*until)(void *);
	void *until_arg;
	int64_t deadline;
	const char *what;
	const void *futex;
	bool in_c, torn;
	struct store buffer[BUFFER];
	int nbuffer;
};

/* Who has touched an address, over all runs of a test. */
struct seen {
	uintptr_t p;
	int by;
	bool shared, written, live;
};

struct span {
	const char *from, *to;
};

static struct machine {
	struct thread threads[SIM_THREADS];
	int cur; /* -1: none runs */
	void *outside;
	int64_t now;
	int steps, blocks;
	bool quiet, all_live;
	char *arena, *freed; /* a byte of freed for each GRAIN of arena */
	size_t used;
	struct seen seen[SEEN];
	bool seen_more;
	struct span ignored[IGNORED];
	int nignored;
	/* the state to return to */
	char *data, *tls_image, *tls_at;
	size_t data_size, tls_size;
} * mc;

extern char __data_start[], _end[];

/* ---- failure ---- */

static void tell_threads(void)
{
	for (int i = 0; i < SIM_THREADS; i++) {
		struct thread *t = &mc->threads[i];
		if (t->state == READY || t->state == WAITS)
			fprintf(stderr, "  thread %d %s %s%s\n", i,
				t->state == READY ? "is ready" : "waits:", t->state == WAITS ? t->what : "",
				t->nbuffer ? ", has undrained stores" : "");
	}
}

_Noreturn void sim_fail(const char *fmt, ...)
{
	va_list ap;
	fflush(stdout);
	fputs("failed: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n  in thread %d after %d steps\n", mc->cur, mc->steps);
	tell_threads();
	explore_print();
	fflush(stderr);
	_exit(1);
}

static void on_fault(int sig)
{
	sim_fail("%s", strsignal(sig));
}

/* ---- the heap ---- */

void *sim_take(size_t n, size_t align)
{
	size_t at = (mc->used + align - 1) & ~(align - 1);
	if (at + n > ARENA)
		sim_fail("the arena is full");
	mc->used = (at + n + GRAIN - 1) & ~(size_t)(GRAIN - 1);
	return mc->arena + at;
}

struct head {
	size_t n;
	uint64_t magic;
};
enum { LIVE = 0x5ca1ab1e, DEAD = 0xdeadbeef };

void *sim_aligned_alloc(size_t align, size_t n)
{
	size_t room = align > sizeof(struct head) ? align : sizeof(struct head);
	char *p = (char *)sim_take(n + room, align > GRAIN ? align : GRAIN) + room;
	struct head *h = (struct head *)(void *)p - 1;
	h->n = n;
	h->magic = LIVE;
	memset(p, 0xA5, n);
	mc->blocks++;
	return p;
}

void *sim_malloc(size_t n)
{
	return sim_aligned_alloc(GRAIN, n);
}

void *sim_calloc(size_t n, size_t size)
{
	return memset(sim_malloc(n * size), 0, n * size);
}

void sim_free(void *p)
{
	if (!p)
		return;
	struct head *h = (struct head *)p - 1;
	if (h->magic != LIVE)
		sim_fail("freed %s", h->magic == DEAD ? "twice" : "what was not allocated");
	h->magic = DEAD;
	memset(p, 0xDD, h->n);
	memset(mc->freed + ((char *)p - mc->arena) / GRAIN, 1, h->n / GRAIN);
	mc->blocks--;
}

void *sim_realloc(void *p, size_t n)
{
	void *q = sim_malloc(n);
	if (p) {
		size_t old = ((struct head *)p - 1)->n;
		memcpy(q, p, old < n ? old : n);
		sim_free(p);
	}
	return q;
}

int sim_blocks(void)
{
	return mc->blocks;
}

/* ---- threads ---- */

static void resume(int next)
{
	int from = mc->cur;
	void **save = from < 0 ? &mc->outside : &mc->threads[from].sp;
	void *load = next < 0 ? mc->outside : mc->threads[next].sp;
	if (from >= 0)
		memcpy(mc->threads[from].tls, mc->tls_at, mc->tls_size);
	if (next >= 0)
		memcpy(mc->tls_at, mc->threads[next].tls, mc->tls_size);
	mc->cur = next;
	vai__ctx_swap(save, load);
}

static bool is_ready(struct thread *t)
{
	return t->state == READY || (t->state == WAITS && (t->until(t->until_arg) || t->deadline <= mc->now));
}

static int list_ready(int *ready, bool can_go_on)
{
	int n = 0;
	for (int k = can_go_on ? 0 : 1; k < SIM_THREADS + !can_go_on; k++) {
		int i = (mc->cur + k) % SIM_THREADS;
		if (is_ready(&mc->threads[i]))
			ready[n++] = i;
	}
	return n;
}

/* Nobody can go on: stores drain, then time passes. False: neither helps. */
static bool help(void)
{
	int64_t first = INT64_MAX;
	bool drained = false;
	for (int i = 0; i < SIM_THREADS; i++) {
		struct thread *t = &mc->threads[i];
		drained |= t->nbuffer > 0;
		if (t->state == WAITS && t->deadline < first)
			first = t->deadline;
	}
	sim_drain_all();
	if (!drained && first != INT64_MAX)
		mc->now = first;
	return drained || first != INT64_MAX;
}

static void reschedule(bool can_go_on)
{
	int ready[SIM_THREADS], n;
	while ((n = list_ready(ready, can_go_on)) == 0) {
		if (!help())
			sim_fail("every thread waits");
	}
	int next = ready[n == 1 || mc->quiet ? 0 : explore_thread(ready, n, can_go_on)];
	mc->threads[next].state = READY;
	if (next != mc->cur)
		resume(next);
}

static void thread_entry(void *arg)
{
	struct thread *t = arg;
	t->f(t->arg);
	sim_drain();
	t->state = ENDED;
	if (t == &mc->threads[0])
		resume(-1);
	reschedule(false);
	abort();
}

int sim_spawn(void (*f)(void *), void *arg)
{
	sim_drain();
	for (int i = 0; i < SIM_THREADS; i++) {
		struct thread *t = &mc->threads[i];
		if (t->state != UNUSED)
			continue;
		t->state = READY;
		t->f = f;
		t->arg = arg;
		t->sp = vai__ctx_prepare(t->stack + STACK, thread_entry, t);
		memcpy(t->tls, mc->tls_image, mc->tls_size);
		return i;
	}
	sim_fail("too many threads");
}

int sim_self(void)
{
	return mc->cur;
}

/* ---- steps ---- */

static struct seen *seen_at(const volatile void *p)
{
	uintptr_t key = (uintptr_t)p;
	for (size_t i = key * 0x9E3779B97F4A7C15u >> 50;; i++) {
		struct seen *s = &mc->seen[i % SEEN];
		if (s->p == key)
			return s;
		if (!s->p) {
			s->p = key;
			s->by = -1;
			return s;
		}
	}
}

static bool is_ignored(const volatile void *p)
{
	for (int i = 0; i < mc->nignored; i++) {
		if ((const volatile char *)p >= mc->ignored[i].from && (const volatile char *)p < mc->ignored[i].to)
			return true;
	}
	return false;
}

/* Notes the access; whether others are known to touch the address too, one of them writing. */
static bool is_interesting(const volatile void *p, bool writes)
{
	if (is_ignored(p))
		return false;
	struct seen *s = seen_at(p);
	bool before = s->shared && s->written;
	s->written |= writes;
	s->shared |= s->by >= 0 && s->by != mc->cur;
	s->by = mc->cur;
	if (!before && s->shared && s->written)
		mc->seen_more = true;
	return s->live || mc->all_live;
}

bool machine_learn(void)
{
	bool more = mc->seen_more;
	for (int i = 0; i < SEEN; i++)
		mc->seen[i].live = mc->seen[i].shared && mc->seen[i].written;
	mc->seen_more = false;
	return more;
}

void machine_all(bool on)
{
	mc->all_live = on;
}

static void note(const char *what)
{
	if (explore_tracing())
		fprintf(stderr, "%6d  thread %d  %s\n", mc->steps, mc->cur, what);
}

static void count_step(void)
{
	if (++mc->steps > STEPS_MAX)
		sim_fail("no end after %d steps", STEPS_MAX);
}

/* Before an access. */
static void step(const volatile void *p, bool writes, const char *where)
{
	if (mc->cur < 0)
		return;
	count_step();
	if (!mc->quiet && is_interesting(p, writes))
		reschedule(true);
	note(where);
	size_t at = (size_t)((const volatile char *)p - mc->arena);
	if (at < ARENA && mc->freed[at / GRAIN])
		sim_fail("freed memory is used: %s", where);
}

int machine_steps(void)
{
	return mc->steps;
}

void sim_step(const char *what)
{
	count_step();
	if (!mc->quiet)
		reschedule(true);
	note(what);
}

static void wait(bool (*f)(void *), void *arg, int64_t deadline, const char *what)
{
	struct thread *t = &mc->threads[mc->cur];
	count_step();
	note(what);
	t->until = f;
	t->until_arg = arg;
	t->deadline = deadline;
	t->what = what;
	t->state = WAITS;
	reschedule(false);
}

void sim_wait(bool (*f)(void *), void *arg, int64_t deadline, const char *what)
{
	sim_drain();
	wait(f, arg, deadline, what);
}

static bool is_set(void *flag)
{
	return *(const volatile bool *)flag;
}

void sim_compute_until(const bool *flag)
{
	wait(is_set, (void *)(uintptr_t)flag, INT64_MAX, "computes until another has run");
}

void sim_c_call(const bool *flag)
{
	struct thread *t = &mc->threads[mc->cur];
	t->in_c = true;
	sim_wait(is_set, (void *)(uintptr_t)flag, INT64_MAX, "in a C call");
	t->in_c = false;
}

bool sim_in_c_call(int thread)
{
	return thread >= 0 && thread < SIM_THREADS && mc->threads[thread].in_c;
}

static bool always(void *arg)
{
	(void)arg;
	return true;
}

void sim_let_others(void)
{
	sim_wait(always, NULL, INT64_MAX, "lets others go first");
}

void sim_relax(void)
{
	explore_yields(mc->cur);
	sim_wait(always, NULL, INT64_MAX, "spins");
}

int64_t sim_now(void)
{
	return mc->now;
}

void sim_pass(int64_t ns)
{
	mc->now += ns;
}

void sim_quiet(bool on)
{
	mc->quiet = on;
}

bool sim_is_quiet(void)
{
	return mc->quiet;
}

void sim_ignore(const void *p, size_t size)
{
	if (mc->nignored < IGNORED)
		mc->ignored[mc->nignored++] = (struct span){p, (const char *)p + size};
}

/* ---- futexes ---- */

static bool is_woken(void *arg)
{
	return !((struct thread *)arg)->futex;
}

void machine_futex_wait(const volatile unsigned *word, unsigned expect, int64_t deadline)
{
	struct thread *t = &mc->threads[mc->cur];
	step(word, false, "futex wait");
	sim_drain();
	if (*word != expect)
		return;
	t->futex = (const void *)(uintptr_t)word;
	sim_wait(is_woken, t, deadline, "on a futex");
	t->futex = NULL;
}

void machine_futex_wake(const volatile unsigned *word, int n)
{
	sim_drain();
	sim_step("futex wake");
	for (int i = 0; i < SIM_THREADS && n > 0; i++) {
		if (mc->threads[i].state == WAITS && mc->threads[i].futex == (const void *)(uintptr_t)word) {
			mc->threads[i].futex = NULL;
			n--;
		}
	}
}

/* ---- memory ---- */

static uint64_t get(const volatile void *p, size_t size)
{
	switch (size) {
	case 1: return *(const volatile uint8_t *)p;
	case 2: return *(const volatile uint16_t *)p;
	case 4: return *(const volatile uint32_t *)p;
	case 8: return *(const volatile uint64_t *)p;
	default: sim_fail("an atomic of %zu bytes", size);
	}
}

static void set(volatile void *p, uint64_t v, size_t size)
{
	switch (size) {
	case 1: *(volatile uint8_t *)p = (uint8_t)v; return;
	case 2: *(volatile uint16_t *)p = (uint16_t)v; return;
	case 4: *(volatile uint32_t *)p = (uint32_t)v; return;
	case 8: *(volatile uint64_t *)p = v; return;
	default: sim_fail("an atomic of %zu bytes", size);
	}
}

static void drain(struct thread *t)
{
	for (int i = 0; i < t->nbuffer; i++)
		set(t->buffer[i].p, t->buffer[i].v, t->buffer[i].size);
	t->nbuffer = 0;
}

void sim_drain(void)
{
	if (mc->cur >= 0)
		drain(&mc->threads[mc->cur]);
}

void sim_drain_all(void)
{
	for (int i = 0; i < SIM_THREADS; i++)
		drain(&mc->threads[i]);
}

void sim_load(const volatile void *p, void *to, size_t size, int order, const char *where)
{
	(void)order;
	step(p, false, where);
	uint64_t v = get(p, size);
	if (mc->cur >= 0) {
		struct thread *t = &mc->threads[mc->cur];
		for (int i = 0; i < t->nbuffer; i++)
			if (t->buffer[i].p == p)
				v = t->buffer[i].v;
	}
	set(to, v, size);
}

void sim_store(volatile void *p, const void *from, size_t size, int order, const char *where)
{
	uint64_t v = get(from, size);
	step(p, true, where);
	if (mc->cur >= 0 && order != __ATOMIC_SEQ_CST && !mc->quiet) {
		struct thread *t = &mc->threads[mc->cur];
		bool interesting = is_interesting(p, true);
		if (t->nbuffer == BUFFER)
			drain(t);
		if (t->nbuffer > 0 || (interesting && explore_hold())) {
			if (t->nbuffer == 0)
				note("  holds the store back");
			t->buffer[t->nbuffer++] = (struct store){p, v, size};
			return;
		}
	}
	sim_drain();
	set(p, v, size);
}

void sim_tear(int on)
{
	if (mc->cur >= 0)
		mc->threads[mc->cur].torn = on != 0;
}

static bool takes_torn(void)
{
	bool torn = mc->cur >= 0 && mc->threads[mc->cur].torn;
	if (torn)
		mc->threads[mc->cur].torn = false;
	return torn;
}

static bool compare_torn(volatile void *p, void *expect, const void *from, size_t size, const char *where)
{
	uint64_t is = 0;
	sim_load(p, &is, size, __ATOMIC_ACQUIRE, where);
	if (is != get(expect, size)) {
		set(expect, is, size);
		return false;
	}
	sim_store(p, from, size, __ATOMIC_RELEASE, where);
	return true;
}

static void swap_torn(volatile void *p, const void *from, void *old, size_t size, const char *where)
{
	sim_load(p, old, size, __ATOMIC_ACQUIRE, where);
	sim_store(p, from, size, __ATOMIC_RELEASE, where);
}

void sim_swap(volatile void *p, const void *from, void *old, size_t size, const char *where)
{
	if (takes_torn()) {
		swap_torn(p, from, old, size, where);
		return;
	}
	uint64_t v = get(from, size);
	step(p, true, where);
	sim_drain();
	set(old, get(p, size), size);
	set(p, v, size);
}

bool sim_compare(volatile void *p, void *expect, const void *from, size_t size, const char *where)
{
	if (takes_torn())
		return compare_torn(p, expect, from, size, where);
	uint64_t v = get(from, size);
	step(p, true, where);
	sim_drain();
	uint64_t is = get(p, size);
	if (is != get(expect, size)) {
		set(expect, is, size);
		return false;
	}
	set(p, v, size);
	return true;
}

void sim_modify(volatile void *p, uint64_t with, void *old, size_t size, int op, const char *where)
{
	step(p, true, where);
	sim_drain();
	uint64_t v = get(p, size);
	set(old, v, size);
	switch (op) {
	case '+': v += with; break;
	case '-': v -= with; break;
	case '&': v &= with; break;
	case '|': v |= with; break;
	default: v ^= with; break;
	}
	set(p, v, size);
}

/* On x86 only the strongest is an instruction. */
void sim_fence(int order, const char *where)
{
	if (order != __ATOMIC_SEQ_CST || mc->cur < 0)
		return;
	count_step();
	note(where);
	sim_drain();
}

/* ---- runs ---- */

static int find_tls(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type == PT_TLS) {
			mc->tls_at = info->dlpi_tls_data;
			mc->tls_size = info->dlpi_phdr[i].p_memsz;
		}
	}
	return 1; /* the program itself comes first */
}

static void *map(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return p;
}

void machine_make(void)
{
	mc = map(sizeof *mc);
	mc->arena = map(ARENA);
	mc->freed = map(ARENA / GRAIN);
	mc->cur = -1;
	dl_iterate_phdr(find_tls, NULL);
	mc->tls_image = map(mc->tls_size + 1);
	for (int i = 0; i < SIM_THREADS; i++) {
		mc->threads[i].stack = map(STACK);
		mc->threads[i].tls = map(mc->tls_size + 1);
	}
	stack_t ss = {.ss_sp = map(STACK), .ss_size = STACK};
	struct sigaction sa = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK};
	sigaltstack(&ss, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGALRM, &sa, NULL);
}

void sim_begin(void)
{
	mc->data_size = (size_t)(_end - __data_start);
	mc->data = map(mc->data_size);
	memcpy(mc->data, __data_start, mc->data_size);
	memcpy(mc->tls_image, mc->tls_at, mc->tls_size);
}

static void reset(void)
{
	memcpy(__data_start, mc->data, mc->data_size);
	memset(mc->freed, 0, mc->used / GRAIN + 1);
	for (int i = 0; i < SIM_THREADS; i++) {
		struct thread *t = &mc->threads[i];
		t->state = UNUSED;
		t->nbuffer = 0;
		t->futex = NULL;
		t->in_c = t->torn = false;
	}
	mc->used = 0;
	mc->steps = mc->blocks = 0;
	mc->nignored = 0;
	mc->now = 1000000000;
	mc->quiet = false;
}

static void call(void *f)
{
	((void (*)(void))f)();
}

void sim_run(void (*f)(void))
{
	reset();
	sim_spawn(call, (void *)f);
	alarm(20);
	resume(0);
	memcpy(mc->tls_at, mc->tls_image, mc->tls_size);
}
