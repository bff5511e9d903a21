/* SPDX-License-Identifier: MIT */
/* The sandbox from the host's side: vai_lua_sandbox checks the policy and leaves it in the state (bind/host/wishes.h).
 * The C functions that may cross are noted when the first state with this sandbox opens vai. */
#include "bind/host/sandbox_policy.h"
#include <lualib.h>
#include <string.h>
#include "bind/arg.h"
#include "bind/host/functions.h"
#include "bind/host/host.h"
#include "bind/host/wishes.h"
#include "sched/sched.h"
#include "stdlib/sandbox.h"
#include "transfer/codec.h"
#include "vai_lua.h"

enum { MOST_OF_HOST = 256 };

/* ---- checking ---- */

static bool is_function_of_vai(const char *name)
{
	for (const luaL_Reg *r = vai__functions; r->name; r++)
		if (strcmp(r->name + (*r->name == '.'), name) == 0)
			return true;
	return false;
}

/* Whether the stock state S has that name: a global, a library or a name in a library. */
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
	const char *wrong; /* the first entry that is no name of the stock state's */
};

/* Checks the lists of names. Runs in a stock state; argument: struct check. */
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

/* Checks the lists of names. VAI_OK; VAI_EINVAL and *wrong; VAI_ENOMEM. */
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

/* Checks the numbers of the policy. Returns NULL, or what is wrong with them. */
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

static int count_functions(const luaL_Reg *r)
{
	int n = 0;
	while (r && r[n].name && n < MOST_OF_HOST)
		n++;
	return n;
}

/* Makes the sandbox, with one reference. NULL: out of memory. */
static struct vai__sandbox *make(const vai_lua_policy *p)
{
	struct vai__sandbox *s = vai__sandbox_new(
		p->allow ? p->allow : safe, p->forbid, p->modules, p->functions, count_functions(p->functions));
	if (!s)
		return NULL;
	s->bytecode = p->flags & VAI_LUA_BYTECODE;
	s->c_modules = p->flags & VAI_LUA_C_MODULES;
	s->finalizers = p->flags & VAI_LUA_FINALIZERS;
	s->trusts_main = p->flags & VAI_LUA_TRUST_MAIN;
	return s;
}

static int refuse(lua_State *L, const char *what, const char *which)
{
	lua_pushfstring(L, which ? "%s '%s'" : "%s", what, which);
	return VAI_EINVAL;
}

/* Checks the policy. VAI_OK; or a negative result, with a message on the stack. */
static int check(lua_State *L, const vai_lua_policy *p)
{
	const char *wrong = check_numbers(p);
	if (wrong)
		return refuse(L, wrong, NULL);
	int rc = check_lists(p, &wrong);
	if (rc == VAI_OK && count_functions(p->functions) == MOST_OF_HOST) {
		refuse(L, "functions: too many", NULL);
		return VAI_ERANGE;
	}
	if (rc == VAI_EINVAL)
		return refuse(L, "no such library or function that can be allowed:", wrong);
	if (rc != VAI_OK)
		lua_pushstring(L, "not enough memory");
	return rc;
}

static bool notes_for(struct vai__sandbox *s, void *L);

/* Sets the policy. VAI_OK; or a negative result, with a message on the stack. */
static int take(lua_State *L, const vai_lua_policy *p)
{
	struct vai__sandbox *s = make(p);
	const struct vai__sandbox_bounds bounds = {.memory = p->memory,
		.cpu = p->cpu,
		.goroutines = p->goroutines,
		.cpu_in_all = p->cpu_in_all,
		.memory_in_all = p->memory_in_all};
	if (s && vai__wishes_sandbox(L, s, &bounds, notes_for))
		return VAI_OK;
	lua_pushstring(L, "not enough memory");
	return VAI_ENOMEM;
}

int vai_lua_sandbox(lua_State *L, const vai_lua_policy *policy)
{
	vai_lua_policy p = {0};
	luaL_checkstack(L, 4, NULL);
	if (policy && (policy->size < offsetof(vai_lua_policy, allow) || policy->size > sizeof p))
		return refuse(L, "size: of another vai", NULL);
	if (vai__host_of(L))
		return refuse(L, "vai has started in this state: a sandbox comes before luaopen_vai", NULL);
	if (!policy) {
		vai__wishes_no_sandbox(L);
		return VAI_OK;
	}
	memcpy(&p, policy, policy->size);
	int rc = check(L, &p);
	return rc == VAI_OK ? take(L, &p) : rc;
}

/* ---- when the first state with it opens vai ---- */

const luaL_Reg *vai__sandbox_policy_functions(const struct vai_vm *vm)
{
	const struct vai__sandbox *s = vai__sandbox_of(vm);
	return !s || (vm->is_host && s->trusts_main) ? vai__functions : s->functions;
}

static void choose_functions(struct vai__sandbox *s)
{
	int n = 0;
	for (const luaL_Reg *r = vai__functions; r->name && n < VAI__SANDBOX_FUNCTIONS - 1; r++)
		if (vai__sandbox_allows(s, "vai", r->name + (*r->name == '.')))
			s->functions[n++] = *r;
	s->functions[n] = (luaL_Reg){NULL, NULL};
}

/* What the functions below need to note C functions. */
struct notes {
	lua_State *L;
	struct vai__sandbox *s;
};

static void note(const struct notes *to, lua_CFunction f, const char *lib, const char *name, bool allowed)
{
	if (f && !vai__sandbox_note(to->s, f, lib, name, allowed))
		vai__arg_no_memory(to->L);
}

/* Notes the C functions of the table on top, which is vai.NAME. */
static void note_table(const struct notes *to, const char *name, bool allowed)
{
	lua_State *L = to->L;
	char lib[32] = "vai.";
	strncat(lib, name, sizeof lib - 5);
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
		if (lua_type(L, -2) == LUA_TSTRING)
			note(to, lua_tocfunction(L, -1), lib, lua_tostring(L, -2), allowed);
}

static void note_vai(const struct notes *to)
{
	lua_State *L = to->L;
	for (const luaL_Reg *r = vai__functions; r->name; r++) {
		const char *name = r->name + (*r->name == '.');
		bool allowed = vai__sandbox_allows(to->s, "vai", name), table = *r->name == '.' && strcmp(name, "socket") != 0;
		note(to, r->func, "vai", name, allowed);
		if (!table)
			continue;
		lua_pushcfunction(L, r->func);
		lua_call(L, 0, 1);
		if (lua_istable(L, -1))
			note_table(to, name, allowed);
		lua_pop(L, 1);
	}
}

/* Notes a method as allowed. A method needs an object, and a script gets one only from a function that is allowed, or
 * from the host. */
static void note_method(void *to, const char *type, const luaL_Reg *r)
{
	note(to, r->func, type, r->name, true);
}

/* Notes all functions of vai's. Argument: struct notes. */
static int note_all(lua_State *L)
{
	struct notes *to = lua_touserdata(L, 1);
	luaL_checkstack(L, 8, NULL);
	choose_functions(to->s);
	if (!vai__sandbox_note_stock(to->s))
		vai__arg_no_memory(L);
	note_vai(to);
	vai__handle_each_method(note_method, to);
	for (int i = 0; i < to->s->nof_host; i++)
		note(to, to->s->of_host[i].func, "_G", to->s->of_host[i].name, true);
	vai__sandbox_noted(to->s);
	return 0;
}

static bool notes_for(struct vai__sandbox *s, void *L)
{
	struct notes to = {L, s};
	lua_pushcfunction(L, note_all);
	lua_pushlightuserdata(L, &to);
	bool done = lua_pcall(L, 1, 0, 0) == LUA_OK;
	if (!done)
		lua_pop((lua_State *)L, 1);
	return done;
}

void vai__sandbox_policy_open(lua_State *L)
{
	const struct vai__sandbox *s = vai__sandbox_self();
	if (!s)
		return;
	luaL_checkstack(L, 8, NULL);
	vai__home_self()->only_modules = true;
	if (!s->trusts_main)
		vai__sandbox_strip_state(L);
}
