/* SPDX-License-Identifier: MIT */
/* Looks for the note of quick.h in the shared object that a function lies in. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dl_iterate_phdr */
#endif
#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include "base/atomic.h"
#include "base/base.h"
#include "state/quick.h"

enum { OBJECTS = 64 };

/* What is known of shared objects: the segments in which functions lay that were asked for. An entry is written once,
 * by the thread that got its number. */
static struct {
	_Atomic(uintptr_t) lo, hi; /* hi: written last; 0: not written yet */
	bool quick;
} known[OBJECTS];
static atomic_int nknown;

/* The search for the shared object in which the address `inside` lies: its segment, and whether it has the note. */
struct look {
	uintptr_t inside, lo, hi;
	bool quick;
};

static bool is_ours(const ElfW(Nhdr) * note)
{
	return note->n_type == VAI__QUICK_NOTE && note->n_namesz == 4 && memcmp(note + 1, "vai", 4) == 0;
}

static bool has_note(const char *p, size_t size, size_t align)
{
	const size_t mask = align == 8 ? 7 : 3;
	while (size >= sizeof(ElfW(Nhdr))) {
		const ElfW(Nhdr) *note = (const void *)p;
		size_t n = (sizeof *note + note->n_namesz + mask) & ~mask;
		n = (n + note->n_descsz + mask) & ~mask;
		if (n > size)
			return false;
		if (is_ours(note))
			return true;
		p += n;
		size -= n;
	}
	return false;
}

static int look_at(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct look *l = arg;
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + h->p_vaddr, hi = lo + h->p_memsz;
		if (h->p_type == PT_LOAD && l->inside >= lo && l->inside < hi) {
			l->lo = lo;
			l->hi = hi;
		}
		if (h->p_type == PT_NOTE)
			l->quick |= has_note((const char *)lo, h->p_memsz, h->p_align); /* NOLINT(performance-no-int-to-ptr) */
	}
	if (!l->hi)
		l->quick = false; /* the note was another object's */
	return l->hi != 0;
}

static bool ask(uintptr_t f)
{
	struct look l = {.inside = f};
	dl_iterate_phdr(look_at, &l);
	int i = l.hi ? atomic_fetch_add(&nknown, 1) : OBJECTS;
	if (i >= OBJECTS)
		return false; /* the table is full: functions of further shared objects count as ones that may wait */
	known[i].quick = l.quick;
	atomic_store_relaxed(&known[i].lo, l.lo);
	atomic_store_release(&known[i].hi, l.hi);
	return l.quick;
}

bool vai__quick_has(lua_CFunction f)
{
	const uintptr_t at = (uintptr_t)f;
	int n = atomic_load_relaxed(&nknown);
	for (int i = 0; i < n && i < OBJECTS; i++)
		if (at < atomic_load_acquire(&known[i].hi) && at >= atomic_load_relaxed(&known[i].lo))
			return known[i].quick;
	return n < OBJECTS && ask(at);
}
