/* SPDX-License-Identifier: MIT */
/* The notes of what goroutines use; see uses.h. */
#include "state/uses.h"

void vai__uses_note(struct vai_vm *vm, unsigned kind, unsigned index)
{
	uint16_t noted = (uint16_t)(kind << 8 | index);
	for (int i = 0; i < VAI__USES; i++) {
		uint16_t old = 0;
		if (atomic_compare_exchange_strong(&vm->profiled->noted[i], &old, noted) || old == noted)
			return;
	}
}
