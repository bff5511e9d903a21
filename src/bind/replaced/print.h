/* SPDX-License-Identifier: MIT */
/* Replacements of print, warn, io.write and file:write, in goroutines and in the host's state. All that one call writes
 * comes out in one piece. A call may park while another one writes, or while the reader of the output does not read. */
#ifndef VAI_PRINT_H
#define VAI_PRINT_H

#include <lua.h>

/* Arguments and results are those of the stock functions. */
int vai__print(lua_State *L);
/* In the host's state "@on" and "@off" also apply to goroutines that begin later. */
int vai__print_warn(lua_State *L);
int vai__print_io_write(lua_State *L);
int vai__print_file_write(lua_State *L);

#endif
