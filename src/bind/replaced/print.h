/* SPDX-License-Identifier: MIT */
/* What stands for print, warn, io.write and file:write, in goroutines and in the host's state. What one call writes
 * comes out in one piece, whatever other goroutines write. A call may park while another one writes, or while who
 * reads the output does not. */
#ifndef VAI_PRINT_H
#define VAI_PRINT_H

#include <lua.h>

/* As the stock functions, whose arguments and results they have. */
int vai__print(lua_State *L);
/* In the host's state, "@on" and "@off" count for goroutines that begin later, too. */
int vai__print_warn(lua_State *L);
int vai__print_io_write(lua_State *L);
int vai__print_file_write(lua_State *L);

#endif
