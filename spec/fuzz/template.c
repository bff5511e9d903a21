/* SPDX-License-Identifier: MIT */
/* Fuzz target: a program made from the input runs in a stock state, and is spawned several times as a goroutine would
 * be: its function is encoded and decoded in a fresh state, from the third time on in a copy of a template in which
 * the function is loaded already. All runs do and say the same. A program that assigns a captured local is refused,
 * and no other program is. */
#include <string.h>
#include "base/obj.h"
#include "fuzz.h"
#include "program.h"
#include "transfer/codec.h"
#include "state/states.h"

enum { SPAWNS = 4, OUTPUT = 1 << 16, STEPS = 2000000 };

static struct states world;
static char said[OUTPUT];
static size_t nsaid;
static bool too_long;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	setenv("VAI_WARN", "0", 1);
	const char *kind = getenv("VAI_FUZZ_STATES");
	states_start(&world, kind && strcmp(kind, "built") == 0 ? STATES_BUILT : STATES_CLONED);
	return 0;
}

/* ---- what a program says: addresses all look the same ---- */

static void say(const char *s, size_t len)
{
	for (size_t i = 0; i < len && nsaid < OUTPUT - 1; i++) {
		said[nsaid++] = s[i];
		if (i > 0 && s[i - 1] == '0' && s[i] == 'x')
			while (i + 1 < len && strchr("0123456789abcdef", s[i + 1]) && s[i + 1])
				i++;
	}
}

static void say_values(lua_State *L, int first)
{
	for (int i = first; i <= lua_gettop(L); i++) {
		size_t len;
		const char *s = luaL_tolstring(L, i, &len);
		say(s, len);
		say("\t", 1);
		lua_pop(L, 1);
	}
	say("\n", 1);
}

static int put(lua_State *L)
{
	say_values(L, 1);
	return 0;
}

static void step_limit(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	too_long = true;
	luaL_error(L, "too long");
}

/* The function and its arguments on the stack; the caller frees the result. */
static char *run(lua_State *L, int nargs)
{
	int base = lua_gettop(L) - nargs;
	nsaid = 0;
	lua_sethook(L, step_limit, LUA_MASKCOUNT, STEPS);
	int status = lua_pcall(L, nargs, LUA_MULTRET, 0);
	lua_sethook(L, NULL, 0, 0);
	say(status == LUA_OK ? "ok:\t" : "bad:\t", status == LUA_OK ? 4 : 5);
	say_values(L, base);
	lua_settop(L, base - 1);
	char *result = malloc(nsaid + 1);
	memcpy(result, said, nsaid);
	for (size_t i = 0; i < nsaid; i++)
		result[i] = result[i] ? result[i] : '0';
	result[nsaid] = '\0';
	return result;
}

/* The program's function with its arguments. */
static void push_call(lua_State *L, const struct program *p)
{
	FUZZ_CHECK(luaL_loadbufferx(L, p->text, p->len, "=program", "t") == LUA_OK, "%s\n%s", p->text, lua_tostring(L, -1));
	FUZZ_CHECK(lua_pcall(L, 0, 1, 0) == LUA_OK, "%s", lua_tostring(L, -1));
	lua_pushcfunction(L, put);
	lua_pushinteger(L, 3);
	lua_pushliteral(L, "y");
}

static char *run_plain(const struct program *p)
{
	lua_State *L = states_stock();
	push_call(L, p);
	char *result = run(L, 3);
	lua_close(L);
	return result;
}

/* ---- as a goroutine ---- */

struct call {
	vai_msg msg;
	struct vai_code *code;
};

static int encode(lua_State *L)
{
	struct call *c = lua_touserdata(L, lua_upvalueindex(1));
	vai__encode_call(L, world.vm, 1, 3, &c->msg, &c->code, "argument");
	return 0;
}

/* False: it was refused. */
static bool encode_call(const struct program *p, struct call *c)
{
	lua_State *L = world.L;
	*c = (struct call){{{0}}, NULL};
	lua_pushlightuserdata(L, c);
	lua_pushcclosure(L, encode, 1);
	push_call(L, p);
	bool ok = lua_pcall(L, 4, 0, 0) == LUA_OK;
	if (!ok)
		FUZZ_CHECK(p->loses_writes && strstr(lua_tostring(L, -1), "'a'"), "%s\n%s", p->text, lua_tostring(L, -1));
	lua_settop(L, 0);
	return ok;
}

/* Arguments: the call, and the functions that came with the state. */
static int decode(lua_State *L)
{
	struct call *c = lua_touserdata(L, 1);
	lua_remove(L, 1);
	vai__decode_call(L, vai__state_of(L), &c->msg, c->code, lua_gettop(L));
	return lua_gettop(L);
}

static char *run_spawned(struct call *c)
{
	bool loaded;
	struct vai_vm *vm = vai__vm_new(c->code, &loaded);
	FUZZ_CHECK(vm, "no state");
	lua_State *L = vm->L;
	lua_pushcfunction(L, decode);
	lua_insert(L, 1);
	lua_pushlightuserdata(L, c);
	lua_insert(L, 2);
	FUZZ_CHECK(lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0) == LUA_OK, "%s", lua_tostring(L, -1));
	char *result = run(L, lua_gettop(L) - 1);
	vai__vm_free(vm);
	return result;
}

static void compare(const struct program *p, const char *want)
{
	for (int i = 0; i < SPAWNS; i++) {
		struct call c;
		bool ok = encode_call(p, &c);
		FUZZ_CHECK(ok == !p->loses_writes, "%s\na lost write was not seen", p->text);
		if (!ok)
			return;
		char *have = run_spawned(&c);
		FUZZ_CHECK(too_long || strcmp(want, have) == 0, "%s\n---- plain\n%s\n---- spawned, time %d\n%s", p->text, want,
			i + 1, have);
		free(have);
		vai__msg_drop(&c.msg);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct program p;
	struct fuzz f = {data, data + size};
	program_make(&p, &f);
	if (getenv("VAI_FUZZ_SHOW"))
		puts(p.text);
	too_long = false;
	char *want = run_plain(&p);
	if (!too_long)
		compare(&p, want);
	free(want);
	lua_gc(world.L, LUA_GCCOLLECT);
	vai__code_forget();
	return 0;
}
