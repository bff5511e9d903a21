/* SPDX-License-Identifier: MIT */
/* Names in folders, and what is done with whole files and trees. Plain system calls that may sleep; results are
 * VAI_OK, VAI_ENOMEM or VAI__ERRNO(e). Any thread. */
#ifndef VAI_TREE_H
#define VAI_TREE_H

#include <sys/stat.h>
#include "base/buffer.h"
#include "net/conn.h"

/* "file", "directory", "link", "fifo", "socket", "char", "block" or "unknown". */
const char *vai__tree_type(mode_t mode);

/* What a folder holds, sorted by name: for each a byte, which is an index for vai__tree_type_at, the name and a
 * NUL. The caller frees the buffer in any case. */
int vai__tree_list(const char *path, struct vai__buffer *out);
const char *vai__tree_type_at(int index);

int vai__tree_mkdirs(const char *path, mode_t mode);
/* A folder with all that is in it, or a file; what is not there is no error. Links are not followed. */
int vai__tree_remove_all(const char *path);
/* A file or an empty folder. */
int vai__tree_remove(const char *path);

/* All of a file. */
int vai__tree_read(const char *path, struct vai__bytes *out);
struct vai__write_opts {
	bool atomic; /* a new file that takes the old one's place when it is on the disk */
	int mode;    /* of a file that is made; -1: as umask says, or the old one's */
};
int vai__tree_write(vai_g *self, const char *path, const char *p, size_t n, const struct vai__write_opts *opts);
/* A file's contents and permissions, over what is there. */
int vai__tree_copy(const char *from, const char *to);
/* A new file at a path that ends in XXXXXX, which is changed: its descriptor. */
int vai__tree_mkstemp(char *path);

#endif
