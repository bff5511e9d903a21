/* SPDX-License-Identifier: MIT */
/* The life of Lua states. A new state is a copy of a template (state/template.c), or is built if copying has failed its
 * self-check or VAI_CLONE=0 asks for that. Called by a goroutine or main, unless said otherwise. */
#ifndef VAI_VM_H
#define VAI_VM_H

#include "code/code.h"
#include "state/state.h"
#include "state/template.h"

/* Makes the vm of the host's own state. NULL: out of memory. On the host's thread, as vai__vm_detach. */
struct vai_vm *vai__vm_attach(lua_State *L);
/* Ends the vm of the host's state; the state itself is the host's and lives on. */
void vai__vm_detach(struct vai_vm *vm);

/* Makes a state for a goroutine whose body is `code` (borrowed; NULL: a C function). *loaded: a template of code was
 * used, so its function lies on top of L's stack with _ENV set and all other upvalues nil, and below it its helpers
 * (code->loaded) in the same form. NULL: out of memory. */
struct vai_vm *vai__vm_new(struct vai_code *code, bool *loaded);
/* What a new state has already of a goroutine's call. */
struct vai__ready {
	bool loaded; /* the function is there, as above; false: nothing is, unless there is a pattern */
	const struct vai__call_pattern
		*pattern; /* of what lies on the stack: the function and all that it captures; arguments */
};
/* The same for the goroutine of a call with that message. own: nobody else reads the message, so the references in it
 * may be handed over to the state's handles. */
struct vai_vm *vai__vm_new_for(struct vai_code *code, const vai_msg *call, bool own, struct vai__ready *ready);
/* Ends the state: finalizers run if there are any, every handle gives its reference back, and the memory is freed.
 * Nothing of the state may be running. */
void vai__vm_free(struct vai_vm *vm);
/* Ends a state that was stopped in the middle of a run: its to-be-closed variables run first, on the caller's stack,
 * which must be a big one. */
void vai__vm_abandon(struct vai_vm *vm);

/* Sets the template that new states are copies of if their home has no setup (runtime/setup.h); NULL: they are built.
 * On the host's thread, while there is no goroutine. */
void vai__vm_clones(const struct vai__template *template);

#endif
