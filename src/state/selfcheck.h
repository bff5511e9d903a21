/* SPDX-License-Identifier: MIT */
/* Whether copies of a template work. */
#ifndef VAI_SELFCHECK_H
#define VAI_SELFCHECK_H

#include "state/template.h"

/* Makes copies, runs much in them and closes them. NULL: all went well; otherwise what did not, a constant string. Any
 * thread. */
const char *vai__selfcheck(const struct vai__template *template);

#endif
