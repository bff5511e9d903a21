/* SPDX-License-Identifier: MIT */
/* The life of Lua states. Made by cloning a template (state/template.c), or built from nothing where cloning failed
 * its self-check or VAI_CLONE=0 asks for it. */
#ifndef VAI_VM_H
#define VAI_VM_H

#include "code/code.h"
#include "state/state.h"
#include "state/template.h"

/* Makes the vm of the host's own state. NULL: out of memory. Host thread, as for the next. */
struct vai_vm *vai__vm_attach(lua_State *L);
/* Ends the vm of the host's state; the state itself is the host's and goes on. */
void vai__vm_detach(struct vai_vm *vm);

/* A fresh state for a goroutine whose body is `code` (borrowed; NULL: a C function). If a
 * template of code exists, its function is already loaded: then *loaded is true and it lies
 * on top of L's stack with _ENV set and every other upvalue nil; all that lies below are helpers
 * (code->loaded), in the same form. NULL: out of memory. */
struct vai_vm *vai__vm_new(struct vai_code *code, bool *loaded);
/* What of a goroutine's call its fresh state has already. */
struct vai__ready {
	bool loaded; /* as above; false: nothing, if there is no pattern either */
	const struct vai__call_pattern
		*pattern; /* of what lies on the stack: the function and all that it captures; arguments */
};
/* The same for the goroutine of a call, whose message that is. */
struct vai_vm *vai__vm_new_for(struct vai_code *code, const vai_msg *call, struct vai__ready *ready);
/* Ends the state: finalizers run if there are any, every handle gives its reference back, and the memory returns.
 * Nothing of the state may be running. */
void vai__vm_free(struct vai_vm *vm);
/* Ends a state that was stopped in the middle of what it did: its to-be-closed variables run first, on a big stack
 * of the caller's. */
void vai__vm_abandon(struct vai_vm *vm);

/* What fresh states are clones of where the host has no wishes (runtime/setup.h); NULL: they are built. Host thread,
 * while there is no goroutine. */
void vai__vm_clones(const struct vai__template *template);

#endif
