/* SPDX-License-Identifier: MIT */
/* See file.h.
 *
 * The position is the kernel's, so a process that gets the file goes on where vai was. The bytes in the buffer lie
 * behind the position that a user sees, so a write or a seek first moves back by that much and drops them. Pipes and
 * terminals that were opened by name have no position: goroutines wait for them in the poller, and their two directions
 * are independent. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "fs/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"

struct vai_file {
	struct vai_obj obj;
	vai_conn *conn;
	bool stream; /* a pipe, a terminal or another file without a position */
	char *path;
	size_t path_size;
};

static VAI_NOINLINE int result(int64_t n)
{
	return n < 0 ? VAI__ERRNO(errno) : VAI_OK;
}

static void destroy(struct vai_obj *o)
{
	vai_file *f = VAI_CONTAINER(o, vai_file, obj);
	vai__conn_close(f->conn);
	vai__obj_unref((struct vai_obj *)f->conn);
	vai__mem_free(f->path, f->path_size);
	vai__mem_free(f, sizeof *f);
}

const struct vai_class vai__file_class = {"file", destroy};

/* ---- the kinds of connections ---- */

static ssize_t file_recv(vai_conn *c, void *p, size_t n)
{
	return vai__conn_file.recv(c, p, n);
}

static ssize_t file_send(vai_conn *c, const struct iovec *iov, int n)
{
	ssize_t sent;
	do
		sent = writev(vai__desc_fd(vai__conn_desc(c)), iov, n);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? VAI__ERRNO(errno) : sent;
}

static ssize_t stream_send(vai_conn *c, const struct iovec *iov, int n)
{
	return vai__conn_file.send(c, iov, n);
}

static const struct vai__conn_ops regular = {.name = "file", .recv = file_recv, .send = file_send, .grows = true};
static const struct vai__conn_ops stream = {.name = "file", .recv = file_recv, .send = stream_send, .grows = true};

/* ---- opening ---- */

bool vai__file_mode(const char *mode, int *flags)
{
	bool plus = strchr(mode, '+') != NULL, excl = strchr(mode, 'x') != NULL;
	if (!*mode || strspn(mode + 1, "+bx") != strlen(mode + 1) || strlen(mode) > 4)
		return false;
	switch (*mode) {
	case 'r': *flags = 0; break;
	case 'w': *flags = O_CREAT | O_TRUNC; break;
	case 'a': *flags = O_CREAT | O_APPEND; break;
	default: return false;
	}
	*flags |= plus ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY;
	*flags |= excl ? O_EXCL : 0;
	return !excl || *mode != 'r';
}

/* Makes the descriptor non-blocking, if it is one to wait for; its open file is this process's alone. */
static bool make_stream(int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode))
		return false;
	int flags = fcntl(fd, F_GETFL);
	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* Makes the object, without a descriptor. NULL: out of memory. */
static vai_file *file_new(const char *path)
{
	size_t size = strlen(path) + 1;
	vai_file *f = vai__mem_zalloc(sizeof *f);
	char *copy = f ? vai__mem_alloc(size) : NULL;
	if (!copy) {
		vai__mem_free(f, sizeof *f);
		return NULL;
	}
	memcpy(copy, path, size);
	vai__obj_init(&f->obj, &vai__file_class);
	f->path = copy;
	f->path_size = size;
	return f;
}

static void file_free(vai_file *f)
{
	vai__mem_free(f->path, f->path_size);
	vai__mem_free(f, sizeof *f);
}

int vai__file_adopt(int fd, const char *path, vai_file **out)
{
	int rc = VAI_ENOMEM;
	vai_file *f = file_new(path);
	struct vai__desc *d = f ? vai__desc_new_unpolled(fd, false, &rc) : NULL;
	if (!d) {
		close(fd);
		if (f)
			file_free(f);
		return rc;
	}
	f->stream = make_stream(fd);
	f->conn = vai__conn_new(d, f->stream ? &stream : &regular, NULL);
	if (!f->conn) {
		file_free(f);
		return VAI_ENOMEM;
	}
	vai__conn_set_max(f->conn, SIZE_MAX / 2, SIZE_MAX / 2);
	*out = f;
	return VAI_OK;
}

int vai__file_open(const char *path, int flags, mode_t mode, vai_file **out)
{
	int fd;
	do
		fd = open(path, flags | O_CLOEXEC | O_NOCTTY, mode);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? VAI__ERRNO(errno) : vai__file_adopt(fd, path, out);
}

/* ---- using ---- */

/* Takes the file for the caller alone, with the descriptor at the position that a user sees. VAI_OK: the caller ends it
 * with leave. */
static int enter(vai_g *self, vai_file *f, int *fd)
{
	struct vai__iowait w = {.reason = VAI_WAIT_READ, .obj = f->conn, .limit = VAI_FOREVER};
	struct vai__desc *d = vai__conn_desc(f->conn);
	int rc = vai__desc_take(self, d, VAI__READ, &w);
	if (rc != VAI_OK)
		return rc;
	*fd = vai__desc_fd(d);
	size_t ahead = vai__conn_drop_buffer(f->conn);
	if (ahead > 0)
		lseek(*fd, -(off_t)ahead, SEEK_CUR);
	return VAI_OK;
}

static int leave(vai_file *f, int rc)
{
	vai__desc_give(vai__conn_desc(f->conn), VAI__READ);
	return rc;
}

int vai__file_read(vai_g *self, vai_file *f, enum vai__read_what what, size_t count, struct vai__bytes *out)
{
	return vai__conn_read(self, f->conn, (struct vai__asked){.what = what, .count = count}, VAI_FOREVER, NULL, out);
}

/* A function of its own, so that errno is read where nothing parks between. */
static VAI_NOINLINE int write_here(vai_g *self, vai_file *f, struct iovec *iov, int n, size_t *done)
{
	return vai__conn_write(self, f->conn, iov, n, VAI_FOREVER, done);
}

int vai__file_read_into(vai_g *self, vai_file *f, void *p, size_t n, size_t *got)
{
	return vai__conn_read_into(self, f->conn, p, n, VAI_FOREVER, got);
}

int vai__file_write(vai_g *self, vai_file *f, struct iovec *iov, int n, size_t *done)
{
	int fd;
	*done = 0;
	if (f->stream)
		return write_here(self, f, iov, n, done);
	int rc = enter(self, f, &fd);
	return rc == VAI_OK ? leave(f, write_here(self, f, iov, n, done)) : rc;
}

int vai__file_seek(vai_g *self, vai_file *f, int whence, int64_t offset, int64_t *at)
{
	int fd;
	if (f->stream)
		return VAI__ERRNO(ESPIPE);
	int rc = enter(self, f, &fd);
	if (rc != VAI_OK)
		return rc;
	*at = lseek(fd, offset, whence);
	return leave(f, result(*at));
}

int vai__file_truncate(vai_g *self, vai_file *f, int64_t size)
{
	int fd;
	if (f->stream)
		return VAI__ERRNO(EINVAL);
	int rc = enter(self, f, &fd);
	return rc == VAI_OK ? leave(f, result(ftruncate(fd, size))) : rc;
}

/* A function of its own: nothing parks between the system call and its errno. */
static VAI_NOINLINE int sync_fd(int fd)
{
	return result(fsync(fd));
}

int vai__file_sync(vai_g *self, vai_file *f)
{
	struct vai__desc *d = vai__conn_desc(f->conn);
	if (!vai__desc_hold(d))
		return VAI_ECLOSED;
	vai__g_block_begin(self);
	int rc = sync_fd(vai__desc_fd(d));
	vai__g_block_end(self);
	vai__desc_unhold(d);
	return rc;
}

int vai__file_stat(vai_file *f, struct stat *st)
{
	struct vai__desc *d = vai__conn_desc(f->conn);
	if (!vai__desc_hold(d))
		return VAI_ECLOSED;
	int rc = result(fstat(vai__desc_fd(d), st));
	vai__desc_unhold(d);
	return rc;
}

bool vai__file_close(vai_file *f)
{
	return vai__conn_close(f->conn);
}

bool vai__file_is_closed(vai_file *f)
{
	return vai__desc_is_closed(vai__conn_desc(f->conn));
}

const char *vai__file_path(const vai_file *f)
{
	return f->path;
}

vai_conn *vai__file_conn(vai_file *f)
{
	return f->conn;
}
