/* SPDX-License-Identifier: MIT */
/* What must be known of this Lua beyond its API. It is found out by trying, once per process, in a state of its own:
 * where a Lua closure keeps its prototype, how an upvalue tells that its local is gone, where a call says how many
 * results it wants, and whether its opcodes are those of bytewalk.c. If an answer is not clear beyond doubt it is "no":
 * then every function is dumped again each time, or no facts are known of it. */
#include "code/probe_lua.h"
#include <lauxlib.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "code/bytecode.h"
#include "code/dump_function.h"
#ifdef VAI_VALGRIND
#include <valgrind/memcheck.h>
#endif

enum { HEADER = 16, SAMPLES = 12, FUNCTIONS = 4 };

static bool done, out_of_memory;
static size_t proto_offset; /* 0: not found */
static size_t
	upvalue_offset; /* where an upvalue has its value's address; 0: not found. Behind it the closed value lies */
static bool opcodes_known;
static bool gc_tells;    /* in a finalizer lua_gc says that the collector does not run */
static int c_levels;     /* how many C calls inside of one another this Lua allows */
static bool resumes;     /* and it allows as many when the main thread of a state was resumed */
static bool close_fails; /* coroutine.close of a coroutine that has failed returns its error */
/* Where a state keeps the function of its warnings, in words from its main thread on (0: not found), and what stands
 * there while they are on. */
static size_t warn_offset;
static uintptr_t warn_on;
static size_t results_offset; /* where a call's record has the number of results that are wanted; 0: not found */

/* A lua_Alloc whose blocks know their size (block_size). They are filled with junk that is never the same twice, so
 * that words which Lua has not written are not taken for something. */
static void *sized_alloc(void *ud, void *p, size_t osize, size_t nsize)
{
	unsigned *junk = ud;
	char *old = p ? (char *)p - HEADER : NULL, *fresh = NULL;
	if (nsize > 0) {
		fresh = malloc(nsize + HEADER);
		if (!fresh) {
			out_of_memory = true;
			return NULL;
		}
		memcpy(fresh, &nsize, sizeof nsize);
		for (size_t i = 0; i < nsize; i++)
			fresh[HEADER + i] = (char)(*junk = *junk * 1664525u + 1013904223u, *junk >> 24);
		if (old)
			memcpy(fresh + HEADER, p, osize < nsize ? osize : nsize);
	}
	free(old);
	return fresh ? fresh + HEADER : NULL;
}

static size_t block_size(const void *p)
{
	size_t size;
	memcpy(&size, (const char *)p - HEADER, sizeof size);
	return size;
}

/* Twelve closures of four functions with 0, 1, 2 and 2 upvalues, three of each, no upvalue
 * shared; function f's at places f, f + 4, f + 8. */
static const char closures[] = "local list = {}\n"
							   "for i = 1, 3 do\n"
							   "	local a, b, c, d, e = i, i, i, i, i\n"
							   "	list[#list + 1] = function() end\n"
							   "	list[#list + 1] = function() return a end\n"
							   "	list[#list + 1] = function() return b, c end\n"
							   "	list[#list + 1] = function() return d, e end\n"
							   "end\n"
							   "return list\n";

static const void *word_at(const void *object, size_t offset)
{
	const void *word;
	memcpy(&word, (const char *)object + offset, sizeof word);
	return word;
}

static bool tells_functions_apart(const void *const *closure, size_t offset)
{
	for (int i = 0; i < SAMPLES; i++) {
		for (int j = 0; j < i; j++) {
			bool same = word_at(closure[i], offset) == word_at(closure[j], offset);
			if (same != (i % FUNCTIONS == j % FUNCTIONS))
				return false;
		}
	}
	return true;
}

static size_t find_proto(const void *const *closure)
{
	size_t size = SIZE_MAX, found = 0;
	for (int i = 0; i < SAMPLES; i++)
		if (block_size(closure[i]) < size)
			size = block_size(closure[i]);
	for (size_t offset = sizeof(void *); offset + sizeof(void *) <= size; offset += sizeof(void *)) {
		if (!tells_functions_apart(closure, offset))
			continue;
		if (found)
			return 0;
		found = offset;
	}
	return found;
}

static void calibrate_proto(lua_State *L)
{
	const void *closure[SAMPLES];
	for (int i = 0; i < SAMPLES; i++) {
		lua_rawgeti(L, -1, i + 1);
		closure[i] = lua_topointer(L, -1);
		lua_pop(L, 1);
	}
	proto_offset = find_proto(closure);
}

/* Makes three functions whose upvalue is closed and three whose upvalue is open, and calls `probe` with them. */
static const char upvalues[] = "local probe, list = ..., {}\n"
							   "for i = 1, 3 do local a = i; list[i] = function() return a end end\n"
							   "local b, c, d = 1, 2, 3\n"
							   "list[4] = function() return b end\n"
							   "list[5] = function() return c end\n"
							   "list[6] = function() return d end\n"
							   "probe(list[1], list[2], list[3], list[4], list[5], list[6])\n";

/* Whether the upvalue is closed, if it has its value's address at that offset: the value lies right behind that
 * then. */
static bool is_closed(const void *upvalue, size_t offset)
{
	return (uintptr_t)word_at(upvalue, offset) == (uintptr_t)upvalue + offset + sizeof(void *);
}

static int find_upvalue(lua_State *L)
{
	const void *up[6];
	size_t found = 0;
	for (int i = 0; i < 6; i++)
		up[i] = lua_upvalueid(L, i + 1, 1);
	for (size_t offset = sizeof(void *); offset + sizeof(void *) <= block_size(up[0]); offset += sizeof(void *)) {
		int closed = 0, open = 0;
		for (int i = 0; i < 6; i++)
			*(i < 3 ? &closed : &open) += is_closed(up[i], offset);
		if (closed != 3 || open != 0)
			continue;
		upvalue_offset = found ? 0 : offset;
		if (found++)
			return 0;
	}
	return 0;
}

/* Upvalues in this order: n, t, u, _ENV. */
static const char sample[] = "local n, t, u = ...\n"
							 "return function(...)\n"
							 "	n = 1\n"
							 "	t.x = 2.5\n"
							 "	local v, k, w = u, 1 << 8, nil\n"
							 "	v[k] = true\n"
							 "	for i = 1, 3 do local s = ... .. i; if s == 'x' then return end end\n"
							 "	for _, e in ipairs(t) do e:f(-k, not k) end\n"
							 "	local function f() g = print; n = 2 end\n"
							 "	table.insert(u, f); u[1] = { 1, 2, k = 3 }\n"
							 "	return _G.h and f()\n"
							 "end\n";

static bool is_name(const struct vai__bc_name *n, const char *s, bool read, int assigned_line)
{
	return n->len == strlen(s) && memcmp(n->s, s, n->len) == 0 && n->read == read && n->assigned_line == assigned_line;
}

static bool as_expected(const struct vai__bytecode *bc)
{
	static const struct {
		const char *name;
		bool read;
		int line;
	} names[] = {{"x", false, 4}, {"ipairs", true, 0}, {"print", true, 0}, {"g", false, 9}, {"table", true, 0},
		{"_G", true, 0}, {"h", true, 0}};
	const struct vai__bc_upval *u = bc->upvals;
	if (bc->nups != 4 || u[0].assigned_line != 3 || u[1].assigned_line || u[2].assigned_line || u[3].assigned_line)
		return false;
	if (u[0].written_line || u[1].written_line != 4 || u[2].written_line != 6 || u[3].written_line != 9)
		return false;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		bool found = false;
		for (size_t k = 0; k < bc->nnames; k++)
			found = found || is_name(&bc->names[k], names[i].name, names[i].read, names[i].line);
		if (!found)
			return false;
	}
	return true;
}

static void calibrate_opcodes(lua_State *L)
{
	struct vai__buffer b = {0};
	struct vai__bytecode bc;
	int result = vai__dump_function(L, &b) ? vai__bytecode_read(b.p, b.n, &bc) : VAI_ENOMEM;
	if (result == VAI_OK) {
		opcodes_known = as_expected(&bc);
		vai__bytecode_free(&bc);
	}
	out_of_memory |= result == VAI_ENOMEM;
	vai__buffer_free(&b);
}

static bool run_chunk(lua_State *L, const char *chunk)
{
	return luaL_loadbufferx(L, chunk, strlen(chunk), "=calibrate", "t") == LUA_OK && lua_pcall(L, 0, 1, 0) == LUA_OK;
}

static void calibrate_upvalues(lua_State *L)
{
	if (luaL_loadbufferx(L, upvalues, strlen(upvalues), "=calibrate", "t") != LUA_OK)
		return;
	lua_pushcfunction(L, find_upvalue);
	if (lua_pcall(L, 1, 0, 0) != LUA_OK)
		upvalue_offset = 0;
}

/* ---- what releases of 5.4 differ in ---- */

static int note_running(lua_State *L)
{
	(void)L;
	gc_tells = lua_gc(L, LUA_GCISRUNNING) < 0;
	return 0;
}

/* Leaves something with a finalizer, and collects it. */
static int probe_finalizer(lua_State *L)
{
	lua_newuserdatauv(L, 1, 0);
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, note_running);
	lua_setfield(L, -2, "__gc");
	lua_setmetatable(L, -2);
	lua_settop(L, 0);
	lua_gc(L, LUA_GCCOLLECT);
	return 0;
}

static int nest(lua_State *L)
{
	(*(int *)lua_touserdata(L, 1))++;
	lua_settop(L, 1);
	lua_pushcfunction(L, nest);
	lua_insert(L, 1);
	lua_call(L, 1, 0);
	return 0;
}

static void probe_release(lua_State *L)
{
	int levels = 0;
	lua_pushcfunction(L, probe_finalizer);
	out_of_memory |= lua_pcall(L, 0, 0, 0) != LUA_OK;
	lua_pushcfunction(L, nest);
	lua_pushlightuserdata(L, &levels);
	out_of_memory |= lua_pcall(L, 1, 0, 0) == LUA_ERRMEM;
	c_levels = levels;
	lua_settop(L, 0);
}

/* L cannot be used afterwards. */
static void probe_resume(lua_State *L)
{
	enum { FEW = 8 };
	int levels = 0, results;
	lua_pushcfunction(L, nest);
	lua_pushlightuserdata(L, &levels);
	out_of_memory |= lua_resume(L, NULL, 1, &results) == LUA_ERRMEM;
	resumes = levels + FEW >= c_levels;
	close_fails = lua_resetthread(L) != LUA_OK;
}

/* ---- how many results a call is to have ---- */

enum { CALLS = 6, LARGEST = 41 };
static const short wanted[CALLS] = {0, 3, LUA_MULTRET, LARGEST, 1, 0};

/* Whether a call's record is what lua_getstack says, and tells at these places how many results are wanted. */
struct results {
	int call;
	size_t size;
	bool told[512];
};

static int look_at_call(lua_State *L)
{
	struct results *r = lua_touserdata(L, 1);
	lua_Debug ar;
	if (!lua_getstack(L, 0, &ar) || !ar.i_ci)
		return 0;
	if (r->call == 0) {
		r->size = block_size(ar.i_ci);
		memset(r->told, true, sizeof r->told);
	}
	if (r->size > sizeof r->told || block_size(ar.i_ci) != r->size)
		r->size = 0;
	for (size_t i = 0; i + sizeof(short) <= r->size; i += sizeof(short)) {
		short n;
		memcpy(&n, (const char *)(const void *)ar.i_ci + i, sizeof n);
		r->told[i] = r->told[i] && n == wanted[r->call];
	}
	return 0;
}

/* Calls look_at_call with several numbers of wanted results. Argument: struct results. */
static int make_calls(lua_State *L)
{
	struct results *r = lua_touserdata(L, 1);
	luaL_checkstack(L, LARGEST + 2, NULL);
	for (r->call = 0; r->call < CALLS; r->call++) {
		lua_pushcfunction(L, look_at_call);
		lua_pushlightuserdata(L, r);
		lua_call(L, 1, wanted[r->call]);
		lua_settop(L, 1);
	}
	return 0;
}

static void probe_results(lua_State *L)
{
	struct results r = {.size = 0};
	size_t found = 0;
	lua_pushcfunction(L, make_calls);
	lua_pushlightuserdata(L, &r);
	out_of_memory |= lua_pcall(L, 1, 0, 0) == LUA_ERRMEM;
	for (size_t i = sizeof(short); i + sizeof(short) <= r.size; i += sizeof(short)) {
		if (!r.told[i])
			continue;
		results_offset = found++ ? 0 : i;
	}
	lua_settop(L, 0);
}

bool vai__probe_discards(lua_State *L)
{
	lua_Debug ar;
	short n;
	if (VAI_UNLIKELY(!results_offset) || !lua_getstack(L, 0, &ar))
		return false;
	memcpy(&n, (const char *)(const void *)ar.i_ci + results_offset, sizeof n);
	return n == 0;
}

/* ---- warnings ---- */

/* A state is one block, which begins with its main thread: the word that "@on" changes tells. */
static void probe_warnings(void)
{
	lua_State *L = luaL_newstate();
	out_of_memory |= !L;
	if (!L)
		return;
	const size_t n = (malloc_usable_size((char *)L - LUA_EXTRASPACE) - LUA_EXTRASPACE) / sizeof(uintptr_t);
	uintptr_t *before = malloc(n * sizeof *before), *now = (uintptr_t *)(void *)L;
	size_t changed = 0;
	out_of_memory |= !before;
#ifdef VAI_VALGRIND
	VALGRIND_MAKE_MEM_DEFINED(now, n * sizeof *now); /* the block has gaps that nothing writes */
#endif
	if (before) {
		memcpy(before, now, n * sizeof *before);
		lua_warning(L, "@on", 0);
		for (size_t i = 1; i < n; i++) {
			if (now[i] == before[i])
				continue;
			changed++;
			warn_offset = i;
			warn_on = now[i];
		}
	}
	if (changed != 1)
		warn_offset = 0;
	free(before);
	lua_close(L);
}

bool vai__probe_warns(lua_State *L)
{
	return warn_offset && ((const uintptr_t *)(const void *)L)[warn_offset] == warn_on;
}

int vai__probe_lua(void)
{
	unsigned junk = 1;
	if (done)
		return VAI_OK;
	out_of_memory = false;
	lua_State *L = lua_newstate(sized_alloc, &junk);
	if (!L)
		return VAI_ENOMEM;
	if (run_chunk(L, closures))
		calibrate_proto(L);
	lua_settop(L, 0);
	calibrate_upvalues(L);
	lua_settop(L, 0);
	probe_release(L);
	probe_results(L);
	if (run_chunk(L, sample))
		calibrate_opcodes(L);
	probe_resume(L);
	lua_close(L);
	probe_warnings();
	done = !out_of_memory;
	return done ? VAI_OK : VAI_ENOMEM;
}

/* Asserts that the probing is done: every start of the runtime sees to that. */
static inline void be_done(void)
{
	if (VAI_UNLIKELY(!done))
		vai__probe_lua();
}

const void *vai__probe_proto_of(const void *closure)
{
	be_done();
	return proto_offset ? word_at(closure, proto_offset) : NULL;
}

bool vai__probe_is_open(const void *upvalue)
{
	be_done();
	return upvalue_offset && !is_closed(upvalue, upvalue_offset);
}

bool vai__probe_opcodes_known(void)
{
	be_done();
	return opcodes_known;
}

bool vai__probe_gc_tells(void)
{
	be_done();
	return gc_tells;
}

bool vai__probe_resumes(void)
{
	be_done();
	return resumes;
}

bool vai__probe_close_fails(void)
{
	be_done();
	return close_fails;
}

int vai__probe_c_levels(void)
{
	be_done();
	return c_levels;
}
