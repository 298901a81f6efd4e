/* A single-threaded epoll loop. Callbacks run on the thread of loop_run. */
#pragma once

#include <signal.h>
#include <sys/epoll.h>

#include "util.h"

struct loop;
struct loop_src; /* one registration; owned by the loop until loop_del */

/* events: EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR; for timers 0. */
typedef void (*loop_cb)(struct loop *l, int fd, uint32_t events, void *arg);
typedef void (*loop_signal_cb)(struct loop *l, int sig, void *arg);

int loop_new(struct loop **ret);
void loop_free(struct loop *l);
DEFINE_CLEANUP(struct loop *, loop_free)

/* Watches fd (not owned). *ret_src (may be NULL) serves loop_mod and loop_del. */
int loop_add(struct loop *l, int fd, uint32_t events, loop_cb cb, void *arg, struct loop_src **ret_src);
int loop_mod(struct loop_src *s, uint32_t events); /* events 0 = keep registered, deliver nothing but HUP/ERR */
/* Safe inside callbacks, also for a source whose event is pending in this turn. NULL is fine. */
void loop_del(struct loop_src *s);
/* One-shot timer on CLOCK_MONOTONIC; it deletes itself after firing. */
int loop_timer(struct loop *l, uint64_t after_ms, loop_cb cb, void *arg, struct loop_src **ret_src);
/* Blocks the signals in this process and delivers them here through one signalfd. Call once per loop. */
int loop_signals(struct loop *l, const sigset_t *set, loop_signal_cb cb, void *arg);
/* cb is called, on the loop's own thread and with nothing of it in use, when nothing has happened for so long since something has;
 * so not again before something happens. One a loop; cb may not change it. */
void loop_when_idle(struct loop *l, uint64_t after_ms, void (*cb)(void *arg), void *arg);
/* Runs until loop_stop; returns the value given there, or -errno of epoll. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l, int value);
