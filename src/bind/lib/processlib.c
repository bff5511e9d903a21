/* SPDX-License-Identifier: MIT */
/* vai.process: child processes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fork.h"
#include "bind/lib/fslib.h"
#include "bind/lib/lib.h"
#include "bind/lib/lua_source.h"
#include "bind/lib/processlib.h"
#include "proc/process.h"
#include "proc/signal.h"

extern char **environ;

static inline vai_process *self_process(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__process_class, fname);
}

/* ---- options: the table at index 1, which stays there ---- */

_Noreturn static void bad_option(lua_State *L, const char *name, const char *expected)
{
	vai__arg_error(L, 1, "spawn", "option '%s': %s expected, got %s", name, expected, vai__arg_typename(L, -1));
}

static bool is_option(const char *name)
{
	static const char *const names[] = {"stdin", "stdout", "stderr", "cwd", "env", "clear_env", "group"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static void check_names(lua_State *L)
{
	lua_pushnil(L);
	while (lua_next(L, 1)) {
		bool named = lua_type(L, -2) == LUA_TSTRING;
		if (!(named ? is_option(lua_tostring(L, -2)) : lua_isinteger(L, -2)))
			vai__arg_error(L, 1, "spawn", "unknown option '%.40s'", luaL_tolstring(L, -2, NULL));
		if (!named && (lua_Unsigned)lua_tointeger(L, -2) - 1 >= lua_rawlen(L, 1) && lua_rawlen(L, 1) > 0)
			vai__arg_error(L, 1, "spawn", "a nil before argument %lld", (long long)lua_tointeger(L, -2) - 1);
		lua_pop(L, 1);
	}
}

/* The string on top, in which a zero is refused. Numbers become strings. */
static const char *plain_string(lua_State *L, const char *option)
{
	size_t len;
	const char *s = lua_tolstring(L, -1, &len);
	if (!s)
		bad_option(L, option, "string");
	if (strlen(s) != len)
		vai__arg_error(L, 1, "spawn", "option '%s': a NUL in it", option);
	return s;
}

/* Pushes an array with room for n strings and a NULL, in Lua's memory; the strings have to stay on the stack or in a
 * table. */
static char **new_vector(lua_State *L, size_t n)
{
	char **v = lua_newuserdatauv(L, (n + 1) * sizeof *v, 0);
	memset(v, 0, (n + 1) * sizeof *v);
	return v;
}

static char **arguments(lua_State *L)
{
	size_t n = lua_rawlen(L, 1);
	if (n == 0)
		vai__arg_error(L, 1, "spawn", "no command");
	char **argv = new_vector(L, n);
	lua_createtable(L, (int)n, 0); /* keeps the strings that numbers became */
	for (size_t i = 0; i < n; i++) {
		char name[32] = "command";
		if (i > 0)
			snprintf(name, sizeof name, "argument %zu", i);
		lua_rawgeti(L, 1, (lua_Integer)i + 1);
		argv[i] = (char *)(uintptr_t)plain_string(L, name);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return argv;
}

/* Whether the environment table at idx sets or removes the variable of "NAME=...". */
static bool overrides(lua_State *L, int idx, const char *variable)
{
	const char *end = strchr(variable, '=');
	lua_pushlstring(L, variable, end ? (size_t)(end - variable) : strlen(variable));
	bool found = lua_rawget(L, idx) != LUA_TNIL;
	lua_pop(L, 1);
	return found;
}

static void check_variable(lua_State *L)
{
	if (lua_type(L, -2) != LUA_TSTRING || *lua_tostring(L, -2) == 0 || strchr(lua_tostring(L, -2), '='))
		vai__arg_error(L, 1, "spawn", "option 'env': bad name '%.40s'", luaL_tolstring(L, -2, NULL));
	if (lua_type(L, -1) == LUA_TBOOLEAN && !lua_toboolean(L, -1))
		return;
	if (lua_type(L, -1) == LUA_TBOOLEAN || !lua_isstring(L, -1))
		bad_option(L, "env", "string or false");
	plain_string(L, "env");
}

/* The number of variables that the table on top sets. */
static size_t count_variables(lua_State *L)
{
	size_t n = 0;
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		check_variable(L);
		lua_pop(L, 1);
		n++;
	}
	return n;
}

static size_t count_environ(void)
{
	size_t n = 0;
	while (environ && environ[n])
		n++;
	return n;
}

static char **environment(lua_State *L, bool clear)
{
	int type = lua_getfield(L, 1, "env"), idx = lua_gettop(L);
	if (type != LUA_TNIL && type != LUA_TTABLE)
		bad_option(L, "env", "table");
	vai__lib_thaw_at(L, idx);
	size_t old = clear ? 0 : count_environ(), k = 0;
	char **envp = new_vector(L, old + (type == LUA_TTABLE ? (lua_pushvalue(L, idx), count_variables(L)) : 0));
	for (size_t i = 0; i < old; i++)
		if (type == LUA_TNIL || !overrides(L, idx, environ[i]))
			envp[k++] = environ[i];
	if (type == LUA_TNIL)
		return envp;
	lua_createtable(L, 0, 0); /* keeps the strings alive */
	int keep = lua_gettop(L), n = 0;
	lua_pushnil(L);
	while (lua_next(L, idx)) {
		if (lua_isstring(L, -1)) {
			envp[k++] = (char *)(uintptr_t)lua_pushfstring(L, "%s=%s", lua_tostring(L, -2), lua_tostring(L, -1));
			lua_rawseti(L, keep, ++n);
		}
		lua_pop(L, 1);
	}
	return envp;
}

/* ---- streams ---- */

static const char *const stream_names[VAI__STREAMS] = {"stdin", "stdout", "stderr"};

/* The descriptors of a spawn until the process has started. */
struct streams {
	int fds[VAI__STREAMS];
	bool close[VAI__STREAMS];             /* which of the descriptors are to be closed here */
	struct vai__desc *held[VAI__STREAMS]; /* of connections and files that are lent to the process */
	vai_conn *ours[VAI__STREAMS];
};

static void let_go(struct streams *s, bool failed)
{
	for (int i = 0; i < VAI__STREAMS; i++) {
		if (s->close[i])
			close(s->fds[i]);
		if (s->held[i])
			vai__desc_unhold(s->held[i]);
		if (failed && s->ours[i])
			vai__obj_unref((struct vai_obj *)s->ours[i]);
	}
}

/* Lends an open connection to the process, which expects a descriptor that blocks, so it is made blocking. Goroutines
 * can still use a socket, as each of their calls says that it must not wait; a pipe they can no longer read. */
static int lend(struct streams *s, int i, vai_conn *c)
{
	struct vai__desc *d = vai__conn_desc(c);
	if (!vai__desc_hold(d))
		return VAI_ECLOSED;
	s->held[i] = d;
	s->fds[i] = vai__desc_fd(d);
	int flags = fcntl(s->fds[i], F_GETFL);
	if (flags >= 0 && flags & O_NONBLOCK)
		fcntl(s->fds[i], F_SETFL, flags & ~O_NONBLOCK);
	return VAI_OK;
}

static vai_conn *conn_at(lua_State *L, int idx)
{
	vai_conn *c = (vai_conn *)vai__handle_test(L, idx, &vai__conn_class);
	vai_file *f = c ? NULL : (vai_file *)vai__handle_test(L, idx, &vai__file_class);
	return f ? vai__file_conn(f) : c;
}

enum { INHERIT, PIPE, NULL_DEVICE, SAME, LENT };

/* The kind of stream i, from the option's value on top. */
static int stream_kind(lua_State *L, int i)
{
	const char *word = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
	if (lua_isnil(L, -1) || strcmp(word, "inherit") == 0)
		return INHERIT;
	if (strcmp(word, "pipe") == 0)
		return PIPE;
	if (strcmp(word, "null") == 0)
		return NULL_DEVICE;
	if (i == 2 && strcmp(word, "stdout") == 0)
		return SAME;
	if (!conn_at(L, -1))
		vai__arg_error(L, 1, "spawn",
			"option '%s': \"pipe\", \"null\", \"inherit\", a file or a connection expected, got %s", stream_names[i],
			*word ? word : vai__arg_typename(L, -1));
	return LENT;
}

/* Opens /dev/null. Returns the descriptor, or an error, which is not ignored: otherwise the process would inherit the
 * stream of this process. */
static VAI_NOINLINE int open_null(int i)
{
	int fd = open("/dev/null", (i == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
	return fd < 0 ? VAI__ERRNO(errno) : fd;
}

/* Opens stream i. c: the connection that is lent to the process, or NULL. */
static int open_stream(struct streams *s, int i, int kind, vai_conn *c)
{
	int rc = VAI_OK;
	switch (kind) {
	case PIPE: rc = vai__process_pipe(i == 0, &s->ours[i], &s->fds[i]); break;
	case NULL_DEVICE: rc = s->fds[i] = open_null(i); break;
	case SAME: s->fds[i] = s->fds[1] >= 0 ? s->fds[1] : 1; break;
	case LENT: rc = lend(s, i, c); break;
	default: break;
	}
	s->close[i] = rc >= 0 && (kind == PIPE || kind == NULL_DEVICE);
	return rc < 0 ? rc : VAI_OK;
}

/* Opens all streams. Raises nothing, as kinds and connections have been checked. */
static int open_streams(struct streams *s, const int kinds[VAI__STREAMS], vai_conn *const conns[VAI__STREAMS])
{
	for (int i = 0; i < VAI__STREAMS; i++) {
		int rc = open_stream(s, i, kinds[i], conns[i]);
		if (rc != VAI_OK) {
			let_go(s, true);
			return rc;
		}
	}
	return VAI_OK;
}

static int spawn_with(
	struct vai__spawn *s, const int kinds[VAI__STREAMS], vai_conn *const conns[VAI__STREAMS], vai_process **out)
{
	struct streams st = {.fds = {-1, -1, -1}};
	int rc = open_streams(&st, kinds, conns);
	if (rc != VAI_OK)
		return rc;
	memcpy(s->fds, st.fds, sizeof st.fds);
	rc = vai__process_spawn(s, st.ours, out);
	let_go(&st, false);
	return rc;
}

static bool flag(lua_State *L, const char *name)
{
	lua_getfield(L, 1, name);
	bool on = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return on;
}

/* The name for the error if the process could not be started: that of the directory or of the command. */
static const char *blamed(const struct vai__spawn *s, int rc)
{
	struct stat st;
	if (!s->cwd)
		return s->argv[0];
	int err = stat(s->cwd, &st) < 0 ? errno : !S_ISDIR(st.st_mode) ? ENOTDIR : access(s->cwd, X_OK) < 0 ? errno : 0;
	return err && rc == VAI__ERRNO(err) ? s->cwd : s->argv[0];
}

static int process_spawn(lua_State *L)
{
	struct vai__spawn s = {0};
	int kinds[VAI__STREAMS];
	vai_conn *conns[VAI__STREAMS];
	vai_process *p;
	if (!lua_istable(L, 1))
		vai__arg_type_error(L, 1, 1, "spawn", "table");
	lua_settop(L, 1);
	luaL_checkstack(L, 30, NULL);
	vai__lib_thaw_at(L, 1);
	check_names(L);
	s.argv = arguments(L);
	s.envp = environment(L, flag(L, "clear_env"));
	s.group = flag(L, "group");
	if (lua_getfield(L, 1, "cwd") != LUA_TNIL)
		s.cwd = plain_string(L, "cwd");
	for (int i = 0; i < VAI__STREAMS; i++) { /* handles stay on the stack */
		lua_getfield(L, 1, stream_names[i]);
		kinds[i] = stream_kind(L, i);
		conns[i] = conn_at(L, -1);
	}
	vai_g *g = vai__fs_self(L);
	int rc = spawn_with(&s, kinds, conns, &p);
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, blamed(&s, rc));
	vai__io_push(L, g, (struct vai_obj *)p);
	return 1;
}

/* ---- processes ---- */

static int lost(lua_State *L, vai_process *p)
{
	lua_pushnil(L);
	lua_pushfstring(L, "process %d: its exit status is gone: somebody else has waited for it, or SIGCHLD is ignored",
		vai__process_pid(p));
	lua_pushliteral(L, "ECHILD");
	return 3;
}

int vai__lib_push_exit(lua_State *L, vai_g *g, vai_process *p, int rc, const struct vai__exit *end)
{
	if (rc == VAI__ERRNO(ECHILD))
		return lost(L, p);
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, NULL);
	if (!end->signaled) {
		lua_pushinteger(L, end->n);
		return 1;
	}
	lua_pushnil(L);
	lua_pushliteral(L, "signal");
	lua_pushstring(L, vai__signal_name(end->n));
	return 3;
}

static int process_wait(lua_State *L)
{
	struct vai__exit end;
	vai_process *p = self_process(L, "wait");
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = vai__arg_limit(L, 2, 1, "wait");
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__process_wait(g, p, limit.deadline, &end));
	return vai__lib_push_exit(L, g, p, rc, &end);
}

static int signal_at(lua_State *L, int idx)
{
	if (lua_isnoneornil(L, idx))
		return SIGTERM;
	if (lua_type(L, idx) == LUA_TNUMBER) {
		int64_t n = vai__arg_integer(L, idx, idx - 1, "kill");
		if (n < 0 || n > 64)
			vai__arg_error(L, idx - 1, "kill", "signal %lld", (long long)n);
		return (int)n;
	}
	const char *name = vai__io_string(L, idx, idx - 1, "kill", NULL);
	int n = vai__signal_number(name);
	if (n == 0)
		vai__arg_error(L, idx - 1, "kill", "unknown signal '%.40s'", name);
	return n;
}

static int process_kill(lua_State *L)
{
	vai_process *p = self_process(L, "kill");
	int sig = signal_at(L, 2);
	vai_g *g = vai__bind_self(L);
	int rc = vai__process_kill(p, sig);
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, NULL);
	lua_pushboolean(L, 1);
	return 1;
}

static int process_pid(lua_State *L)
{
	lua_pushinteger(L, vai__process_pid(self_process(L, "pid")));
	return 1;
}

static void close_streams(vai_process *p)
{
	for (int i = 0; i < VAI__STREAMS; i++)
		if (vai__process_stream(p, i))
			vai__conn_close(vai__process_stream(p, i));
}

/* Ends the process for a block: kills it if it still runs, and waits for its end, even if the goroutine is to end. */
static int process_close(lua_State *L)
{
	struct vai__exit end;
	vai_process *p = self_process(L, "close");
	vai_g *g = vai__g_self();
	if (vai__forked)
		vai__arg_no_goroutine(L);
	vai__process_kill(p, SIGKILL);
	close_streams(p);
	if (g && g->vm) {
		int held = vai__g_hold_end(g);
		vai__note_stack(g, L);
		vai__process_wait(g, p, VAI_FOREVER, &end);
		vai__g_restore_end(g, held);
	}
	return 0;
}

static int process_tostring(lua_State *L)
{
	vai_process *p = self_process(L, "tostring");
	lua_pushfstring(L, "process: %d%s", vai__process_pid(p), vai__process_is_over(p) ? " (ended)" : "");
	return 1;
}

static const luaL_Reg methods[] = {
	{"wait", process_wait},
	{"kill", process_kill},
	{"pid", process_pid},
	{"close", process_close},
	{NULL, NULL},
};

static int process_index(lua_State *L)
{
	vai_process *p = self_process(L, "index");
	const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
	for (int i = 0; i < VAI__STREAMS; i++) {
		vai_conn *c = strcmp(name, stream_names[i]) == 0 ? vai__process_stream(p, i) : NULL;
		if (!c)
			continue;
		vai_g *g = vai__bind_self(L);
		vai__obj_ref((struct vai_obj *)c);
		vai__handle_push(L, vai__bind_vm(g), (struct vai_obj *)c, false);
		return 1;
	}
	for (const luaL_Reg *r = methods; r->name; r++)
		if (strcmp(name, r->name) == 0) {
			lua_pushcfunction(L, r->func);
			return 1;
		}
	return 0;
}

const struct vai__handle_type vai__lib_process_type = {&vai__process_class, "vai.process", .methods = methods,
	.meta = VAI__METHODS({"__index", process_index}, {"__close", process_close}, {"__tostring", process_tostring})};

/* ---- run ---- */

VAI_LUA_SOURCE(vai__process_source, "src/bind/lib/process.lua");
static const char run_key;

static int process_run(lua_State *L)
{
	vai__bind_self(L);
	lua_settop(L, 1);
	vai__lib_push_source(L, &run_key, vai__process_source, vai__process_source_end, "=vai.process", NULL);
	lua_insert(L, 1);
	lua_call(L, 1, LUA_MULTRET);
	return lua_gettop(L);
}

static const luaL_Reg functions[] = {
	{"spawn", process_spawn},
	{"run", process_run},
	{NULL, NULL},
};

int vai__lib_process(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
