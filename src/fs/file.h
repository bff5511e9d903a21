/* SPDX-License-Identifier: MIT */
/* Open files: a position, a buffer for what has been read, no buffer for what is written. All goroutines that have a
 * file share it; each call is atomic, and other goroutines queue. Reading goes through a connection of a kind of its
 * own (net/conn.h), whose reading direction stands for the whole file.
 *
 * System calls are made on the thread that runs the goroutine: if one sleeps there, sysmon takes the P away. Any
 * goroutine may call; the caller holds a reference. Functions with a parameter `self` park while another goroutine has
 * the file, and on a FIFO or a device until it is ready; the others do not park. Results are those of net/: VAI_OK,
 * VAI_ECLOSED, VAI_ECANCELED, VAI_EDEADLOCK, VAI_ENOMEM, VAI__ERRNO(e), and for reads VAI__EOF. */
#ifndef VAI_FILE_H
#define VAI_FILE_H

#include <sys/stat.h>
#include "base/obj.h"
#include "net/conn.h"

typedef struct vai_file vai_file; /* a struct vai_obj */
extern const struct vai_class vai__file_class;

/* Gives the flags of open(2) for a mode such as "r", "w+", "ab" or "wx". False: `mode` is no mode. */
bool vai__file_mode(const char *mode, int *flags);
/* Opens a file. flags: of open(2), to which O_CLOEXEC and O_NOCTTY are added; mode: the permissions of a file that
 * is made. VAI_OK: *out has one reference. The call may block in the kernel, as for a FIFO that waits for its other
 * end. */
int vai__file_open(const char *path, int flags, mode_t mode, vai_file **out);
/* Makes a file of an open descriptor, which it takes over in every case; path: its name, which is copied. The
 * descriptor of a FIFO, a socket or a device is made non-blocking. VAI_OK: *out has one reference. */
int vai__file_adopt(int fd, const char *path, vai_file **out);

/* As vai__conn_read, without a limit. */
int vai__file_read(vai_g *self, vai_file *f, enum vai__read_what what, size_t count, struct vai__bytes *out);
/* As vai__conn_read_into, without a limit. */
int vai__file_read_into(vai_g *self, vai_file *f, void *p, size_t n, size_t *got);
/* Writes all n pieces at the file's position, or at its end if it appends, or returns an error; *done: how many bytes
 * were written. iov is changed; the bytes must not move meanwhile. */
int vai__file_write(vai_g *self, vai_file *f, struct iovec *iov, int n, size_t *done);
/* Moves the position. whence: SEEK_SET, SEEK_CUR or SEEK_END. *at: the new position, in bytes from the beginning.
 * VAI__ERRNO(ESPIPE): the file is a FIFO, a socket or a device. */
int vai__file_seek(vai_g *self, vai_file *f, int whence, int64_t offset, int64_t *at);
/* Makes the file `size` bytes long; new bytes are zero. VAI__ERRNO(EINVAL): it is a FIFO, a socket or a device. */
int vai__file_truncate(vai_g *self, vai_file *f, int64_t size);
/* Waits until what was written is on the disk (fsync). The goroutine gives its P away for that. */
int vai__file_sync(vai_g *self, vai_file *f);
/* Fills *st with what the system says of the file. VAI_OK, VAI_ECLOSED or VAI__ERRNO(e). */
int vai__file_stat(vai_file *f, struct stat *st);
/* Closes the file, as vai__conn_close does a connection. True for the first call. */
bool vai__file_close(vai_file *f);
bool vai__file_is_closed(vai_file *f);
/* The path that the file was opened by. Borrowed. */
const char *vai__file_path(const vai_file *f);
/* The connection below the file, for calls that need its descriptor. Borrowed. */
vai_conn *vai__file_conn(vai_file *f);

#endif
