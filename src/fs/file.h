/* SPDX-License-Identifier: MIT */
/* Open files: a position, a buffer for what has been read, no buffer for what is written. A file is shared by all
 * goroutines that have it; each call is whole, the others wait their turn. Reading goes through a connection of
 * a kind of its own (net/conn.h), whose reading direction stands for the whole file.
 *
 * System calls are made on the thread that runs the goroutine: the monitor takes the P of one that sleeps there.
 * Any goroutine may call; the caller holds a reference. Results are those of net/. */
#ifndef VAI_FILE_H
#define VAI_FILE_H

#include <sys/stat.h>
#include "base/obj.h"
#include "net/conn.h"

typedef struct vai_file vai_file; /* a struct vai_obj */
extern const struct vai_class vai__file_class;

/* "r", "w+", "ab", "wx", ... as flags of open(2). False: it is none. */
bool vai__file_mode(const char *mode, int *flags);
int vai__file_open(const char *path, int flags, mode_t mode, vai_file **out);
/* Takes fd over in every case. */
int vai__file_adopt(int fd, const char *path, vai_file **out);

int vai__file_read(vai_g *self, vai_file *f, enum vai__read_what what, size_t count, struct vai__bytes *out);
/* As vai__conn_read_into. */
int vai__file_read_into(vai_g *self, vai_file *f, void *p, size_t n, size_t *got);
/* All of it, or an error; *done: how many bytes. iov is used up. */
int vai__file_write(vai_g *self, vai_file *f, struct iovec *iov, int n, size_t *done);
/* whence: SEEK_SET, SEEK_CUR or SEEK_END. *at: the new position. */
int vai__file_seek(vai_g *self, vai_file *f, int whence, int64_t offset, int64_t *at);
int vai__file_truncate(vai_g *self, vai_file *f, int64_t size);
/* Until it is on the disk: gives the P away meanwhile. */
int vai__file_sync(vai_g *self, vai_file *f);
int vai__file_stat(vai_file *f, struct stat *st);
/* True for the first call. */
bool vai__file_close(vai_file *f);
bool vai__file_is_closed(vai_file *f);
const char *vai__file_path(const vai_file *f);
/* Its connection, for what has to do with descriptors. Borrowed. */
vai_conn *vai__file_conn(vai_file *f);

#endif
