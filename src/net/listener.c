/* SPDX-License-Identifier: MIT */
/* Listening sockets: see listener.h. Goroutines that accept from the same listener queue for its reading direction.
 * Each tries to accept before it parks, so one edge that stands for several connections is used up by one goroutine
 * after the other. */
#include "net/listener.h"
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fatal.h"
#include "base/mem.h"
#include "net/socket.h"

enum { BACKLOG = 4096, SHORT_FIRST = 5000000, SHORT_MOST = 1000000000 /* ns */ };

struct vai_listener {
	struct vai_obj obj;
	struct vai__desc *desc;
	int family, keepalive;
	struct vai__listener_wrap wrap;
	char path[sizeof((struct sockaddr_un *)0)->sun_path + 1]; /* the file to remove at the close; "": none */
};

static void destroy(struct vai_obj *o)
{
	vai_listener *l = VAI_CONTAINER(o, vai_listener, obj);
	vai__listener_close(l);
	vai__desc_release(l->desc);
	if (l->wrap.release)
		l->wrap.release(l->wrap.arg);
	vai__mem_free(l, sizeof *l);
}

void vai__listener_wrap(vai_listener *l, const struct vai__listener_wrap *wrap)
{
	l->wrap = *wrap;
}

const struct vai_class vai__listener_class = {"listener", destroy};

/* ---- listening ---- */

static void set_keepalive(int fd, int family, int keepalive)
{
	if (keepalive != 0 && family != AF_UNIX)
		vai__socket_set(fd, "keepalive", keepalive);
}

/* Sets the options of a socket before it is bound. A wildcard address of both families takes IPv4 and IPv6. */
static void prepare(int fd, const struct vai__dial *d, int k, const struct vai__listen_opts *opts)
{
	const struct vai__addr *a = &d->list[k];
	int one = 1, only = d->net->family == AF_INET6 || !IN6_IS_ADDR_UNSPECIFIED(&a->u.in6.sin6_addr);
	if (a->u.sa.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
	if (a->u.sa.sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (opts->reuseport)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
}

static int bind_at(int fd, const struct vai__addr *a, int mode)
{
	if (bind(fd, &a->u.sa, a->len) < 0)
		return VAI__ERRNO(errno);
	bool file = a->u.sa.sa_family == AF_UNIX && *a->u.un.sun_path;
	return file && mode >= 0 && chmod(a->u.un.sun_path, (mode_t)mode) < 0 ? VAI__ERRNO(errno) : VAI_OK;
}

/* Returns a socket that listens at address k, or why there is none. */
static int open_at(const struct vai__dial *d, int k, const struct vai__listen_opts *opts)
{
	int fd = vai__socket_new(d->list[k].u.sa.sa_family, d->net->type);
	if (fd < 0)
		return fd;
	prepare(fd, d, k, opts);
	set_keepalive(fd, d->list[k].u.sa.sa_family, opts->keepalive);
	int rc = bind_at(fd, &d->list[k], opts->mode);
	if (rc == VAI_OK && listen(fd, opts->backlog > 0 ? opts->backlog : BACKLOG) < 0)
		rc = VAI__ERRNO(errno);
	if (rc == VAI_OK)
		return fd;
	close(fd);
	return rc;
}

static int make(int fd, const struct vai__addr *a, int keepalive, vai_listener **out)
{
	int rc = VAI_ENOMEM;
	vai_listener *l = vai__mem_zalloc(sizeof *l);
	if (l)
		l->desc = vai__desc_new(fd, &rc);
	if (!l || !l->desc) {
		close(fd);
		vai__mem_free(l, sizeof *l);
		return rc;
	}
	l->keepalive = keepalive;
	vai__obj_init(&l->obj, &vai__listener_class);
	l->family = a->u.sa.sa_family;
	if (l->family == AF_UNIX && *a->u.un.sun_path)
		vai__addr_text(a, l->path);
	*out = l;
	return VAI_OK;
}

int vai__listener_open(struct vai__dial *d, const struct vai__listen_opts *opts, vai_listener **out)
{
	int first = 0;
	for (int k = 0; k < d->n; k++) {
		int fd = open_at(d, k, opts);
		if (fd >= 0)
			return make(fd, &d->list[k], opts->keepalive, out);
		first = first ? first : fd;
	}
	return first;
}

/* ---- accepting ---- */

bool vai__listener_is_short(int rc)
{
	int e = vai__errno_of(rc);
	return e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM;
}

static void tell_once(void)
{
	static atomic_bool told;
	if (!atomic_exchange(&told, true))
		vai__log("accept: too many open files; it goes on when some are closed");
}

/* Waits for a while, as descriptors or memory are out, and doubles *pause. Closing and limits end the wait. */
static int back_off(vai_g *self, vai_listener *l, const struct vai__iowait *w, int64_t *pause)
{
	tell_once();
	*pause = *pause == 0 ? SHORT_FIRST : *pause * 2 < SHORT_MOST ? *pause * 2 : SHORT_MOST;
	return vai__desc_nap(self, l->desc, VAI__READ, w, *pause);
}

/* Accepts one connection. VAI_OK: *fd is its descriptor. */
static int accept_one(vai_g *self, vai_listener *l, const struct vai__iowait *w, int *fd, struct vai__addr *from)
{
	int64_t pause = 0;
	for (;;) {
		*fd = vai__socket_accept(vai__desc_fd(l->desc), from);
		if (*fd >= 0)
			return VAI_OK;
		int rc = *fd;
		if (rc == VAI__ERRNO(EAGAIN))
			rc = vai__desc_wait(self, l->desc, VAI__READ, w);
		else if (vai__listener_is_short(rc))
			rc = back_off(self, l, w, &pause);
		if (rc != VAI_OK)
			return rc;
	}
}

/* Linux gives a connection the options of its listener; other systems' TCP may not. The first connection that is
 * accepted shows which it is. */
static void tune_accepted(const vai_listener *l, int fd)
{
	enum { UNKNOWN, INHERITS, BARE };
	static atomic_int system;
	if (l->family == AF_UNIX)
		return;
	int is = atomic_load_explicit(&system, memory_order_relaxed);
	if (is == UNKNOWN) {
		int64_t nodelay = 0;
		vai__socket_get(fd, "nodelay", &nodelay);
		is = nodelay ? INHERITS : BARE;
		atomic_store_explicit(&system, is, memory_order_relaxed);
	}
	if (is == INHERITS)
		return;
	vai__socket_defaults(fd, l->family, SOCK_STREAM);
	set_keepalive(fd, l->family, l->keepalive);
}

static int conn_of(const vai_listener *l, int fd, const struct vai__addr *from, vai_conn **out)
{
	int rc, family = l->family;
	struct vai__desc *d = vai__desc_new(fd, &rc);
	if (!d) {
		close(fd);
		return rc;
	}
	tune_accepted(l, fd);
	*out = vai__conn_new(d, vai__conn_ops_of(family, SOCK_STREAM), NULL);
	if (*out)
		vai__conn_set_remote(*out, from);
	if (*out && l->wrap.over) {
		vai_conn *plain = *out;
		*out = l->wrap.over(l->wrap.arg, plain);
		if (!*out)
			vai__obj_unref((struct vai_obj *)plain);
	}
	return *out ? VAI_OK : VAI_ENOMEM;
}

/* Accepts; the goroutine has the direction, and gives it back unless the result is VAI_SHEDS. */
static int accept_taken(vai_g *self, vai_listener *l, const struct vai__iowait *w, vai_conn **out)
{
	struct vai__addr from;
	int fd, rc = accept_one(self, l, w, &fd, &from);
	if (rc == VAI_SHEDS)
		return rc;
	vai__desc_give(l->desc, VAI__READ);
	return rc == VAI_OK ? conn_of(l, fd, &from, out) : rc;
}

int vai__listener_accept(vai_g *self, vai_listener *l, int64_t limit, struct vai__rest *rest, vai_conn **out)
{
	struct vai__iowait w = {.reason = VAI_WAIT_ACCEPT, .obj = l, .limit = limit, .rest = rest};
	int rc = vai__desc_take(self, l->desc, VAI__READ, &w);
	return rc == VAI_OK ? accept_taken(self, l, &w, out) : rc;
}

int vai__listener_accept_on(vai_g *self, vai_listener *l, int64_t limit, struct vai__rest *rest, vai_conn **out)
{
	struct vai__iowait w = {.reason = VAI_WAIT_ACCEPT, .obj = l, .limit = limit, .rest = rest};
	int rc = vai__desc_wait_end(self, l->desc, VAI__READ, rest);
	if (rc == VAI_OK)
		return accept_taken(self, l, &w, out);
	vai__desc_give(l->desc, VAI__READ);
	return rc;
}

int vai__listener_accept_now(vai_listener *l, vai_conn **out)
{
	struct vai__addr from;
	int fd = vai__socket_accept(vai__desc_fd(l->desc), &from);
	if (fd >= 0)
		return conn_of(l, fd, &from, out);
	if (vai__listener_is_short(fd))
		tell_once();
	return fd == VAI__ERRNO(EAGAIN) ? VAI_EAGAIN : fd;
}

/* ---- giving the address up ---- */

/* A filter on a listening socket sees packets from the TCP header on; the flags are in byte 13. It drops those with SYN
 * alone. Accepted connections inherit the filter, which does no harm there: packets with SYN come first or never. */
bool vai__listener_divert(vai_listener *l)
{
	enum { FLAGS = 13, SYN = 2, WHOLE = 0x40000 };
	static struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, SYN, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, WHOLE)};
	static const struct sock_fprog program = {sizeof code / sizeof *code, code};
	int shared = 0;
	socklen_t len = sizeof shared;
	if (l->family == AF_UNIX || !vai__desc_hold(l->desc))
		return false;
	int fd = vai__desc_fd(l->desc);
	bool did = getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shared, &len) == 0 && shared &&
		setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
	vai__desc_unhold(l->desc);
	return did;
}

bool vai__listener_is_asked(vai_listener *l)
{
	if (!vai__desc_hold(l->desc))
		return false;
	struct pollfd p = {.fd = vai__desc_fd(l->desc), .events = POLLIN};
	bool asked = poll(&p, 1, 0) == 1;
	vai__desc_unhold(l->desc);
	return asked;
}

/* ---- the rest ---- */

bool vai__listener_close(vai_listener *l)
{
	return vai__desc_close_named(l->desc, l->path);
}

struct vai__desc *vai__listener_desc(vai_listener *l)
{
	return l->desc;
}

void vai__listener_text(vai_listener *l, char *buf)
{
	vai__socket_text(l->desc, l->family, SOCK_STREAM, buf, VAI__CONN_TEXT);
}
