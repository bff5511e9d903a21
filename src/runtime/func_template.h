/* SPDX-License-Identifier: MIT */
/* Templates of functions that are spawned again and again. Any thread. */
#ifndef VAI_FUNC_TEMPLATE_H
#define VAI_FUNC_TEMPLATE_H

#include "code/code.h"
#include "state/template.h"
#include "transfer/call_pattern.h"

/* The template of code with its function loaded, or NULL; counts the spawns and makes one when
 * there are enough. Those of code that was met first with another setup are never there. */
const struct vai__template *vai__func_template_of(struct vai_code *code);
/* A state in which a call is decoded but for what differs from call to call. */
struct vai__call_template {
	struct vai__template *template; /* what the pattern has lies alone on the stack */
	struct vai__call_pattern *pattern;
};
/* The one of code, which has a template, if the call is like that; its objects are to be given to the clone
 * (vai__handles_give). NULL: it is not, or there is none; makes it when there were enough calls. */
const struct vai__call_template *vai__func_template_of_call(
	struct vai_code *code, const vai_msg *call, struct vai_obj *objects[VAI__PATTERN_OBJECTS]);
/* code has been spawned too seldom for a template: what its goroutines use is still noted. */
bool vai__func_template_watches(const struct vai_code *code);
/* For vai__code_templates_drop. */
void vai__func_templates_drop(struct vai_code *code);

#endif
