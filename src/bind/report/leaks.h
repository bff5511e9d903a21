/* SPDX-License-Identifier: MIT */
/* VAI_DEBUG=leaks: reports goroutines that wait for ever because no other goroutine can reach what they wait for, and
 * objects that only messages in each other hold. */
#ifndef VAI_LEAKS_H
#define VAI_LEAKS_H

#include <lua.h>
#include "base/buffer.h"
#include "base/obj.h"

/* Whether leaks are looked for. Constant while the runtime is up. */
extern bool vai__leaks_on;

/* Reads the environment. On the host's thread, at the start of the runtime. */
void vai__leaks_start(void);
/* A hook for returns on the main thread of the host's state: calls vai__leaks_tell when a chunk that the host has
 * called ends. */
void vai__leaks_at_return(lua_State *L, lua_Debug *ar);
/* Notes a new object, if its class is one whose contents can be searched. */
void vai__leaks_note(struct vai_obj *o);
/* Adds a report of the leaks to the text. The world is stopped. */
void vai__leaks_add(struct vai__buffer *t);
/* Collects main's garbage and writes a report of the leaks to stderr. Called by main when it is about to end. */
void vai__leaks_tell(lua_State *L);

#endif
