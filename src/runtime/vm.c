/* SPDX-License-Identifier: MIT */
/* A state's life from its making, as a copy of a template or from nothing, to its end; see vm.h. */
#include "runtime/vm.h"
#include "base/mem.h"
#include "runtime/func_template.h"
#include "runtime/prepare.h"
#include "runtime/setup.h"
#include "state/arena.h"
#include "state/handle.h"
#include "state/template.h"
#include "transfer/charge.h"
#include "transfer/codec.h"
#include "transfer/known_funcs.h"
#include "transfer/layout.h"

enum { FIRST_CHUNK = 8192 };

static const struct vai__template *stock; /* NULL: states are built */

void vai__vm_clones(const struct vai__template *template)
{
	stock = template;
}

/* The template for states of the calling goroutine's home, or NULL. */
static inline const struct vai__template *template_now(void)
{
	const struct vai__setup *s = vai__home_self()->setup;
	return VAI_UNLIKELY(s != NULL) ? s->template : stock;
}

struct vai_vm *vai__vm_attach(lua_State *L)
{
	struct vai_vm *vm = vai__mem_zalloc(sizeof *vm);
	if (vm) {
		vm->L = L;
		vm->at = L;
		vm->is_host = true;
	}
	return vm;
}

static void release(struct vai_vm *vm)
{
	vai__handles_release(vm);
	vai__codec_release(vm);
	vai__charge_close(vm);
	vai__known_funcs_free(vm->funcs);
	vai__layout_free(vm);
	if (vm->profiled)
		vai__obj_unref(&VAI_CONTAINER(vm->profiled, struct vai_code, uses)->obj);
}

void vai__vm_detach(struct vai_vm *vm)
{
	release(vm);
	vai__mem_free(vm, sizeof *vm);
}

static struct vai__arena *build_state(void)
{
	struct vai__arena *a = vai__arena_new(FIRST_CHUNK);
	if (!a)
		return NULL;
	lua_State *L = lua_newstate(vai__arena_alloc, a);
	if (L) {
		a->vm.L = L;
		a->vm.at = L;
		lua_gc(L, LUA_GCSETPAUSE, VAI__PAUSE);
		lua_pushcfunction(L, vai__prepare);
		if (lua_pcall(L, 0, 0, 0) == LUA_OK)
			return a;
	}
	vai__arena_free(a);
	return NULL;
}

struct vai_vm *vai__vm_new(struct vai_code *code, bool *loaded)
{
	const struct vai__template *base = template_now();
	const struct vai__template *template = base && code ? vai__func_template_of(code) : NULL;
	*loaded = template != NULL;
	struct vai__arena *a = base ? vai__template_clone(template ? template : base) : build_state();
	if (VAI_UNLIKELY(!a))
		return NULL;
	if (base && code && !template && vai__func_template_watches(code)) {
		vai__obj_ref(&code->obj);
		a->vm.profiled = &code->uses;
	}
	return &a->vm;
}

struct vai_vm *vai__vm_new_for(struct vai_code *code, const vai_msg *call, bool own, struct vai__ready *ready)
{
	struct vai_obj *objects[VAI__PATTERN_OBJECTS];
	const struct vai__call_template *t =
		template_now() && code && vai__func_template_of(code) ? vai__func_template_of_call(code, call, objects) : NULL;
	ready->pattern = t ? t->pattern : NULL;
	ready->loaded = false;
	if (!t)
		return vai__vm_new(code, &ready->loaded);
	struct vai__arena *a = vai__template_clone(t->template);
	if (VAI_UNLIKELY(!a))
		return NULL;
	const unsigned n = t->pattern->nobjects;
	if (!own || !vai__codec_hand_over(call, n))
		for (unsigned i = 0; i < n; i++)
			vai__obj_ref(objects[i]);
	vai__handles_give(&a->vm, objects, n);
	return &a->vm;
}

void vai__vm_free(struct vai_vm *vm)
{
	struct vai__arena *a = vm->arena;
	if (VAI_UNLIKELY(vm->needs_close))
		lua_close(vm->L);
	release(vm);
	vai__arena_free(a);
}

void vai__vm_abandon(struct vai_vm *vm)
{
	lua_sethook(vm->L, NULL, 0, 0);
	lua_resetthread(vm->L);
	vai__vm_free(vm);
}
