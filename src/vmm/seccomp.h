/* seccomp: the filters of a VM's threads: tables (seccomp_table.c) in, programs out (codec's emitter). */
#pragma once

#include "seccomp_emit.h"
#include "thread.h"

#define SECCOMP_SELF UINT64_MAX /* as the value of a check: this process's id */

/* A system call, the classes that may make it (bits 1 << VMM_THREAD_x), and what its arguments must be: all checks hold. A
 * call may have several rows for a class: one must hold. */
struct seccomp_row {
	uint16_t nr;
	uint16_t classes;
	uint8_t n_checks;
	struct seccomp_check checks[3];
};
extern const struct seccomp_row seccomp_rows[];
extern const size_t seccomp_n_rows;

/* Whether the class has any row for the call. */
bool seccomp_lists(enum vmm_thread class, uint32_t nr);
/* The program of a class: listed calls are allowed, all else gives what mode says. Freed with free(ret->insns). */
int seccomp_build(enum vmm_thread class, enum vmm_seccomp mode, struct seccomp_code *ret, struct err *e);
/* Confines the calling thread for good. TRAP: SIGSYS is unblocked and a handler names the call on standard error, then ends
 * the process. -errno: the thread is as before. */
int seccomp_enter(enum vmm_thread class, enum vmm_seccomp mode);
