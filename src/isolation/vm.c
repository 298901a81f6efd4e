/* vm: a container behind a virtual machine's wall, on berth-vmm or QEMU (vm_choose.c).
 *
 *   new -> start: cgroup, the volumes' server, VMM       VM_BOOTING, until berth-init says HELLO
 *       -> START is sent: config.json, filter, clock          VM_STARTING, until FRAME_STARTED or FRAME_ERROR
 *       -> the process runs; exec, signals, sizes, stats      VM_RUNNING, until FRAME_EXIT on channel 0
 *       -> destroy: SHUTDOWN, or the kill of a volatile one   VM_ENDED
 * From every phase: the VMM dies, the guest panics, resets or breaks the protocol -> vm_lost(), which tells each waiting
 * callback why, once. Nothing of a guest survives its monitor: the VMM and the volumes' server die with it (PR_SET_PDEATHSIG). */
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sweep.h"
#include "vm_impl.h"

#define BOOT_TIMEOUT_MS  60000
#define KILL_PATIENCE_MS 5000 /* a guest that does not carry out SIGKILL by then is ended itself */
#define SHUTDOWN_MS      5000
#define SETTLE_MS        30000 /* with disks of the user's: the guest writes out what was mounted of them (guest/disks.c) */

void vm_trace(struct instance *i, const char *step)
{
	if (i->cfg.trace)
		i->cfg.trace(step, clock_mono_us(), i->cfg.arg);
}

static int vm_available(const struct host *h _unused_, char **ret_note, struct err *e)
{
	_cleanup_free_ char *qemu = spawn_find("qemu-system-x86_64");
	struct vm_choice choice;
	int r = vm_check_user(e);

	if (r >= 0)
		r = vm_choose_for_host(&choice, e);
	if (r < 0)
		return r;
	if (!qemu && choice.backend == &vm_backend_qemu)
		return err_set(e, ENOENT, "virtual machines without usable KVM need QEMU: install the package qemu-system-x86");
	*ret_note = vm_choice_note(&choice);
	return 0;
}

static void vm_free(struct instance *i)
{
	vm_spec_done(&i->guest_spec);
	pod_vm_place_done(&i->place);
	free(i->pod_hostname);
	free(i->shares);
	vm_boot_done(&i->boot);
	buf_done(&i->said);
	cgroup_free(i->cg);
	fd_close(i->state_fd);
	fd_close(i->memory_fd);
	free(i);
}

/* What its pod shares is the guest's own. */
static int pod_vm_share(struct instance *i, struct err *e)
{
	static const enum spec_ns kinds[] = { NS_NET, NS_IPC, NS_UTS };
	struct spec plan;
	int r;

	i->in_pod = true;
	spec_init(&plan);
	r = pod_read_plan(i->cfg.paths, i->cfg.launch->pod, &plan, e);
	for (size_t k = 0; r >= 0 && k < ARRAY_SIZE(kinds); k++)
		i->guest_spec.ns.wanted[kinds[k]] = !plan.ns.wanted[kinds[k]];
	if (r >= 0 && plan.ns.wanted[NS_UTS]) {
		i->guest_spec.hostname = NULL; /* borrowed, as all of it */
		i->pod_hostname = plan.hostname ? strdup(plan.hostname) : NULL;
		r = plan.hostname && !i->pod_hostname ? err_set(e, ENOMEM, "out of memory") : 0;
	}
	spec_done(&plan);
	return r;
}

static int vm_new(const struct instance_config *cfg, struct instance **ret, struct err *e)
{
	struct instance *i = calloc(1, sizeof(*i));
	int r;

	if (!i)
		return err_set(e, ENOMEM, "out of memory");
	i->cfg = *cfg;
	i->agent_fd = i->console_fd = i->control_fd = i->stderr_fd = i->vmm_pidfd = i->fsd_pidfd = -1;
	i->vmm = i->fsd = i->state_fd = i->memory_fd = -1;
	i->storage = (struct vm_storage){ .pidfd = -1, .said = -1 };
	i->stats_tail = &i->stats;
	r = vm_spec_for_guest(cfg->spec, cfg->launch, &i->guest_spec, &i->shares, &i->n_shares, e);
	if (r >= 0 && cfg->launch->pod)
		r = pod_vm_share(i, e);
	if (r < 0) {
		vm_free(i);
		return r;
	}
	for (size_t k = 0; k < cfg->launch->n_disks && k < VM_GIVEN_MAX; k++) {
		const struct launch_disk *d = &cfg->launch->disks[k];

		i->given[i->n_more++] = (struct vm_disk){ .path = d->path, .is_readonly = d->is_readonly, .given = d };
	}
	i->more = i->given;
	*ret = i;
	return 0;
}

/* ---- start ---- */

/* The quota that was spared while it booted. */
static void limit_cpu(struct instance *i)
{
	const struct spec_resources *want = &i->cfg.spec->resources;
	struct spec blank;
	struct err e = { 0 };

	if (want->cpu_quota == SPEC_UNSET || !i->cg)
		return;
	spec_init(&blank);
	blank.resources.cpu_quota = want->cpu_quota;
	blank.resources.cpu_period = want->cpu_period;
	if (cgroup_update(i->cg, &blank.resources, &e) < 0)
		log_warn("vm", "CPU limit of the VMM: %s", e.msg); /* the guest's own cgroup has the same quota */
}

void vm_main_started(struct instance *i, const struct err *e)
{
	i->phase = e ? VM_ENDED : VM_RUNNING;
	if (!e && i->is_restore)
		vm_restore_done(i);
	if (!e) {
		limit_cpu(i);
		vm_trace(i, "container");
	}
	loop_del(i->boot_timer);
	i->boot_timer = NULL;
	i->cfg.on_started(i->cfg.arg, e);
}

void vm_lost(struct instance *i, const struct err *why)
{
	if (i->phase == VM_ENDED)
		return;
	i->phase = VM_ENDED;
	vm_process_end(i, 0);
	vm_hold_lost(i, why);
	vm_size_lost(i, why);
	vm_stats_lost(i, why);
	vm_tasks_lost(i, why);
	if (i->on_pod_lost)
		i->on_pod_lost(i->cfg.arg, why);
}

/* BERTH_VM_BOOT_TIMEOUT, "90s": for hosts slower than anybody thought. */
static int boot_timeout(uint64_t *ret_ms, struct err *e)
{
	const char *given = getenv("BERTH_VM_BOOT_TIMEOUT");

	*ret_ms = BOOT_TIMEOUT_MS;
	if (given && (str_to_duration_ms(given, ret_ms) < 0 || *ret_ms == 0))
		return err_set(e, EINVAL, "BERTH_VM_BOOT_TIMEOUT=%s: not a duration such as 90s", given);
	return 0;
}

static void on_boot_timeout(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct instance *i = arg;
	_cleanup_free_ char *text = vm_console_text(&i->console), *reason = text ? vm_console_reason(text) : NULL;
	struct err e = { 0 };

	i->boot_timer = NULL; /* a timer deletes itself */
	vm_console_log(&i->console);
	err_set(&e, ETIMEDOUT, "the guest did not %s within %.1f s%s%s; BERTH_VM_BOOT_TIMEOUT=90s allows more",
		i->phase == VM_BOOTING ? "boot" : "start the process", (double)i->boot_ms / 1000, reason ? ": " : "",
		reason ?: "");
	vm_lost(i, &e);
}

/* What the container was created with may be of another build by now, or cleaned away: a guest has to run this build's
 * berth-init. Costs a look when all is as it was. */
static int refresh_boot_files(struct instance *i, struct err *e)
{
	_cleanup_free_ char *cache = str_fmt("%s/kernels/", i->cfg.paths->root);
	const char *kernel = i->cfg.launch->kernel, *name = i->cfg.launch->kernel_name;

	if (!cache)
		return err_set(e, ENOMEM, "out of memory");
	return vm_prepare(i->cfg.paths, name ?: str_after(kernel, cache) ? name : kernel, &i->boot, e);
}

/* Each start asks anew: the container may have been made on another boot of the host, or on another host. */
static int choose_backend(struct instance *i, struct err *e)
{
	struct vm_choice choice;
	int r = vm_choose_for_host(&choice, e);

	if (r < 0)
		return r;
	i->backend = choice.backend;
	i->has_kvm = choice.kvm.is_usable;
	log_debug("vm", "%s, %s%s", i->backend->name, i->has_kvm ? "on KVM" : "emulated: ", choice.kvm.reason);
	vm_trace(i, "look at KVM");
	return 0;
}

/* A copy goes on on the VMM that has saved it, and on no other. */
static int look_for_state(struct instance *i, struct err *e)
{
	int r = vm_restore_open(i, &i->state_fd, &i->memory_fd, e);
	_cleanup_free_ char *why = NULL;

	if (r <= 0)
		return r;
	i->is_restore = true;
	if (i->backend == &vm_backend_own)
		return r;
	why = vm_reason_for_qemu();
	return err_set(e, ENODEV, "a saved virtual machine goes on on berth-vmm only, which can't be used here: %s",
		       why ?: "out of memory");
}

static int start_vmm(struct instance *i, struct err *e)
{
	int r = choose_backend(i, e);

	if (r >= 0)
		r = look_for_state(i, e);
	if (r >= 0 && !i->is_restore)
		r = refresh_boot_files(i, e);
	return r < 0 ? r : vm_process_start(i, e);
}

int vm_start_machine(struct instance *i, struct err *e)
{
	int r = boot_timeout(&i->boot_ms, e);

	if (r >= 0)
		r = start_vmm(i, e);
	if (r >= 0 && loop_timer(i->cfg.loop, i->boot_ms, on_boot_timeout, i, &i->boot_timer) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	if (r >= 0)
		i->phase = VM_BOOTING;
	return r;
}

/* In the machine of its pod, which may boot still: to be said HELLO by. */
static int start_in_pod(struct instance *i, struct err *e)
{
	int r = pod_vm_join(i->cfg.paths, i->cfg.launch->pod, i->cfg.launch->id, &i->place, e);

	if (r >= 0)
		i->agent_fd = TAKE_FD(i->place.fd);
	return r;
}

static int vm_start(struct instance *i, struct task *main_task, struct err *e)
{
	int r = boot_timeout(&i->boot_ms, e);

	if (r >= 0)
		r = i->in_pod ? start_in_pod(i, e) : start_vmm(i, e);
	if (r >= 0)
		r = vm_link_start(i, e);
	if (r >= 0 && i->cfg.meanwhile)
		r = i->cfg.meanwhile(i->cfg.arg, e);
	if (r >= 0)
		r = vm_task_new(i, 0, main_task, NULL, e);
	if (r >= 0 && loop_timer(i->cfg.loop, i->boot_ms, on_boot_timeout, i, &i->boot_timer) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	if (r >= 0)
		i->phase = i->is_restore ? VM_STARTING : VM_BOOTING;
	return r >= 0 && i->is_restore ? vm_restore_greet(i, e) : r;
}

/* ---- while it runs ---- */

static int must_run(struct instance *i, struct err *e)
{
	return i->phase == VM_RUNNING ? 0 : err_set(e, ESRCH, "the container does not run");
}

static int vm_pause(struct instance *i, bool paused, struct err *e)
{
	int r = must_run(i, e);

	if (r >= 0 && i->in_pod)
		r = err_set(e, EOPNOTSUPP,
			    "one container of a virtual machine can't be paused: berth pod pause holds its whole pod");
	if (r >= 0)
		r = i->backend->pause(i, paused, e);
	if (r >= 0)
		i->is_paused = paused;
	return r;
}

static uint16_t free_channel(struct instance *i)
{
	for (unsigned tries = 0; tries < UINT16_MAX; tries++) {
		i->last_channel = i->last_channel == UINT16_MAX ? 1 : (uint16_t)(i->last_channel + 1);
		if (!vm_task_find(i, i->last_channel))
			return i->last_channel;
	}
	return 0;
}

static int vm_exec(struct instance *i, const struct spec_process *p, struct task *t,
		   void (*on_started)(struct task *t, const struct err *e), struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	const char *text;
	uint16_t channel = free_channel(i);
	int r = must_run(i, e);

	if (r < 0)
		return r;
	if (i->is_paused)
		return err_set(e, EBUSY, "container %.12s is paused: unpause it first", i->cfg.launch->id);
	if (channel == 0)
		return err_set(e, EAGAIN, "too many processes were exec'd at once");
	o = spec_process_json(p);
	text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : NULL;
	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	r = vm_task_new(i, channel, t, on_started, e);
	if (r < 0)
		return r;
	frame_put(&i->link.out, FRAME_EXEC, channel, text, (uint32_t)strlen(text));
	if (t->has_tty && p->console_rows)
		frame_put_resize(&i->link.out, channel, (uint16_t)p->console_rows, (uint16_t)p->console_cols);
	link_flush(&i->link);
	return 0;
}

static void on_kill_timeout(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct instance *i = arg;
	struct err e = { 0 };

	i->kill_timer = NULL;
	err_set(&e, ETIMEDOUT, "the guest did not carry out SIGKILL; the virtual machine was ended");
	vm_lost(i, &e);
}

static int vm_signal(struct instance *i, struct task *t, int sig, struct err *e)
{
	int r = must_run(i, e);

	if (r < 0)
		return r;
	if (!t->impl)
		return err_set(e, ESRCH, "the process has ended");
	if (sig == SIGKILL && i->is_paused) /* it is to die, and who stands still can't */
		r = vm_pause(i, false, e);
	if (r < 0)
		return r;
	frame_put_u32(&i->link.out, FRAME_SIGNAL, vm_task_channel(t->impl), (uint32_t)sig);
	link_flush(&i->link);
	if (sig == SIGKILL && vm_task_channel(t->impl) == 0 && !i->kill_timer &&
	    loop_timer(i->cfg.loop, KILL_PATIENCE_MS, on_kill_timeout, i, &i->kill_timer) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

static int vm_resize(struct instance *i, struct task *t, uint16_t rows, uint16_t cols, struct err *e)
{
	if (!t->impl)
		return err_set(e, ESRCH, "the process has ended");
	if (i->phase == VM_BOOTING) { /* sent behind START */
		i->cfg.tty_rows = rows;
		i->cfg.tty_cols = cols;
		return 0;
	}
	frame_put_resize(&i->link.out, vm_task_channel(t->impl), rows, cols);
	link_flush(&i->link);
	return 0;
}

static int vm_close_stdin(struct instance *i, struct task *t, struct err *e)
{
	(void)i;
	/* Pipes say it themselves when the monitor closes its end; a terminal's socketpair stays open for the output. */
	if (t->impl && t->has_tty && shutdown(t->in, SHUT_WR) < 0)
		return err_set(e, errno, "end of input: %s", strerror(errno));
	return 0;
}

static const char *vm_vmm(const struct instance *i)
{
	if (i->in_pod)
		return i->place.vmm;
	return i->backend == &vm_backend_own ? "berth-vmm" : i->has_kvm ? "qemu, on KVM" : "qemu, emulated";
}

static const char *vm_kernel_of(const struct instance *i) { return i->boot.name; }

static pid_t vm_pid(const struct instance *i) { return i->in_pod ? (pid_t)i->place.pid : i->vmm; }

/* ---- the end ---- */

static void vm_destroy(struct instance *i)
{
	const struct launch *l = i->cfg.launch;
	/* What is thrown away with the container need not be written out; the user's disks stay. */
	bool was_running = i->phase == VM_ENDED && i->vmm > 0, is_volatile = l->is_volatile && !l->n_disks;
	struct err e = { 0 };

	loop_del(i->boot_timer);
	loop_del(i->kill_timer);
	i->phase = VM_ENDED;
	if (i->has_link && i->link.is_held) /* nobody is copied any more */
		link_release(&i->link);
	loop_del(i->hold.timer);
	if (i->has_link && was_running && !is_volatile && !i->link.is_broken) {
		/* The container's disk is kept: berth-init writes it out and turns the machine off. */
		frame_put(&i->link.out, FRAME_SHUTDOWN, 0, NULL, 0);
		link_flush(&i->link);
		if (link_drain(&i->link, SHUTDOWN_MS) < 0)
			log_debug("vm", "the guest did not take its shutdown");
	} else {
		is_volatile = true;
	}
	while (i->tasks)
		vm_task_free(i->tasks);
	vm_size_done(i);
	if (i->has_link)
		link_done(&i->link);
	vm_process_end(i, is_volatile ? 0 : l->n_disks ? SETTLE_MS : SHUTDOWN_MS);
	vm_console_log(&i->console);
	loop_del(i->console_src);
	loop_del(i->stderr_src);
	loop_del(i->control_src);
	fd_close(i->agent_fd);
	fd_close(i->console_fd);
	fd_close(i->control_fd);
	fd_close(i->stderr_fd);
	fd_close(i->vmm_pidfd);
	fd_close(i->fsd_pidfd);
	(void)unlinkat(i->cfg.rundirfd, VM_CONTROL_SOCKET, 0);
	if (i->cg && cgroup_remove(TAKE_PTR(i->cg), &e) < 0)
		log_warn("vm", "cgroup of the VMM: %s", e.msg);
	vm_free(i);
}

const struct isolation_ops isolation_vm = {
	.name = "vm",
	.no_connect = "a virtual machine's networks can't change while it runs: stop it first",
	.available = vm_available,
	.new = vm_new,
	.start = vm_start,
	.exec = vm_exec,
	.signal = vm_signal,
	.resize = vm_resize,
	.close_stdin = vm_close_stdin,
	.pause = vm_pause,
	.hold = vm_hold,
	.release = vm_release,
	.stats = vm_stats,
	.update = vm_update,
	.pid = vm_pid,
	.vmm = vm_vmm,
	.kernel = vm_kernel_of,
	.destroy = vm_destroy,
	.sweep = sweep_cgroup, /* the VMM and the server are in it: found even when nobody knows their ids any more */
};
