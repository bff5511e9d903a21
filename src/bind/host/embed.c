/* SPDX-License-Identifier: MIT */
/* vai_lua.h: what C code has in common with the host's state. Called on the host's thread. */
#include "bind/host/host.h"
#include "bind/main_state.h"
#include "capi/capi.h"
#include "state/handle.h"
#include "vai_lua.h"

int vai_lua_pushchan(lua_State *L, vai_chan *ch)
{
	if (vai__capi_kind(ch) != VAI__CAPI_VALUES || !vai__main_vm() || vai__host_main_thread(L) != vai__host_state())
		return VAI_EINVAL;
	vai__handle_push(L, vai__main_vm(), vai_ref(ch), false);
	return VAI_OK;
}

vai_chan *vai_lua_tochan(lua_State *L, int idx)
{
	return (vai_chan *)vai__handle_test(L, idx, &vai__chan_class);
}
