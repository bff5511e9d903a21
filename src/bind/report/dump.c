/* SPDX-License-Identifier: MIT */
/* Goroutines as text, in the form of Go's dumps.
 *
 * What is read here for VAI__DUMP_STILL is alive, as nothing else runs: a waiting goroutine keeps what it waits for
 * alive by a handle on its Lua stack, and neither its Lua state nor the frames on its C stack can be freed before it
 * has run again. vm->at is the coroutine in which the goroutine stopped, since every call that may park sets it. */
#include "bind/report/dump.h"
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/obj.h"
#include "bind/arg.h"
#include "bind/goroutine.h"
#include "bind/main_state.h"
#include "bind/report/trace.h"
#include "bind/site.h"
#include "net/conn.h"
#include "net/listener.h"
#include "proc/process.h"
#include "sched/replay.h"
#include "sync/chan.h"
#include "sync/cond.h"
#include "sync/group.h"
#include "sync/mutex.h"
#include "sync/once.h"
#include "sync/rwmutex.h"
#include "sync/semaphore.h"
#include "sync/select.h"
#include "sync/task.h"
#include "sync/waitgroup.h"

enum { MAX_CASES = 32, SECOND = 1000000000 };

struct dump {
	struct vai__buffer *text;
	vai_g *first;
	enum vai__dump_how how;
	size_t n, max;
	int64_t now; /* 0: ages are left out */
	size_t age;  /* the offset in the text at which the age of the last goroutine stands, or would stand */
	bool rest;   /* this is the pass over all goroutines but `first` */
};

/* ---- what it waits for ---- */

static void add_site(struct vai__buffer *t, uint32_t site)
{
	if (site == 0)
		return;
	vai__text_put(t, " made at ");
	vai__text_put(t, vai__site_text(site));
}

static void add_chan(struct vai__buffer *t, vai_chan *ch)
{
	vai__text_put(t, "channel");
	add_site(t, ((struct vai_obj *)ch)->site);
	vai__text_put(t, " (len ");
	vai__text_int(t, vai__chan_len(ch));
	vai__text_put(t, ", cap ");
	vai__text_int(t, vai__chan_cap(ch));
	vai__text_put(t, ")\n");
}

static void add_holder(struct vai__buffer *t, uint64_t holder, bool left)
{
	vai__text_put(t, "locked by goroutine ");
	vai__text_int(t, (int64_t)vai__replay_name_of(holder));
	vai__text_put(t, left ? ", which has ended, " : ", ");
}

static void add_mutex(struct vai__buffer *t, vai_mutex *m)
{
	struct vai__mutex_info info;
	vai__mutex_info(m, &info);
	vai__text_put(t, " (");
	if (info.holder)
		add_holder(t, info.holder, info.left);
	vai__text_int(t, info.waiting);
	vai__text_put(t, " waiting)");
}

static void add_count(struct vai__buffer *t, const char *before, int64_t n, const char *what)
{
	vai__text_put(t, before);
	vai__text_int(t, n);
	vai__text_put(t, what);
}

static void add_rwmutex(struct vai__buffer *t, vai_rwmutex *m)
{
	struct vai__rwmutex_info info;
	vai__rwmutex_info(m, &info);
	vai__text_put(t, " (");
	if (info.writer)
		add_holder(t, info.writer, info.left);
	if (info.readers)
		add_count(t, "", (int64_t)info.readers, info.readers == 1 ? " reader, " : " readers, ");
	add_count(t, "", info.writers_waiting, " waiting to write, ");
	add_count(t, "", info.readers_waiting, " to read)");
}

static void add_semaphore(struct vai__buffer *t, vai_semaphore *s)
{
	int64_t available;
	int waiting;
	vai__semaphore_info(s, &available, &waiting);
	add_count(t, " (", available, "");
	add_count(t, " of ", vai__semaphore_size(s), " left, ");
	add_count(t, "", waiting, " waiting)");
}

static void add_once(struct vai__buffer *t, vai_once *once)
{
	uint64_t runner = vai__once_runner(once);
	if (runner)
		add_count(t, " (run by goroutine ", (int64_t)runner, ")");
}

/* Adds the state of a lock or the like. */
static void add_state(struct vai__buffer *t, struct vai_obj *o)
{
	if (o->cls == &vai__waitgroup_class)
		add_count(t, " (count ", vai__waitgroup_count((vai_waitgroup *)o), ")");
	else if (o->cls == &vai__mutex_class)
		add_mutex(t, (vai_mutex *)o);
	else if (o->cls == &vai__rwmutex_class)
		add_rwmutex(t, (vai_rwmutex *)o);
	else if (o->cls == &vai__semaphore_class)
		add_semaphore(t, (vai_semaphore *)o);
	else if (o->cls == &vai__once_class)
		add_once(t, (vai_once *)o);
	else if (o->cls == &vai__group_class)
		add_count(t, " (", vai__group_running((vai_group *)o),
			vai__group_failed((vai_group *)o) ? " running, failed)" : " running)");
	else if (o->cls == &vai__cond_class)
		add_count(t, " (", vai__cond_waiting((vai_cond *)o), " waiting)");
}

static void add_object(struct vai__buffer *t, struct vai_obj *o)
{
	vai__text_put(t, "\ton ");
	if (o->cls == &vai__chan_class) {
		add_chan(t, (vai_chan *)o);
		return;
	}
	if (o->cls == &vai__task_class) {
		char title[128];
		vai__text_put(t, vai__task_title((vai_task *)o, title, sizeof title));
	} else {
		vai__text_put(t, o->cls->name);
		add_site(t, o->site);
	}
	add_state(t, o);
	vai__text_put(t, "\n");
}

/* Adds the ends of a connection ("tcp 127.0.0.1:80 -> 127.0.0.1:4711"); asks the system for the addresses. False: o is
 * nothing of net/ or proc/. */
static bool add_end(struct vai__buffer *t, struct vai_obj *o)
{
	char text[VAI__CONN_TEXT];
	if (o->cls == &vai__process_class) {
		vai__text_int(t, vai__process_pid((const vai_process *)o));
		return true;
	}
	if (o->cls == &vai__conn_class)
		vai__conn_text((vai_conn *)o, text);
	else if (o->cls == &vai__listener_class)
		vai__listener_text((vai_listener *)o, text);
	else if (o->cls == &vai__packet_class)
		vai__packet_text((vai_packet *)o, text);
	else
		return false;
	vai__text_put(t, text);
	return true;
}

static void add_other_case(struct vai__buffer *t, struct vai_obj *o)
{
	vai__text_put(t,
		o->cls == &vai__listener_class      ? ": accept from "
			: o->cls == &vai__process_class ? ": end of process "
			: o->cls == &vai__conn_class    ? ": read from "
											: ": receive from ");
	add_end(t, o);
	vai__text_put(t, "\n");
}

static void add_cases(struct vai__buffer *t, const void *sel)
{
	const struct vai__case *c;
	int n = 0;
	for (int i = -1; (i = vai__select_waits(sel, i, &c)) >= 0; n++) {
		if (n == MAX_CASES) {
			vai__text_put(t, "\t...\n");
			return;
		}
		vai__text_put(t, "\tcase ");
		vai__text_int(t, i + 1);
		if (c->dir == VAI_DIR_OTHER) {
			add_other_case(t, (struct vai_obj *)(uintptr_t)c->msg.w[0]);
			continue;
		}
		vai__text_put(t, c->dir == VAI_DIR_SEND ? ": send to " : ": receive from ");
		add_chan(t, c->ch);
	}
}

/* Adds the object of net/ or proc/ that the goroutine waits for. */
static void add_endpoint(struct vai__buffer *t, const struct vai_g_info *info)
{
	struct vai_obj *o = (struct vai_obj *)(uintptr_t)info->obj;
	if (info->reason < VAI_WAIT_READ || info->reason > VAI_WAIT_PROCESS || !o)
		return;
	size_t before = t->n;
	vai__text_put(t, " ");
	if (!add_end(t, o))
		t->n = before;
}

/* Adds what the goroutine waits for. obj is a struct vai_obj if the reason has one. */
static void add_target(struct vai__buffer *t, const struct vai_g_info *info)
{
	if (!info->obj)
		return;
	if (info->reason == VAI_WAIT_SELECT)
		add_cases(t, info->obj);
	else
		add_object(t, (struct vai_obj *)(uintptr_t)info->obj);
}

/* ---- where it stands ---- */

static bool is_runner(const vai_g *g)
{
	const struct vai__main *main = vai__main_of(g);
	return main && g == atomic_load(&main->runner);
}

/* The Lua thread of a goroutine that runs in main's state for vai_lua_on_host; otherwise NULL. */
static lua_State *visits_in(vai_g *g)
{
	return !vai__g_is_main(g) && vai__bind_vm(g)->is_host ? atomic_load_relaxed(&g->running) : NULL;
}

/* The Lua thread in which g stopped. For main the vm's `at` may be that of a visit, or of a panic handler. */
static lua_State *stopped_in(vai_g *g)
{
	lua_State *visitor = visits_in(g);
	struct vai__main *main = vai__main_of(g);
	bool shared = atomic_load(&main->runner) || atomic_load(&main->guests) > 0;
	return visitor ? visitor : vai__g_is_main(g) && shared ? vai__main_at(main) : vai__bind_vm(g)->at;
}

/* Adds the stacks of the Lua threads that g is in, from the innermost outwards. Threads that C code has resumed by
 * itself are not known. */
static void add_stack(struct vai__buffer *t, vai_g *g, lua_State *L)
{
	struct vai_vm *vm = vai__bind_vm(g);
	const struct vai__turn *turn = g->life ? vai__life(g)->turn : NULL;
	lua_State *visitor = visits_in(g),
			  *last = visitor ? visitor
		: is_runner(g)        ? atomic_load_relaxed(&vai__main_of(g)->panic_thread)
							  : vm->L;
	while (L != last) {
		vai__trace_add(t, L, 0, -1);
		vai__text_put(t, "\tin a coroutine of:\n");
		L = turn ? turn->outer : last;
		turn = turn ? turn->prev : NULL;
	}
	/* The outermost function of a goroutine is vai's own, and left out. */
	vai__trace_add(t, last, 0, vm->is_host ? -1 : vai__trace_levels(last) - 1);
}

/* ---- one goroutine ---- */

static void add_age(struct vai__buffer *t, int64_t age)
{
	int64_t seconds = age / SECOND;
	if (seconds < 1)
		return;
	vai__text_put(t, ", ");
	vai__text_int(t, seconds < 120 ? seconds : seconds / 60);
	vai__text_put(t, seconds >= 120 ? " minutes" : seconds == 1 ? " second" : " seconds");
}

static const char *state_name(const struct vai_g_info *info)
{
	switch (info->state) {
	case VAI_G_WAITING: return vai__wait_reason_name(info->reason);
	case VAI_G_RUNNING: return info->in_c ? "in a C call" : "running";
	default: return "runnable";
	}
}

static void add_head(struct dump *d, vai_g *g, const struct vai_g_info *info)
{
	struct vai__buffer *t = d->text;
	vai__text_put(t, "goroutine ");
	vai__text_int(t, (int64_t)vai__replay_name(g));
	bool still = d->how == VAI__DUMP_STILL && info->still;
	const char *name = still && g->task ? vai__task_name(g->task) : NULL;
	if (name && *name) {
		vai__text_put(t, " (");
		vai__text_put(t, name);
		vai__text_put(t, ")");
	}
	vai__text_put(t, " [");
	vai__text_put(t, state_name(info));
	if (still)
		add_endpoint(t, info);
	d->age = t->n;
	if (info->since > 0 && d->now > 0)
		add_age(t, d->now - info->since);
	vai__text_put(t, still && g->life && vai__life(g)->locks > 0 ? ", locked to thread]" : "]");
}

static void add_goroutine(struct dump *d, vai_g *g, const struct vai_g_info *info)
{
	struct vai__buffer *t = d->text;
	const char *site = vai__g_site(g);
	add_head(d, g, info);
	if (d->how == VAI__DUMP_SHORT) {
		vai__text_put(t, *site ? " created at " : "");
		vai__text_put(t, site);
		vai__text_put(t, "\n");
		return;
	}
	vai__text_put(t, ":\n");
	if (d->how == VAI__DUMP_STILL && info->still) {
		add_target(t, info);
		if (g->vm)
			add_stack(t, g, stopped_in(g));
	}
	if (*site) {
		vai__text_put(t, "\tcreated at ");
		vai__text_put(t, site);
		vai__text_put(t, "\n");
	}
}

void vai__dump_frozen(struct vai__buffer *t, vai_g *g)
{
	lua_State *L = atomic_load_acquire(&g->running);
	if (!g->vm || !L)
		return;
	vai__text_put(t, "\ngoroutine ");
	vai__text_int(t, (int64_t)g->id);
	vai__text_put(t, " [in a C call]:\n");
	add_stack(t, g, L);
}

/* ---- all ---- */

static void visit(vai_g *g, const struct vai_g_info *info, void *arg)
{
	struct dump *d = arg;
	if (info->state == VAI_G_NEW || (g == d->first) == d->rest || d->n++ >= d->max)
		return;
	if (d->how != VAI__DUMP_SHORT && d->text->n > 0)
		vai__text_put(d->text, "\n");
	add_goroutine(d, g, info);
}

void vai__dump_all(struct vai__buffer *t, vai_g *first, enum vai__dump_how how, size_t max)
{
	struct dump d = {.text = t, .first = first, .how = how, .max = max, .now = vai__clock_real()};
	if (first)
		vai__g_each(visit, &d);
	d.rest = true;
	vai__g_each(visit, &d);
	if (d.n <= max)
		return;
	vai__text_put(t, "\nand ");
	vai__text_int(t, (int64_t)(d.n - max));
	vai__text_put(t, " more goroutines\n");
}

/* ---- all, by kinds ---- */

enum { IDS = 5 }; /* how many ids are written of goroutines of one kind */

/* Goroutines that differ in their ids and ages only. The offsets are those in the pool of texts. */
struct group {
	size_t at, end; /* the text of its first goroutine */
	size_t rest;    /* the text behind the id, which is the same for all of them */
	size_t age;     /* where the age is to be put in */
	size_t n;
	int64_t since; /* when the oldest wait began; 0: unknown */
	uint64_t ids[IDS];
};

struct groups {
	struct dump dump; /* its text is the pool */
	struct group *list;
	size_t n, size, max, left_out;
	bool (*wanted)(const vai_g *g, void *arg); /* or NULL */
	void *arg;                                 /* for wanted */
};

static bool alike(const char *pool, const struct group *a, const struct group *b)
{
	size_t n = a->end - a->rest;
	return n == b->end - b->rest && memcmp(pool + a->rest, pool + b->rest, n) == 0;
}

static struct group *find_group(struct groups *all, const struct group *one)
{
	size_t i = 0;
	while (i < all->n && !alike(all->dump.text->p, &all->list[i], one))
		i++;
	return i < all->n ? &all->list[i] : NULL;
}

static bool add_group(struct groups *all, const struct group *one)
{
	if (all->n == all->max)
		return false;
	if (all->n == all->size) {
		size_t size = all->size ? 2 * all->size : 16;
		struct group *list = realloc(all->list, size * sizeof *list);
		if (!list)
			return false;
		all->list = list;
		all->size = size;
	}
	all->list[all->n++] = *one;
	return true;
}

static void join_group(struct group *group, const struct group *one)
{
	if (group->n < IDS)
		group->ids[group->n] = one->ids[0];
	if (one->since > 0 && (group->since == 0 || one->since < group->since))
		group->since = one->since;
	group->n++;
}

/* Adds a goroutine to its group. Unless it is the first one there, its text is dropped again. */
static void visit_alike(vai_g *g, const struct vai_g_info *info, void *arg)
{
	struct groups *all = arg;
	struct vai__buffer *t = all->dump.text;
	struct group one = {.at = t->n, .n = 1, .since = info->since, .ids = {vai__replay_name(g)}};
	bool unwanted = all->wanted && !all->wanted(g, all->arg);
	if (info->state == VAI_G_NEW || t->cut || unwanted)
		return;
	add_goroutine(&all->dump, g, info);
	one.end = t->n;
	one.age = all->dump.age;
	one.rest = one.at + strlen("goroutine ");
	while (one.rest < one.end && t->p[one.rest] >= '0' && t->p[one.rest] <= '9')
		one.rest++;
	struct group *known = t->cut ? NULL : find_group(all, &one);
	if (known)
		join_group(known, &one);
	else if (!t->cut && add_group(all, &one))
		return;
	else
		all->left_out++;
	t->n = one.at;
}

static void put_ids(struct vai__buffer *t, const struct group *group)
{
	for (size_t i = 0; i < group->n && i < IDS; i++)
		add_count(t, i == 0 ? "\tthey are " : ", ", (int64_t)group->ids[i], "");
	vai__text_put(t, group->n > IDS ? ", ...\n" : "\n");
}

static void put_group(struct vai__buffer *t, const char *pool, const struct group *group, int64_t now)
{
	if (t->n > 0)
		vai__text_put(t, "\n");
	if (group->n == 1)
		vai__buffer_add(t, pool + group->at, group->rest - group->at);
	else
		add_count(t, "", (int64_t)group->n, " goroutines");
	vai__buffer_add(t, pool + group->rest, group->age - group->rest);
	if (group->since > 0)
		add_age(t, now - group->since);
	vai__buffer_add(t, pool + group->age, group->end - group->age);
	if (group->n > 1)
		put_ids(t, group);
}

/* Orders groups: small ones first, and groups of one size as they were met. */
static int by_size(const void *a, const void *b)
{
	const struct group *x = a, *y = b;
	if (x->n != y->n)
		return x->n < y->n ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

void vai__dump_alike(struct vai__buffer *t, size_t max, bool (*wanted)(const vai_g *g, void *arg), void *arg)
{
	struct vai__buffer pool = {0};
	struct groups all = {.dump = {.text = &pool, .how = VAI__DUMP_STILL}, .max = max, .wanted = wanted, .arg = arg};
	if (vai__replay_is_on())
		vai__replay_each(visit_alike, &all);
	else
		vai__g_each(visit_alike, &all);
	if (all.n > 0)
		qsort(all.list, all.n, sizeof *all.list, by_size);
	int64_t now = vai__clock_real();
	for (size_t i = 0; i < all.n; i++)
		put_group(t, pool.p, &all.list[i], now);
	if (all.left_out > 0)
		add_count(t, "\nand ", (int64_t)all.left_out, " more goroutines\n");
	t->cut |= pool.cut;
	free(all.list);
	vai__buffer_free(&pool);
}
