/* SPDX-License-Identifier: MIT */
/* Userdata that stand for vai's reference-counted objects inside one Lua state. Called by the goroutine that uses the
 * state, unless a comment says otherwise. A function with a lua_State may raise, for want of memory, unless it says
 * otherwise; nothing here parks. */
#ifndef VAI_HANDLE_H
#define VAI_HANDLE_H

#include <lua.h>
#include <lauxlib.h>
#include "base/obj.h"
#include "state/state.h"
#include "state/uses.h"

struct vai__handle {
	uint64_t magic;      /* tells a handle from other userdata (handle.c) */
	struct vai_obj *obj; /* borrowed from the vm's reference; NULL after the collector has ended the handle */
	struct vai_vm *vm;
	uint32_t place; /* of its reference among the vm's, from 1 on */
	bool cached;    /* found by vai__handle_push through the state's weak table */
};

/* How a class looks from Lua. Filled into the metatable method by method on first use, so
 * that a state pays for what it uses. */
struct vai__handle_type {
	const struct vai_class *cls;
	const char *name;        /* __name: "vai.channel" */
	const luaL_Reg *methods; /* light C functions; or NULL */
	const luaL_Reg *meta;    /* further metamethods, or NULL; an __index among them gives the methods, too */
};
/* A list of methods: VAI__METHODS({"send", chan_send}, {"recv", chan_recv}). */
#define VAI__METHODS(...) ((const luaL_Reg[]){__VA_ARGS__, {NULL, NULL}})

/* Makes a class known; *type stays where it is. Once per class: before vai__runtime_start, or later by one thread at a
 * time. */
void vai__handle_register(const struct vai__handle_type *type);

/* Pushes the handle of obj, taking over the caller's reference in every case, also when it
 * raises. fresh: obj was just made, so no handle of it can exist yet here. The same object
 * is the same userdata in a state, so handles work as table keys. */
void vai__handle_push(lua_State *L, struct vai_vm *vm, struct vai_obj *obj, bool fresh);
/* Makes scripts see another value in place of a handle of that class: `show` is called with the handle on top and
 * replaces it by the value. It may raise. Called before vai__runtime_start. */
void vai__handle_proxied(const struct vai_class *cls, void (*show)(lua_State *L, struct vai_vm *vm));
/* Whether scripts see another value in place of the class's handles. Any thread. */
bool vai__handle_is_proxied(const struct vai_class *cls);
/* The object at idx if it is a handle of any class, borrowed; otherwise NULL. Never raises, as the next two. */
struct vai_obj *vai__handle_any(lua_State *L, int idx);
/* The object at idx if it is a handle of that class, borrowed; otherwise NULL. */
struct vai_obj *vai__handle_test(lua_State *L, int idx, const struct vai_class *cls);
/* Whether the value at idx is a handle, even one that has lost its object. */
bool vai__handle_is(lua_State *L, int idx);
/* Notes that the object of the handle at idx is sent, so that the same handle is found when the object comes back. */
void vai__handle_leaves(lua_State *L, struct vai_vm *vm, int idx);
/* Gives all references of a state back. Handles in the host's state are not recognized as handles afterwards. */
void vai__handles_release(struct vai_vm *vm);
/* Calls f for each object that the state has a reference to. The state's goroutine stands still. */
void vai__handles_each(const struct vai_vm *vm, void (*f)(void *arg, struct vai_obj *obj), void *arg);
/* Set by bind/, or NULL. left: called for each object whose reference a state gives back at its end. keeps: called for
 * each one whose handle is collected before that; true keeps the reference until the end. */
extern void (*vai__handle_left)(struct vai_vm *vm, struct vai_obj *obj);
extern bool (*vai__handle_keeps)(struct vai_vm *vm, struct vai_obj *obj);
/* __index of the tables of methods, for the metatable that vai__handle_push_hidden pushes. */
int vai__handle_resolve(lua_State *L);
/* Calls f for each registered method and metamethod. Any thread, once the runtime has started. */
void vai__handle_each_method(void (*f)(void *arg, const char *type, const luaL_Reg *method), void *arg);

/* ---- handles in templates ---- */

/* After this call, handles that are pushed become part of the template that is being made in vm, without their
 * objects. */
void vai__handles_premake(struct vai_vm *vm);
/* Called when all of these handles were pushed: enters them into the cache, and gives their references back. If this
 * raises, the handles keep their references. */
void vai__handles_premade(lua_State *L, struct vai_vm *vm);
/* Gives a clone of that template the objects of its n handles, in the order in which they were pushed, and takes
 * over a reference to each. Before anything else runs in the clone. */
void vai__handles_give(struct vai_vm *vm, struct vai_obj *const *objects, unsigned n);

/* Makes the cache, with room for n handles, before the first of them. */
void vai__handle_cache(lua_State *L, int n);
/* Puts the method `index` of handle type `type`, or its metatable, into the template that is being made (uses.h). */
void vai__handle_use(lua_State *L, struct vai_vm *vm, unsigned type, unsigned index);
/* Puts the methods of that name of all classes whose metatables are there into the template. */
void vai__handle_expect(lua_State *L, const char *name);

/* Pushes the hidden metatable, of which a state has one for all tables that fill themselves, as the tables of methods
 * do. Set by runtime/start.c, because stdlib/ is above. */
extern void (*vai__handle_push_hidden)(lua_State *L);
/* Whether this Lua's lua_gc says that the collector is stopped while it runs a finalizer. Set with it. */
extern bool vai__handle_gc_tells;

#endif
