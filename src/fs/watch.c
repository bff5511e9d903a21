/* SPDX-License-Identifier: MIT */
/* See watch.h.
 *
 * The process has one inotify descriptor, as a user may have only a few; it is opened for the first watch and closed
 * with the last. What is watched is always a folder, so that a file may be replaced; several watches of a folder share
 * one. Events are read on the thread that is in the poller (a vai__watch of net/descriptor.h), which posts to the
 * channels without waiting: a full channel misses them.
 *
 * A watch lies in its channel's block and has no reference to it: it leaves the registry when the channel is closed
 * (forget) or freed (fini). The lock is a sleeping one, as adding a folder may read from the disk. The deadlock
 * detector counts a goroutine as awaited while it waits at a channel of a watch. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "fs/watch.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include "net/descriptor.h"
#include "sched/poll.h"
#include "sync/chan_private.h"

enum { EVENTS = IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO, CAPACITY = 65536 };
enum { OTHER_HALF = 2 /* ms */ };

struct watch {
	struct watch *next; /* in the list of its folder; under the lock, as all below but `make` */
	struct folder *folder;
	struct watch *used_next; /* in the list of those that this turn has a reference to */
	bool used;
	bool (*make)(vai_msg *msg, const struct vai__change *change);
	char *name; /* the file's name in the folder; NULL: everything in the folder is told */
};

struct watch_chan {
	vai_chan ch;
	struct watch w;
};

struct folder {
	struct folder *next;
	int wd;
	struct watch *watches;
};

static struct {
	pthread_mutex_t lock;
	struct vai__desc *desc; /* NULL: there is no watch */
	struct vai__watch watch;
	struct folder *folders;
	struct watch *used;
	char buf[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
	/* The first half of a rename, whose second half may follow at once. */
	uint32_t cookie;
	int cookie_wd;
	char from[NAME_MAX + 1];
} reg = {.lock = PTHREAD_MUTEX_INITIALIZER};

static vai_chan *chan_of(struct watch *w)
{
	return &VAI_CONTAINER(w, struct watch_chan, w)->ch;
}

static bool is_awaited(void);
static struct vai__source source = {.awaited = is_awaited};

/* ---- the registry; lock held ---- */

static struct folder *find_folder(int wd)
{
	struct folder *f = reg.folders;
	while (f && f->wd != wd)
		f = f->next;
	return f;
}

static void drop_folder(struct folder *f)
{
	struct folder **at = &reg.folders;
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	free(f);
}

/* Returns the descriptor if that was the last watch: the caller releases it without the lock. */
static struct vai__desc *unlink_watch(struct watch *w)
{
	struct folder *f = w->folder;
	if (!f)
		return NULL;
	struct watch **at = &f->watches;
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->folder = NULL;
	vai__poll_source(&source, -1);
	if (!f->watches) {
		if (reg.desc)
			inotify_rm_watch(vai__desc_fd(reg.desc), f->wd);
		drop_folder(f);
	}
	if (reg.folders)
		return NULL;
	struct vai__desc *d = reg.desc;
	reg.desc = NULL;
	return d;
}

/* Whether a goroutine waits at any of the channels. */
static bool is_awaited(void)
{
	bool awaited = false;
	pthread_mutex_lock(&reg.lock);
	for (struct folder *f = reg.folders; f && !awaited; f = f->next)
		for (struct watch *w = f->watches; w && !awaited; w = w->next)
			awaited = vai__chan_is_awaited(chan_of(w));
	pthread_mutex_unlock(&reg.lock);
	return awaited;
}

static void forget(vai_chan *ch)
{
	struct watch *w = &VAI_CONTAINER(ch, struct watch_chan, ch)->w;
	pthread_mutex_lock(&reg.lock);
	struct vai__desc *last = unlink_watch(w);
	pthread_mutex_unlock(&reg.lock);
	if (last)
		vai__desc_release(last);
}

static void fini(vai_chan *ch)
{
	forget(ch);
	free(VAI_CONTAINER(ch, struct watch_chan, ch)->w.name);
}

/* ---- events; lock held ---- */

/* Takes a reference for the rest of this turn. False: the channel is being freed. */
static bool use(struct watch *w)
{
	if (w->used)
		return true;
	if (!vai__obj_try_ref(&chan_of(w)->obj))
		return false;
	w->used = true;
	w->used_next = reg.used;
	reg.used = w;
	return true;
}

static void post(struct watch *w, const struct vai__change *change)
{
	vai_msg msg;
	vai_chan *ch = chan_of(w);
	if (use(w) && w->make(&msg, change) && vai__chan_post(ch, &msg) != VAI_OK)
		ch->drop(&msg);
}

/* Tells all watches of the folder that look for one of the names. */
static void tell(int wd, const char *type, const char *name, const char *from)
{
	struct vai__change change = {type, name, from};
	struct folder *f = find_folder(wd);
	for (struct watch *w = f ? f->watches : NULL; w; w = w->next)
		if (!w->name || strcmp(w->name, name) == 0 || (from && strcmp(w->name, from) == 0))
			post(w, &change);
}

/* Tells a rename whose second half has not come as a removal: the file has left the folder. */
static void flush_rename(void)
{
	if (reg.cookie)
		tell(reg.cookie_wd, "remove", reg.from, NULL);
	reg.cookie = 0;
}

static void moved_to(const struct inotify_event *e)
{
	if (reg.cookie == e->cookie && reg.cookie_wd == e->wd) {
		reg.cookie = 0;
		tell(e->wd, "rename", e->name, reg.from);
		return;
	}
	flush_rename();
	tell(e->wd, "create", e->name, NULL);
}

static void moved_from(const struct inotify_event *e)
{
	flush_rename();
	reg.cookie = e->cookie;
	reg.cookie_wd = e->wd;
	size_t n = strnlen(e->name, NAME_MAX);
	memcpy(reg.from, e->name, n);
	reg.from[n] = 0;
}

/* Tells all watches that events were lost, so that the scripts look for themselves. */
static void overflow(void)
{
	struct vai__change change = {"overflow", ".", NULL};
	for (struct folder *f = reg.folders; f; f = f->next)
		for (struct watch *w = f->watches; w; w = w->next)
			post(w, &change);
}

/* The folder is gone: its watches end, and their channels are closed once the lock is free. */
static void folder_gone(int wd)
{
	struct folder *f = find_folder(wd);
	for (struct watch *w = f ? f->watches : NULL; w; w = w->next) {
		struct vai__change change = {"remove", w->name ? w->name : ".", NULL};
		post(w, &change);
	}
	if (f)
		f->wd = -1;
}

static void take_event(const struct inotify_event *e)
{
	if (e->mask & IN_MOVED_TO) {
		moved_to(e);
		return;
	}
	if (e->mask & IN_MOVED_FROM) {
		moved_from(e);
		return;
	}
	flush_rename();
	if (e->mask & IN_Q_OVERFLOW)
		overflow();
	else if (e->mask & IN_IGNORED)
		folder_gone(e->wd);
	else if (e->len > 0)
		tell(e->wd, e->mask & IN_CREATE ? "create" : e->mask & IN_DELETE ? "remove" : "change", e->name, NULL);
}

static void take_all(int fd)
{
	ssize_t n;
	while ((n = read(fd, reg.buf, sizeof reg.buf)) > 0 || (n < 0 && errno == EINTR))
		for (char *p = reg.buf; n > 0 && p < reg.buf + n;) {
			const struct inotify_event *e = (const struct inotify_event *)(void *)p;
			take_event(e);
			p += sizeof *e + e->len;
		}
}

/* Reads all events. The kernel puts the halves of a rename into the queue one after the other, not at once
 * (inotify(7)), so the second may not be there yet. It is waited for, in the poller, for OTHER_HALF ms; only a file
 * that leaves its folder costs all of that. */
static void drain(int fd)
{
	struct pollfd more = {.fd = fd, .events = POLLIN};
	do
		take_all(fd);
	while (reg.cookie && poll(&more, 1, OTHER_HALF) > 0);
	flush_rename();
}

/* ---- on the thread that is in the poller or closes the descriptor ---- */

static void end_used(struct watch *list)
{
	while (list) {
		struct watch *w = list;
		list = w->used_next;
		pthread_mutex_lock(&reg.lock);
		w->used = false;
		bool gone = w->folder && w->folder->wd < 0;
		pthread_mutex_unlock(&reg.lock);
		if (gone) { /* counted, as sysmon may look before the waiters are ready */
			vai__poll_count(1);
			vai__chan_close(chan_of(w));
			vai__poll_count(-1);
		}
		vai__obj_unref(&chan_of(w)->obj);
	}
}

static void on_events(struct vai__watch *unused)
{
	(void)unused;
	pthread_mutex_lock(&reg.lock);
	struct vai__desc *d = reg.desc;
	if (!d || !vai__desc_hold(d)) {
		pthread_mutex_unlock(&reg.lock);
		return;
	}
	do
		drain(vai__desc_fd(d));
	while (!vai__desc_watch(d, VAI__READ, &reg.watch) && !vai__desc_is_closed(d));
	struct watch *used = reg.used;
	reg.used = NULL;
	pthread_mutex_unlock(&reg.lock);
	vai__desc_unhold(d);
	end_used(used);
}

static void on_end(struct vai__watch *unused)
{
	(void)unused;
	reg.desc = NULL;
}

/* ---- watching ---- */

/* Opens the inotify descriptor and sets its watch. Lock held. */
static int open_inotify(void)
{
	int rc;
	if (reg.desc)
		return VAI_OK;
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0)
		return VAI__ERRNO(errno);
	struct vai__desc *d = vai__desc_new(fd, &rc);
	if (!d) {
		close(fd);
		return rc;
	}
	reg.desc = d;
	reg.watch = (struct vai__watch){.fn = on_events, .gone = on_end};
	while (!vai__desc_watch(d, VAI__READ, &reg.watch)) /* a new descriptor may seem ready at first */
		;
	return VAI_OK;
}

/* Puts w into the list of its folder, which is watched from then on. Lock held. */
static int link_watch(struct watch *w, const char *path)
{
	int wd = inotify_add_watch(vai__desc_fd(reg.desc), path, EVENTS | IN_ONLYDIR);
	if (wd < 0)
		return VAI__ERRNO(errno);
	struct folder *f = find_folder(wd);
	if (!f) {
		f = calloc(1, sizeof *f);
		if (!f) {
			inotify_rm_watch(vai__desc_fd(reg.desc), wd);
			return VAI_ENOMEM;
		}
		f->wd = wd;
		f->next = reg.folders;
		reg.folders = f;
	}
	w->folder = f;
	w->next = f->watches;
	f->watches = w;
	vai__poll_source(&source, 1);
	return VAI_OK;
}

static int begin(struct watch *w, const char *path)
{
	struct vai__desc *unused = NULL;
	pthread_mutex_lock(&reg.lock);
	vai__chan_closed_hook = forget;
	int rc = open_inotify();
	if (rc == VAI_OK)
		rc = link_watch(w, path);
	if (!reg.folders) {
		unused = reg.desc;
		reg.desc = NULL;
	}
	pthread_mutex_unlock(&reg.lock);
	if (unused)
		vai__desc_release(unused);
	return rc;
}

/* Splits a path into the folder to watch and the file's name in it, which is NULL for a folder. False: out of
 * memory. */
static bool split(const char *path, char **folder, char **name)
{
	struct stat st;
	const char *slash = strrchr(path, '/');
	*name = NULL;
	if ((stat(path, &st) == 0 && S_ISDIR(st.st_mode)) || (slash && !slash[1])) {
		*folder = strdup(path);
		return *folder != NULL;
	}
	*folder = slash == path ? strdup("/") : slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
	*name = strdup(slash ? slash + 1 : path);
	if (*folder && *name)
		return true;
	free(*folder);
	free(*name);
	return false;
}

int vai__fs_watch(
	const char *path, bool (*make)(vai_msg *msg, const struct vai__change *change), vai_drop_fn *drop, vai_chan **out)
{
	char *folder, *name;
	if (!split(path, &folder, &name))
		return VAI_ENOMEM;
	vai_chan *ch = vai__chan_alloc(sizeof(struct watch_chan), CAPACITY, drop);
	int rc = VAI_ENOMEM;
	if (ch) {
		struct watch *w = &VAI_CONTAINER(ch, struct watch_chan, ch)->w;
		w->make = make;
		w->name = name;
		ch->told = true;
		ch->fini = fini;
		rc = begin(w, folder);
	}
	free(folder);
	if (rc == VAI_OK)
		*out = ch;
	else if (ch)
		vai__obj_unref(&ch->obj);
	else
		free(name);
	return rc;
}
