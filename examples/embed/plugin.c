/* Plugins that nobody vouches for, each in a goroutine of a sandbox: one works, the others are ended at their bounds or
 * find nothing to do harm with, and the host goes on. doc/EMBEDDING.md */
#include <stdio.h>
#include <vai_lua.h>

static const char *const plugins[][2] = {
	{"words", "local n = 0 for w in ('the quick brown fox'):gmatch('%a+') do n = n + 1 log('saw ' .. w) end return n"},
	{"runaway", "while true do end"},
	{"hoarder", "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end"},
	{"crowd", "local vai = require 'vai' while true do vai.go(function() vai.sleep(60) end) end"},
	{"thief", "return io.open('/etc/passwd'):read('a')"},
	{"smuggler", "return assert(load(string.dump(function() end)))()"},
};

/* Runs on the host's thread, in its state. What plugins return are values: code cannot leave the sandbox. */
static const char host[] = "local vai, plugins = require 'vai', ...\n"
						   "local function run(name, source)\n"
						   "  local env = setmetatable({log = log}, {__index = _G})\n"
						   "  return assert(load(source, '=' .. name, 't', env))()\n"
						   "end\n"
						   "for _, p in ipairs(plugins) do\n"
						   "  local ok, result = vai.async(run, p.name, p.source):join()\n"
						   "  print(p.name .. (ok and ' gave ' or ' failed: ') .. tostring(result))\n"
						   "end\n";

/* What the host offers. It is called on any thread, so it touches nothing that is not safe there. */
static int host_log(lua_State *L)
{
	printf("log: %s\n", luaL_checkstring(L, 1));
	return 0;
}

static void push_plugins(lua_State *L)
{
	lua_newtable(L);
	for (size_t i = 0; i < sizeof plugins / sizeof *plugins; i++) {
		lua_newtable(L);
		lua_pushstring(L, plugins[i][0]);
		lua_setfield(L, -2, "name");
		lua_pushstring(L, plugins[i][1]);
		lua_setfield(L, -2, "source");
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

int main(void)
{
	static const char *const allow[] = {"safe", NULL}, *const forbid[] = {"print", NULL};
	static const luaL_Reg functions[] = {{"log", host_log}, {NULL, NULL}};
	vai_lua_policy policy = {0};
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	lua_register(L, "log", host_log);
	setvbuf(stdout, NULL, _IOLBF, 0);
	policy.size = sizeof policy;
	policy.flags = VAI_LUA_TRUST_MAIN;
	policy.allow = allow;
	policy.forbid = forbid;
	policy.functions = functions;
	policy.memory = 2 << 20;
	policy.memory_in_all = 64 << 20;
	policy.cpu = VAI_MS(100);
	policy.goroutines = 20;
	if (vai_lua_sandbox(L, &policy) != VAI_OK) {
		fprintf(stderr, "%s\n", lua_tostring(L, -1));
		return 1;
	}
	luaL_requiref(L, "vai", luaopen_vai, 1);
	int failed = luaL_loadstring(L, host);
	push_plugins(L);
	failed = failed || lua_pcall(L, 1, 0, 0);
	if (failed)
		fprintf(stderr, "%s\n", lua_tostring(L, -1));
	vai_stop();
	lua_close(L);
	return failed;
}
