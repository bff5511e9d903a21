/* SPDX-License-Identifier: MIT */
/* vai for C and C++: goroutines on all cores, channels, select and what belongs to them. There is no Lua in here;
 * vai_lua.h adds it.
 *
 * Threads. The thread that calls vai_start is the *host's thread*; what it runs is the main goroutine. Each function
 * below says at its end who may call it: "Goroutine" means goroutines and the host's thread; "Any" means all threads,
 * also those that vai does not know. A call by any other thread does nothing and gives VAI_ETHREAD.
 *
 * Waiting. A function that takes `ns` waits for at most so many nanoseconds: 0 does not wait (VAI_EAGAIN), VAI_FOREVER
 * has no limit. It parks the goroutine, not its thread; on the host's thread other goroutines run meanwhile. A wait
 * ends with VAI_ETIMEOUT when the time is over, and with VAI_ECANCELED when the goroutine was canceled. After a wait a
 * goroutine may be on another thread: no thread-local variable, errno included, keeps its value across one.
 *
 * Objects are reference counted: vai_X_new gives the caller one reference (NULL: out of memory), vai_unref gives it
 * back, vai_ref takes one more. A goroutine that waits for something may give back the last reference as soon as it has
 * come: the call that has brought it (a send, a close, a done, an unlock) needs no reference after that. */
#ifndef VAI_H
#define VAI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define VAI_API __attribute__((visibility("default")))
#else
#define VAI_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Results: 0 or more is success. */
enum vai_result {
	VAI_OK = 0,
	VAI_ENOMEM = -1,             /* out of memory */
	VAI_ECLOSED = -2,            /* the channel is closed */
	VAI_ETIMEOUT = -3,           /* the time was over first */
	VAI_EAGAIN = -4,             /* the call would have to wait */
	VAI_ECANCELED = -5,          /* the goroutine was canceled while it waited */
	VAI_EDEADLOCK = -6,          /* every goroutine waits and nothing can wake one */
	VAI_ERANGE = -7,             /* a number is out of range */
	VAI_EINVAL = -8,             /* an argument makes no sense */
	VAI_ESYS = -9,               /* the system refused (threads, mappings) */
	VAI_ECONTEXT = -10,          /* the context that bounds the wait was canceled */
	VAI_ECONTEXT_DEADLINE = -11, /* or its deadline has passed */
	VAI_EINTERRUPTED = -12,      /* the host's wait was interrupted (vai_interrupt, Ctrl-C) */
	VAI_ETHREAD = -13,           /* this thread must not call this function */
	VAI_ESTOPPED = -14           /* the runtime does not run */
};
/* What a result means: "the channel is closed". Any thread. */
VAI_API const char *vai_strerror(int result);

/* No limit of time. */
#define VAI_FOREVER INT64_MAX
/* So many milliseconds or seconds in nanoseconds. */
#define VAI_MS(n) ((int64_t)((n)*1e6))
#define VAI_S(n) ((int64_t)((n)*1e9))

typedef struct vai_chan vai_chan;
typedef struct vai_task vai_task;
typedef struct vai_waitgroup vai_waitgroup;
typedef struct vai_mutex vai_mutex;
typedef struct vai_context vai_context;
typedef struct vai_timer_object vai_timer;

/* ---- start and end ---- */

enum vai_flags {
	VAI_NO_SIGNALS = 1, /* installs no handlers: a goroutine's stack overflow is then a plain fault, and Lua code looks
							   by itself whether it is to give way, which makes it half as fast */
	VAI_DETECT_DEADLOCK = 2 /* waits of main end with VAI_EDEADLOCK when no goroutine can go on. Only where no thread
							   of the host's sends, closes or posts from outside */
};

/* All fields 0 but size asks for the defaults. Strings and arrays are needed during vai_start only. The functions are
 * called on any thread, outside of goroutines, with `data`; they must not call vai unless it says so. */
typedef struct vai_options {
	size_t size;    /* sizeof(vai_options) */
	int procs;      /* processors, as vai.maxprocs; 0: VAI_MAXPROCS in the environment, else the CPUs of the process */
	unsigned flags; /* enum vai_flags */
	size_t stack_size;   /* bytes of address space for each goroutine's C stack; 0: 640 KiB */
	const char *threads; /* the first part of the names of vai's threads, at most 8 bytes; NULL: "vai" */
	const int *cpus;     /* the CPUs on which vai's threads run; NULL: as for the thread that makes each */
	size_t ncpus;
	int nice; /* added to the threads' nice value */
	/* Makes a thread that calls run(arg), and may end when that returns. Returns 0 or an errno. NULL:
	 * pthread_create. */
	int (*thread_create)(void *(*run)(void *), void *arg, void *data);
	void (*thread_begin)(void *data);            /* called first on each of vai's threads, or NULL */
	void (*thread_end)(void *data);              /* called last on it, or NULL */
	void (*log)(const char *line, void *data);   /* a warning, without its end of line; NULL: stderr */
	void (*fatal)(const char *text, void *data); /* an invariant of vai is broken: the process aborts when it returns */
	void *data;
	/* Like realloc, for the memory that grows with goroutines, values and objects: block NULL asks for a new block,
	 * size 0 gives one back; the result NULL: out of memory. Blocks are aligned to 16. Called by any thread, by several
	 * at once, and by goroutines within calls of vai. The first vai_start chooses it for the process, before anything
	 * else of vai is used. NULL: libc's. C stacks, and what exists once or once for each thread, come from the system
	 * in any case. */
	void *(*memory)(void *block, size_t size, void *data);
} vai_options;

/* Starts the runtime; the calling thread becomes the host's. opts may be NULL. VAI_OK; VAI_EINVAL: it runs already, or
 * an option makes no sense; VAI_ESYS, VAI_ENOMEM. */
VAI_API int vai_start(const vai_options *opts);
/* Ends the runtime: a state of vai_lua.h is detached, goroutines that have not ended are abandoned where they are (what
 * C goroutines hold stays allocated), threads end. If Lua states of other threads are open only this thread's state
 * ends, and its goroutines are canceled. Objects stay valid until they are given back. VAI_EAGAIN: a goroutine has not
 * come back from C code within half a second; call again. VAI_ETHREAD: not the host's thread. */
VAI_API int vai_stop(void);
/* Whether the runtime runs. Any. */
VAI_API bool vai_running(void);

/* The number of goroutines alive, main included. Any. */
VAI_API int64_t vai_count(void);
/* Returns the number of processors; n > 0 also sets a new one. Goroutine. */
VAI_API int vai_procs(int n);

/* ---- the host's loop ---- */

/* Runs goroutines, on this thread too, for at most ns nanoseconds; returns earlier if there is nothing to do on this
 * thread. Between two polls goroutines do not need the host's thread: its processor goes to another thread. If all
 * processors are in use, the poll takes one at once, and its goroutine pauses until the poll ends. A goroutine that
 * computes for long is left to other threads. If a goroutine of Lua computes when the time is over it is interrupted;
 * one in C code is waited for. VAI_OK; VAI_EDEADLOCK, VAI_EINTERRUPTED. Host's thread. */
VAI_API int vai_poll(int64_t ns);
/* A descriptor that is readable while goroutines wait for the host's thread (vai_on_host), for a loop that sleeps in
 * poll or epoll; vai_poll resets it. It belongs to vai. VAI_ESYS: there is none. Host's thread. */
VAI_API int vai_fd(void);
/* Begins a serial phase, for a host whose data goroutines use, too: after VAI_OK none of this thread's goroutines runs
 * until vai_serial_end. Waits for at most ns until those that run have stopped: goroutines of Lua are interrupted; one
 * in a C call or of C code stops when it next waits or yields. A call between vai_block_begin and vai_block_end goes
 * on, and stops at its end. VAI_ETIMEOUT, VAI_EAGAIN (ns is 0): one still runs, so no phase has begun. Threads that vai
 * does not know run on, as do goroutines of other host's threads and those that such threads have posted; only from
 * these can come what this thread waits for in the phase. VAI_EINVAL: it is in a phase. Host's thread. */
VAI_API int vai_serial_begin(int64_t ns);
/* Ends the phase. VAI_EINVAL: there is none. Host's thread. */
VAI_API int vai_serial_end(void);
/* Ends what the host's thread waits for in vai, vai_poll included, with VAI_EINTERRUPTED: now, or the next time that it
 * waits. Lua code that it runs meanwhile gets the error "interrupted!" instead. If Lua states are open on several
 * threads, it is the thread to which the calling goroutine belongs; for a thread that runs no goroutine, the one whose
 * state was opened first. VAI_ESTOPPED. Any. */
VAI_API int vai_interrupt(void);
/* The number of the host's thread to which the calling goroutine belongs; no other thread of the process ever has the
 * same. 0: the goroutine was posted by a thread that vai does not know, or there is none. Any. */
VAI_API uint64_t vai_host(void);
/* As vai_interrupt, for the host's thread with that number. VAI_EINVAL: it has ended. Any. */
VAI_API int vai_interrupt_host(uint64_t host);

/* ---- goroutines ---- */

/* Runs f(arg) as a goroutine on a stack of its own. VAI_OK or VAI_ENOMEM. Goroutine. */
VAI_API int vai_go(void (*f)(void *arg), void *arg);
/* As vai_go. VAI_ESTOPPED. Any. */
VAI_API int vai_post(void (*f)(void *arg), void *arg);
/* As vai_go; the task is for waiting for its end. NULL: out of memory, or the caller is no goroutine. Goroutine. */
VAI_API vai_task *vai_spawn(void *(*f)(void *arg), void *arg);
/* Waits until the task has ended. VAI_OK: *result (unless result is NULL) is what f has returned. Goroutine. */
VAI_API int vai_join(vai_task *task, void **result, int64_t ns);
/* From now on all waits of the task's goroutine give VAI_ECANCELED; if it runs Lua code that is ended. False: it has
 * ended already. Goroutine. */
VAI_API bool vai_cancel(vai_task *task);
/* Makes f(arg) run on the host's thread, in its next vai_poll or while it waits, and waits until f has returned. On the
 * host's thread itself it is a plain call. f may wait. VAI_OK, VAI_ENOMEM; after another result f may still run later.
 * Goroutine. */
VAI_API int vai_on_host(void (*f)(void *arg), void *arg);

/* Gives other goroutines a turn. Goroutine. */
VAI_API int vai_yield(void);
/* Waits for ns. VAI_OK: the time is over. Goroutine. */
VAI_API int vai_sleep(int64_t ns);
/* The time of a monotonic clock in nanoseconds. Any. */
VAI_API int64_t vai_now(void);
/* The calling goroutine's number: 1 is main; 0: the thread runs none. Any. */
VAI_API uint64_t vai_id(void);

/* Enclose a call that waits in C for long: the goroutine gives its processor to others before it, and waits for one
 * after it. Without them vai notices by itself, some milliseconds later. They do not nest. Goroutine. */
VAI_API int vai_block_begin(void);
VAI_API int vai_block_end(void);

/* ---- objects ---- */

VAI_API void *vai_ref(void *object);  /* Any; returns it */
VAI_API void vai_unref(void *object); /* Any; NULL does nothing */

/* ---- channels ---- */

/* A channel of elements of `size` bytes, which are copied (0: only the event counts). It holds up to `capacity`
 * elements; with 0 a send waits for a receiver. NULL: out of memory, or capacity is above 2^32. Any. */
VAI_API vai_chan *vai_chan_new(size_t size, size_t capacity);
/* Send a copy of *element; receive into *element (NULL if the size is 0). VAI_ECLOSED: the channel is closed, and
 * nothing was sent or there is nothing left to receive. VAI_EINVAL: a channel of values. With ns 0: Any, otherwise
 * Goroutine. */
VAI_API int vai_send(vai_chan *ch, const void *element, int64_t ns);
VAI_API int vai_recv(vai_chan *ch, void *element, int64_t ns);
/* The same with ns 0. Any. */
VAI_API int vai_try_send(vai_chan *ch, const void *element);
VAI_API int vai_try_recv(vai_chan *ch, void *element);
/* Closes the channel. VAI_ECLOSED: it was closed already. VAI_EINVAL: it is a context's. Any. */
VAI_API int vai_close(vai_chan *ch);
/* The number of elements in the channel. Any. */
VAI_API size_t vai_chan_length(vai_chan *ch);

enum vai_direction { VAI_NEVER, VAI_SEND, VAI_RECV };
typedef struct vai_case {
	vai_chan *ch;  /* NULL: never ready */
	int direction; /* enum vai_direction */
	int result;    /* of the chosen case: VAI_OK or VAI_ECLOSED */
	void *element; /* where the element is or goes; for a channel of values a vai_value, as in vai_send_value */
} vai_case;
/* Waits until one of n cases can proceed, and does it; of several it takes a random one. Returns its index.
 * Goroutine. */
VAI_API int vai_select(vai_case *cases, int n, int64_t ns);

/* ---- values: what Lua's channels carry ---- */

/* A value on its way. All zero is nil. It may own memory and objects, so it must be dropped or sent, once. */
typedef struct vai_value {
	uint64_t w[4];
} vai_value;

enum vai_type {
	VAI_T_NIL,
	VAI_T_BOOLEAN,
	VAI_T_INTEGER,
	VAI_T_NUMBER,
	VAI_T_STRING,
	VAI_T_POINTER, /* a light userdata of Lua's */
	VAI_T_CHAN,
	VAI_T_OTHER /* a table, a function, ...: only Lua can read it */
};
VAI_API vai_value vai_value_boolean(bool b);
VAI_API vai_value vai_value_integer(int64_t i);
VAI_API vai_value vai_value_number(double n);
VAI_API vai_value vai_value_pointer(void *p);
/* Makes a copy of `length` bytes. VAI_OK or VAI_ENOMEM. */
VAI_API int vai_value_string(vai_value *out, const char *bytes, size_t length);
/* Takes a channel of values, with a reference of its own. VAI_OK; VAI_EINVAL: a channel of bytes, which Lua cannot
 * use. */
VAI_API int vai_value_chan(vai_value *out, vai_chan *ch);

VAI_API enum vai_type vai_value_type(const vai_value *v);
/* What v holds; if it has another type: false, 0, 0, NULL. Numbers are converted. */
VAI_API bool vai_value_to_boolean(const vai_value *v);
VAI_API int64_t vai_value_to_integer(const vai_value *v);
VAI_API double vai_value_to_number(const vai_value *v);
VAI_API void *vai_value_to_pointer(const vai_value *v);
/* The bytes of a string, which are valid as long as *v is and does not move; no zero ends them. length may be NULL. */
VAI_API const char *vai_value_to_string(const vai_value *v, size_t *length);
/* The channel; borrowed. */
VAI_API vai_chan *vai_value_to_chan(const vai_value *v);
/* Gives back what v owns; v is nil afterwards. Any. */
VAI_API void vai_value_drop(vai_value *v);

/* A channel of values, as Lua's vai.chan makes them. Any. */
VAI_API vai_chan *vai_chan_new_values(size_t capacity);
/* As vai_send. VAI_OK: *v was taken over and is nil now; otherwise it is still the caller's. VAI_EINVAL: a channel of
 * bytes; or nil, which cannot be sent. */
VAI_API int vai_send_value(vai_chan *ch, vai_value *v, int64_t ns);
/* As vai_recv: *v is overwritten, and the caller's to drop. */
VAI_API int vai_recv_value(vai_chan *ch, vai_value *v, int64_t ns);

/* ---- wait groups and mutexes ---- */

VAI_API vai_waitgroup *vai_waitgroup_new(void);
/* Count up by n, and down by 1. VAI_ERANGE: the counter would fall below zero. Any. */
VAI_API int vai_waitgroup_add(vai_waitgroup *wg, int64_t n);
VAI_API int vai_waitgroup_done(vai_waitgroup *wg);
/* Waits until the counter is zero. Goroutine. */
VAI_API int vai_waitgroup_wait(vai_waitgroup *wg, int64_t ns);

VAI_API vai_mutex *vai_mutex_new(void);
/* VAI_OK: the goroutine holds the mutex. With ns 0: VAI_EAGAIN if it is locked. Goroutine. */
VAI_API int vai_mutex_lock(vai_mutex *m, int64_t ns);
/* VAI_EINVAL: it is not locked. The caller need not be the holder. Any. */
VAI_API int vai_mutex_unlock(vai_mutex *m);

/* ---- contexts and timers ---- */

/* A context that ends by vai_context_cancel, with its parent (NULL: none), or after ns. Goroutine. */
VAI_API vai_context *vai_context_new(vai_context *parent, int64_t ns);
/* Ends the context and its children. Goroutine. */
VAI_API int vai_context_cancel(vai_context *ctx);
/* VAI_OK, or why the context has ended: VAI_ECONTEXT, VAI_ECONTEXT_DEADLINE. Any. */
VAI_API int vai_context_error(vai_context *ctx);
/* A channel that is closed when the context ends, with a reference for the caller. Goroutine. */
VAI_API vai_chan *vai_context_done(vai_context *ctx);
/* From now on the calling goroutine's waits end when ctx does, with its error; NULL: no longer. VAI_OK, or the error of
 * a context that has ended. The caller keeps its reference until it has set another one. Goroutine. */
VAI_API int vai_context_bound(vai_context *ctx);

/* Runs f(arg) as a goroutine after ns. Goroutine. */
VAI_API vai_timer *vai_timer_new(int64_t ns, void (*f)(void *arg), void *arg);
/* Stops the timer. True: it was pending and does not run. Goroutine. */
VAI_API bool vai_timer_stop(vai_timer *t);
/* Starts it again, to run after ns. VAI_OK or VAI_ENOMEM. Goroutine. */
VAI_API int vai_timer_reset(vai_timer *t, int64_t ns);
/* A channel of int64_t, the values of vai_now(), that gets one every ns; a slow receiver misses some. It ticks as long
 * as it has a reference. Goroutine. */
VAI_API vai_chan *vai_tick(int64_t ns);

#ifdef __cplusplus
}
#endif

#endif
