/* SPDX-License-Identifier: MIT */
/* Lua values to messages and back. A message holds nil, a scalar or a short string in
 * itself, anything else in one block. Encoding may raise Lua errors and run __vai_send
 * metamethods; decoding may raise and run `require`: neither under a lock. Whatever is
 * raised, nothing leaks. */
#ifndef VAI_CODEC_H
#define VAI_CODEC_H

#include <lua.h>
#include "base/base.h"
#include "base/obj.h"
#include "code/code.h"
#include "state/state.h"
#include "transfer/message.h"

/* Encodes the value at idx. `what` opens error messages: "argument 2" (then ": field 'log': userdata FILE* cannot be
 * sent"). Raises if the value cannot be sent. nil is encoded as an empty message. */
void vai__encode(lua_State *L, struct vai_vm *vm, int idx, vai_msg *out, const char *what);
/* Encodes n values from index first on as one message: arguments or results. In error messages value i is called
 * "<what> <i>" ("argument 1"). */
void vai__encode_values(lua_State *L, struct vai_vm *vm, int first, int n, vai_msg *out, const char *what);
/* Encodes the function at idx with n arguments after it, for a new goroutine. Also raises if the function assigns a
 * captured local; reports writes into captured tables once per place. *code: the function's code object,
 * borrowed from the message; NULL: a C function. what: "argument" calls the function "argument 1" and what follows it
 * "argument 2", ...; with a number at its end ("timer: argument 2") counting begins there. */
void vai__encode_call(
	lua_State *L, struct vai_vm *vm, int idx, int n, vai_msg *out, struct vai_code **code, const char *what);
/* Reports writes into captured tables, as vai__encode_call does, of the function at idx (an absolute index): for a
 * function that is only called by the function of a call. */
void vai__encode_look(lua_State *L, struct vai_vm *vm, int idx);

/* Pushes what the message holds and returns how many values that is (1 for vai__encode).
 * The message is not consumed. May raise (memory, a module that cannot be required). */
int vai__decode(lua_State *L, struct vai_vm *vm, const vai_msg *msg);
/* The same, and drops the message, also when it raises: *msg is all zero at once. */
int vai__decode_take(lua_State *L, struct vai_vm *vm, vai_msg *msg);
/* For a message of vai__encode_call: pushes function and arguments, and returns how many arguments there are. code:
 * that of the function, or NULL. loaded: so many functions are on top of the stack already (vai__vm_new), the last of
 * them this one and the others helpers of its code; they are taken off. */
int vai__decode_call(lua_State *L, struct vai_vm *vm, const vai_msg *msg, const struct vai_code *code, int loaded);
/* For a message of vai__encode_call whose function is one of Lua, with n different objects in it: hands the message's
 * references to them over to the caller, if they are all that it has besides the function's code. False: nothing has
 * changed. */
bool vai__codec_hand_over(const vai_msg *msg, unsigned n);
struct vai__call_pattern;
/* The same for a template: pushes only what the pattern has, the function and maybe arguments. */
void vai__decode_pattern(lua_State *L, struct vai_vm *vm, const vai_msg *msg, const struct vai__call_pattern *pattern);
/* The same in a clone of that template, which has these on top of L's stack: sets what differs in them, and pushes the
 * other arguments. */
int vai__decode_rest(lua_State *L, struct vai_vm *vm, const vai_msg *msg, const struct vai__call_pattern *pattern);
/* Makes an object that owns *msg from now on, with one reference, so that several goroutines can read it at a time;
 * NULL: out of memory, and *msg is still the caller's. Only for messages that own something. */
struct vai_obj *vai__msg_share(vai_msg *msg);
/* As vai__decode, for the message of such an owner. Takes over a reference to it, also when it raises. */
int vai__decode_shared(lua_State *L, struct vai_vm *vm, const vai_msg *msg, struct vai_obj *owner);
/* Frees what raised errors left behind in vm; for vai__vm_free and vai__vm_detach. */
void vai__codec_release(struct vai_vm *vm);
/* Gets reports of writes into captured values, one line each without its end; writes to stderr until it is set.
 * VAI_WARN=0 in the environment silences them. Any M. */
extern void (*vai__codec_warn)(const char *line);

/* Whether messages get an object in place of the table at idx, which has a metatable. *out: the object with a
 * reference; NULL: out of memory. Neither raises nor collects. Set by bind/. */
extern bool (*vai__codec_stand_in)(lua_State *L, int idx, struct vai_obj **out);
/* Looks at the script's search paths. Called before a call is encoded whose code uses `require`, and when a module is
 * met. Set by runtime/start.c, because require/ is above. */
extern void (*vai__codec_note_paths)(lua_State *L, struct vai_vm *vm);
/* Called for a new goroutine's state if the script has changed standard libraries. Set by runtime/start.c. */
extern void (*vai__codec_change_libraries)(lua_State *L, struct vai_vm *vm);
/* vai__home.preloading is the module whose function in package.preload is being encoded; NULL: none. What it has is
 * sent as it is: "the one that the module has" would need the module to make it. Used by the host's thread alone.
 *
 * vai__home.only_modules: C functions that belong to no loaded module cannot be sent. Set before the home's first
 * message, by the host's thread. */

#endif
