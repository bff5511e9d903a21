/* SPDX-License-Identifier: MIT */
/* Leaks are found by counting references, as in trial deletion (Bacon and Rajan 2001); running code is not followed.
 * The world is stopped. Goroutines that only another goroutine can wake are asked what they hold, and objects whose
 * contents are known here what lies in them. An object with more references than these explain is held by something
 * else, so it lives. What a living object holds lives, and so do the goroutines that wait for it, and what those hold.
 * What is left is leaked.
 *
 * So a holder that is unknown here never causes a false report, it only hides a leak: main, goroutines that run, sleep
 * or have a deadline, timers, contexts, groups, maps, C code. Handles that a collector has not found yet hide leaks,
 * too; main's are collected first. */
#include "bind/report/leaks.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/hash.h"
#include "bind/report/dump.h"
#include "bind/site.h"
#include "sched/sched.h"
#include "state/handle.h"
#include "sync/chan.h"
#include "sync/guard.h"
#include "sync/once.h"
#include "sync/select.h"
#include "sync/task.h"
#include "sync/waitq.h"
#include "transfer/message.h"

enum { PATIENCE = 1000000000 /* ns */, MAX_LISTED = 1000 /* kinds of goroutines, and places */, NONE = -1 };

bool vai__leaks_on;

/* ---- the objects that there are ---- */

/* A hash table with open addressing: its size is a power of two, and at most half of it is in use. No other lock is
 * taken under its lock. */
static struct {
	pthread_mutex_t lock;
	struct vai_obj **at;
	size_t size, n;
} known = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t place_of(const struct vai_obj *o)
{
	size_t i = vai__hash_word((uintptr_t)o) & (known.size - 1);
	while (known.at[i] && known.at[i] != o)
		i = (i + 1) & (known.size - 1);
	return i;
}

static bool grow(void)
{
	struct vai_obj **old = known.at;
	size_t n = known.size, size = n ? 2 * n : 256;
	struct vai_obj **at = calloc(size, sizeof(struct vai_obj *));
	if (!at)
		return false;
	known.at = at;
	known.size = size;
	for (size_t i = 0; i < n; i++)
		if (old[i])
			at[place_of(old[i])] = old[i];
	free(old);
	return true;
}

/* Without memory the object is not noted, and so never reported. */
void vai__leaks_note(struct vai_obj *o)
{
	bool follows = o->cls == &vai__chan_class || o->cls == &vai__task_class || o->cls == &vai__once_class;
	if (VAI_LIKELY(!vai__leaks_on) || !follows)
		return;
	pthread_mutex_lock(&known.lock);
	if (2 * known.n < known.size || grow()) {
		known.at[place_of(o)] = o;
		known.n++;
	}
	pthread_mutex_unlock(&known.lock);
}

/* vai__obj_gone: removes the object. The entries behind it up to the next gap are entered anew, so that searches
 * still find them. */
static void forget(struct vai_obj *o)
{
	pthread_mutex_lock(&known.lock);
	size_t i = known.size ? place_of(o) : 0;
	if (known.size && known.at[i]) {
		known.at[i] = NULL;
		known.n--;
		while (known.at[i = (i + 1) & (known.size - 1)]) {
			struct vai_obj *next = known.at[i];
			known.at[i] = NULL;
			known.at[place_of(next)] = next;
		}
	}
	pthread_mutex_unlock(&known.lock);
}

/* ---- who holds what ---- */

/* A goroutine or an object. */
struct node {
	union {
		vai_g *g;
		struct vai_obj *obj;
	};
	bool is_g, noted;
	bool lives, told;
	unsigned explained; /* references to the object that nodes explain */
	int edges;          /* the first edge from here, or NONE */
	int link;           /* the next node that has to be looked at */
};

/* Node `from` keeps node `to` alive. */
struct edge {
	int to, next;
};

struct leaks {
	struct node *nodes;
	struct edge *edges;
	int *index; /* hash table: a node's number, or NONE */
	size_t nnodes, cap_nodes, nedges, cap_edges, size;
	int from; /* the node whose edges are being added */
	int todo;
	bool failed; /* out of memory */
};

/* Makes room in *list for one more of n elements of that size. */
static bool room(struct leaks *l, void **list, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return true;
	void *more = *cap < INT32_MAX / 2 ? realloc(*list, (*cap ? 2 * *cap : 64) * size) : NULL;
	l->failed |= !more;
	if (!more)
		return false;
	*list = more;
	*cap = *cap ? 2 * *cap : 64;
	return true;
}

static size_t index_of(const struct leaks *l, const void *what)
{
	size_t i = vai__hash_word((uintptr_t)what) & (l->size - 1);
	while (l->index[i] != NONE && (const void *)l->nodes[l->index[i]].obj != what)
		i = (i + 1) & (l->size - 1);
	return i;
}

static bool grow_index(struct leaks *l)
{
	size_t size = l->size ? 2 * l->size : 256;
	int *index = realloc(l->index, size * sizeof *index);
	l->failed |= !index;
	if (!index)
		return false;
	memset(index, 0xff, size * sizeof *index); /* NONE */
	l->index = index;
	l->size = size;
	for (size_t n = 0; n < l->nnodes; n++)
		index[index_of(l, l->nodes[n].obj)] = (int)n;
	return true;
}

/* The number of the node for `what`; a new one is added. NONE: out of memory. */
static int node_of(struct leaks *l, void *what, bool is_g)
{
	if (2 * l->nnodes >= l->size && !grow_index(l))
		return NONE;
	size_t i = index_of(l, what);
	if (l->index[i] != NONE)
		return l->index[i];
	if (!room(l, (void **)&l->nodes, l->nnodes, &l->cap_nodes, sizeof *l->nodes))
		return NONE;
	l->nodes[l->nnodes] = (struct node){.obj = what, .is_g = is_g, .edges = NONE, .link = NONE};
	return l->index[i] = (int)l->nnodes++;
}

static void add_edge(struct leaks *l, int from, int to)
{
	if (from == NONE || to == NONE || !room(l, (void **)&l->edges, l->nedges, &l->cap_edges, sizeof *l->edges))
		return;
	l->edges[l->nedges] = (struct edge){to, l->nodes[from].edges};
	l->nodes[from].edges = (int)l->nedges++;
}

/* Notes that the node l->from has one reference to o. */
static void holds(void *arg, struct vai_obj *o)
{
	struct leaks *l = arg;
	int to = node_of(l, o, false);
	if (to == NONE)
		return;
	l->nodes[to].explained++;
	add_edge(l, l->from, to);
}

static void holds_message(void *arg, const vai_msg *msg)
{
	vai__msg_each_object(msg, holds, arg);
}

/* Notes that o, if it lives, keeps the goroutine l->from alive: whatever reaches o can wake that goroutine. */
static void waits_for(struct leaks *l, void *o)
{
	add_edge(l, node_of(l, o, false), l->from);
}

/* ---- goroutines ---- */

/* Whether the wait of g can be ended only by another goroutine that reaches what g waits for. */
static bool is_stuck(const vai_g *g, const struct vai_g_info *info)
{
	if (info->state != VAI_G_WAITING || !info->still || info->timed || vai__g_ending(g))
		return false;
	const struct vai_vm *vm = g->vm;
	if (g->bound || !vm || vm->is_host)
		return false;
	return info->reason >= VAI_WAIT_CHAN_SEND && info->reason <= VAI_WAIT_GROUP_GO && info->reason != VAI_WAIT_SLEEP;
}

/* Notes what the select waits for. False: it also waits for other things than channels. */
static bool waits_in_select(struct leaks *l, const void *sel)
{
	const struct vai__case *c;
	for (int i = -1; (i = vai__select_waits(sel, i, &c)) >= 0;)
		if (c->dir == VAI_DIR_OTHER)
			return false;
	for (int i = -1; (i = vai__select_waits(sel, i, &c)) >= 0;)
		waits_for(l, c->ch);
	return true;
}

static bool note_wait(struct leaks *l, const struct vai_g_info *info)
{
	if (info->reason == VAI_WAIT_SELECT)
		return waits_in_select(l, info->obj);
	if (info->obj)
		waits_for(l, (void *)(uintptr_t)info->obj);
	return info->obj || info->reason == VAI_WAIT_SELECT_NONE;
}

static void note_goroutine(vai_g *g, const struct vai_g_info *info, void *arg)
{
	struct leaks *l = arg;
	if (!is_stuck(g, info) || (l->from = node_of(l, g, true)) == NONE)
		return;
	if (!note_wait(l, info)) {
		l->nodes[l->from].lives = true;
		return;
	}
	vai__handles_each(g->vm, holds, l);
	const struct vai__waiter *waiters = g->waits;
	for (int i = 0; i < g->nwaits && waiters; i++)
		if (waiters[i].sends)
			holds_message(l, waiters[i].msg);
	if (g->task) { /* whatever reaches the task can cancel the goroutine */
		holds(l, g->task);
		waits_for(l, g->task);
	}
}

/* ---- objects ---- */

static void note_channel(struct leaks *l, int n, vai_chan *ch)
{
	l->nodes[n].lives |= vai__chan_is_served(ch);
	vai__chan_each_message(ch, vai__msg_drop, holds_message, l);
}

static void note_inside(struct leaks *l, int n)
{
	struct vai_obj *o = l->nodes[n].obj;
	bool failed;
	l->from = n;
	if (o->cls == &vai__chan_class)
		note_channel(l, n, (vai_chan *)o);
	else if (o->cls == &vai__guard_class)
		holds(l, vai__guard_what((vai_guard *)o));
	else if (o->cls == &vai__once_class && vai__once_is_done((vai_once *)o))
		holds_message(l, vai__once_value((vai_once *)o, &failed));
	else if (o->cls == &vai__task_class && vai__task_state((vai_task *)o) != VAI_TASK_ALIVE)
		holds_message(l, vai__task_outcome((vai_task *)o));
}

static void note_all(struct leaks *l)
{
	for (size_t i = 0; i < known.size; i++) {
		int n = known.at[i] ? node_of(l, known.at[i], false) : NONE;
		if (n != NONE)
			l->nodes[n].noted = true;
	}
	vai__g_each(note_goroutine, l);
	for (size_t n = 0; n < l->nnodes; n++)
		if (!l->nodes[n].is_g)
			note_inside(l, (int)n);
}

/* ---- what lives ---- */

static void push(struct leaks *l, int n)
{
	l->nodes[n].link = l->todo;
	l->todo = n;
}

/* Marks all that can be reached from the nodes of the list, which are marked. */
static void spread(struct leaks *l, bool tells)
{
	while (l->todo != NONE) {
		const struct node *n = &l->nodes[l->todo];
		l->todo = n->link;
		for (int e = n->edges; e != NONE; e = l->edges[e].next) {
			struct node *to = &l->nodes[l->edges[e].to];
			bool *mark = tells ? &to->told : &to->lives;
			if (!*mark)
				push(l, l->edges[e].to);
			*mark = true;
		}
	}
}

static void find_living(struct leaks *l)
{
	l->todo = NONE;
	for (size_t n = 0; n < l->nnodes; n++) {
		struct node *node = &l->nodes[n];
		node->lives |= !node->is_g && atomic_load_relaxed(&node->obj->refs) > node->explained;
		if (node->lives)
			push(l, (int)n);
	}
	spread(l, false);
	/* What leaked goroutines hold is reported with them. */
	for (size_t n = 0; n < l->nnodes; n++) {
		l->nodes[n].told = l->nodes[n].is_g && !l->nodes[n].lives;
		if (l->nodes[n].told)
			push(l, (int)n);
	}
	spread(l, true);
}

/* ---- the text ---- */

static bool is_leaked(const vai_g *g, void *arg)
{
	struct leaks *l = arg;
	int n = l->size ? l->index[index_of(l, g)] : NONE;
	return n != NONE && !l->nodes[n].lives;
}

static bool is_alone(const struct node *n)
{
	return !n->is_g && n->noted && !n->lives && !n->told;
}

/* Adds the objects of the kind and place of node `first` that follow it. */
static void add_objects(struct leaks *l, struct vai__buffer *t, size_t first)
{
	const struct vai_obj *o = l->nodes[first].obj;
	int64_t n = 0;
	for (size_t i = first; i < l->nnodes; i++) {
		struct node *node = &l->nodes[i];
		if (!is_alone(node) || node->obj->cls != o->cls || node->obj->site != o->site)
			continue;
		node->told = true;
		n++;
	}
	vai__text_put(t, o->cls->name);
	vai__text_put(t, o->site ? " made at " : "");
	vai__text_put(t, vai__site_text(o->site));
	if (n > 1) {
		vai__text_put(t, " (");
		vai__text_int(t, n);
		vai__text_put(t, " of them)");
	}
	vai__text_put(t, "\n\theld by nothing but messages in what nobody can reach\n");
}

static void add_text(struct leaks *l, struct vai__buffer *t)
{
	int64_t gs = 0, objects = 0;
	for (size_t n = 0; n < l->nnodes; n++) {
		gs += l->nodes[n].is_g && !l->nodes[n].lives;
		objects += is_alone(&l->nodes[n]);
	}
	vai__text_put(t, "vai: leaks: ");
	vai__text_int(t, gs);
	vai__text_put(t, gs == 1 ? " goroutine, " : " goroutines, ");
	vai__text_int(t, objects);
	vai__text_put(t, objects == 1 ? " object\n" : " objects\n");
	if (gs > 0)
		vai__dump_alike(t, MAX_LISTED, is_leaked, l);
	for (size_t n = 0, kinds = 0; n < l->nnodes && kinds < MAX_LISTED; n++)
		if (is_alone(&l->nodes[n])) {
			vai__text_put(t, "\n");
			add_objects(l, t, n);
			kinds++;
		}
}

void vai__leaks_add(struct vai__buffer *t)
{
	struct leaks l = {.from = NONE};
	if (!vai__leaks_on)
		return;
	pthread_mutex_lock(&known.lock);
	note_all(&l);
	if (l.failed) {
		vai__text_put(t, "vai: leaks: not enough memory to look for them\n");
	} else {
		find_living(&l);
		add_text(&l, t);
	}
	pthread_mutex_unlock(&known.lock);
	free(l.nodes);
	free(l.edges);
	free(l.index);
}

/* ---- the end of main ---- */

void vai__leaks_tell(lua_State *L)
{
	struct vai__buffer text = {0};
	vai_g *g = vai__g_self();
	if (!vai__leaks_on || !g || !vai__g_is_main(g))
		return;
	lua_gc(L, LUA_GCCOLLECT);
	lua_gc(L, LUA_GCCOLLECT);
	if (vai__world_stop(g, PATIENCE)) {
		vai__leaks_add(&text);
		vai__world_start();
	} else {
		vai__text_put(&text, "vai: leaks: goroutines could not be stopped\n");
	}
	vai__text_write(&text, STDERR_FILENO);
	vai__buffer_free(&text);
}

/* Clears the registers of the returning function, but for its results: a register may still have what a variable of an
 * ended block held. */
static void clear_temporaries(lua_State *L, lua_Debug *ar)
{
	const char *name;
	if (!lua_getinfo(L, "r", ar))
		return;
	for (int n = 1; (name = lua_getlocal(L, ar, n)) != NULL; n++) {
		lua_pop(L, 1);
		bool result = n >= ar->ftransfer && n < ar->ftransfer + ar->ntransfer;
		if (strcmp(name, "(temporary)") != 0 || result)
			continue;
		lua_pushnil(L);
		lua_setlocal(L, ar, n);
	}
}

void vai__leaks_at_return(lua_State *L, lua_Debug *ar)
{
	lua_Debug outer;
	bool outermost = !lua_getstack(L, 1, &outer) || !lua_getstack(L, 2, &outer);
	if (ar->event != LUA_HOOKRET || !outermost || !lua_getinfo(L, "S", ar) || strcmp(ar->what, "main") != 0)
		return;
	clear_temporaries(L, ar);
	vai__leaks_tell(L);
}

static bool is_wanted(void)
{
	char words[256];
	const char *wish = getenv("VAI_DEBUG");
	char *rest = NULL;
	snprintf(words, sizeof words, "%s", wish ? wish : "");
	for (char *word = strtok_r(words, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
		if (strcmp(word, "leaks") == 0)
			return true;
	return false;
}

void vai__leaks_start(void)
{
	vai__leaks_on = is_wanted();
	vai__obj_gone = vai__leaks_on ? forget : NULL;
}
