/* SPDX-License-Identifier: MIT */
/* See tree.h. Every function here may stay in the system for long, and none of them parks: a caller on main's
 * thread leaves it first (bind/lib/fslib.c), and the monitor takes the P of one that sleeps. Results are VAI_OK or
 * VAI__ERRNO of the first call that failed; errno itself is read at once, because a free or close in between may
 * change it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "fs/tree.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"

static int result(int64_t n)
{
	return n < 0 ? VAI__ERRNO(errno) : VAI_OK;
}

/* ---- types ---- */

/* The kinds of files, by what stat and readdir call them. A kind's index here is the byte that stands before a name
 * in a listing. */
static const struct {
	mode_t mode;
	int dirent;
	const char *name;
} types[] = {
	{0, DT_UNKNOWN, "unknown"},
	{S_IFREG, DT_REG, "file"},
	{S_IFDIR, DT_DIR, "directory"},
	{S_IFLNK, DT_LNK, "link"},
	{S_IFIFO, DT_FIFO, "fifo"},
	{S_IFSOCK, DT_SOCK, "socket"},
	{S_IFCHR, DT_CHR, "char"},
	{S_IFBLK, DT_BLK, "block"},
};
enum { TYPES = sizeof types / sizeof *types };

const char *vai__tree_type(mode_t mode)
{
	for (int i = 1; i < TYPES; i++)
		if (types[i].mode == (mode & S_IFMT))
			return types[i].name;
	return types[0].name;
}

const char *vai__tree_type_at(int index)
{
	return types[index > 0 && index < TYPES ? index : 0].name;
}

/* The type of an entry; asks the system where the file system does not say. */
static int type_of(int dir, const struct dirent *e)
{
	struct stat st;
	if (e->d_type != DT_UNKNOWN) {
		for (int i = 1; i < TYPES; i++)
			if (types[i].dirent == e->d_type)
				return i;
		return 0;
	}
	if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		for (int i = 1; i < TYPES; i++)
			if (types[i].mode == (st.st_mode & S_IFMT))
				return i;
	return 0;
}

/* ---- listing ---- */

/* Every folder lists itself and its parent, which no caller wants. */
static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Reads the entries in the order of the folder; *n: how many. */
static int collect(DIR *dir, struct vai__buffer *out, size_t *n)
{
	struct dirent *e;
	*n = 0;
	while (errno = 0, (e = readdir(dir)) != NULL) {
		char type = (char)type_of(dirfd(dir), e);
		if (is_dots(e->d_name))
			continue;
		if (!vai__buffer_add(out, &type, 1) || !vai__buffer_add(out, e->d_name, strlen(e->d_name) + 1))
			return VAI_ENOMEM;
		++*n;
	}
	return errno ? VAI__ERRNO(errno) : VAI_OK;
}

/* Compares two entries: each is a byte, then a name that ends with a zero. Bytes are compared, so the order is the same
 * in every locale. */
static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a + 1, *(const char *const *)b + 1);
}

/* Sorts the entries in b by name. The pointers that are sorted lead into b, so they are taken after b has stopped
 * growing. */
static int sort(struct vai__buffer *b, size_t n)
{
	struct vai__buffer sorted = {0};
	const char **at = calloc(n ? n : 1, sizeof *at);
	if (!at || !vai__buffer_reserve(&sorted, b->n ? b->n : 1)) {
		free(at);
		return VAI_ENOMEM;
	}
	const char *p = b->p;
	for (size_t i = 0; i < n; i++, p += strlen(p + 1) + 2)
		at[i] = p;
	qsort(at, n, sizeof *at, by_name);
	for (size_t i = 0; i < n; i++)
		vai__buffer_add(&sorted, at[i], strlen(at[i] + 1) + 2);
	free(at);
	vai__buffer_free(b);
	*b = sorted;
	return VAI_OK;
}

int vai__tree_list(const char *path, struct vai__buffer *out)
{
	size_t n;
	DIR *dir = opendir(path);
	if (!dir)
		return VAI__ERRNO(errno);
	int rc = collect(dir, out, &n);
	closedir(dir);
	return rc == VAI_OK ? sort(out, n) : rc;
}

/* ---- making and removing ---- */

/* Follows links, as mkdir -p does. */
static bool is_folder(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Makes the folders on the way to each slash of p, then p itself. A folder that is there already is no error, even if
 * another process has made it in between: so mkdir comes first, and the look after it. p is cut at each slash and
 * mended again. */
static int mkdirs(char *p, mode_t mode)
{
	for (char *at = p + 1;; at++) {
		if (*at && (*at != '/' || at[1] == '/'))
			continue;
		char end = *at;
		*at = 0;
		int err = mkdir(p, mode) == 0 ? 0 : errno;
		bool fine = err == 0 || is_folder(p);
		*at = end;
		if (!fine)
			return VAI__ERRNO(err == EEXIST && end ? ENOTDIR : err);
		if (!end)
			return VAI_OK;
	}
}

int vai__tree_mkdirs(const char *path, mode_t mode)
{
	char *copy = *path ? strdup(path) : NULL;
	if (!copy)
		return *path ? VAI_ENOMEM : VAI__ERRNO(ENOENT);
	int rc = mkdirs(copy, mode);
	free(copy);
	return rc;
}

/* unlink of a folder gives EISDIR on Linux and EPERM by POSIX, and EPERM also for files that may not be removed. So
 * after either rmdir is tried, and if the name turns out to be no folder the first error is returned. */
int vai__tree_remove(const char *path)
{
	if (unlink(path) == 0)
		return VAI_OK;
	int err = errno;
	if (err != EISDIR && err != EPERM)
		return VAI__ERRNO(err);
	if (rmdir(path) == 0)
		return VAI_OK;
	return VAI__ERRNO(errno == ENOTDIR ? err : errno);
}

static int remove_at(int at, const char *name);

/* Goes from open folder to open folder (openat, unlinkat), never by a path: another process that may write there could
 * put a link in place of a folder between two calls, and lead this elsewhere. Takes over fd. */
static int remove_contents(int fd)
{
	int rc = VAI_OK;
	struct dirent *e;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		rc = VAI__ERRNO(errno);
		close(fd);
		return rc;
	}
	while (rc == VAI_OK && (errno = 0, e = readdir(dir)) != NULL)
		if (!is_dots(e->d_name))
			rc = remove_at(dirfd(dir), e->d_name);
	closedir(dir);
	return rc;
}

/* Removes the name in the open folder `at`, with all below it. A name that is gone already counts as removed. A link is
 * removed itself and never followed (O_NOFOLLOW). */
static int remove_at(int at, const char *name)
{
	if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
		return VAI_OK;
	if (errno != EISDIR && errno != EPERM)
		return VAI__ERRNO(errno);
	int err = errno;
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return VAI__ERRNO(errno == ENOTDIR ? err : errno);
	int rc = remove_contents(fd);
	if (rc != VAI_OK)
		return rc;
	return unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? VAI_OK : VAI__ERRNO(errno);
}

int vai__tree_remove_all(const char *path)
{
	return *path ? remove_at(AT_FDCWD, path) : VAI__ERRNO(ENOENT);
}

/* ---- whole files ---- */

enum { FIRST = 4096, MORE = 65536 };

/* Grows the block: by MORE at least, and to twice its size once it is larger than MORE. False: out of memory, and b is
 * as it was. */
static bool grow(struct vai__bytes *b)
{
	size_t cap = vai__mem_round(b->cap < MORE ? b->cap + MORE : 2 * b->cap);
	char *p = vai__mem_alloc(cap);
	if (!p)
		return false;
	memcpy(p, b->p, b->n);
	vai__mem_free(b->p, b->cap);
	b->p = p;
	b->cap = cap;
	return true;
}

/* Reads to the end. The size that the system tells is only a first guess: files grow, and those in /proc have size
 * 0. */
static int read_all(int fd, struct vai__bytes *b)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return VAI__ERRNO(errno);
	b->cap = vai__mem_round(st.st_size > 0 ? (size_t)st.st_size + 1 : FIRST);
	b->p = vai__mem_alloc(b->cap);
	for (;;) {
		if (!b->p || (b->n == b->cap && !grow(b)))
			return VAI_ENOMEM;
		ssize_t n = read(fd, b->p + b->n, b->cap - b->n);
		if (n == 0)
			return VAI_OK;
		if (n > 0)
			b->n += (size_t)n;
		else if (errno != EINTR)
			return VAI__ERRNO(errno);
	}
}

/* Opens a file; returns its descriptor or VAI__ERRNO(e). Opening a terminal does not make it the controlling one
 * (O_NOCTTY). Opening a FIFO may wait for its other end, and so be interrupted: then it is repeated. */
static int open_file(const char *path, int flags, mode_t mode)
{
	int fd;
	do
		fd = open(path, flags | O_CLOEXEC | O_NOCTTY, mode);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? VAI__ERRNO(errno) : fd;
}

int vai__tree_read(const char *path, struct vai__bytes *out)
{
	*out = (struct vai__bytes){0};
	int fd = open_file(path, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	int rc = read_all(fd, out);
	close(fd);
	if (rc == VAI_OK)
		return rc;
	if (!out->p)
		out->cap = 0;
	vai__conn_bytes_free(out);
	return rc;
}

/* Writes all. A write may take only part (a signal, a full disk, a quota); the next one then tells why. */
static int write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno != EINTR)
			return VAI__ERRNO(errno);
		if (done > 0) {
			p += done;
			n -= (size_t)done;
		}
	}
	return VAI_OK;
}

/* Closes fd. Returns rc or, if that is VAI_OK, how closing has ended: network file systems report there what could not
 * be written. After EINTR Linux has closed the descriptor all the same, so that is no error. */
static int close_file(int fd, int rc)
{
	return close(fd) < 0 && rc == VAI_OK && errno != EINTR ? VAI__ERRNO(errno) : rc;
}

/* Puts random letters in place of the six at p. Without randomness the letters are always the same; O_EXCL even then
 * keeps this from opening another's file. */
static void letters(char *p)
{
	static const char set[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	unsigned char bytes[6];
	if (getentropy(bytes, sizeof bytes) < 0)
		memset(bytes, 0, sizeof bytes);
	for (size_t i = 0; i < sizeof bytes; i++)
		p[i] = set[bytes[i] % (sizeof set - 1)];
}

/* Makes a new file at a path that ends in XXXXXX, and returns its descriptor. */
static int create_unique(char *path, int flags, mode_t mode)
{
	int fd = VAI__ERRNO(EEXIST);
	for (int tries = 0; tries < 100 && fd == VAI__ERRNO(EEXIST); tries++) {
		letters(path + strlen(path) - 6);
		fd = open_file(path, O_CREAT | O_EXCL | flags, mode);
	}
	return fd;
}

int vai__tree_mkstemp(char *path)
{
	return create_unique(path, O_RDWR, 0600);
}

/* Writes the new file and, if `keep`, gives it the permissions of the file at the path before it gets that name, so
 * that nobody finds it with others. fsync comes before the rename, as a crash could otherwise leave the name on an
 * empty file. */
static int fill(int fd, const char *path, const char *p, size_t n, bool keep)
{
	struct stat st;
	int rc = write_all(fd, p, n);
	if (rc == VAI_OK && keep && stat(path, &st) == 0)
		rc = result(fchmod(fd, st.st_mode & 07777));
	return rc == VAI_OK ? result(fsync(fd)) : rc;
}

/* If the path is a link, the file that it leads to is replaced, not the link. */
static VAI_NOINLINE int write_atomic(const char *path, const char *p, size_t n, int mode)
{
	char *real = realpath(path, NULL);
	const char *target = real ? real : path;
	size_t size = strlen(target) + sizeof ".XXXXXX";
	char *temp = malloc(size);
	int rc = VAI_ENOMEM;
	if (temp) {
		snprintf(temp, size, "%s.XXXXXX", target);
		int fd = create_unique(temp, O_WRONLY, mode >= 0 ? (mode_t)mode : 0666);
		rc = fd;
		if (fd >= 0) {
			rc = close_file(fd, fill(fd, target, p, n, mode < 0));
			if (rc == VAI_OK)
				rc = result(rename(temp, target));
			if (rc != VAI_OK)
				unlink(temp);
		}
	}
	free(temp);
	free(real);
	return rc;
}

int vai__tree_write(vai_g *self, const char *path, const char *p, size_t n, const struct vai__write_opts *opts)
{
	if (opts->atomic) {
		vai__g_block_begin(self);
		int rc = write_atomic(path, p, n, opts->mode);
		vai__g_block_end(self);
		return rc;
	}
	int fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC, opts->mode >= 0 ? (mode_t)opts->mode : 0666);
	return fd < 0 ? fd : close_file(fd, write_all(fd, p, n));
}

/* Copies by read and write, where copy_file_range refuses: across file systems, FIFOs, /proc. */
static int copy_by_hand(int from, int to)
{
	char *buf = malloc(MORE);
	int rc = buf ? VAI_OK : VAI_ENOMEM;
	ssize_t n;
	while (rc == VAI_OK && (n = read(from, buf, MORE)) != 0) {
		if (n > 0)
			rc = write_all(to, buf, (size_t)n);
		else if (errno != EINTR)
			rc = VAI__ERRNO(errno);
	}
	free(buf);
	return rc;
}

/* Copies by copy_file_range, which may share the blocks. It returns 0 at once for files in /proc, whose size is 0, and
 * fails for files that it does not support: so as long as nothing was copied, neither result counts, and the file is
 * copied by hand. */
static int copy_contents(int from, int to)
{
	bool any = false;
	for (;;) {
		ssize_t n = copy_file_range(from, NULL, to, NULL, (size_t)1 << 30, 0);
		if (n <= 0 && !any)
			return copy_by_hand(from, to);
		if (n == 0)
			return VAI_OK;
		if (n < 0 && errno != EINTR)
			return VAI__ERRNO(errno);
		any = true;
	}
}

/* Empties the target only once it is known not to be the file that is read. */
static int copy_into(int from, const struct stat *st, const char *to)
{
	struct stat there;
	int fd = open_file(to, O_WRONLY | O_CREAT, st->st_mode & 0777);
	if (fd < 0)
		return fd;
	int rc = result(fstat(fd, &there));
	if (rc == VAI_OK && there.st_dev == st->st_dev && there.st_ino == st->st_ino)
		rc = VAI__ERRNO(EINVAL);
	if (rc == VAI_OK && S_ISREG(there.st_mode))
		rc = result(ftruncate(fd, 0));
	if (rc == VAI_OK)
		rc = copy_contents(from, fd);
	if (rc == VAI_OK && S_ISREG(there.st_mode))
		rc = result(fchmod(fd, st->st_mode & 07777));
	return close_file(fd, rc);
}

int vai__tree_copy(const char *from, const char *to)
{
	struct stat st;
	int fd = open_file(from, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	int rc = result(fstat(fd, &st));
	if (rc == VAI_OK && S_ISDIR(st.st_mode))
		rc = VAI__ERRNO(EISDIR);
	if (rc == VAI_OK)
		rc = copy_into(fd, &st, to);
	close(fd);
	return rc;
}
