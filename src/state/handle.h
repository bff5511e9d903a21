/* SPDX-License-Identifier: MIT */
/* Userdata that stand for vai's reference-counted objects inside one Lua state. */
#ifndef VAI_HANDLE_H
#define VAI_HANDLE_H

#include <lua.h>
#include <lauxlib.h>
#include "base/obj.h"
#include "state/state.h"
#include "state/uses.h"

struct vai__handle {
	uint64_t magic;
	struct vai_obj *obj; /* NULL after the collector has ended the handle */
	struct vai_vm *vm;
	uint32_t place; /* among the vm's references, from 1 on */
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
/* Such a list: VAI__METHODS({"send", chan_send}, {"recv", chan_recv}). */
#define VAI__METHODS(...) ((const luaL_Reg[]){__VA_ARGS__, {NULL, NULL}})

/* Once per class: before vai__runtime_start, or later by one thread at a time. */
void vai__handle_register(const struct vai__handle_type *type);

/* Pushes the handle of obj, taking over the caller's reference in every case, also when it
 * raises. fresh: obj was just made, so no handle of it can exist yet here. The same object
 * is the same userdata in a state, so handles work as table keys. */
void vai__handle_push(lua_State *L, struct vai_vm *vm, struct vai_obj *obj, bool fresh);
/* Objects of that class are shown otherwise: `show` is called with the handle on top and puts something in its place.
 * It may raise. */
void vai__handle_proxied(const struct vai_class *cls, void (*show)(lua_State *L, struct vai_vm *vm));
bool vai__handle_is_proxied(const struct vai_class *cls);
/* The object at idx if it is a handle of any class, else NULL. Raises never. Borrowed. */
struct vai_obj *vai__handle_any(lua_State *L, int idx);
/* The object at idx if it is a handle of that class, else NULL. */
struct vai_obj *vai__handle_test(lua_State *L, int idx, const struct vai_class *cls);
/* Whether it is a handle, even one that has lost its object. */
bool vai__handle_is(lua_State *L, int idx);
/* Notes that obj's handle at idx leaves this state, so that it is found when it comes back. */
void vai__handle_leaves(lua_State *L, struct vai_vm *vm, int idx);
/* Gives all references of a state back. The host's handles are no handles afterwards. */
void vai__handles_release(struct vai_vm *vm);
/* Calls f for each object that the state has a reference to. The state's goroutine stands still. */
void vai__handles_each(const struct vai_vm *vm, void (*f)(void *arg, struct vai_obj *obj), void *arg);
/* Called, if set, for each object whose reference a state gives back at its end, and for each one whose handle is
 * collected before. For those true keeps the reference until the end. */
extern void (*vai__handle_left)(struct vai_vm *vm, struct vai_obj *obj);
extern bool (*vai__handle_keeps)(struct vai_vm *vm, struct vai_obj *obj);
/* __index of the tables of methods, for the metatable that vai__handle_push_hidden pushes. */
int vai__handle_resolve(lua_State *L);
/* Calls f for each registered method and metamethod. */
void vai__handle_each_method(void (*f)(void *arg, const char *type, const luaL_Reg *method), void *arg);
/* The registered name for a class ("vai.channel"), or NULL. */
const char *vai__handle_name(const struct vai_class *cls);

/* ---- handles in templates ---- */

/* From now on the template that is being made in vm gets the handles that are pushed, without their objects. */
void vai__handles_premake(struct vai_vm *vm);
/* All of them are there and may be met again; they let go of their objects. May raise, and then the objects are still
 * theirs. */
void vai__handles_premade(lua_State *L, struct vai_vm *vm);
/* Gives a clone of that template the objects of its n handles, in the order in which they were pushed, with references
 * of their own. Before anything else. */
void vai__handles_give(struct vai_vm *vm, struct vai_obj *const *objects, unsigned n);

/* Makes the table for n handles that may be met again, before any of them is there. */
void vai__handle_cache(lua_State *L, int n);
/* Puts a metatable or a method into the template of a function. */
void vai__handle_use(lua_State *L, struct vai_vm *vm, unsigned type, unsigned index);
/* Puts into it the methods of that name of all classes whose metatables are there. */
void vai__handle_expect(lua_State *L, const char *name);

/* Pushes the metatable under which the tables of methods fill themselves: the one of all tables that do, for each
 * state to have one only. Set by runtime/start.c, as stdlib/ is above. */
extern void (*vai__handle_push_hidden)(lua_State *L);
/* Set with it: whether the collector says that it does not run while it runs a finalizer. */
extern bool vai__handle_gc_tells;

#endif
