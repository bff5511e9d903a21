/* SPDX-License-Identifier: MIT */
/* Handles. The registry of a state has, under light keys, the metatable of each class (key: the class) and a weak
 * table, the cache, of the handles that are found again when their object comes back into the state. The cache's keys
 * are the objects; for handles that came with the state's template they are the places of their references.
 *
 * Invariants: a handle with an object has a place in vm->refs, which holds the reference. Its metatable has __gc
 * before it gets the object. What may raise comes before the handle owns the object, or in protected calls, or after
 * it has its place. A script can take __gc away by the debug library; then a handle is freed without notice. So no
 * list of the state leads through handles. The host's state outlives its vm. Its handles then stop being handles:
 * their magic number contains the id of the home, and each time that a state opens vai the home gets another id. */
#include "state/handle.h"
#include <string.h>
#include <time.h>
#include "base/fork.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/fatal.h"
#include "sched/sched.h"
#include "state/arena.h"
#include "state/template.h"

enum { MAX_TYPES = 64, USERDATA_HEADER = 64, FEW = sizeof((struct vai_vm *)0)->few / sizeof(uintptr_t) };

static const struct vai__handle_type *types[MAX_TYPES];
static _Atomic(int) ntypes; /* grows; one thread at a time registers */
static uint64_t magic;      /* no script can know this number, so no other userdata can have it */
static const char cache_key;

/* The key in the cache for a handle that came with the template. */
static inline const void *key_of_place(uintptr_t place)
{
	return (const void *)place;
}

void (*vai__handle_push_hidden)(lua_State *L);
bool vai__handle_gc_tells;

__attribute__((constructor)) static void init_magic(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	magic = ((uint64_t)t.tv_nsec * VAI__HASH_FACTOR ^ (uint64_t)t.tv_sec << 32 ^ (uint64_t)(uintptr_t)&t) | 1;
}

/* ---- types ---- */

void vai__handle_register(const struct vai__handle_type *type)
{
	for (int i = 0; i < ntypes; i++)
		if (types[i] == type)
			return;
	VAI_ASSERT(ntypes < MAX_TYPES);
	types[ntypes] = type;
	atomic_store_release(&ntypes, ntypes + 1);
}

static int find_type(const struct vai_class *cls)
{
	int i = ntypes - 1;
	while (i >= 0 && types[i]->cls != cls)
		i--;
	return i;
}

void vai__handle_each_method(void (*f)(void *arg, const char *type, const luaL_Reg *method), void *arg)
{
	for (int i = 0; i < ntypes; i++) {
		for (const luaL_Reg *r = types[i]->methods; r && r->name; r++)
			f(arg, types[i]->name, r);
		for (const luaL_Reg *r = types[i]->meta; r && r->name; r++)
			f(arg, types[i]->name, r);
	}
}

/* Notes a use of the type, if the state's uses are noted (uses.h). */
static void note(lua_State *L, int type, unsigned index)
{
	struct vai_vm *vm = vai__state_of(L);
	if (vm && vm->profiled)
		vai__uses_note(vm, VAI__USE_HANDLE + (unsigned)type, index);
}

/* ---- methods ---- */

/* table[name] = function, for the table on top. */
static void set_method(lua_State *L, const luaL_Reg *r)
{
	lua_pushstring(L, r->name);
	lua_pushcfunction(L, r->func);
	lua_rawset(L, -3);
}

/* The type whose method table lies at idx, or -1. */
static int type_of_methods(lua_State *L, int idx)
{
	for (int i = 0; i < ntypes; i++) {
		int top = lua_gettop(L);
		bool same = lua_rawgetp(L, LUA_REGISTRYINDEX, types[i]->cls) == LUA_TTABLE &&
			lua_getfield(L, -1, "__index") == LUA_TTABLE && lua_rawequal(L, -1, idx);
		lua_settop(L, top);
		if (same)
			return i;
	}
	return -1;
}

/* Finds a method, and stores it in the table, where it is found from now on. */
int vai__handle_resolve(lua_State *L)
{
	lua_settop(L, 2);
	int type = lua_type(L, 2) == LUA_TSTRING ? type_of_methods(L, 1) : -1;
	if (type < 0)
		return 0;
	const char *name = lua_tostring(L, 2);
	for (const luaL_Reg *r = types[type]->methods; r && r->name; r++) {
		if (strcmp(r->name, name) != 0)
			continue;
		lua_pushvalue(L, 1);
		set_method(L, r);
		note(L, type, (unsigned)(r - types[type]->methods));
		lua_pushcfunction(L, r->func);
		return 1;
	}
	return 0;
}

/* ---- the references of a state ---- */

/* A place holds an object's address or, when it is free, twice the next free place, plus 1. */
static inline uintptr_t *places(struct vai_vm *vm)
{
	return vm->refs ? vm->refs : vm->few;
}

/* Makes the collector begin its cycles earlier (VAI__PAUSE_HANDLES), unless the program has set a pause of its own. */
static void collect_earlier(struct vai_vm *vm)
{
	int pause = lua_gc(vm->L, LUA_GCSETPAUSE, VAI__PAUSE_HANDLES);
	if (pause >= 0 && pause != VAI__PAUSE)
		lua_gc(vm->L, LUA_GCSETPAUSE, pause);
}

static VAI_NOINLINE bool add_places(struct vai_vm *vm)
{
	enum { MANY = 128 };
	uint32_t cap = 2 * (vm->refs ? vm->cap_refs : FEW);
	uintptr_t *p = cap > vm->nrefs ? vai__mem_alloc(cap * sizeof *p) : NULL;
	if (!p)
		return false;
	memcpy(p, places(vm), vm->nrefs * sizeof *p);
	if (vm->refs)
		vai__mem_free(vm->refs, vm->cap_refs * sizeof *p);
	vm->refs = p;
	vm->cap_refs = cap;
	if (cap >= MANY && !vm->is_host)
		collect_earlier(vm);
	return true;
}

/* Gives the vm a reference to obj, which the caller hands over. Returns its place; 0: out of memory. */
static inline uint32_t add_reference(struct vai_vm *vm, struct vai_obj *obj)
{
	uint32_t place = vm->free_ref;
	if (place)
		vm->free_ref = (uint32_t)(places(vm)[place - 1] >> 1);
	else if (vm->nrefs == (vm->refs ? vm->cap_refs : FEW) && !add_places(vm))
		return 0;
	else
		place = ++vm->nrefs;
	places(vm)[place - 1] = (uintptr_t)obj;
	return place;
}

void (*vai__handle_left)(struct vai_vm *vm, struct vai_obj *obj);
bool (*vai__handle_keeps)(struct vai_vm *vm, struct vai_obj *obj);

void vai__handles_release(struct vai_vm *vm)
{
	if (vm->is_host) /* in tests a host's state may have no home; then the id is that of the home `nobody` */
		atomic_fetch_add_relaxed(&vai__home_of_nobody->id, 1);
	while (vm->nrefs > 0) {
		uintptr_t ref = places(vm)[--vm->nrefs];
		if (ref & 1)
			continue;
		if (vai__handle_left)
			vai__handle_left(vm, (struct vai_obj *)ref);
		vai__obj_unref((struct vai_obj *)ref);
	}
	if (vm->refs)
		vai__mem_free(vm->refs, vm->cap_refs * sizeof *vm->refs);
	vm->refs = NULL;
}

void vai__handles_each(const struct vai_vm *vm, void (*f)(void *arg, struct vai_obj *obj), void *arg)
{
	const uintptr_t *refs = vm->refs ? vm->refs : vm->few;
	for (uint32_t i = 0; i < vm->nrefs; i++)
		if (!(refs[i] & 1))
			f(arg, (struct vai_obj *)refs[i]);
}

/* The magic number of handles in the state of the calling main goroutine, until the state closes for vai. */
static uint64_t host_magic(void)
{
	const struct vai__home *home = vai__home_self();
	return magic + 2 * (atomic_load_relaxed(&home->id) + 1);
}

/* Whether h is a handle of another host's state than the caller's, one that is still open. */
static VAI_NOINLINE bool is_of_open_home(const struct vai__handle *h)
{
	uint64_t d = h->magic - magic;
	return d % 2 == 0 && d / 2 > 1 && d / 2 <= UINT32_MAX && vai__home_id_is_open(d / 2 - 1);
}

static struct vai__handle *test_handle(lua_State *L, int idx)
{
	struct vai__handle *h = lua_touserdata(L, idx);
	if (!VAI_LIKELY(h && lua_rawlen(L, idx) == sizeof *h))
		return NULL;
	if (VAI_LIKELY(h->magic == magic) || h->magic == host_magic())
		return h;
	return is_of_open_home(h) ? h : NULL;
}

bool vai__handle_is(lua_State *L, int idx)
{
	return test_handle(L, idx) != NULL;
}

/* Whether __gc was called by the collector. If a script has called it the object may still be in use. Lua reports
 * everything that runs inside of a C hook, finalizers included, as called by the hook. Such a call counts as the
 * collector's: a script's function that the hook calls gets no handle, so it cannot call __gc. */
static bool is_finalizer(lua_State *L)
{
	lua_Debug ar;
	if (!vai__handle_gc_tells) /* this Lua's lua_getinfo describes the interrupted function in place of the finalizer */
		return lua_gc(L, LUA_GCISRUNNING) == 0;
	if (!lua_getstack(L, 0, &ar) || !lua_getinfo(L, "n", &ar))
		return false;
	return strcmp(ar.namewhat, "hook") == 0 || (strcmp(ar.namewhat, "metamethod") == 0 && strcmp(ar.name, "__gc") == 0);
}

/* __gc of all handles: gives the reference back. */
static int handle_gc(lua_State *L)
{
	struct vai__handle *h = test_handle(L, 1);
	if (!h || !h->obj || !is_finalizer(L))
		return 0;
	struct vai_obj *obj = h->obj;
	struct vai_vm *vm = h->vm;
	if (VAI_UNLIKELY(vai__handle_keeps && vai__handle_keeps(vm, obj))) {
		h->obj = NULL;
		return 0;
	}
	places(vm)[h->place - 1] = (uintptr_t)vm->free_ref << 1 | 1;
	vm->free_ref = h->place;
	vm->ncached -= h->cached;
	h->obj = NULL;
	if (VAI_LIKELY(!vai__forked))
		vai__obj_unref(obj);
	return 0;
}

/* ---- metatables ---- */

/* Makes and pushes the metatable of a class. May raise. Fresh states need no __metatable:
 * their getmetatable knows handles (lazy_functions.c). */
static void make_metatable(lua_State *L, int type)
{
	const struct vai__handle_type *t = types[type];
	const bool hides = !vai__state_of(L);
	int n = 3 + hides;
	for (const luaL_Reg *r = t->meta; r && r->name; r++)
		n++;
	lua_createtable(L, 0, n);
	lua_pushcfunction(L, handle_gc);
	lua_setfield(L, -2, "__gc");
	lua_pushstring(L, t->name);
	lua_setfield(L, -2, "__name");
	if (hides) {
		lua_pushstring(L, t->name);
		lua_setfield(L, -2, "__metatable");
	}
	bool own_index = false;
	for (const luaL_Reg *r = t->meta; r && r->name; r++) {
		set_method(L, r);
		own_index |= strcmp(r->name, "__index") == 0;
	}
	if (!own_index) {
		lua_createtable(L, 0, 1);
		vai__handle_push_hidden(L);
		lua_setmetatable(L, -2);
		lua_setfield(L, -2, "__index");
	}
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, t->cls);
	note(L, type, VAI__USE_METATABLE);
}

static int make_protected(lua_State *L)
{
	const struct vai_class *cls = lua_touserdata(L, 1);
	int type = find_type(cls);
	if (type < 0)
		return luaL_error(L, "vai: objects of class %s have no handles", cls->name);
	make_metatable(L, type);
	return 1;
}

/* Pushes the cache: a weak table that is its own metatable. It is made, with room for n handles, if there is none. */
static void push_cache(lua_State *L, int n)
{
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &cache_key) == LUA_TTABLE)
		return;
	lua_pop(L, 1);
	lua_createtable(L, 0, n + 1);
	/* __mode needs a text with a "v" in it, and each state has this one already. */
	lua_pushliteral(L, "__div");
	lua_setfield(L, -2, "__mode");
	lua_pushvalue(L, -1);
	lua_setmetatable(L, -2);
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &cache_key);
}

void vai__handle_cache(lua_State *L, int n)
{
	if (n > 0) {
		push_cache(L, n);
		lua_pop(L, 1);
	}
}

/* Pushes the table of a type's methods. False, and nothing pushed: the state has not got one. */
static bool push_methods(lua_State *L, int type)
{
	int top = lua_gettop(L);
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, types[type]->cls) == LUA_TTABLE &&
		lua_getfield(L, -1, "__index") == LUA_TTABLE) {
		lua_remove(L, -2);
		return true;
	}
	lua_settop(L, top);
	return false;
}

void vai__handle_use(lua_State *L, struct vai_vm *vm, unsigned type, unsigned index)
{
	(void)vm;
	if (type >= (unsigned)ntypes)
		return;
	if (index == VAI__USE_METATABLE) {
		make_metatable(L, (int)type);
		lua_pop(L, 1);
	} else if (push_methods(L, (int)type)) {
		set_method(L, &types[type]->methods[index]);
		lua_pop(L, 1);
	}
}

void vai__handle_expect(lua_State *L, const char *name)
{
	for (int i = 0; i < ntypes; i++) {
		const luaL_Reg *r = types[i]->methods;
		while (r && r->name && strcmp(r->name, name) != 0)
			r++;
		if (!r || !r->name || !push_methods(L, i))
			continue;
		set_method(L, r);
		lua_pop(L, 1);
	}
}

/* ---- handles ---- */

static int new_userdata(lua_State *L)
{
	lua_newuserdatauv(L, sizeof(struct vai__handle), 0);
	return 1;
}

/* Pushes a handle without an object; NULL and nothing pushed: out of memory. Never raises. */
static inline struct vai__handle *new_handle(lua_State *L, struct vai_vm *vm)
{
	struct vai__handle *h;
	if (VAI_LIKELY(vm->arena && vai__arena_reserve(vm->arena, sizeof *h + USERDATA_HEADER))) {
		h = lua_newuserdatauv(L, sizeof *h, 0);
	} else {
		lua_pushcfunction(L, new_userdata);
		if (lua_pcall(L, 0, 1, 0) != LUA_OK) {
			lua_pop(L, 1);
			return NULL;
		}
		h = lua_touserdata(L, -1);
	}
	memset(h, 0, sizeof *h);
	h->magic = VAI_UNLIKELY(vm->is_host) ? host_magic() : magic;
	return h;
}

static VAI_NOINLINE void note_cached(struct vai_vm *vm)
{
	if (vm->ncached < VAI__USE_CACHE_MAX)
		vai__uses_note(vm, VAI__USE_CACHE, vm->ncached + 1);
}

/* Enters h, the handle on top, into the cache, so that it is found by its object from now on. May raise. */
static void cache_handle(lua_State *L, struct vai_vm *vm, struct vai__handle *h)
{
	if (VAI_UNLIKELY(vm->profiled != NULL))
		note_cached(vm);
	push_cache(L, 1);
	lua_pushvalue(L, -2);
	lua_rawsetp(L, -2, VAI_UNLIKELY(vm->premaking) ? key_of_place(h->place) : h->obj);
	lua_pop(L, 1);
	h->cached = true;
	vm->ncached++;
	if (VAI_UNLIKELY(vm->premaking))
		vm->premade = h->place;
}

/* The key under which the handle of obj would be in the cache. */
static inline const void *key_of(struct vai_vm *vm, const struct vai_obj *obj)
{
	for (uint32_t i = 0; i < vm->premade; i++)
		if (places(vm)[i] == (uintptr_t)obj)
			return key_of_place(i + 1);
	return obj;
}

/* Pushes the handle of obj that the state has under that key, or nothing. */
static bool push_under(lua_State *L, const struct vai_obj *obj, const void *key)
{
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &cache_key) != LUA_TTABLE) {
		lua_pop(L, 1);
		return false;
	}
	lua_rawgetp(L, -1, key);
	const struct vai__handle *h = test_handle(L, -1);
	if (h && h->obj == obj) {
		lua_replace(L, -2);
		return true;
	}
	lua_pop(L, 2);
	return false;
}

/* Pushes the handle of obj that the state has, or nothing. A handle that came with the template may be gone, and its
 * place may have been given to another handle of the same object, which is under the object itself. */
static bool push_known(lua_State *L, struct vai_vm *vm, const struct vai_obj *obj)
{
	const void *key = key_of(vm, obj);
	return push_under(L, obj, key) || (VAI_UNLIKELY(key != obj) && push_under(L, obj, obj));
}

static VAI_NOINLINE _Noreturn void fail(lua_State *L, struct vai_obj *obj, const char *why)
{
	vai__obj_unref(obj);
	if (why)
		luaL_error(L, "%s", why);
	lua_error(L);
	__builtin_unreachable();
}

/* Pushes the metatable of obj's class, or gives the reference to obj back and raises. */
static inline void push_metatable(lua_State *L, struct vai_obj *obj)
{
	if (VAI_LIKELY(lua_rawgetp(L, LUA_REGISTRYINDEX, obj->cls) == LUA_TTABLE))
		return;
	lua_pop(L, 1);
	lua_pushcfunction(L, make_protected);
	lua_pushlightuserdata(L, (void *)(uintptr_t)obj->cls);
	if (lua_pcall(L, 1, 1, 0) != LUA_OK)
		fail(L, obj, NULL);
}

static inline void push_handle(lua_State *L, struct vai_vm *vm, struct vai_obj *obj, bool fresh)
{
	if (VAI_UNLIKELY(!lua_checkstack(L, 6)))
		fail(L, obj, "stack overflow");
	if (!fresh && push_known(L, vm, obj)) {
		vai__obj_unref(obj);
		return;
	}
	push_metatable(L, obj);
	struct vai__handle *h = new_handle(L, vm);
	if (VAI_UNLIKELY(!h || !(h->place = add_reference(vm, obj))))
		fail(L, obj, "not enough memory");
	h->obj = obj;
	h->vm = vm;
	lua_insert(L, -2);
	lua_setmetatable(L, -2);
	if (!fresh)
		cache_handle(L, vm, h);
}

static const struct vai_class *proxied;
static void (*show_proxied)(lua_State *L, struct vai_vm *vm);

void vai__handle_proxied(const struct vai_class *cls, void (*show)(lua_State *L, struct vai_vm *vm))
{
	proxied = cls;
	show_proxied = show;
}

bool vai__handle_is_proxied(const struct vai_class *cls)
{
	return cls == proxied;
}

/* ---- handles in templates ---- */

void vai__handles_premake(struct vai_vm *vm)
{
	vm->premaking = true;
}

/* In the template each place holds its handle's address, which the clone moves as it does all pointers. */
void vai__handles_premade(lua_State *L, struct vai_vm *vm)
{
	struct vai__handle *made[FEW];
	vm->premaking = false;
	if (vm->refs || vm->nrefs != vm->premade)
		luaL_error(L, "too many handles");
	for (uint32_t i = 0; i < vm->premade; i++) {
		lua_rawgetp(L, LUA_REGISTRYINDEX, &cache_key);
		lua_rawgetp(L, -1, key_of_place(i + 1));
		made[i] = test_handle(L, -1);
		if (!made[i])
			luaL_error(L, "a handle is gone");
		lua_pop(L, 2);
	}
	for (uint32_t i = 0; i < vm->premade; i++) {
		vai__obj_unref(made[i]->obj);
		made[i]->obj = NULL;
		vm->few[i] = (uintptr_t)made[i];
	}
}

void vai__handles_give(struct vai_vm *vm, struct vai_obj *const *objects, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct vai__handle *h = (struct vai__handle *)vm->few[i];
		h->obj = objects[i];
		vm->few[i] = (uintptr_t)objects[i];
	}
}

void vai__handle_push(lua_State *L, struct vai_vm *vm, struct vai_obj *obj, bool fresh)
{
	const bool shown = obj->cls == proxied;
	push_handle(L, vm, obj, fresh);
	if (VAI_UNLIKELY(shown))
		show_proxied(L, vm);
}

struct vai_obj *vai__handle_any(lua_State *L, int idx)
{
	const struct vai__handle *h = test_handle(L, idx);
	return h ? h->obj : NULL;
}

struct vai_obj *vai__handle_test(lua_State *L, int idx, const struct vai_class *cls)
{
	const struct vai__handle *h = test_handle(L, idx);
	return VAI_LIKELY(h && h->obj && h->obj->cls == cls) ? h->obj : NULL;
}

void vai__handle_leaves(lua_State *L, struct vai_vm *vm, int idx)
{
	struct vai__handle *h = test_handle(L, idx);
	if (!h || !h->obj || h->cached)
		return;
	luaL_checkstack(L, 4, "sending a handle");
	lua_pushvalue(L, idx);
	cache_handle(L, vm, h);
	lua_pop(L, 1);
}
