/* SPDX-License-Identifier: MIT */
/* See obj.h. */
#include "base/obj.h"

void (*vai__obj_gone)(struct vai_obj *o);
