/* SPDX-License-Identifier: MIT */
/* Names in folders, and what is done with whole files and trees. Plain system calls that may sleep in the kernel;
 * nothing parks but vai__tree_write. Results are VAI_OK, VAI_ENOMEM or VAI__ERRNO(e). Any thread. */
#ifndef VAI_TREE_H
#define VAI_TREE_H

#include <sys/stat.h>
#include "base/buffer.h"
#include "net/conn.h"

/* The word for the type in a mode: "file", "directory", "link", "fifo", "socket", "char", "block" or "unknown". */
const char *vai__tree_type(mode_t mode);

/* What a folder holds, sorted by name: for each a byte, which is an index for vai__tree_type_at, the name and a
 * NUL. The caller frees the buffer in any case. */
int vai__tree_list(const char *path, struct vai__buffer *out);
/* As vai__tree_type, for the byte before a name in such a list. */
const char *vai__tree_type_at(int index);

/* Makes the folder and those above it that are not there, with these permissions less the umask. What is there already
 * is no error if it is a folder. */
int vai__tree_mkdirs(const char *path, mode_t mode);
/* Removes a folder with all that is in it, or a file. A path that is not there is no error. Links are not followed. */
int vai__tree_remove_all(const char *path);
/* Removes a file or an empty folder. */
int vai__tree_remove(const char *path);

/* Reads all of a file, of any kind, up to its end. VAI_OK: *out is the caller's (vai__conn_bytes_free). */
int vai__tree_read(const char *path, struct vai__bytes *out);
struct vai__write_opts {
	bool atomic; /* a new file that takes the old one's place when it is on the disk */
	int mode;    /* of a file that is made; -1: as umask says, or the old one's */
};
/* Writes n bytes as all of the file's contents. With `atomic` the goroutine gives its P away while that comes to the
 * disk; where it fails the old file is as it was. */
int vai__tree_write(vai_g *self, const char *path, const char *p, size_t n, const struct vai__write_opts *opts);
/* Copies the contents and permissions of a file, over what is there. */
int vai__tree_copy(const char *from, const char *to);
/* Makes a new file at a path that ends in XXXXXX, which it replaces in place by letters that nobody uses. Returns the
 * descriptor, close-on-exec, or an error as above. */
int vai__tree_mkstemp(char *path);

#endif
