/* walls_outer: what is said of the second wall: of the processes that carry a workload, on the host. */
#include <stdlib.h>

#include "path.h"
#include "walls_say.h"

#define NAMES_SHOWN 6

char *walls_say_processes(const struct walls_view *v)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < v->outside->n; i++) {
		const struct walls_process *p = &v->outside->processes[i];
		uint64_t caps = p->effective ? strtoull(p->effective, NULL, 16) : 0;

		buf_fmt(&b, "%s%s: user %lld, %d capabilities%s", i ? "; " : "", p->name, (long long)p->uid,
			__builtin_popcountll(caps), p->no_new_privs == 1 ? ", no_new_privs" : "");
	}
	return walls_take(&b);
}

/* "40..55" over the threads of a process. */
static void add_filters(struct buf *b, const struct walls_process *p)
{
	unsigned least = 0, most = 0, known = 0, open_ = 0;
	const char *why = NULL;

	for (size_t i = 0; i < p->n_threads; i++) {
		const struct walls_thread *t = &p->threads[i];
		unsigned n = t->filter.always + t->filter.sometimes;

		if (t->seccomp != 2)
			open_++;
		else if (t->filter.why)
			why = t->filter.why;
		else {
			least = known++ ? MIN(least, n) : n;
			most = MAX(most, n);
		}
	}
	buf_fmt(b, "%s%s: ", b->len ? "; " : "", p->name);
	if (open_)
		buf_str(b, open_ == p->n_threads ? "no filter" : "some threads without a filter");
	else if (!known)
		buf_fmt(b, "a filter; %s", why ? why : "not known which");
	else if (least == most)
		buf_fmt(b, "%u calls", most);
	else
		buf_fmt(b, "%u to %u calls, by thread", least, most);
}

char *walls_say_filters(const struct walls_view *v)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < v->outside->n; i++)
		add_filters(&b, &v->outside->processes[i]);
	return walls_take(&b);
}

char *walls_say_outer_namespaces(const struct walls_view *v)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < v->outside->n; i++) {
		const struct walls_process *p = &v->outside->processes[i];
		bool has_one = false;

		buf_fmt(&b, "%s%s: ", i ? "; " : "", p->name);
		for (size_t k = 0; k < WALL_NS_COUNT; k++)
			if (p->shares[k]) {
				buf_fmt(&b, "%s%s", has_one ? " " : "", walls_ns_names[k]);
				has_one = true;
			}
		if (!has_one)
			buf_str(&b, "none");
	}
	return walls_take(&b);
}

/* With an id of 64 digits as its first 12, as lists have it. */
static void add_short(struct buf *b, const char *path)
{
	while (*path) {
		size_t digits = strspn(path, "0123456789abcdef");

		buf_add(b, path, digits == ID_LEN ? 12 : MAX(digits, 1u));
		path += MAX(digits, 1u);
	}
}

char *walls_say_files(const struct walls_view *v)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < v->outside->n; i++) {
		const struct walls_process *p = &v->outside->processes[i];
		size_t n = strv_len(p->files);

		buf_fmt(&b, "%s%s: %zu", i ? "; " : "", p->name, n);
		for (size_t k = 0; k < n && k < NAMES_SHOWN; k++) {
			buf_str(&b, k ? ", " : " (");
			add_short(&b, p->files[k]);
		}
		if (n)
			buf_str(&b, n > NAMES_SHOWN ? " ...)" : ")");
	}
	return walls_take(&b);
}

char *walls_say_outer_mounts(const struct walls_view *v)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < v->outside->n; i++)
		buf_fmt(&b, "%s%s: %lld", i ? "; " : "", v->outside->processes[i].name,
			(long long)v->outside->processes[i].n_mounts);
	return walls_take(&b);
}
