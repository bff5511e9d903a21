/* SPDX-License-Identifier: MIT */
/* Start and end of states. What vai__state_start sets is read-only until vai__state_stop, which
 * no goroutine outlives. */
#include "state/state.h"
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/fatal.h"
#include "sched/sched.h"
#include "state/arena.h"
#include "stdlib/catalog.h"
#include "transfer/codec.h"
#include "transfer/known_funcs.h"
#include "state/handle.h"
#include "state/template.h"
#include "stdlib/lazy.h"
#include "require/modcache.h"
#include "state/selfcheck.h"

enum { FIRST_CHUNK = 8192 };

const char *vai__state_preload_name;
lua_CFunction vai__state_preload_open;

static struct vai__template *base; /* NULL: states are built */
static bool full;                  /* the catalog could not be read: no lazy libraries */
static char mode[96] = "none";

/* ---- what luaL_newstate adds to lua_newstate ---- */

static int panicked(lua_State *L)
{
	const char *msg = lua_tostring(L, -1);
	vai__fatal("unprotected error in a goroutine's state (%s)", msg ? msg : "error object is not a string");
}

static void warn_off(void *ud, const char *msg, int more);
static void warn_more(void *ud, const char *msg, int more);

/* True if msg was a control message. */
static bool warn_control(lua_State *L, const char *msg, int more)
{
	if (more || *msg != '@')
		return false;
	if (strcmp(msg, "@off") == 0)
		lua_setwarnf(L, warn_off, L);
	return true;
}

static void warn_on(void *ud, const char *msg, int more)
{
	if (strcmp(msg, "@on") == 0 || warn_control(ud, msg, more))
		return;
	fputs("Lua warning: ", stderr);
	warn_more(ud, msg, more);
}

static void warn_more(void *ud, const char *msg, int more)
{
	fputs(msg, stderr);
	if (!more) {
		fputc('\n', stderr);
		fflush(stderr);
	}
	lua_setwarnf(ud, more ? warn_more : warn_on, ud);
}

static void warn_off(void *ud, const char *msg, int more)
{
	if (!more && strcmp(msg, "@on") == 0)
		lua_setwarnf(ud, warn_on, ud);
}

int vai__state_prepare(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	lua_atpanic(L, panicked);
	lua_setwarnf(L, warn_off, L);
	if (full)
		vai__lazy_prepare_full(L, vm);
	else
		vai__lazy_prepare(L, vm);
	return 0;
}

/* ---- the runtime's start and end ---- */

/* NULL where there is a template now, else why not. */
static const char *make_template(void)
{
	const char *wish = getenv("VAI_CLONE");
	if (wish && strcmp(wish, "0") == 0)
		return "VAI_CLONE=0";
	if (full)
		return "unknown standard libraries";
	if (sizeof(void *) != 8 || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
		return "pointers are not of 64 bits with the lowest first";
	base = vai__template_build(vai__state_prepare, NULL, VAI__IMAGE_RESERVE);
	if (!base)
		return "the template could not be made";
	const char *why = vai__selfcheck(base);
	if (why) {
		vai__template_free(base);
		base = NULL;
	}
	return why;
}

int vai__state_start(lua_State *L)
{
	vai__replacements_register();
	int rc = vai__probe_lua();
	if (rc == VAI_OK)
		rc = vai__catalog_read();
	if (rc == VAI_ENOMEM)
		return rc;
	full = rc != VAI_OK;
	rc = vai__paths_start(L);
	if (rc != VAI_OK) {
		vai__catalog_drop();
		return rc;
	}
	const char *why = make_template();
	snprintf(mode, sizeof mode, why ? "build: %s" : "clone", why);
	return VAI_OK;
}

void vai__state_stop(void)
{
	vai__code_forget();
	vai__paths_drop();
	vai__modcache_drop();
	vai__catalog_drop();
	vai__template_free(base);
	base = NULL;
	snprintf(mode, sizeof mode, "none");
}

const char *vai__state_mode(void)
{
	return mode;
}

void vai__state_preload(const char *name, lua_CFunction open)
{
	vai__state_preload_name = name;
	vai__state_preload_open = open;
}

void vai__state_foreign(lua_State *L, struct vai_vm *vm)
{
	vai_g *g = vai__g_self();
	vm->needs_close = true;
	if (!g || g->vm != vm)
		return;
	vm->at = L;
	vai__g_leave_main(g);
}

void vai__state_override(const char *lib, const char *name, lua_CFunction f)
{
	vai__catalog_override(lib, name, f, NULL);
}

void vai__state_stand_in(const char *lib, const char *name, lua_CFunction f, lua_CFunction *stock)
{
	vai__catalog_override(lib, name, f, stock);
}

/* ---- one state ---- */

struct vai_vm *vai__state_attach(lua_State *L)
{
	struct vai_vm *vm = vai__mem_zalloc(sizeof *vm);
	if (vm) {
		vm->L = L;
		vm->at = L;
		vm->is_host = true;
	}
	return vm;
}

static void release(struct vai_vm *vm)
{
	vai__handles_release(vm);
	vai__codec_release(vm);
	vai__known_funcs_free(vm->funcs);
	if (vm->profiled)
		vai__obj_unref(&vm->profiled->obj);
}

void vai__state_detach(struct vai_vm *vm)
{
	release(vm);
	vai__mem_free(vm, sizeof *vm);
}

static struct vai__arena *build_state(void *room, size_t size)
{
	struct vai__arena *a = vai__arena_new(FIRST_CHUNK);
	if (!a)
		return NULL;
	vai__arena_lend(a, room, size);
	lua_State *L = lua_newstate(vai__arena_alloc, a);
	if (L) {
		a->vm.L = L;
		a->vm.at = L;
		lua_pushcfunction(L, vai__state_prepare);
		if (lua_pcall(L, 0, 0, 0) == LUA_OK)
			return a;
	}
	vai__arena_free(a);
	return NULL;
}

struct vai_vm *vai__state_new_in(struct vai_code *code, bool *loaded, void *room, size_t size)
{
	const struct vai__template *image = base && code ? vai__func_template_of(code) : NULL;
	*loaded = image != NULL;
	struct vai__arena *a =
		VAI_LIKELY(base != NULL) ? vai__template_clone(image ? image : base, room, size) : build_state(room, size);
	if (VAI_UNLIKELY(!a))
		return NULL;
	if (base && code && !image && vai__func_template_watches(code)) {
		vai__obj_ref(&code->obj);
		a->vm.profiled = code;
	}
	return &a->vm;
}

struct vai_vm *vai__state_new(struct vai_code *code, bool *loaded)
{
	return vai__state_new_in(code, loaded, NULL, 0);
}

void vai__state_free(struct vai_vm *vm)
{
	struct vai__arena *a = vm->arena;
	if (VAI_UNLIKELY(vm->needs_close))
		lua_close(vm->L);
	release(vm);
	vai__arena_free(a);
}

void vai__state_abandon(struct vai_vm *vm)
{
	lua_sethook(vm->L, NULL, 0, 0);
	lua_resetthread(vm->L);
	vai__state_free(vm);
}

struct vai_vm *vai__state_self(void)
{
	const vai_g *g = vai__g_self();
	return g ? g->vm : NULL;
}

struct vai_vm *vai__state_of(lua_State *L)
{
	void *ud;
	return VAI_LIKELY(lua_getallocf(L, &ud) == vai__arena_alloc) ? &((struct vai__arena *)ud)->vm : NULL;
}

size_t vai__state_bytes(const struct vai_vm *vm)
{
	if (vm->arena)
		return vm->arena->held;
	return (size_t)lua_gc(vm->L, LUA_GCCOUNT) * 1024 + (size_t)lua_gc(vm->L, LUA_GCCOUNTB);
}

/* The truthy package.loaded[name] on top, or nothing. */
static bool push_loaded(lua_State *L, struct vai_vm *vm, const char *name)
{
	if (!vai__lazy_push_loaded(L, vm))
		return false;
	lua_getfield(L, -1, name);
	lua_remove(L, -2);
	if (lua_toboolean(L, -1))
		return true;
	lua_pop(L, 1);
	return false;
}

void vai__state_require(lua_State *L, struct vai_vm *vm, const char *name)
{
	luaL_checkstack(L, 6, "require");
	int lib = vai__catalog_lib(name);
	if (VAI_UNLIKELY(lib >= 0 && vm->without >> lib & 1))
		luaL_error(L, "this goroutine does not have the library '%s'", name);
	if (push_loaded(L, vm, name))
		return;
	if (vai__state_preload_open && !vm->is_host && strcmp(name, vai__state_preload_name) == 0) {
		luaL_requiref(L, name, vai__state_preload_open, 0);
		return;
	}
	if (vm->is_host)
		lua_getglobal(L, "require");
	else
		vai__lazy_push_require(L, vm);
	lua_pushstring(L, name);
	lua_call(L, 1, 1);
}
