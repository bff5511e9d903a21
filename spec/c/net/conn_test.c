/* SPDX-License-Identifier: MIT */
/* Connections over TCP: when the system is asked for more, and what must not be missed because it was not asked. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "sync/world.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net/conn.h"
#include "net/socket.h"

enum { ROUNDS = 200 };

static _Atomic(int) recvs;

static ssize_t counting_recv(vai_conn *c, void *p, size_t n)
{
	atomic_fetch_add(&recvs, 1);
	return vai__conn_tcp.recv(c, p, n);
}

/* A connection, and the peer's end as a plain socket that blocks. */
struct pair {
	vai_conn *c;
	int fd, peer, rounds;
};

static void open_sockets(struct pair *p)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(l, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&a, &len), 0);
	p->peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(p->peer, (struct sockaddr *)&a, sizeof a), 0);
	p->fd = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(p->fd >= 0);
	close(l);
}

/* From here on the poller knows of it. */
static void open_conn(struct pair *p, const struct vai__conn_ops *ops)
{
	int rc;
	struct vai__desc *d = vai__desc_new(p->fd, &rc);
	assert_non_null(d);
	p->c = vai__conn_new(d, ops, NULL);
	assert_non_null(p->c);
}

static void close_pair(struct pair *p)
{
	close(p->peer);
	vai__obj_unref((struct vai_obj *)p->c);
}

static int read_some(vai_g *g, struct pair *p, char *buf, size_t n, size_t *got)
{
	struct vai__bytes b;
	*got = 0;
	int rc = vai__conn_read(g, p->c, (struct vai__asked){.what = VAI__READ_SOME, .count = 0}, VAI_FOREVER, NULL, &b);
	if (rc != VAI_OK)
		return rc;
	CHECK(b.n <= n);
	memcpy(buf, b.p + b.at, b.n);
	*got = b.n;
	vai__conn_bytes_free(&b);
	return VAI_OK;
}

/* ---- how often the system is asked ---- */

static void echo(vai_g *g, void *arg)
{
	struct pair *p = arg;
	char buf[64];
	size_t n, done;
	for (int i = 0; i < p->rounds; i++) {
		CHECK(read_some(g, p, buf, sizeof buf, &n) == VAI_OK && n == 5);
		struct iovec iov = {buf, n};
		CHECK(vai__conn_write(g, p->c, &iov, 1, VAI_FOREVER, &done) == VAI_OK);
	}
}

/* The peer writes when it has its answer, so that each message is one edge: for which one call is enough. */
static void test_once(void **state)
{
	struct vai__conn_ops ops = vai__conn_tcp;
	struct pair p = {.rounds = ROUNDS};
	char buf[64];
	(void)state;
	ops.recv = counting_recv;
	open_sockets(&p);
	open_conn(&p, &ops);
	atomic_store(&recvs, 0);
	world_parked(world_go(echo, &p));
	for (int i = 0; i < p.rounds; i++) {
		assert_int_equal(send(p.peer, "hello", 5, 0), 5);
		ssize_t n;
		while ((n = recv(p.peer, buf, sizeof buf, MSG_DONTWAIT)) < 0)
			vai__yield(vai__g_self());
		assert_int_equal(n, 5);
	}
	world_join();
	/* One for each, and some where an edge was told late. */
	const int seen = atomic_load(&recvs);
	assert_true(seen >= p.rounds && seen <= p.rounds + p.rounds / 2);
	close_pair(&p);
}

/* ---- what no other edge tells of ---- */

static void read_to_end(vai_g *g, void *arg)
{
	struct pair *p = arg;
	char buf[64];
	size_t n, all = 0;
	int rc;
	while ((rc = read_some(g, p, buf, sizeof buf, &n)) == VAI_OK)
		all += n;
	CHECK(rc == VAI__EOF && all == 5);
}

static void until_edge(struct pair *p)
{
	while (vai__desc_edges(vai__conn_desc(p->c), VAI__READ) == 0) {
		struct vai__iowait w = {.reason = VAI_WAIT_READ, .limit = world_in(1)};
		vai__desc_wait(vai__g_self(), vai__conn_desc(p->c), VAI__WRITE, &w);
	}
}

/* The peer's end comes with its last bytes, in one edge: seen before the first read, or between the two. */
static void test_end(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct pair p = {0};
		open_sockets(&p);
		if (i % 3 == 0)
			open_conn(&p, &vai__conn_tcp);
		assert_int_equal(send(p.peer, "hello", 5, 0), 5);
		shutdown(p.peer, SHUT_WR);
		if (i % 3 != 0)
			open_conn(&p, &vai__conn_tcp);
		if (i % 3 == 1)
			until_edge(&p);
		world_go(read_to_end, &p);
		world_join();
		close_pair(&p);
	}
}

static void read_four(vai_g *g, void *arg)
{
	struct pair *p = arg;
	char buf[64];
	size_t n;
	for (size_t all = 0; all < 4; all += n)
		CHECK(read_some(g, p, buf, sizeof buf, &n) == VAI_OK);
}

/* A read ends in front of urgent data though there is more behind. */
static void test_urgent(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct pair p = {0};
		open_sockets(&p);
		assert_int_equal(send(p.peer, "ab", 2, 0), 2);
		assert_int_equal(send(p.peer, "!", 1, MSG_OOB), 1);
		assert_int_equal(send(p.peer, "cd", 2, 0), 2);
		open_conn(&p, &vai__conn_tcp);
		if (i % 2 == 0)
			until_edge(&p);
		world_go(read_four, &p);
		world_join();
		close_pair(&p);
	}
}

/* ---- past the buffer ---- */

static void read_into(vai_g *g, void *arg)
{
	struct pair *p = arg;
	char buf[8] = {0};
	size_t n;
	struct vai__bytes b;
	CHECK(vai__conn_read(g, p->c, (struct vai__asked){.what = VAI__READ_COUNT, .count = 2}, VAI_FOREVER, NULL, &b) ==
		VAI_OK);
	vai__conn_bytes_free(&b);
	CHECK(vai__conn_read_into(g, p->c, buf, 2, VAI_FOREVER, &n) == VAI_OK && n == 2 && memcmp(buf, "ll", 2) == 0);
	CHECK(vai__conn_read_into(g, p->c, buf, 8, VAI_FOREVER, &n) == VAI_OK && n == 1 && *buf == 'o');
	CHECK(vai__conn_read_into(g, p->c, buf, 8, 0, &n) == VAI_ETIMEOUT);
	CHECK(send(p->peer, "0123456789", 10, 0) == 10);
	CHECK(vai__conn_read_into(g, p->c, buf, 8, VAI_FOREVER, &n) == VAI_OK && n == 8 && memcmp(buf, "01234567", 8) == 0);
	CHECK(vai__conn_read_into(g, p->c, buf, 8, VAI_FOREVER, &n) == VAI_OK && n == 2 && memcmp(buf, "89", 2) == 0);
	shutdown(p->peer, SHUT_WR);
	CHECK(vai__conn_read_into(g, p->c, buf, 8, VAI_FOREVER, &n) == VAI__EOF);
}

static void test_into(void **state)
{
	struct pair p = {0};
	(void)state;
	open_sockets(&p);
	open_conn(&p, &vai__conn_tcp);
	assert_int_equal(send(p.peer, "hello", 5, 0), 5);
	world_go(read_into, &p);
	world_join();
	close_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_urgent),
		cmocka_unit_test(test_into),
	};
	return WORLD_RUN("connections", tests);
}
