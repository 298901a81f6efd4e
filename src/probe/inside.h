/* inside: the isolation as a process in it finds it. Each part writes one member of the JSON object that probe_walls prints; one that
 * can't be found out is written as {"why": REASON}. Nothing is asserted: what is told was tried, and nothing that is tried changes
 * anything. */
#pragma once

#include "base.h"

#define INSIDE_LISTED  50 /* names that a list has at most; the counts are whole */
#define INSIDE_WALK_MS 4000

/* A JSON writer: names and values as they come, commas by themselves. */
struct json_out {
	struct buf b;
	bool needs_comma;
};
void json_out_open(struct json_out *j, const char *name, char bracket); /* name NULL: an item of a list; bracket: { or [ */
void json_out_close(struct json_out *j, char bracket);                  /* } or ] */
void json_out_text(struct json_out *j, const char *name,
		   const char *value); /* control bytes escaped, ill-formed UTF-8 replaced */
void json_out_int(struct json_out *j, const char *name, long long value);
void json_out_bool(struct json_out *j, const char *name, bool value);
void json_out_why(struct json_out *j, const char *name, const char *what, int no); /* {"why": "WHAT: MESSAGE"} */

void inside_calls(struct json_out *j);
void inside_rights(struct json_out *j);
void inside_devices(struct json_out *j);
void inside_writable(struct json_out *j);
void inside_namespaces(struct json_out *j);
void inside_kernel(struct json_out *j);
void inside_masks(struct json_out *j);
void inside_mounts(struct json_out *j, const char *program); /* without the mount that the program came in by */

/* ---- asking for system calls without making them (calls.c) ---- */
enum call_abi { CALL_X86_64, CALL_I386, CALL_X32 };
struct call_asked {
	enum call_abi abi;
	uint32_t nr; /* x32: without its bit */
	uint64_t args[3];
};
enum call_answer {
	CALL_UNKNOWN,
	CALL_REACHED, /* no filter stands before it */
	CALL_REFUSED, /* a filter answers in the kernel's place */
	CALL_KILLED,  /* a filter kills whoever makes it */
	CALL_NO_ABI,  /* the processor's or the kernel's answer: this way in is not there */
};
/* How it was asked. */
enum call_way {
	CALL_BY_NOTIFY, /* exact */
	CALL_BY_TRACE,  /* a call that a filter refuses with ENOSYS looks reached */
};
/* Answers in the order of what is asked. 0 or -errno: filters can't be set here. */
int calls_ask(const struct call_asked *asked, size_t n, enum call_answer *ret, enum call_way *ret_way);
