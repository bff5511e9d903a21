/* SPDX-License-Identifier: MIT */
/* Channels that tell what changes in a folder or of a file, by inotify. A watch lasts until its channel is closed
 * or nobody has it any more. Any thread; nothing parks. */
#ifndef VAI_WATCH_H
#define VAI_WATCH_H

#include "sync/chan.h"

/* What becomes a message: two or three strings. */
struct vai__change {
	const char *type; /* "change", "create", "remove", "rename", "overflow" */
	const char *name; /* in the folder */
	const char *from; /* "rename": its name before; or NULL */
};

/* make: gives the message for a change; false: out of memory, the change is not told. It is called without a
 * goroutine, under a lock, and neither waits nor runs Lua code. drop: as vai__chan_new's. The file need not be there
 * yet, its folder must. VAI_OK, VAI_ENOMEM or VAI__ERRNO(e); *out: one reference. */
int vai__fs_watch(
	const char *path, bool (*make)(vai_msg *msg, const struct vai__change *change), vai_drop_fn *drop, vai_chan **out);

#endif
