/* SPDX-License-Identifier: MIT */
/* vai.h as a host uses it: only that header is included. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vai.h"

#define OK(call) assert_int_equal(call, VAI_OK)
/* For goroutines, which cmocka's assertions must not leave by longjmp. */
#define MUST(cond) ((cond) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond), abort()))

static int start(void **state)
{
	(void)state;
	return vai_start(NULL);
}

static int finish(void **state)
{
	(void)state;
	return vai_stop();
}

/* ---- goroutines ---- */

static void *twice(void *arg)
{
	return (void *)((uintptr_t)arg * 2);
}

static void tasks_return_what_they_return(void **state)
{
	(void)state;
	vai_task *tasks[100];
	for (uintptr_t i = 0; i < 100; i++)
		assert_non_null(tasks[i] = vai_spawn(twice, (void *)i));
	for (uintptr_t i = 0; i < 100; i++) {
		void *result = NULL;
		OK(vai_join(tasks[i], &result, VAI_FOREVER));
		assert_int_equal((uintptr_t)result, 2 * i);
		vai_unref(tasks[i]);
	}
}

static void *wait_for_ever(void *arg)
{
	return (void *)(intptr_t)vai_recv(arg, NULL, VAI_FOREVER);
}

static void join_has_a_limit_and_cancel_ends_waits(void **state)
{
	(void)state;
	vai_chan *never = vai_chan_new(0, 0);
	vai_task *task = vai_spawn(wait_for_ever, never);
	void *result;
	assert_int_equal(vai_join(task, NULL, 0), VAI_EAGAIN);
	assert_int_equal(vai_join(task, NULL, VAI_MS(1)), VAI_ETIMEOUT);
	assert_true(vai_cancel(task));
	OK(vai_join(task, &result, VAI_FOREVER));
	assert_int_equal((intptr_t)result, VAI_ECANCELED);
	assert_false(vai_cancel(task));
	vai_unref(task);
	vai_unref(never);
}

/* ---- channels ---- */

struct big {
	char bytes[100];
	int n;
};

struct pair {
	vai_chan *to, *back;
};

static void send_big(void *arg)
{
	struct pair *p = arg;
	for (int i = 0; i < 1000; i++) {
		struct big b = {.n = i};
		memset(b.bytes, i, sizeof b.bytes);
		MUST(vai_send(p->to, &b, VAI_FOREVER) == VAI_OK);
	}
	MUST(vai_close(p->to) == VAI_OK);
}

static void elements_of_any_size_arrive_whole(void **state)
{
	(void)state;
	for (size_t cap = 0; cap < 20; cap += 7) {
		struct pair p = {.to = vai_chan_new(sizeof(struct big), cap)};
		struct big b;
		OK(vai_go(send_big, &p));
		for (int i = 0; i < 1000; i++) {
			OK(vai_recv(p.to, &b, VAI_FOREVER));
			assert_int_equal(b.n, i);
			assert_int_equal((unsigned char)b.bytes[99], i & 255);
		}
		assert_int_equal(vai_recv(p.to, &b, VAI_FOREVER), VAI_ECLOSED);
		assert_int_equal(vai_send(p.to, &b, VAI_FOREVER), VAI_ECLOSED);
		assert_int_equal(vai_close(p.to), VAI_ECLOSED);
		vai_unref(p.to);
	}
}

static void what_nobody_receives_is_freed(void **state)
{
	(void)state;
	struct big b = {.n = 1};
	vai_chan *ch = vai_chan_new(sizeof b, 2);
	OK(vai_try_send(ch, &b));
	OK(vai_try_send(ch, &b));
	assert_int_equal(vai_try_send(ch, &b), VAI_EAGAIN);
	assert_int_equal(vai_send(ch, &b, VAI_MS(1)), VAI_ETIMEOUT);
	assert_int_equal(vai_chan_length(ch), 2);
	vai_unref(ch);
	assert_null(vai_chan_new(1, (size_t)1 << 33));
}

static void echo(void *arg)
{
	struct pair *p = arg;
	int n;
	while (vai_recv(p->to, &n, VAI_FOREVER) == VAI_OK)
		MUST(vai_send(p->back, &n, VAI_FOREVER) == VAI_OK);
	MUST(vai_close(p->back) == VAI_OK);
}

static void select_takes_what_can_go(void **state)
{
	(void)state;
	struct pair p = {vai_chan_new(sizeof(int), 0), vai_chan_new(sizeof(int), 0)};
	int out = 0, in = -1, sum = 0;
	OK(vai_go(echo, &p));
	while (sum < 4950) {
		vai_case cases[] = {{.ch = out < 100 ? p.to : NULL, .direction = VAI_SEND, .element = &out},
			{.ch = p.back, .direction = VAI_RECV, .element = &in}};
		int i = vai_select(cases, 2, VAI_FOREVER);
		assert_true(i == 0 || i == 1);
		OK(cases[i].result);
		if (i == 0)
			out++;
		else
			sum += in;
	}
	OK(vai_close(p.to));
	vai_case last[6] = {{.ch = p.back, .direction = VAI_RECV, .element = &in}};
	assert_int_equal(vai_select(last, 6, VAI_FOREVER), 0);
	assert_int_equal(last[0].result, VAI_ECLOSED);
	vai_case none = {.direction = VAI_NEVER};
	assert_int_equal(vai_select(&none, 1, 0), VAI_EAGAIN);
	assert_int_equal(vai_select(&none, 1, VAI_MS(1)), VAI_ETIMEOUT);
	none = (vai_case){.ch = p.back, .direction = 9};
	assert_int_equal(vai_select(&none, 1, 0), VAI_EINVAL);
	vai_unref(p.to);
	vai_unref(p.back);
}

/* ---- threads of the host's ---- */

enum { THREADS = 3, EACH = 300 };

static void *sends_from_outside(void *arg)
{
	vai_chan *ch = arg;
	int64_t n = 0;
	assert_int_equal(vai_send(ch, &n, VAI_FOREVER), VAI_ETHREAD);
	assert_int_equal(vai_sleep(1), VAI_ETHREAD);
	assert_int_equal(vai_poll(0), VAI_ETHREAD);
	assert_int_equal(vai_stop(), VAI_ETHREAD);
	assert_int_equal(vai_id(), 0);
	for (n = 1; n <= EACH;)
		if (vai_try_send(ch, &n) == VAI_OK)
			n++;
		else
			sched_yield();
	return NULL;
}

static void add_up(void *arg)
{
	struct pair *p = arg;
	int64_t n, sum = 0;
	for (int i = 0; i < THREADS * EACH; i++) {
		MUST(vai_recv(p->to, &n, VAI_FOREVER) == VAI_OK);
		sum += n;
	}
	MUST(vai_send(p->back, &sum, VAI_FOREVER) == VAI_OK);
}

static void threads_of_the_host_send(void **state)
{
	(void)state;
	struct pair p = {vai_chan_new(sizeof(int64_t), 8), vai_chan_new(sizeof(int64_t), 1)};
	pthread_t threads[THREADS];
	int64_t sum;
	OK(vai_go(add_up, &p));
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sends_from_outside, p.to), 0);
	OK(vai_recv(p.back, &sum, VAI_FOREVER));
	assert_int_equal(sum, (int64_t)THREADS * EACH * (EACH + 1) / 2);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	vai_unref(p.to);
	vai_unref(p.back);
}

static void done(void *arg)
{
	MUST(vai_id() > 1);
	MUST(vai_waitgroup_done(arg) == VAI_OK);
}

static void *posts(void *arg)
{
	for (int i = 0; i < EACH; i++)
		assert_int_equal(vai_post(done, arg), VAI_OK);
	return NULL;
}

static void threads_of_the_host_post(void **state)
{
	(void)state;
	vai_waitgroup *wg = vai_waitgroup_new();
	pthread_t threads[THREADS];
	OK(vai_waitgroup_add(wg, THREADS * EACH));
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, posts, wg), 0);
	OK(vai_waitgroup_wait(wg, VAI_FOREVER));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(vai_waitgroup_done(wg), VAI_ERANGE);
	vai_unref(wg);
}

/* ---- locks, contexts, timers ---- */

static void *take_mutex(void *arg)
{
	return (void *)(intptr_t)vai_mutex_lock(arg, VAI_MS(1));
}

static void mutexes_exclude(void **state)
{
	(void)state;
	vai_mutex *m = vai_mutex_new();
	void *result;
	OK(vai_mutex_lock(m, 0));
	assert_int_equal(vai_mutex_lock(m, 0), VAI_EAGAIN);
	vai_task *task = vai_spawn(take_mutex, m);
	OK(vai_join(task, &result, VAI_FOREVER));
	assert_int_equal((intptr_t)result, VAI_ETIMEOUT);
	OK(vai_mutex_unlock(m));
	assert_int_equal(vai_mutex_unlock(m), VAI_EINVAL);
	vai_unref(task);
	vai_unref(m);
}

static void *wait_in_context(void *arg)
{
	vai_chan *never = vai_chan_new(0, 0);
	int rc = vai_context_bound(arg); /* it may be over already */
	if (rc == VAI_OK)
		rc = vai_recv(never, NULL, VAI_FOREVER);
	vai_unref(never);
	return (void *)(intptr_t)rc;
}

static void contexts_bound_waits(void **state)
{
	(void)state;
	vai_context *top = vai_context_new(NULL, VAI_FOREVER), *timed = vai_context_new(top, VAI_MS(1));
	vai_chan *over = vai_context_done(top);
	void *result;
	assert_int_equal(vai_close(over), VAI_EINVAL);
	vai_task *a = vai_spawn(wait_in_context, top), *b = vai_spawn(wait_in_context, timed);
	OK(vai_join(b, &result, VAI_FOREVER));
	assert_int_equal((intptr_t)result, VAI_ECONTEXT_DEADLINE);
	OK(vai_context_error(top));
	OK(vai_context_cancel(top));
	OK(vai_join(a, &result, VAI_FOREVER));
	assert_int_equal((intptr_t)result, VAI_ECONTEXT);
	assert_int_equal(vai_context_error(top), VAI_ECONTEXT);
	assert_int_equal(vai_recv(over, NULL, 0), VAI_ECLOSED);
	vai_unref(over);
	vai_unref(a);
	vai_unref(b);
	vai_unref(timed);
	vai_unref(top);
}

static void timers_run_and_tick(void **state)
{
	(void)state;
	vai_waitgroup *wg = vai_waitgroup_new();
	int64_t last = vai_now(), at;
	OK(vai_waitgroup_add(wg, 1));
	vai_timer *t = vai_timer_new(VAI_S(1000), done, wg);
	assert_true(vai_timer_stop(t));
	OK(vai_timer_reset(t, VAI_MS(1)));
	OK(vai_waitgroup_wait(wg, VAI_FOREVER));
	vai_unref(t);
	vai_unref(wg);
	vai_chan *ticks = vai_tick(VAI_MS(1));
	for (int i = 0; i < 3; i++) {
		OK(vai_recv(ticks, &at, VAI_FOREVER));
		assert_true(at > last);
		last = at;
	}
	assert_int_equal(vai_try_send(ticks, &at), VAI_EINVAL);
	vai_unref(ticks);
	OK(vai_sleep(VAI_MS(1)));
	assert_true(vai_now() - last >= VAI_MS(1));
}

/* ---- values ---- */

static void values_keep_what_they_hold(void **state)
{
	(void)state;
	char text[1100];
	memset(text, 'x', sizeof text);
	vai_chan *ch = vai_chan_new_values(8), *inner;
	vai_value v;
	size_t n;
	for (size_t len = 0; len <= sizeof text; len += 25) {
		OK(vai_value_string(&v, text, len));
		OK(vai_send_value(ch, &v, 0));
		assert_int_equal(vai_value_type(&v), VAI_T_NIL);
		OK(vai_recv_value(ch, &v, 0));
		assert_int_equal(vai_value_type(&v), VAI_T_STRING);
		assert_memory_equal(vai_value_to_string(&v, &n), text, len);
		assert_int_equal(n, len);
		vai_value_drop(&v);
	}
	assert_int_equal(vai_send_value(ch, &v, 0), VAI_EINVAL);
	assert_int_equal(vai_try_send(ch, &n), VAI_EINVAL);
	v = vai_value_integer(-5);
	assert_int_equal(vai_value_to_integer(&v), -5);
	assert_true(vai_value_to_number(&v) == -5.0);
	v = vai_value_number(1e300);
	assert_int_equal(vai_value_to_integer(&v), 0);
	assert_null(vai_value_to_string(&v, &n));
	v = vai_value_boolean(true);
	assert_true(vai_value_to_boolean(&v));
	v = vai_value_pointer(text);
	assert_ptr_equal(vai_value_to_pointer(&v), text);
	OK(vai_value_chan(&v, ch));
	OK(vai_send_value(ch, &v, 0));
	OK(vai_recv_value(ch, &v, 0));
	assert_ptr_equal(inner = vai_value_to_chan(&v), ch);
	vai_value_drop(&v);
	inner = vai_chan_new(4, 0);
	assert_int_equal(vai_value_chan(&v, inner), VAI_EINVAL);
	vai_unref(inner);
	OK(vai_value_string(&v, text, sizeof text)); /* goes with the channel */
	OK(vai_send_value(ch, &v, 0));
	vai_unref(ch);
}

/* ---- frames ---- */

static pthread_t host_thread;
static atomic_int on_host;

static void count_on_host(void *arg)
{
	(void)arg;
	MUST(pthread_equal(pthread_self(), host_thread));
	atomic_fetch_add(&on_host, 1);
}

static void ask_host(void *arg)
{
	for (int i = 0; i < 10; i++)
		MUST(vai_on_host(count_on_host, NULL) == VAI_OK);
	MUST(vai_waitgroup_done(arg) == VAI_OK);
}

static void the_descriptor_says_when_to_poll(void **state)
{
	(void)state;
	vai_waitgroup *wg = vai_waitgroup_new();
	struct pollfd fd = {.fd = vai_fd(), .events = POLLIN};
	atomic_store(&on_host, 0);
	host_thread = pthread_self();
	assert_true(fd.fd >= 0);
	assert_int_equal(vai_fd(), fd.fd);
	OK(vai_waitgroup_add(wg, 2));
	OK(vai_go(ask_host, wg));
	OK(vai_go(ask_host, wg));
	OK(vai_poll(0));
	while (atomic_load(&on_host) < 20) {
		assert_true(poll(&fd, 1, 60000) >= 0);
		OK(vai_poll(VAI_S(1)));
	}
	OK(vai_waitgroup_wait(wg, VAI_FOREVER));
	OK(vai_poll(VAI_S(1)));
	assert_int_equal(atomic_load(&on_host), 20);
	assert_int_equal(poll(&fd, 1, 0), 0);
	vai_unref(wg);
}

static void yield_until_told(void *arg)
{
	while (!atomic_load((atomic_int *)arg))
		MUST(vai_yield() == VAI_OK);
	atomic_store((atomic_int *)arg, 2);
}

/* Goroutines that always have work do not keep the host. */
static void a_frame_ends_when_its_time_is_over(void **state)
{
	(void)state;
	atomic_int told[4] = {0};
	for (int i = 0; i < 4; i++)
		OK(vai_go(yield_until_told, &told[i]));
	for (int i = 0; i < 20; i++)
		OK(vai_poll(VAI_MS(1)));
	for (int i = 0; i < 4; i++)
		atomic_store(&told[i], 1);
	for (int i = 0; i < 4; i++)
		while (atomic_load(&told[i]) != 2)
			OK(vai_poll(VAI_MS(1)));
}

static atomic_int computing; /* 1: has begun, 2: is told to end, 3: has ended */

static void compute_until_told(void *arg)
{
	(void)arg;
	atomic_store(&computing, 1);
	while (atomic_load(&computing) != 2)
		;
	MUST(vai_yield() == VAI_OK);
	atomic_store(&computing, 3);
}

static void count_there(void *arg)
{
	(void)arg;
	atomic_fetch_add(&on_host, 1);
}

/* A goroutine that computes in C has the only processor: the frame takes it, and gives it back. */
static void a_frame_does_not_wait_for_who_computes(void **state)
{
	(void)state;
	int procs = vai_procs(1);
	atomic_store(&on_host, 0);
	atomic_store(&computing, 0);
	OK(vai_go(compute_until_told, NULL));
	OK(vai_block_begin()); /* another thread takes it */
	while (atomic_load(&computing) != 1)
		;
	for (int i = 1; i <= 3; i++) {
		OK(vai_post(count_there, NULL));
		while (atomic_load(&on_host) < i)
			OK(vai_poll(VAI_S(60)));
	}
	atomic_store(&computing, 2);
	OK(vai_block_end());
	while (atomic_load(&computing) != 3)
		OK(vai_yield());
	vai_procs(procs);
}

static void block(void *arg)
{
	MUST(vai_block_begin() == VAI_OK);
	while (!atomic_load((atomic_int *)arg))
		;
	MUST(vai_block_end() == VAI_OK);
}

static void blocking_sections_let_others_run(void **state)
{
	(void)state;
	static atomic_int flag;
	vai_waitgroup *wg = vai_waitgroup_new();
	int before = vai_procs(1);
	OK(vai_waitgroup_add(wg, 1));
	OK(vai_go(block, &flag));
	OK(vai_yield());
	OK(vai_go(done, wg));
	OK(vai_waitgroup_wait(wg, VAI_FOREVER));
	atomic_store(&flag, 1);
	vai_procs(before);
	vai_unref(wg);
}

/* ---- start, options, end ---- */

static atomic_int begun, ended;

static void begin(void *data)
{
	atomic_fetch_add((atomic_int *)data, 1);
}

static void end(void *data)
{
	(void)data;
	atomic_fetch_add(&ended, 1);
}

static int create(void *(*run)(void *), void *arg, void *data)
{
	pthread_t thread;
	int rc = pthread_create(&thread, NULL, run, arg);
	(void)data;
	return rc ? rc : pthread_detach(thread);
}

static void *name_of_thread(void *arg)
{
	pthread_getname_np(pthread_self(), arg, 16);
	return vai_id() ? arg : NULL;
}

static void options_are_heeded(void **state)
{
	(void)state;
	const int cpus[] = {0};
	char name[16] = "";
	vai_options o = {.size = sizeof o,
		.procs = 2,
		.flags = VAI_NO_SIGNALS | VAI_DETECT_DEADLOCK,
		.threads = "game",
		.cpus = cpus,
		.ncpus = 1,
		.nice = 1,
		.thread_create = create,
		.thread_begin = begin,
		.thread_end = end,
		.data = &begun};
	assert_false(vai_running());
	OK(vai_start(&o));
	assert_true(vai_running());
	assert_int_equal(vai_start(&o), VAI_EINVAL);
	assert_int_equal(vai_procs(0), 2);
	for (int i = 0; i < 10000 && strncmp(name, "game-m", 6) != 0; i++) {
		vai_task *t = vai_spawn(name_of_thread, name);
		OK(vai_block_begin()); /* another thread has to run it */
		vai_block_end();
		OK(vai_join(t, NULL, VAI_FOREVER));
		vai_unref(t);
	}
	assert_string_equal(name, "game-m");
	vai_chan *never = vai_chan_new(0, 0);
	assert_int_equal(vai_recv(never, NULL, VAI_FOREVER), VAI_EDEADLOCK);
	vai_unref(never);
	OK(vai_stop());
	assert_true(atomic_load(&begun) >= 2);
	assert_int_equal(atomic_load(&begun), atomic_load(&ended));
	assert_int_equal(vai_post(done, NULL), VAI_ESTOPPED);
	OK(vai_stop());
}

static void bad_options_are_refused(void **state)
{
	(void)state;
	const int cpus[] = {-1};
	vai_options o = {.size = 4};
	assert_int_equal(vai_start(&o), VAI_EINVAL);
	o = (vai_options){.size = sizeof o, .threads = "much too long"};
	assert_int_equal(vai_start(&o), VAI_EINVAL);
	o = (vai_options){.size = sizeof o, .cpus = cpus, .ncpus = 1};
	assert_int_equal(vai_start(&o), VAI_EINVAL);
	o = (vai_options){.size = sizeof o, .procs = -1};
	assert_int_equal(vai_start(&o), VAI_EINVAL);
	assert_string_equal(vai_strerror(VAI_ECLOSED), "the channel is closed");
	assert_string_equal(vai_strerror(-99), "unknown result");
}

static void objects_outlive_the_runtime(void **state)
{
	(void)state;
	struct big b = {.n = 7};
	OK(vai_start(NULL));
	vai_chan *ch = vai_chan_new(sizeof b, 1), *never = vai_chan_new(0, 0);
	OK(vai_send(ch, &b, 0));
	vai_task *task = vai_spawn(wait_for_ever, never); /* is abandoned there */
	OK(vai_sleep(VAI_MS(1)));
	OK(vai_stop());
	assert_int_equal(vai_try_recv(ch, &b), VAI_ESTOPPED);
	vai_unref(task);
	vai_unref(ch);
	vai_unref(never);
	OK(vai_start(NULL));
	OK(vai_stop());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tasks_return_what_they_return),
		cmocka_unit_test(join_has_a_limit_and_cancel_ends_waits),
		cmocka_unit_test(elements_of_any_size_arrive_whole),
		cmocka_unit_test(what_nobody_receives_is_freed),
		cmocka_unit_test(select_takes_what_can_go),
		cmocka_unit_test(threads_of_the_host_send),
		cmocka_unit_test(threads_of_the_host_post),
		cmocka_unit_test(mutexes_exclude),
		cmocka_unit_test(contexts_bound_waits),
		cmocka_unit_test(timers_run_and_tick),
		cmocka_unit_test(values_keep_what_they_hold),
		cmocka_unit_test(the_descriptor_says_when_to_poll),
		cmocka_unit_test(a_frame_ends_when_its_time_is_over),
		cmocka_unit_test(a_frame_does_not_wait_for_who_computes),
		cmocka_unit_test(blocking_sections_let_others_run),
	};
	const struct CMUnitTest alone[] = {
		cmocka_unit_test(bad_options_are_refused),
		cmocka_unit_test(options_are_heeded),
		cmocka_unit_test(objects_outlive_the_runtime),
	};
	return cmocka_run_group_tests_name("vai.h", tests, start, finish) +
		cmocka_run_group_tests_name("vai.h, alone", alone, NULL, NULL);
}
