/* clone.c: VMs that are copies: `restore` of one that was kept, `fork` of one that runs (fork.c). A copy is a container like any other: its own id,
 * name, directory, disk, monitor, cgroup and user; what it is told when it wakes up, so that it is nobody's twin, is the monitor's
 * (isolation/vm_restore.c).
 *
 * Its bundle is the original's with these replaced: id, name, paths, cgroup, host name. State and memory lie beside it under one more name of
 * the same files, which the start maps and then removes: all copies share the memory's pages until they write, and what they were copied
 * from may be removed at any time.
 *
 * Several are all or none. The monitor of each comes first, before any file of it, and lives as long as our connection to it, until the
 * eventfd says that all run (monitor/starter.c): a failure, or our death at any moment, ends the connections, and each monitor removes what
 * there is of its copy. */
#include "snapshot.h"

#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "guest.h"

#define AT_ONCE_MAX 8 /* copies under way; no more than there are processors */

struct clone {
	struct engine *en;
	int from;  /* the directory that snapshot_take has filled */
	int dirfd; /* ROOT/containers/ID */
	int all_fd;
	bool may_take;
	struct run_opts o; /* only auto_remove counts */
	struct plan plan;
};

/* ---- the bundle ---- */

static int set(char **member, char *value, struct err *e)
{
	if (!value)
		return OUT_OF_MEMORY(e);
	free(*member);
	*member = value;
	return 0;
}

/* "/berth/OLD" -> "/berth/NEW" */
static char *sibling(const char *path, const char *name)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? str_fmt("%.*s/%s", (int)(slash - path), path, name) : strdup(name);
}

static int rename_in_files(struct launch *l, const char *old, const char *name, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < l->n_files; i++)
		if (streq(l->files[i].path, "/etc/hostname") || streq(l->files[i].path, "/etc/hosts"))
			r = set(&l->files[i].content, guest_replace_word(l->files[i].content, old, name), e);
	return r;
}

static int adapt(struct clone *c, const char *name, bool has_disk, struct err *e)
{
	struct plan *p = &c->plan;
	struct launch *l = &p->launch;
	_cleanup_free_ char *old = p->spec.hostname ? strdup(p->spec.hostname) : NULL;
	int r = set(&l->id, strdup(p->id), e);

	if (r >= 0 && name)
		r = set(&l->name, strdup(name), e);
	if (r >= 0)
		r = set(&l->upper, str_fmt("%s/upper", p->dir), e);
	if (r >= 0)
		r = set(&l->work, str_fmt("%s/work", p->dir), e);
	if (r >= 0 && l->log_path)
		r = set(&l->log_path, str_fmt("%s/container.log", p->dir), e);
	if (r >= 0)
		r = set(&l->image_disk, str_fmt("%s/" SNAPSHOT_IMAGE, p->dir), e);
	if (r >= 0 && has_disk)
		r = set(&l->upper_disk, str_fmt("%s/upper.img", p->dir), e);
	if (r >= 0)
		r = set(&p->spec.cgroups_path, sibling(p->spec.cgroups_path, p->id), e);
	if (r >= 0)
		r = set(&p->spec.hostname, strndup(p->id, 12), e);
	if (r >= 0 && old)
		r = rename_in_files(l, old, p->spec.hostname, e);
	l->trace_began_us = 0;
	free_ptr(&l->pidfile); /* the original's */
	return r;
}

static int read_document(int dirfd, const char *name, char **ret, size_t *ret_len, struct err *e)
{
	int r = file_read(dirfd, name, 8u << 20, ret, ret_len);

	return r < 0 ? err_set(e, -r, "%s of the copy: %s", name, strerror(-r)) : 0;
}

static int read_bundle(struct clone *c, struct err *e)
{
	_cleanup_free_ char *config = NULL, *launch = NULL;
	size_t n_config = 0, n_launch = 0;
	int r = read_document(c->from, "config.json", &config, &n_config, e);

	if (r >= 0)
		r = read_document(c->from, "launch.json", &launch, &n_launch, e);
	if (r >= 0)
		r = spec_parse(config, n_config, &c->plan.spec, e);
	return r < 0 ? r : launch_parse(launch, n_launch, &c->plan.launch, e);
}

/* ---- its files ---- */

static int link_here(struct clone *c, const char *from, const char *to, struct err *e)
{
	return linkat(c->from, from, c->dirfd, to, 0) < 0
		       ? err_set(e, errno, "one more name for the saved %s: %s", from, strerror(errno))
		       : 0;
}

static int make_disk(struct clone *c, struct err *e)
{
	_cleanup_fd_ int from = -1, to = -1;
	int r;

	if (c->may_take)
		return link_here(c, SNAPSHOT_DISK, "upper.img", e);
	from = openat(c->from, SNAPSHOT_DISK, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	to = openat(c->dirfd, "upper.img", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (from < 0 || to < 0)
		return err_set(e, errno, "the copy's disk: %s", strerror(errno));
	r = vm_copy_disk(from, to, NULL, NULL);
	return r < 0 ? err_set(e, -r, "the copy's disk: %s", strerror(-r)) : 0;
}

static int make_files(struct clone *c, const char *name, struct err *e)
{
	bool has_disk = faccessat(c->from, SNAPSHOT_DISK, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	int r = read_bundle(c, e);

	if (r >= 0)
		r = adapt(c, name, has_disk, e);
	if (r >= 0)
		r = bundle_write(&c->plan, c->dirfd, e);
	if (r >= 0)
		r = link_here(c, VM_RESTORE_STATE, VM_RESTORE_STATE, e);
	if (r >= 0)
		r = link_here(c, VM_RESTORE_MEMORY, VM_RESTORE_MEMORY, e);
	if (r >= 0)
		r = link_here(c, SNAPSHOT_IMAGE, SNAPSHOT_IMAGE, e);
	return r >= 0 && has_disk ? make_disk(c, e) : r;
}

/* ---- making it, and starting it ---- */

/* A copy's ports can't be the original's, which may live: each is published where there is room, at the same address. */
static int free_ports(struct run_opts *o, struct err *e)
{
	struct ports asked = { 0 };
	_cleanup_strv_ char **freed = NULL;
	int r = 0;

	for (char **p = o->publish; r >= 0 && p && *p; p++)
		r = ports_add(&asked, *p, e);
	for (size_t i = 0; r >= 0 && i < asked.n; i++) {
		const char *ip = asked.list[i].host_ip ? asked.list[i].host_ip : "0.0.0.0";
		_cleanup_free_ char *text =
			str_fmt(strchr(ip, ':') ? "[%s]::%u/%s" : "%s::%u/%s", ip, asked.list[i].port, asked.list[i].protocol);

		if (!text || strv_push(&freed, text) < 0)
			r = OUT_OF_MEMORY(e);
	}
	ports_done(&asked);
	if (r >= 0 && o->publish) {
		strv_free(o->publish);
		o->publish = TAKE_PTR(freed);
	}
	return r;
}

/* What the copy is given of networks, and the options that say so; the caller frees *ret_options. */
static int place(struct clone *c, const struct container_record *model, char **ret_options, struct err *e)
{
	struct run_opts o;
	int r = options_parse(model->options_json, &o, e);

	if (r < 0)
		return r;
	r = plan_network_like(&c->plan, model->id, &o, e);
	if (r >= 0)
		r = free_ports(&o, e);
	if (r >= 0 && !(*ret_options = options_print(&o)))
		r = OUT_OF_MEMORY(e);
	run_opts_done(&o);
	return r;
}

static int put_record(struct clone *c, const struct container_record *model, const char *name, struct err *e)
{
	struct container_record rec = *model;
	_cleanup_free_ char *options = NULL;
	int r = place(c, model, &options, e);

	if (r < 0)
		return r;
	rec.options_json = options;
	rec.endpoints = c->plan.endpoints;
	rec.n_endpoints = c->plan.n_endpoints;
	rec.ports_json = NULL;

	rec.id = c->plan.id;
	rec.name = name ? strdup(name) : NULL;
	rec.state = CS_CREATED;
	rec.created_ns = clock_real_ns();
	rec.started_ns = rec.finished_ns = 0;
	rec.exit_code = 0;
	rec.oom_killed = false;
	rec.error = NULL;
	r = name && !rec.name ? OUT_OF_MEMORY(e) : container_put(c->en, &rec, e);
	free(rec.name);
	return r;
}

static int make(struct clone *c, const struct container_record *model, const char *name, struct err *e)
{
	int r = make_container_dir(&c->plan, &c->dirfd, e);

	if (r < 0)
		return r;
	r = make_files(c, name, e);
	if (r >= 0)
		r = put_record(c, model, name, e);
	if (r < 0)
		remove_files(c->en->paths, c->plan.id, NULL); /* r says what went wrong first */
	return r;
}

/* Its monitor first: should we be killed, it removes what there is. */
static int make_and_order(struct clone *c, const struct container_record *model, const char *name, struct clone_made *m,
			  struct err *e)
{
	const struct monitor_opts o = { .all_fd = c->all_fd };
	int r = monitor_prepare(c->en, c->plan.id, &o, &m->monitor, e);

	if (r < 0)
		return r;
	m->id = strdup(c->plan.id);
	r = m->id ? make(c, model, name, e) : OUT_OF_MEMORY(e);
	return r < 0 ? r : monitor_order(&m->monitor, e);
}

static int begin_one(struct clones *all, const struct clone_of *of, const char *name, bool may_take, struct clone_made *m,
		     struct err *e)
{
	struct clone c = { .en = all->en,
			   .from = of->dirfd,
			   .dirfd = -1,
			   .all_fd = all->all_fd,
			   .may_take = may_take,
			   .o.auto_remove = of->model->auto_remove };
	int r;

	c.plan.en = all->en;
	c.plan.o = &c.o;
	spec_init(&c.plan.spec);
	r = id_new(c.plan.id);
	if (r < 0)
		return err_set(e, -r, "make an id: %s", strerror(-r));
	c.plan.dir = container_dir(all->en->paths, c.plan.id);
	r = c.plan.dir ? make_and_order(&c, of->model, name, m, e) : OUT_OF_MEMORY(e);
	fd_close(c.dirfd);
	spec_done(&c.plan.spec);
	launch_done(&c.plan.launch);
	plan_network_done(&c.plan);
	free(c.plan.dir);
	return r;
}

/* ---- all, or none ---- */

static int blame(const struct clones *all, size_t which, int r, struct err *e)
{
	return all->total > 1 ? err_push(e, r, "copy %zu of %zu, and none is left", which + 1, all->total) : r;
}

int clones_begin(struct clones *all, struct engine *en, size_t total, struct err *e)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	*all = (struct clones){ .en = en, .total = total, .at_once = (size_t)MIN(MAX(cpus, 1), AT_ONCE_MAX), .all_fd = -1 };
	all->made = calloc(total, sizeof(*all->made));
	if (!all->made)
		return OUT_OF_MEMORY(e);
	all->all_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return all->all_fd < 0 ? err_set(e, errno, "eventfd: %s", strerror(errno)) : 0;
}

/* Until no more than so many are under way. */
static int wait_for_some(struct clones *all, size_t under_way, struct err *e)
{
	while (all->n - all->n_running > under_way) {
		int r = monitor_wait_started(all->made[all->n_running].monitor.fd, e);

		if (r < 0)
			return blame(all, all->n_running, r, e);
		all->n_running++;
	}
	return 0;
}

int clones_add(struct clones *all, const struct clone_of *of, const char *name, struct err *e)
{
	struct clone_made *m = &all->made[all->n];
	int r = wait_for_some(all, all->at_once - 1, e);

	if (r < 0)
		return r;
	m->monitor = (struct waiting_monitor){ .fd = -1 };
	r = begin_one(all, of, name, of->may_take && all->n + 1 == all->total, m, e);
	all->n++;
	return r < 0 ? blame(all, all->n - 1, r, e) : 0;
}

/* One that has begun to run may have ended since. Its own process's end is its own affair. */
static int check_lives(struct clones *all, size_t k, struct err *e)
{
	const struct clone_made *m = &all->made[k];
	struct container_record c;
	struct exit_status st;
	int r = client_wait_exit(m->monitor.fd, 0, &st, e);

	if (r <= 0)
		return r;
	r = records_container_get(all->en->records, m->id, &c, e);
	if (r < 0)
		return r == -ENOENT ? 0 : r; /* --rm */
	if (c.error)
		r = err_set(e, EIO, "%s", c.error);
	container_record_done(&c);
	return r;
}

int clones_keep(struct clones *all, struct err *e)
{
	const uint64_t one = 1;
	int r = wait_for_some(all, 0, e);

	for (size_t k = 0; r >= 0 && k < all->n; k++) {
		r = check_lives(all, k, e);
		if (r < 0)
			return blame(all, k, r, e);
	}
	if (r >= 0 && write(all->all_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		r = err_set(e, errno, "eventfd: %s", strerror(errno));
	all->is_kept = r >= 0;
	return r;
}

/* Their monitors do it, side by side; what one of them could not, or did not live to do, is done here. */
static void give_up(struct clones *all)
{
	for (size_t k = 0; k < all->n; k++)
		all->made[k].monitor.fd = fd_close(all->made[k].monitor.fd);
	for (size_t k = 0; k < all->n; k++) {
		const struct clone_made *m = &all->made[k];
		struct err e = { 0 };
		int status;

		if (m->monitor.pid > 0)
			spawn_wait(m->monitor.pid, &status);
		if (m->id && engine_remove(all->en, m->id, true, true, &e) < 0 && e.no != ENOENT)
			log_warn("clone", "%s", e.msg);
		if (m->id && remove_files(all->en->paths, m->id, &e) < 0)
			log_warn("clone", "%s", e.msg);
	}
}

void clones_end(struct clones *all)
{
	if (!all->is_kept)
		give_up(all);
	for (size_t k = 0; k < all->n; k++) {
		fd_close(all->made[k].monitor.fd);
		free(all->made[k].id);
	}
	fd_close(all->all_fd);
	free(all->made);
	*all = (struct clones){ .all_fd = -1 };
}

int clone_start(struct engine *en, int dirfd, const struct container_record *model, const char *name, char **ret_id,
		struct err *e)
{
	const struct clone_of of = { .dirfd = dirfd, .model = model };
	struct clones all;
	int r = clones_begin(&all, en, 1, e);

	if (r >= 0)
		r = clones_add(&all, &of, name, e);
	if (r >= 0)
		r = clones_keep(&all, e);
	if (r >= 0)
		*ret_id = TAKE_PTR(all.made[0].id);
	clones_end(&all);
	return r;
}

/* ---- what can be copied ---- */

static int check_disks(struct engine *en, const struct container_record *c, const char *what, struct err *e)
{
	_cleanup_(launch_done) struct launch l = { 0 };
	int r = bundle_read_launch(en, c->id, &l, e);

	if (r >= 0 && l.n_disks)
		r = err_set(e, EOPNOTSUPP,
			    "%s: %s has a disk of yours (%s), which a copy can't share and is not copied with it: run it without "
			    "--disk",
			    what, c->name, l.disks[0].path);
	return r;
}

static int check_volumes(struct engine *en, const struct container_record *c, const char *what, struct err *e)
{
	struct spec s;
	int r;

	spec_init(&s);
	r = bundle_read_spec(en, c->id, &s, e);
	if (r >= 0 && vm_count_shares(&s))
		r = err_set(e, EOPNOTSUPP,
			    "%s: %s has volumes, and what their server on the host holds open can't be copied with it: run it "
			    "without volumes, and with --image-volume ignore where they are its image's",
			    what, c->name);
	spec_done(&s);
	return r;
}

int clone_check(struct engine *en, const struct container_record *c, const char *what, struct err *e)
{
	int r = 0;

	if (streq(c->isolation, "vm") && c->pod_id)
		r = err_set(
			e, EOPNOTSUPP,
			"%s: %s shares its virtual machine with the rest of pod %s, and can't be copied alone: run it without "
			"--pod",
			what, c->name, c->pod_name ?: c->pod_id);
	else if (streq(c->isolation, "vm"))
		r = check_volumes(en, c, what, e);
	if (r >= 0 && streq(c->isolation, "vm"))
		r = check_disks(en, c, what, e);
	return r < 0 ? r : vm_control_check(en, c, what, e);
}
