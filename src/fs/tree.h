/* SPDX-License-Identifier: MIT */
/* Names in folders, and work on whole files and trees. Plain system calls, which may sleep in the kernel; only
 * vai__tree_write parks. Any thread. Results are VAI_OK, VAI_ENOMEM or VAI__ERRNO(e). */
#ifndef VAI_TREE_H
#define VAI_TREE_H

#include <sys/stat.h>
#include "base/buffer.h"
#include "net/conn.h"

/* The word for the type in a mode: "file", "directory", "link", "fifo", "socket", "char", "block" or "unknown". */
const char *vai__tree_type(mode_t mode);

/* Lists a folder, sorted by name: for each entry a byte (an index for vai__tree_type_at), the name and a zero. The
 * caller frees the buffer in any case. */
int vai__tree_list(const char *path, struct vai__buffer *out);
/* The word for the type of an entry in such a list, from the byte before its name. */
const char *vai__tree_type_at(int index);

/* Makes the folder and the missing ones above it, with these permissions less the umask. A folder that is there already
 * is no error. */
int vai__tree_mkdirs(const char *path, mode_t mode);
/* Removes a folder with all that is in it, or a file. A path that is not there is no error. Links are not followed. */
int vai__tree_remove_all(const char *path);
/* Removes a file or an empty folder. */
int vai__tree_remove(const char *path);

/* Reads all of a file, of any kind, to its end. VAI_OK: *out is the caller's to free (vai__conn_bytes_free). */
int vai__tree_read(const char *path, struct vai__bytes *out);
struct vai__write_opts {
	bool atomic; /* write a new file, and give it the old one's place once it is on the disk */
	int mode;    /* permissions of a new file; -1: the old file's, or as the umask says */
};
/* Makes n bytes the whole contents of a file. With `atomic` the goroutine gives its P away until they are on the disk,
 * and a failure leaves the old file as it was. */
int vai__tree_write(vai_g *self, const char *path, const char *p, size_t n, const struct vai__write_opts *opts);
/* Copies the contents and permissions of a file, over what is there. */
int vai__tree_copy(const char *from, const char *to);
/* Makes a new file at a path that ends in XXXXXX, which are replaced in place so that the name is unused. Returns the
 * descriptor, close-on-exec, or an error as above. */
int vai__tree_mkstemp(char *path);

#endif
