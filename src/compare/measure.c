/* measure.c: the order of it all: ways and facts first, then the parts; and what is there when the user has had enough. Parts that take time are
 * measured in rounds of all of them, so that a figure's samples are of the whole while, and its spread has in it how the machine changes meanwhile. */
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "json.h"
#include "measure_impl.h"

static const struct way all_ways[] = {
	{ .name = "host" },
	{ .name = "container", .isolation = "container" },
	{ .name = "vm", .isolation = "vm", .is_vm = true },
	{ .name = "vm-tcg", .isolation = "vm", .accel = "tcg", .is_vm = true },
};
/* What each part of the work is, in its order. */
static const struct part {
	enum measure_part part;
	const char *name;
	const char *ids[4]; /* its figures: what their ids begin with; NULL: all that no other part names */
	int (*measure)(struct measure *m, struct err *e);
	bool in_rounds; /* called once a round; else once, behind them all */
} parts[] = {
	{ MEASURE_START, "start", { "start.", "run." }, measure_start, true },
	{ MEASURE_SPEED, "speed", { NULL }, measure_speed, true },
	{ MEASURE_NETWORK, "network", { "network." }, measure_network, true },
	{ MEASURE_MEMORY, "memory", { "memory.", "disk.", "stop", "density" }, measure_memory, false },
	{ MEASURE_WALLS, "walls", { "walls." }, measure_walls, false },
};

static int failed_to_add(int r, const char *what, struct err *e)
{
	return r < 0 ? err_set(e, -r, "%s: %s", what, strerror(-r)) : 0;
}

int measured(struct measure *m, size_t way, const char *id, double value, struct err *e)
{
	return failed_to_add(comparison_add_sample(m->c, id, way, value), id, e);
}

int measured_none(struct measure *m, size_t way, const char *id, const char *why, struct err *e)
{
	return failed_to_add(comparison_say_why_not(m->c, id, way, why), id, e);
}

int stop_is_wanted(struct measure *m, unsigned ms, struct err *e)
{
	struct run none = { .out = -1, .err = -1, .pidfd = -1, .ended_us = 1 };

	return run_step(m, &none, (int)ms, e);
}

static int choose_ways(struct measure *m, struct err *e)
{
	m->ways[m->n_ways++] = &all_ways[0];
	for (char **name = m->o->isolations; *name; name++) {
		const struct way *w = NULL;

		for (size_t i = 1; i < ARRAY_SIZE(all_ways); i++)
			if (streq(all_ways[i].name, *name))
				w = &all_ways[i];
		if (!w)
			return err_set(e, EINVAL,
				       "--isolation %s: container, vm and vm-tcg (a machine that is emulated whole) are known",
				       *name);
		for (size_t i = 0; i < m->n_ways; i++)
			if (m->ways[i] == w)
				return err_set(e, EINVAL, "--isolation %s is named twice", *name);
		m->ways[m->n_ways++] = w;
	}
	return 0;
}

/* As the VMM of one that runs says: "berth-vmm", "qemu, on KVM", "qemu, emulated". */
static const char *accelerator(const struct measure *m, const char *vmm)
{
	if (strstr(vmm, "emulated"))
		return "TCG";
	return m->has_hw_virt ? "KVM hardware" : "KVM paravirtual";
}

static int ask_vmm(struct measure *m, const struct way *way, char **ret, struct err *e)
{
	_cleanup_strv_ char **v = NULL;
	_cleanup_free_ char *name = NULL, *said = NULL;
	int r = probe_words(m, way, "-d", NULL, WORDS("hold"), &v, &name, e);

	if (r >= 0)
		r = run_whole(m, way, WORDS_OF(v), NULL, e);
	if (r >= 0)
		r = run_whole(m, NULL, WORDS("vm", "inspect", "--format", "{{.VMM}}", name), &said, e);
	if (r >= 0)
		r = remove_container(m, name, e);
	if (r >= 0)
		*ret = TAKE_PTR(said);
	return r;
}

static int add_ways(struct measure *m, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < m->n_ways && r >= 0; i++) {
		_cleanup_free_ char *vmm = NULL, *key = NULL;

		if (m->ways[i]->is_vm) {
			progress(m, "%s: which VMM carries it", m->ways[i]->name);
			r = ask_vmm(m, m->ways[i], &vmm, e);
		}
		if (r < 0)
			return err_push(e, r, "%s", m->ways[i]->name);
		r = failed_to_add(comparison_add_way(m->c, m->ways[i]->name, vmm ? accelerator(m, vmm) : NULL), m->ways[i]->name,
				  e);
		key = vmm ? str_fmt("VMM of %s", m->ways[i]->name) : NULL;
		if (r >= 0 && vmm)
			r = key ? failed_to_add(comparison_add_fact(m->c, key, vmm), key, e)
				: err_set(e, ENOMEM, "out of memory");
	}
	return r;
}

static bool names(const struct part *p, const char *id)
{
	for (size_t i = 0; i < ARRAY_SIZE(p->ids) && p->ids[i]; i++)
		if (str_after(id, p->ids[i]))
			return true;
	return false;
}

static bool is_of_part(const struct part *p, const char *id)
{
	bool is_others = false;

	if (p->ids[0])
		return names(p, id);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		is_others |= names(&parts[i], id);
	return !is_others;
}

/* One part that fails leaves the others as they are: its figures say why they are not there. */
static int leave_out(struct measure *m, const struct part *p, struct err *e)
{
	int r = 0;

	progress_end(m);
	fprintf(stderr, "berth compare: %s: %s; the rest is measured\n", p->name, e->msg);
	m->n_failed++;
	m->failed |= p->part;
	for (const struct figure_kind *k = figure_kinds; k->id && r >= 0; k++)
		for (size_t w = 0; w < m->n_ways && r >= 0; w++)
			if (is_of_part(p, k->id) && (m->ways[w]->isolation || p->part & (MEASURE_SPEED | MEASURE_NETWORK)))
				r = measured_none(m, w, k->id, e->msg, e);
	return r;
}

static int measure_parts(struct measure *m, bool in_rounds, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts) && r >= 0; i++) {
		if (parts[i].in_rounds != in_rounds || !(m->o->parts & ~m->failed & parts[i].part))
			continue;
		r = parts[i].measure(m, e);
		if (r < 0 && r != -EINTR && r != -ENOMEM)
			r = leave_out(m, &parts[i], e);
	}
	return r;
}

static int measure_all(struct measure *m, struct err *e)
{
	int r = add_facts(m, e);

	if (r >= 0)
		r = prepare(m, e);
	if (r >= 0)
		r = add_ways(m, e);
	if (r >= 0 && m->o->parts & (MEASURE_START | MEASURE_MEMORY | MEASURE_SPEED | MEASURE_NETWORK))
		r = measure_first(m, e);
	for (m->round = 0; m->round < m->o->rounds && r >= 0; m->round++)
		r = measure_parts(m, true, e);
	return r < 0 ? r : measure_parts(m, false, e);
}

/* Ctrl-C and its kin come to a descriptor, which the steps look at. */
static int catch_signals(sigset_t *ret_before, struct err *e)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, ret_before) < 0 || (fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return err_set(e, errno, "signalfd: %s", strerror(errno));
	return fd;
}

/* What has come is dealt with: it must not be delivered after all when it is let in again. */
static void let_signals_in(int fd, const sigset_t *before)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		;
	fd_close(fd);
	(void)sigprocmask(SIG_SETMASK, before, NULL);
}

static int find_programs(struct measure *m, struct err *e)
{
	m->program = realpath("/proc/self/exe", NULL);
	m->probe_program = str_fmt("%s/berth-probe", m->o->libexec);
	if (!m->program || !m->probe_program)
		return err_set(e, ENOMEM, "/proc/self/exe: %s", strerror(errno ? errno : ENOMEM));
	if (access(m->probe_program, X_OK) < 0)
		return err_set(e, errno, "%s: %s: it belongs to Berth; install it anew", m->probe_program, strerror(errno));
	return 0;
}

int compare_measure(const struct measure_options *o, struct comparison *c, size_t *ret_failed, struct err *e)
{
	struct measure m = { .o = o, .c = c, .signals = -1, .is_terminal = isatty(STDERR_FILENO) };
	struct ready ready;
	sigset_t before;
	int r = ready_parse(o->ready, &ready, e);

	if (r >= 0)
		r = choose_ways(&m, e);
	if (r >= 0)
		r = find_programs(&m, e);
	if (r >= 0)
		r = m.signals = catch_signals(&before, e);
	if (r >= 0) {
		r = measure_all(&m, e);
		c->was_interrupted = r == -EINTR;
		progress(&m, "removing what it made");
		prepare_undo(&m);
		progress_end(&m);
		let_signals_in(m.signals, &before);
	}
	*ret_failed = m.n_failed;
	free(m.program);
	free(m.probe_program);
	free(m.owner);
	free(m.probe_image);
	return r == -EINTR ? 0 : MIN(r, 0);
}
