/* SPDX-License-Identifier: MIT */
/* Modules in C whose functions never wait: vai's own, beside vai.so (ext/). Goroutines that have functions of other
 * modules keep off main's thread, as main could not run there while such a function waits. */
#ifndef VAI_QUICK_H
#define VAI_QUICK_H

#include <lua.h>

/* Such a module has VAI__QUICK_MODULE in one of its sources, outside of functions. The macro puts a note into the
 * shared object, which vai__quick_has finds in memory. The module must not be unloaded (-z nodelete). */
#define VAI__QUICK_NOTE 0x76616971 /* "qiav" */
#define VAI__QUICK_MODULE \
	__asm__(".pushsection .note.vai.quick, \"a\", %note\n" \
			".balign 4\n" \
			".long 4, 0, 0x76616971\n" \
			".asciz \"vai\"\n" \
			".popsection\n")

/* Whether f belongs to a module with that note. Any thread. Each shared object is looked at once. */
bool vai__quick_has(lua_CFunction f);

#endif
