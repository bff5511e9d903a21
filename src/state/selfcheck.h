/* SPDX-License-Identifier: MIT */
/* Whether copies of a template work. */
#ifndef VAI_SELFCHECK_H
#define VAI_SELFCHECK_H

#include "state/template.h"

/* Makes a copy, uses it hard, closes it. NULL if all went well, else what did not. */
const char *vai__selfcheck(const struct vai__template *template);

#endif
