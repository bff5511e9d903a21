/* SPDX-License-Identifier: MIT */
/* What the bindings of net/, fs/ and proc/ share: how results of these rooms become values of Lua, and what arguments
 * mean. All of it is called by the goroutine that makes the call (bind/arg.h), raises where arguments are wrong or
 * memory is out, and waits only where it says so. Functions that push return the number of values. */
#ifndef VAI_NETLIB_H
#define VAI_NETLIB_H

#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/lib/wait_limit.h"
#include "bind/lib/result.h"
#include "data/bytes.h"
#include "net/conn.h"
#include "net/dial.h"
#include "net/listener.h"

/* ---- results (iolib.c) ---- */

/* For rc < 0, a result of net/, fs/ or proc/: pushes nil, why and, for errors of the system, their name
 * ("ECONNREFUSED"); nil alone at the end of a stream (VAI__EOF). Raises what a wait raises: an end, a deadlock, no
 * memory. what: goes before the message, with a colon, or NULL. */
int vai__io_failed(lua_State *L, vai_g *g, int rc, const char *what);
/* The same for what failed on c, whose kind may have errors of its own. */
int vai__io_conn_failed(lua_State *L, vai_g *g, vai_conn *c, int rc);
/* The same for a write, filled up to four values: nil, why, name or nil, and how many bytes were written. */
int vai__io_write_failed(lua_State *L, vai_g *g, int rc, size_t done, const char *what);
/* The end of a step of a loop over lines, whose read has pushed n values: with more than one the read has failed, and
 * its message is raised; else they are the step's result. */
int vai__io_line(lua_State *L, int n);
/* The end of the method lines(): pushes the step, and the object at index 1 as the loop's state. */
int vai__io_lines(lua_State *L, lua_CFunction step);
/* Pushes the bytes as a string and frees them; where memory is out they go back to c (if not NULL). */
void vai__io_push_bytes(lua_State *L, struct vai_vm *vm, vai_conn *c, struct vai__bytes *b);

/* Pushes the datagram, which it frees, its sender's address and whether it was cut off: 3. */
int vai__lib_push_datagram(lua_State *L, vai_g *g, struct vai__bytes *b, const struct vai__addr *from, bool truncated);

/* ---- arguments ---- */

/* A string, and no number in its place; *len (or NULL): its bytes. It is the Lua stack's. */
const char *vai__io_string(lua_State *L, int idx, int arg, const char *fname, size_t *len);
/* A string without a NUL in it. */
const char *vai__io_path(lua_State *L, int idx, int arg, const char *fname);
/* What a read at idx asks for: nothing, "l", "L", "a" (each also with a "*" before it), or a number of bytes, 0 or more
 * (*count, which is 0 otherwise). */
enum vai__read_what vai__io_read_what(lua_State *L, int idx, const char *fname, size_t *count);
/* The n strings and buffers from index 2 on, the arg'th argument, which a write is to write; numbers become strings
 * there. If all is well the buffers are pinned until vai__io_release with the same n: whatever may raise comes before
 * or after. */
void vai__io_collect(lua_State *L, struct iovec *iov, int n, int arg, const char *fname);
void vai__io_release(lua_State *L, int n);
/* The places of the buffer at index 2 that indices 3 and 4 give, by default all: pinned. to->iov_len 0: there are none,
 * and nothing is pinned. */
vai_bytes *vai__io_room(lua_State *L, struct iovec *to, const char *fname);
/* A time of vai.now's clock in seconds, as nanoseconds; VAI_FOREVER for none or nil. */
int64_t vai__io_deadline(lua_State *L, int idx, int arg, const char *fname);
/* The network named at idx, the first argument: "tcp", "udp6", "unix", ...; type: SOCK_STREAM or SOCK_DGRAM, the only
 * one allowed, or 0. */
const struct vai__network *vai__io_network(lua_State *L, int idx, const char *fname, int type);

/* ---- methods of all that has a descriptor ---- */

/* Raises in the child of a fork, where closing would end what the parent still uses. */
void vai__io_check_close(lua_State *L);
/* Pushes the address as text, or what rc < 0 says. */
int vai__io_push_addr(lua_State *L, vai_g *g, int rc, const struct vai__addr *a);
/* Pushes the descriptor's own address. */
int vai__io_push_local(lua_State *L, struct vai__desc *d);
/* The time at index 2 is the deadline of reads, of writes or of both from now on, of those under way, too. Pushes
 * nothing. */
int vai__io_set_deadlines(lua_State *L, struct vai__desc *d, const char *fname, bool read, bool write);

/* The calling goroutine if it may wait for what it closes; NULL: there is none, it is about to end, or is no Lua's. */
vai_g *vai__io_closer(lua_State *L);
/* Waits until d, the descriptor of the object o at index 1, which has been closed, is gone (vai__desc_await). Where no
 * goroutine runs, as in finalizers at the end of a state, and in one that is to end it does not wait. Pushes nothing,
 * or why the wait has failed. */
int vai__io_await_close(lua_State *L, struct vai__desc *d, struct vai_obj *o);

/* Defines OBJECT_close, the method close: closes, then waits as vai__io_await_close does. */
#define VAI__IO_CLOSE(OBJECT) \
	static int OBJECT##_close(lua_State *L) \
	{ \
		vai_##OBJECT *o = self_##OBJECT(L, "close"); \
		vai__io_check_close(L); \
		vai__##OBJECT##_close(o); \
		return vai__io_await_close(L, vai__##OBJECT##_desc(o), (struct vai_obj *)o); \
	}

/* Defines OBJECT_NAME, the method NAME that sets the deadline of reading, of writing or of both. */
#define VAI__IO_DEADLINE(OBJECT, NAME, READ, WRITE) \
	static int OBJECT##_##NAME(lua_State *L) \
	{ \
		return vai__io_set_deadlines(L, vai__##OBJECT##_desc(self_##OBJECT(L, #NAME)), #NAME, READ, WRITE); \
	}

/* ---- objects ---- */

int vai__lib_net_serve(lua_State *L); /* servelib.c: the function vai.net.serve */
/* Pushes the handle of a fresh object, which it takes over, and notes where it was made. */
void vai__io_push(lua_State *L, vai_g *g, struct vai_obj *o);

#endif
