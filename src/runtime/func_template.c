/* SPDX-License-Identifier: MIT */
/* Templates of functions that are spawned again and again: the base template with the
 * function loaded, and the functions that came along with it each time (its helpers), and with
 * what its first goroutines used already in place.
 *
 * code->template is NULL (spawned seldom), BUSY (one thread builds, or there cannot be one) or
 * the template, which lives as long as the code object. */
#include "runtime/func_template.h"
#include <string.h>
#include "runtime/prepare.h"
#include "state/handle.h"
#include "stdlib/lazy.h"

enum { SPAWNS = 3, HANDLE_BYTES = 80, MAX_TEMPLATES = 256, MAX_BYTES = 32 << 20 };

static char busy_mark;
static void *const BUSY = &busy_mark;

static _Atomic(int) templates;
static _Atomic(size_t) template_bytes;

/* A constant of the code could look like a pointer into the template, and would be changed
 * with the pointers. Six bytes in a row decide: the other two of an address are zero, and
 * so may be what follows a string's end. */
static bool looks_like_pointer(const struct vai_code *code, const struct vai__arena *a)
{
	const uint64_t base = (uint64_t)(uintptr_t)a;
	uint64_t window = 0;
	for (size_t i = 0; i < code->size; i++) {
		window = window >> 8 | (uint64_t)(unsigned char)code->bytes[i] << 40;
		if (VAI_UNLIKELY(window - base <= a->first_size))
			return true;
	}
	return false;
}

/* Every upvalue of the function on top: _ENV to the state's own globals, others nil. */
static void set_upvalues(lua_State *L)
{
	const char *name;
	for (int i = 1; (name = lua_getupvalue(L, -1, i)) != NULL; i++) {
		lua_pop(L, 1);
		if (strcmp(name, "_ENV") == 0)
			lua_pushglobaltable(L);
		else
			lua_pushnil(L);
		lua_setupvalue(L, -2, i);
	}
}

static void use(lua_State *L, struct vai_vm *vm, unsigned kind, unsigned index)
{
	if (kind >= VAI__USE_HANDLE)
		vai__handle_use(L, vm, kind - VAI__USE_HANDLE, index);
	else if (kind >= VAI__USE_LAZY && kind != VAI__USE_CACHE)
		vai__lazy_use(L, vm, (int)(kind - VAI__USE_LAZY), (int)index);
}

/* How many handles its goroutines hold that may be met again. */
static int noted_handles(const struct vai_code *code)
{
	int n = 0;
	for (int i = 0; i < VAI__USES; i++) {
		unsigned noted = atomic_load_relaxed(&code->uses.noted[i]);
		if (noted >> 8 == VAI__USE_CACHE && (int)(noted & 0xff) > n)
			n = (int)(noted & 0xff);
	}
	return n;
}

/* Pushes a closure whose upvalues are set. */
static void load(lua_State *L, const struct vai_code *code, const struct vai__arena *a)
{
	if (looks_like_pointer(code, a))
		luaL_error(L, "a constant looks like a pointer");
	if (vai__code_load(L, code) != LUA_OK)
		lua_error(L);
	set_upvalues(L);
}

struct functions {
	const struct vai_code *code;
	struct vai_code *helpers[VAI__HELPERS];
	int nhelpers;
};

/* Argument: struct functions. Leaves the helpers on the stack, and the function on top of them. */
static int prepare(lua_State *L)
{
	const struct functions *from = lua_touserdata(L, 1);
	const struct vai_code *code = from->code;
	struct vai_vm *vm = vai__state_of(L);
	vai__prepare(L);
	lua_settop(L, 0);
	vai__handle_cache(L, noted_handles(code));
	for (int i = 0; i < VAI__USES; i++) {
		unsigned noted = atomic_load_relaxed(&code->uses.noted[i]);
		use(L, vm, noted >> 8, noted & 0xff);
	}
	for (int i = 0; i < from->nhelpers; i++)
		load(L, from->helpers[i], vm->arena);
	load(L, code, vm->arena);
	return 1 + from->nhelpers;
}

static void count_template(int n, size_t bytes)
{
	atomic_fetch_add_relaxed(&templates, n);
	if (n > 0)
		atomic_fetch_add_relaxed(&template_bytes, bytes);
	else
		atomic_fetch_sub_relaxed(&template_bytes, bytes);
}

/* With code->template BUSY, which it stays where there can be none. */
static VAI_NOINLINE struct vai__template *build(struct vai_code *code)
{
	size_t reserve = VAI__TEMPLATE_RESERVE + (size_t)noted_handles(code) * HANDLE_BYTES;
	struct functions from = {.code = code};
	from.nhelpers = vai__code_helpers(code, SPAWNS - 1, from.helpers);
	struct vai__template *template = vai__template_build(prepare, &from, reserve);
	code->nloaded = from.nhelpers;
	for (int i = 0; i < from.nhelpers; i++) {
		code->loaded[i] = from.helpers[i]->id;
		vai__obj_unref(&from.helpers[i]->obj);
	}
	if (!template)
		return NULL;
	count_template(1, template->alloc);
	atomic_store_release(&code->template, template);
	return template;
}

const struct vai__template *vai__func_template_of(struct vai_code *code)
{
	void *template = atomic_load_acquire(&code->template);
	if (VAI_LIKELY(template != NULL))
		return template == BUSY ? NULL : template;
	unsigned spawns = atomic_fetch_add_relaxed(&code->spawns, 1) + 1;
	if (spawns < SPAWNS || templates >= MAX_TEMPLATES || template_bytes >= MAX_BYTES)
		return NULL;
	if (!atomic_compare_exchange_strong(&code->template, &template, BUSY))
		return template == BUSY ? NULL : template;
	return build(code);
}

bool vai__func_template_watches(const struct vai_code *code)
{
	return atomic_load_relaxed(&code->spawns) < SPAWNS;
}

void vai__func_template_drop(void *template_of_code)
{
	struct vai__template *template = template_of_code;
	if (template_of_code == BUSY)
		return;
	count_template(-1, template->alloc);
	vai__template_free(template);
}
