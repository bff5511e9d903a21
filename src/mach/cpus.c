/* SPDX-License-Identifier: MIT */
/* How many CPUs the process may use, as Go 1.25 counts them: by its affinity and by the quotas of its control groups.
 * /proc/self/cgroup tells the group of the process, /proc/self/mountinfo where the tree of
 * groups, or the part of it that a container sees, is mounted. A quota above the group bounds it, too,
 * so all folders from the group up to the mount are read. What cannot be read is no limit. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "mach/cpus.h"
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *vai__cpus_root = "";

struct group {
	bool v1;
	char path[PATH_MAX]; /* in the tree: "/docker/1234" */
};

static FILE *open_below_root(const char *path)
{
	char full[PATH_MAX];
	int n = snprintf(full, sizeof full, "%s%s", vai__cpus_root, path);
	return n > 0 && (size_t)n < sizeof full ? fopen(full, "re") : NULL;
}

/* Whether word is one of those in list, which commas divide. */
static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);
	for (const char *at = list; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, word, n) == 0 && (at[n] == ',' || at[n] == '\0'))
			return true;
	}
	return false;
}

/* Reads a line of /proc/self/cgroup: "4:cpu,cpuacct:/path" of version 1, "0::/path" of version 2. Version 1 wins if it
 * has the controller of CPUs. */
static bool read_group_line(char *line, struct group *out)
{
	char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
	if (!path)
		return false;
	*list++ = *path++ = '\0';
	path[strcspn(path, "\n")] = '\0';
	bool v1 = has_word(list, "cpu"), v2 = strcmp(line, "0") == 0 && *list == '\0';
	if ((!v1 && !v2) || (v2 && out->v1) || strlen(path) >= sizeof out->path)
		return false;
	out->v1 = v1;
	memcpy(out->path, path, strlen(path) + 1);
	return true;
}

static bool find_group(struct group *out)
{
	char *line = NULL;
	size_t size = 0;
	bool found = false;
	FILE *f = open_below_root("/proc/self/cgroup");
	out->v1 = false;
	while (f && getline(&line, &size, f) > 0)
		found |= read_group_line(line, out);
	free(line);
	if (f)
		fclose(f);
	return found;
}

/* Undoes how proc(5) writes a space, a tab, a newline and a backslash: as \ooo. */
static void unescape(char *s)
{
	char *to = s;
	for (; *s; s++, to++) {
		*to = *s;
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*to = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + s[3] - '0');
			s += 3;
		}
	}
	*to = '\0';
}

/* The part of path that lies below root, one of its folders; NULL: it is not below root. */
static const char *below(const char *path, const char *root)
{
	size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);
	if (strncmp(path, root, n) != 0 || (path[n] != '/' && path[n] != '\0'))
		return NULL;
	return strcmp(path + n, "/") == 0 ? "" : path + n;
}

/* A line of mountinfo: "36 35 98:0 /root /place options [fields] - type source options". True: it mounts
 * g's tree, and g's folder and the length of the mount's own are in dir and *top. */
static bool read_mount_line(char *line, const struct group *g, char dir[PATH_MAX], size_t *top)
{
	char *rest = NULL, *field[5], *type, *options;
	char *end = strstr(line, " - ");
	if (!end)
		return false;
	for (int i = 0; i < 5; i++)
		if (!(field[i] = strtok_r(i ? NULL : line, " ", &rest)))
			return false;
	type = strtok_r(end + 3, " ", &rest);
	strtok_r(NULL, " ", &rest);
	options = strtok_r(NULL, " \n", &rest);
	if (!type || strcmp(type, g->v1 ? "cgroup" : "cgroup2") != 0 || (g->v1 && !(options && has_word(options, "cpu"))))
		return false;
	unescape(field[3]);
	unescape(field[4]);
	const char *path = below(g->path, field[3]);
	if (!path)
		return false;
	*top = strlen(vai__cpus_root) + strlen(field[4]);
	int n = snprintf(dir, PATH_MAX, "%s%s%s", vai__cpus_root, field[4], path);
	return n > 0 && n < PATH_MAX;
}

static bool find_folder(const struct group *g, char dir[PATH_MAX], size_t *top)
{
	char *line = NULL;
	size_t size = 0;
	bool found = false;
	FILE *f = open_below_root("/proc/self/mountinfo");
	while (f && !found && getline(&line, &size, f) > 0)
		found = read_mount_line(line, g, dir, top);
	free(line);
	if (f)
		fclose(f);
	return found;
}

/* Reads up to two numbers from dir/name and returns how many there are. A word that is no number ("max") ends them. */
static int read_numbers(const char *dir, const char *name, long long out[2])
{
	char path[PATH_MAX + 32];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	FILE *f = fopen(path, "re");
	int n = f ? fscanf(f, "%lld %lld", &out[0], &out[1]) : 0; /* NOLINT(cert-err34-c): the kernel wrote it */
	if (f)
		fclose(f);
	return n > 0 ? n : 0;
}

/* The CPUs that the quota of one folder is worth, or INT_MAX. */
static int quota_of(const char *dir, bool v1)
{
	long long n[2] = {0, 0}, period[2] = {0, 0};
	bool has;
	if (v1) {
		has = read_numbers(dir, "cpu.cfs_quota_us", n) >= 1 && read_numbers(dir, "cpu.cfs_period_us", period) >= 1;
		n[1] = period[0];
	} else {
		has = read_numbers(dir, "cpu.max", n) == 2;
	}
	if (!has || n[0] <= 0 || n[1] <= 0)
		return INT_MAX;
	long long cpus = (n[0] - 1) / n[1] + 1;
	return cpus < INT_MAX ? (int)cpus : INT_MAX;
}

static int quota(void)
{
	struct group *g = malloc(sizeof *g + PATH_MAX);
	int least = INT_MAX;
	size_t top = 0;
	if (!g)
		return least;
	char *dir = (char *)(g + 1);
	if (find_group(g) && find_folder(g, dir, &top)) {
		for (;;) {
			int n = quota_of(dir, g->v1);
			least = n < least ? n : least;
			char *slash = strrchr(dir, '/');
			if (strlen(dir) <= top || !slash || slash < dir + top)
				break;
			*slash = '\0';
		}
	}
	free(g);
	return least;
}

static int affinity(void)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	int n = CPU_COUNT(&set);
	return n > 0 ? n : 1;
}

int vai__cpus(void)
{
	int n = affinity(), least = quota();
	return n < least ? n : least;
}
