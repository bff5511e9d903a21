/* SPDX-License-Identifier: MIT */
/* Fuzz target: values made from the input cross from one state to another and back. What
 * arrives is described in Lua and compared; encoding twice gives the same bytes; with a
 * failing allocation anywhere there is an error, nothing is lost and nothing left over. */
#include <string.h>
#include "fuzz.h"
#include "memory.h"
#include "values.h"
#include "transfer/charge.h"
#include "transfer/message.h"
#include "transfer/known_funcs.h"
#include "state/handle.h"
#include "transfer/pair.h"

static long base_blocks;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	setenv("VAI_WARN", "0", 1);
	pair_register();
	pair_fails = memory_fails;
	pair_open();
	values_open(A);
	base_blocks = memory_blocks;
	return 0;
}

/* ---- one step, protected; upvalue 1: the message ---- */

static int encode(lua_State *L)
{
	vai_msg *msg = lua_touserdata(L, lua_upvalueindex(1));
	vai__encode_values(L, L == B ? &vb : &va, 1, lua_gettop(L), msg, "value");
	return 0;
}

static int take(lua_State *L)
{
	vai_msg *msg = lua_touserdata(L, lua_upvalueindex(1));
	return vai__decode_take(L, L == B ? &vb : &va, msg);
}

/* With memory for `enough` allocations; 0: for all. *ran_out: for one too few. */
static int call(lua_State *L, int nargs, int nresults, long enough, bool *ran_out)
{
	memory_countdown = enough;
	int status = lua_pcall(L, nargs, nresults, 0);
	*ran_out = memory_countdown == 1;
	memory_countdown = 0;
	return status;
}

/* All values on the stack; they stay there. */
static int encode_all(lua_State *L, vai_msg *msg, long enough, bool *ran_out)
{
	int n = lua_gettop(L);
	*msg = (vai_msg){{0}};
	lua_pushlightuserdata(L, msg);
	lua_pushcclosure(L, encode, 1);
	for (int i = 1; i <= n; i++)
		lua_pushvalue(L, i);
	return call(L, n, 0, enough, ran_out);
}

/* Instead of what is on the stack. */
static int take_all(lua_State *L, vai_msg *msg, long enough, bool *ran_out)
{
	lua_settop(L, 0);
	lua_pushlightuserdata(L, msg);
	lua_pushcclosure(L, take, 1);
	return call(L, 0, LUA_MULTRET, enough, ran_out);
}

/* ---- what must hold ---- */

static bool same_bytes(const vai_msg *a, const vai_msg *b)
{
	size_t n, m;
	const char *s = vai__msg_string_of(a, &n), *t = vai__msg_string_of(b, &m);
	if (s && t)
		return n == m && memcmp(s, t, n) == 0;
	if (vai__msg_tag(a) != M_BLOCK || vai__msg_tag(b) != M_BLOCK)
		return memcmp(a, b, sizeof *a) == 0;
	const struct vai__block *x = vai__msg_block(a), *y = vai__msg_block(b);
	return x->len == y->len && x->nslots == y->nslots && memcmp(x->data, y->data, x->len) == 0;
}

/* With all the memory that there is. */
static void must_encode(lua_State *L, vai_msg *msg)
{
	bool ran_out;
	FUZZ_CHECK(encode_all(L, msg, 0, &ran_out) == LUA_OK, "%s", lua_tostring(L, -1));
}

static void must_take(lua_State *L, vai_msg *msg)
{
	bool ran_out;
	FUZZ_CHECK(take_all(L, msg, 0, &ran_out) == LUA_OK, "%s", lua_tostring(L, -1));
	FUZZ_CHECK(msg->w[0] == 0 && msg->w[1] == 0, "the message is still there");
}

/* A's values, there and back. A class that comes home is the original, and so is what its methods have captured, of
 * which the values beside it are copies: what was one table is two then. So values with classes are compared in B
 * only. */
static void round_trip(vai_msg *msg)
{
	vai_msg again, third;
	int n = lua_gettop(A);
	/* The first message may have told of classes, which later ones refer to. */
	must_encode(A, &again);
	must_encode(A, &third);
	FUZZ_CHECK(same_bytes(&again, &third), "encoding again gives different bytes");
	vai__msg_drop(&again);
	vai__msg_drop(&third);
	char *want = pair_describe(A, n);
	for (int i = 0; i < 2; i++) {
		lua_State *to = i == 0 ? B : A;
		must_take(to, msg);
		FUZZ_CHECK(lua_gettop(to) == n, "%d values became %d", n, lua_gettop(to));
		if (i == 0)
			must_encode(B, msg);
		char *have = pair_describe(to, n);
		bool same = strcmp(want, have) == 0 || (to == A && strstr(want, "meta "));
		FUZZ_CHECK(same, "sent\n%s\nreceived by %c\n%s", want, to == B ? 'B' : 'A', have);
		free(have);
	}
	free(want);
}

/* The error on the stack has one of the reasons that there are. */
static void check_error(lua_State *L, bool plain, bool ran_out)
{
	const char *why = lua_tostring(L, -1);
	bool refused = why && strstr(why, "cannot be sent");
	bool memory = why && strstr(why, "not enough memory");
	FUZZ_CHECK((refused && !plain) || (memory && ran_out), "%s", why ? why : "an error that is no string");
}

/* Those that handles were in stay with a state that lives. */
static void release_places(struct vai_vm *vm)
{
	vai__handles_release(vm);
	vm->free_ref = 0;
}

/* Nothing is left when the states have let go of everything. */
static void clean(void)
{
	lua_settop(A, 0);
	lua_settop(B, 0);
	vai__codec_release(&va);
	vai__codec_release(&vb);
	vai__charge_close(&va);
	vai__charge_close(&vb);
	vai__known_funcs_free(va.funcs);
	vai__known_funcs_free(vb.funcs);
	va.funcs = vb.funcs = NULL;
	pair_run(B, "glob, helper, limit = nil, nil, nil");
	pair_collect(B);
	pair_collect(A);
	vai__code_forget();
	FUZZ_CHECK(things == 0, "%d objects are left", things);
	release_places(&va);
	release_places(&vb);
	FUZZ_CHECK(memory_blocks == base_blocks, "%ld blocks are left", memory_blocks - base_blocks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = {data, data + size};
	unsigned first = fuzz_byte(&f);
	long enough = first < 128 ? 0 : (long)first - 127;
	bool plain, ran_out;
	vai_msg msg;
	luaL_checkstack(A, 100, NULL);
	values_make(A, &f, &plain);
	if (encode_all(A, &msg, enough & ~1, &ran_out) != LUA_OK) {
		check_error(A, plain, ran_out);
	} else if (enough) {
		if (take_all(B, &msg, enough, &ran_out) != LUA_OK)
			check_error(B, true, ran_out);
	} else if (plain) {
		round_trip(&msg);
	} else {
		must_take(B, &msg);
	}
	vai__msg_drop(&msg);
	clean();
	return 0;
}
