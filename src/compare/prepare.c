/* prepare.c: what is compared needs an image with the probe in it, so that a probe's start costs what any program's does; names of our own;
 * and nothing of an earlier comparison that was killed. */
#include <stdio.h>
#include <unistd.h>

#include "measure_impl.h"
#include "spawn.h"

#define LABEL "berth-compare"
#define IMAGE "localhost/berth-compare"
#define PROBE "/.berth-probe"

/* "PID-STARTED", in clock ticks since boot: whose it is stays plain when the pid is another's. */
static int name_owner(char **ret, struct err *e)
{
	uint64_t ticks;
	int r = pid_start_time(getpid(), &ticks);

	if (r < 0)
		return err_set(e, -r, "/proc/self/stat: %s", strerror(-r));
	*ret = str_fmt("%d-%llu", (int)getpid(), (unsigned long long)ticks);
	return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
}

static bool is_alive(const char *owner)
{
	int pid;
	unsigned long long ticks;
	uint64_t now;

	return sscanf(owner, "%d-%llu", &pid, &ticks) == 2 && pid_start_time(pid, &now) >= 0 && now == ticks;
}

int remove_container(struct measure *m, const char *name, struct err *e)
{
	return run_whole(m, NULL, WORDS("rm", "-f", "-v", name), NULL, e);
}

static int remove_image(struct measure *m, const char *owner, struct err *e)
{
	_cleanup_free_ char *name = str_fmt(IMAGE ":%s", owner);

	if (!name)
		return err_set(e, ENOMEM, "out of memory");
	return run_whole(m, NULL, WORDS("rmi", "-f", name), NULL, e);
}

/* Each line of what `words` print is NAME OWNER: removes those that are ours (mine), or whose owner has gone (not mine). */
static int sweep(struct measure *m, const char *const *words, bool mine,
		 int (*removes)(struct measure *m, const char *what, struct err *e), struct err *e)
{
	_cleanup_free_ char *out = NULL;
	char *save = NULL;
	int r = run_whole(m, NULL, words, &out, e);

	for (char *line = r < 0 ? NULL : strtok_r(out, "\n", &save); line && r >= 0; line = strtok_r(NULL, "\n", &save)) {
		char *owner = strchr(line, ' ');

		if (!owner)
			continue;
		*owner++ = '\0';
		if (mine ? streq(owner, m->owner) : !is_alive(owner))
			r = removes(m, *line ? line : owner, e);
	}
	return r;
}

static int sweep_all(struct measure *m, bool mine, struct err *e)
{
	const char *const containers[] = { "ps",
					   "-a",
					   "--no-trunc",
					   "--filter",
					   (char[]){ "label=" LABEL },
					   "--format",
					   (char[]){ "{{.ID}} {{.Label \"" LABEL "\"}}" },
					   NULL };
	const char *const images[] = { "images", "--filter", (char[]){ "reference=" IMAGE }, "--format", (char[]){ " {{.Tag}}" },
				       NULL };
	int r = sweep(m, containers, mine, remove_container, e);

	return r < 0 ? r : sweep(m, images, mine, remove_image, e);
}

/* Fetched where it is not there, with its progress on our standard error. */
static int fetch_image(struct measure *m, struct err *e)
{
	const char *const exists[] = { "image", "exists", m->o->image, NULL };
	const char *const pull[] = { "pull", "-q", m->o->image, NULL };
	_cleanup_run_ struct run run = { .pidfd = -1, .out = -1, .err = -1 };
	int r = run_begin(m, NULL, NULL, exists, &run, e);

	if (r >= 0)
		r = run_end(m, &run, UINT32_MAX, e);
	if (r < 0)
		return r;
	if (run.status == 0)
		return 0;
	progress(m, "fetching %s", m->o->image);
	r = run_whole(m, NULL, pull, NULL, e);
	return r < 0 ? err_push(e, r, "%s", m->o->image) : 0;
}

static int make_image(struct measure *m, const char *name, struct err *e)
{
	_cleanup_free_ char *to = str_fmt("%s:" PROBE, name), *label = str_fmt(LABEL "=%s", m->owner);
	const char *const create[] = { "create",          "--name",    name,   "--label",   label, "--entrypoint",
				       (char[]){ PROBE }, "--network", "none", m->o->image, NULL };
	const char *const copy[] = { "cp", m->probe_program, to, NULL };
	const char *const commit[] = { "commit", name, m->probe_image, NULL };
	int r;

	if (!to || !label)
		return err_set(e, ENOMEM, "out of memory");
	r = run_whole(m, NULL, create, NULL, e);
	if (r >= 0)
		r = run_whole(m, NULL, copy, NULL, e);
	if (r >= 0)
		r = run_whole(m, NULL, commit, NULL, e);
	return r < 0 ? r : remove_container(m, name, e);
}

int prepare(struct measure *m, struct err *e)
{
	_cleanup_free_ char *name = NULL;
	int r = name_owner(&m->owner, e);

	if (r < 0)
		return r;
	m->probe_image = str_fmt(IMAGE ":%s", m->owner);
	name = str_fmt("berth-compare-%s", m->owner);
	if (!m->probe_image || !name)
		return err_set(e, ENOMEM, "out of memory");
	r = sweep_all(m, false, e);
	if (r >= 0)
		r = fetch_image(m, e);
	if (r < 0)
		return r;
	progress(m, "an image with the probe in it");
	return make_image(m, name, e);
}

void prepare_undo(struct measure *m)
{
	struct err e = { 0 };

	if (m->owner && sweep_all(m, true, &e) < 0)
		fprintf(stderr, "berth compare: what it made is not wholly removed: %s\n", e.msg);
}

int run_words(struct measure *m, const struct way *way, const char *verb, char ***v, char **ret_name, struct err *e)
{
	_cleanup_free_ char *name = str_fmt("berth-compare-%s-%u", m->owner, m->n_names++);
	int r = name ? strv_push(v, "run") : -ENOMEM;

	if (r >= 0)
		r = strv_push(v, verb); /* "--rm" or "-d" */
	if (r >= 0)
		r = strv_push_option(v, "--name", name ? strdup(name) : NULL);
	if (r >= 0)
		r = strv_push_option(v, "--label", str_fmt(LABEL "=%s", m->owner));
	if (r >= 0)
		r = strv_push_option(v, "--isolation", strdup(way->isolation));
	for (char **p = m->o->passed; p && *p && r >= 0; p++)
		r = strv_push(v, *p);
	if (r < 0)
		return err_set(e, ENOMEM, "out of memory");
	*ret_name = TAKE_PTR(name);
	return 0;
}

int command_words(struct measure *m, char ***v, struct err *e)
{
	int r = strv_push(v, m->o->image);

	for (char **w = m->o->command; w && *w && r >= 0; w++)
		r = strv_push(v, *w);
	return r < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

int probe_words(struct measure *m, const struct way *way, const char *verb, const char *const *more, const char *const *probe,
		char ***v, char **ret_name, struct err *e)
{
	static const char *const always[] = { "--no-healthcheck", "--entrypoint", PROBE, NULL };
	int r = run_words(m, way, verb, v, ret_name, e);

	for (const char *const *list = always; list && r >= 0; list = list == always ? more : NULL)
		for (const char *const *w = list; *w && r >= 0; w++)
			r = strv_push(v, *w);
	if (r >= 0)
		r = strv_push(v, m->probe_image);
	for (; *probe && r >= 0; probe++)
		r = strv_push(v, *probe);
	return r == -ENOMEM ? err_set(e, ENOMEM, "out of memory") : r;
}
