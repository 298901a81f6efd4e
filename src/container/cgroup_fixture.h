/* fixture: a cgroup of the test's own on the host at hand, v1, hybrid or v2, as the kernel that runs the test has them. What a layout
 * does not offer is skipped with the reason. Only tests include this, each once. */
#pragma once

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cgroup_impl.h"
#include "tap.h"

struct fixture {
	struct host h;
	char path[64];
	struct spec_resources r;
	struct spec spec;
	struct cgroup *cg;
	struct err e;
};

static inline void setup(struct fixture *f)
{
	memset(f, 0, sizeof *f);
	if (geteuid() != 0)
		skip("making cgroups needs root");
	if (host_probe_cgroup(&f->h, &f->e) < 0)
		TAP_FAIL("%s", f->e.msg);
	if (f->h.cgroup == CGROUP_NONE)
		skip("no cgroup hierarchy is mounted");
	if (access(f->h.cgroup == CGROUP_V2    ? f->h.cgroup_v2
		   : f->h.cgroup_v1[CG_MEMORY] ? f->h.cgroup_v1[CG_MEMORY]
					       : "/none",
		   W_OK) < 0)
		skip("the cgroup hierarchy is not writable");
	snprintf(f->path, sizeof f->path, "/berth/test-%d", (int)getpid());
	spec_init(&f->spec);
	f->r = f->spec.resources;
}

static inline void create(struct fixture *f)
{
	if (cgroup_create(&f->h, f->path, &f->r, &f->cg, &f->e) < 0)
		TAP_FAIL("%s", f->e.msg);
}

static inline void teardown(struct fixture *f)
{
	for (size_t i = 0; f->cg && i < f->cg->n_places; i++)
		ok(strstr(f->cg->places[i].dir, f->path));
	if (f->cg && cgroup_remove(f->cg, &f->e) < 0)
		TAP_FAIL("%s", f->e.msg);
	is_int(cgroup_open(&f->h, f->path, &f->cg, &f->e), -ENOENT);
	spec_done(&f->spec);
	host_done(&f->h);
}

static inline const char *value(struct fixture *f, enum cgroup_ctrl c, const char *v1, const char *v2)
{
	static char text[4096];
	const struct cgroup_place *p = cgroup_place_of(f->cg, c);

	if (!p || cgroup_read(p, p->is_v2 ? v2 : v1, text, sizeof text) < 0)
		return "(unreadable)";
	return text;
}

/* A child that has joined and then does fn. */
static inline pid_t child(struct fixture *f, void (*fn)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (cgroup_attach_self(f->cg, &f->e) < 0) {
			printf("# %s\n", f->e.msg);
			_exit(99);
		}
		fn();
		_exit(0);
	}
	ok(pid > 0);
	return pid;
}

static inline void sleep_long(void)
{
	for (;;)
		pause();
}

static inline void wait_joined(struct fixture *f, size_t want)
{
	for (int i = 0; i < 500; i++) {
		pid_t *pids;
		size_t n;
		is_int(cgroup_pids(f->cg, &pids, &n), 0);
		free(pids);
		if (n == want)
			return;
		usleep(10000);
	}
	TAP_FAIL("%zu processes did not come to be in the cgroup", want);
}
