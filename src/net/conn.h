/* SPDX-License-Identifier: MIT */
/* Connections: byte streams with a buffer for what has been read. What is below the buffer is a small table of
 * functions (struct vai__conn_ops), so a socket, a pipe and a TLS session over a socket have the same methods.
 *
 * A connection has two directions, each of which one goroutine has at a time, for a whole call. The buffer belongs
 * to the goroutine that has the reading direction; it holds no memory while it is empty. A view is a handle of the
 * same connection with a limit of its own (conn:with). Any goroutine may call; the caller holds a reference. What has a
 * parameter `self` may park: until the direction is free, or for the peer. Nothing else does. Limits are absolute; a
 * view's own limit is its caller's business. Results are those of descriptor.h, and the three below. */
#ifndef VAI_CONN_H
#define VAI_CONN_H

#include <sys/uio.h>
#include "base/obj.h"
#include "net/addr.h"
#include "net/descriptor.h"

typedef struct vai_conn vai_conn;
extern const struct vai_class vai__conn_class;

/* The kind of a connection. None of these functions waits. They return a number of bytes, 0 at the end, or
 * VAI__ERRNO(e); EAGAIN means: again when the descriptor is ready in this direction. Each is called by the goroutine
 * that has the direction. */
struct vai__conn_ops {
	const char *name; /* for dumps and tostring: "tcp" */
	ssize_t (*recv)(vai_conn *c, void *p, size_t n);
	ssize_t (*send)(vai_conn *c, const struct iovec *iov, int n);
	/* Makes the peer see the end. VAI_OK or as above. */
	int (*shut)(vai_conn *c);
	/* What is needed before the first byte, a handshake: called by the goroutine that has both directions, until it
	 * returns VAI_OK once. It may wait (vai__desc_wait). May be NULL, as may the rest. */
	int (*begin)(vai_g *self, vai_conn *c, const struct vai__iowait *w);
	/* Sends what `send` and `shut` have taken and kept. VAI_OK or as above. */
	int (*flush)(vai_conn *c);
	/* A goroutine is about to close it, and has the reading direction. EAGAIN: closing it now could throw away what
	 * was written; it calls again when the peer has sent something. */
	int (*settle)(vai_conn *c);
	/* The connection is being closed; the descriptor is open still. Any thread; others may be in recv or send. */
	void (*bye)(vai_conn *c);
	/* The text of a result VAI__KIND_FAILED; *code: its name. */
	void (*why)(vai_conn *c, char *buf, size_t n, const char **code);
	/* Pushes what there is to know about it onto a Lua stack: one value. */
	void (*info)(vai_conn *c, void *L);
	/* Called when the last reference is gone. May be NULL. */
	void (*destroy)(void *state);
	bool drains;    /* a recv that gives less than it was asked for has left nothing behind */
	bool datagrams; /* one recv is one message, and 0 bytes are not the end */
	bool is_socket;
	bool grows; /* more may come after the end: a file's */
};
extern const struct vai__conn_ops vai__conn_tcp, vai__conn_udp, vai__conn_unix, vai__conn_unixgram, vai__conn_file;

/* Takes over d in every case. NULL: out of memory. state: what ops->destroy gets; or NULL. */
vai_conn *vai__conn_new(struct vai__desc *d, const struct vai__conn_ops *ops, void *state);
/* A connection of another kind over one that is open: the same descriptor. Takes over state, not the reference. What
 * inner has in its buffer is left there (vai__conn_take_buffer). NULL: out of memory. */
vai_conn *vai__conn_over(vai_conn *inner, const struct vai__conn_ops *ops, void *state);
/* The ops for a socket. */
const struct vai__conn_ops *vai__conn_ops_of(int family, int type);
/* A view of c with a limit for each call: seconds (negative: none), or a context, with a reference of the view's own.
 * NULL: out of memory. */
vai_conn *vai__conn_view(vai_conn *c, double seconds, struct vai_obj *ctx);

/* The connection under a view, or itself; and its limit, negative: none. */
vai_conn *vai__conn_base(vai_conn *c);
double vai__conn_limit(const vai_conn *c);            /* seconds */
struct vai_obj *vai__conn_context(const vai_conn *c); /* borrowed, or NULL */
/* The descriptor, the kind, and what vai__conn_new or vai__conn_over got as state; a view's are its connection's.
 * Borrowed. */
struct vai__desc *vai__conn_desc(vai_conn *c);
const struct vai__conn_ops *vai__conn_ops(vai_conn *c);
void *vai__conn_state(vai_conn *c);

/* Something that is called when the connection is closed, and once more when it is gone. A connection has one at the
 * most. */
struct vai__conn_hook {
	void (*closed)(struct vai__conn_hook *h, bool gone);
};
void vai__conn_set_hook(vai_conn *c, struct vai__conn_hook *h); /* called before c is given to anything else */
struct vai__conn_hook *vai__conn_hook(vai_conn *c);             /* NULL: it has none */

/* ---- reading ---- */

/* A block of memory (base/mem) with bytes in it. */
struct vai__bytes {
	char *p;
	size_t at, n, cap; /* n bytes from p + at on */
};
void vai__conn_bytes_free(struct vai__bytes *b);

enum vai__read_what { VAI__READ_SOME, VAI__READ_COUNT, VAI__READ_LINE, VAI__READ_LINE_KEPT, VAI__READ_ALL };

enum {
	VAI__EOF = -20,        /* the peer has ended, or there is nothing more */
	VAI__TOO_LONG = -21,   /* the line, or the rest, is longer than the connection's bound */
	VAI__KIND_FAILED = -22 /* ops->why knows */
};

/* Reads what is asked for: some bytes, at least one; `count` bytes; a line, without its end or with it; or all up to
 * the end. VAI_OK: *out is the caller's. With other results, what was read so far stays in the buffer. rest: NULL, or
 * VAI_SHEDS says that the goroutine, which keeps the reading direction, is to wait without its stack. Once that wait is
 * over it calls the second function with the same arguments, for a result as of the first. */
struct vai__asked {
	enum vai__read_what what;
	size_t count;
	bool renews; /* nothing was read or is held after VAI__RENEW (descriptor.h), and the goroutine may read again */
};
int vai__conn_read(
	vai_g *self, vai_conn *c, struct vai__asked what, int64_t limit, struct vai__rest *rest, struct vai__bytes *out);
int vai__conn_read_on(
	vai_g *self, vai_conn *c, struct vai__asked what, int64_t limit, struct vai__rest *rest, struct vai__bytes *out);
/* Reads at least one byte, and at most n, to p, which stays where it is meanwhile; *got: how many. What the buffer
 * holds comes first; else the bytes go from the system to p. n is not 0. */
int vai__conn_read_into(vai_g *self, vai_conn *c, void *p, size_t n, int64_t limit, size_t *got);
/* The same as VAI__READ_SOME, for the goroutine that has the reading direction: does not wait. VAI_EAGAIN: the next
 * edge tells when to try again. */
int vai__conn_read_now(vai_conn *c, struct vai__bytes *out);
/* Whether a read would get something: VAI_OK; VAI__EOF; VAI_EAGAIN, and the next edge tells; VAI_ETIMEOUT: somebody
 * reads at the moment. Does not wait. event: something may have come since the last read; otherwise the system is not
 * asked again if that read took all there was. */
int vai__conn_peek(vai_g *self, vai_conn *c, bool event);
/* Whether it holds a whole head (net/head_end.h): VAI_OK, also for one of more than `most` bytes and where a line ends
 * in a bare LF, for nothing better comes; VAI__PART: some of it, and VAI_EAGAIN: nothing yet, and the next edge tells;
 * and as above. *from: where to go on looking in the buffer, 0 at first. */
enum { VAI__PART = 1 };
int vai__conn_peek_head(vai_g *self, vai_conn *c, size_t most, size_t *from);
/* Puts the bytes back in front of the buffer, from where they came. Takes the block over. False: somebody reads at the
 * moment, or memory is out, or c is closed, and they are gone. */
bool vai__conn_unread(vai_conn *c, struct vai__bytes *b);
/* Gives away what the buffer holds, for one who takes the connection over. */
void vai__conn_take_buffer(vai_conn *c, struct vai__bytes *out);
/* Does what ops->begin does, if it has not been done. */
int vai__conn_begin(vai_g *self, vai_conn *c, int64_t limit);
/* The same, and then vai__desc_take of the direction: how each call begins that reads or writes. */
int vai__conn_take(vai_g *self, vai_conn *c, enum vai__dir dir, const struct vai__iowait *w);
/* Forgets what the buffer holds and returns how many bytes that were. Called by the goroutine that has the reading
 * direction. */
size_t vai__conn_drop_buffer(vai_conn *c);
/* Bounds of lines and of "all", in bytes; 0 leaves one as it is. A read that would go beyond gives VAI__TOO_LONG. */
void vai__conn_set_max(vai_conn *c, size_t line, size_t all);

/* ---- writing, closing ---- */

/* Writes everything, or returns an error; *done: how many bytes were written. The bytes must not move meanwhile; iov
 * is used up. */
int vai__conn_write(vai_g *self, vai_conn *c, struct iovec *iov, int n, int64_t limit, size_t *done);
/* The same for a goroutine that has the writing direction. *done: added to. */
int vai__conn_write_taken(
	vai_g *self, vai_conn *c, struct iovec *iov, int n, const struct vai__iowait *w, size_t *done);
/* Whether the system copies files into this kind of connection; else vai__sendfile needs a block. */
bool vai__sendfile_possible(vai_conn *c);
/* Writes n bytes of the file `fd`, from offset `at` on, behind the bytes of iov (one, perhaps empty). block: of
 * VAI__SEND_BLOCK bytes, where the system does not copy files; it must not move. *done: how many bytes in all.
 * VAI__EOF: the file has less. fd stays open meanwhile. */
enum { VAI__SEND_BLOCK = 65536 };
int vai__sendfile(vai_g *self, vai_conn *c, struct iovec *iov, void *block, int fd, int64_t at, int64_t n,
	int64_t limit, size_t *done);
/* Before vai__conn_close, by a goroutine: waits, at most a second, for what must have come lest closing it throws away
 * what was written. Returns at once where somebody reads, who takes it in. */
void vai__conn_settle(vai_g *self, vai_conn *c);
/* Closes it, and what it stands on; goroutines that wait in it get VAI_ECLOSED. True for the first call. */
bool vai__conn_close(vai_conn *c);
/* Makes the peer see the end, behind all that is being written. VAI__ERRNO(ENOTSOCK): this kind cannot. */
int vai__conn_close_write(vai_g *self, vai_conn *c, int64_t limit);
/* Reads give the end from now on, those that wait, too. VAI_OK or VAI_ECLOSED. */
int vai__conn_close_read(vai_conn *c);

/* ---- names ---- */

/* Its own address and the peer's. VAI_OK, VAI_ECLOSED or VAI__ERRNO(e): ENOTSOCK for what is no socket. */
int vai__conn_local(vai_conn *c, struct vai__addr *a);
int vai__conn_remote(vai_conn *c, struct vai__addr *a);
/* What vai__conn_remote tells once the system no longer knows, after a reset. Only addresses of the internet's are
 * kept. Called before c is given to anything else. */
void vai__conn_set_remote(vai_conn *c, const struct vai__addr *a);
/* Writes "tcp 127.0.0.1:80 -> 127.0.0.1:4711". At most VAI__CONN_TEXT bytes. */
enum { VAI__CONN_TEXT = 2 * VAI__ADDR_TEXT + 32 };
void vai__conn_text(vai_conn *c, char *buf);

#endif
