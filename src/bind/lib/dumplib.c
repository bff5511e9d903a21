/* SPDX-License-Identifier: MIT */
/* vai.dump. The text is made while the world is stopped, and written after that, since writing may take long. */
#include <errno.h>
#include <stdio.h>
#include "base/clock.h"
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/report/dump.h"
#include "bind/report/leaks.h"

enum { PATIENCE = 1000000000, TURN = 1000000 /* ns */ };

/* Where the text goes: to a file handle of the script's, or to one of our own. */
struct sink {
	FILE *f;
	bool ours;
};

/* Stops the world. Goroutines that make dumps at the same time take turns. False: it did not stop within PATIENCE. */
static bool stop_world(vai_g *self)
{
	int64_t end = vai__clock_real() + PATIENCE;
	while (!vai__world_stop(self, PATIENCE)) {
		int64_t now = vai__clock_real();
		if (now >= end || vai__sleep(self, now + TURN) != VAI_OK)
			return false;
	}
	return true;
}

static void dump(struct vai__buffer *t, vai_g *self)
{
	bool still = stop_world(self);
	if (!still)
		vai__text_put(t, "vai: goroutines could not be stopped, or another dump is being made: no tracebacks\n");
	vai__dump_all(t, self, still ? VAI__DUMP_STILL : VAI__DUMP_MOVING, SIZE_MAX);
	if (still) {
		vai__leaks_add(t);
		vai__world_start();
	}
}

static VAI_NOINLINE int failed(lua_State *L, const char *name, int error)
{
	errno = error;
	return luaL_fileresult(L, 0, name);
}

static VAI_NOINLINE FILE *open_file(const char *name, int *error)
{
	FILE *f = fopen(name, "w");
	*error = f ? 0 : errno;
	return f;
}

static VAI_NOINLINE int write_text(const struct vai__buffer *t, struct sink *s)
{
	bool ok = fwrite(t->p, 1, t->n, s->f) == t->n && (!t->cut || fputs("\n... (not enough memory)\n", s->f) >= 0) &&
		fflush(s->f) == 0;
	int error = ok ? 0 : errno;
	if (s->ours && fclose(s->f) != 0 && ok)
		error = errno;
	return error;
}

/* dump([file]): file is a file handle or a file's name; by default stderr. */
int vai__lib_dump(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	struct sink sink = {stderr, false};
	const char *name = NULL;
	int error = 0;
	luaL_Stream *stream = luaL_testudata(L, 1, LUA_FILEHANDLE);
	if (stream && !stream->closef)
		vai__arg_error(L, 1, "dump", "attempt to use a closed file");
	if (stream) {
		sink.f = stream->f;
	} else if (lua_type(L, 1) == LUA_TSTRING) {
		name = lua_tostring(L, 1);
		sink = (struct sink){open_file(name, &error), true};
	} else if (!lua_isnoneornil(L, 1)) {
		vai__arg_type_error(L, 1, 1, "dump", "file handle or file name");
	}
	if (!sink.f)
		return failed(L, name, error);
	struct vai__buffer text = {0};
	vai__note_stack(g, L);
	dump(&text, g);
	error = write_text(&text, &sink);
	vai__buffer_free(&text);
	if (error)
		return failed(L, name, error);
	lua_pushboolean(L, 1);
	return 1;
}
