/* SPDX-License-Identifier: MIT */
/* vai.fs: files and folders by their names. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "bind/lib/fslib.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bind/lib/lib.h"
#include "fs/watch.h"
#include "transfer/codec.h"

/* ---- what all share ---- */

vai_g *vai__fs_self(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	vai__note_stack(g, L);
	vai__g_leave_main(g);
	return g;
}

int vai__fs_done(lua_State *L, vai_g *g, int rc, const char *what)
{
	if (rc < 0)
		return vai__io_failed(L, g, rc, what);
	lua_pushboolean(L, 1);
	return 1;
}

static const char *const facts[] = {
	"type", "size", "mode", "uid", "gid", "nlink", "dev", "ino", "atime", "mtime", "ctime", NULL};

static void push_time(lua_State *L, const struct timespec *t)
{
	lua_pushnumber(L, (lua_Number)t->tv_sec + (lua_Number)t->tv_nsec / 1e9);
}

/* Pushes the value of the field with this index in `facts`. */
static void push_fact(lua_State *L, const struct stat *st, int i)
{
	switch (i) {
	case 0: lua_pushstring(L, vai__tree_type(st->st_mode)); break;
	case 1: lua_pushinteger(L, (lua_Integer)st->st_size); break;
	case 2: lua_pushinteger(L, (lua_Integer)(st->st_mode & 07777)); break;
	case 3: lua_pushinteger(L, (lua_Integer)st->st_uid); break;
	case 4: lua_pushinteger(L, (lua_Integer)st->st_gid); break;
	case 5: lua_pushinteger(L, (lua_Integer)st->st_nlink); break;
	case 6: lua_pushinteger(L, (lua_Integer)st->st_dev); break;
	case 7: lua_pushinteger(L, (lua_Integer)st->st_ino); break;
	case 8: push_time(L, &st->st_atim); break;
	case 9: push_time(L, &st->st_mtim); break;
	default: push_time(L, &st->st_ctim); break;
	}
}

void vai__fs_push_stat(lua_State *L, const struct stat *st)
{
	lua_createtable(L, 0, (int)(sizeof facts / sizeof *facts) - 1);
	for (int i = 0; facts[i]; i++) {
		push_fact(L, st, i);
		lua_setfield(L, -2, facts[i]);
	}
}

bool vai__fs_push_fact(lua_State *L, const struct stat *st, const char *name)
{
	for (int i = 0; facts[i]; i++)
		if (strcmp(facts[i], name) == 0) {
			push_fact(L, st, i);
			return true;
		}
	return false;
}

static mode_t mode_at(lua_State *L, int idx, const char *fname, mode_t none)
{
	if (lua_isnoneornil(L, idx))
		return none;
	int64_t n = vai__arg_integer(L, idx, idx, fname);
	if (n < 0 || n > 07777)
		vai__arg_error(L, idx, fname, "permissions 0%llo", (unsigned long long)n);
	return (mode_t)n;
}

/* The result of a system call that has returned n. It is no inlined function, so errno is read on the thread that
 * made the call, before the goroutine can park. */
static VAI_NOINLINE int outcome(int n)
{
	return n < 0 ? VAI__ERRNO(errno) : n;
}

/* ---- files ---- */

static int fs_open(lua_State *L)
{
	const char *path = vai__io_path(L, 1, 1, "open");
	const char *mode = lua_isnoneornil(L, 2) ? "r" : vai__io_string(L, 2, 2, "open", NULL);
	mode_t perm = mode_at(L, 3, "open", 0666);
	int flags;
	if (!vai__file_mode(mode, &flags))
		vai__arg_error(L, 2, "open", "invalid mode '%.20s'", mode);
	vai_g *g = vai__fs_self(L);
	vai_file *f;
	int rc = vai__file_open(path, flags, perm, &f);
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, path);
	vai__io_push(L, g, (struct vai_obj *)f);
	return 1;
}

static int fs_read_file(lua_State *L)
{
	const char *path = vai__io_path(L, 1, 1, "read_file");
	vai_g *g = vai__fs_self(L);
	struct vai__bytes bytes;
	int rc = vai__tree_read(path, &bytes);
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, path);
	vai__io_push_bytes(L, vai__bind_vm(g), NULL, &bytes);
	return 1;
}

static struct vai__write_opts write_options(lua_State *L, int idx)
{
	struct vai__write_opts o = {.mode = -1};
	if (lua_isnoneornil(L, idx))
		return o;
	if (!lua_istable(L, idx))
		vai__arg_type_error(L, idx, idx, "write_file", "table");
	vai__lib_thaw_at(L, idx);
	lua_pushnil(L);
	while (lua_next(L, idx)) {
		const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
		int ok = 1;
		if (strcmp(name, "atomic") == 0)
			o.atomic = lua_toboolean(L, -1);
		else if (strcmp(name, "mode") == 0)
			o.mode = (int)lua_tointegerx(L, -1, &ok);
		else
			vai__arg_error(L, idx, "write_file", "unknown option '%.40s'", luaL_tolstring(L, -2, NULL));
		if (!ok || o.mode < -1 || o.mode > 07777)
			vai__arg_error(L, idx, "write_file", "option 'mode': %.40s", luaL_tolstring(L, -1, NULL));
		lua_pop(L, 1);
	}
	return o;
}

static int fs_write_file(lua_State *L)
{
	struct iovec data;
	const char *path = vai__io_path(L, 1, 1, "write_file");
	struct vai__write_opts o = write_options(L, 3);
	vai_g *g = vai__fs_self(L);
	vai__io_collect(L, &data, 1, 2, "write_file");
	int rc = vai__tree_write(g, path, data.iov_base, data.iov_len, &o);
	vai__io_release(L, 1);
	return vai__fs_done(L, g, rc, path);
}

static int fs_mkstemp(lua_State *L)
{
	const char *template = lua_isnoneornil(L, 1) ? "/tmp/vai.XXXXXX" : vai__io_path(L, 1, 1, "mkstemp");
	size_t n = strlen(template);
	if (n < 6 || strcmp(template + n - 6, "XXXXXX") != 0)
		vai__arg_error(L, 1, "mkstemp", "'%.80s' does not end in XXXXXX", template);
	char *path = lua_newuserdatauv(L, n + 1, 0);
	memcpy(path, template, n + 1);
	vai_g *g = vai__fs_self(L);
	vai_file *f;
	int fd = vai__tree_mkstemp(path);
	int rc = fd < 0 ? fd : vai__file_adopt(fd, path, &f);
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, template);
	vai__io_push(L, g, (struct vai_obj *)f);
	lua_pushstring(L, path);
	return 2;
}

/* ---- names ---- */

static int push_stat(lua_State *L, const char *fname, int (*get)(const char *path, struct stat *st))
{
	struct stat st;
	const char *path = vai__io_path(L, 1, 1, fname);
	vai_g *g = vai__fs_self(L);
	int rc = outcome(get(path, &st));
	if (rc < 0)
		return vai__io_failed(L, g, rc, path);
	vai__fs_push_stat(L, &st);
	return 1;
}

static int fs_stat(lua_State *L)
{
	return push_stat(L, "stat", stat);
}

static int fs_lstat(lua_State *L)
{
	return push_stat(L, "lstat", lstat);
}

static int with_path(lua_State *L, const char *fname, int (*f)(const char *path))
{
	const char *path = vai__io_path(L, 1, 1, fname);
	vai_g *g = vai__fs_self(L);
	return vai__fs_done(L, g, f(path), path);
}

static int fs_remove(lua_State *L)
{
	return with_path(L, "remove", vai__tree_remove);
}

static int fs_remove_all(lua_State *L)
{
	return with_path(L, "remove_all", vai__tree_remove_all);
}

static int make(const char *path, mode_t mode)
{
	return outcome(mkdir(path, mode));
}

static int with_mode(lua_State *L, const char *fname, int (*f)(const char *path, mode_t mode))
{
	const char *path = vai__io_path(L, 1, 1, fname);
	mode_t mode = mode_at(L, 2, fname, 0777);
	vai_g *g = vai__fs_self(L);
	return vai__fs_done(L, g, f(path, mode), path);
}

static int fs_mkdir(lua_State *L)
{
	return with_mode(L, "mkdir", make);
}

static int fs_mkdirs(lua_State *L)
{
	return with_mode(L, "mkdirs", vai__tree_mkdirs);
}

static int move(const char *from, const char *to)
{
	return outcome(rename(from, to));
}

static int hard_link(const char *from, const char *to)
{
	return outcome(link(from, to));
}

static int soft_link(const char *from, const char *to)
{
	return outcome(symlink(from, to));
}

static int with_two(lua_State *L, const char *fname, int (*f)(const char *from, const char *to))
{
	const char *from = vai__io_path(L, 1, 1, fname), *to = vai__io_path(L, 2, 2, fname);
	vai_g *g = vai__fs_self(L);
	int rc = f(from, to);
	if (rc == VAI_OK)
		return vai__fs_done(L, g, rc, NULL);
	lua_pushfstring(L, "%s -> %s", from, to);
	return vai__io_failed(L, g, rc, lua_tostring(L, -1));
}

static int fs_rename(lua_State *L)
{
	return with_two(L, "rename", move);
}

static int fs_link(lua_State *L)
{
	return with_two(L, "link", hard_link);
}

static int fs_symlink(lua_State *L)
{
	return with_two(L, "symlink", soft_link);
}

static int fs_copy(lua_State *L)
{
	return with_two(L, "copy", vai__tree_copy);
}

/* Reads a link into memory of malloc's. NULL: *rc says why. */
static char *read_link(const char *path, int *rc)
{
	for (size_t size = 256;; size *= 2) {
		char *p = malloc(size);
		*rc = p ? outcome((int)readlink(path, p, size)) : VAI_ENOMEM;
		if (*rc >= 0 && (size_t)*rc < size) {
			p[*rc] = 0;
			return p;
		}
		free(p);
		if (*rc < 0)
			return NULL;
	}
}

static char *real_path(const char *path, int *rc)
{
	char *p = realpath(path, NULL);
	*rc = p ? VAI_OK : VAI__ERRNO(errno);
	return p;
}

static int push_taken(lua_State *L)
{
	lua_pushstring(L, lua_touserdata(L, 1));
	return 1;
}

/* Pushes the string p and frees it, also if memory for the Lua string is out. */
static int push_text(lua_State *L, char *p)
{
	lua_pushcfunction(L, push_taken);
	lua_pushlightuserdata(L, p);
	int status = lua_pcall(L, 1, 1, 0);
	free(p);
	return status == LUA_OK ? 1 : lua_error(L);
}

static int with_text(lua_State *L, const char *fname, char *(*f)(const char *path, int *rc))
{
	const char *path = vai__io_path(L, 1, 1, fname);
	vai_g *g = vai__fs_self(L);
	int rc;
	luaL_checkstack(L, 4, NULL);
	char *text = f(path, &rc);
	return text ? push_text(L, text) : vai__io_failed(L, g, rc, path);
}

static int fs_readlink(lua_State *L)
{
	return with_text(L, "readlink", read_link);
}

static int fs_realpath(lua_State *L)
{
	return with_text(L, "realpath", real_path);
}

/* ---- folders ---- */

/* A listing of a folder, in Lua's memory. */
struct list {
	size_t at, n;
	char bytes[];
};

static int new_list(lua_State *L)
{
	const struct vai__buffer *b = lua_touserdata(L, 1);
	struct list *l = lua_newuserdatauv(L, sizeof *l + b->n, 0);
	l->at = 0;
	l->n = b->n;
	if (b->n > 0)
		memcpy(l->bytes, b->p, b->n);
	return 1;
}

/* Pushes a struct list. VAI_OK; otherwise nothing is pushed. */
static int push_list(lua_State *L, const char *path)
{
	struct vai__buffer b = {0};
	int rc = vai__tree_list(path, &b);
	if (rc == VAI_OK) {
		lua_pushcfunction(L, new_list);
		lua_pushlightuserdata(L, &b);
		int status = lua_pcall(L, 1, 1, 0);
		vai__buffer_free(&b);
		if (status != LUA_OK)
			return lua_error(L);
	}
	vai__buffer_free(&b);
	return rc;
}

/* Gives the next name. Called with the list, which scandir gives as the loop's state. */
static int next_name(lua_State *L)
{
	struct list *l = lua_touserdata(L, 1);
	if (!l || lua_islightuserdata(L, 1))
		vai__arg_self_error(L, "scandir", "listing");
	if (l->at >= l->n)
		return 0;
	const char *name = l->bytes + l->at + 1;
	const char *type = vai__tree_type_at(l->bytes[l->at]);
	l->at += strlen(name) + 2;
	lua_pushstring(L, name);
	lua_pushstring(L, type);
	return 2;
}

static int fs_scandir(lua_State *L)
{
	const char *path = vai__io_path(L, 1, 1, "scandir");
	vai_g *g = vai__fs_self(L);
	luaL_checkstack(L, 6, NULL);
	lua_pushcfunction(L, next_name);
	int rc = push_list(L, path);
	return rc == VAI_OK ? 2 : vai__io_failed(L, g, rc, path);
}

/* ---- walking: a list of what is still to be visited, paths and types in turn, the next one at its end ---- */

static void push_pending(lua_State *L, int todo, int n, const char *folder, const char *entry)
{
	bool slash = *folder && folder[strlen(folder) - 1] == '/';
	lua_pushfstring(L, "%s%s%s", folder, slash ? "" : "/", entry + 1);
	lua_rawseti(L, todo, n + 1);
	lua_pushstring(L, vai__tree_type_at(*entry));
	lua_rawseti(L, todo, n + 2);
}

/* Appends the entries of the folder, whose listing is on top, to the n values of todo in reverse order, so that the
 * first entry comes next. */
static void expand(lua_State *L, int todo, int n, const char *folder)
{
	const struct list *l = lua_touserdata(L, -1);
	int count = 0, k = 0;
	for (size_t at = 0; at < l->n; at += strlen(l->bytes + at + 1) + 2)
		count++;
	for (size_t at = 0; at < l->n; at += strlen(l->bytes + at + 1) + 2)
		push_pending(L, todo, n + 2 * (count - ++k), folder, l->bytes + at);
}

static int next_path(lua_State *L)
{
	if (!lua_istable(L, 1))
		vai__arg_self_error(L, "walk", "table");
	vai_g *g = vai__fs_self(L);
	int n = (int)lua_rawlen(L, 1);
	if (n < 2)
		return 0;
	luaL_checkstack(L, 10, NULL);
	lua_rawgeti(L, 1, n - 1);
	lua_rawgeti(L, 1, n);
	for (int i = n; i > n - 2; i--) {
		lua_pushnil(L);
		lua_rawseti(L, 1, i);
	}
	int first = lua_gettop(L) - 1;
	const char *path = lua_tostring(L, first), *type = lua_tostring(L, first + 1);
	if (!path || !type || strcmp(type, "directory") != 0)
		return 2;
	int rc = push_list(L, path);
	if (rc != VAI_OK) {
		vai__io_failed(L, g, rc, path);
		lua_remove(L, first + 2);
		return 4;
	}
	expand(L, 1, n - 2, path);
	lua_pop(L, 1);
	return 2;
}

static int fs_walk(lua_State *L)
{
	struct stat st;
	const char *path = vai__io_path(L, 1, 1, "walk");
	vai_g *g = vai__fs_self(L);
	int rc = outcome(stat(path, &st));
	if (rc < 0)
		return vai__io_failed(L, g, rc, path);
	lua_pushcfunction(L, next_path);
	lua_createtable(L, 2, 0);
	lua_pushvalue(L, 1);
	lua_rawseti(L, -2, 1);
	lua_pushstring(L, vai__tree_type(st.st_mode));
	lua_rawseti(L, -2, 2);
	return 2;
}

/* ---- watching ---- */

static bool make_change(vai_msg *msg, const struct vai__change *c)
{
	const char *pairs[] = {"type", c->type, "name", c->name, "from", c->from};
	return vai__msg_table(msg, pairs, c->from ? 3 : 2) == VAI_OK;
}

static int fs_watch(lua_State *L)
{
	const char *path = vai__io_path(L, 1, 1, "watch");
	vai_g *g = vai__fs_self(L);
	vai_chan *ch;
	int rc = vai__fs_watch(path, make_change, vai__msg_drop, &ch);
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, path);
	vai__io_push(L, g, (struct vai_obj *)ch);
	return 1;
}

static const luaL_Reg functions[] = {
	{"open", fs_open},
	{"read_file", fs_read_file},
	{"write_file", fs_write_file},
	{"stat", fs_stat},
	{"lstat", fs_lstat},
	{"scandir", fs_scandir},
	{"walk", fs_walk},
	{"mkdir", fs_mkdir},
	{"mkdirs", fs_mkdirs},
	{"rename", fs_rename},
	{"remove", fs_remove},
	{"remove_all", fs_remove_all},
	{"link", fs_link},
	{"symlink", fs_symlink},
	{"readlink", fs_readlink},
	{"realpath", fs_realpath},
	{"mkstemp", fs_mkstemp},
	{"copy", fs_copy},
	{"watch", fs_watch},
	{NULL, NULL},
};

int vai__lib_fs(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
