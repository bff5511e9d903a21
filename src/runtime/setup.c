/* SPDX-License-Identifier: MIT */
/* See setup.h. The base template, for states without a setup, was checked by running a script in a copy
 * (runtime/start.c). A setup may remove what that script needs, so the template of a setup is not checked; it is made
 * only if the base template has passed its check. */
#include "runtime/setup.h"
#include <stdio.h>
#include <stdlib.h>
#include "runtime/prepare.h"
#include "runtime/vm.h"

static const struct vai__template *base;
static bool all_libraries;
static struct vai__setup *setups; /* under the gate, as are the next two */
static uint64_t last_id;
static char init_error[200];

void vai__setup_start(const struct vai__template *template, bool full)
{
	base = template;
	all_libraries = full;
}

const char *vai__setup_error(void)
{
	return init_error;
}

static void put(struct vai__home *home, struct vai__setup *s)
{
	if (home->sandbox)
		atomic_fetch_sub_relaxed(&vai__sandbox_count, 1);
	home->setup = s;
	home->setup_id = s ? s->id : 0;
	home->sandbox = s ? s->sandbox : NULL;
	if (home->sandbox)
		atomic_fetch_add_relaxed(&vai__sandbox_count, 1);
}

static void destroy(struct vai__setup *s)
{
	vai__template_free(s->template);
	vai__sandbox_unref(s->sandbox);
	free(s);
}

/* Runs the host's function in a state of its own, to see whether it fails. */
static int try_init(lua_CFunction init)
{
	bool loaded;
	struct vai_vm *vm = vai__vm_new(NULL, &loaded);
	if (!vm)
		return VAI_ENOMEM;
	vm->needs_close = true;
	lua_pushcfunction(vm->L, init);
	bool done = lua_pcall(vm->L, 0, 0, 0) == LUA_OK;
	const char *text = done ? "" : lua_tostring(vm->L, -1);
	snprintf(init_error, sizeof init_error, "%s", text ? text : "(error object is not a string)");
	vai__vm_free(vm);
	return done ? VAI_OK : VAI_EINVAL;
}

/* Completes the setup s, which the calling thread's home has already, as states of the home are built meanwhile. */
static int prepare(struct vai__setup *s, const struct vai__wishes *w)
{
	if (s->sandbox && all_libraries)
		return VAI_ERANGE; /* without the catalog it is unknown what to remove */
	if (s->sandbox)
		vai__sandbox_prepare(s->sandbox);
	if (s->sandbox && !w->notes(s->sandbox, w->arg))
		return VAI_ENOMEM;
	int rc = w->init ? try_init(w->init) : VAI_OK;
	if (rc != VAI_OK)
		return rc;
	s->init = w->init;
	s->finalizers = w->finalizers;
	s->template = base ? vai__template_build(vai__prepare, NULL, VAI__TEMPLATE_RESERVE) : NULL;
	if (base && !s->template)
		snprintf(s->mode, sizeof s->mode, "build: the template with the host's own could not be made");
	return VAI_OK;
}

static struct vai__setup *find(const struct vai__wishes *w)
{
	struct vai__setup *s = setups;
	while (s && (s->init != w->init || s->finalizers != w->finalizers || !vai__sandbox_equals(s->sandbox, w->sandbox)))
		s = s->next;
	return s;
}

static int add(struct vai__home *home, const struct vai__wishes *w)
{
	struct vai__setup *s = calloc(1, sizeof *s);
	if (!s) {
		vai__sandbox_unref(w->sandbox);
		return VAI_ENOMEM;
	}
	s->id = ++last_id;
	s->refs = 1;
	s->sandbox = w->sandbox;
	put(home, s);
	int rc = prepare(s, w);
	if (rc == VAI_OK) {
		s->next = setups;
		setups = s;
		return VAI_OK;
	}
	put(home, NULL);
	destroy(s);
	return rc;
}

int vai__setup_open(struct vai__home *home, const struct vai__wishes *wishes)
{
	if (!wishes->sandbox && !wishes->init)
		return VAI_OK;
	struct vai__setup *s = find(wishes);
	if (!s)
		return add(home, wishes);
	vai__sandbox_unref(wishes->sandbox);
	s->refs++;
	put(home, s);
	return VAI_OK;
}

void vai__setup_close(struct vai__home *home)
{
	struct vai__setup **link = &setups, *s = setups;
	while (s && s != home->setup)
		s = *(link = &s->next);
	put(home, NULL);
	if (!s || --s->refs > 0)
		return;
	*link = s->next;
	destroy(s);
}

void vai__setup_drop(void)
{
	while (setups) {
		struct vai__setup *s = setups;
		setups = s->next;
		destroy(s);
	}
	atomic_store_relaxed(&vai__sandbox_count, 0);
	base = NULL;
}
