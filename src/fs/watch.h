/* SPDX-License-Identifier: MIT */
/* Channels that tell what changes in a folder or of a file, by inotify. A watch lasts until its channel is closed or
 * its last reference is gone. Any thread; nothing parks. */
#ifndef VAI_WATCH_H
#define VAI_WATCH_H

#include "sync/chan.h"

/* A change, of which `make` makes a message: two or three strings. */
struct vai__change {
	const char *type; /* "change", "create", "remove", "rename", "overflow" */
	const char *name; /* the file's name in the folder */
	const char *from; /* for "rename": the file's name before; otherwise NULL */
};

/* Watches a folder or a file, which need not be there yet, though its folder must. make: gives the message for a
 * change, called without a goroutine, under a lock, so it neither waits nor runs Lua code; false: out of memory, and
 * the change is not told. drop: as for vai__chan_new. VAI_OK and *out with one reference, VAI_ENOMEM or
 * VAI__ERRNO(e). */
int vai__fs_watch(
	const char *path, bool (*make)(vai_msg *msg, const struct vai__change *change), vai_drop_fn *drop, vai_chan **out);

#endif
