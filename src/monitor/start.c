/* From the bundle to a running process: load and start of run.c's diagram. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor_impl.h"

#define CONFIG_MAX (8u << 20)

int monitor_load(struct monitor *m, struct err *e)
{
	const struct paths *p = m->cfg->paths;
	_cleanup_free_ char *dir = str_fmt("%s/containers/%s", p->root, m->cfg->id), *config = NULL, *launch = NULL;
	size_t config_len, launch_len;

	if (!dir)
		return err_set(e, ENOMEM, "out of memory");
	_cleanup_fd_ int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "%s: %s", dir, strerror(errno));
	int r = file_read(fd, "config.json", CONFIG_MAX, &config, &config_len);
	if (r < 0)
		return err_set(e, -r, "%s/config.json: %s", dir, strerror(-r));
	r = file_read(fd, "launch.json", CONFIG_MAX, &launch, &launch_len);
	if (r < 0)
		return err_set(e, -r, "%s/launch.json: %s", dir, strerror(-r));
	r = spec_parse(config, config_len, &m->spec, e);
	if (r < 0)
		return err_push(e, r, "%s/config.json", dir);
	r = launch_parse(launch, launch_len, &m->launch, e);
	if (r < 0)
		return err_push(e, r, "%s/launch.json", dir);
	r = monitor_secrets_load(m, fd, e);
	if (r < 0)
		return err_push(e, r, "%s", dir);
	m->lifefd = life_hold(fd);
	if (m->lifefd < 0)
		return err_set(e, -m->lifefd, "%s: the monitor's lock: %s", dir, strerror(-m->lifefd));
	return 0;
}

static int reload_launch(struct monitor *m, int dirfd, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct launch l;
	size_t len;
	int r = file_read(dirfd, "launch.json", CONFIG_MAX, &text, &len);

	if (r < 0)
		return err_set(e, -r, "launch.json: %s", strerror(-r));
	r = launch_parse(text, len, &l, e);
	if (r < 0)
		return r;
	launch_done(&m->launch);
	m->launch = l;
	return 0;
}

int monitor_reload(struct monitor *m, struct err *e)
{
	_cleanup_free_ char *dir = str_fmt("%s/containers/%s", m->cfg->paths->root, m->cfg->id), *config = NULL;
	_cleanup_fd_ int fd = dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	size_t len;
	int r;

	if (!dir)
		return err_set(e, ENOMEM, "out of memory");
	if (fd < 0)
		return err_set(e, errno, "%s: %s", dir, strerror(errno));
	r = reload_launch(m, fd, e);
	if (r < 0)
		return err_push(e, r, "%s", dir);
	r = file_read(fd, "config.json", CONFIG_MAX, &config, &len);
	if (r < 0)
		return err_set(e, -r, "%s/config.json: %s", dir, strerror(-r));
	spec_done(&m->spec);
	spec_init(&m->spec);
	r = spec_parse(config, len, &m->spec, e);
	return r < 0 ? err_push(e, r, "%s/config.json", dir) : 0;
}

int monitor_adopt_first_client(struct monitor *m, struct err *e)
{
	struct client *c;

	if (m->cfg->client_fd < 0)
		return 0;
	int r = fd_cloexec(m->cfg->client_fd, true);
	if (r < 0)
		return err_set(e, -r, "inherited connection %d: %s", m->cfg->client_fd, strerror(-r));
	if (m->cfg->all_fd > 0 && (r = fd_cloexec(m->cfg->all_fd, true)) < 0)
		return err_set(e, -r, "inherited descriptor %d: %s", m->cfg->all_fd, strerror(-r));
	r = client_add(m, m->cfg->client_fd, &c, e);
	if (r < 0)
		return r;
	if (m->cfg->all_fd > 0) { /* follows no stream */
		m->starter = c;
		return 0;
	}
	struct link *l = link_new(m->main, c, 0);
	if (!l)
		return err_set(e, ENOMEM, "out of memory");
	l->wants_in = m->launch.open_stdin;
	l->wants[0] = l->wants[1] = true;
	return 0;
}

static void tell_started(struct monitor *m)
{
	for (struct client *c = m->clients; c; c = c->next) {
		if (c->is_closing)
			continue;
		frame_put_u32(&c->out, FRAME_STARTED, 0, (uint32_t)m->ops->pid(m->instance));
		client_flush(c);
	}
}

/* The last to leave a mount namespace takes its mounts down, 0.3 ms and an RCU grace period, and is seen to have ended only then.
 * With --rm nobody will mount the same layer again, so that this can wait until the clients are gone. No harm where it fails. */
static void hold_mounts(struct monitor *m)
{
	char path[40];

	if (!m->launch.auto_remove)
		return;
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)m->ops->pid(m->instance));
	m->mounts_fd = open(path, O_RDONLY | O_CLOEXEC);
}

static void on_started(void *arg, const struct err *start_error)
{
	struct monitor *m = arg;
	struct err e = { 0 };

	if (start_error) {
		m->start_error = *start_error;
		monitor_main_done(m);
		return;
	}
	/* Without the file nobody could signal it, enter it or tell it from one that is starting: such a one is ended. */
	if (state_write_started(m->rundirfd, m->ops->pid(m->instance), m->ops->vmm ? m->ops->vmm(m->instance) : NULL,
				m->ops->kernel ? m->ops->kernel(m->instance) : NULL, &e) < 0 ||
	    pidfile_write(m, &e) < 0) {
		m->start_error = e;
		monitor_main_done(m);
		return;
	}
	m->is_started = m->main->is_started = true;
	m->began_us = clock_mono_us();
	hold_mounts(m);
	if (m->cfg->on_started)
		m->cfg->on_started(m->launch.health_args, m->cfg->arg);
	tell_started(m);
	health_begin(m);
	timeout_begin(m);
	idle_begin(m);
	proc_feed(m->main);
}

static void on_trace(const char *step, uint64_t us, void *arg)
{
	const struct monitor *m = arg;

	timeline_line(us, m->launch.trace_began_us, "container", step, STDERR_FILENO);
}

static int open_journal(struct monitor *m, struct err *e)
{
	_cleanup_free_ char *name = NULL, *image = NULL;
	int r = m->cfg->name ? m->cfg->name(&name, &image, m->cfg->arg) : 0;

	if (r < 0) /* entries without its name are better than none */
		log_warn("log", "journal: the container's name is not known: %s", strerror(-r));
	return log_journal_open(m->cfg->id, name, image, &m->journal, e);
}

/* Beside the new process, which takes longer to set up: nothing of it waits for the log or the books. */
static int meanwhile(void *arg, struct err *e)
{
	struct monitor *m = arg;
	const struct launch *l = &m->launch;
	int r = l->log_path ? log_file_open(l->log_path, l->log_max_bytes, l->log_max_files, &m->log, e) : 0;

	if (r == 0 && m->cfg->meanwhile)
		m->cfg->meanwhile(m->cfg->arg);
	if (r == 0 && streq0(l->log_driver, "journald"))
		r = open_journal(m, e);
	if (r == 0)
		r = net_wait(m, e);
	monitor_mark(m, "meanwhile");
	return r;
}

int monitor_start(struct monitor *m, struct err *e)
{
	int r = m->find(m->launch.isolation, &m->ops, e);

	if (r == 0)
		r = pod_join(&m->pod, m, e);
	if (r == 0)
		r = join_others(&m->join, m, e);
	if (r == 0)
		r = monitor_secrets_give(m, e);
	if (r == 0)
		r = net_begin(m, e);
	const struct instance_config cfg = {
		.spec = &m->spec,
		.launch = &m->launch,
		.host = &m->host,
		.paths = m->cfg->paths,
		.loop = m->loop,
		.rundirfd = m->rundirfd,
		.rundir = m->rundir,
		.tty_rows = (uint16_t)MIN(m->spec.process.console_rows, UINT16_MAX),
		.tty_cols = (uint16_t)MIN(m->spec.process.console_cols, UINT16_MAX),
		.network_fd = m->network_fd,
		.network = m->net.plan.n_endpoints ? &m->net.plan : NULL,
		.taps = m->net.hold.taps,
		.n_taps = m->net.hold.n_taps,
		.memory_fd = m->join.memory_fd > 0 ? m->join.memory_fd : m->pod.memory_fd,
		.meanwhile = meanwhile,
		.on_started = on_started,
		.trace = m->launch.trace_began_us ? on_trace : NULL,
		.arg = m,
	};
	if (r == 0)
		r = m->ops->new (&cfg, &m->instance, e);
	if (r < 0)
		return r;
	m->main->task.has_tty = m->spec.process.terminal;
	m->main->keep_stdin = m->launch.open_stdin && !m->launch.stdin_once;
	r = m->ops->start(m->instance, &m->main->task, e);
	if (r == 0)
		r = proc_watch(m->main, e);
	if (r == 0)
		proc_feed(m->main);
	return r;
}
