/* SPDX-License-Identifier: MIT */
/* Templates of functions that are spawned again and again. The first template of a function is the base template with
 * the function, the functions that came with it in each call (its helpers), and the names that its first goroutines
 * used. After some more calls a second one, the call template, is made for calls like the last one: there the
 * function also has what it captures, and only what differs from call to call is set in each copy.
 *
 * code->template and code->ready are NULL (spawned seldom), BUSY (a thread is building it, or there cannot be one) or
 * the template, which lives as long as the code object. */
#include "runtime/func_template.h"
#include <string.h>
#include "base/mem.h"
#include "runtime/prepare.h"
#include "sched/sched.h"
#include "state/handle.h"
#include "stdlib/lazy.h"
#include "transfer/codec.h"
#include "transfer/lost_writes.h"

enum { SPAWNS = 3, CALLS = 16, HANDLE_BYTES = 80, MAX_TEMPLATES = 256, MAX_BYTES = 32 << 20 };

static char busy_mark;
static void *const BUSY = &busy_mark;

static _Atomic(int) templates;
static _Atomic(size_t) template_bytes;

/* Whether some of the bytes look like a pointer into the template. Copying would change them as it changes pointers,
 * so no template may contain such bytes. Constants of the code and captured values are checked. Six bytes in a row
 * decide, since the other two bytes of an address are zero, as the bytes behind a string may be. */
static bool looks_like_pointer(const char *bytes, size_t size, const struct vai__arena *a)
{
	const uint64_t base = (uint64_t)(uintptr_t)a;
	uint64_t window = 0;
	for (size_t i = 0; i < size; i++) {
		window = window >> 8 | (uint64_t)(unsigned char)bytes[i] << 40;
		if (VAI_UNLIKELY(window - base <= a->first_size))
			return true;
	}
	return false;
}

/* Sets the upvalues of the function on top: _ENV to the state's own globals, all others to nil. */
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

/* The number of handles that a goroutine of code has room for: the most that one was noted to hold. */
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

static void check_constants(lua_State *L, const char *bytes, size_t size)
{
	if (looks_like_pointer(bytes, size, vai__state_of(L)->arena))
		luaL_error(L, "a constant looks like a pointer");
}

static void check_code(void *L, const struct vai_code *code)
{
	check_constants(L, code->bytes, code->size);
}

/* Pushes a closure of code with its upvalues set. */
static void load(lua_State *L, const struct vai_code *code)
{
	check_code(L, code);
	if (vai__code_load(L, code) != LUA_OK)
		lua_error(L);
	set_upvalues(L);
}

struct functions {
	const struct vai_code *code;
	struct vai_code *helpers[VAI__HELPERS];
	int nhelpers;
};

/* Settles the methods that the code calls, even those that its first goroutines have not called. Otherwise, if
 * thousands of goroutines are started and call such a method later, each of them has to find it, and its Lua stack
 * grows for that. */
static void expect_methods(void *L, const struct vai_code *code)
{
	for (int i = 0; i < code->nfields; i++)
		vai__handle_expect(L, code->fields[i].name);
}

/* Makes a stock state with what the first goroutines of code used of it, and nothing on the stack. */
static void prepare_for(lua_State *L, const struct vai_code *code)
{
	vai__prepare(L);
	lua_settop(L, 0);
	vai__handle_cache(L, noted_handles(code));
	for (int i = 0; i < VAI__USES; i++) {
		unsigned noted = atomic_load_relaxed(&code->uses.noted[i]);
		use(L, vai__state_of(L), noted >> 8, noted & 0xff);
	}
	expect_methods(L, code);
}

/* Argument: struct functions. Leaves the helpers on the stack, and above them the function. */
static int prepare(lua_State *L)
{
	const struct functions *from = lua_touserdata(L, 1);
	prepare_for(L, from->code);
	for (int i = 0; i < from->nhelpers; i++)
		expect_methods(L, from->helpers[i]);
	for (int i = 0; i < from->nhelpers; i++)
		load(L, from->helpers[i]);
	load(L, from->code);
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

/* Builds the template. code->template is BUSY, and stays so if there can be none. */
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
	if (VAI_UNLIKELY(code->setup != vai__home_self()->setup_id))
		return NULL;
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

/* ---- of whole calls ---- */

struct call {
	const struct vai_code *code;
	const vai_msg *msg;
	const struct vai__call_pattern *pattern;
};

/* Argument: struct call. Leaves the function on the stack, and the arguments if the pattern has them. */
static int prepare_call(lua_State *L)
{
	const struct call *call = lua_touserdata(L, 1);
	struct vai_vm *vm = vai__state_of(L);
	prepare_for(L, call->code);
	vai__call_pattern_each_code(call->pattern, call->msg, check_code, L);
	vai__call_pattern_each_code(call->pattern, call->msg, expect_methods, L);
	check_constants(L, (const char *)vai__msg_block(call->msg)->data, call->pattern->size);
	vai__handles_premake(vm);
	vai__decode_pattern(L, vm, call->msg, call->pattern);
	if (vm->needs_close)
		luaL_error(L, "something has a finalizer");
	vai__handles_premade(L, vm);
	return 1 + (int)call->pattern->nargs;
}

/* Builds the call template. code->ready is BUSY, and stays so if there can be none. */
static VAI_NOINLINE struct vai__call_template *build_call(struct vai_code *code, const vai_msg *msg)
{
	struct call call = {code, msg, vai__lost_watching ? NULL : vai__call_pattern_new(msg)};
	if (!call.pattern)
		return NULL;
	int handles = noted_handles(code) - (int)call.pattern->nobjects;
	size_t reserve = VAI__TEMPLATE_RESERVE + (handles > 0 ? (size_t)handles * HANDLE_BYTES : 0);
	struct vai__call_template *ready = vai__mem_alloc(sizeof *ready);
	struct vai__template *template = ready ? vai__template_build(prepare_call, &call, reserve) : NULL;
	if (!template) {
		vai__call_pattern_free((struct vai__call_pattern *)(uintptr_t)call.pattern);
		vai__mem_free(ready, sizeof *ready);
		return NULL;
	}
	*ready = (struct vai__call_template){template, (struct vai__call_pattern *)(uintptr_t)call.pattern};
	count_template(1, template->alloc);
	atomic_store_release(&code->ready, ready);
	return ready;
}

/* Counts a spawn. If two threads count at once one count may be lost, which only delays a template. */
static struct vai__call_template *seldom(struct vai_code *code, const vai_msg *msg)
{
	void *none = NULL;
	unsigned spawns = atomic_load_relaxed(&code->spawns) + 1;
	atomic_store_relaxed(&code->spawns, spawns);
	if (spawns < CALLS || templates >= MAX_TEMPLATES || template_bytes >= MAX_BYTES)
		return NULL;
	return atomic_compare_exchange_strong(&code->ready, &none, BUSY) ? build_call(code, msg) : NULL;
}

const struct vai__call_template *vai__func_template_of_call(
	struct vai_code *code, const vai_msg *call, struct vai_obj *objects[VAI__PATTERN_OBJECTS])
{
	const struct vai__call_template *ready = atomic_load_acquire(&code->ready);
	if (VAI_UNLIKELY(vai__msg_tag(call) == M_BLOCK && vai__msg_block(call)->flags & BLOCK_LIBS))
		return NULL;
	if (VAI_UNLIKELY(!ready))
		ready = seldom(code, call);
	if (!ready || ready == BUSY || !vai__call_pattern_fits(ready->pattern, call, objects))
		return NULL;
	return ready;
}

bool vai__func_template_watches(const struct vai_code *code)
{
	return code->setup == vai__home_self()->setup_id && atomic_load_relaxed(&code->spawns) < SPAWNS;
}

static void drop(struct vai__template *template)
{
	count_template(-1, template->alloc);
	vai__template_free(template);
}

void vai__func_templates_drop(struct vai_code *code)
{
	struct vai__call_template *ready = code->ready;
	if (code->template && code->template != BUSY)
		drop(code->template);
	if (!ready || ready == BUSY)
		return;
	drop(ready->template);
	vai__call_pattern_free(ready->pattern);
	vai__mem_free(ready, sizeof *ready);
}
