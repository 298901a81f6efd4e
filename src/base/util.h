/* Small macros and ownership attributes. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

#define ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))
#define _printf_(fmt, args)             __attribute__((format(printf, fmt, args)))
#define _unused_                        __attribute__((unused))
#define _noreturn_                      __attribute__((noreturn))
#define _warn_unused_                   __attribute__((warn_unused_result))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define _cleanup_(fn) __attribute__((cleanup(fn)))

static inline void free_ptr(void *p)
{
	void **pp = p;
	free(*pp);
	*pp = NULL;
}
#define _cleanup_free_ _cleanup_(free_ptr)

/* DEFINE_CLEANUP(struct store *, store_free) makes store_free_ptr for _cleanup_(store_free_ptr). */
#define DEFINE_CLEANUP(type, fn)             \
	static inline void fn##_ptr(type *p) \
	{                                    \
		if (*p)                      \
			fn(*p);              \
	}

#define TAKE_PTR(p)                        \
	({                                 \
		__typeof__(p) _take = (p); \
		(p) = NULL;                \
		_take;                     \
	})
