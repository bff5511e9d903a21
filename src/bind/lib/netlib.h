/* SPDX-License-Identifier: MIT */
/* What the bindings of net/, fs/ and proc/ share: how results of these rooms become values of Lua, and what arguments
 * mean. The functions are called by the goroutine that makes the call (bind/arg.h). They raise if arguments are wrong
 * or memory is out, and park only where that is said. Functions that push return the number of values. */
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

/* For a result rc < 0 of net/, fs/ or proc/: pushes nil, the reason and, for errors of the system, their name
 * ("ECONNREFUSED"); nil alone at the end of a stream (VAI__EOF). Raises what ends a wait: the goroutine's end, a
 * deadlock, out of memory. what: put before the reason with a colon, or NULL. */
int vai__io_failed(lua_State *L, vai_g *g, int rc, const char *what);
/* The same for a call on c, whose kind may have errors of its own. */
int vai__io_conn_failed(lua_State *L, vai_g *g, vai_conn *c, int rc);
/* The same for a write: always four values, which are nil, the reason, its name or nil, and the number of bytes
 * written. */
int vai__io_write_failed(lua_State *L, vai_g *g, int rc, size_t done, const char *what);
/* Ends a step of a loop over lines, for which a read has pushed n values: if n > 1 the read has failed, and its
 * message is raised; otherwise they are the step's results. */
int vai__io_line(lua_State *L, int n);
/* Ends the method lines(): pushes the step function, and the object at index 1 as the loop's state. */
int vai__io_lines(lua_State *L, lua_CFunction step);
/* Pushes the bytes as a string and frees them. If memory is out they go back to c (unless NULL), and it raises. */
void vai__io_push_bytes(lua_State *L, struct vai_vm *vm, vai_conn *c, struct vai__bytes *b);

/* Pushes three values: the datagram, which it frees, its sender's address, and whether it was cut off. */
int vai__lib_push_datagram(lua_State *L, vai_g *g, struct vai__bytes *b, const struct vai__addr *from, bool truncated);

/* ---- arguments ---- */

/* The string at idx; a number is not accepted. *len (or NULL): its length. The bytes belong to the Lua stack. */
const char *vai__io_string(lua_State *L, int idx, int arg, const char *fname, size_t *len);
/* The string at idx, which must not have a zero in it. */
const char *vai__io_path(lua_State *L, int idx, int arg, const char *fname);
/* What a read at idx asks for: nothing, "l", "L", "a" (each also with a "*" before it), or a number of bytes, 0 or
 * more (*count; otherwise 0). */
enum vai__read_what vai__io_read_what(lua_State *L, int idx, const char *fname, size_t *count);
/* Collects the n strings and buffers from stack index 2 on for a write; arg: the number of the first as an argument.
 * Numbers are turned into strings on the stack. The buffers stay pinned until vai__io_release with the same n, so
 * nothing may raise in between. */
void vai__io_collect(lua_State *L, struct iovec *iov, int n, int arg, const char *fname);
void vai__io_release(lua_State *L, int n);
/* The range of the buffer at index 2 that indices 3 and 4 give, by default all, pinned for long. If to->iov_len is 0
 * the range is empty and nothing is pinned. */
vai_bytes *vai__io_room(lua_State *L, struct iovec *to, const char *fname);
/* The deadline at idx in seconds of vai.now's clock, as ns; VAI_FOREVER for none or nil. */
int64_t vai__io_deadline(lua_State *L, int idx, int arg, const char *fname);
/* The network named at idx, which is the first argument: "tcp", "udp6", "unix", ... type: the only type of sockets
 * that is allowed, SOCK_STREAM or SOCK_DGRAM; 0: both are. */
const struct vai__network *vai__io_network(lua_State *L, int idx, const char *fname, int type);

/* ---- methods of all objects with a descriptor ---- */

/* Raises in the child of a fork, where closing would end what the parent still uses. */
void vai__io_check_close(lua_State *L);
/* Pushes the address as text, or for rc < 0 what vai__io_failed pushes. */
int vai__io_push_addr(lua_State *L, vai_g *g, int rc, const struct vai__addr *a);
/* Pushes the descriptor's own address. */
int vai__io_push_local(lua_State *L, struct vai__desc *d);
/* Sets the time at index 2 as the deadline of reads, of writes or of both, also of those under way. Pushes nothing. */
int vai__io_set_deadlines(lua_State *L, struct vai__desc *d, const char *fname, bool read, bool write);

/* The calling goroutine, if it may wait until what it closes is closed. NULL: the thread runs no goroutine, one of C
 * code, or one that is about to end. */
vai_g *vai__io_closer(lua_State *L);
/* Waits until d is gone (vai__desc_await), the closed descriptor of the object o at index 1. Does not wait on a
 * thread that runs no goroutine, as in finalizers at the end of a state, or if the goroutine is about to end. Pushes
 * nothing, or why the wait has failed. */
int vai__io_await_close(lua_State *L, struct vai__desc *d, struct vai_obj *o);

/* Defines OBJECT_close, the method `close`: closes, then waits as vai__io_await_close does. */
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
/* Pushes the handle of a new object, whose reference it takes over, and notes where it was made. */
void vai__io_push(lua_State *L, vai_g *g, struct vai_obj *o);

#endif
