/* SPDX-License-Identifier: MIT */
/* Templates of Lua states for functions that are spawned again and again: a new state is a copy of one. Any thread. */
#ifndef VAI_FUNC_TEMPLATE_H
#define VAI_FUNC_TEMPLATE_H

#include "code/code.h"
#include "state/template.h"
#include "transfer/call_pattern.h"

/* The template of code, with the code's function loaded; or NULL. Each call counts as a spawn, and after enough of
 * them the template is made. Code that was first spawned in a home with another setup never gets one. */
const struct vai__template *vai__func_template_of(struct vai_code *code);
/* The template of a state in which all of a call is decoded, except what differs from call to call. */
struct vai__call_template {
	struct vai__template *template; /* on its stack lies only what the pattern describes */
	struct vai__call_pattern *pattern;
};
/* The call template of code, which has a template, if the call has its pattern; its objects must be given to the copy
 * (vai__handles_give). NULL: there is none, or the call differs. Makes one when there were enough calls. */
const struct vai__call_template *vai__func_template_of_call(
	struct vai_code *code, const vai_msg *call, struct vai_obj *objects[VAI__PATTERN_OBJECTS]);
/* Whether code has been spawned too seldom for a template, so that what its goroutines use is still noted. */
bool vai__func_template_watches(const struct vai_code *code);
/* Frees the templates of code, for vai__code_templates_drop. */
void vai__func_templates_drop(struct vai_code *code);

#endif
