/* SPDX-License-Identifier: MIT */
/* Connections: byte streams with a buffer for what has been read. What is below the buffer is a small table of
 * functions (struct vai__conn_ops), so a socket, a pipe and a TLS session over a socket have the same methods.
 *
 * A connection has two directions, reading and writing. One goroutine has a direction at a time, for a whole call;
 * others queue for it. The buffer belongs to the goroutine that has the reading direction; an empty buffer holds no
 * memory. A view is a handle of the same connection with a limit of its own (conn:with).
 *
 * Any goroutine may call; the caller holds a reference. Functions with a parameter `self` may park, until the
 * direction is free or for the peer; the others do not. Limits are absolute times in ns; a view's own limit is for its
 * caller to apply. Results are those of descriptor.h, and the three below. */
#ifndef VAI_CONN_H
#define VAI_CONN_H

#include <sys/uio.h>
#include "base/obj.h"
#include "net/addr.h"
#include "net/descriptor.h"

typedef struct vai_conn vai_conn;
extern const struct vai_class vai__conn_class;

/* The kind of a connection. recv, send, shut, flush and settle never wait: they return a number of bytes (0: the end),
 * VAI_OK, or VAI__ERRNO(e), where EAGAIN asks the caller to try again when the descriptor is ready in this direction.
 * Each is called by the goroutine that has the direction. */
struct vai__conn_ops {
	const char *name; /* for dumps and tostring: "tcp" */
	ssize_t (*recv)(vai_conn *c, void *p, size_t n);
	ssize_t (*send)(vai_conn *c, const struct iovec *iov, int n);
	/* Makes the peer see the end of the stream. VAI_OK or VAI__ERRNO(e). */
	int (*shut)(vai_conn *c);
	/* Does what must come before the first byte, such as a handshake. Called by the goroutine that has both directions,
	 * until it has returned VAI_OK once. It may park (vai__desc_wait). It and all that follow may be NULL. */
	int (*begin)(vai_g *self, vai_conn *c, const struct vai__iowait *w);
	/* Sends what `send` and `shut` have accepted and kept back. VAI_OK or VAI__ERRNO(e). */
	int (*flush)(vai_conn *c);
	/* Asked by a goroutine that is about to close the connection and has the reading direction. VAI_OK: closing loses
	 * nothing. EAGAIN: closing now could throw away what was written; it is asked again when the peer has sent
	 * something. */
	int (*settle)(vai_conn *c);
	/* Called as the connection is closed, while its descriptor is still open. Any thread; others may be in recv or
	 * send. */
	void (*bye)(vai_conn *c);
	/* Writes the text of a VAI__KIND_FAILED result; *code: its name. */
	void (*why)(vai_conn *c, char *buf, size_t n, const char **code);
	/* Pushes one value onto the Lua stack L: what is known of the connection (conn:info). */
	void (*info)(vai_conn *c, void *L);
	/* Frees the state, when the last reference is gone. */
	void (*destroy)(void *state);
	bool drains;    /* a recv that gives less than was asked for has left nothing in the system */
	bool datagrams; /* one recv is one message, and 0 bytes are not the end */
	bool is_socket;
	bool grows; /* more may come after the end, as in a file that grows */
};
extern const struct vai__conn_ops vai__conn_tcp, vai__conn_udp, vai__conn_unix, vai__conn_unixgram, vai__conn_file;

/* A connection on the descriptor d, which it takes over in every case. state: what ops->destroy gets, or NULL. NULL:
 * out of memory. */
vai_conn *vai__conn_new(struct vai__desc *d, const struct vai__conn_ops *ops, void *state);
/* A connection of another kind over one that is open, on the same descriptor, as TLS is over TCP. Takes over state, and
 * a reference of its own to inner. What inner has in its buffer stays there (vai__conn_take_buffer). NULL: out of
 * memory. */
vai_conn *vai__conn_over(vai_conn *inner, const struct vai__conn_ops *ops, void *state);
/* The kind of connection that sockets of this family and type are. */
const struct vai__conn_ops *vai__conn_ops_of(int family, int type);
/* A view of c with a limit for each call: seconds (negative: none), or a context, with a reference of the view's own.
 * NULL: out of memory. */
vai_conn *vai__conn_view(vai_conn *c, double seconds, struct vai_obj *ctx);

/* The connection under a view, or c itself; and c's limit, negative: it has none. */
vai_conn *vai__conn_base(vai_conn *c);
double vai__conn_limit(const vai_conn *c);            /* seconds */
struct vai_obj *vai__conn_context(const vai_conn *c); /* borrowed, or NULL */
/* The descriptor, the kind, and what vai__conn_new or vai__conn_over got as state; a view's are its connection's.
 * Borrowed. */
struct vai__desc *vai__conn_desc(vai_conn *c);
const struct vai__conn_ops *vai__conn_ops(vai_conn *c);
void *vai__conn_state(vai_conn *c);

/* A hook is called when its connection is closed (gone: false), and once more when its last reference is gone. A
 * connection has at most one. */
struct vai__conn_hook {
	void (*closed)(struct vai__conn_hook *h, bool gone);
};
void vai__conn_set_hook(vai_conn *c, struct vai__conn_hook *h); /* called before c is given to anything else */
struct vai__conn_hook *vai__conn_hook(vai_conn *c);             /* NULL: none */

/* ---- reading ---- */

/* A block of memory (base/mem) with bytes in it. */
struct vai__bytes {
	char *p;
	size_t at, n, cap; /* n bytes from p + at on */
};
void vai__conn_bytes_free(struct vai__bytes *b);

enum vai__read_what { VAI__READ_SOME, VAI__READ_COUNT, VAI__READ_LINE, VAI__READ_LINE_KEPT, VAI__READ_ALL };

enum {
	VAI__EOF = -20,        /* the peer has ended the stream, or nothing more comes */
	VAI__TOO_LONG = -21,   /* the line, or the rest, is longer than the connection's bound */
	VAI__KIND_FAILED = -22 /* ops->why has the text */
};

/* Reads what is asked for: some bytes, at least one; `count` bytes; a line, without its end or with it; or everything
 * up to the end. VAI_OK: *out is the caller's to free. With any other result, what was read so far stays in the buffer.
 *
 * rest: NULL; or the goroutine waits without its stack. Then VAI_SHEDS says that the wait has begun and that the
 * goroutine keeps the reading direction; once the wait is over it calls vai__conn_read_on with the same arguments,
 * which returns as vai__conn_read does. */
struct vai__asked {
	enum vai__read_what what;
	size_t count;
	bool renews; /* after VAI__RENEW (descriptor.h): nothing was read or is held, and the goroutine may read again */
};
int vai__conn_read(
	vai_g *self, vai_conn *c, struct vai__asked what, int64_t limit, struct vai__rest *rest, struct vai__bytes *out);
int vai__conn_read_on(
	vai_g *self, vai_conn *c, struct vai__asked what, int64_t limit, struct vai__rest *rest, struct vai__bytes *out);
/* Reads at least one byte and at most n (not 0) to p, which must not move meanwhile; *got: how many. Bytes in the
 * buffer come first; if it is empty the bytes go from the system straight to p. */
int vai__conn_read_into(vai_g *self, vai_conn *c, void *p, size_t n, int64_t limit, size_t *got);
/* As VAI__READ_SOME, for the goroutine that has the reading direction: does not wait. VAI_EAGAIN: try again after the
 * next edge. */
int vai__conn_read_now(vai_conn *c, struct vai__bytes *out);
/* Whether a read would return at once. VAI_OK; VAI__EOF; VAI_EAGAIN: not before the next edge; VAI_ETIMEOUT: another
 * goroutine is reading. Does not wait. event: an edge may have come since the last read; without one, the system is not
 * asked again if that read took all there was. */
int vai__conn_peek(vai_g *self, vai_conn *c, bool event);
/* Whether the buffer holds a whole head (net/head_end.h). VAI_OK: it does, or waiting is of no use because the head is
 * longer than `most` bytes or a line ends in a bare LF. VAI__PART: part of a head. VAI_EAGAIN: nothing yet; try again
 * after the next edge. Otherwise as vai__conn_peek. *from: where to go on looking in the buffer, 0 at first. */
enum { VAI__PART = 1 };
int vai__conn_peek_head(vai_g *self, vai_conn *c, size_t most, size_t *from);
/* Puts bytes back in front of the buffer, from which they came, and takes over the block. False: the bytes are lost, as
 * another goroutine is reading, memory is out, or c is closed. */
bool vai__conn_unread(vai_conn *c, struct vai__bytes *b);
/* Moves what the buffer holds to *out, for a connection that is laid over this one. */
void vai__conn_take_buffer(vai_conn *c, struct vai__bytes *out);
/* Calls ops->begin, unless it has succeeded before. */
int vai__conn_begin(vai_g *self, vai_conn *c, int64_t limit);
/* Calls ops->begin if it has to, and then takes the direction with vai__desc_take. Each read and write begins so. */
int vai__conn_take(vai_g *self, vai_conn *c, enum vai__dir dir, const struct vai__iowait *w);
/* Empties the buffer and returns how many bytes were in it. For the goroutine that has the reading direction. */
size_t vai__conn_drop_buffer(vai_conn *c);
/* Sets the longest line and the longest "all", in bytes; 0 leaves a bound as it is. A longer read gives
 * VAI__TOO_LONG. */
void vai__conn_set_max(vai_conn *c, size_t line, size_t all);

/* ---- writing, closing ---- */

/* Writes everything, or returns an error; *done: how many bytes were written. The bytes must not move meanwhile. iov is
 * changed: the pieces that are written are gone from it. */
int vai__conn_write(vai_g *self, vai_conn *c, struct iovec *iov, int n, int64_t limit, size_t *done);
/* As vai__conn_write, for a goroutine that has the writing direction already. The bytes written are added to *done. */
int vai__conn_write_taken(
	vai_g *self, vai_conn *c, struct iovec *iov, int n, const struct vai__iowait *w, size_t *done);
/* Whether the system copies files into this kind of connection. If not, vai__sendfile needs a block. */
bool vai__sendfile_possible(vai_conn *c);
/* Writes the bytes of iov (one piece, perhaps empty), then n bytes of the file `fd` from offset `at` on. block:
 * VAI__SEND_BLOCK bytes that do not move, where vai__sendfile_possible is false. *done: how many bytes were written in
 * all. VAI__EOF: the file is shorter. The caller keeps fd open meanwhile. */
enum { VAI__SEND_BLOCK = 65536 };
int vai__sendfile(vai_g *self, vai_conn *c, struct iovec *iov, void *block, int fd, int64_t at, int64_t n,
	int64_t limit, size_t *done);
/* Called before vai__conn_close: waits, at most a second, until closing can no longer throw away what was written
 * (ops->settle). Returns at once if another goroutine is reading, as that one takes in what the peer sends. */
void vai__conn_settle(vai_g *self, vai_conn *c);
/* Closes the connection and the one it is over; goroutines that wait in it get VAI_ECLOSED. True for the first call. */
bool vai__conn_close(vai_conn *c);
/* Makes the peer see the end of the stream, after all writes that have begun. VAI__ERRNO(ENOTSOCK): this kind has no
 * such end. */
int vai__conn_close_write(vai_g *self, vai_conn *c, int64_t limit);
/* Makes all reads return the end, also those that wait. VAI_OK or VAI_ECLOSED. */
int vai__conn_close_read(vai_conn *c);

/* ---- names ---- */

/* The connection's own address and its peer's. VAI_OK, VAI_ECLOSED or VAI__ERRNO(e): ENOTSOCK for what is no socket. */
int vai__conn_local(vai_conn *c, struct vai__addr *a);
int vai__conn_remote(vai_conn *c, struct vai__addr *a);
/* Keeps the peer's address, for vai__conn_remote to give when the system no longer knows it, as after a reset. Only
 * addresses of IPv4 and IPv6 are kept. Called before c is given to anything else. */
void vai__conn_set_remote(vai_conn *c, const struct vai__addr *a);
/* Writes "tcp 127.0.0.1:80 -> 127.0.0.1:4711", at most VAI__CONN_TEXT bytes. */
enum { VAI__CONN_TEXT = 2 * VAI__ADDR_TEXT + 32 };
void vai__conn_text(vai_conn *c, char *buf);

#endif
