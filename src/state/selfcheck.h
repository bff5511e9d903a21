/* SPDX-License-Identifier: MIT */
/* Whether copies of a template work. */
#ifndef VAI_SELFCHECK_H
#define VAI_SELFCHECK_H

#include "state/template.h"

/* Makes copies, runs scripts in them and closes them. NULL: all went well; otherwise a constant string that says what
 * did not. Any thread. */
const char *vai__selfcheck(const struct vai__template *template);

#endif
