/* SPDX-License-Identifier: MIT */
/* See modcache.h. An entry is valid as long as the file is the same as when it was read. A file that was changed a
 * moment ago may change again without a change of its times, so such a file is not kept.
 *
 * Entries do not change. One that is out of date is replaced, and freed by its last reader. */
#include "require/modcache.h"
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "base/buffer.h"
#include "base/fork.h"
#include "base/lock.h"
#include "code/dump_function.h"
#include "sched/sched.h"

enum { BUCKETS = 256, MAX_BYTES = 64 << 20 };
/* If a file is changed twice within so many ns, its times may not show the second change. */
#define FINE_CLOCK INT64_C(100000000)
#define COARSE_CLOCK INT64_C(2100000000)

struct module {
	struct module *next;
	unsigned refs; /* under the lock; one is the table's */
	struct vai__mark mark;
	char *filename;
	struct vai__buffer code;
};

/* The frozen table that a module has returned: every state with the same setup gets it. */
struct shared {
	struct shared *next;
	uint64_t setup; /* of the homes in whose states the module has returned this table */
	struct vai__mark mark;
	struct vai_obj *result; /* one reference */
	char filename[];
};

static struct vai_lock lock; /* VAI_RANK_CODE; guards the three below */
static struct module *buckets[BUCKETS];
static size_t bytes;
static struct shared *shares;

__attribute__((constructor)) static void init_lock(void)
{
	vai__lock_init(&lock, VAI_RANK_CODE);
	vai__fork_holds(&lock, VAI_RANK_CODE);
}

/* ---- files ---- */

static int64_t nanoseconds(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

bool vai__modcache_look(const char *filename, struct vai__mark *mark)
{
	struct stat st;
	if (stat(filename, &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	*mark = (struct vai__mark){st.st_dev, st.st_ino, st.st_size, nanoseconds(st.st_mtim), nanoseconds(st.st_ctim)};
	return true;
}

static bool same(const struct vai__mark *a, const struct vai__mark *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size && a->modified == b->modified &&
		a->changed == b->changed;
}

/* Whether a change of the file after the mark was taken would show in its times. Some file systems have times in
 * seconds only. */
static bool has_settled(const struct vai__mark *mark)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t last = mark->changed > mark->modified ? mark->changed : mark->modified;
	return nanoseconds(now) - last > (last % 1000000 == 0 ? COARSE_CLOCK : FINE_CLOCK);
}

/* ---- the table ---- */

static struct module **bucket_of(const char *filename)
{
	unsigned h = 5381;
	for (; *filename; filename++)
		h = h * 33 + (unsigned char)*filename;
	return &buckets[h % BUCKETS];
}

static void free_module(struct module *m)
{
	free(m->filename);
	vai__buffer_free(&m->code);
	free(m);
}

/* Returns the entry with a reference, or NULL. */
static struct module *acquire(const char *filename, const struct vai__mark *mark)
{
	vai__lock(&lock);
	struct module *m = *bucket_of(filename);
	while (m && (strcmp(m->filename, filename) != 0 || !same(&m->mark, mark)))
		m = m->next;
	if (m)
		m->refs++;
	vai__unlock(&lock);
	return m;
}

static void release(struct module *m)
{
	vai__lock(&lock);
	bool last = --m->refs == 0;
	vai__unlock(&lock);
	if (last)
		free_module(m);
}

/* Takes the entry of that file out of the table. Lock held. */
static struct module *take_out(const char *filename)
{
	struct module **link = bucket_of(filename), *m;
	while ((m = *link) != NULL && strcmp(m->filename, filename) != 0)
		link = &m->next;
	if (m) {
		*link = m->next;
		bytes -= m->code.n;
	}
	return m;
}

/* Puts m, which it takes over, into the table. */
static void insert(struct module *m)
{
	struct module **bucket = bucket_of(m->filename);
	m->refs = 1;
	vai__lock(&lock);
	struct module *old = take_out(m->filename);
	if (bytes + m->code.n <= MAX_BYTES) {
		m->next = *bucket;
		*bucket = m;
		bytes += m->code.n;
		m = NULL;
	}
	vai__unlock(&lock);
	if (old)
		release(old);
	if (m)
		free_module(m);
}

bool vai__modcache_push(lua_State *L, const char *filename, const struct vai__mark *mark)
{
	struct module *m = acquire(filename, mark);
	if (!m)
		return false;
	int status = luaL_loadbufferx(L, m->code.p, m->code.n, m->filename, "b");
	release(m);
	if (status != LUA_OK)
		lua_error(L);
	return true;
}

void vai__modcache_remember(lua_State *L, int idx, const char *filename, const struct vai__mark *mark)
{
	struct vai__mark now;
	struct module *m =
		vai__modcache_look(filename, &now) && same(&now, mark) && has_settled(mark) ? calloc(1, sizeof *m) : NULL;
	if (!m)
		return;
	m->mark = *mark;
	m->filename = strdup(filename);
	lua_pushvalue(L, idx);
	bool dumped = vai__dump_function(L, &m->code);
	lua_pop(L, 1);
	if (dumped && m->filename)
		insert(m);
	else
		free_module(m);
}

/* ---- frozen results ---- */

/* The table that the file's module has returned in states with the setup of the calling goroutine, or NULL. Lock
 * held. */
static struct vai_obj *find_shared(const char *filename, const struct vai__mark *mark)
{
	const uint64_t setup = vai__home_self()->setup_id;
	const struct shared *s = shares;
	while (s && (s->setup != setup || strcmp(s->filename, filename) != 0 || !same(&s->mark, mark)))
		s = s->next;
	return s ? s->result : NULL;
}

struct vai_obj *vai__modcache_result(const char *filename, const struct vai__mark *mark)
{
	vai__lock(&lock);
	struct vai_obj *o = find_shared(filename, mark);
	if (o)
		vai__obj_ref(o);
	vai__unlock(&lock);
	return o;
}

struct vai_obj *vai__modcache_share(const char *filename, const struct vai__mark *mark, struct vai_obj *result)
{
	const size_t size = strlen(filename) + 1;
	struct shared *s = malloc(sizeof *s + size);
	if (!s)
		return result;
	s->mark = *mark;
	s->result = result;
	memcpy(s->filename, filename, size);
	s->setup = vai__home_self()->setup_id;
	vai__lock(&lock);
	struct vai_obj *first = find_shared(filename, mark);
	if (!first) {
		s->next = shares;
		shares = s;
		s = NULL;
	}
	vai__obj_ref(first ? first : result);
	vai__unlock(&lock);
	if (!s)
		return result;
	free(s);
	vai__obj_unref(result);
	return first;
}

void vai__modcache_drop(void)
{
	while (shares) {
		struct shared *s = shares;
		shares = s->next;
		vai__obj_unref(s->result);
		free(s);
	}
	for (unsigned h = 0; h < BUCKETS; h++) {
		while (buckets[h]) {
			struct module *m = buckets[h];
			buckets[h] = m->next;
			free_module(m);
		}
	}
	bytes = 0;
}
