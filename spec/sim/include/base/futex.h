/* SPDX-License-Identifier: MIT */
/* Instead of src/base/futex.h: the same functions, simulated (host.c); a pause lets others run. */
#ifndef VAI_FUTEX_H
#define VAI_FUTEX_H

#include <stdatomic.h>
#include "base/base.h"

void vai__futex_wait(atomic_uint *word, unsigned expect, int64_t deadline);
void vai__futex_wake(atomic_uint *word, int n);
void vai__cpu_relax(void);

#endif
