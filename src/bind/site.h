/* SPDX-License-Identifier: MIT */
/* Places in Lua sources as small numbers: where shared objects were created, for dumps. They are kept for the life of
 * the process. Any thread. */
#ifndef VAI_SITE_H
#define VAI_SITE_H

#include <lua.h>
#include <stdint.h>

enum { VAI__SITE_SIZE = 64 };

/* Writes "src:line", with src cut to fit. */
void vai__site_format(char *buf, size_t size, const char *src, int line);
/* The number of the current line of the innermost Lua function; 0: unknown. Never raises. */
uint32_t vai__site_here(lua_State *L);
/* The same as text, "file.lua:12"; NULL: unknown. */
const char *vai__site_text_here(lua_State *L);
/* The number of the place with this text. */
uint32_t vai__site_number(const char *text);
/* The text of a place, "file.lua:12"; "" for 0. */
const char *vai__site_text(uint32_t site);

#endif
