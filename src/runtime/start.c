/* SPDX-License-Identifier: MIT */
/* Start and end of what all states share, and the hooks by which lower rooms call higher ones. What vai__runtime_start
 * sets is read-only until vai__runtime_stop, and no goroutine outlives that. */
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
#include "runtime/setup.h"
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

/* The rooms are state < stdlib < code < transfer < require < runtime: calls in the other direction go through hooks. */
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

/* Makes the template. NULL: there is one now; otherwise why there is none. */
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

int vai__runtime_start(lua_State *L)
{
	vai__lazy_functions_register();
	vai__sandbox_register();
	int rc = vai__probe_lua();
	vai__handle_gc_tells = vai__probe_gc_tells();
	if (rc == VAI_OK)
		rc = vai__catalog_read();
	if (rc == VAI_ENOMEM)
		return rc;
	bool full = rc != VAI_OK;
	vai__prepare_full(full);
	rc = vai__paths_start(L);
	if (rc != VAI_OK) {
		vai__catalog_drop();
		return rc;
	}
	const char *why = make_template(full);
	snprintf(mode, sizeof mode, why ? "build: %s" : "clone", why);
	vai__vm_clones(base);
	vai__setup_start(base, full);
	return VAI_OK;
}

void vai__runtime_stop(void)
{
	vai__code_forget();
	vai__paths_drop(vai__home_of_nobody);
	vai__modcache_drop();
	vai__setup_drop();
	vai__catalog_drop();
	vai__template_free(base);
	base = NULL;
	vai__vm_clones(NULL);
	snprintf(mode, sizeof mode, "none");
}

const char *vai__runtime_mode(void)
{
	const struct vai__setup *s = vai__home_self()->setup;
	return s && *s->mode ? s->mode : mode;
}
