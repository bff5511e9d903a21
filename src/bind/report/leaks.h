/* SPDX-License-Identifier: MIT */
/* VAI_DEBUG=leaks: tells goroutines that wait for ever because nobody else can reach what they wait for, and channels
 * and the like that nothing holds but messages in each other. */
#ifndef VAI_LEAKS_H
#define VAI_LEAKS_H

#include <lua.h>
#include "base/buffer.h"
#include "base/obj.h"

/* Whether they are looked for. Constant while the runtime is up. */
extern bool vai__leaks_on;

/* Reads the environment. Host's thread, at the start of the runtime. */
void vai__leaks_start(void);
/* A hook for returns on the main thread of the host's state: calls vai__leaks_tell when a chunk ends that the host has
 * called. */
void vai__leaks_at_return(lua_State *L, lua_Debug *ar);
/* Notes an object that was just made, if it is of a class of which the inside is known. */
void vai__leaks_note(struct vai_obj *o);
/* Adds what is found. The world is stopped. */
void vai__leaks_add(struct vai__buffer *t);
/* Collects main's garbage and writes what is found to stderr. Main, which is about to end. */
void vai__leaks_tell(lua_State *L);

#endif
