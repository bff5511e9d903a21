/* SPDX-License-Identifier: MIT */
/* Start and end of what all states share, and the hooks by which lower rooms call higher ones.
 * What vai__runtime_start sets is read-only until vai__runtime_stop, which no goroutine outlives. */
#include "runtime/start.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "code/code.h"
#include "code/probe_lua.h"
#include "require/modcache.h"
#include "require/require.h"
#include "require/paths.h"
#include "runtime/func_template.h"
#include "runtime/prepare.h"
#include "runtime/vm.h"
#include "state/handle.h"
#include "state/selfcheck.h"
#include "stdlib/catalog.h"
#include "stdlib/lazy.h"
#include "stdlib/sandbox.h"
#include "transfer/codec.h"
#include "transfer/names.h"

static struct vai__template *base; /* NULL: states are built */
static char mode[96] = "none";
static struct {
	lua_CFunction f; /* or NULL */
	bool finalizers;
	char error[200];
} init;

/* state < stdlib < code < transfer < require < runtime: what goes the other way goes through here. */
__attribute__((constructor)) void vai__runtime_set_hooks(void)
{
	vai__handle_push_hidden = vai__lazy_make_hidden;
	vai__lazy_package_opened = vai__require_install;
	vai__code_templates_drop = vai__func_templates_drop;
	vai__codec_note_paths = vai__paths_note;
	vai__codec_change_libraries = vai__paths_change_libraries;
	vai__lazy_change_library = vai__paths_change_library;
	vai__names_share = vai__require_share;
}

/* NULL where there is a template now, else why not. */
static const char *make_template(bool full)
{
	const char *wish = getenv("VAI_CLONE");
	if (wish && strcmp(wish, "0") == 0)
		return "VAI_CLONE=0";
	if (full)
		return "unknown standard libraries";
	if (sizeof(void *) != 8 || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
		return "pointers are not of 64 bits with the lowest first";
	base = vai__template_build(vai__prepare, NULL, VAI__TEMPLATE_RESERVE);
	if (!base)
		return "the template could not be made";
	const char *why = vai__selfcheck(base);
	if (why) {
		vai__template_free(base);
		base = NULL;
	}
	return why;
}

/* Another template in place of the one that was proved, which lacks or has what the host wishes. False: out of
 * memory, or it cannot be copied; then there is none. */
static bool rebuild(void)
{
	vai__template_free(base);
	base = vai__template_build(vai__prepare, NULL, VAI__TEMPLATE_RESERVE);
	return base != NULL;
}

/* Copies are checked by a stock state, and made of one that lacks what the sandbox takes away. */
static const char *make_templates(bool full)
{
	const char *why = make_template(full);
	vai__sandbox_prepare();
	if (!why && vai__sandbox.active && !rebuild())
		why = "the sandbox's template could not be made";
	vai__vm_clones(base);
	return why;
}

void vai__runtime_init(lua_CFunction f, bool finalizers)
{
	init.f = f;
	init.finalizers = finalizers;
}

const char *vai__runtime_init_error(void)
{
	return init.error;
}

/* Runs the host's function in a state of its own, where it may fail. */
static int try_init(void)
{
	bool loaded;
	struct vai_vm *vm = vai__vm_new(NULL, &loaded);
	if (!vm)
		return VAI_ENOMEM;
	vm->needs_close = true;
	lua_pushcfunction(vm->L, init.f);
	bool done = lua_pcall(vm->L, 0, 0, 0) == LUA_OK;
	const char *text = done ? "" : lua_tostring(vm->L, -1);
	snprintf(init.error, sizeof init.error, "%s", text ? text : "(error object is not a string)");
	vai__vm_free(vm);
	return done ? VAI_OK : VAI_EINVAL;
}

/* The template was proved without what the host puts into it, which may have taken away what the proof needs. */
static int add_init(void)
{
	int rc = try_init();
	if (rc != VAI_OK)
		return rc;
	vai__prepare_init(init.f, init.finalizers);
	if (!base)
		return VAI_OK;
	if (!rebuild())
		snprintf(mode, sizeof mode, "build: the template with the host's own could not be made");
	vai__vm_clones(base);
	return VAI_OK;
}

int vai__runtime_start(lua_State *L)
{
	vai__lazy_functions_register();
	if (vai__sandbox.active)
		vai__sandbox_register();
	int rc = vai__probe_lua();
	vai__handle_gc_tells = vai__probe_gc_tells();
	if (rc == VAI_OK)
		rc = vai__catalog_read();
	if (rc == VAI_ENOMEM)
		return rc;
	bool full = rc != VAI_OK;
	if (full && vai__sandbox.active)
		return VAI_ERANGE; /* nobody can tell what to take away */
	vai__prepare_full(full);
	rc = vai__paths_start(L);
	if (rc != VAI_OK) {
		vai__catalog_drop();
		return rc;
	}
	const char *why = make_templates(full);
	snprintf(mode, sizeof mode, why ? "build: %s" : "clone", why);
	rc = init.f ? add_init() : VAI_OK;
	if (rc != VAI_OK)
		vai__runtime_stop();
	return rc;
}

void vai__runtime_stop(void)
{
	vai__code_forget();
	vai__paths_drop(vai__home_of_nobody);
	vai__modcache_drop();
	vai__sandbox_drop();
	vai__catalog_drop();
	vai__template_free(base);
	base = NULL;
	vai__vm_clones(NULL);
	vai__prepare_init(NULL, false);
	snprintf(mode, sizeof mode, "none");
}

const char *vai__runtime_mode(void)
{
	return mode;
}
