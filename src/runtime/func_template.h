/* SPDX-License-Identifier: MIT */
/* Templates of functions that are spawned again and again. Any thread. */
#ifndef VAI_FUNC_TEMPLATE_H
#define VAI_FUNC_TEMPLATE_H

#include "code/code.h"
#include "state/template.h"

/* The template of code with its function loaded, or NULL; counts the spawns and makes one when
 * there are enough. */
const struct vai__template *vai__func_template_of(struct vai_code *code);
/* code has been spawned too seldom for a template: what its goroutines use is still noted. */
bool vai__func_template_watches(const struct vai_code *code);
/* Frees what is in code->template, which is not NULL: for vai__code_template_drop. */
void vai__func_template_drop(void *template);

#endif
