/* SPDX-License-Identifier: MIT */
/* How many CPUs a process may use, from trees of files that stand in for /proc and /sys/fs/cgroup, and
 * the number of Ps, which follows it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/clock.h"
#include "mach/cpus.h"
#include "sched/sched.h"
#include "temp.h"

#define SECOND INT64_C(1000000000)

static char root[200];
static int most; /* that affinity allows */

static void put(const char *name, const char *text)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof path, "%s%s", root, name);
	assert_true(n >= 1 && n < (int)sizeof path);
	for (char *at = path + 1; (at = strchr(at, '/')) != NULL; at++) {
		*at = '\0';
		mkdir(path, 0700);
		*at = '/';
	}
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int clear(void **state)
{
	char command[sizeof root + 16];
	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", root);
	return system(command); /* NOLINT(cert-env33-c): a folder of ours */
}

static int expected(int n)
{
	return n < most ? n : most;
}

#define V2_MOUNTS \
	"22 28 0:21 / /proc rw,nosuid - proc proc rw\n" \
	"30 24 0:26 / /sys/fs/cgroup rw,nosuid,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

static void nothing_to_read(void **state)
{
	(void)state;
	assert_int_equal(vai__cpus(), most);
}

static void version_2(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "0::/a/b\n");
	put("/proc/self/mountinfo", V2_MOUNTS);
	put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
	assert_int_equal(vai__cpus(), most);
	put("/sys/fs/cgroup/a/b/cpu.max", "100000 100000\n");
	assert_int_equal(vai__cpus(), 1);
	put("/sys/fs/cgroup/a/b/cpu.max", "1000 100000\n");
	assert_int_equal(vai__cpus(), 1);
	put("/sys/fs/cgroup/a/b/cpu.max", "100001 100000\n");
	assert_int_equal(vai__cpus(), expected(2));
	put("/sys/fs/cgroup/a/b/cpu.max", "9000000000000 1\n");
	assert_int_equal(vai__cpus(), most);
}

static void a_quota_above(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "0::/a/b\n");
	put("/proc/self/mountinfo", V2_MOUNTS);
	put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
	put("/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
	assert_int_equal(vai__cpus(), 1);
	put("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
	put("/sys/fs/cgroup/cpu.max", "90000 100000\n");
	assert_int_equal(vai__cpus(), 1);
	put("/sys/fs/cgroup/cpu.max", "max 100000\n");
	put("/sys/fs/cpu.max", "90000 100000\n"); /* above the mount: none of ours */
	assert_int_equal(vai__cpus(), most);
}

/* The groups of a container: its own namespace, so the path is "/". */
static void in_a_namespace(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "0::/\n");
	put("/proc/self/mountinfo", V2_MOUNTS);
	put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
	assert_int_equal(vai__cpus(), 1);
}

/* Without one: the mount shows a part of the tree only. */
static void version_1_in_a_container(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "9:memory:/docker/1f\n4:cpuset:/docker/1f\n3:cpuacct,cpu:/docker/1f/web\n0::/x\n");
	put("/proc/self/mountinfo",
		"30 24 0:26 / /unified rw - cgroup2 cgroup2 rw\n"
		"31 24 0:27 /docker/1f /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
		"32 24 0:28 /docker/other /sys/other rw - cgroup cgroup rw,cpu,cpuacct\n"
		"33 24 0:28 /docker/1f /sys/my\\040groups rw master:3 - cgroup cgroup rw,cpuacct,cpu\n");
	put("/unified/x/cpu.max", "300000 100000\n");
	put("/sys/other/cpu.cfs_quota_us", "200000\n");
	put("/sys/other/cpu.cfs_period_us", "100000\n");
	put("/sys/my groups/web/cpu.cfs_quota_us", "-1\n");
	put("/sys/my groups/web/cpu.cfs_period_us", "100000\n");
	put("/sys/my groups/cpu.cfs_quota_us", "70000\n");
	put("/sys/my groups/cpu.cfs_period_us", "100000\n");
	assert_int_equal(vai__cpus(), 1);
	put("/sys/my groups/cpu.cfs_quota_us", "-1\n");
	assert_int_equal(vai__cpus(), most);
}

/* Files that no kernel writes do no harm. */
static void odd_files(void **state)
{
	static const char *const odd[] = {"", "\n", ":", "::", "0:", "0::", "0::\n", "x", "0::/a/b"};
	(void)state;
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		put("/proc/self/cgroup", odd[i]);
		put("/proc/self/mountinfo", V2_MOUNTS);
		assert_int_equal(vai__cpus(), most);
		put("/proc/self/mountinfo", " - \n1 2 3 4 - cgroup2\n - cgroup2 x y\n1 2 3 / /x y - cgroup2\n");
		put("/x/a/b/cpu.max", "-1 0\n");
		assert_int_equal(vai__cpus(), most);
	}
}

static bool comes_to(int (*get)(void), int n)
{
	int64_t end = vai__clock_now() + 60 * SECOND;
	while (get() != n && vai__clock_now() < end)
		vai__sleep(vai__g_self(), vai__clock_now() + SECOND / 100);
	return get() == n;
}

static int procs(void)
{
	return vai__maxprocs(vai__g_self(), 0);
}

static void ps_follow(void **state)
{
	(void)state;
	if (most < 2)
		skip();
	unsetenv("VAI_MAXPROCS");
	put("/proc/self/cgroup", "0::/\n");
	put("/proc/self/mountinfo", V2_MOUNTS);
	put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
	assert_int_equal(vai__sched_start(&(struct vai__sched_opts){.maxprocs = 0}), VAI_OK);
	assert_int_equal(procs(), 1);
	assert_int_equal(vai__numcpu(), 1);
	put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
	assert_true(comes_to(procs, 2));
	assert_int_equal(vai__numcpu(), 2);
	put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
	assert_true(comes_to(procs, 1));
	vai__maxprocs(vai__g_self(), 1); /* somebody wants it so */
	put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
	assert_true(comes_to(vai__numcpu, 2));
	assert_int_equal(procs(), 1);
	assert_true(vai__sched_stop(SECOND));
}

static void ps_that_were_chosen_stay(void **state)
{
	(void)state;
	if (most < 2)
		skip();
	setenv("VAI_MAXPROCS", "3", 1);
	put("/proc/self/cgroup", "0::/\n");
	put("/proc/self/mountinfo", V2_MOUNTS);
	put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
	assert_int_equal(vai__sched_start(&(struct vai__sched_opts){.maxprocs = 0}), VAI_OK);
	put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
	assert_true(comes_to(vai__numcpu, 2));
	assert_int_equal(procs(), 3);
	assert_true(vai__sched_stop(SECOND));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(nothing_to_read, clear),
		cmocka_unit_test_teardown(version_2, clear),
		cmocka_unit_test_teardown(a_quota_above, clear),
		cmocka_unit_test_teardown(in_a_namespace, clear),
		cmocka_unit_test_teardown(version_1_in_a_container, clear),
		cmocka_unit_test_teardown(odd_files, clear),
		cmocka_unit_test_teardown(ps_follow, clear),
		cmocka_unit_test_teardown(ps_that_were_chosen_stay, clear),
	};
	cpu_set_t set;
	if (!mkdtemp(temp_path(root, sizeof root, "cpus_XXXXXX")) || sched_getaffinity(0, sizeof set, &set) != 0)
		return 1;
	most = CPU_COUNT(&set);
	vai__cpus_root = root;
	return cmocka_run_group_tests_name("cpus", tests, NULL, NULL);
}
