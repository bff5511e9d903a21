/* SPDX-License-Identifier: MIT */
/* Compiled modules by file. A state that looks a module up searches package.path as stock does, and takes what is
 * here if the file is still what it was when it was read. A file that was changed a moment ago may change again
 * without a change of its times; such a file is not kept.
 *
 * Entries do not change. One that is out of date is replaced, and freed by its last reader. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include "require/modcache.h"
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "base/buffer.h"
#include "base/fork.h"
#include "code/dump.h"
#include "require/paths.h"
#include "stdlib/catalog.h"
#include "state/handle.h"
#include "stdlib/lazy.h"
#include "transfer/codec.h"

enum { BUCKETS = 256, MAX_BYTES = 64 << 20 };
#define FINE_CLOCK INT64_C(100000000) /* ns within which two changes of a file may leave it the same times */
#define COARSE_CLOCK INT64_C(2100000000)

/* What tells one state of a file from another. */
struct mark {
	dev_t device;
	ino_t inode;
	off_t size;
	int64_t modified, changed; /* nanoseconds */
};

struct module {
	struct module *next;
	unsigned refs; /* under lock; one is the table's */
	struct mark mark;
	char *filename;
	struct vai__buffer code;
};

/* What a module that returned a frozen table has returned: every state gets that one. */
struct shared {
	struct shared *next;
	struct mark mark;
	struct vai_obj *result; /* one reference */
	char filename[];
};

static struct vai_lock lock; /* VAI_RANK_CODE; of the three below */
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

static bool look(const char *filename, struct mark *mark)
{
	struct stat st;
	if (stat(filename, &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	*mark = (struct mark){st.st_dev, st.st_ino, st.st_size, nanoseconds(st.st_mtim), nanoseconds(st.st_ctim)};
	return true;
}

static bool same(const struct mark *a, const struct mark *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size && a->modified == b->modified &&
		a->changed == b->changed;
}

/* Whether a change of the file after this look would show in its times. Some file systems count in seconds. */
static bool has_settled(const struct mark *mark)
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

/* With a reference, or NULL. */
static struct module *acquire(const char *filename, const struct mark *mark)
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

/* Takes what the table has of that file out of it. Under the lock. */
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

/* Takes m over. */
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

/* Remembers that the loader at idx came from that file. Neither raises nor fails: a module that cannot be kept is
 * read again. */
static void remember(lua_State *L, int idx, const char *filename, const struct mark *mark)
{
	struct mark now;
	struct module *m = look(filename, &now) && same(&now, mark) && has_settled(mark) ? calloc(1, sizeof *m) : NULL;
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

/* The result that is known for the file, with a reference, or NULL. */
static struct vai_obj *shared_result(const char *filename, const struct mark *mark)
{
	struct vai_obj *o = NULL;
	vai__lock(&lock);
	for (struct shared *s = shares; s && !o; s = s->next)
		if (strcmp(s->filename, filename) == 0 && same(&s->mark, mark))
			o = s->result;
	if (o)
		vai__obj_ref(o);
	vai__unlock(&lock);
	return o;
}

/* Takes over the reference to `result`. Returns what is the file's result from now on, with a reference: the first
 * that came. */
static struct vai_obj *share(const char *filename, const struct mark *mark, struct vai_obj *result)
{
	const size_t size = strlen(filename) + 1;
	struct shared *s = malloc(sizeof *s + size);
	if (!s)
		return result;
	s->mark = *mark;
	s->result = result;
	memcpy(s->filename, filename, size);
	struct vai_obj *first = NULL;
	vai__lock(&lock);
	for (struct shared *t = shares; t && !first; t = t->next)
		if (strcmp(t->filename, filename) == 0 && same(&t->mark, mark))
			first = t->result;
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

/* If the value at idx is a frozen table, what the module in that file has returned first is put in its place. */
static bool share_at(lua_State *L, struct vai_vm *vm, int idx, const char *filename, const struct mark *mark)
{
	struct vai_obj *o = NULL;
	if (lua_type(L, idx) != LUA_TTABLE || !vai__codec_stand_in(L, idx, &o) || !o)
		return false;
	vai__handle_push(L, vm, share(filename, mark, o), false);
	lua_replace(L, idx);
	return true;
}

bool vai__modcache_share(lua_State *L, struct vai_vm *vm, int idx, const char *filename)
{
	struct mark mark;
	return look(filename, &mark) && share_at(L, vm, idx, filename, &mark);
}

/* A loader. Upvalue: the result. */
static int give_result(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	return 1;
}

/* A loader around another. Upvalues: that, the file's name, its mark. */
static int load_and_share(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	struct mark mark;
	size_t len;
	lua_settop(L, 2);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, 2, 1);
	const char *p = lua_tolstring(L, lua_upvalueindex(3), &len);
	if (vm && p && len == sizeof mark) {
		memcpy(&mark, p, len);
		share_at(L, vm, 1, lua_tostring(L, lua_upvalueindex(2)), &mark);
	}
	return 1;
}

/* The function at idx has this word among its constants. */
static bool mentions(lua_State *L, int idx, const char *word)
{
	struct vai__buffer code = {0};
	lua_pushvalue(L, idx);
	bool found = vai__dump_function(L, &code) && memmem(code.p, code.n, word, strlen(word));
	lua_pop(L, 1);
	vai__buffer_free(&code);
	return found;
}

/* The loader at the top is of a module that may return a frozen table. */
static void wrap_loader(lua_State *L, const char *filename, const struct mark *mark)
{
	if (!mentions(L, lua_gettop(L), "freeze"))
		return;
	lua_pushstring(L, filename);
	lua_pushlstring(L, (const char *)mark, sizeof *mark);
	lua_pushcclosure(L, load_and_share, 3);
}

/* ---- searching ---- */

/* Pushes the file that stock's searcher would read for the module, or nil. */
static const char *push_filename(lua_State *L, int name)
{
	lua_pushvalue(L, lua_upvalueindex(3));
	lua_pushvalue(L, name);
	lua_getfield(L, lua_upvalueindex(1), "path");
	if (lua_type(L, -1) != LUA_TSTRING) {
		lua_settop(L, name);
		lua_pushnil(L);
		return NULL;
	}
	lua_call(L, 2, 1);
	return lua_tostring(L, -1);
}

/* Pushes the module as it was read before, or nothing. */
static bool push_module(lua_State *L, const char *filename, const struct mark *mark)
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

/* Takes the place of stock's searcher for Lua files. Upvalues: package, stock's own, package.searchpath. */
static int search_lua(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	struct mark mark;
	lua_settop(L, 1);
	struct vai_vm *vm = vai__state_of(L);
	if (vm)
		vm->new_modules = true;
	if (vm && vai__paths_preload(L, vm, name)) {
		lua_pushliteral(L, ":preload:");
		return 2;
	}
	const char *filename = push_filename(L, 1);
	memset(&mark, 0, sizeof mark);
	bool known = filename && look(filename, &mark);
	struct vai_obj *result = known && vm ? shared_result(filename, &mark) : NULL;
	if (result) {
		vai__handle_push(L, vm, result, false);
		lua_pushcclosure(L, give_result, 1);
		lua_pushvalue(L, 2);
		return 2;
	}
	if (known && push_module(L, filename, &mark)) {
		wrap_loader(L, filename, &mark);
		lua_pushvalue(L, 2);
		return 2;
	}
	lua_pushvalue(L, lua_upvalueindex(2));
	lua_pushvalue(L, 1);
	lua_call(L, 1, 2);
	if (known && lua_isfunction(L, 3) && !lua_iscfunction(L, 3) && lua_rawequal(L, 2, 4))
		remember(L, 3, filename, &mark);
	if (known && lua_isfunction(L, 3) && !lua_iscfunction(L, 3)) {
		lua_insert(L, 3);
		wrap_loader(L, filename, &mark);
		lua_insert(L, 3);
	}
	return 2;
}

/* Takes the place of stock's searchers for C libraries. Upvalue: stock's own. */
static int search_c(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	lua_settop(L, 1);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, 1, 2);
	if (vm && lua_isfunction(L, -2)) {
		vai__state_foreign(L, vm);
		vai__lazy_fill(L, vm);
	}
	return 2;
}

static void install_searchers(lua_State *L, int package)
{
	if (lua_getfield(L, package, "searchers") == LUA_TTABLE) {
		lua_pushvalue(L, package);
		lua_rawgeti(L, -2, 2);
		lua_getfield(L, package, "searchpath");
		lua_pushcclosure(L, search_lua, 3);
		lua_rawseti(L, -2, 2);
		for (int i = 3; i <= 4; i++) {
			lua_rawgeti(L, -1, i);
			lua_pushcclosure(L, search_c, 1);
			lua_rawseti(L, -2, i);
		}
	}
	lua_pop(L, 1);
}

void vai__modcache_install(lua_State *L)
{
	int package = lua_gettop(L);
	vai__paths_apply(L, package);
	install_searchers(L, package);
	vai__catalog_apply(L, "package");
	if (vai__catalog_preload_open && lua_getfield(L, package, "preload") == LUA_TTABLE) {
		lua_pushcfunction(L, vai__catalog_preload_open);
		lua_setfield(L, -2, vai__catalog_preload_name);
	}
	if (lua_getfield(L, LUA_REGISTRYINDEX, "_CLIBS") == LUA_TTABLE) {
		lua_pushnil(L);
		lua_setmetatable(L, -2);
	}
	lua_settop(L, package);
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
