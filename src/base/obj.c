/* SPDX-License-Identifier: MIT */
/* The hook for objects that go, and no more: counting references is in obj.h. */
#include "base/obj.h"

void (*vai__obj_gone)(struct vai_obj *o);
