/* SPDX-License-Identifier: MIT */
/* The sandbox from the host's side: vai_lua_sandbox checks the policy and keeps it until the runtime that starts next
 * ends; the C functions that may cross are noted when it starts. */
#include "bind/host/sandbox_policy.h"
#include <lualib.h>
#include <string.h>
#include "base/memory_budget.h"
#include "bind/arg.h"
#include "bind/host/functions.h"
#include "bind/host/host.h"
#include "bind/life/sandbox_bounds.h"
#include "sched/sched.h"
#include "stdlib/sandbox.h"
#include "transfer/codec.h"
#include "vai_lua.h"

enum { MOST_FUNCTIONS = 64, MOST_OF_HOST = 256 };

static luaL_Reg allowed_functions[MOST_FUNCTIONS]; /* those of vai__functions that scripts get */
static luaL_Reg of_host[MOST_OF_HOST];             /* C functions of the host's that may cross; names are not kept */
static int nof_host;

/* ---- checking ---- */

static bool is_function_of_vai(const char *name)
{
	for (const luaL_Reg *r = vai__functions; r->name; r++)
		if (strcmp(r->name + (*r->name == '.'), name) == 0)
			return true;
	return false;
}

/* Whether the stock state S has that name: a global, a library or a name in one. */
static bool is_stock(lua_State *S, const char *name)
{
	const char *dot = strchr(name, '.');
	lua_settop(S, 0);
	luaL_checkstack(S, 4, NULL);
	lua_pushglobaltable(S);
	if (!dot)
		return lua_getfield(S, 1, name) != LUA_TNIL;
	lua_pushlstring(S, name, (size_t)(dot - name));
	return lua_rawget(S, 1) == LUA_TTABLE && lua_getfield(S, -1, dot + 1) != LUA_TNIL;
}

static bool is_name(lua_State *S, const char *name)
{
	if (strcmp(name, "safe") == 0 || strcmp(name, "vai") == 0)
		return true;
	if (strncmp(name, "vai.", 4) == 0)
		return is_function_of_vai(name + 4);
	return strcmp(name, "package") != 0 && strncmp(name, "package.", 8) != 0 && is_stock(S, name);
}

struct check {
	const char *const *lists[2];
	const char *wrong; /* the first entry that is no name */
};

/* In a stock state. Argument: struct check. */
static int check_names(lua_State *S)
{
	struct check *c = lua_touserdata(S, 1);
	luaL_openlibs(S);
	for (int i = 0; i < 2; i++)
		for (const char *const *s = c->lists[i]; s && *s && !c->wrong; s++)
			if (!is_name(S, *s))
				c->wrong = *s;
	return 0;
}

/* VAI_OK; VAI_EINVAL and *wrong; VAI_ENOMEM. */
static int check_lists(const vai_lua_policy *p, const char **wrong)
{
	struct check c = {{p->allow, p->forbid}, NULL};
	lua_State *S = luaL_newstate();
	if (!S)
		return VAI_ENOMEM;
	lua_pushcfunction(S, check_names);
	lua_pushlightuserdata(S, &c);
	int status = lua_pcall(S, 1, 0, 0);
	lua_close(S);
	*wrong = c.wrong;
	return status != LUA_OK ? VAI_ENOMEM : c.wrong ? VAI_EINVAL : VAI_OK;
}

/* NULL, or what is wrong with the numbers. */
static const char *check_numbers(const vai_lua_policy *p)
{
	if (p->memory != 0 && p->memory < VAI_LUA_LEAST_MEMORY)
		return "memory: too little for a goroutine to start";
	if (p->memory_in_all != 0 && p->memory_in_all < VAI_LUA_LEAST_MEMORY)
		return "memory_in_all: too little for a goroutine to start";
	if (p->cpu < 0)
		return "cpu: below zero";
	if (p->cpu_in_all < 0)
		return "cpu_in_all: below zero";
	if (p->goroutines < 0)
		return "goroutines: below zero";
	if (p->flags & ~(unsigned)(VAI_LUA_BYTECODE | VAI_LUA_C_MODULES | VAI_LUA_FINALIZERS | VAI_LUA_TRUST_MAIN))
		return "flags: an unknown one";
	return NULL;
}

/* ---- taking it ---- */

static const char *const safe[] = {"safe", NULL};

/* What vai_lua_sandbox leaves in a state's registry for its luaopen_vai. */
struct wish {
	uint64_t names; /* which sandbox it goes with */
	struct vai__sandbox_bounds bounds;
};
static const char wish_key;
static uint64_t names; /* how many sandboxes there have been; under the gate of sched/home.h */

static int count_functions(const luaL_Reg *r)
{
	int n = 0;
	while (r && r[n].name && n < MOST_OF_HOST)
		n++;
	return n;
}

static unsigned flags_kept(void)
{
	const struct vai__sandbox *s = &vai__sandbox;
	return (s->bytecode ? VAI_LUA_BYTECODE : 0u) | (s->c_modules ? VAI_LUA_C_MODULES : 0u) |
		(s->finalizers ? VAI_LUA_FINALIZERS : 0u) | (s->trusts_main ? VAI_LUA_TRUST_MAIN : 0u);
}

/* Whether the sandbox that there is differs from the policy in bounds of a state alone. */
static bool is_kept(const vai_lua_policy *p)
{
	if (!vai__sandbox.active || p->flags != flags_kept() || count_functions(p->functions) != nof_host ||
		p->memory_in_all != vai__sandbox.memory_in_all)
		return false;
	for (int i = 0; i < nof_host; i++)
		if (p->functions[i].func != of_host[i].func)
			return false;
	return vai__sandbox_has_lists(p->allow ? p->allow : safe, p->forbid, p->modules);
}

static struct vai__sandbox_bounds bounds_of(const vai_lua_policy *p)
{
	return (struct vai__sandbox_bounds){
		.memory = p->memory, .cpu = p->cpu, .goroutines = p->goroutines, .cpu_in_all = p->cpu_in_all};
}

static int keep(const vai_lua_policy *p)
{
	int n = count_functions(p->functions);
	if (n == MOST_OF_HOST)
		return VAI_ERANGE;
	int rc = vai__sandbox_lists(p->allow ? p->allow : safe, p->forbid, p->modules);
	if (rc != VAI_OK)
		return rc;
	for (int i = 0; i < n; i++)
		of_host[i] = p->functions[i];
	nof_host = n;
	names++;
	vai__sandbox = (struct vai__sandbox){
		.active = true,
		.bytecode = p->flags & VAI_LUA_BYTECODE,
		.c_modules = p->flags & VAI_LUA_C_MODULES,
		.finalizers = p->flags & VAI_LUA_FINALIZERS,
		.trusts_main = p->flags & VAI_LUA_TRUST_MAIN,
		.memory_in_all = p->memory_in_all,
		.bounds = bounds_of(p),
	};
	return VAI_OK;
}

/* Under the gate. *late: a state is open, and its sandbox is another one. */
static int take(const vai_lua_policy *p, bool *late)
{
	*late = false;
	if (p && is_kept(p))
		return VAI_OK;
	*late = atomic_load(&vai__main_count) > 0;
	if (*late)
		return VAI_EINVAL;
	if (p)
		return keep(p);
	vai__sandbox_drop();
	return VAI_OK;
}

/* Arguments: struct wish. */
static int leave_wish(lua_State *L)
{
	struct wish *w = lua_newuserdatauv(L, sizeof *w, 0);
	*w = *(struct wish *)lua_touserdata(L, 1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &wish_key);
	return 0;
}

static int refuse(lua_State *L, const char *what, const char *which)
{
	lua_pushfstring(L, which ? "%s '%s'" : "%s", what, which);
	return VAI_EINVAL;
}

/* VAI_OK; or a negative result, and a message on the stack. */
static int check(lua_State *L, const vai_lua_policy *p)
{
	const char *wrong = check_numbers(p);
	if (wrong)
		return refuse(L, wrong, NULL);
	int rc = check_lists(p, &wrong);
	if (rc == VAI_EINVAL)
		return refuse(L, "no such library or function that can be allowed:", wrong);
	if (rc != VAI_OK)
		lua_pushstring(L, "not enough memory");
	return rc;
}

int vai_lua_sandbox(lua_State *L, const vai_lua_policy *policy)
{
	vai_lua_policy p = {0};
	struct wish wish = {0};
	bool late;
	luaL_checkstack(L, 4, NULL);
	if (policy && (policy->size < offsetof(vai_lua_policy, allow) || policy->size > sizeof p))
		return refuse(L, "size: of another vai", NULL);
	if (policy)
		memcpy(&p, policy, policy->size);
	int rc = policy ? check(L, &p) : VAI_OK;
	if (rc != VAI_OK)
		return rc;
	vai__home_gate(true);
	rc = take(policy ? &p : NULL, &late);
	wish = (struct wish){policy ? names : 0, bounds_of(&p)};
	vai__home_gate(false);
	if (late)
		return refuse(L,
			"vai has started: a sandbox comes before luaopen_vai, and those of further states differ from the first in "
			"memory, cpu, goroutines and cpu_in_all only",
			NULL);
	lua_pushcfunction(L, leave_wish);
	lua_pushlightuserdata(L, &wish);
	if (rc == VAI_OK && lua_pcall(L, 1, 0, 0) == LUA_OK)
		return VAI_OK;
	lua_pushstring(L, rc == VAI_ERANGE ? "functions: too many" : "not enough memory");
	return rc == VAI_OK ? VAI_ENOMEM : rc;
}

/* ---- when the runtime starts ---- */

const luaL_Reg *vai__sandbox_policy_functions(const struct vai_vm *vm)
{
	bool all = !vai__sandbox.active || (vm->is_host && vai__sandbox.trusts_main);
	return all ? vai__functions : allowed_functions;
}

static void choose_functions(void)
{
	int n = 0;
	for (const luaL_Reg *r = vai__functions; r->name && n < MOST_FUNCTIONS - 1; r++)
		if (vai__sandbox_allows("vai", r->name + (*r->name == '.')))
			allowed_functions[n++] = *r;
	allowed_functions[n] = (luaL_Reg){NULL, NULL};
}

static void note(lua_State *L, lua_CFunction f, const char *lib, const char *name, bool allowed)
{
	if (f && !vai__sandbox_note(f, lib, name, allowed))
		vai__arg_no_memory(L);
}

/* Notes the C functions of the table on top, vai.NAME. */
static void note_table(lua_State *L, const char *name, bool allowed)
{
	char lib[32] = "vai.";
	strncat(lib, name, sizeof lib - 5);
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
		if (lua_type(L, -2) == LUA_TSTRING)
			note(L, lua_tocfunction(L, -1), lib, lua_tostring(L, -2), allowed);
}

static void note_vai(lua_State *L)
{
	for (const luaL_Reg *r = vai__functions; r->name; r++) {
		const char *name = r->name + (*r->name == '.');
		bool allowed = vai__sandbox_allows("vai", name), table = *r->name == '.' && strcmp(name, "socket") != 0;
		note(L, r->func, "vai", name, allowed);
		if (!table)
			continue;
		lua_pushcfunction(L, r->func);
		lua_call(L, 0, 1);
		if (lua_istable(L, -1))
			note_table(L, name, allowed);
		lua_pop(L, 1);
	}
}

/* Methods do nothing without an object, which is got by what is allowed, or given by somebody. */
static void note_method(void *L, const char *type, const luaL_Reg *r)
{
	note(L, r->func, type, r->name, true);
}

/* What the first of several states does. */
static void begin_names(lua_State *L)
{
	vai__memory_budget_set(vai__sandbox.memory_in_all);
	choose_functions();
	if (!vai__sandbox_note_stock())
		vai__arg_no_memory(L);
	note_vai(L);
	vai__handle_each_method(note_method, L);
	for (int i = 0; i < nof_host; i++)
		note(L, of_host[i].func, "_G", of_host[i].name, true);
	vai__sandbox_noted();
}

/* The bounds that the host wished for this state. NULL: none. False: they went with a sandbox that is gone. */
static bool take_wish(lua_State *L, const struct vai__sandbox_bounds **bounds)
{
	const struct wish *w = lua_rawgetp(L, LUA_REGISTRYINDEX, &wish_key) == LUA_TUSERDATA ? lua_touserdata(L, -1) : NULL;
	*bounds = w && w->names ? &w->bounds : vai__sandbox.active ? &vai__sandbox.bounds : NULL;
	return !w || w->names == (vai__sandbox.active ? names : 0);
}

int vai__sandbox_policy_begin(lua_State *L)
{
	const struct vai__sandbox_bounds *bounds;
	luaL_checkstack(L, 8, NULL);
	bool agrees = take_wish(L, &bounds);
	if (agrees && vai__sandbox.active && atomic_load(&vai__main_count) == 1)
		begin_names(L);
	vai__sandbox_bounds_set(vai__home_self()->bind, bounds);
	lua_pushnil(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &wish_key);
	lua_pushboolean(L, agrees);
	return 1;
}

void vai__sandbox_policy_open(lua_State *L)
{
	if (!vai__sandbox.active)
		return;
	luaL_checkstack(L, 8, NULL);
	vai__home_self()->only_modules = true;
	if (!vai__sandbox.trusts_main)
		vai__sandbox_strip_state(L);
}
