/* SPDX-License-Identifier: MIT */
/* Descriptor records: readiness against park, close against wait, deadline against readiness, and all of them against
 * waits without a stack. A descriptor is a number
 * of bytes that come; each comes with an edge, on a thread of nobody's, which stands for the poller. */
#include <fcntl.h>
#include "base/clock.h"
#include "net/poller.h"
#include "sched/rt.h"
#include "tests.h"
#include "world.h"

enum { FD = 1000, NOTHING = -1 };

static struct vai__desc *d;
static int data, got, closed, given_up;
static bool gone, retire_later, retired, started;

/* ---- what stands for the system and the poller ---- */

int __real_close(int fd);
int __wrap_close(int fd);
int __real_fcntl(int fd, int cmd, long arg);
int __wrap_fcntl(int fd, int cmd, long arg);

int __wrap_close(int fd)
{
	if (fd != FD)
		return __real_close(fd);
	sim_step("close");
	SIM_CHECK(!gone);
	gone = true;
	return 0;
}

int __wrap_fcntl(int fd, int cmd, long arg)
{
	return fd == FD ? O_NONBLOCK : __real_fcntl(fd, cmd, arg);
}

static int add(struct vai__desc *desc)
{
	(void)desc;
	return 0;
}

static void retire(struct vai__desc *desc)
{
	retired = true;
	if (!retire_later)
		vai__desc_dispose(desc);
}

static const struct vai__poller poller = {.add = add, .retire = retire};

static int read_byte(void)
{
	sim_step("read");
	SIM_CHECK(!gone);
	return data > 0 ? --data : NOTHING;
}

static void open_it(bool later)
{
	int rc;
	vai__desc_poller = &poller;
	retire_later = later;
	d = vai__desc_new(FD, &rc);
	SIM_CHECK(d != NULL);
}

static void release(void)
{
	vai__desc_release(d);
	SIM_CHECK(gone && vai__desc_count() == 0);
}

static bool has_started(void *arg)
{
	(void)arg;
	return started;
}

static void arrive(void *arg)
{
	uint64_t key = vai__desc_key(d);
	for (int i = 0; i < *(int *)arg; i++) {
		data++;
		vai__desc_event(key, true, false, false);
	}
}

/* ---- goroutines ---- */

static int read_some(vai_g *g, int n, int64_t limit)
{
	struct vai__iowait w = {.reason = VAI_WAIT_READ, .limit = limit};
	int rc = vai__desc_take(g, d, VAI__READ, &w);
	if (rc != VAI_OK)
		return rc;
	started = true;
	while (n > 0 && rc == VAI_OK) {
		if (read_byte() == NOTHING)
			rc = vai__desc_wait(g, d, VAI__READ, &w);
		else
			got++, n--;
	}
	vai__desc_give(d, VAI__READ);
	return rc;
}

static void read_one(vai_g *g, void *arg)
{
	int rc = read_some(g, 1, *(int64_t *)arg);
	closed += rc == VAI_ECLOSED;
	given_up += rc == VAI_ETIMEOUT;
	SIM_CHECK(rc == VAI_OK || rc == VAI_ECLOSED || rc == VAI_ETIMEOUT);
}

static void read_two(vai_g *g, void *arg)
{
	(void)arg;
	SIM_CHECK(read_some(g, 2, VAI_FOREVER) == VAI_OK);
}

static int64_t forever = VAI_FOREVER;

/* ---- readiness against park ---- */

static void ready(vai_g *main)
{
	static int two = 2;
	open_it(false);
	world_go(main, read_two, NULL);
	sim_spawn(arrive, &two);
	world_join(main);
	SIM_CHECK(got == 2 && data == 0);
	release();
}

void test_net_ready(void)
{
	world(2, ready);
}

/* ---- close against wait ---- */

static void close_it(vai_g *g, void *arg)
{
	(void)g;
	(void)arg;
	vai__desc_close(d);
}

static void close_waited(vai_g *main)
{
	open_it(false);
	world_go(main, read_one, &forever);
	world_go(main, close_it, NULL);
	world_join(main);
	SIM_CHECK(got == 0 && closed == 1 && gone);
	release();
}

void test_net_close(void)
{
	world(2, close_waited);
}

static void close_and_await(vai_g *g, void *arg)
{
	struct vai__iowait w = {.reason = VAI_WAIT_CLOSE, .limit = VAI_FOREVER};
	(void)arg;
	vai__desc_close(d);
	SIM_CHECK(vai__desc_await(g, d, &w) == VAI_OK);
	SIM_CHECK(gone);
}

static bool is_retired(void *arg)
{
	(void)arg;
	return retired;
}

/* A poller that lets go of it when it comes to that. */
static void dispose(void *arg)
{
	(void)arg;
	sim_wait(is_retired, NULL, INT64_MAX, "for a descriptor to let go of");
	vai__desc_dispose(d);
}

static void await(vai_g *main)
{
	open_it(true);
	sim_spawn(dispose, NULL);
	world_go(main, read_one, &forever);
	world_go(main, close_and_await, NULL);
	close_and_await(main, NULL);
	world_join(main);
	release();
}

void test_net_await(void)
{
	world(2, await);
}

/* ---- deadline against readiness ---- */

static void move_deadline(void *arg)
{
	(void)arg;
	sim_wait(has_started, NULL, INT64_MAX, "for a reader");
	vai__desc_set_deadline(d, VAI__READ, 1);
}

static void deadline(vai_g *main)
{
	static int one = 1;
	open_it(false);
	world_go(main, read_one, &forever);
	sim_spawn(move_deadline, NULL);
	sim_spawn(arrive, &one);
	world_join(main);
	SIM_CHECK(got + given_up == 1 && got + data <= 1);
	vai__desc_set_deadline(d, VAI__READ, VAI_FOREVER);
	if (given_up)
		SIM_CHECK(read_some(main, 1, VAI_FOREVER) == VAI_OK);
	release();
}

void test_net_deadline(void)
{
	world(2, deadline);
}

/* Nothing comes at all. */
static void moved(vai_g *main)
{
	open_it(false);
	world_go(main, read_one, &forever);
	sim_spawn(move_deadline, NULL);
	world_join(main);
	SIM_CHECK(given_up == 1);
	release();
}

void test_net_moved(void)
{
	world(2, moved);
}

/* ---- the queue of a direction ---- */

static void queue(vai_g *main)
{
	static int three = 3;
	static int64_t soon;
	open_it(false);
	soon = vai__clock_now() + 100000;
	world_go(main, read_one, &forever);
	world_go(main, read_one, &soon);
	world_go(main, read_one, &forever);
	sim_spawn(arrive, &three);
	world_join(main);
	SIM_CHECK(got + given_up == 3);
	release();
}

void test_net_queue(void)
{
	world(2, queue);
}

/* ---- waits without a stack ---- */

struct reader {
	struct vai__rest rest;
	int64_t limit;
	int left; /* bytes that it wants */
	int rc;
};

/* Reads on, after the wait in which it had no stack or at first. It does not park but by shedding. */
static int read_on(vai_g *g, struct reader *r, int rc)
{
	struct vai__iowait w = {.reason = VAI_WAIT_READ, .limit = r->limit, .rest = &r->rest};
	started = true;
	while (rc == VAI_OK && r->left > 0) {
		if (read_byte() == NOTHING)
			rc = vai__desc_wait(g, d, VAI__READ, &w);
		else
			got++, r->left--;
	}
	return rc;
}

static void shed_end(vai_g *g, void *arg);

static void shed_read(vai_g *g, struct reader *r, int rc)
{
	while ((rc = read_on(g, r, rc)) == VAI_SHEDS) {
		vai__park_shed(g, shed_end, r);
		rc = vai__desc_wait_end(g, d, VAI__READ, &r->rest);
	}
	SIM_CHECK(r->rest.timeout == NULL);
	vai__desc_give(d, VAI__READ);
	r->rc = rc;
}

static void shed_end(vai_g *g, void *arg)
{
	struct reader *r = arg;
	shed_read(g, r, vai__desc_wait_end(g, d, VAI__READ, &r->rest));
	world_end();
}

static void shed_begin(vai_g *g, void *arg)
{
	struct vai__iowait w = {.reason = VAI_WAIT_READ, .limit = VAI_FOREVER};
	struct reader *r = arg;
	r->rc = vai__desc_take(g, d, VAI__READ, &w);
	if (r->rc == VAI_OK)
		shed_read(g, r, VAI_OK);
}

static struct reader shedder = {.limit = VAI_FOREVER, .left = 2};

/* It reads, and so many bytes come. */
static vai_g *begin_shedding(vai_g *main, int *bytes)
{
	open_it(false);
	vai_g *g = world_go(main, shed_begin, &shedder);
	sim_spawn(arrive, bytes);
	return g;
}

/* Readiness against shedding. */
static void shed_ready(vai_g *main)
{
	static int two = 2;
	begin_shedding(main, &two);
	world_join(main);
	SIM_CHECK(shedder.rc == VAI_OK && got == 2 && data == 0);
	release();
}

void test_net_shed_ready(void)
{
	world(2, shed_ready);
}

/* Close against shedding; what comes at the same time is read or not. */
static void shed_close(vai_g *main)
{
	static int one = 1;
	begin_shedding(main, &one);
	world_go(main, close_it, NULL);
	world_join(main);
	SIM_CHECK(shedder.rc == VAI_ECLOSED && gone);
	release();
}

void test_net_shed_close(void)
{
	world(2, shed_close);
}

/* A limit, which is a timer of the record, against readiness and the next wait. */
static void shed_limit(vai_g *main)
{
	static int one = 1;
	shedder.limit = vai__clock_now() + 100000;
	begin_shedding(main, &one);
	world_join(main);
	SIM_CHECK(shedder.rc == VAI_ETIMEOUT && got + data <= 1);
	release();
}

void test_net_shed_limit(void)
{
	world(2, shed_limit);
}

/* Cancel against shedding and against readiness. */
static void shed_cancel(vai_g *main)
{
	static int one = 1;
	vai__g_end(begin_shedding(main, &one), VAI_END_CANCELED);
	world_join(main);
	SIM_CHECK(shedder.rc == VAI_ECANCELED && got + data <= 1);
	release();
}

void test_net_shed_cancel(void)
{
	world(2, shed_cancel);
}

/* ---- waits that become long ---- */

static void read_renewing(vai_g *g, void *arg)
{
	struct vai__iowait w = {.reason = VAI_WAIT_READ, .limit = VAI_FOREVER, .renews = true};
	(void)arg;
	SIM_CHECK(vai__desc_take(g, d, VAI__READ, &w) == VAI_OK);
	started = true;
	for (int n = 0; n < 2;) {
		if (read_byte() != NOTHING) {
			got++, n++;
			continue;
		}
		int rc = vai__desc_wait(g, d, VAI__READ, &w);
		SIM_CHECK(rc == VAI_OK || rc == VAI__RENEW);
	}
	vai__desc_give(d, VAI__READ);
}

/* The scavenger, for which every wait is long. */
static void find_long_waits(void *arg)
{
	(void)arg;
	sim_wait(has_started, NULL, INT64_MAX, "for a reader");
	for (int64_t next = 0; vai__renew_some(&next, INT64_MAX);)
		;
}

/* Against readiness; and main's wait for the reader, which is no such one, goes on. */
static void renew(vai_g *main)
{
	static int two = 2;
	open_it(false);
	world_go(main, read_renewing, NULL);
	sim_spawn(find_long_waits, NULL);
	sim_spawn(arrive, &two);
	world_join(main);
	SIM_CHECK(got == 2 && data == 0);
	release();
}

void test_net_renew(void)
{
	world(2, renew);
}
