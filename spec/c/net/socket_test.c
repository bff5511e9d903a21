/* SPDX-License-Identifier: MIT */
/* Sockets: what a connect has come to. */
#include "net/socket.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>
#include "vai.h"

/* A socket that is bound to a free port of this machine's; *a is where. */
static int bound(int family, int type, struct vai__addr *a)
{
	int fd = vai__socket_new(family, type);
	assert_true(fd >= 0);
	assert_true(vai__addr_numeric(a, family, family == AF_INET ? "127.0.0.1" : "::1", 0));
	if (bind(fd, &a->u.sa, a->len) < 0) {
		close(fd);
		return -1; /* a machine without IPv6 */
	}
	assert_true(vai__socket_local(fd, a) >= 0);
	return fd;
}

/* As when the system picks the port that is dialed. */
static void test_itself(void **state)
{
	static const int kinds[][2] = {
		{AF_INET, SOCK_STREAM}, {AF_INET, SOCK_DGRAM}, {AF_INET6, SOCK_STREAM}, {AF_INET6, SOCK_DGRAM}};
	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct vai__addr a;
		int fd = bound(kinds[i][0], kinds[i][1], &a);
		if (fd < 0)
			continue;
		vai__socket_connect(fd, &a);
		assert_int_equal(vai__socket_connected(fd), VAI__ERRNO(ECONNREFUSED));
		close(fd);
	}
}

static void test_other(void **state)
{
	struct vai__addr a;
	(void)state;
	int listener = bound(AF_INET, SOCK_STREAM, &a), fd = vai__socket_new(AF_INET, SOCK_STREAM);
	assert_int_equal(listen(listener, 1), 0);
	vai__socket_connect(fd, &a);
	int rc;
	while ((rc = vai__socket_connected(fd)) == VAI_EAGAIN)
		;
	assert_int_equal(rc, VAI_OK);
	close(fd);
	close(listener);
}

static void test_nobody(void **state)
{
	struct vai__addr a;
	(void)state;
	int taken = bound(AF_INET, SOCK_STREAM, &a), fd = vai__socket_new(AF_INET, SOCK_STREAM), rc;
	rc = vai__socket_connect(fd, &a); /* the port is taken, and nobody listens */
	if (rc >= 0 || rc == VAI__ERRNO(EINPROGRESS))
		while ((rc = vai__socket_connected(fd)) == VAI_EAGAIN)
			;
	assert_int_equal(rc, VAI__ERRNO(ECONNREFUSED));
	close(fd);
	close(taken);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_itself),
		cmocka_unit_test(test_other),
		cmocka_unit_test(test_nobody),
	};
	return cmocka_run_group_tests_name("sockets", tests, NULL, NULL);
}
