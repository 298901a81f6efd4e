/* fixture: a comparison to test with. Only tests include this file. */
#pragma once

#include "compare.h"
#include "tap.h"

/* n samples from first on, each `step` more, in an order that is not theirs. */
static inline void fixture_samples(struct comparison *c, const char *id, size_t way, size_t n, double first, double step)
{
	for (size_t i = 0; i < n; i++)
		is_int(comparison_add_sample(c, id, way, first + step * (double)((i * 7919) % n)), 0);
}

/* container and an emulated vm: start-up of 20 runs each, little else; the VM's disk was not measured. */
static inline void fixture_make(struct comparison *c)
{
	is_int(comparison_init(c, "nginx: nginx -g 'daemon off;'", "sha256:0123"), 0);
	is_int(comparison_add_fact(c, "processors", "2 x AMD EPYC"), 0);
	is_int(comparison_add_fact(c, "kernel", "6.1.0"), 0);
	is_int(comparison_add_fact(c, "load", "0.10"), 0);
	is_int(comparison_add_way(c, "container", NULL), 0);
	is_int(comparison_add_way(c, "vm", "TCG"), 1);
	fixture_samples(c, "start.first_byte", 0, 20, 5, .1);
	fixture_samples(c, "start.first_byte", 1, 20, 1200, 10);
	fixture_samples(c, "memory.marginal", 0, 6, 900, 1);
	fixture_samples(c, "memory.marginal", 1, 6, 45000, 100);
	fixture_samples(c, "file.write", 0, 6, 800, 10);
	fixture_samples(c, "file.write", 1, 6, 200, 10);
	is_int(comparison_add_sample(c, "disk.own", 0, 12), 0);
	is_int(comparison_say_why_not(c, "disk.own", 1, "its disk is not of this host"), 0);
	is_int(comparison_add_wall(c, "kernel", "Kernel", true, 0, "the host's"), 0);
	is_int(comparison_add_wall(c, "kernel", "Kernel", true, 1, "its own"), 0);
	is_int(comparison_add_wall(c, "syscalls", "System calls that reach the host's kernel", true, 0, "312"), 0);
}

/* What print has printed; kept until the test ends. */
#define FIXTURE_PRINTED(print)                                      \
	({                                                          \
		int _fd = memfd_create("printed", MFD_CLOEXEC);     \
		char *_text = NULL;                                 \
		struct err _e = { 0 };                              \
		ok(_fd >= 0);                                       \
		if ((print) < 0)                                    \
			TAP_FAIL("%s: %s", #print, _e.msg);         \
		is_int(lseek(_fd, 0, SEEK_SET), 0);                 \
		is_int(fd_read_all(_fd, 1 << 24, &_text, NULL), 0); \
		fd_close(_fd);                                      \
		(const char *)tap_keep(_text);                      \
	})
