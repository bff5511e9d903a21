/* SPDX-License-Identifier: MIT */
/* Descriptor records: who waits in one direction, who is told, and when the descriptor goes. */
#include "sync/world.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net/poller.h"
#include "sched/poll.h"

static const struct vai__iowait forever = {.reason = VAI_WAIT_READ, .limit = VAI_FOREVER};

/* One end of a pair is d's, the other one `other`. */
struct pair {
	struct vai__desc *d;
	int fd, other;
	_Atomic(int) taken, released, results[8];
	_Atomic(int) ended;
	bool hold; /* a user keeps its direction until `released` */
};

static void open_pair(struct pair *p)
{
	int fds[2], rc;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	p->fd = fds[0];
	p->other = fds[1];
	p->d = vai__desc_new(fds[0], &rc);
	assert_non_null(p->d);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void close_pair(struct pair *p)
{
	struct vai__iowait w = {.reason = VAI_WAIT_CLOSE, .limit = VAI_FOREVER};
	vai__desc_close(p->d);
	assert_int_equal(vai__desc_await(vai__g_self(), p->d, &w), VAI_OK);
	assert_false(is_open(p->fd));
	vai__desc_release(p->d);
	close(p->other);
}

/* Reads one byte: the pattern of descriptor.h. */
static int read_byte(vai_g *g, struct vai__desc *d, const struct vai__iowait *w)
{
	char c;
	int rc = vai__desc_take(g, d, VAI__READ, w);
	if (rc != VAI_OK)
		return rc;
	while (rc == VAI_OK && read(vai__desc_fd(d), &c, 1) < 0)
		rc = vai__desc_wait(g, d, VAI__READ, w);
	vai__desc_give(d, VAI__READ);
	return rc;
}

/* A user that is slow to let go. */
static void use(vai_g *g, void *arg)
{
	struct pair *p = arg;
	CHECK(vai__desc_take(g, p->d, VAI__READ, &forever) == VAI_OK);
	atomic_store(&p->taken, 1);
	int rc = vai__desc_wait(g, p->d, VAI__READ, &forever);
	while (p->hold && atomic_load(&p->released) == 0)
		vai__yield(g);
	vai__desc_give(p->d, VAI__READ);
	CHECK(rc == VAI_ECLOSED);
}

static void await(struct pair *p, vai_g *g, int i, int64_t limit)
{
	struct vai__iowait w = {.reason = VAI_WAIT_CLOSE, .limit = limit};
	atomic_store(&p->results[i], vai__desc_await(g, p->d, &w));
	CHECK(atomic_load(&p->results[i]) != VAI_OK || !is_open(p->fd));
	atomic_fetch_add(&p->ended, 1);
}

static void await_first(vai_g *g, void *arg)
{
	await(arg, g, 0, VAI_FOREVER);
}

static void await_second(vai_g *g, void *arg)
{
	await(arg, g, 1, VAI_FOREVER);
}

static void test_close_waits(void **state)
{
	struct pair p = {.hold = true};
	vai_g *self = vai__g_self();
	(void)state;
	open_pair(&p);
	struct vai__iowait w = {.reason = VAI_WAIT_CLOSE, .limit = 0};
	assert_int_equal(vai__desc_await(self, p.d, &w), VAI_OK); /* not closed: nothing to wait for */
	world_parked(world_go(use, &p));
	world_until(&p.taken, 1);
	assert_true(vai__desc_close(p.d));
	assert_int_equal(vai__desc_await(self, p.d, &w), VAI_ETIMEOUT);
	w.limit = world_in(2);
	assert_int_equal(vai__desc_await(self, p.d, &w), VAI_ETIMEOUT);
	world_parked(world_go(await_first, &p));
	vai_g *second = world_go(await_second, &p);
	world_parked(second);
	assert_true(is_open(p.fd));
	assert_int_equal(atomic_load(&p.ended), 0);
	vai__g_end(second, VAI_END_CANCELED);
	world_until(&p.ended, 1);
	assert_int_equal(atomic_load(&p.results[1]), VAI_ECANCELED);
	atomic_store(&p.released, 1);
	world_join();
	assert_int_equal(atomic_load(&p.results[0]), VAI_OK);
	assert_int_equal(vai__desc_await(self, p.d, &w), VAI_OK);
	vai__desc_release(p.d);
	close(p.other);
}

/* Calls on a descriptor that blocks may stay in the system: nobody waits for them. */
static void test_close_blocking(void **state)
{
	struct pair p = {0};
	vai_g *self = vai__g_self();
	(void)state;
	open_pair(&p);
	assert_true(vai__desc_hold(p.d));
	fcntl(p.fd, F_SETFL, 0);
	vai__desc_close(p.d);
	struct vai__iowait w = {.reason = VAI_WAIT_CLOSE, .limit = VAI_FOREVER};
	assert_int_equal(vai__desc_await(self, p.d, &w), VAI_OK);
	assert_true(is_open(p.fd));
	vai__desc_unhold(p.d);
	vai__desc_release(p.d);
	close(p.other);
}

struct reader {
	struct pair *p;
	int i;
	int64_t limit;
};

static void read_one(vai_g *g, void *arg)
{
	struct reader *r = arg;
	struct vai__iowait w = {.reason = VAI_WAIT_READ, .limit = r->limit};
	atomic_store(&r->p->results[r->i], read_byte(g, r->p->d, &w));
	atomic_fetch_add(&r->p->ended, 1);
}

static void test_queue(void **state)
{
	struct pair p = {0};
	struct reader r[4];
	vai_g *g[4];
	(void)state;
	open_pair(&p);
	for (int i = 0; i < 4; i++) {
		r[i] = (struct reader){&p, i, i == 1 ? world_in(3) : VAI_FOREVER};
		world_parked(g[i] = world_go(read_one, &r[i]));
	}
	world_until(&p.ended, 1); /* the second gives up in the queue */
	assert_int_equal(atomic_load(&p.results[1]), VAI_ETIMEOUT);
	vai__g_end(g[2], VAI_END_CANCELED);
	world_until(&p.ended, 2);
	assert_int_equal(atomic_load(&p.results[2]), VAI_ECANCELED);
	assert_int_equal(write(p.other, "ab", 2), 2); /* one edge for two bytes and two readers */
	world_join();
	assert_int_equal(atomic_load(&p.results[0]), VAI_OK);
	assert_int_equal(atomic_load(&p.results[3]), VAI_OK);
	close_pair(&p);
}

static void test_deadline(void **state)
{
	struct pair p = {0};
	struct reader r = {&p, 0, VAI_FOREVER};
	(void)state;
	open_pair(&p);
	vai__desc_set_deadline(p.d, VAI__READ, 1); /* in the past */
	assert_int_equal(read_byte(vai__g_self(), p.d, &forever), VAI_ETIMEOUT);
	assert_int_equal(write(p.other, "a", 1), 1);
	assert_int_equal(read_byte(vai__g_self(), p.d, &forever), VAI_OK); /* what is there wins */
	vai__desc_set_deadline(p.d, VAI__READ, world_in(600000));
	world_parked(world_go(read_one, &r));
	vai__desc_set_deadline(p.d, VAI__READ, world_in(1)); /* moved while somebody waits */
	world_join();
	assert_int_equal(atomic_load(&p.results[0]), VAI_ETIMEOUT);
	vai__desc_set_deadline(p.d, VAI__READ, VAI_FOREVER); /* taken back after it was over */
	world_parked(world_go(read_one, &r));
	assert_int_equal(write(p.other, "b", 1), 1);
	world_join();
	assert_int_equal(atomic_load(&p.results[0]), VAI_OK);
	vai__desc_release(p.d);
	close(p.other);
}

struct watch {
	struct vai__watch watch;
	_Atomic(int) calls;
};

static void count_call(struct vai__watch *w)
{
	atomic_fetch_add(&VAI_CONTAINER(w, struct watch, watch)->calls, 1);
}

static void test_watch(void **state)
{
	struct pair p = {0};
	struct watch w = {.watch = {.fn = count_call}};
	vai_g *self = vai__g_self();
	(void)state;
	open_pair(&p);
	while (!vai__desc_watch(p.d, VAI__READ, &w.watch)) /* an edge of the registration */
		;
	vai__poll_count(1); /* nobody waits otherwise, so nobody would look into the poller */
	assert_int_equal(write(p.other, "a", 1), 1);
	while (atomic_load(&w.calls) == 0)
		vai__sleep(self, world_in(1));
	vai__poll_count(-1);
	assert_false(vai__desc_unwatch(p.d, VAI__READ));
	char c;
	assert_int_equal(read(p.fd, &c, 1), 1);
	while (!vai__desc_watch(p.d, VAI__READ, &w.watch))
		;
	assert_true(vai__desc_unwatch(p.d, VAI__READ));
	while (!vai__desc_watch(p.d, VAI__READ, &w.watch))
		;
	vai__desc_close(p.d);
	assert_int_equal(atomic_load(&w.calls), 2);
	assert_false(vai__desc_watch(p.d, VAI__READ, &w.watch));
	vai__desc_release(p.d);
	close(p.other);
}

/* An event that was fetched before its descriptor was closed is nobody's, though the record serves another one. */
static void test_stale(void **state)
{
	struct pair p = {0}, q = {0};
	(void)state;
	open_pair(&p);
	uint64_t key = vai__desc_key(p.d);
	vai__desc_release(p.d);
	close(p.other);
	open_pair(&q);
	assert_ptr_equal(q.d, p.d);
	assert_int_not_equal(vai__desc_key(q.d), key);
	struct watch w = {.watch = {.fn = count_call}};
	while (!vai__desc_watch(q.d, VAI__READ, &w.watch))
		;
	vai__desc_event(key, true, true, false);
	assert_int_equal(atomic_load(&w.calls), 0);
	vai__desc_event(vai__desc_key(q.d), true, false, false);
	assert_int_equal(atomic_load(&w.calls), 1);
	vai__desc_release(q.d);
	close(q.other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_close_waits),
		cmocka_unit_test(test_close_blocking),
		cmocka_unit_test(test_queue),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_stale),
	};
	int failed = WORLD_RUN("descriptors", tests);
	return failed + (vai__desc_count() != 0);
}
