/* SPDX-License-Identifier: MIT */
/* Places in Lua sources as small numbers: where shared objects were created, for dumps. Kept
 * for the life of the process. Any thread. */
#ifndef VAI_SITE_H
#define VAI_SITE_H

#include <lua.h>
#include <stdint.h>

enum { VAI__SITE_SIZE = 64 };

/* Writes "src:line", src cut to fit. */
void vai__site_format(char *buf, size_t size, const char *src, int line);
/* The number of the place in the innermost Lua function that calls us; 0: unknown. Never raises. */
uint32_t vai__site_here(lua_State *L);
/* The same as "file.lua:12"; NULL: unknown. */
const char *vai__site_text_here(lua_State *L);
/* The number of a place that is written so. */
uint32_t vai__site_number(const char *text);
/* "file.lua:12"; "" for 0. */
const char *vai__site_text(uint32_t site);

#endif
