/* SPDX-License-Identifier: MIT */
/* Whether copies of a template work. */
#ifndef VAI_SELFCHECK_H
#define VAI_SELFCHECK_H

#include "state/template.h"

/* Makes copies, uses them hard and closes them. NULL: all went well; otherwise what did not. */
const char *vai__selfcheck(const struct vai__template *template);

#endif
