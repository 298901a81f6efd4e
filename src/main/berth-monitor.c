/* berth-monitor: the parent of one container. Started by the engine (engine/start.c) as
 *   berth-monitor --root ROOT --run RUN --client-fd 3 [--new-network] ID
 * in a session of its own, with nothing but the first client's socket; ends when its container has ended. */
#include "engine.h"
#include "rootless.h"

#include <stdio.h>

struct args {
	const char *root, *run, *id, *pod, *rootless;
	int client_fd, all_fd;
	bool new_network;
};

static int usage(struct err *e)
{
	return err_set(
		e, EINVAL,
		"usage: berth-monitor --root DIR --run DIR [--client-fd N [--all-fd N]] [--new-network] ID, or --pod ID; or "
		"--rootless RUN; berth starts it, people don't");
}

static int parse_fd(const char *option, const char *text, int *ret, struct err *e)
{
	uint64_t fd;

	if (str_to_u64(text, &fd) < 0 || fd > INT32_MAX || fcntl((int)fd, F_GETFD) < 0)
		return err_set(e, EBADF, "%s: \"%s\" is not an open descriptor", option, text);
	*ret = (int)fd;
	return 0;
}

static int parse_args(int argc, char **argv, struct args *ret, struct err *e)
{
	struct args a = { .client_fd = -1 };
	int r;

	for (int i = 1; i < argc; i++) {
		bool has_value = i + 1 < argc;
		if (streq(argv[i], "--root") && has_value) {
			a.root = argv[++i];
		} else if (streq(argv[i], "--run") && has_value) {
			a.run = argv[++i];
		} else if (streq(argv[i], "--client-fd") && has_value) {
			if ((r = parse_fd("--client-fd", argv[++i], &a.client_fd, e)) < 0)
				return r;
		} else if (streq(argv[i], "--all-fd") && has_value) {
			if ((r = parse_fd("--all-fd", argv[++i], &a.all_fd, e)) < 0)
				return r;
		} else if (streq(argv[i], "--pod") && has_value) {
			a.pod = argv[++i];
		} else if (streq(argv[i], "--rootless") && has_value) {
			a.rootless = argv[++i];
		} else if (streq(argv[i], "--new-network")) {
			a.new_network = true;
		} else if (argv[i][0] != '-' && !a.id) {
			a.id = argv[i];
		} else {
			return usage(e);
		}
	}
	if (a.rootless && argc == 3) {
		*ret = a;
		return 0;
	}
	if (!a.root || !a.run || !a.id == !a.pod || (a.all_fd && a.client_fd < 0) || !name_is_valid(a.id ? a.id : a.pod))
		return usage(e);
	*ret = a;
	return 0;
}

/* The engine's bookkeeping. The database is opened while the container's process is being set up, so that nothing waits for it;
 * where it can't be written, the run files still hold the truth and the next command reads it there. */
struct books {
	const struct paths *paths;
	const char *id;
	struct engine *engine;
};

static int open_books(struct books *b, struct err *e) { return b->engine ? 0 : engine_open(b->paths, &b->engine, e); }

static void open_meanwhile(void *arg) { open_books(arg, NULL); /* tried once more when there is something to write */ }

static void note_started(bool is_checked, void *arg)
{
	struct books *b = arg;
	struct err e = { 0 };

	if (open_books(b, &e) < 0 || engine_note_started(b->engine, b->id, is_checked, &e) < 0)
		log_error("started", "%s", e.msg);
}

static int note_exit(const struct life_end *end, uint64_t *ret_again_ms, void *arg)
{
	struct books *b = arg;
	struct err e = { 0 };
	int r = open_books(b, &e);

	if (r >= 0)
		r = engine_note_exit(b->engine, b->id, end, ret_again_ms, &e);
	if (r < 0)
		log_error("exited", "%s", e.msg);
	return r;
}

static int tell_name(char **ret_name, char **ret_image, void *arg)
{
	struct books *b = arg;
	struct err e = { 0 };
	int r = open_books(b, &e);

	return r < 0 ? r : engine_name(b->engine, b->id, ret_name, ret_image, &e);
}

static void note_health(enum container_health health, void *arg)
{
	struct books *b = arg;
	struct err e = { 0 };

	if (open_books(b, &e) < 0 || engine_note_health(b->engine, b->id, health, &e) < 0)
		log_error("health", "%s", e.msg);
}

static int tell_network(struct monitor_network *ret, void *arg, struct err *e)
{
	struct books *b = arg;
	int r = open_books(b, e);

	return r < 0 ? r : engine_network(b->engine, b->id, ret, e);
}

static void note_ports(const struct net_hold *h, void *arg)
{
	struct books *b = arg;
	struct err e = { 0 };

	if (open_books(b, &e) < 0 || engine_note_ports(b->engine, b->id, h, &e) < 0)
		log_error("ports", "%s", e.msg);
}

static int note_not_again(bool is_users, void *arg)
{
	struct books *b = arg;
	struct err e = { 0 };
	int r = open_books(b, &e);

	if (r >= 0)
		r = engine_note_not_again(b->engine, b->id, is_users, &e);
	if (r < 0)
		log_error("not again", "%s", e.msg);
	return r;
}

static void note_event(const char *action, const char *const *attrs, void *arg)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct books *b = arg;
	struct err e = { 0 };
	int r = o ? open_books(b, &e) : -ENOMEM;

	for (; r >= 0 && attrs[0]; attrs += 2)
		r = json_add(o, attrs[0], json_object_new_string(attrs[1]));
	if (r >= 0)
		r = engine_note_event(b->engine, b->id, action, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN), &e);
	if (r < 0)
		log_warn("event", "%s: %s", action, e.no ? e.msg : strerror(-r));
}

static void close_books(void *arg)
{
	struct books *b = arg;

	if (b->engine)
		engine_close(b->engine);
	b->engine = NULL;
}

static void give_up(void *arg)
{
	struct books *b = arg;
	struct err e = { 0 };

	if (open_books(b, &e) < 0 || engine_forget(b->engine, b->id, &e) < 0)
		log_error("given up", "%s", e.msg);
}

static int run(const struct args *a, struct err *e)
{
	struct paths paths = { 0 };
	struct books books = { .paths = &paths, .id = a->id };
	struct timeline timeline = { 0 };
	const struct monitor_config config = { .id = a->id,
					       .paths = &paths,
					       .client_fd = a->client_fd,
					       .waits_for_go = a->client_fd >= 0,
					       .makes_network = a->new_network,
					       .meanwhile = open_meanwhile,
					       .timeline = &timeline,
					       .all_fd = a->all_fd,
					       .on_given_up = give_up,
					       .on_started = note_started,
					       .on_exited = note_exit,
					       .on_not_again = note_not_again,
					       .on_event = note_event,
					       .on_health = note_health,
					       .network = tell_network,
					       .on_ports = note_ports,
					       .on_idle = close_books,
					       .name = tell_name,
					       .arg = &books };
	int r;

	timeline_mark(&timeline, "begin");
	r = build_id_check(e);
	if (r >= 0)
		r = paths_init(&paths, a->root, a->run, e);
	if (r >= 0)
		r = rootless_keep(paths.run, e);
	_cleanup_free_ char *log = r >= 0 ? monitor_log_path(&paths, a->id) : NULL;
	log_keep(log, MONITOR_LOG_MAX);
	if (r >= 0)
		r = monitor_run(&config, e);
	if (r < 0)
		log_error("monitor", "%s", e->msg);
	log_keep(NULL, 0);
	close_books(&books);
	paths_done(&paths);
	return r;
}

/* In the holder's process, which is a fork of ours: with a database of its own. */
static void note_pod_ports(const struct net_hold *h, const struct pod_holder_config *c)
{
	struct engine *engine = NULL;
	struct err e = { 0 };
	int r = engine_open(c->paths, &engine, &e);

	if (r >= 0)
		r = engine_pod_note_ports(engine, c->id, h, &e);
	if (engine)
		engine_close(engine);
	if (r < 0)
		log_error("ports", "%s", e.msg);
}

static int hold_rootless(const char *run, struct err *e)
{
	int r = build_id_check(e);

	return r < 0 ? r : rootless_hold(run, e);
}

/* Holds a pod's virtual machine, in a process of its own. */
static int run_pod(const struct args *a, struct err *e)
{
	struct paths paths = { 0 };
	struct engine *engine = NULL;
	struct pod_vm_member *members = NULL;
	struct net_plan network = { 0 };
	bool has_network = false;
	size_t n = 0;
	int r = build_id_check(e);

	if (r >= 0)
		r = paths_init(&paths, a->root, a->run, e);
	if (r >= 0)
		r = rootless_keep(paths.run, e);
	if (r >= 0)
		r = engine_open(&paths, &engine, e);
	if (r >= 0)
		r = engine_pod_disks(engine, a->pod, &members, &n, e);
	if (r >= 0)
		has_network = (r = engine_pod_network(engine, a->pod, &network, e)) > 0;
	if (engine)
		engine_close(engine);
	if (r >= 0) {
		const struct pod_holder_config c = { .id = a->pod,
						     .paths = &paths,
						     .members = members,
						     .n_members = n,
						     .network = has_network ? &network : NULL,
						     .on_ports = note_pod_ports };
		r = pod_holder_start(&c, e);
	}
	engine_pod_disks_free(members, n);
	net_plan_done(&network);
	paths_done(&paths);
	return r;
}

int main(int argc, char **argv)
{
	struct args args = { .client_fd = -1 };
	struct err e = { 0 };
	int r;

	log_setup("berth-monitor", LOG_WARN_, false);
	r = parse_args(argc, argv, &args, &e);
	if (r >= 0 && args.rootless) {
		r = hold_rootless(args.rootless, &e);
		if (r >= 0)
			return 0;
	} else if (r >= 0 && args.pod) {
		r = run_pod(&args, &e);
		if (r < 0 && e.no)
			log_error("pod", "%s", e.msg);
		return r == -EBUSY ? 2 : r < 0 ? 1 : 0;
	}
	if (r >= 0)
		return run(&args, &e) < 0 ? 1 : 0;
	log_error("monitor", "%s", e.msg);
	return 1;
}
