/* Snapshots of a guest that counts: what was taken goes on, any number of times; what is damaged is refused. */
#include <sys/socket.h>

#include "control.h"
#include "tiny.h"

enum { COUNTER = 0x200000, MEM = 32 << 20, PAGE = SNAPSHOT_PAGE };

/* 1: incl COUNTER; jmp 1b */
static const uint8_t counts[] = { 0xff, 0x04, 0x25, 0, 0, 0x20, 0, 0xeb, 0xf7 };

struct files {
	int state, ram;
};

static struct files files_new(void)
{
	struct files f = { memfd_create("state", MFD_CLOEXEC), memfd_create("ram", MFD_CLOEXEC) };

	ok(f.state >= 0 && f.ram >= 0);
	return f;
}

static void files_done(struct files *f)
{
	close(f->state);
	close(f->ram);
}

static struct vmm_plan plan_of(int kernel_fd, const struct files *f)
{
	struct vmm_plan p = { VMM_PLAN_NO_FDS, .mem_bytes = MEM, .cpus = 1, .pages = VMM_PAGES_SMALL };

	p.kernel_fd = kernel_fd;
	if (f) {
		p.state_fd = f->state;
		p.ram_fd = f->ram;
	}
	return p;
}

static uint32_t counter_in(int ram)
{
	uint32_t v = 0;

	is_int(pread(ram, &v, sizeof(v), COUNTER), sizeof(v));
	return v;
}

static uint32_t counter_of(const struct vmm *vm)
{
	uint32_t v = 0;

	is_int(vmm_mem_read(vm->mem, COUNTER, &v, sizeof(v)), 0);
	return v;
}

#define STEPS 3
/* A VM runs; each time its counter has grown by 100 the next step is called, on the vmm thread; then it stops. */
struct visit {
	struct vmm *vm;
	void (*steps[STEPS])(struct visit *v);
	unsigned next;
	uint32_t at_least;
	struct files f[STEPS]; /* the steps' */
	struct vmm_snapshot_info info;
};

static void on_visit(struct loop *l, int fd, uint32_t events, void *arg)
{
	struct visit *v = arg;

	(void)fd;
	(void)events;
	if (counter_of(v->vm) >= v->at_least) {
		if (v->next == STEPS || !v->steps[v->next]) {
			vmm_stop(v->vm);
			return;
		}
		v->steps[v->next++](v);
		v->at_least = counter_of(v->vm) + 100;
	}
	is_int(loop_timer(l, 2, on_visit, v, NULL), 0);
}

static void visit(const struct vmm_plan *plan, struct visit *v)
{
	struct vmm_result res;

	v->vm = tiny_vm(plan);
	is_int(loop_timer(vmm_loop(v->vm), 2, on_visit, v, NULL), 0);
	is_int(vmm_run(v->vm, &res, NULL), 0);
	is_str(vmm_end_name(res.end), "stopped");
	vmm_free(v->vm);
}

static void take(struct visit *v, bool is_diff, bool tracks, struct files *f)
{
	const struct vmm_snapshot_opts o = { .is_diff = is_diff, .track = tracks ? VMM_TRACK_ON : VMM_TRACK_AS_IS };
	struct err e = { 0 };

	*f = files_new();
	if (vmm_snapshot(v->vm, &o, f->state, f->ram, &v->info, &e) < 0)
		TAP_FAIL("%s", e.msg);
}

static void take_one(struct visit *v) { take(v, false, false, &v->f[0]); }

static struct files counting_snapshot(void)
{
	int kernel = tiny_kernel(counts, sizeof(counts));
	struct vmm_plan plan = plan_of(kernel, NULL);
	struct visit v = { .steps = { take_one }, .at_least = 1000 };

	visit(&plan, &v); /* which ends when the parent has run on */
	close(kernel);
	ok(counter_in(v.f[0].ram) >= 1000);
	ok(v.info.written_bytes > 0 && v.info.written_bytes < MEM / 2);
	return v.f[0];
}

TEST(a_snapshot_goes_on_where_it_was_taken_and_twice_from_the_same_file)
{
	struct files f = counting_snapshot();
	uint32_t saved = counter_in(f.ram);

	for (int i = 0; i < 2; i++) {
		struct vmm_plan plan = plan_of(-1, &f);
		struct visit v = { .at_least = saved + 500 };

		visit(&plan, &v);
		is_int(counter_in(f.ram), saved); /* and never the file */
	}
	files_done(&f);
}

TEST(zero_pages_are_holes)
{
	struct files f = counting_snapshot();
	struct stat st;

	is_int(fstat(f.ram, &st), 0);
	is_int(st.st_size, MEM + PAGE);
	ok(st.st_blocks * 512 < MEM / 2);
	files_done(&f);
}

/* ---- diffs ---- */

static void take_base(struct visit *v)
{
	is_int(vmm_mem_write(v->vm->mem, 0x300000, "not zero for long", 17), 0);
	take(v, false, true, &v->f[0]);
	/* Written by this process, not by the guest: the other half of the log. */
	is_int(vmm_mem_write(v->vm->mem, 0x400000 - 2, "abcd", 4), 0);
	is_int(vmm_mem_zero(v->vm->mem, 0x300000, PAGE), 0);
}

static void take_diff_and_full(struct visit *v)
{
	vmm_pause(v->vm);
	take(v, true, true, &v->f[1]);
	ok(v->info.written_bytes >= PAGE && v->info.written_bytes <= 64 * PAGE);
	take(v, false, true, &v->f[2]);
	vmm_resume(v->vm);
}

static void is_same_memory(int a, int b)
{
	for (uint64_t at = 0; at < MEM; at += PAGE) {
		uint8_t x[PAGE], y[PAGE];

		is_int(pread(a, x, PAGE, (off_t)at), PAGE);
		is_int(pread(b, y, PAGE, (off_t)at), PAGE);
		if (memcmp(x, y, PAGE) != 0)
			TAP_FAIL("page %#llx differs", (unsigned long long)at);
	}
}

TEST(a_diff_merged_into_its_base_is_the_whole_memory_and_runs)
{
	int kernel = tiny_kernel(counts, sizeof(counts));
	struct vmm_plan plan = plan_of(kernel, NULL);
	struct visit v = { .steps = { take_base, take_diff_and_full }, .at_least = 1000 }, again;
	struct err e = { 0 };
	struct files merged;

	visit(&plan, &v);
	close(kernel);
	ok(counter_in(v.f[2].ram) > counter_in(v.f[0].ram));
	if (vmm_snapshot_merge(v.f[1].ram, v.f[0].ram, false, &e) < 0)
		TAP_FAIL("%s", e.msg);
	is_same_memory(v.f[0].ram, v.f[2].ram);
	merged = (struct files){ v.f[1].state, v.f[0].ram };
	plan = plan_of(-1, &merged);
	plan.tracks_writes = true;
	/* A restored one may go on with diffs at once: it counts from what it was restored from. */
	again = (struct visit){ .steps = { take_diff_and_full }, .at_least = counter_in(merged.ram) + 100 };
	visit(&plan, &again);
	is_int(vmm_snapshot_merge(again.f[1].ram, merged.ram, false, NULL), 0);
	is_same_memory(merged.ram, again.f[2].ram);
}

TEST(a_diff_is_merged_into_its_own_base_only_and_once)
{
	int kernel = tiny_kernel(counts, sizeof(counts));
	struct vmm_plan plan = plan_of(kernel, NULL);
	struct visit v = { .steps = { take_base, take_diff_and_full }, .at_least = 1000 };
	struct err e = { 0 };

	visit(&plan, &v);
	close(kernel);
	is_int(vmm_snapshot_merge(v.f[1].ram, v.f[2].ram, false, &e), -EINVAL);
	has_str(e.msg, "another snapshot");
	is_int(vmm_snapshot_merge(v.f[1].ram, v.f[0].ram, false, &e), 0);
	is_int(vmm_snapshot_merge(v.f[1].ram, v.f[0].ram, false, &e), -EINVAL);
	/* Its list of pages is what it says, or nothing is touched. */
	struct stat st;
	is_int(fstat(v.f[1].ram, &st), 0);
	for (unsigned at = 0; at < PAGE + 16; at += at == 120 ? PAGE - 120 : 8) {
		uint64_t was, bad;

		is_int(pread(v.f[1].ram, &was, 8, at), 8);
		bad = was ^ 0x10;
		is_int(pwrite(v.f[1].ram, &bad, 8, at), 8);
		ok(vmm_snapshot_merge(v.f[1].ram, v.f[0].ram, false, &e) == -EBADMSG || at >= sizeof(struct diff_head));
		is_int(pwrite(v.f[1].ram, &was, 8, at), 8);
	}
	is_int(ftruncate(v.f[1].ram, st.st_size - 1), 0);
	is_int(vmm_snapshot_merge(v.f[1].ram, v.f[0].ram, false, &e), -EBADMSG);
	has_str(e.msg, "cut off");
}

static void ask_for_diff(struct visit *v)
{
	const struct vmm_snapshot_opts o = { .is_diff = true };
	struct err e = { 0 };

	v->f[0] = files_new();
	is_int(vmm_snapshot(v->vm, &o, v->f[0].state, v->f[0].ram, &v->info, &e), -EINVAL);
	has_str(e.msg, "tracked");
}

TEST(a_diff_of_what_was_not_tracked_is_refused_and_the_guest_runs_on)
{
	int kernel = tiny_kernel(counts, sizeof(counts));
	struct vmm_plan plan = plan_of(kernel, NULL);
	struct visit v = { .steps = { ask_for_diff }, .at_least = 1000 };

	visit(&plan, &v);
	close(kernel);
}

/* A whole one in between that asks for no counting leaves it as it is; one that says no ends it. */
static void take_around_others(struct visit *v)
{
	const struct vmm_snapshot_opts off = { .track = VMM_TRACK_OFF }, diff = { .is_diff = true };
	struct files f;
	struct err e = { 0 };

	vmm_pause(v->vm);
	take(v, false, false, &f);
	files_done(&f);
	take(v, true, false, &f); /* a diff that does not become the next one's base */
	files_done(&f);
	take_diff_and_full(v);
	take(v, true, true, &f); /* nothing was written since the full one */
	is_int(v->info.written_bytes, 0);
	files_done(&f);
	f = files_new();
	is_int(vmm_snapshot(v->vm, &off, f.state, f.ram, &v->info, &e), 0);
	files_done(&f);
	f = files_new();
	is_int(vmm_snapshot(v->vm, &diff, f.state, f.ram, &v->info, &e), -EINVAL);
	files_done(&f);
	vmm_resume(v->vm);
}

TEST(a_snapshot_that_says_nothing_of_counting_does_not_disturb_it)
{
	int kernel = tiny_kernel(counts, sizeof(counts));
	struct vmm_plan plan = plan_of(kernel, NULL);
	struct visit v = { .steps = { take_base, take_around_others }, .at_least = 1000 };

	visit(&plan, &v);
	close(kernel);
	is_int(vmm_snapshot_merge(v.f[1].ram, v.f[0].ram, false, NULL), 0);
	is_same_memory(v.f[0].ram, v.f[2].ram);
}

/* Taken back, it is as if it had never been there: what was written before it and after it is in the next. */
static void take_back_one(struct visit *v)
{
	const struct vmm_snapshot_opts o = { .is_diff = true, .is_tentative = true, .track = VMM_TRACK_ON },
				       on = { .track = VMM_TRACK_ON };
	struct files f = files_new(), more = files_new();
	struct snapshot_id base = v->vm->track.base;
	struct err e = { 0 };

	is_int(vmm_snapshot(v->vm, &o, f.state, f.ram, &v->info, &e), 0);
	ok(memcmp(&base, &v->vm->track.base, sizeof(base)) != 0);
	is_int(vmm_snapshot(v->vm, &on, more.state, more.ram, &v->info, &e), -EBUSY);
	take(v, false, false, &more); /* one that changes nothing of it may be taken */
	is_int(vmm_mem_write(v->vm->mem, 0x600000, "after", 5), 0);
	vmm_snapshot_take_back(v->vm);
	ok(memcmp(&base, &v->vm->track.base, sizeof(base)) == 0);
	vmm_snapshot_take_back(v->vm);
	files_done(&f);
	files_done(&more);
}

TEST(a_snapshot_that_is_taken_back_leaves_the_count_as_it_was)
{
	int kernel = tiny_kernel(counts, sizeof(counts));
	struct vmm_plan plan = plan_of(kernel, NULL);
	struct visit v = { .steps = { take_base, take_back_one, take_diff_and_full }, .at_least = 1000 };

	visit(&plan, &v);
	close(kernel);
	is_int(vmm_snapshot_merge(v.f[1].ram, v.f[0].ram, false, NULL), 0);
	is_same_memory(v.f[0].ram, v.f[2].ram);
}

static void take_first_back(struct visit *v)
{
	const struct vmm_snapshot_opts o = { .is_tentative = true, .track = VMM_TRACK_ON };
	struct files f = files_new();

	is_int(vmm_snapshot(v->vm, &o, f.state, f.ram, &v->info, NULL), 0);
	ok(v->vm->track.written);
	vmm_snapshot_take_back(v->vm);
	ok(!v->vm->track.written); /* nor is anything logged */
	is_int(vmm_snapshot(v->vm, &o, v->f[0].state, v->f[0].ram, &v->info, NULL), 0);
	vmm_snapshot_keep(v->vm);
	vmm_snapshot_take_back(v->vm);
	ok(v->vm->track.written);
	files_done(&f);
}

TEST(a_first_one_that_is_taken_back_ends_the_counting_and_one_that_is_kept_does_not)
{
	int kernel = tiny_kernel(counts, sizeof(counts));
	struct vmm_plan plan = plan_of(kernel, NULL);
	struct visit v = { .steps = { take_first_back, take_diff_and_full }, .at_least = 1000, .f = { files_new() } };

	visit(&plan, &v);
	close(kernel);
	is_int(vmm_snapshot_merge(v.f[1].ram, v.f[0].ram, true, NULL), 0);
	is_same_memory(v.f[0].ram, v.f[2].ram);
}

TEST(V14_a_diffs_files_say_what_they_are_and_are_of_each_other)
{
	int kernel = tiny_kernel(counts, sizeof(counts));
	struct vmm_plan plan = plan_of(kernel, NULL);
	struct visit v = { .steps = { take_base, take_diff_and_full }, .at_least = 1000 };
	struct vmm_snapshot_facts whole, diff, none;
	uint8_t id[VMM_SNAPSHOT_ID_BYTES];
	struct err e = { 0 };
	uint64_t bad = UINT64_MAX;

	visit(&plan, &v);
	close(kernel);
	is_int(vmm_snapshot_check(v.f[0].state, v.f[0].ram, &whole, &e), 0);
	is_int(vmm_snapshot_check(v.f[1].state, v.f[1].ram, &diff, &e), 0);
	ok(!whole.is_diff && diff.is_diff && diff.mem_bytes == MEM && diff.cpus == 1);
	ok(memcmp(diff.base, whole.id, sizeof(whole.id)) == 0);
	is_int(vmm_snapshot_id(v.f[1].state, id, &e), 0);
	ok(memcmp(id, diff.id, sizeof(id)) == 0);
	is_int(vmm_snapshot_id(v.f[1].ram, id, &e), -EBADMSG);
	is_int(vmm_snapshot_check(v.f[0].state, v.f[1].ram, &none, &e), -EBADMSG);
	has_str(e.msg, "another snapshot");
	is_int(vmm_snapshot_check(v.f[1].state, v.f[0].ram, &none, &e), -EBADMSG);
	is_int(pwrite(v.f[1].ram, &bad, 8, PAGE), 8);
	is_int(vmm_snapshot_check(v.f[1].state, v.f[1].ram, &none, &e), -EBADMSG);
	has_str(e.msg, "list of pages");
}

/* ---- what fails ---- */

static void take_where_there_is_no_room(struct visit *v)
{
	const struct vmm_snapshot_opts o = { .track = VMM_TRACK_ON }, diff = { .is_diff = true, .track = VMM_TRACK_ON };
	struct files full = files_new();
	struct err e = { 0 };

	take(v, false, true, &v->f[0]);
	/* Sealed against growing: no byte fits, as on a full disk. */
	close(full.ram);
	full.ram = memfd_create("full", MFD_ALLOW_SEALING);
	is_int(fcntl(full.ram, F_ADD_SEALS, F_SEAL_GROW), 0);
	ok(vmm_snapshot(v->vm, &o, full.state, full.ram, &v->info, &e) < 0);
	has_str(e.msg, "memory file");
	has_str(e.msg, "incomplete");
	ok(vmm_snapshot(v->vm, &diff, full.state, full.ram, &v->info, &e) < 0);
	/* The state file last: nothing is there of it. */
	struct stat st;
	is_int(fstat(full.state, &st), 0);
	is_int(st.st_size, 0);
	files_done(&full);
	is_int(vmm_mem_write(v->vm->mem, 0x500000, "x", 1), 0);
}

TEST(a_snapshot_that_fails_leaves_the_guest_running_and_forgets_no_page)
{
	int kernel = tiny_kernel(counts, sizeof(counts));
	struct vmm_plan plan = plan_of(kernel, NULL);
	struct visit v = { .steps = { take_where_there_is_no_room, take_diff_and_full }, .at_least = 1000 };
	struct err e = { 0 };

	visit(&plan, &v);
	close(kernel);
	if (vmm_snapshot_merge(v.f[1].ram, v.f[0].ram, false, &e) < 0)
		TAP_FAIL("%s", e.msg);
	is_same_memory(v.f[0].ram, v.f[2].ram);
}

TEST(files_that_hold_something_are_not_overwritten)
{
	static const uint8_t code[] = { 0xf4 };
	int kernel = tiny_kernel(code, 1);
	struct vmm_plan plan = plan_of(kernel, NULL);
	struct vmm *vm = tiny_vm(&plan);
	struct files f = files_new();
	const struct vmm_snapshot_opts o = { 0 };
	struct vmm_snapshot_info info;
	struct err e = { 0 };

	is_int(vmm_snapshot(vm, &o, f.state, f.state, &info, &e), -EINVAL);
	has_str(e.msg, "same file");
	is_int(write(f.ram, "x", 1), 1);
	is_int(vmm_snapshot(vm, &o, f.state, f.ram, &info, &e), -EINVAL);
	has_str(e.msg, "memory file");
	is_int(vmm_snapshot(vm, &o, kernel, f.ram, &info, &e), -EINVAL);
	vmm_free(vm);
	files_done(&f);
	close(kernel);
}

/* ---- what is damaged ---- */

static int try_restore(const struct files *f, uint64_t mem, uint32_t cpus, struct err *e)
{
	struct vmm_plan plan = plan_of(-1, f);
	struct vmm *vm = NULL;
	int r;

	plan.mem_bytes = mem;
	plan.cpus = cpus;
	r = vmm_new(&plan, &vm, e);
	vmm_free(vm);
	return r;
}

TEST(V14_damaged_snapshots_are_refused_in_one_sentence)
{
	struct files f = counting_snapshot(), other = counting_snapshot(), mixed = { f.state, other.ram };
	struct snapshot_head h;
	struct err e = { 0 };
	char *data = NULL, byte;
	size_t len;

	is_int(lseek(f.state, 0, SEEK_SET), 0);
	is_int(fd_read_all(f.state, SNAPSHOT_STATE_MAX, &data, &len), 0);
	is_int(snapshot_check(data, len, &h, &e), 0);
	for (size_t n = 0; n < len; n += n < 200 ? 1 : 997)
		is_int(snapshot_check(data, n, &h, &e), -EBADMSG);
	for (size_t i = 0; i < len; i += i < 200 ? 1 : 97) {
		data[i] ^= 4;
		is_int(snapshot_check(data, len, &h, &e), -EBADMSG);
		data[i] ^= 4;
	}
	is_int(try_restore(&f, MEM, 1, &e), 0); /* wherever the descriptor was left: clones may share it */
	is_int(try_restore(&f, MEM, 1, &e), 0);
	is_int(try_restore(&f, 2ull * MEM, 1, &e), -EINVAL);
	has_str(e.msg, "the plan has");
	is_int(try_restore(&f, MEM, 2, &e), -EINVAL);
	is_int(try_restore(&mixed, MEM, 1, &e), -EBADMSG);
	has_str(e.msg, "another snapshot");
	is_int(pread(f.ram, &byte, 1, MEM + 30), 1); /* of the id, which is random */
	byte ^= 4;
	is_int(pwrite(f.ram, &byte, 1, MEM + 30), 1);
	is_int(try_restore(&f, MEM, 1, &e), -EBADMSG);
	has_str(e.msg, "memory file");
	is_int(ftruncate(f.ram, MEM), 0);
	is_int(try_restore(&f, MEM, 1, &e), -EBADMSG);
	has_str(e.msg, "cut off");
	is_int(ftruncate(f.state, (off_t)len - 1), 0);
	is_int(try_restore(&f, MEM, 1, &e), -EBADMSG);
	has_str(e.msg, "state file");
	free(data);
}

/* ---- the control socket ---- */

struct dialogue {
	struct vmm *vm;
	int fd;
	const char *path; /* where to connect again */
	pthread_t thread;
	char said[4096];
};

static const char *hear(struct dialogue *d)
{
	size_t len = 0;

	while (len == 0 || d->said[len - 1] != '\n') {
		ssize_t got = read(d->fd, d->said + len, sizeof(d->said) - 1 - len);

		ok(got > 0);
		len += (size_t)got;
	}
	d->said[len] = '\0';
	return d->said;
}

static const char *ask(struct dialogue *d, const char *line, const int *fds, size_t n)
{
	is_int(sock_send_fds(d->fd, line, strlen(line), fds, n), 0);
	return hear(d);
}

static void *talk(void *arg)
{
	struct dialogue *d = arg;
	struct files f = files_new();
	const int both[] = { f.state, f.ram };
	uint32_t was;

	has_str(ask(d, "{\"do\":\"state\",\"version\":1}\n", NULL, 0), "\"state\":\"running\"");
	has_str(ask(d, "{\"do\":\"pause\"}\n", NULL, 0), "\"ok\":true");
	has_str(ask(d, "{\"do\":\"state\"}\n", NULL, 0), "paused");
	was = counter_of(d->vm);
	usleep(20000);
	is_int(counter_of(d->vm), was);
	has_str(ask(d, "{\"do\":\"snapshot\",\"track\":true}\n", both, 2), "\"pause_us\"");
	is_int(counter_in(f.ram), was);
	has_str(ask(d, "{\"do\":\"state\"}\n", NULL, 0), "diff_base");
	has_str(ask(d, "{\"do\":\"resume\"}\n", NULL, 0), "\"ok\":true");
	while (counter_of(d->vm) == was)
		usleep(1000);
	has_str(ask(d, "{\"do\":\"metrics\"}\n", NULL, 0), "resident_bytes");
	has_str(d->said, "\"exits\":{\"signal\"");
	has_str(ask(d, "{\"do\":\"snapshot\",\"kind\":\"odd\"}\n", NULL, 0), "odd");
	has_str(ask(d, "{\"do\":\"snapshot\"}\n", both, 1), "it takes two");
	has_str(ask(d, "{\"do\":\"snapshot\"}\n", both, 2), "empty regular file");
	has_str(ask(d, "{\"do\":\"pause\"}\n", both, 2), "no descriptors");
	has_str(ask(d, "{\"do\":\"resize\",\"mem_bytes\":33554432}\n", NULL, 0), "no balloon");
	has_str(ask(d, "{\"do\":\"stop\",\"mem_bytes\":33554432}\n", NULL, 0), "takes no mem_bytes");
	has_str(ask(d, "{\"do\":\"dance\"}\n", NULL, 0), "dance");
	has_str(ask(d, "{\"do\":\"state\",\"loud\":1}\n", NULL, 0), "loud");
	has_str(ask(d, "{\"do\":\"state\",\"version\":2}\n", NULL, 0), "version 2");
	has_str(ask(d, "nonsense\n", NULL, 0), "\"ok\":false");
	has_str(ask(d, "[]\n", NULL, 0), "\"ok\":false");
	has_str(ask(d, "{\"do\":\"stop\"}\n", NULL, 0), "\"ok\":true");
	files_done(&f);
	return NULL;
}

TEST(the_control_socket_asks_and_tells_and_refuses_what_it_does_not_know)
{
	int kernel = tiny_kernel(counts, sizeof(counts)), s[2];
	struct vmm_plan plan = plan_of(kernel, NULL);
	struct vmm_result res;
	struct dialogue d;

	is_int(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	plan.control_fd = s[0];
	d = (struct dialogue){ .vm = tiny_vm(&plan), .fd = s[1] };
	is_int(pthread_create(&d.thread, NULL, talk, &d), 0);
	is_int(vmm_run(d.vm, &res, NULL), 0);
	pthread_join(d.thread, NULL);
	is_str(vmm_end_name(res.end), "stopped");
	has_str(res.reason, "control socket");
	vmm_free(d.vm);
	close(kernel);
}

/* A snapshot that is to be kept goes with who asked for it, unless he says so. */
static void take_for_as_long_as_it_is_wanted(struct dialogue *d)
{
	static const char take_it[] = "{\"do\":\"snapshot\",\"track\":true,\"until_kept\":true,\"fleeting\":true}\n";

	for (int keeps = 0; keeps < 2; keeps++) {
		struct files f = files_new();
		const int both[] = { f.state, f.ram };

		has_str(ask(d, "{\"do\":\"keep\"}\n", NULL, 0), "no snapshot of this connection's");
		has_str(ask(d, "{\"do\":\"snapshot\",\"until_kept\":true}\n", both, 2), "until_kept is for");
		has_str(ask(d, take_it, both, 2), "\"ok\":true");
		has_str(ask(d, "{\"do\":\"state\"}\n", NULL, 0), "diff_base");
		if (keeps)
			has_str(ask(d, "{\"do\":\"keep\"}\n", NULL, 0), "\"ok\":true");
		close(d->fd);
		d->fd = sock_unix_connect(AT_FDCWD, d->path);
		ok(d->fd >= 0);
		/* The other end may be told of the close after this line. */
		for (int i = 0; i < 100 && strstr(ask(d, "{\"do\":\"state\"}\n", NULL, 0), "diff_base") && !keeps; i++)
			usleep(10000);
		ok(!strstr(d->said, "diff_base") == !keeps);
		files_done(&f);
	}
}

static void *pause_and_go(void *arg)
{
	struct dialogue *d = arg;
	struct files f = files_new();
	const int both[] = { f.state, f.ram };
	uint32_t was;
	struct vmm_snapshot_facts facts = { .cpus = 0 };

	has_str(ask(d, "{\"do\":\"pause\",\"while_connected\":true}\n", NULL, 0), "\"ok\":true");
	was = counter_of(d->vm);
	has_str(ask(d, "{\"do\":\"snapshot\",\"fleeting\":true}\n", both, 2), "\"pause_us\"");
	is_int(vmm_snapshot_check(f.state, f.ram, &facts, NULL), 0);
	is_int(facts.cpus, 1);
	ok(facts.mem_bytes == MEM && !facts.is_diff);
	has_str(ask(d, "{\"do\":\"state\",\"while_connected\":true}\n", NULL, 0), "is for pause");
	usleep(20000);
	is_int(counter_of(d->vm), was);
	close(d->fd); /* as by a kill */
	while (counter_of(d->vm) == was)
		usleep(1000);
	d->fd = sock_unix_connect(AT_FDCWD, d->path);
	ok(d->fd >= 0);
	has_str(ask(d, "{\"do\":\"state\"}\n", NULL, 0), "running");
	take_for_as_long_as_it_is_wanted(d);
	/* Without the word it stays. */
	has_str(ask(d, "{\"do\":\"pause\"}\n", NULL, 0), "\"ok\":true");
	close(d->fd);
	d->fd = sock_unix_connect(AT_FDCWD, d->path);
	ok(d->fd >= 0);
	has_str(ask(d, "{\"do\":\"state\"}\n", NULL, 0), "paused");
	has_str(ask(d, "{\"do\":\"stop\"}\n", NULL, 0), "\"ok\":true");
	files_done(&f);
	return NULL;
}

static void *talk_too_long(void *arg)
{
	struct dialogue *d = arg;
	_cleanup_free_ char *long_line = malloc(80000);

	memset(long_line, ' ', 79999);
	long_line[79999] = '\0';
	(void)sock_send_fds(d->fd, long_line, strlen(long_line), NULL,
			    0); /* the other end may have had enough before the last byte */
	has_str(hear(d), "64 KiB");
	ok(read(d->fd, d->said, 1) <= 0); /* and that was that */
	close(d->fd);
	d->fd = sock_unix_connect(AT_FDCWD, d->path);
	ok(d->fd >= 0);
	has_str(ask(d, "{\"do\":\"stop\"}\n", NULL, 0), "\"ok\":true");
	return NULL;
}

static void listen_and(void *(*talker)(void *))
{
	int kernel = tiny_kernel(counts, sizeof(counts));
	struct vmm_plan plan = plan_of(kernel, NULL);
	char dir[] = "/tmp/berth-control-XXXXXX";
	_cleanup_free_ char *path = NULL;
	struct vmm_result res;
	struct dialogue d;

	ok(mkdtemp(dir));
	path = str_fmt("%s/s", dir);
	plan.control_fd = sock_unix_listen(AT_FDCWD, path, 0600);
	ok(plan.control_fd >= 0);
	d = (struct dialogue){ .vm = tiny_vm(&plan), .fd = sock_unix_connect(AT_FDCWD, path) };
	ok(d.fd >= 0);
	d.path = path;
	is_int(pthread_create(&d.thread, NULL, talker, &d), 0);
	is_int(vmm_run(d.vm, &res, NULL), 0);
	pthread_join(d.thread, NULL);
	is_str(vmm_end_name(res.end), "stopped");
	vmm_free(d.vm);
	close(kernel);
	is_int(rm_rf(AT_FDCWD, dir), 0);
}

TEST(a_line_without_end_ends_its_peer_and_the_next_may_come) { listen_and(talk_too_long); }
TEST(a_pause_for_as_long_as_its_peer_is_there_ends_with_it) { listen_and(pause_and_go); }

TAP_MAIN()
